"""Idle time by reason, added up: of one slot, and of many at once. It sums exactly: no amount is ever divided."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from costmeter.meter.bulk import Block, Charged
from costmeter.meter.charge import Amounts
from costmeter.meter.idling import IdleUse, Reason
from costmeter.meter.slot import Slot
from costmeter.meter.totals import Totals

#: What idle time came to, by reason; none of it is nothing.
IdleUses = Mapping[Reason, IdleUse]

_NOTHING = IdleUse()
_DIGITS = 12


def idle_uses(slot: Slot, priced: Totals) -> dict[str, IdleUses]:
    """By device what its idle time in a slot came to under its reason; `priced` is that slot's totals."""
    found: dict[str, IdleUses] = {}
    for uuid, reason in slot.reasons.items():
        whole = priced.devices.get(uuid)
        if whole is None:
            continue
        use = IdleUse(whole.quantities.idle_nanoseconds, _idle(whole.charges), _idle(whole.credits))
        if use != _NOTHING:
            found[uuid] = {reason: use}
    return found


def added(uses: IdleUses, more: Iterable[IdleUses]) -> IdleUses:
    """What was there, and more, reason by reason."""
    found = dict(uses)
    for each in more:
        for reason, use in each.items():
            found[reason] = found[reason] + use if reason in found else use
    return found


def _idle(amounts: Amounts) -> Decimal:
    return sum((amount for (_, state), amount in amounts.items() if state == "idle"), Decimal(0))


class IdleTally:
    """Idle time of blocks of slots, in integers, by device and reason."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, Reason], tuple[int, int, int]] = {}

    def add(self, charged: Iterable[tuple[Block, Charged]]) -> None:
        """Some slots more. Those of a block that has no reasons are left out."""
        for block, each in charged:
            if not block.reasons:
                continue
            idle_ns = block.sums().get("idle_nanoseconds") or [0] * block.devices
            sides = [[0] * block.devices, [0] * block.devices]
            for booking in each.bookings:
                if booking.key[1] == "idle":
                    side = sides[booking.is_credit]
                    sides[booking.is_credit] = [sum(both) for both in zip(side, booking.units, strict=True)]
            for place, (reason, *more) in enumerate(zip(block.reasons, idle_ns, *sides, strict=True)):
                before = self._sums.get((place, reason), (0, 0, 0))
                nanoseconds, charges, credit = map(sum, zip(before, more, strict=True))
                self._sums[place, reason] = nanoseconds, charges, credit

    def by_device(self) -> dict[int, dict[Reason, IdleUse]]:
        """By the place of a device what it came to."""
        found: dict[int, dict[Reason, IdleUse]] = {}
        for (place, reason), (nanoseconds, *units) in self._sums.items():
            use = IdleUse(nanoseconds, *(Decimal(each).scaleb(-_DIGITS) for each in units))
            if use != _NOTHING:
                found.setdefault(place, {})[reason] = use
        return found
