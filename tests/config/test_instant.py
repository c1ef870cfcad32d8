"""Instants in text: what is read, and what is refused with a word on what to write."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.config.instant import midnight_ns, read_instant
from costmeter.units import NANOSECONDS_PER_SECOND

INSTANTS = st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30)).map(
    lambda at: at.replace(second=0, microsecond=0, tzinfo=timezone.utc)
)


@given(INSTANTS, st.integers(-14 * 60, 14 * 60))
def test_an_offset_names_the_same_instant(instant: datetime, offset: int) -> None:
    """Written in the time of any offset it is the instant, as the standard library counts it."""
    written = instant.astimezone(timezone(timedelta(minutes=offset))).isoformat(timespec="minutes")
    expected_ns = int(instant.timestamp()) * NANOSECONDS_PER_SECOND
    assert read_instant(written) == ("", expected_ns)
    assert read_instant(f"{instant:%Y-%m-%d %H:%M:00.000Z}") == ("", expected_ns)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        pytest.param("1970-01-01T00:00+00:01", "is not between 1970 and 2199", id="before-1970"),
        pytest.param("2199-12-31T23:59-00:01", "is not between 1970 and 2199", id="after-2199"),
        pytest.param("2026-W01-1T00:00Z", "expected an instant such as 2026-11-22T16:00Z", id="week-of-the-year"),
        pytest.param("2026-06-31T00:00Z", "is no day of the calendar", id="june-31"),
        pytest.param("2026-06-30T00:00", "has no offset; write Z for UTC", id="naive"),
        pytest.param("2026-06-30T00:00:01Z", "is not on a whole minute", id="seconds"),
    ],
)
def test_what_is_no_instant_is_told(written: str, problem: str) -> None:
    """The complaint cites the text and says what is wrong with it."""
    told, found_ns = read_instant(written)
    assert found_ns is None
    assert problem in told
    assert f'"{written}"' in told


def test_a_day_begins_at_its_midnight() -> None:
    """2000-03-01 is day 11,017: 30 years of 365 days, 7 leap days before 2000, January, and 29 days of February."""
    assert midnight_ns("2000-03-01") == (30 * 365 + 7 + 31 + 29) * 86_400 * NANOSECONDS_PER_SECOND
    assert midnight_ns("2001-02-29") is None
