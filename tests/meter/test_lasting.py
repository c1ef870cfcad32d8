"""How long a schedule keeps its value: never longer than it does."""

from datetime import datetime, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.calendar import ALL_DAY, EVERY_DAY, Calendar, Hours, Place, Window
from costmeter.meter.lasting import holds_until
from costmeter.meter.schedule import Constant, Schedule, Succession
from costmeter.meter.series import OPEN_END, Series
from tests.depth import examples
from tests.samples import HOUR, MINUTE


def utc(text: str) -> int:
    """UTC nanoseconds of a minute."""
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=timezone.utc).timestamp()) * 10**9


def peak(zone: str) -> Calendar:
    """16:00-21:00 on weekdays, dearer; the rest of the week cheap."""
    windows = (
        Window(frozenset(range(5)), (Hours(960, 1_260),), Decimal(2)),
        Window(EVERY_DAY, ALL_DAY, Decimal(1)),
    )
    return Calendar(Place(ZoneInfo(zone)), windows)


BEGAN = utc("2026-03-06 00:00")
SERIES = Series((BEGAN, BEGAN + 3 * HOUR), (BEGAN + HOUR, BEGAN + 4 * HOUR), (Decimal(1), Decimal(3)))
SCHEDULES: list[Schedule] = [
    Constant(Decimal(1)),
    SERIES,
    *(peak(zone) for zone in ("America/Los_Angeles", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC")),
    Succession((BEGAN + 7 * HOUR, BEGAN + 40 * HOUR), (SERIES, peak("UTC")), BEGAN + 90 * HOUR),
]


@pytest.mark.no_cover  # much of the same: others cover the lines
@pytest.mark.parametrize("schedule", SCHEDULES)
@examples(30)
@given(st.integers(-2_000, 60_000))
def test_nothing_changes_before_it(schedule: Schedule, minute: int) -> None:
    """Value and doubt are the same at every minute up to then, over changes of the clock in spring as well."""
    now_ns = BEGAN + minute * MINUTE
    until_ns = holds_until(schedule, now_ns)
    assert until_ns > now_ns
    for at_ns in range(now_ns, min(until_ns, now_ns + 1_500 * MINUTE), MINUTE):
        assert (schedule.at(now_ns), schedule.doubt(now_ns)) == (schedule.at(at_ns), schedule.doubt(at_ns))


@pytest.mark.parametrize(
    ("schedule", "now", "until"),
    [
        pytest.param(peak("UTC"), "2026-03-06 15:59", "2026-03-06 16:00", id="before-the-peak"),
        pytest.param(peak("UTC"), "2026-03-06 16:00", "2026-03-06 21:00", id="all-of-the-peak"),
        pytest.param(peak("UTC"), "2026-03-06 21:00", "2026-03-07 00:00", id="to-midnight"),
        pytest.param(peak("America/Los_Angeles"), "2026-03-08 08:30", "2026-03-08 08:31", id="the-clock-is-set-at-10"),
        pytest.param(SERIES, "2026-03-06 00:20", "2026-03-06 01:00", id="a-series-to-its-hole"),
        pytest.param(SERIES, "2026-03-06 01:20", "2026-03-06 03:00", id="a-hole-to-its-end"),
    ],
)
def test_edges_by_hand(schedule: Schedule, now: str, until: str) -> None:
    """The next edge of the hours, midnight, or the next minute on the day that the clock is set."""
    assert utc(until) == holds_until(schedule, utc(now))


def test_what_never_changes_holds_for_ever() -> None:
    """A constant has no edge; a series after its end has none either."""
    assert OPEN_END == holds_until(Constant(Decimal(1)), BEGAN) == holds_until(SERIES, BEGAN + 9 * HOUR)
