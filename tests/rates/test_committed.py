"""What a term costs in a month, and which metered rental it stands in place of."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.period import Period
from costmeter.rates.commitment import Commitment
from costmeter.rates.committed import Rented, committed
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_MINUTE

UTC, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")
MINUTES_PER_HOUR = 60


def month(first: str, end: str, zone: ZoneInfo = UTC) -> Period:
    return Period(date.fromisoformat(first), date.fromisoformat(end), zone)


def term(gpus: int, price: str, first: str, end: str, upfront: str = "0") -> Commitment:
    return Commitment(gpus, Decimal(price), date.fromisoformat(first), date.fromisoformat(end), Decimal(upfront))


def rented(period: Period, minutes: int, gpus: int, price_per_hour: str, start_minute: int = 0) -> dict[int, Rented]:
    """So many GPUs for so many minutes of a period, at a price each."""
    rental = gpus * Decimal(price_per_hour) / MINUTES_PER_HOUR
    starts = range(start_minute, start_minute + minutes)
    return {
        period.start_utc_ns + minute * NANOSECONDS_PER_MINUTE: Rented(gpus * NANOSECONDS_PER_MINUTE, rental)
        for minute in starts
    }


APRIL = month("2026-04-01", "2026-05-01")


def test_the_break_even_of_a_reserved_year() -> None:
    """Azure's H100 machine, one year at 551,221 USD or 98.32 per hour: even at 64.0 % of the hours (DATA.md §2).

    April's share is 551,221 × 720 / 8,760 = 45,305.835616. 460.8 of its 720 hours at 98.32 are 45,305.856: the
    commitment saves two cents. One hour less, 98.32 of rent, and it loses.
    """
    year = term(1, "0", "2026-01-01", "2027-01-01", "551221")
    even = committed([year], APRIL, rented(APRIL, 27_648, 1, "98.32"))
    assert Decimal("45305.835616") == round(even.cost, 6)
    assert Decimal("-0.020384") == round(even.adjustment, 6)
    less = committed([year], APRIL, rented(APRIL, 27_588, 1, "98.32"))
    assert Decimal("98.299616") == round(less.adjustment, 6)


def test_unused_hours_cost_all_the_same() -> None:
    """4 GPUs at 1.50 for the 720 h of April are 4,320.00, whoever used them."""
    idle = committed([term(4, "1.50", "2026-01-01", "2027-01-01")], APRIL, {})
    assert (Decimal(4_320), Decimal(0)) == (idle.cost, idle.covered_rental)
    assert 4 * 720 * NANOSECONDS_PER_HOUR == idle.nanoseconds


def test_gpus_beyond_the_commitment_are_paid_as_metered() -> None:
    """8 GPUs at 2.49 for 10 h, of which 6 are committed: 60 of 80 GPU-hours, 149.40 of 199.20, are covered."""
    use = committed([term(6, "1.50", "2026-01-01", "2027-01-01")], APRIL, rented(APRIL, 600, 8, "2.49"))
    assert Decimal("149.4") == use.covered_rental
    assert 60 * NANOSECONDS_PER_HOUR == use.covered_nanoseconds
    assert Decimal(6_480) - Decimal("149.4") == use.adjustment


def test_a_busy_hour_does_not_cover_a_quiet_one() -> None:
    """One GPU is committed: of 2 GPUs in the first hour and none in the next, one GPU-hour is covered."""
    use = committed([term(1, "1", "2026-04-01", "2026-05-01")], APRIL, rented(APRIL, 60, 2, "3"))
    assert Decimal(3) == use.covered_rental


def test_two_commitments_cover_together() -> None:
    """2 GPUs to 10 April, 3 from 5 April on: 5 at once between, and rent of 7 GPUs is covered so far.

    An hour of 7 GPUs at 7.00, at noon of the 2nd, 7th and 12th: 14 + 35 + 21 of 49 each. It costs 2 × 9 × 24 + 3 × 26 ×
    24 = 2,304.
    """
    both = [term(2, "1", "2026-04-01", "2026-04-10"), term(3, "1", "2026-04-05", "2026-05-01")]
    use: dict[int, Rented] = {}
    for day in (2, 7, 12):
        use |= rented(APRIL, 60, 7, "7", ((day - 1) * 24 + 12) * 60)
    found = committed(both, APRIL, use)
    assert Decimal(70) == found.covered_rental
    assert Decimal(432 + 1_872) == found.cost


@pytest.mark.parametrize(
    ("first", "end", "hours"),
    [
        pytest.param("2026-10-01", "2026-11-01", 745, id="october-gains-an-hour"),
        pytest.param("2026-03-01", "2026-04-01", 743, id="march-loses-one"),
        pytest.param("2025-12-15", "2026-01-15", 14 * 24, id="the-term-begins-within"),
        pytest.param("2026-12-15", "2027-01-15", 17 * 24, id="and-ends-within"),
        pytest.param("2027-01-01", "2027-02-01", 0, id="it-is-over"),
    ],
)
def test_the_hours_of_a_month_inside_a_term(first: str, end: str, hours: int) -> None:
    """A term of 2026 in Berlin, at 1 per hour; 8,760 upfront are 1 per hour as well, for its 8,760 hours."""
    found = committed([term(1, "1", "2026-01-01", "2027-01-01", "8760")], month(first, end, BERLIN), {})
    assert Decimal(2 * hours) == found.cost


@given(st.integers(1, 9), st.decimals(0, 50, places=3), st.decimals(0, 10**6, places=2), st.integers(1, 365))
def test_a_term_costs_the_sum_of_its_months(gpus: int, price: Decimal, upfront: Decimal, cut: int) -> None:
    """Cut anywhere, the periods of a term cost what the term does, to 1e-12 each."""
    first, end = date(2026, 1, 1), date(2027, 6, 1)
    middle = date.fromordinal(first.toordinal() + cut)
    of = [Commitment(gpus, price, first, end, upfront)]
    parts = [committed(of, Period(*dates, BERLIN), {}).cost for dates in ((first, middle), (middle, end))]
    whole = committed(of, Period(first, end, BERLIN), {}).cost
    assert abs(sum(parts) - whole) <= Decimal("2e-12")
    hours = Fraction(Period(first, end, BERLIN).end_utc_ns - Period(first, end, BERLIN).start_utc_ns)
    assert abs(whole - upfront - price * gpus * int(hours / NANOSECONDS_PER_HOUR)) <= Decimal("1e-12")


@given(st.lists(st.tuples(st.integers(0, 12), st.decimals(0, 100, places=6)), max_size=30), st.integers(1, 9))
def test_no_more_is_covered_than_was_charged(uses: list[tuple[int, Decimal]], gpus: int) -> None:
    """Covered rental is at most all of it, and covered time at most what is committed and what was used."""
    use = {
        APRIL.start_utc_ns + place * NANOSECONDS_PER_MINUTE: Rented(held * NANOSECONDS_PER_MINUTE, rental)
        for place, (held, rental) in enumerate(uses)
        if held
    }
    found = committed([term(gpus, "1", "2026-01-01", "2027-01-01")], APRIL, use)
    assert 0 <= found.covered_rental <= sum(each.rental for each in use.values())
    assert found.covered_nanoseconds <= min(found.nanoseconds, sum(each.nanoseconds for each in use.values()))
