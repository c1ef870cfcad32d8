"""Many slots charged at once, to the digit as `charge` charges them one by one.

`charge` divides Decimals of 28 digits and rounds the quotient half to even. Here the same quotients are fractions of
integers, rounded once, for all slots and GPUs in one go (`lanes`). Both agree wherever 28 digits keep a quotient on its
own side of the halfway point: for money that is `digits of price × quantity <= 10^26` (a quotient in units of 1e-12 is
`5 × price × quantity / 18`, so one that is not a tie is at least 1/36 of a price's last digit away from it, and the
error of 28 digits is 5e-28 of it), for grams `<= 10^22` (so that the product times a million is still exact). Beyond
that, as where a purchase was divided by the hours of its life, they agree unless a quotient comes near to a tie; where
one does, the Decimals of `charge` are made, once for each quantity there is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from itertools import compress

from costmeter.meter.activity import State
from costmeter.meter.charge import QUANTUM, QUANTUM_DIGITS, Component, DeviceRates, Rates
from costmeter.meter.idling import Reason
from costmeter.meter.lanes import Lanes, added, lanes, nearly_rounded, rounded
from costmeter.meter.share import shared_columns
from costmeter.units import MICROGRAMS_PER_GRAM, MICROJOULES_PER_KWH, NANOSECONDS_PER_HOUR

_MONEY_BOUND = 10**26
_GRAMS_BOUND = 10**22
_OVERHEAD_BOUND = 10**28
#: A decimal with its point further out has no business in a price.
_FARTHEST = 40
_NOTHING = Decimal(0)
#: An hour in nanoseconds, and a kWh in microjoules, are the same number.
_PER_HOUR_OR_KWH = Decimal(NANOSECONDS_PER_HOUR)
_PER_GRAM = Decimal(MICROGRAMS_PER_GRAM)
_GRAMS_BELOW = MICROJOULES_PER_KWH // MICROGRAMS_PER_GRAM
_STATES: tuple[State, ...] = ("busy", "idle", "unknown")


@dataclass(frozen=True, slots=True)
class Booking:
    """What a component in a state comes to, by device in units of a QUANTUM, and whether it was paid back.

    `first` is by device the slot where it first appears, None where it does not; `turn` its place in that slot.
    """

    key: tuple[Component, State]
    turn: tuple[int, int]
    is_credit: bool
    units: Sequence[int]
    first: Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Charged:
    """What a block comes to under some rates, by device."""

    bookings: tuple[Booking, ...]
    overhead_microjoules: Sequence[int]
    operational_micrograms: Sequence[int]
    embodied_micrograms: Sequence[int]
    market_micrograms: Sequence[int]


class Block:
    """Slots of so many devices as columns. Charged under one price after another, it keeps what it worked out.

    `columns` has by field of Quantities its values, slot by slot: of every device, or one that is of all of them. A
    field that is nothing throughout is not there. `places` are where its slots stand among others. `reasons` has by
    device why it was idle in all of them; it is empty where that is not one thing, or nobody knows.
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[int]],
        places: Sequence[int],
        devices: int,
        reasons: Sequence[Reason] = (),
    ) -> None:
        self.places, self.devices, self.reasons = places, devices, reasons
        self._columns = columns
        self._none = [0] * devices
        self._states: dict[State, tuple[Lanes | None, Lanes | None]] | None = None
        self._first: dict[State, list[int | None]] = {}
        self._sums: dict[str, list[int]] = {}
        self._drawn: dict[tuple[State, Decimal], Lanes] = {}
        self._known: dict[tuple[object, ...], list[int]] = {}

    def sums(self) -> dict[str, list[int]]:
        """Every field by device."""
        if not self._sums:
            by_list = {id(values): values for values in self._columns.values()}
            summed = {key: self._summed(values) for key, values in by_list.items()}
            self._sums = {name: summed[id(values)] for name, values in self._columns.items()}
        return self._sums

    def charged(self, device: DeviceRates, rates: Rates) -> Charged | None:
        """What each device comes to where all have the same rates; None where only `charge` can tell."""
        if not _is_plain(device, rates):
            return None
        try:
            return self._charged(device, rates)
        except (OverflowError, TypeError):  # what is below nothing, or wider than any meter counts
            return None

    def of_device(self, device: int) -> "Block":
        """The same slots of one device."""
        columns = {
            name: values if self._is_alike(values) else values[device :: self.devices]
            for name, values in self._columns.items()
        }
        return Block(columns, self.places, 1, self.reasons[device : device + 1])

    def shares(self, count: int) -> "list[Block]":
        """The slots of one device as so many equal shares, each a block; every slot is divided as by `share.shares`."""
        return [Block(columns, self.places, 1, self.reasons) for columns in shared_columns(self._columns, count)]

    def as_one_device(self) -> "Block":
        """The same as so many times the slots of one device: what all come to together, where they cost the same."""
        wide = {id(values): self._wide_rows(values) for values in self._columns.values()}
        places = [place for place in self.places for _ in range(self.devices)]
        return Block({name: wide[id(values)] for name, values in self._columns.items()}, places, 1)

    def _wide_rows(self, values: Sequence[int]) -> Sequence[int]:
        return [value for value in values for _ in range(self.devices)] if self._is_alike(values) else values

    def _is_alike(self, values: Sequence[int]) -> bool:
        return len(values) == len(self.places)

    def _summed(self, values: Sequence[int]) -> list[int]:
        if self._is_alike(values):
            return [sum(values)] * self.devices
        return [sum(values[device :: self.devices]) for device in range(self.devices)]

    # Quantities by state

    def _by_state(self) -> dict[State, tuple[Lanes | None, Lanes | None]]:
        """The nanoseconds of each state that there is, and its microjoules of GPU and host."""
        if self._states is None:
            found: dict[State, tuple[Lanes | None, Lanes | None]] = {}
            for state in _STATES:
                held_ns, gpu_uj, host_uj = (
                    self._lanes(f"{state}_{what}") for what in ("nanoseconds", "microjoules", "host_microjoules")
                )
                energy_uj = _plus(gpu_uj, host_uj)
                if held_ns is not None or energy_uj is not None:
                    found[state] = held_ns, energy_uj
            self._states = found  # only when all of it could be told
        return self._states

    def _lanes(self, name: str) -> Lanes | None:
        values = self._columns.get(name)
        return None if values is None else lanes(values, 1 if self._is_alike(values) else self.devices)

    def _appears(self, state: State) -> list[int | None]:
        """In which slot each device first has any time or energy in a state."""
        if state not in self._first:
            names = [f"{state}_{what}" for what in ("nanoseconds", "microjoules", "host_microjoules")]
            firsts = [self._first_of(self._columns[name]) for name in names if name in self._columns]
            self._first[state] = [_earliest(each) for each in zip(*firsts, strict=True)]
        return self._first[state]

    def _first_of(self, values: Sequence[int]) -> list[int | None]:
        if self._is_alike(values):
            return [_first(values)] * self.devices
        return [0 if values[device] else _first(values[device :: self.devices]) for device in range(self.devices)]

    def _with_overhead(self, state: State, energy_uj: Lanes, pue: Decimal) -> Lanes:
        """The energy of a state with what the site adds to it."""
        if (state, pue) not in self._drawn:
            self._drawn[state, pue] = _sum(energy_uj, _overhead(energy_uj, pue - 1)) if pue > 1 else energy_uj
        return self._drawn[state, pue]

    # What they come to

    def _charged(self, device: DeviceRates, rates: Rates) -> Charged:
        bookings: list[Booking] = []
        for place, (state, (held_ns, energy_uj)) in enumerate(self._by_state().items()):
            drawn_uj = None if energy_uj is None else self._with_overhead(state, energy_uj, rates.pue)
            for turn, (component, price) in enumerate(device.hourly):
                bookings += self._booked((component, state), (place, turn), price, held_ns, ("held", state, price))
            if device.pays_electricity:
                price, turn = rates.electricity_per_kwh, len(device.hourly)
                known = ("drawn", state, price, rates.pue)
                bookings += self._booked(("electricity", state), (place, turn), price, drawn_uj, known)
        market = rates.market_grams_per_kwh
        return Charged(
            tuple(bookings),
            self._overheads(rates.pue),
            self._emitted(rates.carbon_grams_per_kwh, rates.pue),
            self._embodied(device.embodied_grams_per_hour),
            self._none if market is None else self._emitted(market, rates.pue),
        )

    def _booked(
        self,
        key: tuple[Component, State],
        turn: tuple[int, int],
        price: Decimal,
        of: Lanes | None,
        known: tuple[object, ...],
    ) -> list[Booking]:
        """Charges; or credits where the price is below nothing and there is a quantity."""
        if known not in self._known:
            self._known[known] = self._none if of is None or not price else self._wide(_money(of, abs(price)))
        units, appears = self._known[known], self._appears(key[1])
        if price >= 0:
            return [Booking(key, turn, False, units, appears)]
        paid_back = self._none_of(of, key[1])
        return [Booking(key, turn, False, self._none, paid_back[0]), Booking(key, turn, True, units, paid_back[1])]

    def _none_of(self, of: Lanes | None, state: State) -> tuple[list[int | None], list[int | None]]:
        """By device the first slot in which there is something of a state and none of a quantity; and any of it."""
        rows = [each.widened(self.devices).listed() for each in self._by_state()[state] if each is not None]
        there = [any(each) for each in zip(*rows, strict=True)]
        values = [0] * len(there) if of is None else of.widened(self.devices).listed()
        free = [int(not value and is_there) for value, is_there in zip(values, there, strict=True)]
        return self._first_of_each(free), self._first_of_each(values)

    def _first_of_each(self, values: list[int]) -> list[int | None]:
        return [_first(values[device :: self.devices]) for device in range(self.devices)]

    def _wide(self, sums: list[int]) -> list[int]:
        return sums if len(sums) == self.devices else sums * self.devices

    def _overheads(self, pue: Decimal) -> list[int]:
        if pue == 1:
            return self._none
        if ("overhead", pue) not in self._known:
            energies = [(state, energy) for state, (_, energy) in self._by_state().items() if energy is not None]
            drawn = [self._wide(self._with_overhead(state, energy, pue).sums()) for state, energy in energies]
            bare = [self._wide(energy.sums()) for _, energy in energies]
            each = zip(*drawn, *([-one for one in of] for of in bare), strict=True)
            self._known["overhead", pue] = [sum(parts) for parts in each] if energies else self._none
        return self._known["overhead", pue]

    def _emitted(self, grams: Decimal, pue: Decimal) -> list[int]:
        """Micrograms of all the energy that was drawn."""
        if not grams:
            return self._none
        if ("emitted", grams, pue) not in self._known:
            there = self._by_state().items()
            drawn = [self._with_overhead(state, energy, pue) for state, (_, energy) in there if energy is not None]
            self._known["emitted", grams, pue] = self._wide(_mass(reduce(_sum, drawn), grams)) if drawn else self._none
        return self._known["emitted", grams, pue]

    def _embodied(self, grams: Decimal) -> list[int]:
        """Micrograms of all the time."""
        if not grams:
            return self._none
        if ("embodied", grams) not in self._known:
            held = [held_ns for held_ns, _ in self._by_state().values() if held_ns is not None]
            self._known["embodied", grams] = self._wide(_mass(reduce(_sum, held), grams)) if held else self._none
        return self._known["embodied", grams]


