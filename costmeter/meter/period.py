"""Billing periods: local dates between two readings of a meter, and how many days, months and years they are."""

from calendar import isleap, monthrange
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date, datetime, timedelta, timezone, tzinfo
from fractions import Fraction

from costmeter.units import NANOSECONDS_PER_SECOND

#: A meter is read on a day that every month has.
LATEST_BILLING_DAY = 28
_MONTHS = 12


@dataclass(frozen=True, slots=True)
class Period:
    """Local dates from `first` up to, and not including, `end`. It begins and ends at midnight of its zone; None
    is the machine's.
    """

    first: date
    end: date
    zone: tzinfo | None

    def __post_init__(self) -> None:
        if self.end <= self.first:
            raise ValueError(f"a period from {self.first} to {self.end} has no days")

    @property
    def start_utc_ns(self) -> int:
        """Its first instant."""
        return midnight(self.first, self.zone)

    @property
    def end_utc_ns(self) -> int:
        """The first instant after it."""
        return midnight(self.end, self.zone)

    @property
    def days(self) -> int:
        """Local days, of 23 to 25 hours."""
        return (self.end - self.first).days

    @property
    def months(self) -> Fraction:
        """Months from its first day on; of one that is not full, the days over its own number of days.

        From the 15th to the 15th is one month, however many days that is.
        """
        whole = (self.end.year - self.first.year) * _MONTHS + self.end.month - self.first.month
        if _later(self.first, whole) > self.end:
            whole -= 1
        begun, full = _later(self.first, whole), _later(self.first, whole + 1)
        if self.end == begun:  # as on the last date there is, which no month follows
            return Fraction(whole)
        return whole + Fraction((self.end - begun).days, (full - begun).days)

    @property
    def years(self) -> Fraction:
        """The days in each calendar year over the days that this year has."""
        return sum(
            (
                Fraction((min(self.end, _new_year(year + 1)) - max(self.first, _new_year(year))).days, _days_in(year))
                for year in range(self.first.year, (self.end - timedelta(days=1)).year + 1)
            ),
            Fraction(0),
        )


def midnight(day: date, zone: tzinfo | None) -> int:
    """The first instant of a local day; where clocks skip its midnight, the instant they do.

    The first and the last dates there are have no local time everywhere, and begin with the UTC day.
    """
    try:
        seconds = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
    except (ValueError, OverflowError, OSError):
        seconds = int(datetime(day.year, day.month, day.day, tzinfo=timezone.utc).timestamp())
    return seconds * NANOSECONDS_PER_SECOND


def local_date(utc_ns: int, zone: tzinfo | None) -> date:
    """The local date of an instant."""
    return datetime.fromtimestamp(utc_ns // NANOSECONDS_PER_SECOND, zone).date()


def billing_month(day: date, billing_day: int, zone: tzinfo | None) -> Period:
    """The month of a day, where months begin on `billing_day` (1 to 28)."""
    if not 1 <= billing_day <= LATEST_BILLING_DAY:
        raise ValueError(f"a billing day of {billing_day} is not within 1 to {LATEST_BILLING_DAY}")
    first = day.replace(day=billing_day)
    if day < first:
        first = _later(first, -1)
    return Period(first, _later(first, 1), zone)


def _later(day: date, months: int) -> date:
    """The same day so many months later, or the last that month has; of what no calendar has, its first or last day."""
    year, month = divmod(day.year * _MONTHS + day.month - 1 + months, _MONTHS)
    if not MINYEAR <= year <= MAXYEAR:
        return date.min if year < MINYEAR else date.max
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _new_year(year: int) -> date:
    return date(year, 1, 1) if year <= MAXYEAR else date.max


def _days_in(year: int) -> int:
    return 366 if isleap(year) else 365
