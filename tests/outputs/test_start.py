"""The one line a run prints when metering has begun."""

import pytest

from costmeter.meter.charge import DeviceRates, Rates
from costmeter.outputs.start import start_line
from costmeter.readings import Device
from tests.samples import device, devices, instances, owned, rates, rental, uuids

EIGHT = devices(8)
MIXED = (device(0), device(1, "NVIDIA A100-SXM4-80GB"))


def all_at(held: tuple[Device, ...], of: DeviceRates) -> Rates:
    return rates(dict.fromkeys(uuids(held), of))


@pytest.mark.parametrize(
    ("expected", "held", "of", "simulated"),
    [
        pytest.param("r-1: metering 8 × H100 80GB HBM3 at $19.92/h", EIGHT, rental("2.49"), False, id="rented"),
        pytest.param(
            "r-1: metering 8 × H100 80GB HBM3 at $6.16/h and electricity",
            EIGHT,
            owned("0.770547945"),
            False,
            id="owned",
        ),
        pytest.param(
            "r-1: metering 1 × H100 80GB HBM3 + 1 × A100-SXM4-80GB at $4.00/h",
            MIXED,
            rental("2"),
            False,
            id="two-kinds",
        ),
        pytest.param(
            "r-1: metering 8 × H100 80GB HBM3 at $27.12/h (simulated GPUs)", EIGHT, rental("3.39"), True, id="simulated"
        ),
        pytest.param(
            "r-1: metering 8 × H100 80GB HBM3, no price known", EIGHT, DeviceRates((), False), False, id="no-price"
        ),
        pytest.param(
            "r-1: metering MIG 3g.30gb + 2g.20gb of H100 80GB HBM3 at $2.00/h",
            instances(device(0), 3, 2)[::-1],
            rental("1"),
            False,
            id="instances-by-place",
        ),
        pytest.param("r-1: no GPU to meter", (), rental(), False, id="no-gpu"),
    ],
)
def test_start_line(expected: str, held: tuple[Device, ...], of: DeviceRates, simulated: bool) -> None:
    """What is metered, at what price an hour, and whether it is real."""
    assert expected == start_line("r-1", held, all_at(held, of), simulated)
