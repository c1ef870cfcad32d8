"""Records: the facts a journal keeps, as frozen types. Quantities and prices; money is folded from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from costmeter.clock import Anchor
from costmeter.meter.activity import IdleRule
from costmeter.meter.charge import Rates
from costmeter.meter.item import LineItem
from costmeter.meter.slot import Slot
from costmeter.readings import Device, DriverFacts

#: Version of the file format. 1: the first.
SCHEMA = "costmeter.journal/1"

Outcome = Literal["ok", "failed", "cancelled", "preempted", "stopped by budget", "interrupted", "running"]
MarkKind = Literal["fault", "clock", "gap"]


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: who metered what, where, and under which rules. `start_ns` is CLOCK_BOOTTIME of the spawn."""

    run: str
    part: int
    meter: Literal["wrapper", "agent"]
    name: str
    labels: Mapping[str, str]
    command: tuple[str, ...] | None
    host: str
    boot_id: str
    pid: int
    pid_start_ticks: int
    start_ns: int
    anchor: Anchor
    period_ns: int
    rule: IdleRule
    simulated: bool
    currency: str
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Devices:
    """The held devices, in the order of every array that follows, and how many GPUs the node has.

    `since_ns` is from when (CLOCK_BOOTTIME) those devices are counted that are not counted from the spawn on.
    """

    devices: tuple[Device, ...]
    driver: DriverFacts | None
    node_gpus: int
    since_ns: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RatesChange:
    """The rates of all slots that follow. `number` counts them in a file; a journal of before has none."""

    at_utc_ns: int
    rates: Rates
    number: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class SlotEntry:
    """One closed (or, in the `.open` file, still open) slot. `rates` is the number of those it is priced under."""

    slot: Slot
    rates: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at an instant; `device` is empty when it concerns none."""

    at_utc_ns: int
    kind: MarkKind
    what: str
    device: str = ""


@dataclass(frozen=True, slots=True)
class Footer:
    """The last line. `length_ns` is spawn to reap; `exit_code` and `signal` are the child's, one of them None.

    `slots` is how many were closed; a journal of before does not say.
    """

    ended_utc_ns: int
    length_ns: int
    outcome: Outcome
    exit_code: int | None
    signal: int | None
    cpu_ns: int
    readings: int
    slots: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Items:
    """The line items that stand beside the cost, with their prices."""

    items: tuple[LineItem, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """What was seen of watched items since the spawn, by name, in the units of their kinds: the last one counts.

    An item that nobody could look at yet is not in `used`; `notes` say what is to be known of an item beside it.
    """

    at_utc_ns: int
    used: Mapping[str, int]
    notes: Mapping[str, str] = field(default_factory=dict)


Record = Header | Devices | RatesChange | SlotEntry | Mark | Footer | Items | Usage
