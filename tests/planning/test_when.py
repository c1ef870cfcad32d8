"""Windows: the least over edges is the least over all minutes, to the last digit."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmeter.meter.calendar import ALL_DAY, EVERY_DAY, Calendar, Hours, Place
from costmeter.meter.calendar import Window as Rule
from costmeter.meter.schedule import Constant, Schedule
from costmeter.meter.series import Series
from costmeter.planning.when import Search, Track, Window, best, window, windows
from costmeter.units import NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND

MINUTE = NANOSECONDS_PER_MINUTE
PRICE = st.decimals(min_value=-1, max_value=1, places=3)
#: Lengths in minutes, and prices, of stretches that follow one another; a price of None is a hole.
STRETCHES = st.lists(st.tuples(st.integers(1, 40), st.none() | PRICE), min_size=1, max_size=6).filter(
    lambda stretches: any(price is not None for _, price in stretches)
)


def series(stretches: list[tuple[int, Decimal | None]]) -> Series:
    """The stretches as a series from 1970 on, with its holes."""
    starts, ends, values, at = [], [], [], 0
    for minutes, price in stretches:
        if price is not None:
            starts.append(at * MINUTE)
            ends.append((at + minutes) * MINUTE)
            values.append(price)
        at += minutes
    return Series(tuple(starts), tuple(ends), tuple(values))


def naive(schedule: Schedule, start: int, minutes: Decimal) -> Decimal | None:
    """Price-minutes of a window, a minute after the other; None where one of them is doubted."""
    total, left = Decimal(0), minutes
    while left > 0:
        if schedule.doubt(start * MINUTE):
            return None
        total += schedule.at(start * MINUTE) * min(left, Decimal(1))
        start, left = start + 1, left - 1
    return total


@settings(max_examples=150)
@given(STRETCHES, STRETCHES, st.decimals("0.5", 60, places=1), st.integers(0, 150))
def test_no_minute_is_better_than_the_best_found(
    first: list[tuple[int, Decimal | None]],
    second: list[tuple[int, Decimal | None]],
    minutes: Decimal,
    last: int,
) -> None:
    """Every start is tried the slow way: the least is the same, at the earliest start that has it, or there is none."""
    schedules = [series(first), series(second)]
    tracks = [Track("electricity", schedule, Decimal(60)) for schedule in schedules]
    slowly = []
    for start in range(last + 1):
        sums = [naive(schedule, start, minutes) for schedule in schedules]
        known = [each for each in sums if each is not None]
        if len(known) == 2:
            slowly.append((sum(known, Decimal(0)), start * MINUTE))

    found = windows(tracks, Search(0, last * MINUTE, minutes))

    assert bool(slowly) == bool(found)
    if found:
        chosen = best(found, (0, 1))
        assert min(slowly) == (sum(chosen.amounts), chosen.start_ns)


@given(STRETCHES, st.integers(1, 60), st.integers(0, 100))
def test_a_window_costs_the_sum_of_its_minutes(
    stretches: list[tuple[int, Decimal | None]], minutes: int, start: int
) -> None:
    """Edges inside a window are straddled exactly, wherever it starts."""
    schedule = series(stretches)
    found = window([Track("electricity", schedule, Decimal(60))], start * MINUTE, Decimal(minutes))
    expected = naive(schedule, start, Decimal(minutes))
    assert expected == (None if found is None else found.amounts[0])


def test_equals_go_to_the_earliest() -> None:
    """Under a constant price every start costs the same, and the first is taken."""
    found = windows([Track("electricity", Constant(Decimal(1)), Decimal(2))], Search(0, 100 * MINUTE, Decimal(30)))
    assert Window(0, (Decimal(1),)) == best(found, (0,))


def test_a_search_that_ends_before_it_begins_finds_nothing() -> None:
    """A last start before the first is no start."""
    assert [] == windows([Track("electricity", Constant(Decimal(1)), Decimal(1))], Search(MINUTE, 0, Decimal(30)))


def utc_ns(year: int, month: int, day: int, hour: int) -> int:
    return int(datetime(year, month, day, hour, tzinfo=ZoneInfo("UTC")).timestamp()) * NANOSECONDS_PER_SECOND


@pytest.mark.parametrize(
    ("from_ns", "start_ns", "cost"),
    [
        # 28 July 2025: Berlin is UTC+2, 02:00-03:00 is one hour at 0.10; a window of 2 h costs 0.10 + 0.30.
        pytest.param(utc_ns(2025, 7, 27, 22), utc_ns(2025, 7, 27, 23), "0.40", id="an-ordinary-night"),
        # 26 October 2025: the hour 02:00-03:00 comes twice, 00:00Z-02:00Z; a window of 2 h fits inside, 2 × 0.10.
        pytest.param(utc_ns(2025, 10, 25, 22), utc_ns(2025, 10, 26, 0), "0.20", id="the-night-of-25-hours"),
        # 30 March 2025: 02:00-03:00 is skipped, nothing is cheap; 2 × 0.30 from the first minute on.
        pytest.param(utc_ns(2025, 3, 29, 23), utc_ns(2025, 3, 29, 23), "0.60", id="the-night-of-23-hours"),
    ],
)
def test_the_clock_changes_change_what_a_night_has(from_ns: int, start_ns: int, cost: str) -> None:
    """A cheap hour of the wall clock is two hours in autumn and none in spring."""
    cheap = Rule(EVERY_DAY, (Hours(120, 180),), Decimal("0.10"))
    rest = Rule(EVERY_DAY, ALL_DAY, Decimal("0.30"))
    track = Track("electricity", Calendar(Place(ZoneInfo("Europe/Berlin")), (cheap, rest)), Decimal(1))
    found = windows([track], Search(from_ns, from_ns + 6 * 60 * MINUTE, Decimal(120)))
    assert Window(start_ns, (Decimal(cost),)) == best(found, (0,))
