"""The electricity bill of a billing period, and which part of it some runs are answerable for.

A bill is not a sum over instants: tiers depend on what the whole period used, demand charges on its highest mean power,
fixed charges on its days. So this arithmetic is for reports and never for a counter. It is exact (fractions) up to the
last step, where each adjustment is quantised as charges are.

Kilowatt-hours fill the tiers of the entry they are used in, by its name: where one entry holds throughout, as in
Ontario's tiered plan, they are the period's whole use; where hours have entries of their own, as the URDB writes them,
each has its own count.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from costmeter.meter.charge import QUANTUM
from costmeter.meter.demand import Peak, interval_start, peak, tiered
from costmeter.meter.period import Period
from costmeter.meter.schedule import Schedule
from costmeter.meter.tariff import Energy, FixedCharge, Tariff, Tier
from costmeter.units import MICROJOULES_PER_KWH, NANOSECONDS_PER_MINUTE

#: Energy in microjoules by the UTC minute it was used in.
Drawn = Mapping[int, int]
#: `marginal`: the bill of site and runs less the bill of the site without them. `average`: the runs' share, by kWh, of
#: the bill of both.
Attribution = Literal["marginal", "average"]
ATTRIBUTIONS: tuple[Attribution, ...] = ("marginal", "average")

_JOULES_PER_KILOWATT_MINUTE = 60_000
_FINEST = round(1 / QUANTUM)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A tariff, the days of a billing period it holds for, and how much of the period these are."""

    tariff: Tariff
    period: Period
    share: Fraction


