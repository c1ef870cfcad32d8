"""What counters came to: falls, several addresses of one counter, and one meter for each host."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.feeds.promapi import Stretch
from costmeter.feeds.promruns import _grown_over, _one_counter, once

VALUES = st.lists(st.integers(0, 1_000).map(Decimal), max_size=20)


def points(*values: int | Decimal, first: int = 0) -> list[tuple[Decimal, Decimal]]:
    """One sample a second."""
    return [(Decimal(first + at), Decimal(value)) for at, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "grown"),
    [
        pytest.param((0, 3, 7), 7, id="rises"),
        pytest.param((0, 5, 0, 3), 8, id="began-again-at-zero"),
        pytest.param((0, 5, 2, 3), 8, id="fell-and-had-grown-before-it-was-seen"),
        pytest.param((5, 1, 1, 2, 0), 7, id="twice"),
        pytest.param((4,), 4, id="seen-once"),
        pytest.param((), 0, id="never-seen"),
    ],
)
def test_what_was_counted_before_a_fall_is_kept(values: tuple[int, ...], grown: int) -> None:
    """A counter that falls began again at zero: 0, 5, 0, 3 counted eight."""
    assert Decimal(grown) == _grown_over(points(*values), Decimal(0))[0]


@given(VALUES, st.integers(0, 20))
def test_days_add_up_to_the_whole(values: list[Decimal], cut: int) -> None:
    """Cut anywhere, both parts together are what one look sees."""
    whole = points(*values)
    first, last = _grown_over(whole[:cut], Decimal(0))
    rest, _ = _grown_over(whole[cut:], last)
    assert _grown_over(whole, Decimal(0))[0] == first + rest


def test_one_counter_under_two_addresses_counts_once() -> None:
    """Scraped twice at a time, the one that goes furthest tells it."""
    both = [Stretch({}, points(0, 4, 9)), Stretch({}, points(0, 4, 8))]
    assert Decimal(9) == _grown_over(_one_counter(both), Decimal(0))[0]


def test_one_counter_under_one_address_after_another_goes_on() -> None:
    """An agent with a new address goes on from where it was; one that began again adds."""
    went_on = [Stretch({}, points(0, 4)), Stretch({}, points(5, 9, first=10))]
    began_again = [Stretch({}, points(0, 4)), Stretch({}, points(0, 9, first=10))]
    assert [Decimal(9), Decimal(13)] == [_grown_over(_one_counter(of), Decimal(0))[0] for of in (went_on, began_again)]


def test_a_host_counts_once_by_its_agent() -> None:
    """Another host, and the same host of another cluster, count beside it."""
    wrapper, agent = ("", "r", "a", "wrapper"), ("", "r", "a", "agent")
    alone, elsewhere = ("", "r", "b", "wrapper"), ("c2", "r", "a", "wrapper")
    assert {agent, alone, elsewhere} == {*once([wrapper, agent, alone, elsewhere])}
