"""Schedules: which price holds when, on ordinary days and on the nights when clocks change."""

from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.calendar import ALL_DAY, EVERY_DAY, Calendar, Gap, Hours, Place, Window, gap
from costmeter.meter.schedule import Constant
from costmeter.units import NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND

WEEKDAYS, WEEKEND = frozenset(range(5)), frozenset((5, 6))
PEAK, NIGHT, REST = Decimal("0.30"), Decimal("0.05"), Decimal("0.12")
OTHER = Window(EVERY_DAY, ALL_DAY, REST)


def utc_ns(iso: str) -> int:
    """Nanoseconds of an ISO instant with its offset."""
    return int(datetime.fromisoformat(iso).timestamp()) * NANOSECONDS_PER_SECOND


def weekly(zone: str, *windows: Window) -> Calendar:
    return Calendar(Place(ZoneInfo(zone)), (*windows, OTHER))


def minutes_at(schedule: Calendar, value: Decimal, start: str, hours: int) -> int:
    """How many of the minutes from `start` have a value."""
    first = utc_ns(start)
    return sum(schedule.at(first + minute * NANOSECONDS_PER_MINUTE) == value for minute in range(hours * 60))


NIGHT_0_TO_6 = Window(EVERY_DAY, (Hours(0, 360),), NIGHT)
PEAK_16_TO_21 = Window(WEEKDAYS, (Hours(960, 1260),), PEAK)


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        pytest.param("2026-07-01T15:59:59-07:00", REST, id="a-second-before"),
        pytest.param("2026-07-01T16:00:00-07:00", PEAK, id="start-is-inside"),
        pytest.param("2026-07-01T20:59:59-07:00", PEAK, id="last-second"),
        pytest.param("2026-07-01T21:00:00-07:00", REST, id="end-is-outside"),
        pytest.param("2026-07-04T17:00:00-07:00", REST, id="saturday"),
        pytest.param("2026-07-04T00:30:00+00:00", PEAK, id="friday-here-saturday-in-utc"),
        pytest.param("2026-01-05T23:59:00+00:00", REST, id="winter-offset-before"),
        pytest.param("2026-01-06T00:00:00+00:00", PEAK, id="winter-offset-at-start"),
    ],
)
def test_windows_follow_the_local_wall_clock(instant: str, expected: Decimal) -> None:
    """A window holds from its local start to just before its local end, on its local weekdays."""
    assert expected == weekly("America/Los_Angeles", PEAK_16_TO_21).at(utc_ns(instant))


@pytest.mark.parametrize(
    ("zone", "start", "hours", "expected"),
    [
        pytest.param("America/Los_Angeles", "2026-03-08T00:00:00-08:00", 23, 300, id="los-angeles-spring-23-h"),
        pytest.param("America/Los_Angeles", "2026-11-01T00:00:00-07:00", 25, 420, id="los-angeles-autumn-25-h"),
        pytest.param("America/Los_Angeles", "2026-06-01T00:00:00-07:00", 24, 360, id="los-angeles-24-h"),
        pytest.param("Europe/Berlin", "2026-03-29T00:00:00+01:00", 23, 300, id="berlin-spring-23-h"),
        pytest.param("Europe/Berlin", "2026-10-25T00:00:00+02:00", 25, 420, id="berlin-autumn-25-h"),
    ],
)
def test_a_night_window_loses_or_gains_the_changed_hour(zone: str, start: str, hours: int, expected: int) -> None:
    """Of 00:00-06:00 local, 5 hours exist in spring (02:00 jumps to 03:00), 7 in autumn (one hour comes twice)."""
    assert expected == minutes_at(weekly(zone, NIGHT_0_TO_6), NIGHT, start, hours)