def _first(values: Sequence[int]) -> int | None:
    """The place of the first that is not nothing."""
    return next(compress(range(len(values)), values), None)


def _earliest(places: Sequence[int | None]) -> int | None:
    return min((place for place in places if place is not None), default=None)


def _sum(left: Lanes, right: Lanes) -> Lanes:
    whole = added(left, right)
    if whole is None:
        raise OverflowError("wider than a lane")
    return whole


def _plus(left: Lanes | None, right: Lanes | None) -> Lanes | None:
    return left or right if left is None or right is None else _sum(left, right)


# What can be told


def _is_plain(device: DeviceRates, rates: Rates) -> bool:
    """Whether every price is a number, and none is taken off by cooling."""
    grams = (rates.carbon_grams_per_kwh, rates.market_grams_per_kwh or _NOTHING, device.embodied_grams_per_hour)
    figures = (rates.pue, rates.electricity_per_kwh, *grams, *(price for _, price in device.hourly))
    return all(figure.is_finite() for figure in figures) and rates.pue >= 1


# Money and grams


def _money(of: Lanes, price: Decimal) -> list[int]:
    """The sum by device of what each quantity costs, each rounded to a QUANTUM; `price` is not below nothing."""
    if of.common is not None:
        return [of.rows * _cost(of.common, price)] * of.across
    return _rounded(of, price, (5, 18), _MONEY_BOUND, lambda value: _cost(value, price)).sums()


