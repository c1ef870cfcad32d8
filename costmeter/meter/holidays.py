"""Public holidays by name, for tariffs that treat them as weekends. Rules, not tables: they hold for any year.

Dates are of the statutes that are in force: 5 U.S.C. 6103 (US), the Ontario Energy Board's list of holidays (Canada),
the Banking and Financial Dealings Act (UK), the law of the German states. Easter is the Gregorian one (the algorithm
of Meeus, "Astronomical Algorithms", chapter 8).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Literal

MONDAY, THURSDAY, SATURDAY, SUNDAY = 0, 3, 5, 6

#: What happens to a holiday that falls on a weekend: `none`; `nearest`: Saturday's is kept on Friday, Sunday's on
#: Monday (US federal); `next`: it is kept on the next weekday that is no holiday (Canada, UK).
Observed = Literal["none", "nearest", "next"]


@dataclass(frozen=True, slots=True)
class Holidays:
    """Holidays by name (`NAMES`), by date, and how those on a weekend are observed. The day itself stays a holiday."""

    names: tuple[str, ...] = ()
    dates: frozenset[date] = frozenset()
    observed: Observed = "none"

    def __contains__(self, day: date) -> bool:
        return day in self.dates or day in _of_year(self.names, self.observed, day.year)


@lru_cache(maxsize=64)
def _of_year(names: tuple[str, ...], observed: Observed, year: int) -> frozenset[date]:
    """The holidays of a year, and the days they are observed on. New Year's Day may be observed in the year before."""
    own = {day for near in (year - 1, year, year + 1) for name in names for day in (_RULES[name](near),)}
    kept = set(own)
    for day in sorted(own):
        if day.weekday() < SATURDAY or observed == "none":
            continue
        if observed == "nearest":
            kept.add(day + timedelta(days=-1 if day.weekday() == SATURDAY else 1))
        else:
            substitute = day
            while substitute in kept or substitute.weekday() >= SATURDAY:
                substitute += timedelta(days=1)
            kept.add(substitute)
    return frozenset(day for day in kept if day.year == year)


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    shift = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 19 * shift) // 433
    month = (h + shift - 7 * m + 90) // 25
    return date(year, month, (h + shift - 7 * m + 33 * month + 19) % 32)


_Rule = Callable[[int], date]


def _on(month: int, day: int) -> _Rule:
    return lambda year: date(year, month, day)


def _nth(nth: int, weekday: int, month: int) -> _Rule:
    """The nth weekday of a month; -1 is the last."""

    def rule(year: int) -> date:
        if nth > 0:
            first = date(year, month, 1)
            return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))
        last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
        return last - timedelta(days=(last.weekday() - weekday) % 7)

    return rule


def _from_easter(days: int) -> _Rule:
    return lambda year: easter(year) + timedelta(days=days)


def _victoria_day(year: int) -> date:
    """The Monday before 25 May."""
    may_24 = date(year, 5, 24)
    return may_24 - timedelta(days=may_24.weekday())


_RULES: dict[str, _Rule] = {
    "new_years_day": _on(1, 1),
    "martin_luther_king_day": _nth(3, MONDAY, 1),
    "presidents_day": _nth(3, MONDAY, 2),
    "family_day": _nth(3, MONDAY, 2),
    "good_friday": _from_easter(-2),
    "easter_sunday": _from_easter(0),
    "easter_monday": _from_easter(1),
    "labour_day_may": _on(5, 1),
    "early_may_bank_holiday": _nth(1, MONDAY, 5),
    "victoria_day": _victoria_day,
    "ascension_day": _from_easter(39),
    "whit_monday": _from_easter(50),
    "memorial_day": _nth(-1, MONDAY, 5),
    "spring_bank_holiday": _nth(-1, MONDAY, 5),
    "juneteenth": _on(6, 19),
    "canada_day": _on(7, 1),
    "independence_day": _on(7, 4),
    "civic_holiday": _nth(1, MONDAY, 8),
    "summer_bank_holiday": _nth(-1, MONDAY, 8),
    "labor_day": _nth(1, MONDAY, 9),
    "labour_day": _nth(1, MONDAY, 9),
    "german_unity_day": _on(10, 3),
    "columbus_day": _nth(2, MONDAY, 10),
    "thanksgiving_day_ca": _nth(2, MONDAY, 10),
    "veterans_day": _on(11, 11),
    "thanksgiving_day": _nth(4, THURSDAY, 11),
    "christmas_day": _on(12, 25),
    "boxing_day": _on(12, 26),
}
#: Every holiday that can be named.
NAMES = tuple(_RULES)
