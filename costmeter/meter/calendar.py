"""Values by the wall clock: hours, weekdays, seasons and holidays of a place.

An instant belongs to the local date it has. "Friday 22:00-06:00" is therefore the first six and the last two hours of
Friday, and says nothing of Saturday morning: list both days, or none, for a night that runs through. Every rule is
about what the wall clock shows, so an hour that happens twice in autumn has its price twice, and one that is
skipped in spring is never asked for. Works for any zone: nights of 23 and 25 hours, and offsets of :30 and :45, need
nothing special, because the local time is computed per instant.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal

from costmeter.meter.holidays import Holidays
from costmeter.units import NANOSECONDS_PER_SECOND

MINUTES_PER_DAY = 1_440
#: Monday is 0, as in `datetime.weekday`.
EVERY_DAY = frozenset(range(7))
SUNDAY = 6
#: A leap year that begins on a Monday: every month-day there is.
_ANY_LEAP_YEAR = 2024


@dataclass(frozen=True, slots=True)
class Hours:
    """Local minutes of the day from `start_minute` up to, and not including, `end_minute` (1440 is midnight).

    An end before the start crosses midnight: the hours are then the end and the beginning of each matching day.
    """

    start_minute: int
    end_minute: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_minute < MINUTES_PER_DAY or not 0 <= self.end_minute <= MINUTES_PER_DAY:
            raise ValueError(f"minutes {self.start_minute} to {self.end_minute} are not within a day")
        if self.start_minute == self.end_minute:
            raise ValueError("hours that end where they start are empty")

    def contain(self, minute: int) -> bool:
        """Whether a minute of the day lies inside."""
        if self.start_minute < self.end_minute:
            return self.start_minute <= minute < self.end_minute
        return minute >= self.start_minute or minute < self.end_minute


ALL_DAY = (Hours(0, MINUTES_PER_DAY),)


@dataclass(frozen=True, slots=True)
class Season:
    """Local dates from `first` to `last`, both included, each as month × 100 + day; it may run over the year's end."""

    first: int
    last: int

    def contains(self, month_day: int) -> bool:
        """Whether a date, as month × 100 + day, lies inside."""
        if self.first <= self.last:
            return self.first <= month_day <= self.last
        return month_day >= self.first or month_day <= self.last


@dataclass(frozen=True, slots=True)
class Local:
    """What calendar and wall clock of a place show at an instant. `weekday` is the one a holiday counts as."""

    date: date
    weekday: int
    minute: int

    @property
    def month_day(self) -> int:
        """The date as month × 100 + day."""
        return self.date.month * 100 + self.date.day


@dataclass(frozen=True, slots=True)
class Place:
    """Where a calendar is: its clock, its holidays, and the weekday they count as (None: their own)."""

    zone: tzinfo
    holidays: Holidays | None = None
    holiday_weekday: int | None = SUNDAY

    def local(self, utc_ns: int) -> Local:
        """What is shown there at an instant."""
        shown = datetime.fromtimestamp(utc_ns // NANOSECONDS_PER_SECOND, self.zone)
        today, weekday = shown.date(), shown.weekday()
        if self.holidays is not None and self.holiday_weekday is not None and today in self.holidays:
            weekday = self.holiday_weekday
        return Local(today, weekday, shown.hour * 60 + shown.minute)


@dataclass(frozen=True, slots=True)
class Window:
    """One value, on some weekdays (Monday is 0), in some hours of them, in one season or all year."""

    weekdays: frozenset[int]
    hours: tuple[Hours, ...]
    value: Decimal
    season: Season | None = None

    def holds(self, local: Local) -> bool:
        """Whether this window covers a local instant."""
        return (
            local.weekday in self.weekdays
            and (self.season is None or self.season.contains(local.month_day))
            and any(hours.contain(local.minute) for hours in self.hours)
        )


@dataclass(frozen=True, slots=True)
class Gap:
    """A local time that no window covers. `month_day` is the first date of which that is so, None for all."""

    weekday: int
    minute: int
    month_day: int | None


def gap(windows: tuple[Window, ...]) -> Gap | None:
    """The first time of the year and week that no window covers; None when all are covered."""
    checked: set[tuple[Window, ...]] = set()
    for month_day in _month_days() if any(window.season for window in windows) else (101,):
        active = tuple(window for window in windows if window.season is None or window.season.contains(month_day))
        if active not in checked:
            checked.add(active)
            missing = _weekly_gap(active)
            if missing is not None:
                return Gap(*missing, None if len(active) == len(windows) else month_day)
    return None


def _month_days() -> list[int]:
    first = date(_ANY_LEAP_YEAR, 1, 1)
    days = (first + timedelta(days=day) for day in range(366))
    return [day.month * 100 + day.day for day in days]


def _weekly_gap(windows: tuple[Window, ...]) -> tuple[int, int] | None:
    for weekday in range(7):
        today = [window for window in windows if weekday in window.weekdays]
        starts = {0} | {edge for window in today for hours in window.hours for edge in _edges(hours)}
        for minute in sorted(starts):
            is_covered = any(hours.contain(minute) for window in today for hours in window.hours)
            if minute < MINUTES_PER_DAY and not is_covered:
                return weekday, minute
    return None


def _edges(hours: Hours) -> tuple[int, int]:
    return hours.start_minute, hours.end_minute


@dataclass(frozen=True, slots=True)
class Calendar:
    """Windows of the local week and year; the first that holds an instant gives its value. They cover all time.

    A fallback ("other hours") is a last window of every day.
    """

    place: Place
    windows: tuple[Window, ...]

    def __post_init__(self) -> None:
        missing = gap(self.windows)
        if missing is not None:
            raise ValueError(f"no window covers weekday {missing.weekday} at minute {missing.minute}")

    def at(self, utc_ns: int) -> Decimal:
        return self.windows[self.position(utc_ns)].value

    def doubt(self, utc_ns: int) -> str:
        return ""

    def position(self, utc_ns: int) -> int:
        """Which of the windows holds at an instant."""
        local = self.place.local(utc_ns)
        return next(position for position, window in enumerate(self.windows) if window.holds(local))
