"""Whether a schedule ever goes below nothing: never missed, and not said of one that does not."""

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.calendar import ALL_DAY, EVERY_DAY, SUNDAY, Calendar, Place, Window
from costmeter.meter.lowest import can_be_negative
from costmeter.meter.schedule import Constant, Schedule, Succession
from costmeter.meter.series import Series
from tests.samples import HOUR

PRICE = st.decimals("-0.5", "0.5", places=2)


def series(*values: Decimal) -> Series:
    """Hourly values from 1970 on."""
    starts = tuple(hour * HOUR for hour in range(len(values)))
    return Series(starts, tuple(start + HOUR for start in starts), values)


def sundays(on_sunday: Decimal, else_: Decimal) -> Calendar:
    """One price on Sundays, another one else."""
    windows = (Window(frozenset({SUNDAY}), ALL_DAY, on_sunday), Window(EVERY_DAY, ALL_DAY, else_))
    return Calendar(Place(ZoneInfo("UTC")), windows)


SIMPLE: st.SearchStrategy[Schedule] = st.one_of(
    st.builds(Constant, PRICE),
    st.lists(PRICE, min_size=1, max_size=5).map(lambda values: series(*values)),
    st.builds(sundays, PRICE, PRICE),
)
SCHEDULES = st.one_of(
    SIMPLE, st.lists(SIMPLE, min_size=2, max_size=2).map(lambda two: Succession((0, 200 * HOUR), tuple(two)))
)


@given(SCHEDULES)
def test_it_is_said_just_where_some_hour_is_below_nothing(schedule: Schedule) -> None:
    """Two weeks and more of hours, with every weekday, every value of a series and both halves of a succession."""
    assert can_be_negative(schedule) == any(schedule.at(hour * HOUR) < 0 for hour in range(400))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        pytest.param(Constant(Decimal("-0.0")), False, id="a-nothing-with-a-sign"),
        pytest.param(series(Decimal(1), Decimal("-1e-9")), True, id="one-hour-of-many"),
        pytest.param(sundays(Decimal("-0.01"), Decimal(1)), True, id="sundays"),
        pytest.param(Succession((0, HOUR), (Constant(Decimal(1)), Constant(Decimal(-1)))), True, id="later"),
    ],
)
def test_whether_a_schedule_is_ever_below_nothing(schedule: Schedule, expected: bool) -> None:
    """However seldom, and whenever."""
    assert can_be_negative(schedule) is expected


def test_of_what_nobody_knows_anything_may_be() -> None:
    """A schedule of another kind is not looked into."""

    class Strange:
        def at(self, utc_ns: int) -> Decimal:
            return Decimal(1)

        def doubt(self, utc_ns: int) -> str:
            return ""

    assert can_be_negative(Strange())
