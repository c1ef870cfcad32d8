"""Blocks of slots added up in integers, and made into totals when somebody asks."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from operator import add

from costmeter.meter.activity import State
from costmeter.meter.bulk import Block, Booking, Charged
from costmeter.meter.charge import QUANTUM_DIGITS, Component, DeviceRates, Rates
from costmeter.meter.slot import Quantities
from costmeter.meter.totals import DeviceTotals

_Key = tuple[Component, State]


class Tally:
    """What so many devices did and cost. Its components are in the order in which they first appeared."""

    def __init__(self, devices: int) -> None:
        self._quantities: dict[str, list[int]] = {}
        self._amounts: tuple[list[dict[_Key, int]], ...] = ([{} for _ in range(devices)], [{} for _ in range(devices)])
        self._others = [[0] * devices for _ in range(4)]

    def add(self, charged: Iterable[tuple[Block, Charged]]) -> None:
        """Some slots more: blocks that may have their slots between each other's."""
        fresh: list[tuple[int, tuple[int, int], int, bool, _Key, int]] = []
        for block, each in charged:
            for name, sums in block.sums().items():
                before = self._quantities.get(name)
                self._quantities[name] = sums if before is None else list(map(add, before, sums))
            others = (
                each.overhead_microjoules,
                each.operational_micrograms,
                each.embodied_micrograms,
                each.market_micrograms,
            )
            self._others = [list(map(add, *both)) for both in zip(self._others, others, strict=True)]
            for booking in each.bookings:
                fresh += self._fresh(block.places, booking)
        for _, _, device, is_credit, key, units in sorted(fresh):
            amounts = self._amounts[is_credit][device]
            amounts[key] = amounts.get(key, 0) + units

    def copy(self) -> "Tally":
        """The same so far, to which nothing is added any more when something is to this one."""
        same = Tally(len(self._others[0]))
        same._quantities = dict(self._quantities)
        same._amounts = tuple([dict(amounts) for amounts in side] for side in self._amounts)
        same._others = self._others
        return same

    def totals(self) -> list[DeviceTotals]:
        """By device what it comes to."""
        return [self._of_device(device) for device in range(len(self._others[0]))]

    def whole(self) -> DeviceTotals:
        """All devices together."""
        return sum(self.totals(), DeviceTotals())

    def _of_device(self, device: int) -> DeviceTotals:
        charges, credits = (
            {key: Decimal(units).scaleb(-QUANTUM_DIGITS) for key, units in side[device].items()}
            for side in self._amounts
        )
        overhead_uj, operational_ug, embodied_ug, market_ug = (values[device] for values in self._others)
        quantities = Quantities(**{name: values[device] for name, values in self._quantities.items()})
        return DeviceTotals(quantities, charges, credits, overhead_uj, operational_ug, embodied_ug, market_ug)

    def _fresh(
        self, places: Sequence[int], booking: Booking
    ) -> Iterable[tuple[int, tuple[int, int], int, bool, _Key, int]]:
        """Book what is of a known key; the rest is told, with where it first appears."""
        of, key = self._amounts[booking.is_credit], booking.key
        for device, (units, first) in enumerate(zip(booking.units, booking.first, strict=True)):
            if first is None:
                continue
            if key in of[device]:
                of[device][key] += units
            else:
                yield places[first], booking.turn, device, booking.is_credit, key, units


def charged(block: Block, devices: Sequence[DeviceRates], rates: Rates) -> Charged | None:
    """What a block comes to, each device under its own rates; None where only `charge` can tell."""
    if devices.count(devices[0]) == len(devices):
        return block.charged(devices[0], rates)
    alone = [block.of_device(place).charged(device, rates) for place, device in enumerate(devices)]
    found = [each for each in alone if each is not None]
    return _side_by_side(found) if len(found) == len(devices) else None


def _side_by_side(alone: Sequence[Charged]) -> Charged:
    """Several devices, each charged alone, as one."""
    bookings: dict[tuple[_Key, tuple[int, int], bool], tuple[list[int], list[int | None]]] = {}
    for place, each in enumerate(alone):
        for booking in each.bookings:
            key = (booking.key, booking.turn, booking.is_credit)
            units, first = bookings.setdefault(key, ([0] * len(alone), [None] * len(alone)))
            units[place], first[place] = booking.units[0], booking.first[0]
    return Charged(
        tuple(Booking(*key, units, first) for key, (units, first) in bookings.items()),
        [each.overhead_microjoules[0] for each in alone],
        [each.operational_micrograms[0] for each in alone],
        [each.embodied_micrograms[0] for each in alone],
        [each.market_micrograms[0] for each in alone],
    )
