"""Many slots of one device charged at once, to the digit as `charge` charges them one by one.

`charge` divides Decimals of 28 digits and rounds the quotient half to even. Here the same quotients are fractions of
integers, rounded once. Both agree wherever 28 digits keep a quotient on its own side of the halfway point: for money
that is `digits of price × quantity <= 10^26` (a quotient in units of 1e-12 is `5 × price × quantity / 18`, so one that
is not a tie is at least 1/36 of a price's last digit away from it, and the error of 28 digits is 5e-28 of it), for
grams `<= 10^22` (so that the product times a million is still exact). Beyond that, as where a purchase was divided by
the hours of its life, the Decimals of `charge` are made, once for each quantity there is.
"""

import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import reduce
from itertools import compress, repeat

from costmeter.meter.activity import State
from costmeter.meter.charge import QUANTUM, Component, DeviceRates, Rates
from costmeter.meter.slot import Quantities
from costmeter.meter.totals import DeviceTotals
from costmeter.units import MICROGRAMS_PER_GRAM, MICROJOULES_PER_KWH, NANOSECONDS_PER_HOUR

#: A field of Quantities to its values, slot by slot; one that is nothing throughout is not there.
Columns = Mapping[str, list[int]]

_MONEY_BOUND = 10**26
_GRAMS_BOUND = 10**22
_OVERHEAD_BOUND = 10**28
#: A decimal with its point further out has no business in a price.
_FARTHEST = 40
_NOTHING = Decimal(0)
_LONG_DECIMALS = 16
_LARGEST_LONG_PRICE = Decimal(10**4)
_LONGEST = 10**15
#: An hour in nanoseconds, and a kWh in microjoules, are the same number.
_PER_HOUR_OR_KWH = Decimal(NANOSECONDS_PER_HOUR)
_PER_GRAM = Decimal(MICROGRAMS_PER_GRAM)
_STATES: tuple[State, ...] = ("busy", "idle", "unknown")

#: Where an amount first appears (slot, state, component), which side it is on, what of, and how many units it is.
_Booking = tuple[tuple[int, int, int], bool, tuple[Component, State], int]


def device_totals(columns: Columns, count: int, device: DeviceRates, rates: Rates) -> DeviceTotals | None:
    """What one device did and cost in `count` slots under the same rates; None where only `charge` can tell.

    Equal to the sum of `totals(slot, rates)` over the slots, key by key and in the same order of keys.
    """
    if not _can_tell(columns, device, rates):
        return None
    nothing = [0] * count
    share = rates.pue - 1
    bookings: list[_Booking] = []
    facility_uj: list[int] = nothing
    overhead_uj = 0
    for place, state in enumerate(_STATES):
        held_ns, energy_uj = _time_and_energy(columns, state)
        if held_ns is None and energy_uj is None:
            continue
        held_ns, energy_uj = held_ns or nothing, energy_uj or nothing
        drawn_uj = energy_uj
        if share and energy_uj is not nothing:
            drawn_uj = _with_overhead(energy_uj, share)
            overhead_uj += sum(drawn_uj) - sum(energy_uj)
        hourly = [(component, price, held_ns) for component, price in device.hourly]
        if device.pays_electricity:
            hourly.append(("electricity", rates.electricity_per_kwh, drawn_uj))
        for turn, (component, price, values) in enumerate(hourly):
            bookings += _booked((place, turn), (component, state), price, values, (held_ns, energy_uj))
        facility_uj = _added(facility_uj, drawn_uj)
    bookings.sort(key=lambda booking: booking[0])
    market = rates.market_grams_per_kwh
    return DeviceTotals(
        Quantities(**{name: sum(values) for name, values in columns.items()}),
        {key: _amount(units) for _, is_credit, key, units in bookings if not is_credit},
        {key: _amount(units) for _, is_credit, key, units in bookings if is_credit},
        overhead_uj,
        _micrograms(facility_uj, rates.carbon_grams_per_kwh),
        _micrograms(_lengths(columns, nothing), device.embodied_grams_per_hour),
        0 if market is None else _micrograms(facility_uj, market),
    )


