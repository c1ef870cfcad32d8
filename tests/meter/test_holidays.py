"""Holidays by rule against lists of dates from outside."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.holidays import NAMES, Holidays, Observed, easter

US_FEDERAL = (
    "new_years_day", "martin_luther_king_day", "presidents_day", "memorial_day", "juneteenth", "independence_day",
    "labor_day", "columbus_day", "veterans_day", "thanksgiving_day", "christmas_day",
)  # fmt: skip
ONTARIO = (
    "new_years_day", "family_day", "good_friday", "victoria_day", "canada_day", "civic_holiday", "labour_day",
    "thanksgiving_day_ca", "christmas_day", "boxing_day",
)  # fmt: skip


def weekdays_off(holidays: Holidays, year: int) -> list[str]:
    """Holidays on Monday to Friday, as month-day."""
    days = (date(year, 1, 1) + timedelta(days=number) for number in range(366))
    return [f"{day:%m-%d}" for day in days if day.year == year and day.weekday() < 5 and day in holidays]


@pytest.mark.parametrize(
    ("year", "expected"),
    [
        (2024, "01-01 01-15 02-19 05-27 06-19 07-04 09-02 10-14 11-11 11-28 12-25"),
        (2025, "01-01 01-20 02-17 05-26 06-19 07-04 09-01 10-13 11-11 11-27 12-25"),
        (2026, "01-01 01-19 02-16 05-25 06-19 07-03 09-07 10-12 11-11 11-26 12-25"),
        (2027, "01-01 01-18 02-15 05-31 06-18 07-05 09-06 10-11 11-11 11-25 12-24 12-31"),
    ],
)
def test_us_federal_holidays(year: int, expected: str) -> None:
    """The days on which federal offices close, by the list of the Office of Personnel Management (opm.gov).

    In 2026 Independence Day is a Saturday, kept on 3 July. In 2027 Juneteenth, Independence Day and Christmas move, and
    New Year's Day of 2028, a Saturday, is kept on 31 December 2027.
    """
    assert weekdays_off(Holidays(US_FEDERAL, observed="nearest"), year) == expected.split()


@pytest.mark.parametrize(
    ("year", "expected"),
    [
        (2024, "01-01 02-19 03-29 05-20 07-01 08-05 09-02 10-14 12-25 12-26"),
        (2025, "01-01 02-17 04-18 05-19 07-01 08-04 09-01 10-13 12-25 12-26"),
        (2026, "01-01 02-16 04-03 05-18 07-01 08-03 09-07 10-12 12-25 12-28"),
        (2027, "01-01 02-15 03-26 05-24 07-01 08-02 09-06 10-11 12-27 12-28"),
    ],
)
def test_ontario_holidays(year: int, expected: str) -> None:
    """The days that the Ontario Energy Board counts as weekends (oeb.ca, holidays for time-of-use prices).

    Boxing Day of 2026, a Saturday, moves to Monday; Christmas 2027, a Saturday, to Monday and Boxing Day to Tuesday.
    """
    assert weekdays_off(Holidays(ONTARIO, observed="next"), year) == expected.split()


@pytest.mark.parametrize(
    ("year", "expected"),
    [
        (1961, "04-02"), (2000, "04-23"), (2008, "03-23"), (2011, "04-24"), (2024, "03-31"), (2025, "04-20"),
        (2026, "04-05"), (2027, "03-28"), (2038, "04-25"), (2285, "03-22"),
    ],
)  # fmt: skip
def test_easter(year: int, expected: str) -> None:
    """Easter Sundays of the calendar, with the latest (2038) and the earliest (2285) date there is."""
    assert f"{easter(year):%m-%d}" == expected


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("easter_monday", date(2026, 4, 6)),
        ("ascension_day", date(2026, 5, 14)),
        ("whit_monday", date(2026, 5, 25)),
        ("early_may_bank_holiday", date(2026, 5, 4)),
        ("spring_bank_holiday", date(2026, 5, 25)),
        ("summer_bank_holiday", date(2026, 8, 31)),
        ("labour_day_may", date(2026, 5, 1)),
        ("german_unity_day", date(2026, 10, 3)),
        ("easter_sunday", date(2026, 4, 5)),
    ],
)
def test_european_holidays_of_2026(name: str, day: date) -> None:
    """Bank holidays of England (gov.uk) and holidays of the German states of 2026, by name."""
    assert day in Holidays((name,))
    assert day + timedelta(days=1) not in Holidays((name,))


def test_england_moves_both_days_of_christmas() -> None:
    """gov.uk: 25 and 26 December 2021 fell on Saturday and Sunday, and were kept on Monday 27 and Tuesday 28."""
    christmas = Holidays(("christmas_day", "boxing_day"), observed="next")
    assert weekdays_off(christmas, 2021) == ["12-27", "12-28"]


def test_a_date_is_a_holiday_where_it_stands() -> None:
    """Dates that were listed are not moved."""
    saturday = date(2026, 12, 26)
    holidays = Holidays(dates=frozenset((saturday,)), observed="next")
    assert saturday in holidays
    assert date(2026, 12, 28) not in holidays


@given(st.sampled_from(NAMES), st.integers(1970, 2199), st.sampled_from(("nearest", "next")))
def test_a_holiday_is_moved_by_at_most_two_days(name: str, year: int, observed: Observed) -> None:
    """Every year has the holiday, and a weekday at most a day before or two after on which it is kept."""
    days = [date(year, 1, 1) + timedelta(days=number) for number in range(365 + (year % 4 == 0))]
    own = next(day for day in days if day in Holidays((name,)))
    kept = Holidays((name,), observed=observed)
    assert own in kept
    near = [own + timedelta(days=shift) for shift in (-1, 0, 1, 2)]
    assert any(day in kept and day.weekday() < 5 for day in near)
