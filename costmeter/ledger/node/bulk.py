"""A node's journal read fast: slots in a row with the same holders, charged at once, to the digit as one by one.

Only what is plain is taken so; every stretch with damage in it, and every slot that names other holders than those
before it, is read one by one. So what is said of damage is said in one place.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from costmeter.ledger.bulk import no_collecting, one_by_one
from costmeter.ledger.columns import SlotColumns, slot_columns
from costmeter.ledger.line import CHECK_LENGTH
from costmeter.ledger.lines import line_blocks
from costmeter.ledger.node.record import Holders, Line
from costmeter.ledger.reading import Scan
from costmeter.ledger.record import SlotEntry
from costmeter.meter.bulk import Block
from costmeter.meter.charge import DeviceRates, Rates
from costmeter.meter.holder import Holder
from costmeter.meter.tally import Tally, charged
from costmeter.meter.totals import DeviceTotals, Totals

#: So many slots are held at once, and fewer than these are no gain.
_SLOTS_AT_ONCE, _FEW = 512, 4
_SLOT, _HELD = b'{"type":"slot"', b'"held":'


@dataclass(frozen=True, slots=True)
class Stretch:
    """Slots in a row, of the same devices and the same holders, with no line between them."""

    columns: SlotColumns
    holders: Mapping[str, tuple[Holder, ...]]

    @property
    def held_by(self) -> frozenset[Holder]:
        """Everybody who holds any of the devices."""
        return frozenset(holder for holders in self.holders.values() for holder in holders)

    def entries(self) -> Iterator[SlotEntry]:
        """The slots one by one."""
        for place in range(len(self.columns)):
            entry = self.columns.entry(place)
            yield replace(entry, slot=replace(entry.slot, holders=self.holders))

    def priced(self, rates: Rates) -> dict[Holder | None, Totals] | None:
        """What every holder's share comes to, under None what nobody held; None where it has to be asked one by one."""
        order, blocks = self.columns.order, self.columns.blocks(0, len(self.columns))
        whole = self.columns.charged(blocks, rates)
        if whole is None:
            return None
        tally = Tally(len(order))
        tally.add(whole)
        found: dict[Holder | None, dict[str, DeviceTotals]] = {}
        for place, (uuid, alone) in enumerate(zip(order, tally.totals(), strict=True)):
            holders = sorted(self.holders.get(uuid, ()))
            if len(holders) < 2:
                found.setdefault(holders[0] if holders else None, {})[uuid] = alone
                continue
            shares = _shared([block.of_device(place) for block in blocks], len(holders), rates.devices[uuid], rates)
            if shares is None:
                return None
            for holder, share in zip(holders, shares, strict=True):
                found.setdefault(holder, {})[uuid] = share
        return {holder: Totals(devices) for holder, devices in found.items()}


def _shared(blocks: Sequence[Block], count: int, device: DeviceRates, rates: Rates) -> list[DeviceTotals] | None:
    """What so many holders of one device have of it each, where every slot is divided; None where nobody can tell."""
    tallies = [Tally(1) for _ in range(count)]
    for block in blocks:
        for tally, share in zip(tallies, block.shares(count), strict=True):
            each = charged(share, [device], rates)
            if each is None:
                return None
            tally.add([(share, each)])
    return [tally.whole() for tally in tallies]


class Taker(Protocol):
    """Whoever makes something of a node's journal."""

    def take(self, told: Line | Stretch) -> None:
        """What comes next in it."""
        ...


T = TypeVar("T", bound=Taker)


def read_node(path: Path, problems: list[str], begin: Callable[[], T]) -> T:
    """A journal taken by what `begin` makes, the open slot last; what is damaged goes to `problems`.

    Where lines are out of their order, another one takes them, in order. Raises JournalError as `all_records`.
    """
    with no_collecting():
        for is_ordered, read in ((False, line_blocks), (True, one_by_one)):
            found, torn, said = begin(), list[str](), list[str]()
            reading = _Reading(path, said, is_ordered)
            for first, block in read(path, torn):
                for told in reading.told(first, block):
                    found.take(told)
            for told in reading.held():
                found.take(told)
            if not reading.scan.is_out_of_order:
                break
        said += torn
        last = reading.scan.last()
        if last is not None:
            found.take(last)
    problems += said
    return found


class _Reading:
    """A journal while it is read. `_slots` are lines that were read and not told yet, each with its number."""

    def __init__(self, path: Path, problems: list[str], is_ordered: bool) -> None:
        self.scan = Scan(path, problems, is_ordered)
        self._slots: list[tuple[int, bytes]] = []
        self._holders: Holders | None = None

    def told(self, first: int, block: list[bytes]) -> Iterator[Line | Stretch]:
        """What some lines say, of which the first has this number, as far as slots are not held back."""
        for number, line in enumerate(block, first):
            if line.startswith(_SLOT):
                self._slots.append((number, line))
                if len(self._slots) == _SLOTS_AT_ONCE:
                    yield from self.held()
                continue
            yield from self.held()
            record = self.scan.any_record(number, line)
            if isinstance(record, Holders):
                self._holders = record
            if record is not None:
                yield record

    def held(self) -> Iterator[Line | Stretch]:
        """What was held back: at once where it is plain, else one by one."""
        slots, self._slots = self._slots, []
        stretch = self._stretch([line for _, line in slots]) if len(slots) >= _FEW else None
        if stretch is not None:
            self.scan.passes(stretch.columns.lines)
            self.scan.sequence.takes_slots(stretch.columns.first, stretch.columns.rates)
            yield stretch
            return
        for number, line in slots:
            record = self.scan.any_record(number, line)
            if record is not None:
                yield record

    def _stretch(self, lines: list[bytes]) -> Stretch | None:
        """Slots as columns; None where they are not plain, or not all had by those who hold the devices now."""
        if not self.scan.has_begun or not all(map(self._has_holders, lines)):
            return None
        columns = slot_columns(lines, self.scan.order)
        if columns is None or columns.first <= self.scan.sequence.latest:
            return None
        return Stretch(columns, {} if self._holders is None else self._holders.by_device)

    def _has_holders(self, line: bytes) -> bool:
        number = None if self._holders is None else self._holders.number
        if number is None:
            return self._holders is None and _HELD not in line
        return line[:-CHECK_LENGTH].endswith(b"%s%d" % (_HELD, number))
