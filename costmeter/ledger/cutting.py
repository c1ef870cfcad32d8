"""One journal cut by GPU model and by day: many slots at a time, to the digit as slot by slot.

What is plain is charged in stretches that end where a day does; every stretch with damage in it, or with GPUs in it
that another meter saw at the same time, goes slot by slot.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

from costmeter.ledger.columns import SlotColumns, slot_columns
from costmeter.ledger.lines import lines
from costmeter.ledger.order import lines_in_order
from costmeter.ledger.overlap import Sharing, Windows
from costmeter.ledger.query import priced_only
from costmeter.ledger.reading import Scan
from costmeter.ledger.record import Devices, Header, RatesChange, Record, SlotEntry
from costmeter.meter.charge import Rates
from costmeter.meter.slot import Slot
from costmeter.meter.tally import Tally
from costmeter.meter.totals import DeviceTotals, totals

#: A GPU model, a day, a currency, what was used and paid, and what of the money was for work done again. Owned and
#: rented GPUs of one model are in pieces of their own: nobody sends a bill for the former.
Piece = tuple[str, str, str, DeviceTotals, Decimal]

#: So many lines are held at once: a day is three of them, so that few stretches have an edge in them.
_LINES_AT_ONCE = 512
_SLOT = b'{"type":"slot"'


def cut(path: Path, day_of: Callable[[int], str] | None = None, elsewhere: Windows | None = None) -> Iterator[Piece]:
    """A journal by model and currency and, with `day_of`, by the day that each slot began on; together the whole of it.

    What lies in a window of `elsewhere` does not count. Raises JournalError where nothing can be read.
    """
    for is_ordered, read in ((False, lines), (True, lines_in_order)):
        cutting = _Cutting(path, day_of, elsewhere, is_ordered)
        for number, line in read(path, []):
            cutting.take(number, line)
        if not cutting.is_out_of_order:
            break
    return cutting.finished()


class _Cutting:
    """A journal while it is cut. `_lines` are slots that were read and not charged yet."""

    def __init__(
        self, path: Path, day_of: Callable[[int], str] | None, elsewhere: Windows | None, is_ordered: bool
    ) -> None:
        self._scan = Scan(path, [], is_ordered)
        self._day_of = day_of or (lambda _: "")
        self._sharing = Sharing(elsewhere)
        self._models: dict[str, str] = {}
        self._rates: Rates | None = None
        self._lines: list[tuple[int, bytes]] = []
        self._found: dict[tuple[str, str, str, bool], DeviceTotals] = {}
        self._redone: dict[tuple[str, str, str, bool], Decimal] = {}

    @property
    def is_out_of_order(self) -> bool:
        """Whether the journal is to be read again, in order."""
        self._charge_lines()
        return self._scan.is_out_of_order

    def take(self, number: int, line: bytes) -> None:
        """One line more."""
        if not line.startswith(_SLOT):
            self._charge_lines()
            self._take_record(self._scan.record(number, line))
            return
        self._lines.append((number, line))
        if len(self._lines) == _LINES_AT_ONCE:
            self._charge_lines()

    def finished(self) -> Iterator[Piece]:
        """What it came to, once all lines were taken."""
        self._charge_lines()
        self._take_record(self._scan.last())
        return ((*key[:3], whole, self._redone.get(key, Decimal(0))) for key, whole in self._found.items())

    # Slot by slot

    def _take_record(self, record: Record | None) -> None:
        if isinstance(record, Devices):
            self._models |= {device.uuid: device.name for device in record.devices}
        elif isinstance(record, RatesChange):
            self._rates = record.rates
        elif isinstance(record, Header):
            self._sharing.time.begins(record.anchor)
        elif isinstance(record, SlotEntry):
            self._charge_slot(self._sharing.ours(record.slot))

    def _charge_slot(self, slot: Slot) -> None:
        """Charge one slot, as far as it has prices."""
        if self._rates is None:
            return
        slot = priced_only(slot, self._rates)[0]
        day = self._day_of(slot.start_utc_ns)
        for uuid, booked in totals(slot, self._rates).devices.items():
            self._book(uuid, day, booked, slot.redone)

    def _book(self, uuid: str, day: str, booked: DeviceTotals, is_redone: bool) -> None:
        assert self._rates is not None
        key = self._models[uuid], day, self._rates.currency, self._rates.devices[uuid].is_owned
        self._found[key] = self._found[key] + booked if key in self._found else booked
        if is_redone:
            self._redone[key] = self._redone.get(key, Decimal(0)) + booked.cost

    # Many at once

    def _charge_lines(self) -> None:
        """Charge what was held back: at once where it is plain, else slot by slot."""
        held, self._lines = self._lines, []
        columns = slot_columns([line for _, line in held], self._scan.order) if held else None
        if columns is None or columns.first <= self._scan.sequence.latest or self._is_shared(columns):
            for number, line in held:
                self._take_record(self._scan.record(number, line))
            return
        self._scan.sequence.takes_slots(columns.first, columns.rates)
        self._sharing.time.takes_all(columns.first, columns.starts_utc_ns, columns.lengths_ns)
        days, start = self._days(columns), 0
        for place in range(1, len(held) + 1):
            if place == len(held) or days[place] != days[start] or columns.phases[place] != columns.phases[start]:
                self._charge(columns, days[start], start, place)
                start = place

    def _days(self, columns: SlotColumns) -> list[str]:
        """The day of each slot."""
        starts = columns.starts_utc_ns
        first, last = min(starts), max(starts)
        day = self._day_of(first)
        if day == self._day_of(last):  # no day comes again within so few minutes
            return [day] * len(starts)
        return list(map(self._day_of, starts))

    def _charge(self, columns: SlotColumns, day: str, start: int, stop: int) -> None:
        """Charge slots of one day and phase, under the rates in force."""
        if self._rates is None:
            return
        is_redone = columns.phases[start][1]
        charged = columns.charged(columns.blocks(start, stop), self._rates)
        if charged is None:
            for place in range(start, stop):
                self._charge_slot(columns.entry(place).slot)
            return
        tally = Tally(len(columns.order))
        tally.add(charged)
        for uuid, each in zip(columns.order, tally.totals(), strict=True):
            self._book(uuid, day, each, is_redone)

    def _is_shared(self, columns: SlotColumns) -> bool:
        """Whether slots may lie in a window of another meter."""
        return self._sharing.may_share(columns.first, columns.starts_utc_ns, columns.lengths_ns)
