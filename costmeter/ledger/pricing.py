"""A part of a run while its journal is read, under its own prices or under others: one row of a what-if."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from costmeter.errors import JournalError
from costmeter.ledger.columns import SlotColumns
from costmeter.ledger.query import Part, begin, fold
from costmeter.ledger.record import Devices, Header, Mark, RatesChange, Record, SlotEntry
from costmeter.meter.bulk import Block
from costmeter.meter.charge import Rates
from costmeter.meter.idleuse import IdleTally, added
from costmeter.meter.progress import Progress
from costmeter.meter.tally import Tally
from costmeter.meter.totals import DeviceTotals, Totals
from costmeter.readings import Device
from costmeter.units import NANOSECONDS_PER_MINUTE


class Unpriceable(Exception):
    """Why prices have no answer for a run, in words."""


class Prices(Protocol):
    """The prices of some devices over time. While nothing changes, `at` gives the identical object."""

    def at(self, utc_ns: int) -> Rates:
        """The rates that hold at an instant. Raises Unpriceable where there are none for this run."""
        ...


@runtime_checkable
class LastingPrices(Prices, Protocol):
    """Prices that can say how long they stay: a year of minutes is then asked for edge by edge."""

    def until(self, utc_ns: int) -> int:
        """An instant up to which, and not including it, the rates at another are surely the same."""
        ...


#: Prices for the devices of a part: its header, its devices, and how many GPUs its node has.
PricesFor = Callable[[Header, tuple[Device, ...], int], Prices]


class Pricing:
    """A part under one set of prices; None is its own. What is in `_tally` is not in `_part` yet.

    Every method raises Unpriceable as the prices do, and JournalError where they have none for a slot's date.
    """

    def __init__(self, header: Header, prices: PricesFor | None) -> None:
        self._part = begin(header)
        self._prices = prices
        self._quoted: Prices | None = None
        self._lasting: LastingPrices | None = None
        self._since_ns = self._until_ns = 0  # between these the last rates that were asked for hold
        self._under: list[tuple[int, Rates | None]] = []
        self._tally: Tally | None = None
        self._idle = IdleTally()
        self._tallied: tuple[SlotColumns, int, int, Progress | None] | None = None  # up to where, slots, progress
        self._saved: tuple[Mark, Tally, tuple[str, ...], Progress | None] | None = None  # tallied up to a checkpoint

    @property
    def part(self) -> Part:
        """The part so far."""
        self._settle()
        return self._part

    def fold(self, record: Record) -> None:
        """One record more, as `fold` has it; slots and all that hangs on them."""
        if isinstance(record, SlotEntry):
            self._see_rates(record.slot.start_utc_ns)
        if isinstance(record, RatesChange) and self._prices is not None:
            return
        self._part = fold(self.part, record)
        if isinstance(record, Devices) and record.devices and self._prices is not None:
            self._quoted = self._prices(self._part.header, record.devices, record.node_gpus)
            self._lasting = self._quoted if isinstance(self._quoted, LastingPrices) else None
            self._since_ns = self._until_ns = 0
            began_utc_ns = self._part.header.anchor.utc(self._part.start_ns)
            self._see_rates(self._part.ended_utc_ns if self._part.slots else began_utc_ns)

    # Slots in columns

    def begin_columns(self) -> None:
        """Slots come that are taken at once."""
        self._under = [(0, self._part.rates)]

    def between(self, place: int, record: Record) -> None:
        """A record that stands before the slot in a place: one that no sum hangs on."""
        if isinstance(record, RatesChange) and self._prices is not None:
            return
        self._part = fold(self._part, record)
        if isinstance(record, RatesChange):
            self._under.append((place, record.rates))

    def see(self, all_starts_utc_ns: Sequence[int], start: int, stop: int) -> None:
        """Ask what holds for slots: the rates before them, or others by their minute."""
        if self._quoted is None:
            return
        starts_utc_ns = all_starts_utc_ns[start:stop]
        if self._since_ns <= min(starts_utc_ns) and max(starts_utc_ns) < self._until_ns:
            return
        for place, utc_ns in enumerate(starts_utc_ns, start):
            if not self._since_ns <= utc_ns < self._until_ns:
                self._see_rates(utc_ns)
                if self._part.rates is not self._under[-1][1]:
                    self._under.append((place, self._part.rates))

    @property
    def edges(self) -> list[int]:
        """The places of slots with which other rates begin."""
        return [place for place, _ in self._under]

    def rates_of(self, place: int) -> Rates | None:
        """The rates of the slot in a place, None where it has none."""
        return self._under[bisect_right(self.edges, place) - 1][1]

    def passes(self, slots: int, ended_utc_ns: int) -> None:
        """So many slots more, of which somebody else finds what they come to."""
        self._part = replace(self._part, slots=self._part.slots + slots, ended_utc_ns=ended_utc_ns)

    def add(self, columns: SlotColumns, blocks: Sequence[Block], idle: Sequence[Block], start: int, stop: int) -> None:
        """Slots more that have the same rates and the same phase; `idle` is what they have apart by reason."""
        rates = self.rates_of(start)
        charged, apart = (None if rates is None else columns.charged(each, rates) for each in (blocks, idle))
        if charged is None or apart is None:
            self._settle()
            for place in range(start, stop):
                slot = fold(replace(self._part, rates=rates), columns.entry(place))
                self._part = replace(slot, rates=self._part.rates)
            return
        if self._tallied is not None:
            before, last, _, _ = self._tallied
            if before.phases[last] != columns.phases[start]:
                self._settle()
        self._tally = self._tally or Tally(len(columns.order))
        self._tally.add(charged)
        self._idle.add([*charged, *apart])
        _, _, slots, told = self._tallied or (None, 0, 0, None)
        self._tallied = columns, stop - 1, slots + stop - start, columns.progress(start, stop) or told

    def save(self, mark: Mark, count: int) -> None:
        """The last of so many checkpoints."""
        self._part = replace(self._part, checkpoints=self._part.checkpoints + count - 1)
        if self._tally is None or self._tallied is None:
            self._part = fold(self._part, mark)
        else:  # mostly another one comes before anybody asks what the part had cost by then
            self._part = replace(self._part, checkpoints=self._part.checkpoints + 1)
            self._saved = mark, self._tally.copy(), self._tallied[0].order, self._tallied[3]

    def _settle_saved(self) -> None:
        """What the part had cost at the last checkpoint, and how far it was."""
        if self._saved is None:
            return
        mark, tally, order, told = self._saved
        whole, progress = self._part.totals + _totals(order, tally), told or self._part.progress
        part = replace(self._part, totals=whole, progress=progress)
        self._part, self._saved = replace(self._part, saved=fold(part, mark).saved), None

    def _settle(self) -> None:
        """Make totals of what was tallied."""
        if self._tally is None or self._tallied is None:
            return
        self._settle_saved()
        columns, last, slots, told = self._tallied
        part, whole = self._part, _totals(columns.order, self._tally)
        idle = added(part.idle, self._idle.by_device().values())
        self._tally, self._tallied, self._idle = None, None, IdleTally()
        phase, is_redone = columns.phases[last]
        if phase:
            part = replace(part, phases={**part.phases, phase: part.phases.get(phase, DeviceTotals()) + whole.whole})
        self._part = replace(
            part,
            slots=part.slots + slots,
            totals=part.totals + whole,
            redone=part.redone + whole.whole if is_redone else part.redone,
            progress=told or part.progress,
            ended_utc_ns=columns.end_utc_ns(last),
            counters_microjoules=columns.counters(last),
            standings=columns.standings(last),
            idle=idle,
        )

    # Prices

    def _see_rates(self, utc_ns: int) -> None:
        """The rates of the minute that an instant is in, as the meter sees them: they hold for a whole minute."""
        if self._quoted is None:
            return
        try:
            rates = self._quoted.at(utc_ns - utc_ns % NANOSECONDS_PER_MINUTE)
        except (ValueError, OverflowError, OSError) as problem:  # what no calendar has
            raise JournalError(f"a slot at no date: {problem}") from problem
        if rates is not self._part.rates and rates != self._part.rates:
            self._part = fold(self._part, RatesChange(utc_ns, rates))
        if self._lasting is not None:
            self._since_ns, self._until_ns = utc_ns, self._lasting.until(utc_ns)


def _totals(order: Sequence[str], tally: Tally) -> Totals:
    """What was tallied, by device."""
    return Totals(dict(zip(order, tally.totals(), strict=True)))
