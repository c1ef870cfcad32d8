"""Folding journals into runs. The live meter and the report use this same fold, so they cannot disagree."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from costmeter.ledger.record import (
    Budgets,
    Devices,
    Footer,
    Header,
    Items,
    Mark,
    RatesChange,
    Record,
    Saved,
    SlotEntry,
    Summary,
    Usage,
)
from costmeter.ledger.spread import Spread
from costmeter.meter.budget import BudgetUse
from costmeter.meter.charge import Rates
from costmeter.meter.idleuse import added, idle_uses
from costmeter.meter.idling import IdleUse, Reason
from costmeter.meter.item import LineItem, PartUse
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Slot
from costmeter.meter.standing import Standing
from costmeter.meter.totals import DeviceTotals, Totals, totals
from costmeter.readings import Device, DriverFacts

#: A journal may carry any number of marks; a receipt shows the first of them and counts the rest.
MARKS_KEPT = 100
#: What is said, once, of slots whose rates were lost.
UNPRICED = "slots before any readable rates, not counted"


@dataclass(frozen=True, slots=True)
class Part:
    """What one meter process recorded, folded. `rates` are the last in force, `first_rates` the first, `spread` all.

    `counters_microjoules` are the devices' counters up to which everything is booked, `standings` what more there is
    to say of some. `phases` has all GPUs' totals of every phase that the run told; what is in none of them was before
    it told of any. `redone` is work done again, `saved` the last checkpoint of so many `checkpoints`; `progress` is the
    last that was told. `milestones` are marks of budgets and of going back to an earlier step. `problems` are what
    could not be read, `remarks` what was metered and counts from another part. `last_ns` is when (CLOCK_BOOTTIME) the
    last slot ended, where whoever folded them followed that. `idle` is what idle time came to by reason, as far as the
    reason is known.
    """

    header: Header
    devices: Mapping[str, Device] = field(default_factory=dict)
    driver: DriverFacts | None = None
    node_gpus: int = 0
    since_ns: Mapping[str, int] = field(default_factory=dict)
    counters_microjoules: Mapping[str, int] = field(default_factory=dict)
    standings: Mapping[str, Standing] = field(default_factory=dict)
    first_rates: Rates | None = None
    rates: Rates | None = None
    prices_changed: bool = False
    totals: Totals = field(default_factory=Totals)
    marks: tuple[Mark, ...] = ()
    marks_dropped: int = 0
    ended_utc_ns: int = 0
    footer: Footer | None = None
    problems: tuple[str, ...] = ()
    spread: Spread = field(default_factory=Spread)
    items: tuple[LineItem, ...] = ()
    usage: Usage | None = None
    phases: Mapping[str, DeviceTotals] = field(default_factory=dict)
    redone: DeviceTotals = field(default_factory=DeviceTotals)
    progress: Progress | None = None
    saved: Saved | None = None
    checkpoints: int = 0
    milestones: tuple[Mark, ...] = ()
    budgets: tuple[BudgetUse, ...] = ()
    slots: int = 0
    remarks: tuple[str, ...] = ()
    last_ns: int | None = field(default=None, compare=False)
    idle: Mapping[Reason, IdleUse] = field(default_factory=dict)

    @property
    def start_ns(self) -> int:
        """From when it counts: its spawn, or earlier where it went on from a meter that was killed (CLOCK_BOOTTIME)."""
        return min([self.header.start_ns, *self.since_ns.values()])

    @property
    def length_ns(self) -> int:
        """How long it lasted; where it has no end, as far as its last slot says."""
        if self.footer is not None:  # no clock that was set meanwhile can be seen in this
            return self.footer.length_ns + self.header.start_ns - self.start_ns
        return max(0, self.ended_utc_ns - self.header.anchor.utc(self.start_ns))

    def use(self, length_ns: int | None = None) -> PartUse:
        """What its line items are counted from; `length_ns` where it is known better than from closed slots."""
        gpu_ns = sum(device.quantities.nanoseconds for device in self.totals.devices.values())
        used, notes = (self.usage.used, self.usage.notes) if self.usage else ({}, {})
        start_utc_ns = self.header.anchor.utc(self.start_ns)
        lasted_ns = self.length_ns if length_ns is None else length_ns
        return PartUse(self.header.host, start_utc_ns, lasted_ns, gpu_ns, self.items, used, notes)

    @property
    def summary(self) -> Summary:
        """What it comes to so far, for a list of runs."""
        gpus = Counter(device.name for device in self.devices.values())
        return Summary(
            self.slots,
            self.ended_utc_ns,
            self.totals.whole,
            tuple(gpus.items()),
            self.redone.cost,
            self.saved,
            self.progress,
            self.idle,
        )

    @property
    def currency(self) -> str:
        """What its money is in: the currency of its rates, or, where it has none, the one that was set."""
        return self.header.currency if self.rates is None else self.rates.currency


@dataclass(frozen=True, slots=True)
class Run:
    """All parts of one run, in order of their start."""

    parts: tuple[Part, ...]

    @property
    def totals(self) -> Totals:
        """The run's totals: the sum over its parts."""
        whole = Totals()
        for part in self.parts:
            whole = whole + part.totals
        return whole

    def by_currency(self) -> "tuple[Run, ...]":
        """The run taken apart by what never adds up: simulated or real, and by currency; each with its parts in order.

        There are no exchange rates, and nobody pays for simulated GPUs.
        """
        groups: dict[tuple[bool, str], list[Part]] = {}
        for part in self.parts:
            groups.setdefault((part.header.simulated, part.currency), []).append(part)
        return tuple(Run(tuple(parts)) for parts in groups.values())


