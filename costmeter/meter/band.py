"""Error bands: how far an energy may be off, by how it was found."""

from costmeter.meter.slot import Quantities
from costmeter.readings import METHODS, Method

#: The own error of each method, as a share of its energy: `docs/exactness.md` says what it is made of.
BANDS: dict[Method, float] = {"counter": 0.01, "power": 0.05, "estimated": 0.5}
#: A board's sensor is off by about this share, always the same way. It comes on top of what counter and power say, and
#: no program that asks the driver can remove it. An estimate asks no sensor.
SENSOR_GAIN = 0.05


def found(quantities: Quantities) -> dict[Method, int]:
    """Microjoules by how they were found, best first, without the methods that found nothing."""
    by_method: dict[Method, int] = {
        "counter": quantities.counter_microjoules,
        "power": quantities.power_microjoules,
        "estimated": quantities.estimated_microjoules,
    }
    return {method: by_method[method] for method in METHODS if by_method[method]}


def band(quantities: Quantities) -> float | None:
    """The band of a whole energy: of its methods, weighted by their energy; None where nothing was found.

    Time whose energy is unmeasured is in no band: what is missing is not an error of what was found.
    """
    by_method = found(quantities)
    if not by_method:
        return None
    return sum(BANDS[method] * energy_uj for method, energy_uj in by_method.items()) / sum(by_method.values())
