"""Integers side by side: each lane is what the same arithmetic makes of it alone."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.lanes import WIDTH, added, lanes, nearly_rounded, rounded

values = st.lists(st.integers(0, 2**48) | st.integers(0, 9), min_size=1, max_size=40)
above = st.integers(0, 10**4)
below = st.integers(1, 10**9)


@given(values, st.integers(1, 4))
def test_sums_are_by_column(some: list[int], across: int) -> None:
    """Row by row they come back as they went in, and every column has its own sum."""
    rows = [some] * across
    flat = [value for row in zip(*rows, strict=True) for value in row]
    taken = lanes(flat, across)
    assert (flat, [sum(some)] * across) == (taken.listed(), taken.sums())


@given(values, above, st.integers(1, 10**6).map(lambda half: half * 2))
def test_rounding_is_half_to_even(some: list[int], over: int, under: int) -> None:
    """As `round` has it of the exact quotient, ties and all: with an even divisor and small values there are many."""
    found = rounded(lanes(some, 1), over, under)
    assert found is not None
    assert [round(Fraction(value * over, under)) for value in some] == found.listed()


@given(values, above, below)
def test_what_is_near_to_a_tie_is_asked_for_alone(some: list[int], over: int, under: int) -> None:
    """Nobody is asked of a quotient that is clear of every tie; who is asked has the last word."""
    asked: list[int] = []

    def alone(value: int) -> int:
        asked.append(value)
        return round(Fraction(value * over, under)) + 7

    found = nearly_rounded(lanes(some, 1), over, under, alone)
    assert found is not None
    ties = [value for value in some if Fraction(value * over, under) % 1 == Fraction(1, 2)]
    expected = [round(Fraction(value * over, under)) + 7 * (value in ties) for value in some]
    assert (sorted(ties), expected) == (sorted(asked), found.listed())


def test_one_for_all_stands_for_every_column() -> None:
    """1, 2 and 3 for each of two, plus (10, 11), (12, 13) and (14, 15): 11 + 14 + 17 = 42 and 12 + 15 + 18 = 45."""
    few, many = lanes([1, 2, 3], 1), lanes([10, 11, 12, 13, 14, 15], 2)
    for whole in (added(few, many), added(many, few)):
        assert whole is not None
        assert ([11, 12, 14, 15, 17, 18], [42, 45]) == (whole.listed(), whole.sums())
    same = lanes([5, 5], 1)
    assert (5, [5] * 6) == (same.common, same.widened(3).listed())


@pytest.mark.parametrize("wrong", [-1, 2**64, 1.5, None, "1"], ids=["negative", "wide", "fraction", "nothing", "text"])
def test_what_is_no_lane_is_refused(wrong: int) -> None:
    """Nothing is cut to fit."""
    with pytest.raises((OverflowError, TypeError)):
        lanes([1, wrong], 1)


def test_what_does_not_fit_is_not_told() -> None:
    """A product, or the digits that rounding needs, may be wider than a lane: then there is None."""
    wide = lanes([2**63], 1)
    assert rounded(wide, 2**70, 1) is None
    assert rounded(wide, 1, 2**70) is None
    assert nearly_rounded(wide, 2**WIDTH, 3, int) is None
