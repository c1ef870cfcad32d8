"""Schedules: a value over local time. Pure: an instant goes in, a Decimal comes out, nothing is read or remembered.

An instant belongs to the local date it has. "Friday 22:00-06:00" is therefore the first six and the last two hours of
Friday, and says nothing of Saturday morning: list both days, or none, for a night that runs through. Every rule is
about what the wall clock shows, so an hour that happens twice in autumn has its price twice, and one that is
skipped in spring is never asked for.
"""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Protocol

from costmeter.units import NANOSECONDS_PER_SECOND

MINUTES_PER_DAY = 1_440
#: Monday is 0, as in `datetime.weekday`.
EVERY_DAY = frozenset(range(7))


class Schedule(Protocol):
    """A value that depends on the instant only."""

    def at(self, utc_ns: int) -> Decimal:
        """The value at an instant, given in nanoseconds since 1970-01-01 UTC."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value always."""

    value: Decimal

    def at(self, utc_ns: int) -> Decimal:
        return self.value


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
class Window:
    """One value, on some weekdays (Monday is 0), in some hours of them."""

    weekdays: frozenset[int]
    hours: tuple[Hours, ...]
    value: Decimal

    def holds(self, weekday: int, minute: int) -> bool:
        """Whether this window covers a local weekday and minute of the day."""
        return weekday in self.weekdays and any(hours.contain(minute) for hours in self.hours)


def gap(windows: tuple[Window, ...]) -> tuple[int, int] | None:
    """The first weekday and minute of the week that no window covers; None when all are covered."""
    for weekday in range(7):
        today = [window for window in windows if weekday in window.weekdays]
        starts = {0} | {edge for window in today for hours in window.hours for edge in _edges(hours)}
        for minute in sorted(starts):
            if minute < MINUTES_PER_DAY and not any(window.holds(weekday, minute) for window in today):
                return weekday, minute
    return None


def _edges(hours: Hours) -> tuple[int, int]:
    return hours.start_minute, hours.end_minute


@dataclass(frozen=True, slots=True)
class Weekly:
    """Windows of the local week; the first that holds an instant gives its value. They must cover the whole week.

    A fallback ("other hours") is a last window of every day. Works for any zone whose rules are in `zone`: nights of
    23 and 25 hours, and offsets of :30 and :45, need nothing special, because the local time is computed per instant.
    """

    zone: tzinfo
    windows: tuple[Window, ...]

    def __post_init__(self) -> None:
        missing = gap(self.windows)
        if missing is not None:
            raise ValueError(f"no window covers weekday {missing[0]} at minute {missing[1]}")

    def at(self, utc_ns: int) -> Decimal:
        local = datetime.fromtimestamp(utc_ns // NANOSECONDS_PER_SECOND, self.zone)
        weekday, minute = local.weekday(), local.hour * 60 + local.minute
        return next(window.value for window in self.windows if window.holds(weekday, minute))