@pytest.mark.parametrize(
    ("zone", "instants"),
    [
        pytest.param(
            "America/Los_Angeles",
            {
                # Clocks go 01:59:59 PDT -> 01:00:00 PST at 09:00 UTC. 01:30 comes at 08:30 and again at 09:30 UTC.
                "2026-11-01T07:59:00+00:00": REST,  # 00:59 PDT
                "2026-11-01T08:30:00+00:00": NIGHT,  # 01:30 PDT
                "2026-11-01T09:30:00+00:00": NIGHT,  # 01:30 PST
                "2026-11-01T10:00:00+00:00": REST,  # 02:00 PST
            },
            id="los-angeles-autumn",
        ),
        pytest.param(
            "Europe/Berlin",
            {
                # Clocks go 01:59:59 CET -> 03:00:00 CEST at 01:00 UTC.
                "2026-03-28T23:59:00+00:00": REST,  # 00:59 CET
                "2026-03-29T00:30:00+00:00": NIGHT,  # 01:30 CET
                "2026-03-29T01:00:00+00:00": REST,  # 03:00 CEST: 02:00 never was
            },
            id="berlin-spring",
        ),
    ],
)
def test_a_window_over_the_change_holds_by_what_the_clock_shows(zone: str, instants: dict[str, Decimal]) -> None:
    """01:00-02:00 has its price in both of its autumn hours, and ends at the jump in spring."""
    schedule = weekly(zone, Window(EVERY_DAY, (Hours(60, 120),), NIGHT))
    assert instants == {instant: schedule.at(utc_ns(instant)) for instant in instants}


def test_a_skipped_window_never_holds() -> None:
    """02:00-03:00 does not exist on the spring night of Los Angeles, so its price is never charged that day."""
    schedule = weekly("America/Los_Angeles", Window(EVERY_DAY, (Hours(120, 180),), NIGHT))
    assert minutes_at(schedule, NIGHT, "2026-03-08T00:00:00-08:00", 23) == 0


def test_a_repeated_window_holds_twice() -> None:
    """02:00-03:00 of Berlin comes twice on the autumn night: 120 minutes."""
    schedule = weekly("Europe/Berlin", Window(EVERY_DAY, (Hours(120, 180),), NIGHT))
    assert minutes_at(schedule, NIGHT, "2026-10-25T00:00:00+02:00", 25) == 120


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        pytest.param("2026-07-03T05:59:00-07:00", NIGHT, id="friday-early"),
        pytest.param("2026-07-03T06:00:00-07:00", REST, id="friday-morning"),
        pytest.param("2026-07-03T22:00:00-07:00", NIGHT, id="friday-late"),
        pytest.param("2026-07-04T00:00:00-07:00", REST, id="saturday-early-is-saturday"),
    ],
)
def test_hours_over_midnight_belong_to_the_date_of_each_instant(instant: str, expected: Decimal) -> None:
    """Friday 22:00-06:00 is the end and the beginning of Friday, and no part of Saturday."""
    schedule = weekly("America/Los_Angeles", Window(frozenset((4,)), (Hours(1320, 360),), NIGHT))
    assert expected == schedule.at(utc_ns(instant))


@pytest.mark.parametrize(
    ("zone", "instant", "expected"),
    [
        pytest.param("Asia/Kolkata", "2026-05-04T00:29:59+00:00", NIGHT, id="plus-5-30-last-second"),
        pytest.param("Asia/Kolkata", "2026-05-04T00:30:00+00:00", REST, id="plus-5-30-edge"),
        pytest.param("Asia/Kathmandu", "2026-05-04T00:14:59+00:00", NIGHT, id="plus-5-45-last-second"),
        pytest.param("Asia/Kathmandu", "2026-05-04T00:15:00+00:00", REST, id="plus-5-45-edge"),
        pytest.param("America/St_Johns", "2026-05-04T08:30:00+00:00", REST, id="minus-2-30-edge"),
        pytest.param("America/Phoenix", "2026-07-04T13:00:00+00:00", REST, id="no-summer-time"),
    ],
)
def test_offsets_need_not_be_whole_hours(zone: str, instant: str, expected: Decimal) -> None:
    """06:00 local is where it is, at :30 and :45 of UTC too."""
    assert expected == weekly(zone, NIGHT_0_TO_6).at(utc_ns(instant))


def test_first_match_wins() -> None:
    """Of two windows that hold, the one written first gives the value."""
    assert (
        weekly("UTC", PEAK_16_TO_21, Window(EVERY_DAY, ALL_DAY, NIGHT)).at(utc_ns("2026-07-01T17:00:00+00:00")) == PEAK
    )


