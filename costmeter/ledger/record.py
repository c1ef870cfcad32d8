"""Records: the facts a journal keeps, as frozen types. Quantities and prices; money is folded from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from costmeter.clock import Anchor
from costmeter.meter.activity import IdleRule
from costmeter.meter.budget import BudgetUse
from costmeter.meter.charge import Rates
from costmeter.meter.idling import IdleUse, Reason
from costmeter.meter.item import LineItem
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Slot
from costmeter.meter.totals import DeviceTotals
from costmeter.readings import Device, DriverFacts

#: Version of the file format. 1: the first.
SCHEMA = "costmeter.journal/1"

#: `unknown`: an agent saw a run go that nobody had announced.
Outcome = Literal["ok", "failed", "cancelled", "preempted", "stopped by budget", "interrupted", "running", "unknown"]
#: `checkpoint`: one was saved just then. `resume`: the run went back to an earlier step. `budget`: a share was reached.
MarkKind = Literal["fault", "clock", "gap", "checkpoint", "resume", "budget"]


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
    user: str = ""


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
    """One closed (or, in the `.open` file, still open) slot. `rates` is the number of those it is priced under.

    On a node, `held` is the number of who held its devices.
    """

    slot: Slot
    rates: int | None = field(default=None, compare=False)
    held: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at an instant; `device` is empty when it concerns none."""

    at_utc_ns: int
    kind: MarkKind
    what: str
    device: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line begins in its file, and the last lines of devices and of rates before it: bytes from its start.

    `crc` is CRC-32 of all bytes before the line; a journal of before does not say.
    """

    at: int
    devices_at: int | None = None
    rates_at: int | None = None
    crc: int | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """The last checkpoint: when it was whole, what the part had cost by then, and at which step, if that was told."""

    at_utc_ns: int
    cost: Decimal
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a part comes to, all GPUs together: enough for a line in a list of runs, without reading its slots.

    It is derived: the slots are the record. `gpus` counts devices by name. `redone` is what work done again has cost;
    `saved` the last checkpoint, None where none was told of. `slots` is how many are in it. `idle` is idle time by
    reason, which only the footer has: no list shows it.
    """

    slots: int
    ended_utc_ns: int
    whole: DeviceTotals
    gpus: tuple[tuple[str, int], ...]
    redone: Decimal = Decimal(0)
    saved: Saved | None = None
    progress: Progress | None = None
    idle: Mapping[Reason, IdleUse] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Subtotal:
    """The summary of all slots before it, once an hour, so that a list need not read a long journal without footer."""

    summary: Summary
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets that this run counts against, and what other runs had spent of each: the last word holds."""

    at_utc_ns: int
    uses: tuple[BudgetUse, ...]


@dataclass(frozen=True, slots=True)
class Footer:
    """The last line. `length_ns` is spawn to reap; `exit_code` and `signal` are the child's, one of them None, or both.

    `slots` is how many were closed, `summary` what they come to; a journal of before does not say.
    """

    ended_utc_ns: int
    length_ns: int
    outcome: Outcome
    exit_code: int | None
    signal: int | None
    cpu_ns: int
    readings: int
    slots: int | None = field(default=None, compare=False)
    summary: Summary | None = field(default=None, compare=False)
    place: Place | None = field(default=None, compare=False)


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


Record = Header | Devices | RatesChange | SlotEntry | Mark | Footer | Items | Usage | Subtotal | Budgets
