"""One run's share of a node's file cut by GPU model and by day, to the digit as slot by slot."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path

from costmeter.ledger.cutting import Piece
from costmeter.ledger.node.bulk import Stretch, read_node
from costmeter.ledger.node.record import Line
from costmeter.ledger.query import priced_only
from costmeter.ledger.record import Devices, RatesChange, SlotEntry
from costmeter.meter.charge import Rates
from costmeter.meter.holder import Holder, RunKey
from costmeter.meter.holding import by_holder
from costmeter.meter.slot import Slot
from costmeter.meter.totals import DeviceTotals, Totals, totals


def node_cut(path: Path, run: RunKey, currency: str, day_of: Callable[[int], str] | None = None) -> Iterator[Piece]:
    """What a run came to in a file, in one currency, by model and, with `day_of`, by the day that each slot began on.

    Raises JournalError where nothing can be read.
    """
    found = read_node(path, [], lambda: _Cutting(run, day_of))
    return (piece for piece in found.pieces() if piece[2] == currency)


class _Cutting:
    """A file while it is cut."""

    def __init__(self, run: RunKey, day_of: Callable[[int], str] | None) -> None:
        self._run, self._day_of = run, day_of or (lambda _: "")
        self._models: dict[str, str] = {}
        self._rates: Rates | None = None
        self._found: dict[tuple[str, str, str, bool], tuple[DeviceTotals, Decimal]] = {}

    def take(self, told: Line | Stretch) -> None:
        """What comes next in it."""
        if isinstance(told, Devices):
            self._models |= {device.uuid: device.name for device in told.devices}
        elif isinstance(told, RatesChange):
            self._rates = told.rates
        elif isinstance(told, SlotEntry):
            self._take_slot(told.slot)
        elif isinstance(told, Stretch) and any(map(self._is_ours, told.held_by)):
            self._take_stretch(told)

    def pieces(self) -> Iterator[Piece]:
        """What it came to, once all was taken."""
        return ((*key[:3], whole, redone) for key, (whole, redone) in self._found.items())

    def _take_slot(self, whole: Slot) -> None:
        if self._rates is None:
            return
        slot = priced_only(whole, self._rates)[0]
        ours = {holder: own for holder, own in by_holder(slot).items() if self._is_ours(holder)}
        shares = {holder: totals(own, self._rates) for holder, own in ours.items()}
        self._book(shares, self._day_of(slot.start_utc_ns), self._rates)

    def _take_stretch(self, stretch: Stretch) -> None:
        starts = stretch.columns.starts_utc_ns
        day = self._day_of(min(starts))
        is_one_day = day == self._day_of(max(starts))  # no day comes again within so few minutes
        shares = stretch.priced(self._rates) if is_one_day and self._rates is not None else None
        if shares is None or self._rates is None:
            for entry in stretch.entries():
                self._take_slot(entry.slot)
            return
        self._book({holder: own for holder, own in shares.items() if self._is_ours(holder)}, day, self._rates)

    def _is_ours(self, holder: Holder | None) -> bool:
        return holder is not None and bool(holder.run) and holder.key == self._run

    def _book(self, shares: Mapping[Holder | None, Totals], day: str, rates: Rates) -> None:
        for holder, own in shares.items():
            for uuid, each in own.devices.items():
                key = self._models.get(uuid, ""), day, rates.currency, rates.devices[uuid].is_owned
                whole, redone = self._found.get(key, (DeviceTotals(), Decimal(0)))
                is_redone = holder is not None and holder.redone
                self._found[key] = whole + each, redone + each.cost if is_redone else redone
