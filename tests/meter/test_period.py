"""Billing periods: which days they have, and what a day, a month and a year are of them."""

from datetime import date, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.period import LATEST_BILLING_DAY, Period, billing_month, local_date
from costmeter.units import NANOSECONDS_PER_HOUR

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
days = st.dates(date(1990, 1, 1), date(2090, 1, 1))


def period(first: str, end: str) -> Period:
    return Period(date.fromisoformat(first), date.fromisoformat(end), LOS_ANGELES)


@pytest.mark.parametrize(
    ("first", "end", "hours"),
    [
        pytest.param("2026-03-01", "2026-04-01", 743, id="march-loses-an-hour"),
        pytest.param("2026-11-01", "2026-12-01", 721, id="november-gains-an-hour"),
        pytest.param("2026-02-01", "2026-03-01", 672, id="february"),
        pytest.param("2028-02-01", "2028-03-01", 696, id="february-of-a-leap-year"),
        pytest.param("2026-10-15", "2026-11-15", 745, id="from-the-15th"),
    ],
)
def test_a_period_has_the_hours_of_its_days(first: str, end: str, hours: int) -> None:
    """From local midnight to local midnight, clock changes included."""
    given = period(first, end)
    assert hours * NANOSECONDS_PER_HOUR == given.end_utc_ns - given.start_utc_ns


@pytest.mark.parametrize(
    ("first", "end", "months"),
    [
        pytest.param("2026-02-01", "2026-03-01", Fraction(1), id="a-calendar-month"),
        pytest.param("2026-10-15", "2026-11-15", Fraction(1), id="15th-to-15th"),
        pytest.param("2026-11-01", "2026-11-16", Fraction(15, 30), id="half-of-november"),
        pytest.param("2026-11-01", "2026-12-16", 1 + Fraction(15, 31), id="and-15-days-of-december"),
        pytest.param("2026-10-14", "2026-11-12", Fraction(29, 31), id="read-early"),
        pytest.param("2026-01-31", "2026-03-01", 1 + Fraction(1, 31), id="from-a-31st"),
        pytest.param("2025-11-01", "2026-11-01", Fraction(12), id="a-year"),
    ],
)
def test_months_are_whole_from_day_to_day(first: str, end: str, months: Fraction) -> None:
    """A month is from a day to the same day of the next, whatever its length; the rest is by the days of its month.

    31 January to 1 March: a month up to 28 February, which is as far as February goes, and one day; the month that
    has begun would end on 31 March, after 31 days.
    """
    assert months == period(first, end).months


@pytest.mark.parametrize(
    ("first", "end", "years"),
    [
        pytest.param("2026-11-01", "2026-12-01", Fraction(30, 365), id="30-of-365"),
        pytest.param("2028-02-01", "2028-03-01", Fraction(29, 366), id="29-of-366"),
        pytest.param("2027-12-15", "2028-01-15", Fraction(17, 365) + Fraction(14, 366), id="over-new-year"),
        pytest.param("2026-01-01", "2029-01-01", Fraction(3), id="three-years"),
    ],
)
def test_years_go_by_their_own_days(first: str, end: str, years: Fraction) -> None:
    """A day of a leap year is a 366th of it, another a 365th."""
    assert years == period(first, end).years


@given(days, st.integers(1, LATEST_BILLING_DAY))
def test_every_day_is_in_the_month_it_names(day: date, billing_day: int) -> None:
    """The month of a day holds it, begins on the billing day, is one month, and the next begins where it ends."""
    month = billing_month(day, billing_day, LOS_ANGELES)
    assert month.first <= day < month.end
    assert billing_day == month.first.day == month.end.day
    assert month.months == 1
    assert month.end == billing_month(month.end, billing_day, LOS_ANGELES).first


@given(days, st.integers(1, 400), st.integers(1, 400))
def test_years_add_up(first: date, length: int, more: int) -> None:
    """A period cut anywhere has the years of its parts."""
    middle, end = first + timedelta(days=length), first + timedelta(days=length + more)
    parts = Period(first, middle, LOS_ANGELES).years + Period(middle, end, LOS_ANGELES).years
    assert parts == Period(first, end, LOS_ANGELES).years


def test_a_midnight_that_clocks_skip_is_the_instant_they_do() -> None:
    """Beirut goes from 23:59:59 on 30 March 2024 to 01:00 on the 31st: the days meet there, and nothing is lost."""
    beirut = ZoneInfo("Asia/Beirut")
    before, after = (Period(day, day + timedelta(days=1), beirut) for day in (date(2024, 3, 30), date(2024, 3, 31)))
    assert before.end_utc_ns == after.start_utc_ns
    assert 23 * NANOSECONDS_PER_HOUR == after.end_utc_ns - after.start_utc_ns
    assert date(2024, 3, 31) == local_date(after.start_utc_ns, beirut)


@pytest.mark.parametrize("billing_day", [0, 29, 31])
def test_a_billing_day_is_one_that_every_month_has(billing_day: int) -> None:
    """The 29th and later do not come every month."""
    with pytest.raises(ValueError, match="not within 1 to 28"):
        billing_month(date(2026, 11, 1), billing_day, LOS_ANGELES)


def test_a_period_without_days_is_refused() -> None:
    """Its end is after its first day."""
    with pytest.raises(ValueError, match="no days"):
        period("2026-11-01", "2026-11-01")


@pytest.mark.parametrize("zone", [None, ZoneInfo("UTC"), LOS_ANGELES, ZoneInfo("Pacific/Auckland")])
def test_the_first_and_the_last_dates_have_periods(zone: ZoneInfo | None) -> None:
    """No date is beyond the arithmetic, in any zone; the last month ends with the calendar."""
    always = Period(date.min, date.max, zone)
    assert always.start_utc_ns < 0 < always.end_utc_ns
    assert 9_999 * 12 == always.months
    assert Fraction(9_999) - Fraction(1, 365) == always.years
    assert date.min == billing_month(date.min, 15, zone).first
    assert date.max == billing_month(date.max, 1, zone).end