def _time_and_energy(columns: Columns, state: State) -> tuple[list[int] | None, list[int] | None]:
    """The nanoseconds of a state, and the microjoules of GPU and host; None where there are none at all."""
    gpu_uj, host_uj = columns.get(f"{state}_microjoules"), columns.get(f"{state}_host_microjoules")
    energy_uj = _added(gpu_uj, host_uj) if gpu_uj and host_uj else gpu_uj or host_uj
    return columns.get(f"{state}_nanoseconds"), energy_uj


def _lengths(columns: Columns, nothing: list[int]) -> list[int]:
    whole = [columns[name] for state in _STATES if (name := f"{state}_nanoseconds") in columns]
    if not whole:
        return nothing
    return reduce(_added, whole)


def _added(left: list[int], right: list[int]) -> list[int]:
    """Sums, place by place; where one is mostly nothing, as idle energy is, only what there is of it is added."""
    most, few = (left, right) if right.count(0) >= left.count(0) else (right, left)
    zeros = few.count(0)
    if zeros == len(few):
        return most
    if zeros * 2 < len(few):
        return list(map(operator.add, most, few))
    whole = most.copy()
    for place in compress(range(len(few)), few):
        whole[place] += few[place]
    return whole


# What can be told


def _can_tell(columns: Columns, device: DeviceRates, rates: Rates) -> bool:
    """Whether amounts have the signs of their prices, and every price is a number."""
    grams = (rates.carbon_grams_per_kwh, rates.market_grams_per_kwh or _NOTHING, device.embodied_grams_per_hour)
    figures = (rates.pue, rates.electricity_per_kwh, *grams, *(price for _, price in device.hourly))
    return (
        all(figure.is_finite() for figure in figures)
        and rates.pue >= 1
        and all(min(values) >= 0 for values in {id(values): values for values in columns.values()}.values())
    )


def _fits(value: Decimal, largest: int, bound: int) -> bool:
    """Whether a decimal of nothing or more, times a quantity, stays within what 28 digits tell apart."""
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or exponent < -_FARTHEST or value.adjusted() > _FARTHEST or value < 0:
        return False
    return bool(10 ** max(len(digits), value.adjusted() + 1) * largest <= bound)


# Money and grams


def _booked(
    place: tuple[int, int],
    key: tuple[Component, State],
    price: Decimal,
    values: list[int],
    there: tuple[list[int], list[int]],
) -> Iterable[_Booking]:
    """What a component comes to: charges, or credits where the price is below nothing and there is a quantity.

    `there` are the time and the energy of the state, one of which is not nothing where a slot has it at all.
    """
    if price >= 0:
        first = min((at for each in there if (at := _first(each)) is not None), default=None)
        return [] if first is None else [((first, *place), False, key, _units(values, price))]
    free = [not value and bool(time or energy) for value, time, energy in zip(values, *there, strict=True)]
    found: list[_Booking] = [((free.index(True), *place), False, key, 0)] if any(free) else []
    paid_back = _first(values)
    if paid_back is not None:
        found.append(((paid_back, *place), True, key, _units(values, -price)))
    return found


def _first(values: Sequence[int]) -> int | None:
    """The place of the first that is not nothing."""
    return 0 if values[0] else next(compress(range(len(values)), values), None)


