"""Electricity tariffs: what a kWh costs at each instant, and what else stands on the bill of a month.

The price of a kWh at an instant is separable: live totals are made of it. Tiers, fixed charges and demand charges
depend on a month and a site; only a bill knows them.
"""

from dataclasses import dataclass
from datetime import date, tzinfo
from decimal import Decimal
from typing import Literal

from costmeter.meter.calendar import Calendar, Place, Window
from costmeter.meter.schedule import Schedule
from costmeter.meter.series import Series

#: What a fixed charge is for.
Per = Literal["day", "month", "year"]


@dataclass(frozen=True, slots=True)
class Tier:
    """A price up to so many kWh (of energy) or kW (of demand) in a billing month; None is the last tier."""

    price: Decimal
    up_to: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Energy:
    """The price of a kWh by the calendar, in tiers. `names` and `tiers` stand beside the windows of the calendar.

    The values of the calendar's windows are the prices of their last tiers.
    """

    calendar: Calendar
    names: tuple[str, ...]
    tiers: tuple[tuple[Tier, ...], ...]

    @property
    def is_tiered(self) -> bool:
        """Whether any entry has more than one tier."""
        return any(len(tiers) > 1 for tiers in self.tiers)


@dataclass(frozen=True, slots=True)
class FixedCharge:
    """An amount for each day, month or year, whatever is used."""

    amount: Decimal
    per: Per
    name: str = ""


@dataclass(frozen=True, slots=True)
class DemandCharge:
    """A price per kW of the highest mean power over `interval_minutes` inside its own hours in a billing month.

    It holds where `window` holds and none of `unless` does (`hours: other`).
    """

    name: str
    window: Window
    unless: tuple[Window, ...]
    tiers: tuple[Tier, ...]
    interval_minutes: int = 15


@dataclass(frozen=True, slots=True)
class Quote:
    """What the seller says a year's use costs: the kWh in all (key "") or by the names of entries, and the sum."""

    kwh_per_year: tuple[tuple[str, Decimal], ...]
    annual_cost: Decimal


@dataclass(frozen=True, slots=True)
class Tariff:
    """One price sheet. Prices are in `currency` per kWh as they are paid: taxes and formulas are applied already.

    `place` is where its dates and hours are, on the clock of its meter. `valid_from` and `valid_to` are local dates,
    the second one not included; None is not said. `untold` are remarks for people: what the file says and no total has.
    """

    id: str
    name: str
    currency: str
    zone: tzinfo
    place: Place
    energy: Energy | Series
    fixed: tuple[FixedCharge, ...] = ()
    demand: tuple[DemandCharge, ...] = ()
    valid_from: date | None = None
    valid_to: date | None = None
    quote: Quote | None = None
    untold: tuple[str, ...] = ()

    def schedule(self, tier: int | None = None) -> Schedule:
        """The price of a kWh over time; tiered entries at their tier of this number from 0, by default their last.

        An entry with fewer tiers is at its last one.
        """
        if isinstance(self.energy, Series) or tier is None:
            return self.energy if isinstance(self.energy, Series) else self.energy.calendar
        windows = tuple(
            Window(window.weekdays, window.hours, tiers[min(tier, len(tiers) - 1)].price, window.season)
            for window, tiers in zip(self.energy.calendar.windows, self.energy.tiers, strict=True)
        )
        return Calendar(self.energy.calendar.place, windows)
