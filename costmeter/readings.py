"""What devices say: facts about a device, and one reading of it at one instant.

Units are converted where data enters, once: NVML's milliwatts, millijoules and percent are watts, integer microjoules
and ratios from here on. A value that is not there is a `Missing` with its reason, never 0, NaN or None.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

#: How an energy was found, best first. Probed per device, not inferred from its model.
Method = Literal["counter", "power", "estimated"]
METHODS: tuple[Method, ...] = ("counter", "power", "estimated")
_FOUND = {"counter": "energy from its counter", "power": "energy by power", "estimated": "energy estimated"}


def how_found(method: Method | None) -> str:
    """How an energy was found, in words."""
    return "energy unmeasured" if method is None else _FOUND[method]


@dataclass(frozen=True, slots=True)
class Missing:
    """A value that is not there, and why, in words a person can act on."""

    reason: str


#: A slow value in a fast reading: nobody asked the driver for it this time.
NOT_ASKED = Missing("not asked at this tick")


#: What a device's counter and power cover: the board, or the whole module with its CPU (Grace).
Scope = Literal["gpu", "module"]


#: How a board's energy is divided among its MIG instances.
Split = Literal["activity", "slices"]


@dataclass(frozen=True, slots=True)
class Mig:
    """What makes a device a part of a board: one MIG instance.

    `board` is the UUID of the GPU that carries it and `place` its position among the board's instances. Of the board's
    `slices` compute slices it has those from `first_slice` up to `end_slice`, so that instances side by side never
    claim the same one. The two ids are the driver's own (`MIG-GPU-<uuid>/<gpu>/<compute>` in older lists). `split` says
    how the board's energy is divided: by what the driver proves each instance to have done, else by slices alone.
    """

    board: str
    place: int
    gpu_instance: int
    compute_instance: int
    first_slice: int
    end_slice: int
    slices: int
    split: Split = "slices"

    @property
    def width(self) -> int:
        """How many of the board's compute slices it has."""
        return self.end_slice - self.first_slice


@dataclass(frozen=True, slots=True)
class PowerRange:
    """What a board draws when idle and at full load: what an energy is estimated from where none can be read."""

    idle_watts: float
    full_watts: float


@dataclass(frozen=True, slots=True)
class Device:
    """What does not change about one GPU, or one MIG instance of it, while the driver is open.

    `uuid` is its identity; `index` is NVML's (PCI) order of boards and only for showing. `method` is the best source of
    energy the board answered when it was probed, Missing when it answered none; limit, method, scope and range are the
    board's for each of its instances. `power_is_mean` says that a power reading is the mean of the last second, which a
    poll every second cannot miss. `speed` (cores × MHz, 0 when unknown) is for the order in which CUDA counts GPUs.
    """

    uuid: str
    index: int
    name: str
    pci_bus_id: str
    power_limit_watts: float | Missing
    method: Method | Missing
    mig: Mig | None = None
    scope: Scope = "gpu"
    power_range: PowerRange | Missing = Missing("not probed")
    power_is_mean: bool = False
    speed: int = 0

    @property
    def board(self) -> str:
        """The UUID of what is read: the GPU that carries a MIG instance, else the device itself."""
        return self.uuid if self.mig is None else self.mig.board

    @property
    def is_identified(self) -> bool:
        """Whether the driver could say which GPU this is."""
        return is_identified(self.uuid)


_UNIDENTIFIED = "unidentified-"


def is_identified(board: str) -> bool:
    """Whether this is a board's own UUID, and not what stands for one that could not say which it is."""
    return not board.startswith(_UNIDENTIFIED)


def unidentified(index: int, why: Missing) -> Device:
    """A GPU that is there and cannot be known: held and paid for like the others."""
    return Device(f"{_UNIDENTIFIED}{index}", index, "unidentified GPU", "", why, why)


@dataclass(frozen=True, slots=True)
class Sample:
    """One power reading of one device, between two readings; Missing when it was refused or impossible."""

    at_ns: int
    power_watts: float | Missing


@dataclass(frozen=True, slots=True)
class Activity:
    """What one MIG instance did since the reading before: how busy its multiprocessors were (0 to 1), of its slices."""

    uuid: str
    slices: int
    utilization_ratio: float


@dataclass(frozen=True, slots=True)
class Reading:
    """One board at one instant.

    `at_ns` is CLOCK_BOOTTIME just after the driver answered. `energy_microjoules` is the device's own running counter
    since its driver was loaded. `utilization_ratio` is 0 to 1 over the driver's last sample period (1/6 s to 1 s).
    `samples` are the power readings since the reading before, oldest first, of a device whose counter says nothing.
    `activity` is of every MIG instance of the board, or of none where the driver does not tell.
    """

    uuid: str
    at_ns: int
    energy_microjoules: int | Missing
    power_watts: float | Missing
    utilization_ratio: float | Missing
    memory_used_bytes: int | Missing = NOT_ASKED
    samples: tuple[Sample, ...] = ()
    activity: tuple[Activity, ...] = ()


@dataclass(frozen=True, slots=True)
class Zone:
    """One energy counter of the host: microjoules since some start, back to 0 beyond `range_microjoules`."""

    name: str
    microjoules: int
    range_microjoules: int


@dataclass(frozen=True, slots=True)
class HostReading:
    """The host at one instant (CLOCK_BOOTTIME): the counters of its packages and memories that answered."""

    at_ns: int
    zones: tuple[Zone, ...]


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

    def seek(self) -> tuple[Device, ...]:
        """Every device as it is known now, after another look for those that could not be identified before."""
        ...

    def read(self, board: str, slow: bool) -> Reading:
        """Ask one board. At most two driver calls, unless `slow` values (memory) are wanted as well.

        Values that one device refuses are Missing in the reading. Raises SourceRetry, DeviceGone or SourceStopped when
        the device or the driver did not answer at all.
        """
        ...

    def sample(self, board: str) -> Sample:
        """Ask one board for its power alone: one driver call. Raises as `read` does."""
        ...

    def processes(self, uuid: str) -> tuple[int, ...] | Missing:
        """Process ids that hold a compute context on the device, as the driver lists them."""
        ...

    def close(self) -> None:
        """Let go of the driver. Safe to call twice."""
        ...
