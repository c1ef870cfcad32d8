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
from costmeter.meter.idleuse import IdleTally, IdleUses
from costmeter.meter.tally import Tally, charged
from costmeter.meter.totals import DeviceTotals, Totals

#: So many slots are held at once, and fewer than these are no gain.
_SLOTS_AT_ONCE, _FEW = 512, 4
_SLOT, _HELD = b'{"type":"slot"', b'"held":'


@dataclass(frozen=True, slots=True)
class Share:
    """What one holder's devices came to, and their idle time by reason; of a device with none of it nothing."""

    totals: Totals
    idle: Mapping[str, IdleUses]


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
        shares = self.shares(rates, with_reasons=False)
        return None if shares is None else {holder: share.totals for holder, share in shares.items()}

    def shares(self, rates: Rates, with_reasons: bool = True) -> dict[Holder | None, Share] | None:
        """The same with idle time by reason, as far as that is known; nothing of it where nobody asks for it."""
        order, columns = self.columns.order, self.columns
        blocks, apart = columns.blocks(0, len(columns)), columns.apart(0, len(columns)) if with_reasons else []
        whole, alone = columns.charged(blocks, rates), columns.charged(apart, rates)
        if whole is None or alone is None:
            return None
        tally, idle = Tally(len(order)), IdleTally()
        tally.add(whole)
        idle.add([*whole, *alone])
        idle_of = idle.by_device()
        found: dict[Holder | None, dict[str, _Held]] = {}
        for place, (uuid, each) in enumerate(zip(order, tally.totals(), strict=True)):
            holders = sorted(self.holders.get(uuid, ()))
            if len(holders) < 2:
                found.setdefault(holders[0] if holders else None, {})[uuid] = each, idle_of.get(place, {})
                continue
            own, own_apart = ([block.of_device(place) for block in of] for of in (blocks, apart))
            shares = _shared(own, own_apart, len(holders), rates.devices[uuid], rates)
            if shares is None:
                return None
            for holder, share in zip(holders, shares, strict=True):
                found.setdefault(holder, {})[uuid] = share
        return {holder: _share(holder, devices) for holder, devices in found.items()}


#: What one holder has of one device, and its idle time by reason.
_Held = tuple[DeviceTotals, IdleUses]


def _share(holder: Holder | None, devices: Mapping[str, _Held]) -> Share:
    """A holder's devices; nobody has a reason to leave one idle that nobody holds."""
    idle = {} if holder is None else {uuid: uses for uuid, (_, uses) in devices.items() if uses}
    return Share(Totals({uuid: whole for uuid, (whole, _) in devices.items()}), idle)


def _shared(
    blocks: Sequence[Block], apart: Sequence[Block], count: int, device: DeviceRates, rates: Rates
) -> list[_Held] | None:
    """What so many holders of one device have of it each, where every slot is divided; None where nobody can tell.

    `apart` is what there is of idle time by reason, which is in `blocks` too.
    """
    tallies, idle = [Tally(1) for _ in range(count)], [IdleTally() for _ in range(count)]
    for place, block in enumerate((*blocks, *apart)):
        for turn, share in enumerate(block.shares(count)):
            each = charged(share, [device], rates)
            if each is None:
                return None
            idle[turn].add([(share, each)])
            if place < len(blocks):
                tallies[turn].add([(share, each)])
    return [(tally.whole(), uses.by_device().get(0, {})) for tally, uses in zip(tallies, idle, strict=True)]


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
