"""What the threads of a meter tell each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from costmeter.errors import SourceError
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
    It also tells which devices are `still_held` by processes that the child left behind.
    """

    at_ns: int
    readings: Mapping[str, Reading | Missing]
    slow: bool
    until_ns: int | None = None
    still_held: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    host: HostReading | Missing | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The child was reaped at `at_ns` (CLOCK_BOOTTIME). One of `exit_code` and `signal` is None.

    `heard` are the signals that reached the meter meanwhile; `orphans` are processes the child left behind.
    """

    at_ns: int
    exit_code: int | None
    signal: int | None
    heard: frozenset[int] = frozenset()
    orphans: frozenset[int] = frozenset()


Event = Opened | OpenFailed | Batch | Ended
