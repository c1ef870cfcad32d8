"""Idle time by reason, added up: of one slot, and of many at once. It sums exactly: no amount is ever divided."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from costmeter.meter.bulk import Block, Charged
from costmeter.meter.charge import QUANTUM_DIGITS
from costmeter.meter.idling import UNEXPLAINED, IdleUse, Reason
from costmeter.meter.slot import Slot
from costmeter.meter.totals import DeviceTotals, Totals, by_state

#: What idle time came to, by reason; none of it is nothing.
IdleUses = Mapping[Reason, IdleUse]

_NOTHING = IdleUse()


def idle_uses(slot: Slot, priced: Totals) -> dict[str, IdleUses]:
    """By device what its idle time in a slot came to under its reason; `priced` is that slot's totals."""
    found: dict[str, IdleUses] = {}
    for uuid, reason in slot.reasons.items():
        whole = priced.devices.get(uuid)
        if whole is None:
            continue
        use = idle_use(whole)
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


def idle_use(whole: DeviceTotals) -> IdleUse:
    """What all idle time in some totals came to, whatever its reasons."""
    charges, credits = (by_state(amounts)["idle"] for amounts in (whole.charges, whole.credits))
    return IdleUse(whole.quantities.idle_nanoseconds, charges, credits)


def with_unexplained(uses: IdleUses, whole: DeviceTotals) -> IdleUses:
    """These, and what is left of the idle time of a whole as `unexplained`: together all of it, exactly."""
    every, known = idle_use(whole), sum(uses.values(), _NOTHING)
    charges, credits = every.charges - known.charges, every.credits - known.credits
    return added(uses, ({UNEXPLAINED: IdleUse(every.nanoseconds - known.nanoseconds, charges, credits)},))


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
            use = IdleUse(nanoseconds, *(Decimal(each).scaleb(-QUANTUM_DIGITS) for each in units))
            if use != _NOTHING:
                found.setdefault(place, {})[reason] = use
        return found