def test_a_constant_is_the_same_at_all_times() -> None:
    """A constant ignores the instant."""
    assert {Constant(REST).at(instant) for instant in (0, -(10**18), 2 * 10**18)} == {REST}


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        pytest.param((OTHER,), None, id="all-covered"),
        pytest.param((), (0, 0), id="nothing"),
        pytest.param((Window(WEEKDAYS, ALL_DAY, REST),), (5, 0), id="no-weekend"),
        pytest.param((Window(EVERY_DAY, (Hours(0, 1439),), REST),), (0, 1439), id="one-minute-missing"),
        pytest.param((Window(EVERY_DAY, (Hours(1320, 360), Hours(420, 1320)),  REST),), (0, 360), id="hole-at-six"),
        pytest.param((Window(EVERY_DAY, (Hours(1320, 360), Hours(360, 1320)), REST),), None, id="night-and-day"),
    ],
)  # fmt: skip
def test_gap_is_the_first_uncovered_minute(windows: tuple[Window, ...], expected: tuple[int, int] | None) -> None:
    """A week with a hole is found out, and its first uncovered minute named."""
    assert (None if expected is None else Gap(*expected, None)) == gap(windows)


def test_a_week_with_a_hole_is_no_schedule() -> None:
    """Windows that leave a part of the week without a value are refused when built, not when asked."""
    with pytest.raises(ValueError, match="weekday 5"):
        Calendar(Place(timezone.utc), (Window(WEEKDAYS, ALL_DAY, REST),))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param(0, 0, id="empty"),
        pytest.param(1440, 60, id="start-at-24"),
        pytest.param(-1, 60, id="before-midnight"),
        pytest.param(0, 1441, id="after-midnight"),
    ],
)
def test_hours_are_within_a_day(start: int, end: int) -> None:
    """Hours that are empty or outside a day are refused."""
    with pytest.raises(ValueError, match=r"hours|minutes"):
        Hours(start, end)


ZONES = st.sampled_from(
    ["UTC", "America/Los_Angeles", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]
).map(ZoneInfo)
INSTANTS = st.integers(0, 4_000_000_000 * NANOSECONDS_PER_SECOND)
HOURS = st.tuples(st.integers(0, 1439), st.integers(0, 1440)).filter(lambda t: t[0] != t[1]).map(lambda t: Hours(*t))
WINDOWS = st.lists(
    st.builds(
        Window,
        st.frozensets(st.integers(0, 6)),
        st.lists(HOURS, max_size=3).map(tuple),
        st.decimals(-1, 1, places=4),
    ),
    max_size=5,
)


@given(ZONES, WINDOWS, INSTANTS)
def test_value_is_that_of_the_first_window_by_the_local_clock(zone: tzinfo, windows: list[Window], at: int) -> None:
    """The value agrees with a second way of finding the local time, and some window always has one."""
    schedule = Calendar(Place(zone), (*windows, OTHER))
    local = (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=at // 1_000)).astimezone(zone)
    today = [window for window in schedule.windows if local.isoweekday() - 1 in window.weekdays]
    held = [window for window in today if any(hours.contain(local.hour * 60 + local.minute) for hours in window.hours)]
    assert held[0].value == schedule.at(at)


@given(ZONES, WINDOWS, INSTANTS, st.integers(0, NANOSECONDS_PER_MINUTE - 1))
def test_value_is_constant_within_a_utc_minute(zone: tzinfo, windows: list[Window], at: int, within: int) -> None:
    """Rates asked for at a UTC minute's edge hold for the whole minute: no window starts inside one."""
    schedule = Calendar(Place(zone), (*windows, OTHER))
    edge = at // NANOSECONDS_PER_MINUTE * NANOSECONDS_PER_MINUTE
    assert schedule.at(edge) == schedule.at(edge + within)


@given(HOURS)
def test_hours_contain_as_many_minutes_as_they_are_long(hours: Hours) -> None:
    """End exclusive, over midnight too: the minutes inside are end minus start, modulo a day."""
    expected = (hours.end_minute - hours.start_minute) % 1440 or 1440
    assert expected == sum(map(hours.contain, range(1440)))
