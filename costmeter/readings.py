"""What devices say: facts about a device, and one reading of it at one instant.

Units are converted where data enters, once: NVML's milliwatts, millijoules and percent are watts, integer microjoules
and ratios from here on. A value that is not there is a `Missing` with its reason, never 0, NaN or None.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

#: How an energy was found, best first. Probed per device, not inferred from its model.
Method = Literal["counter", "power", "estimated"]
METHODS: tuple[Method, ...] = ("counter", "power", "estimated")


@dataclass(frozen=True, slots=True)
class Missing:
    """A value that is not there, and why, in words a person can act on."""

    reason: str


#: A slow value in a fast reading: nobody asked the driver for it this time.
NOT_ASKED = Missing("not asked at this tick")


@dataclass(frozen=True, slots=True)
class Device:
    """What does not change about one GPU while the driver is open.

    `uuid` is its identity; `index` is NVML's (PCI) order and only for showing. `method` is the best source of energy
    the device answered when it was probed, Missing when it answered none.
    """

    uuid: str
    index: int
    name: str
    pci_bus_id: str
    power_limit_watts: float | Missing
    method: Method | Missing


@dataclass(frozen=True, slots=True)
class Reading:
    """One device at one instant.

    `at_ns` is CLOCK_BOOTTIME just after the driver answered. `energy_microjoules` is the device's own running counter
    since its driver was loaded. `utilization_ratio` is 0 to 1 over the driver's last sample period (1/6 s to 1 s).
    """

    uuid: str
    at_ns: int
    energy_microjoules: int | Missing
    power_watts: float | Missing
    utilization_ratio: float | Missing
    memory_used_bytes: int | Missing = NOT_ASKED


@dataclass(frozen=True, slots=True)
class DriverFacts:
    """What the driver says of itself. `simulated` is True for the simulated driver, and shown wherever figures are."""

    version: str
    simulated: bool


class Source(Protocol):
    """Where readings come from. Every method may take for ever: a driver can hang."""

    def open(self) -> tuple[Device, ...]:
        """Start the driver and probe every device. Raises SourceStopped when there is no driver to start."""
        ...

    def facts(self) -> DriverFacts:
        """What the opened driver says of itself."""
        ...

    def read(self, uuid: str, slow: bool) -> Reading:
        """Ask one device. At most two driver calls, unless `slow` values (power, memory) are wanted as well.

        Values that one device refuses are Missing in the reading. Raises SourceRetry, DeviceGone or SourceStopped when
        the device or the driver did not answer at all.
        """
        ...

    def processes(self, uuid: str) -> tuple[int, ...] | Missing:
        """Process ids that hold a compute context on the device, as the driver lists them."""
        ...

    def close(self) -> None:
        """Let go of the driver. Safe to call twice."""
        ...
