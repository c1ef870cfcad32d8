"""Days as they are written."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.config.day import day


@given(st.dates(date(1970, 1, 1), date(2199, 12, 31)))
def test_a_day_reads_back_and_has_neighbours(written: date) -> None:
    """Each day of the years 1970 to 2199 is the one that was written, and its neighbours stay in the calendar."""
    assert written == day(written.isoformat())
    assert written - timedelta(days=400) < written < written + timedelta(days=400)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("0001-01-01", id="long-ago"),
        pytest.param("1969-12-31", id="the-day-before"),
        pytest.param("2200-01-01", id="too-late"),
        pytest.param("9999-12-31", id="the-last-of-all"),
        pytest.param("2026-02-29", id="no-leap-year"),
        pytest.param("2026-1-1", id="one-digit"),
        pytest.param("20260101", id="no-dashes"),
        pytest.param("２０２６-01-01", id="other-digits"),
        pytest.param("2026-01-01T00:00", id="an-instant"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_is_no_day(text: str) -> None:
    """Another form, another age, or a day that does not exist is none."""
    assert day(text) is None
