"""What a term costs in a month, and which metered rental it stands in place of."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.period import Period
from costmeter.rates.commitment import Commitment
from costmeter.rates.committed import Rented, Stretch, committed
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_MINUTE

UTC, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")
MINUTES_PER_HOUR = 60


def month(first: str, end: str, zone: ZoneInfo = UTC) -> Period:
    return Period(date.fromisoformat(first), date.fromisoformat(end), zone)


def term(gpus: int, price: str, first: str, end: str, upfront: str = "0") -> Commitment:
    return Commitment(gpus, Decimal(price), date.fromisoformat(first), date.fromisoformat(end), Decimal(upfront))


def stretch(period: Period, start_minute: float, end_minute: float, fitting: tuple[int, ...] = (0,)) -> Stretch:
    """From one minute of a period to another."""
    start_ns, end_ns = (round(minute * NANOSECONDS_PER_MINUTE) for minute in (start_minute, end_minute))
    return Stretch(period.start_utc_ns + start_ns, period.start_utc_ns + end_ns, fitting)


def rented(
    period: Period, minutes: int, gpus: int, price: str, start_minute: int = 0, fitting: tuple[int, ...] = (0,)
) -> dict[Stretch, Rented]:
    """So many GPUs for so many minutes of a period, at a price per hour each."""
    rental = gpus * Decimal(price) / MINUTES_PER_HOUR
    return {
        stretch(period, minute, minute + 1, fitting): Rented(gpus * NANOSECONDS_PER_MINUTE, rental)
        for minute in range(start_minute, start_minute + minutes)
    }


APRIL = month("2026-04-01", "2026-05-01")


@pytest.mark.no_cover  # much of the same: others cover the lines
def test_the_break_even_of_a_reserved_year() -> None:
    """Azure's H100 machine, one year at 551,221 USD or 98.32 per hour: even at 64.0 % of the hours.

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
    use: dict[Stretch, Rented] = {}
    for day in (2, 7, 12):
        use |= rented(APRIL, 60, 7, "7", ((day - 1) * 24 + 12) * 60, (0, 1))
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
        stretch(APRIL, place, place + 1): Rented(held * NANOSECONDS_PER_MINUTE, rental)
        for place, (held, rental) in enumerate(uses)
        if held
    }
    found = committed([term(gpus, "1", "2026-01-01", "2027-01-01")], APRIL, use)
    assert 0 <= found.covered_rental <= sum(each.rental for each in use.values())
    assert found.covered_nanoseconds <= min(found.nanoseconds, sum(each.nanoseconds for each in use.values()))


def test_a_part_of_a_minute_is_covered_for_that_part() -> None:
    """16 GPUs at 2.49 for 30 s, 8 committed: half of 16 × 2.49 / 120 = 0.332 is covered, 0.166, and not all of it."""
    use = {stretch(APRIL, 0, 0.5): Rented(8 * NANOSECONDS_PER_MINUTE, Decimal("0.332"))}
    found = committed([term(8, "1", "2026-01-01", "2027-01-01")], APRIL, use)
    assert (Decimal("0.166"), 4 * NANOSECONDS_PER_MINUTE) == (found.covered_rental, found.covered_nanoseconds)


def test_runs_that_overlap_share_a_commitment_while_they_do() -> None:
    """8 committed; A has 8 GPUs from 0 to 40 s, B another 8 from 20 to 60 s, at 60 an hour: 1 a GPU-minute.

    From 0 to 20 and from 40 to 60 s 8 run, and between them 16, of which 8 are covered: 8 GPU-minutes of 10⅔.
    """
    each = Rented(round(8 * NANOSECONDS_PER_MINUTE * 2 / 3), Decimal(16) / 3)
    use = {stretch(APRIL, 0, 2 / 3): each, stretch(APRIL, 1 / 3, 1): each}
    found = committed([term(8, "1", "2026-01-01", "2027-01-01")], APRIL, use)
    assert Decimal(8) == round(found.covered_rental, 6)
    assert 8 * NANOSECONDS_PER_MINUTE == found.covered_nanoseconds


def test_a_long_record_is_covered_for_all_of_it() -> None:
    """A record of 10 minutes, as of a gap, in which 2 GPUs were held: 1 committed covers half."""
    use = {stretch(APRIL, 0, 10): Rented(20 * NANOSECONDS_PER_MINUTE, Decimal(20))}
    assert Decimal(10) == committed([term(1, "1", "2026-04-01", "2026-05-01")], APRIL, use).covered_rental


def test_a_commitment_covers_only_the_gpus_it_is_for() -> None:
    """Two models run: the first has 2 committed, the second 1; 4 of the first at 3 and 4 of the second at 1 per hour.

    An hour covers 2 × 3 + 1 × 1 = 7, and rent that no commitment is for stays as metered.
    """
    both = [term(2, "1", "2026-04-01", "2026-05-01"), term(1, "1", "2026-04-01", "2026-05-01")]
    use = rented(APRIL, 60, 4, "3", fitting=(0,)) | rented(APRIL, 60, 4, "1", fitting=(1,))
    assert Decimal(7) == committed(both, APRIL, use).covered_rental
    assert Decimal(0) == committed(both, APRIL, rented(APRIL, 60, 4, "3", fitting=())).covered_rental


def test_a_choice_is_left_to_those_who_have_no_other() -> None:
    """2 GPUs that only the first commitment is for, and 2 that both are for: each finds its 2."""
    both = [term(2, "1", "2026-04-01", "2026-05-01"), term(2, "1", "2026-04-01", "2026-05-01")]
    use = rented(APRIL, 60, 2, "1", fitting=(0, 1)) | rented(APRIL, 60, 2, "5", fitting=(0,))
    assert Decimal(12) == committed(both, APRIL, use).covered_rental


@given(st.lists(st.floats(0.01, 0.99), max_size=6, unique=True), st.integers(1, 12))
def test_cutting_a_minute_changes_nothing(cuts: list[float], gpus: int) -> None:
    """8 GPUs in pieces of a minute are covered as in a whole one."""
    edges = [0.0, *sorted(cuts), 1.0]
    pieces = [stretch(APRIL, start, end) for start, end in pairwise(edges)]
    use = {
        each: Rented(8 * (each.end_utc_ns - each.start_utc_ns), Decimal(each.end_utc_ns - each.start_utc_ns))
        for each in pieces
        if each.end_utc_ns > each.start_utc_ns
    }
    whole = {stretch(APRIL, 0, 1): Rented(8 * NANOSECONDS_PER_MINUTE, Decimal(NANOSECONDS_PER_MINUTE))}
    of = [term(gpus, "1", "2026-04-01", "2026-05-01")]
    assert committed(of, APRIL, whole) == committed(of, APRIL, use)


@pytest.mark.parametrize("zone", [UTC, BERLIN, ZoneInfo("America/Denver"), ZoneInfo("Pacific/Auckland"), None])
def test_a_term_from_the_first_to_the_last_date(zone: ZoneInfo | None) -> None:
    """People who mean "always" write such dates: April costs its 720 hours (Berlin's and all others' months too)."""
    april = Period(APRIL.first, APRIL.end, zone)
    hours = Fraction(april.end_utc_ns - april.start_utc_ns, NANOSECONDS_PER_HOUR)
    assert committed([term(1, "1", "0001-01-01", "9999-12-31")], april, {}).cost == hours