def begin(header: Header) -> Part:
    """A part with nothing in it yet."""
    return Part(header, ended_utc_ns=header.anchor.utc(header.start_ns))


def fold(part: Part, record: Record) -> Part:
    """A part with one record more. Slots are priced under the rates that precede them."""
    if isinstance(record, SlotEntry):
        return _with_slot(part, record.slot)
    if isinstance(record, RatesChange):
        first, changed = part.first_rates or record.rates, part.first_rates is not None
        spread = part.spread.seen(record.rates)
        return replace(part, first_rates=first, rates=record.rates, prices_changed=changed, spread=spread)
    if isinstance(record, Devices):
        devices = dict(part.devices) | {device.uuid: device for device in record.devices}
        since_ns = dict(record.since_ns) | dict(part.since_ns)  # the first word holds
        return replace(part, devices=devices, driver=record.driver, node_gpus=record.node_gpus, since_ns=since_ns)
    if isinstance(record, Mark):
        return _with_mark(part, record)
    if isinstance(record, Items):
        return replace(part, items=record.items)
    if isinstance(record, Usage):
        return replace(part, usage=record)
    if isinstance(record, Budgets):
        return replace(part, budgets=record.uses)
    if isinstance(record, Footer):
        return replace(part, footer=record, ended_utc_ns=record.ended_utc_ns)
    return part


def _with_mark(part: Part, mark: Mark) -> Part:
    if mark.kind == "checkpoint":
        saved = Saved(mark.at_utc_ns, part.totals.whole.cost, part.progress.steps if part.progress else None)
        return replace(part, saved=saved, checkpoints=part.checkpoints + 1)
    if mark.kind in ("resume", "budget"):
        return replace(part, milestones=(*part.milestones, mark)[-MARKS_KEPT:])
    if len(part.marks) >= MARKS_KEPT:
        return replace(part, marks_dropped=part.marks_dropped + 1)
    return replace(part, marks=(*part.marks, mark))


def _with_slot(part: Part, whole: Slot) -> Part:
    slot, problem = priced_only(whole, part.rates)
    if problem and problem not in part.problems:
        part = replace(part, problems=(*part.problems, problem))
    part = replace(part, slots=part.slots + 1, progress=slot.progress or part.progress)
    if part.rates is None:
        return replace(part, ended_utc_ns=slot.end_utc_ns)
    priced = totals(slot, part.rates)
    if slot.phase:
        phases = {**part.phases, slot.phase: part.phases.get(slot.phase, DeviceTotals()) + priced.whole}
        part = replace(part, phases=phases)
    if slot.redone:
        part = replace(part, redone=part.redone + priced.whole)
    idle = added(part.idle, idle_uses(slot, priced).values()) if slot.reasons else part.idle
    return replace(
        part,
        totals=part.totals + priced,
        idle=idle,
        ended_utc_ns=slot.end_utc_ns,
        counters_microjoules=slot.counters_microjoules,
        standings=slot.standings,
    )


def priced_only(slot: Slot, rates: Rates | None) -> tuple[Slot, str]:
    """A slot with those of its GPUs that have a price, and what is to be said of the others; nothing where all have.

    A GPU that was found later has none where the line with its rates is damaged.
    """
    if rates is None:
        return replace(slot, devices={}), UNPRICED
    unpriced = slot.devices.keys() - rates.devices.keys()
    if not unpriced:
        return slot, ""
    priced = {uuid: held for uuid, held in slot.devices.items() if uuid not in unpriced}
    return replace(slot, devices=priced), f"GPUs not counted for a time: {len(unpriced)}, no readable rates"


def fold_all(part: Part, records: Iterable[Record]) -> Part:
    """A part with several records more."""
    for record in records:
        part = fold(part, record)
    return part
