"""Means over time of what a run that has no date yet is priced by."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from costmeter.meter.calendar import ALL_DAY, EVERY_DAY, Calendar, Hours, Place, Window
from costmeter.meter.charge import Origin
from costmeter.meter.schedule import Constant, Schedule, Succession
from costmeter.meter.series import OPEN_END, Series
from costmeter.planning.average import average, averaged
from costmeter.rates.book import Sourced
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_SECOND

HOUR = NANOSECONDS_PER_HOUR
NEW_YEAR = int(datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")).timestamp()) * NANOSECONDS_PER_SECOND
PEAK = Calendar(
    Place(ZoneInfo("UTC")),
    (
        Window(frozenset(range(5)), (Hours(16 * 60, 21 * 60),), Decimal("0.30")),
        Window(EVERY_DAY, ALL_DAY, Decimal("0.10")),
    ),
)


def series(*values: str, end_ns: int | None = None) -> Series:
    """An hour for each value, from 1970 on; the last may be open."""
    ends = [(place + 1) * HOUR for place in range(len(values))]
    ends[-1] = end_ns or ends[-1]
    return Series(tuple(place * HOUR for place in range(len(values))), tuple(ends), tuple(map(Decimal, values)))


def test_a_calendar_is_averaged_over_the_coming_year() -> None:
    """2026 has 261 weekdays: (261 × 5 h × 0.30 + (8,760 - 1,305) h × 0.10) / 8,760 h = 0.12979452..."""
    mean, words = average(PEAK, NEW_YEAR)
    assert (Decimal("0.12979452"), "mean of the coming year") == (round(mean, 8), words)


@pytest.mark.parametrize(
    ("schedule", "expected", "words"),
    [
        pytest.param(Constant(Decimal(3)), "3", "", id="constant"),
        pytest.param(
            series("1", "2", "6"), "3", "mean of the series, 1970-01-01T00:00Z to 1970-01-01T03:00Z", id="series"
        ),
        pytest.param(series("-1", "5", end_ns=5 * HOUR), "3.8", "mean of the series", id="lengths-weigh"),
        pytest.param(series("1", "9", end_ns=OPEN_END), "1", "mean of the series", id="an-open-end-has-no-weight"),
        pytest.param(series("9", end_ns=OPEN_END), "9", "the value since 1970-01-01T00:00Z", id="only-an-open-end"),
        pytest.param(
            Succession((0, HOUR), (Constant(Decimal(1)), series("2", "4"))),
            "3",
            "mean of the series",
            id="the-sheet-that-holds",
        ),
        pytest.param(Succession((0,), (Constant(Decimal(7)),)), "7", "", id="a-sheet-that-never-changes"),
    ],
)
def test_a_mean_says_what_it_is_of(schedule: Schedule, expected: str, words: str) -> None:
    """A series is averaged over all it has, weighted by length; what never changes needs no words."""
    mean, said = average(schedule, NEW_YEAR)
    assert Decimal(expected) == mean
    assert said.startswith(words)
    assert bool(words) == bool(said)


@pytest.mark.parametrize(
    ("schedule", "mean", "word", "detail"),
    [
        pytest.param(
            Series((0, 2 * HOUR), (HOUR, 3 * HOUR), (Decimal(1), Decimal(3))),
            "2",
            "configured",
            "mean of the series, 1970-01-01T00:00Z to 1970-01-01T03:00Z; p.csv",
            id="a-hole-has-no-part-in-a-mean",
        ),
        pytest.param(
            Succession((0,), (series("1", "3"),), HOUR),
            "2",
            "estimated",
            "mean of the series, 1970-01-01T00:00Z to 1970-01-01T02:00Z; valid until 1970-01-01T01:00Z only; p.csv",
            id="a-sheet-that-is-no-longer-valid",
        ),
        pytest.param(
            Succession((0,), (Constant(Decimal(7)),), HOUR),
            "7",
            "estimated",
            "valid until 1970-01-01T01:00Z only; p.csv",
            id="an-old-price-that-never-changed",
        ),
        pytest.param(Constant(Decimal(7)), "7", "configured", "p.csv", id="constant"),
    ],
)
def test_a_mean_is_doubted_for_what_it_is_made_of(schedule: Schedule, mean: str, word: str, detail: str) -> None:
    """A value that is held after the last one is in no mean of a series; a sheet out of date makes any an estimate."""
    figure = Sourced(schedule, Origin("configured", "p.csv"))
    assert (Decimal(mean), Origin(word, detail)) == averaged(figure, NEW_YEAR)
