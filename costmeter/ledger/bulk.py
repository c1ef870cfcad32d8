"""Folding a journal fast: many slots at a time, to the same part as `fold` makes of them one by one.

What a report costs is mostly slots: 1,440 a day. They are read by a fast reader of JSON, taken as columns of integers
and charged at once; everything else, and every stretch with damage in it, goes the way of `records` and `fold`. A
journal is never held as a whole.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from costmeter.errors import JournalError
from costmeter.ledger.columns import SlotColumns, slot_columns
from costmeter.ledger.overlap import Windows, metered_elsewhere
from costmeter.ledger.query import Part, Run, begin, fold, paths_of
from costmeter.ledger.reading import Reading, lines
from costmeter.ledger.record import Devices, Header, Mark, RatesChange, Record, SlotEntry
from costmeter.meter.bulk import device_totals
from costmeter.meter.charge import Rates
from costmeter.meter.slot import Slot
from costmeter.meter.totals import DeviceTotals, Totals
from costmeter.readings import Device
from costmeter.units import NANOSECONDS_PER_MINUTE

#: So many lines are held at once: 0.3 MB of them, 3 MB of what they say.
_LINES_AT_ONCE = 512
_SLOT = b'{"type":"slot"'
#: Lines that may stand between slots without ending a stretch of them: no array of a slot hangs on them.
_BETWEEN = tuple(b'{"type":"%s"' % kind for kind in (b"rates", b"mark", b"subtotal", b"usage", b"items", b"budgets"))


class Prices(Protocol):
    """The prices of some devices over time. While nothing changes, `at` gives the identical object."""

    def at(self, utc_ns: int) -> Rates:
        """The rates that hold at an instant."""
        ...


@runtime_checkable
class LastingPrices(Prices, Protocol):
    """Prices that can say how long they stay: a year of minutes is then asked for edge by edge."""

    def until(self, utc_ns: int) -> int:
        """An instant up to which, and not including it, the rates at another are surely the same."""
        ...


#: Prices for the devices of a part: its header, its devices, and how many GPUs its node has.
PricesFor = Callable[[Header, tuple[Device, ...], int], Prices]


def fold_path(path: Path, prices: PricesFor | None = None, elsewhere: Windows | None = None) -> Part:
    """One journal folded into a part, under its own prices or under others.

    Slots of devices that begin in a window of `elsewhere` do not count, and it is said how much that was. Raises
    JournalError as `records` does, and where `prices` have none for a slot's date.
    """
    folding = _Folding(path, prices, elsewhere or {})
    torn: list[str] = []
    for number, line in lines(path, torn):
        folding.take(number, line)
    return folding.finished(torn)


def load_run(state: Path, run_id: str, prices: PricesFor | None = None) -> Run:
    """A recorded run by its id, or by the path of a journal or a folder of them, under its own prices or under others.

    Where two meters of a host had one device at the same time, its time counts once. Raises JournalError when the run
    is not there, or nothing of it can be read.
    """
    paths: list[Path] = []
    parts: list[Part] = []
    refusals: list[JournalError] = []
    for path in paths_of(state, run_id):
        try:
            parts.append(fold_path(path, prices))
            paths.append(path)
        except JournalError as refusal:
            refusals.append(refusal)
    if not parts:
        raise refusals[0]
    for place, windows in enumerate(metered_elsewhere(parts)):
        if windows:
            parts[place] = fold_path(paths[place], prices, windows)
    parts.sort(key=lambda part: part.header.anchor.utc(part.header.start_ns))
    not_counted = tuple(f"{refusal.message}; this part is not counted" for refusal in refusals)
    return Run((replace(parts[0], problems=(*not_counted, *parts[0].problems)), *parts[1:]))


class _Folding:
    """A part while its journal is read. `_lines` are those that were read and not folded yet."""

    def __init__(self, path: Path, prices: PricesFor | None, elsewhere: Windows) -> None:
        self._problems: list[str] = []
        self._reading = Reading(path, self._problems)
        self._path = path
        self._prices = prices
        self._quoted: Prices | None = None
        self._elsewhere = elsewhere
        self._not_counted_ns = dict.fromkeys(elsewhere, 0)
        self._part: Part | None = None
        self._lines: list[tuple[int, bytes]] = []

    def take(self, number: int, line: bytes) -> None:
        """One line more."""
        if line.startswith(_SLOT) or line.startswith(_BETWEEN):
            self._lines.append((number, line))
            if len(self._lines) == _LINES_AT_ONCE:
                self._fold_lines()
            return
        self._fold_lines()
        self._fold_line(number, line)

    def finished(self, torn: list[str]) -> Part:
        """The part, once all lines were taken; `torn` is what the reader of lines had to say."""
        self._fold_lines()
        self._problems += torn
        last = self._reading.last()
        if last is not None:
            self._fold(last)
        part = self._folded
        return replace(part, problems=(*self._problems, *part.problems, *self._said_of_others()))

    def _said_of_others(self) -> Iterator[str]:
        header = self._folded.header
        for uuid, left_out_ns in self._not_counted_ns.items():
            if left_out_ns:
                seconds = f"{left_out_ns / 1e9:,.1f} s"
                yield f"part {header.part} of {header.host} also metered {uuid}: {seconds} not counted twice"

    @property
    def _folded(self) -> Part:
        """The part so far; there is one from the header on."""
        assert self._part is not None
        return self._part

    # One by one

    def _fold_line(self, number: int, line: bytes) -> None:
        record = self._reading.record(number, line)
        if record is not None:
            self._fold(record)

    def _fold(self, record: Record) -> None:
        """One record more, as `fold` has it; under other prices where there are any."""
        if isinstance(record, Header):
            self._part = begin(record) if self._part is None else self._part
            return
        if isinstance(record, RatesChange) and self._prices is not None:
            return
        if isinstance(record, SlotEntry):
            self._see_rates(record.slot.start_utc_ns)
            record = replace(record, slot=self._ours(record.slot))
        self._part = fold(self._folded, record)
        if isinstance(record, Devices) and record.devices and self._prices is not None:
            self._quoted = self._prices(self._folded.header, record.devices, record.node_gpus)
            began_utc_ns = self._folded.header.anchor.utc(self._part.start_ns)
            self._see_rates(self._part.ended_utc_ns if self._part.slots else began_utc_ns)

    def _ours(self, slot: Slot) -> Slot:
        """A slot without what was metered elsewhere."""
        ours = {uuid: held for uuid, held in slot.devices.items() if not self._is_elsewhere(uuid, slot.start_utc_ns)}
        theirs = slot.devices.keys() - ours.keys()
        for uuid in theirs:
            self._not_counted_ns[uuid] += slot.devices[uuid].nanoseconds
        return replace(slot, devices=ours) if theirs else slot

    def _is_elsewhere(self, uuid: str, start_utc_ns: int) -> bool:
        return any(start_ns <= start_utc_ns < end_ns for start_ns, end_ns in self._elsewhere.get(uuid, ()))

    # Prices

    def _see_rates(self, utc_ns: int) -> None:
        """The rates of the minute that an instant is in, as the meter sees them: they hold for a whole minute."""
        if self._quoted is not None:
            self._set_rates(self._quoted_at(self._quoted, utc_ns), utc_ns)

    def _quoted_at(self, quoted: Prices, utc_ns: int) -> Rates:
        try:
            return quoted.at(utc_ns - utc_ns % NANOSECONDS_PER_MINUTE)
        except (ValueError, OverflowError, OSError) as problem:  # what no calendar has
            raise JournalError(f"{self._path}: a slot at no date: {problem}") from problem

    def _set_rates(self, rates: Rates, utc_ns: int) -> None:
        if rates is not self._folded.rates and rates != self._folded.rates:
            self._part = fold(self._folded, RatesChange(utc_ns, rates))

    # Many at once

    def _fold_lines(self) -> None:
        """Fold what was held back: at once where it is plain, else line by line."""
        held, self._lines = self._lines, []
        slots = [line for _, line in held if line.startswith(_SLOT)]
        columns = slot_columns(slots, self._reading.order) if slots and self._part is not None else None
        if columns is None or columns.first <= self._reading.sequence.latest or self._is_shared(columns):
            for number, line in held:
                self._fold_line(number, line)
            return
        under, saves = self._between(columns, held)
        start = 0
        if saves:  # only the last one shows, with what the part had cost by then
            start, mark = saves[-1]
            self._fold_columns(columns, under, 0, start)
            self._fold(mark)
            self._part = replace(self._folded, checkpoints=self._folded.checkpoints + len(saves) - 1)
        self._fold_columns(columns, under, start, len(slots))

    def _between(
        self, columns: SlotColumns, held: list[tuple[int, bytes]]
    ) -> tuple[list[Rates | None], list[tuple[int, Mark]]]:
        """Fold what stands between slots: under which rates each slot is, and after how many was a checkpoint."""
        under: list[Rates | None] = []
        saves: list[tuple[int, Mark]] = []
        place = 0
        for number, line in [*held, (0, b"")]:
            if line.startswith(_SLOT):
                place += 1
                continue
            if place > len(under):
                self._reading.sequence.takes_slots(columns.first + len(under), columns.rates[len(under) : place])
                under += self._rates_of(columns, len(under), place)
            record = self._reading.record(number, line) if line else None
            if isinstance(record, Mark) and record.kind == "checkpoint":
                saves.append((place, record))
            elif record is not None:
                self._fold(record)
        return under, saves

    def _rates_of(self, columns: SlotColumns, start: int, stop: int) -> list[Rates | None]:
        """What slots are priced under: the rates before them, or others by their minute."""
        if self._quoted is None:
            return [self._folded.rates] * (stop - start)
        lasting = self._quoted if isinstance(self._quoted, LastingPrices) else None
        under: list[Rates | None] = []
        since_ns = until_ns = 0
        for utc_ns in columns.starts_utc_ns[start:stop]:
            if not since_ns <= utc_ns < until_ns:
                self._set_rates(self._quoted_at(self._quoted, utc_ns), utc_ns)
                since_ns, until_ns = utc_ns, 0 if lasting is None else lasting.until(utc_ns)
            under.append(self._folded.rates)
        return under

    def _is_shared(self, columns: SlotColumns) -> bool:
        """Whether slots may lie in a window of another meter."""
        first_ns, last_ns = min(columns.starts_utc_ns), max(columns.starts_utc_ns)
        windows = (window for windows in self._elsewhere.values() for window in windows)
        return any(start_ns <= last_ns and first_ns < end_ns for start_ns, end_ns in windows)

    def _fold_columns(self, columns: SlotColumns, under: list[Rates | None], start: int, stop: int) -> None:
        """Fold the slots from `start` to before `stop`, stretch by stretch of the same rates and phase."""
        phases = columns.phases
        for place in range(start + 1, stop + 1):
            if place == stop or under[place] is not under[start] or phases[place] != phases[start]:
                self._part = _with_columns(self._folded, columns, under[start], start, place)
                start = place


def _with_columns(part: Part, columns: SlotColumns, rates: Rates | None, start: int, stop: int) -> Part:
    """A part with slots more that have the same rates and the same phase."""
    devices = None if rates is None else _device_totals(columns, rates, start, stop)
    if devices is None:
        for place in range(start, stop):
            part = replace(fold(replace(part, rates=rates), columns.entry(place)), rates=part.rates)
        return part
    added = Totals(devices)
    phase, is_redone = columns.phases[start]
    if phase:
        part = replace(part, phases={**part.phases, phase: part.phases.get(phase, DeviceTotals()) + added.whole})
    return replace(
        part,
        slots=part.slots + stop - start,
        totals=part.totals + added,
        redone=part.redone + added.whole if is_redone else part.redone,
        progress=columns.progress(start, stop) or part.progress,
        ended_utc_ns=columns.end_utc_ns(stop - 1),
        counters_microjoules=columns.counters(stop - 1),
        standings=columns.standings(stop - 1),
    )


def _device_totals(columns: SlotColumns, rates: Rates, start: int, stop: int) -> dict[str, DeviceTotals] | None:
    """What each device comes to; None where one has no price, or one that must be charged slot by slot."""
    found: dict[str, DeviceTotals] = {}
    for place, uuid in enumerate(columns.order):
        device = rates.devices.get(uuid)
        if device is None:
            return None
        priced = device_totals(columns.of_device(place, start, stop), stop - start, device, rates)
        if priced is None:
            return None
        found[uuid] = priced
    return found
