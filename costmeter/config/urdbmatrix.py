"""The schedules of a URDB record (months × hours of weekdays and of weekends) as seasons, days and hours."""

from collections.abc import Sequence
from dataclasses import dataclass

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LAST_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_HOURS_PER_DAY = 24

#: The periods of the hours of a weekday, and those of a day of the weekend.
DayPair = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Months:
    """Months from `first` to `last`, from 0 and both included; they may run over the year's end."""

    first: int
    last: int

    @property
    def name(self) -> str:
        """Such as `jun_sep`; empty for the whole year."""
        if (self.last - self.first) % 12 == 11:
            return ""
        return MONTHS[self.first] if self.first == self.last else f"{MONTHS[self.first]}_{MONTHS[self.last]}"

    @property
    def dates(self) -> tuple[str, str]:
        """The first and the last date, such as 06-01 and 09-30; the last of February is the 29th."""
        return f"{self.first + 1:02}-01", f"{self.last + 1:02}-{_LAST_DAYS[self.last]}"


@dataclass(frozen=True, slots=True)
class Part:
    """When a period holds in some months. Empty `days` are all days, empty `hours` all hours of them.

    `is_rest` is when no other period of these months holds: what days and hours cannot say in one entry.
    """

    months: Months
    period: int
    days: str = ""
    hours: tuple[str, ...] = ()
    is_rest: bool = False


def runs(values: Sequence[object]) -> list[Months]:
    """Months that follow one another and are alike; December and January do."""
    edges = [month for month in range(12) if values[month] != values[month - 1]]
    if not edges:
        return [Months(0, 11)]
    return [Months(first, (after - 1) % 12) for first, after in zip(edges, edges[1:] + edges[:1], strict=True)]


def priced(pairs: Sequence[DayPair]) -> list[Part]:
    """Parts that cover all time, one for each price at its days and hours: of energy."""
    parts = []
    for months in runs(pairs):
        weekday, weekend = pairs[months.first]
        kinds = [("", weekday)] if weekday == weekend else [("weekday", weekday), ("weekend", weekend)]
        for days, row in kinds:
            parts += [Part(months, period, days, spans(row, period)) for period in sorted(set(row))]
    return parts


def peaked(pairs: Sequence[DayPair], nothing: frozenset[int]) -> tuple[list[Part], list[tuple[Months, int]]]:
    """Parts of which each has one peak, and the periods that have to be left out: of demand.

    A period that holds at other hours on weekdays than on weekends is one peak all the same, and therefore one entry:
    the rest of these months. There is only one rest. `nothing` are the periods that cost nothing; they are listed only
    where a rest needs to know them.
    """
    parts, lost = [], []
    for months in runs(pairs):
        weekday, weekend = pairs[months.first]
        listed = []
        rests = []
        for period in sorted({*weekday, *weekend}):
            on_weekdays, on_weekends = spans(weekday, period), spans(weekend, period)
            if (period in weekday) == (period in weekend) and on_weekdays != on_weekends:
                rests.append(period)
            else:
                days = "" if period in weekday and period in weekend else "weekday" if period in weekday else "weekend"
                listed.append(Part(months, period, days, on_weekdays if period in weekday else on_weekends))
        charged = [period for period in rests if period not in nothing]
        if len(rests) > 1:
            lost += [(months, period) for period in charged]
        else:
            listed += [Part(months, period, is_rest=True) for period in charged]
        needs_all = len(rests) == 1 and bool(charged)
        parts += [part for part in listed if needs_all or part.period not in nothing]
    return parts, lost


def spans(row: Sequence[int], period: int) -> tuple[str, ...]:
    """The hours at which a period holds, such as 16:00-21:00; empty when it always does, or never."""
    found: list[str] = []
    start = None
    for hour in range(_HOURS_PER_DAY + 1):
        holds = hour < _HOURS_PER_DAY and row[hour] == period
        if holds and start is None:
            start = hour
        elif not holds and start is not None:
            found.append(f"{start:02}:00-{hour:02}:00")
            start = None
    return () if found == ["00:00-24:00"] else tuple(found)