def _units(values: list[int], price: Decimal) -> int:
    """The sum of what each quantity costs, each rounded to a QUANTUM. Most minutes are busy throughout, or not idle."""
    common = values[0] if values[0] == values[-1] else values[len(values) // 2]
    if values.count(common) * 2 < len(values):
        return _units_of_each(values, price)
    others = [value for value in values if value != common]
    return (len(values) - len(others)) * _cost(common, price) + (_units_of_each(others, price) if others else 0)


def _cost(value: int, price: Decimal) -> int:
    """What `charge` makes of one quantity, in units of a QUANTUM."""
    return int((price * value / _PER_HOUR_OR_KWH).quantize(QUANTUM).scaleb(12))


def _units_of_each(values: list[int], price: Decimal) -> int:
    if _fits(price, sum(values), _MONEY_BOUND):
        above, below = price.as_integer_ratio()
        return _sum_rounded(values, above * 5, below * 18)
    units = _long_units(values, price)
    return sum(_cost(value, price) for value in values) if units is None else units


def _long_units(values: list[int], price: Decimal) -> int | None:
    """The same for a price of 28 digits, cut off after 16 decimals; None where one lies too near to a tie for that.

    Of the numerator less than 5 × the quantity is cut off, and what `charge` rounds on its way is, for amounts as small
    as these, less than 1e-8 of a unit; the margin is more than both.
    """
    if not _NOTHING <= price < _LARGEST_LONG_PRICE or max(values) >= _LONGEST:
        return None
    above, below = int(price.scaleb(_LONG_DECIMALS)) * 5, 18 * 10**_LONG_DECIMALS
    half, margin = below // 2, 10 * max(values) + below // 10**8
    rests: list[int] = list(map(operator.mod, map(operator.mul, values, repeat(above)), repeat(below)))
    high, low = half + margin, half - margin
    up: int = [rest > high for rest in rests].count(True)
    if up != [rest > low for rest in rests].count(True):
        return None
    whole: int = (above * sum(values) - sum(rests)) // below
    return whole + up


def _amount(units: int) -> Decimal:
    return Decimal(units).scaleb(-12)


def _micrograms(values: list[int], grams: Decimal) -> int:
    """The sum of micrograms, each slot's rounded: of energy by grams per kWh, of time by grams per hour."""
    if not grams:
        return 0
    if _fits(grams, sum(values), _GRAMS_BOUND):
        above, below = grams.as_integer_ratio()
        return _sum_rounded(values, above, below * (MICROJOULES_PER_KWH // MICROGRAMS_PER_GRAM))
    masses = ((value * grams * _PER_GRAM / _PER_HOUR_OR_KWH, count) for value, count in Counter(values).items())
    return sum(round(mass) * count for mass, count in masses)


def _with_overhead(values: list[int], share: Decimal) -> list[int]:
    """Each energy with what the site adds to it."""
    if not _fits(share, sum(values), _OVERHEAD_BOUND):
        return [value + round(value * share) for value in values]
    above, below = share.as_integer_ratio()
    if below % 2:  # nothing is halfway, so that value and share may be rounded as one
        shifted = map(operator.add, map(operator.mul, values, repeat(above + below)), repeat(below // 2))
        return list(map(operator.floordiv, shifted, repeat(below)))
    return list(map(operator.add, values, _rounded(values, above, below)))


def _sum_rounded(values: list[int], above: int, below: int) -> int:
    """The sum of `value × above / below`, each rounded half to even; `below` is even."""
    if values.count(values[0]) == len(values):
        return len(values) * _rounded(values[:1], above, below)[0]
    if values.count(0) * 2 > len(values):
        values = list(filter(None, values))
    half = below // 2
    rests: list[int] = list(map(operator.mod, map(operator.mul, values, repeat(above)), repeat(below)))
    down = (above * sum(values) - sum(rests)) // below
    up: int = [rest > half for rest in rests].count(True)
    if half in rests:  # a tie goes up where its quotient is odd
        up += sum(value * above // below & 1 for value, rest in zip(values, rests, strict=True) if rest == half)
    return down + up


def _rounded(values: list[int], above: int, below: int) -> list[int]:
    """Every `value × above / below`, rounded half to even; `below` is even."""
    shifted = map(operator.add, map(operator.mul, values, repeat(above)), repeat(below // 2))
    return [whole - (whole & 1 and not rest) for whole, rest in map(divmod, shifted, repeat(below))]