def _cost(value: int, price: Decimal) -> int:
    """What `charge` makes of one quantity, in units of a QUANTUM."""
    return int((price * value / _PER_HOUR_OR_KWH).quantize(QUANTUM).scaleb(QUANTUM_DIGITS))


def _mass(of: Lanes, grams: Decimal) -> list[int]:
    """The sum by device of micrograms, each slot's rounded: of energy by grams per kWh, of time by grams per hour."""
    if of.common is not None:
        return [of.rows * _micrograms(of.common, grams)] * of.across
    return _rounded(of, grams, (1, _GRAMS_BELOW), _GRAMS_BOUND, lambda value: _micrograms(value, grams)).sums()


def _micrograms(value: int, grams: Decimal) -> int:
    """What `charge` makes of one quantity."""
    return round(value * grams * _PER_GRAM / _PER_HOUR_OR_KWH)


def _overhead(of: Lanes, share: Decimal) -> Lanes:
    """What the site adds to each energy."""
    return _rounded(of, share, (1, 1), _OVERHEAD_BOUND, lambda value: round(value * share))


def _rounded(of: Lanes, factor: Decimal, scale: tuple[int, int], exact_to: int, alone: Callable[[int], int]) -> Lanes:
    """Every quantity × factor × scale, as `alone` has it; by integers where they can tell."""
    found = None
    if _is_near(factor):
        above, below = (side * of_scale for side, of_scale in zip(factor.as_integer_ratio(), scale, strict=True))
        digits = max(len(factor.as_tuple().digits), factor.adjusted() + 1)
        is_exact = 10**digits * of.bound <= exact_to
        found = rounded(of, above, below) if is_exact else nearly_rounded(of, above, below, alone)
    return lanes(list(map(alone, of.listed())), of.across) if found is None else found


def _is_near(factor: Decimal) -> bool:
    """Whether a decimal is nothing or more, with its point no further out than in any price."""
    exponent = factor.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_FARTHEST and factor.adjusted() <= _FARTHEST and factor >= 0
