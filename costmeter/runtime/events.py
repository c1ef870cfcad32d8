"""What the threads of a meter tell each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from costmeter.errors import SourceError
from costmeter.ledger.record import Budgets, Items, Mark, Usage
from costmeter.meter.progress import Progress
from costmeter.readings import Device, DriverFacts, HostReading, Missing, Reading

#: Why a board said nothing in a tick, where the driver gave no reason of its own.
NO_ANSWER = Missing("the driver does not answer")
NOT_LISTED = Missing("the driver does not list it any more")


@dataclass(frozen=True, slots=True)
class Opened:
    """The driver answered: the devices this run holds, and how many boards the node has.

    Comes again when the driver was opened anew and shows other devices, or the same ones elsewhere.
    """

    devices: tuple[Device, ...]
    node_gpus: int
    facts: DriverFacts | None


@dataclass(frozen=True, slots=True)
class OpenFailed:
    """There is no driver to read. It is looked for again now and then; when it appears, `Opened` follows."""

    error: SourceError


@dataclass(frozen=True, slots=True)
class Batch:
    """One tick: what every held board said, or why it did not. `at_ns` is when the tick began (CLOCK_BOOTTIME).

    `readings` are by the UUID of the board. `host` was read after them all, so that no device's time ends beyond it.

    The last tick comes after the child was reaped, at `until_ns`: what it read beyond that instant is not the run's.
    It also tells which devices are `still_held` by processes that the child left behind. `processes` are those that the
    driver lists on every device, where it was asked at this tick; `cores` is how many of the host's cores a run has
    used since it was last looked at, with all that it started. `took_ns` is how long all of this took to ask; no
    recording has it.
    """

    at_ns: int
    readings: Mapping[str, Reading | Missing]
    slow: bool
    until_ns: int | None = None
    still_held: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    host: HostReading | Missing | None = None
    processes: Mapping[str, tuple[int, ...] | Missing] | None = None
    took_ns: int | None = field(default=None, compare=False)
    cores: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The child was reaped at `at_ns` (CLOCK_BOOTTIME). One of `exit_code` and `signal` is None, or both (imported).

    `heard` are the signals that reached the meter meanwhile; `orphans` are processes the child left behind. A run that
    was `stopped` by its budget may have ended in any way.
    """

    at_ns: int
    exit_code: int | None
    signal: int | None
    heard: frozenset[int] = frozenset()
    orphans: frozenset[int] = frozenset()
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What the run has told of itself by `at_ns` (CLOCK_BOOTTIME): its phase and how far it has come.

    `has_saved`: a checkpoint was whole just then. `resumed`: it went back, to so many steps from so many; while it does
    `redone` work, it has not come as far again.
    """

    at_ns: int
    phase: str
    progress: Progress
    redone: bool = False
    has_saved: bool = False
    resumed: tuple[int, int] | None = None


Event = Opened | OpenFailed | Batch | Ended
#: What the recorder is told beside the events of the reader: it is in no recording of a driver.
Noted = Items | Usage | Told | Budgets | Mark
