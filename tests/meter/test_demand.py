"""Demand: the mean over intervals, the highest of them, and what tiers make of it."""

from datetime import datetime, timezone
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.calendar import ALL_DAY, EVERY_DAY, Place, Window
from costmeter.meter.demand import Peak, interval_start, peak, tiered
from costmeter.meter.tariff import DemandCharge, Tier
from costmeter.units import MICROJOULES_PER_KWH, NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND

WINDOW = Window(EVERY_DAY, ALL_DAY, Decimal(0))
TIERS = (Tier(Decimal("24.368"), Decimal(100)), Tier(Decimal("17.031")))


def charge(minutes: int = 15, tiers: tuple[Tier, ...] = (Tier(Decimal(10)),)) -> DemandCharge:
    return DemandCharge("maximum", WINDOW, (), tiers, minutes)


@pytest.mark.parametrize(("minutes", "kilowatts"), [(15, 8), (30, 4), (60, 2), (5, 24)])
def test_a_mean_is_over_the_whole_interval(minutes: int, kilowatts: int) -> None:
    """2 kWh are 8 kW over a quarter of an hour, 4 over half of one, 2 over a whole."""
    found = peak(charge(minutes), {0: 2 * MICROJOULES_PER_KWH}, Fraction(1))
    assert Peak("maximum", Fraction(kilowatts), 0, Fraction(10 * kilowatts)) == found


def test_the_first_of_equal_peaks_is_told() -> None:
    """The highest counts, and of two equal ones the earlier names the instant."""
    quarter_ns = 15 * NANOSECONDS_PER_MINUTE
    drawn = {2 * quarter_ns: 7, 0: 3, quarter_ns: 7}
    assert quarter_ns == peak(charge(), drawn, Fraction(1)).at_utc_ns


def test_without_use_there_is_no_peak() -> None:
    """Nothing was drawn in the charge's hours: no power, no instant, nothing to pay."""
    assert Peak("maximum", Fraction(0), None, Fraction(0)) == peak(charge(), {}, Fraction(1))


def test_a_part_of_a_period_bears_its_part_of_the_charge() -> None:
    """10 of 30 days of a price sheet: the peak is what it is, the charge a third."""
    found = peak(charge(), {0: MICROJOULES_PER_KWH}, Fraction(1, 3))
    assert (Fraction(4), Fraction(40, 3)) == (found.kilowatts, found.amount)


@pytest.mark.parametrize(
    ("kilowatts", "amount"),
    [("0", "0"), ("40", "974.72"), ("100", "2436.8"), ("150", "3288.35")],
)
def test_tiers_fill_one_after_the_other(kilowatts: str, amount: str) -> None:
    """The published example: 24.368 up to 100 kW, then 17.031: 150 kW are 2,436.80 + 50 × 17.031 = 3,288.35."""
    assert Fraction(Decimal(amount)) == tiered(Fraction(Decimal(kilowatts)), TIERS, Fraction(1))


@pytest.mark.parametrize(
    ("zone", "instant", "minutes", "expected"),
    [
        pytest.param("America/Denver", "2026-07-06T08:44-06:00", 15, "2026-07-06T08:30-06:00", id="quarter"),
        pytest.param("Asia/Kathmandu", "2026-07-06T08:44+05:45", 60, "2026-07-06T08:00+05:45", id="hour-of-nepal"),
        pytest.param("Asia/Kolkata", "2026-07-06T08:44+05:30", 60, "2026-07-06T08:00+05:30", id="hour-of-india"),
        pytest.param("Europe/Berlin", "2026-10-25T02:20+02:00", 30, "2026-10-25T02:00+02:00", id="first-2-o-clock"),
        pytest.param("Europe/Berlin", "2026-10-25T02:20+01:00", 30, "2026-10-25T02:00+01:00", id="second-2-o-clock"),
        pytest.param("Europe/Berlin", "2026-03-29T03:10+02:00", 60, "2026-03-29T03:00+02:00", id="after-the-jump"),
    ],
)
def test_intervals_are_aligned_to_the_local_clock(zone: str, instant: str, minutes: int, expected: str) -> None:
    """Where offsets are of 30 or 45 minutes too, and in each of the two hours that autumn has at two o'clock."""
    utc_ns = _utc_ns(instant)
    local = Place(ZoneInfo(zone)).local(utc_ns)
    assert _utc_ns(expected) == interval_start(utc_ns, local.minute, minutes)


def _utc_ns(iso: str) -> int:
    return int(datetime.fromisoformat(iso).astimezone(timezone.utc).timestamp()) * NANOSECONDS_PER_SECOND


@given(st.fractions(0, 10**6), st.fractions(0, 10**6), st.lists(st.integers(0, 1_000), min_size=1, max_size=4))
def test_more_never_costs_less(quantity: Fraction, more: Fraction, limits: list[int]) -> None:
    """Whatever prices of at least nothing the tiers have, and where their limits are out of order, too."""
    tiers = (*(Tier(Decimal(7 - place), Decimal(limit)) for place, limit in enumerate(limits)), Tier(Decimal(1)))
    assert tiered(quantity, tiers, Fraction(1)) <= tiered(quantity + more, tiers, Fraction(1))
