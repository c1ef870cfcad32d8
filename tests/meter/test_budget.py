"""Budgets: what is usable of them, which shares are announced when, and in which day or month spending counts."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.budget import Budget, BudgetUse, Per, percent, said_of
from costmeter.meter.period import Period
from costmeter.units import NANOSECONDS_PER_SECOND

BERLIN = ZoneInfo("Europe/Berlin")
EIGHTY = Budget(Decimal(80))

amounts = st.decimals("0.01", "1e9", places=2)
shares = st.lists(st.decimals("0.01", "1", places=2), max_size=5).map(tuple)
buffers = st.decimals("0", "0.99", places=2)
budgets = st.builds(Budget, amounts, shares, buffer=buffers)


def announced(budget: Budget, spent: Sequence[Decimal]) -> list[tuple[Decimal, Decimal]]:
    """What is announced as spending goes on, each with what was spent then."""
    said: list[tuple[Decimal, Decimal]] = []
    for amount in spent:
        share = budget.reached(amount, [earlier for earlier, _ in said])
        if share is not None:
            said.append((share, amount))
    return said


@given(budgets, st.lists(st.decimals("-100", "2e9", places=3), max_size=30))
def test_each_share_is_announced_once_and_never_below_it(budget: Budget, spent: list[Decimal]) -> None:
    """However spending jumps, falls and returns: no share comes twice, and none before it is reached."""
    said = announced(budget, spent)
    assert [share for share, _ in said] == sorted({share for share, _ in said})
    assert all(share * budget.usable <= amount and share in budget.shares for share, amount in said)
    most = max(spent, default=Decimal(-1))
    assert (most >= budget.usable) == (Decimal(1) in [share for share, _ in said])


@given(budgets)
def test_what_is_usable_and_what_is_kept_back_are_the_amount(budget: Budget) -> None:
    """The buffer takes its share of the amount, and nothing else."""
    assert budget.amount == budget.usable + budget.amount * budget.buffer
    assert Decimal(1) == budget.share(budget.usable)


def test_a_buffer_moves_every_share() -> None:
    """80 less 10 % is 72, half of it 36: warnings and the end come so much earlier."""
    kept = replace(EIGHTY, buffer=Decimal("0.1"))
    spent = [Decimal(text) for text in ("35.99", "36", "57.6", "71.99", "72")]
    assert [(Decimal("0.5"), Decimal(36)), (Decimal("0.8"), Decimal("57.6")), (Decimal(1), Decimal(72))] == announced(
        kept, spent
    )


def test_a_jump_over_several_shares_says_the_last() -> None:
    """What was passed in between is not said afterwards."""
    assert Decimal("0.8") == EIGHTY.reached(Decimal(70), ())
    assert EIGHTY.reached(Decimal(70), [Decimal("0.8")]) is None


def test_money_from_elsewhere_counts_and_credits_do_too() -> None:
    """Negative prices earn: what a run is paid for is not spent."""
    assert Decimal("7.50") == BudgetUse(EIGHTY, Decimal("10")).spent(Decimal("-2.50"))


@pytest.mark.parametrize(
    ("per", "utc", "expected"),
    [
        pytest.param("run", 1_774_738_800, None, id="a-run-has-no-day"),
        pytest.param("project", 1_774_738_800, None, id="a-project-neither"),
        # 2026-03-28 23:00 UTC is midnight in Berlin; that day has 23 hours.
        pytest.param("day", 1_774_738_800, (date(2026, 3, 29), date(2026, 3, 30), 23), id="a-short-day"),
        pytest.param("day", 1_774_738_799, (date(2026, 3, 28), date(2026, 3, 29), 24), id="just-before"),
        pytest.param("project/day", 1_774_738_800, (date(2026, 3, 29), date(2026, 3, 30), 23), id="of-a-project"),
        pytest.param("month", 1_774_738_800, (date(2026, 3, 1), date(2026, 4, 1), 31 * 24 - 1), id="a-month"),
        # 2026-12-31 23:00 UTC is the new year in Berlin.
        pytest.param("month", 1_798_758_000, (date(2027, 1, 1), date(2027, 2, 1), 31 * 24), id="a-new-year"),
        pytest.param("project/month", 1_798_757_999, (date(2026, 12, 1), date(2027, 1, 1), 31 * 24), id="december"),
    ],
)
def test_days_and_months_are_of_the_zone(per: Per, utc: int, expected: tuple[date, date, int] | None) -> None:
    """Midnights are local, and days as long as they are there."""
    window = replace(EIGHTY, per=per).window(utc * NANOSECONDS_PER_SECOND, BERLIN)
    if expected is None:
        assert window is None
        return
    first, end, hours = expected
    assert window == Period(first, end, BERLIN)
    assert hours * 3_600 * NANOSECONDS_PER_SECOND == window.end_utc_ns - window.start_utc_ns


def test_a_day_without_a_zone_is_the_machines() -> None:
    """The zone of the settings may be left out; a zone that is named gives the same day everywhere."""
    assert replace(EIGHTY, per="day").window(0, timezone.utc) == Period(
        date(1970, 1, 1), date(1970, 1, 2), timezone.utc
    )


def test_a_mark_is_found_again_by_its_beginning() -> None:
    """Budgets of other spending and other shares have other names; the amount is written without an exponent."""
    llm = Budget(Decimal("1e3"), per="project/month", project="llm")
    assert "1000 per project/month (llm): 99.5 % of " == said_of(llm, Decimal("0.995"))
    names = {said_of(each, share) for each in (EIGHTY, llm, replace(EIGHTY, per="day")) for share in each.shares}
    assert 9 == len(names)


def test_percentages_are_exact() -> None:
    """No exponent and no rounding, for they are texts that are looked for."""
    assert ["80", "100", "99.5", "1"] == [percent(Decimal(text)) for text in ("0.80", "1", "0.995", "0.01")]