@dataclass(frozen=True, slots=True)
class SiteBill:
    """What a site pays in a period. `separable` is its energy at the prices of each instant, `energy` with tiers."""

    microjoules: int
    separable: Fraction
    energy: Fraction
    fixed: tuple[tuple[str, Fraction], ...]
    demand: tuple[Peak, ...]

    @property
    def total(self) -> Fraction:
        """The bill."""
        fixed = sum((amount for _, amount in self.fixed), Fraction(0))
        return self.energy + fixed + sum((each.amount for each in self.demand), Fraction(0))


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a bill says beyond the metered part: `tiers`, `fixed`, `demand` …; `charge` is the tariff's name for it.

    `kilowatts` and `at_utc_ns` are of a demand charge: the site's highest mean power, and when its interval began.
    """

    name: str
    amount: Decimal
    charge: str = ""
    kilowatts: Decimal | None = None
    at_utc_ns: int | None = None


def base_microjoules(kilowatts: Decimal) -> int:
    """The energy of a constant power in a minute."""
    return round(kilowatts * _JOULES_PER_KILOWATT_MINUTE * 1_000_000)


def sheets(tariffs: Sequence[Tariff], period: Period) -> tuple[Sheet, ...]:
    """The tariffs that hold in a period, each with its days. The first holds before it is valid, the last ever after.

    A period of two sheets is billed by days: fixed and demand charges, and the limits of tiers, in proportion.
    """
    inside = sorted(tariffs, key=_valid_from)
    found = []
    for position, tariff in enumerate(inside):
        first = period.first if position == 0 else max(period.first, _valid_from(tariff))
        end = period.end if position == len(inside) - 1 else min(period.end, _valid_from(inside[position + 1]))
        if first < end:
            part = Period(first, end, period.zone)
            found.append(Sheet(tariff, part, Fraction(part.days, period.days)))
    return tuple(found)


def _valid_from(tariff: Tariff) -> date:
    return tariff.valid_from or date.min


def site_bills(
    period: Period, of: Sequence[Sheet], schedule: Schedule, runs: Drawn, base_uj: int = 0
) -> tuple[SiteBill, SiteBill]:
    """The bill of a site with these runs over its base load, and without them. `base_uj` is used in every minute.

    Without a base load there is no site without the runs, and its bill is nothing: fixed charges are the runs', too.
    """
    whole, base = [], []
    for sheet in of:
        with_runs, without = _drawn(sheet, schedule, runs, base_uj)
        fixed = tuple((each.name or f"per {each.per}", _fixed(each, sheet, period)) for each in sheet.tariff.fixed)
        whole.append(_billed(with_runs, sheet, fixed))
        base.append(_billed(without, sheet, fixed if base_uj else tuple((name, Fraction(0)) for name, _ in fixed)))
    return _sum(whole), _sum(base)


def adjustments(whole: SiteBill, base: SiteBill, by: Attribution) -> tuple[Adjustment, ...]:
    """What the runs' part of a bill is beyond their energy at the prices of each instant.

    `averaging` is what an average kWh of the site costs at these prices, less what the runs' own kWh do.
    """
    if by == "marginal":
        share, less = Fraction(1), base
    else:
        runs_uj = whole.microjoules - base.microjoules
        share = Fraction(runs_uj, whole.microjoules) if base.microjoules else Fraction(1)
        less = _NOTHING
    tiers = share * (whole.energy - whole.separable) - (less.energy - less.separable)
    averaging = share * whole.separable - (whole.separable - base.separable)
    made = [Adjustment("averaging", money(averaging))] if by == "average" and base.microjoules else []
    made.append(Adjustment("tiers", money(tiers)))
    fixed = dict(_by_name(less.fixed))
    for name, amount in _by_name(whole.fixed):
        made.append(Adjustment("fixed", money(share * amount - fixed.get(name, 0)), name))
    below = {place: each.amount for place, each in enumerate(less.demand)}
    for place, each in enumerate(whole.demand):
        amount = share * each.amount - below.get(place, 0)
        kilowatts = money(each.kilowatts)
        made.append(Adjustment("demand", money(amount), each.charge, kilowatts, each.at_utc_ns))
    return tuple(made)


def money(exact: Fraction) -> Decimal:
    """A fraction, quantised as charges are."""
    return Decimal(round(exact * _FINEST)) * QUANTUM


_NOTHING = SiteBill(0, Fraction(0), Fraction(0), (), ())


@dataclass(slots=True)
class _Sums:
    """The energy of a site by entry, by price, and by demand charge and interval."""

    entries: defaultdict[tuple[str, tuple[Tier, ...]], int] = field(default_factory=lambda: defaultdict(int))
    prices: defaultdict[Decimal, int] = field(default_factory=lambda: defaultdict(int))
    intervals: defaultdict[int, defaultdict[int, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )


def _drawn(sheet: Sheet, schedule: Schedule, runs: Drawn, base_uj: int) -> tuple[_Sums, _Sums]:
    """The sums of a site with runs and without, over the minutes of a sheet."""
    start_ns, end_ns = sheet.period.start_utc_ns, sheet.period.end_utc_ns
    minutes: Iterable[int] = range(start_ns, end_ns, NANOSECONDS_PER_MINUTE)
    if not base_uj:
        minutes = (minute for minute in runs if start_ns <= minute < end_ns)
    held = _Held(sheet.tariff)
    site, base = _Sums(), _Sums()
    for minute in minutes:
        entry, charges = held.at(minute)
        price = schedule.at(minute)
        used = ((site, base_uj + runs.get(minute, 0)), (base, base_uj)) if base_uj else ((site, runs[minute]),)
        for sums, energy_uj in used:
            sums.prices[price] += energy_uj
            if entry is not None:
                sums.entries[entry] += energy_uj
            for place, began_ns in charges:
                sums.intervals[place][began_ns] += energy_uj
    return site, base


class _Held:
    """Which entry and which demand charges of a tariff hold in a minute. What a day has between two edges is kept."""

    def __init__(self, tariff: Tariff) -> None:
        self._tariff = tariff
        energy = tariff.energy
        self._entries = () if not isinstance(energy, Energy) else tuple(zip(energy.names, energy.tiers, strict=True))
        self._windows = () if not isinstance(energy, Energy) else energy.calendar.windows
        every = [*self._windows, *(window for each in tariff.demand for window in (each.window, *each.unless))]
        hours = [hours for window in every for hours in window.hours]
        self._edges = sorted({edge for each in hours for edge in (each.start_minute, each.end_minute)})
        self._known: dict[tuple[date, int], tuple[int | None, tuple[int, ...]]] = {}

    def at(self, minute_utc_ns: int) -> tuple[tuple[str, tuple[Tier, ...]] | None, list[tuple[int, int]]]:
        """The entry, and the places of the demand charges with the starts of their intervals."""
        local = self._tariff.place.local(minute_utc_ns)
        key = local.date, bisect_right(self._edges, local.minute)
        known = self._known.get(key)
        if known is None:
            holding = (place for place, window in enumerate(self._windows) if window.holds(local))
            charges = tuple(
                place
                for place, each in enumerate(self._tariff.demand)
                if each.window.holds(local) and not any(window.holds(local) for window in each.unless)
            )
            known = self._known[key] = next(holding, None), charges
        entry, charges = known
        demand = self._tariff.demand
        starts = [(c, interval_start(minute_utc_ns, local.minute, demand[c].interval_minutes)) for c in charges]
        return None if entry is None else self._entries[entry], starts


def _billed(sums: _Sums, sheet: Sheet, fixed: tuple[tuple[str, Fraction], ...]) -> SiteBill:
    separable = sum((Fraction(price) * energy_uj for price, energy_uj in sums.prices.items()), Fraction(0))
    separable /= MICROJOULES_PER_KWH
    energy = separable  # a series has no tiers
    if isinstance(sheet.tariff.energy, Energy):
        energy = Fraction(0)
        for (_, tiers), energy_uj in sums.entries.items():
            energy += tiered(Fraction(energy_uj, MICROJOULES_PER_KWH), tiers, sheet.share)
    demand = [peak(each, sums.intervals.get(place, {}), sheet.share) for place, each in enumerate(sheet.tariff.demand)]
    return SiteBill(sum(sums.prices.values()), separable, energy, fixed, tuple(demand))


def _fixed(charge: FixedCharge, sheet: Sheet, period: Period) -> Fraction:
    """A fixed charge for the days of a sheet; a month's by its days of the billing period, a year's by the year's."""
    amount = Fraction(charge.amount)
    if charge.per == "day":
        return amount * sheet.period.days
    if charge.per == "month":
        return amount * period.months * sheet.share
    return amount * sheet.period.years


def _sum(bills: Sequence[SiteBill]) -> SiteBill:
    return SiteBill(
        sum(each.microjoules for each in bills),
        sum((each.separable for each in bills), Fraction(0)),
        sum((each.energy for each in bills), Fraction(0)),
        tuple(item for each in bills for item in each.fixed),
        tuple(item for each in bills for item in each.demand),
    )


def _by_name(items: Iterable[tuple[str, Fraction]]) -> list[tuple[str, Fraction]]:
    """Amounts of the same name added, in the order of their first."""
    added: dict[str, Fraction] = {}
    for name, amount in items:
        added[name] = added.get(name, Fraction(0)) + amount
    return list(added.items())
