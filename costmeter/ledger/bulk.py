"""Folding a journal fast: many slots at a time, to the same part as `fold` makes of them one by one.

What a report costs is mostly slots: 1,440 a day. They are read by a fast reader of JSON, taken as columns of integers
and charged at once, under as many prices as are asked for; everything else, and every stretch with damage in it, goes
the way of `records` and `fold`. A journal is never held as a whole.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.columns import SlotColumns, slot_columns
from costmeter.ledger.copies import copied
from costmeter.ledger.finding import paths_of
from costmeter.ledger.lines import line_blocks
from costmeter.ledger.order import lines_in_order
from costmeter.ledger.overlap import Sharing, Windows, metered_elsewhere
from costmeter.ledger.pricing import PricesFor, Pricing, Unpriceable
from costmeter.ledger.query import Part, Run
from costmeter.ledger.reading import Scan
from costmeter.ledger.record import Header, Mark, Record, SlotEntry
from costmeter.meter.slot import Slot

#: So many slots are held at once: 0.35 MB of lines, 3 MB of what they say. More go out of a processor's cache.
_SLOTS_AT_ONCE = 512
_SLOT, _RATES = b'{"type":"slot"', b'{"type":"rates"'
#: Lines that may stand between slots without ending a stretch of them: no array of a slot hangs on them.
_BETWEEN = tuple(b'{"type":"%s"' % kind for kind in (b"rates", b"mark", b"subtotal", b"usage", b"items", b"budgets"))

#: Why there is no part, or no run.
Refusal = JournalError | Unpriceable
#: What folds one journal under one set of prices after another.
FoldEach = Callable[[Path, Sequence[PricesFor | None]], Sequence[Part | Refusal]]


def fold_path(path: Path, prices: PricesFor | None = None, elsewhere: Windows | None = None) -> Part:
    """One journal folded into a part, under its own prices or under others.

    What lies in a window of `elsewhere` does not count, and it is said how much that was. Raises
    JournalError as `records` does, and where `prices` have none for a slot's date; Unpriceable as `prices` do.
    """
    (found,) = fold_each(path, (prices,), elsewhere)
    if isinstance(found, Part):
        return found
    raise found


def fold_each(path: Path, prices: Sequence[PricesFor | None], elsewhere: Windows | None = None) -> list[Part | Refusal]:
    """The same under one set of prices after another, in one go; where one has no answer, why. Raises as `records`."""
    with no_collecting():
        for is_ordered, read in ((False, line_blocks), (True, one_by_one)):
            torn: list[str] = []
            folding = _Folding(path, prices, elsewhere or {}, is_ordered)
            for first, block in read(path, torn):
                folding.take(first, block)
            folding.fold_lines()
            if not folding.scan.is_out_of_order:
                break
        return folding.finished(torn)


def one_by_one(path: Path, torn: list[str]) -> Iterator[tuple[int, list[bytes]]]:
    """The lines of a journal in their order, none of which need follow each other in the file."""
    return ((number, [line]) for number, line in lines_in_order(path, torn))


@contextmanager
def no_collecting() -> Iterator[None]:
    """Nothing that is read has cycles in it, and looking for some takes as long as reading."""
    is_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_on:
            gc.enable()


def load_run(state: Path, run_id: str, prices: PricesFor | None = None) -> Run:
    """A recorded run by its id, or by the path of a journal or a folder of them, under its own prices or under others.

    Where two meters of a host had one device at the same time, its time counts once. Raises JournalError when the run
    is not there, or nothing of it can be read; Unpriceable as `prices` do.
    """
    (found,) = load_each(state, run_id, (prices,))
    if isinstance(found, Run):
        return found
    raise found


def load_each(
    state: Path, run_id: str, prices: Sequence[PricesFor | None], folding: FoldEach = fold_each
) -> list[Run | Refusal]:
    """The same under one set of prices after another, in one go. Raises JournalError when the run is not there.

    `folding` folds one journal; of what two meters had at the same time all is folded here.
    """
    paths = paths_of(state, run_id)
    folded: list[Sequence[Part | Refusal]] = []
    for path in paths:
        try:
            folded.append(folding(path, prices))
        except JournalError as refusal:
            folded.append([refusal] * len(prices))
    return [_run(paths, [each[row] for each in folded], one) for row, one in enumerate(prices)]


def _run(paths: Sequence[Path], folded: Sequence[Part | Refusal], prices: PricesFor | None) -> Run | Refusal:
    """The parts of a run as one; what they have twice counts once."""
    refusals: list[JournalError] = []
    read: list[tuple[Path, Part]] = []
    for path, found in zip(paths, folded, strict=True):
        if isinstance(found, Unpriceable):
            return found
        if isinstance(found, Part):
            read.append((path, found))
        else:
            refusals.append(found)
    if not read:
        return refusals[0]
    copies = copied(read)
    read = [each for each in read if each[0] not in copies]
    parts = [part for _, part in read]
    for place, windows in enumerate(metered_elsewhere(parts)):
        if windows:
            parts[place] = fold_path(read[place][0], prices, windows)
    parts.sort(key=lambda part: part.header.anchor.utc(part.header.start_ns))
    not_counted = tuple(f"{refusal.message}; this part is not counted" for refusal in refusals)
    problems = *not_counted, *parts[0].problems
    remarks = *parts[0].remarks, *(f"{path} is a copy of {of.name}: not counted" for path, of in copies.items())
    return Run((replace(parts[0], problems=problems, remarks=remarks), *parts[1:]))


class _Folding:
    """A part while its journal is read, once for each of the prices.

    `_slots` and `_others` are lines that were read and not folded yet, each with its number; of the others it is known
    before which of the slots they stand.
    """

    def __init__(self, path: Path, prices: Sequence[PricesFor | None], elsewhere: Windows, is_ordered: bool) -> None:
        self._problems: list[str] = []
        self.scan = Scan(path, self._problems, is_ordered)
        self._path = path
        self._prices = prices
        self._sharing = Sharing(elsewhere)
        self._not_counted_ns = dict.fromkeys(elsewhere, 0)
        self._header: Header | None = None
        self._rows: list[Pricing | Refusal] = []
        self._slots: list[bytes] = []
        self._numbers: list[int] = []
        self._others: list[tuple[int, int, bytes]] = []

    def take(self, first: int, block: list[bytes]) -> None:
        """Some lines more, of which the first has this number."""
        start = 0
        for place in [place for place, line in enumerate(block) if not line.startswith(_SLOT)]:
            self._take_slots(first + start, block[start:place])
            self._take_other(first + place, block[place])
            start = place + 1
        self._take_slots(first + start, block[start:])

    def _take_slots(self, first: int, slots: list[bytes]) -> None:
        while slots:
            room = _SLOTS_AT_ONCE - len(self._slots)
            self._slots += slots[:room]
            self._numbers += range(first, first + len(slots[:room]))
            if len(self._slots) == _SLOTS_AT_ONCE:
                self.fold_lines()
            first, slots = first + room, slots[room:]

    def _take_other(self, number: int, line: bytes) -> None:
        if line.startswith(_BETWEEN) and len(self._others) < _SLOTS_AT_ONCE:
            self._others.append((len(self._slots), number, line))
        else:
            self.fold_lines()
            self._fold_line(number, line)

    def finished(self, torn: list[str]) -> list[Part | Refusal]:
        """The parts, once all lines were taken and folded; `torn` is what the reader of lines had to say."""
        self._problems += torn
        last = self.scan.last()
        if last is not None:
            self._fold(last)
        told = tuple(self._said_of_others())
        found: list[Part | Refusal] = []
        for row in self._rows:
            if isinstance(row, Pricing):
                part = row.part
                problems = (*self._problems, *part.problems)
                found.append(replace(part, problems=problems, remarks=told, last_ns=self._sharing.time.last_ns))
            else:
                found.append(row)
        return found

    def _said_of_others(self) -> Iterator[str]:
        assert self._header is not None  # or there was no last line to ask for
        for uuid, left_out_ns in self._not_counted_ns.items():
            if left_out_ns:
                seconds = f"{left_out_ns / 1e9:,.1f} s"
                where = f"part {self._header.part} of {self._header.host}"
                yield f"{where} also metered {uuid}: {seconds} not counted twice"

    def _each(self, act: Callable[[Pricing], None]) -> None:
        """Do something with every row that still has an answer."""
        for place, row in enumerate(self._rows):
            if isinstance(row, Pricing):
                try:
                    act(row)
                except Unpriceable as why:
                    self._rows[place] = why
                except JournalError as refusal:
                    self._rows[place] = JournalError(f"{self._path}: {refusal.message}", refusal.hint)

    # One by one

    def _fold_line(self, number: int, line: bytes) -> None:
        record = self.scan.record(number, line)
        if record is not None:
            self._fold(record)

    def _fold(self, record: Record) -> None:
        if isinstance(record, Header):
            if self._header is None:
                self._header = record
                self._sharing.time.begins(record.anchor)
                self._rows = [Pricing(record, prices) for prices in self._prices]
            return
        told = replace(record, slot=self._ours(record.slot)) if isinstance(record, SlotEntry) else record
        self._each(lambda row: row.fold(told))

    def _ours(self, slot: Slot) -> Slot:
        """A slot without what was metered elsewhere."""
        counted = self._sharing.ours(slot)
        if counted is not slot:
            for uuid in self._not_counted_ns.keys() & slot.devices.keys():
                left_ns = counted.devices[uuid].nanoseconds if uuid in counted.devices else 0
                self._not_counted_ns[uuid] += slot.devices[uuid].nanoseconds - left_ns
        return counted

    # Many at once

    def fold_lines(self) -> None:
        """Fold what was held back: at once where it is plain, else line by line."""
        slots, numbers, others = self._slots, self._numbers, self._others
        self._slots, self._numbers, self._others = [], [], []
        columns = slot_columns(slots, self.scan.order) if slots and self._header is not None else None
        if columns is None or columns.first <= self.scan.sequence.latest or self._is_shared(columns):
            held = [(place, False, number, line) for place, number, line in others]
            held += [(place, True, *told) for place, told in enumerate(zip(numbers, slots, strict=True))]
            for _, _, number, line in sorted(held, key=lambda each: each[:2]):  # as they came
                self._fold_line(number, line)
            return
        self._sharing.time.takes_all(columns.first, columns.starts_utc_ns, columns.lengths_ns)
        self.scan.passes(slots)
        self._each(Pricing.begin_columns)
        start, saves = 0, self._between(columns, others)
        if saves:  # only the last one shows, with what the part had cost by then
            start, mark = saves[-1]
            self._fold_columns(columns, 0, start)
            self._each(lambda row: row.save(mark, len(saves)))
        self._fold_columns(columns, start, len(slots))

    def _between(self, columns: SlotColumns, others: Sequence[tuple[int, int, bytes]]) -> list[tuple[int, Mark]]:
        """Fold what stands between slots, and see which rates they have; the checkpoints, and before which slot."""
        saves: list[tuple[int, Mark]] = []
        start = 0
        for place, number, line in others:
            if line.startswith(_RATES):  # nothing else tells how slots are priced
                self._see(columns, start, place)
                start = place
            record = self.scan.record(number, line)
            if isinstance(record, Mark) and record.kind == "checkpoint":
                saves.append((place, record))
            elif record is not None:
                self._put_between(place, record)
        self._see(columns, start, len(columns))
        return saves

    def _see(self, columns: SlotColumns, start: int, stop: int) -> None:
        if start < stop:
            self.scan.sequence.takes_slots(columns.first + start, columns.rates[start:stop])
            self._each(lambda row: row.see(columns.starts_utc_ns, start, stop))

    def _put_between(self, place: int, record: Record) -> None:
        self._each(lambda row: row.between(place, record))

    def _fold_columns(self, columns: SlotColumns, start: int, stop: int) -> None:
        """Fold the slots from `start` to before `stop`, stretch by stretch of the same rates and phase."""
        edges = {place for row in self._rows if isinstance(row, Pricing) for place in row.edges}
        edges.update(columns.turns)
        starts = [start, *sorted(place for place in edges if start < place < stop)]
        for first, last in zip(starts, [*starts[1:], stop], strict=True):
            if first < last:
                self._add(columns, first, last)

    def _add(self, columns: SlotColumns, start: int, stop: int) -> None:
        blocks, idle = columns.blocks(start, stop), columns.apart(start, stop)
        self._each(lambda row: row.add(columns, blocks, idle, start, stop))

    def _is_shared(self, columns: SlotColumns) -> bool:
        """Whether slots may lie in a window of another meter."""
        return self._sharing.may_share(columns.first, columns.starts_utc_ns, columns.lengths_ns)
