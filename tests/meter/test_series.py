"""Dated series: which value holds, and what is said where none was published."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.series import OPEN_END, Series
from costmeter.units import NANOSECONDS_PER_MINUTE as MINUTE

ONE, TWO = Decimal(1), Decimal(2)
HOLED = Series((10 * MINUTE, 30 * MINUTE), (20 * MINUTE, 40 * MINUTE), (ONE, TWO))


@pytest.mark.parametrize(
    ("minute", "value", "doubt"),
    [
        pytest.param(9, ONE, "the series begins 1970-01-01T00:10Z; its first value is used", id="before"),
        pytest.param(10, ONE, "", id="start"),
        pytest.param(19, ONE, "", id="inside"),
        pytest.param(20, ONE, "the series has a hole from 1970-01-01T00:20Z; its last value is held", id="hole"),
        pytest.param(30, TWO, "", id="second"),
        pytest.param(40, TWO, "the series ends 1970-01-01T00:40Z; its last value is held", id="after"),
    ],
)
def test_a_value_that_is_missing_is_held_and_doubted(minute: int, value: Decimal, doubt: str) -> None:
    """Inside a stretch its value; elsewhere the nearest earlier one, else the first, with a word on why."""
    assert HOLED.at(minute * MINUTE) == value
    assert HOLED.doubt(minute * MINUTE) == doubt


def test_an_open_end_is_never_doubted() -> None:
    """A value that holds until another is published holds in 2199."""
    assert Series((0,), (OPEN_END,), (ONE,)).doubt(7_000_000_000 * 10**9) == ""


@pytest.mark.parametrize(
    ("starts", "ends", "values"),
    [
        pytest.param((), (), (), id="empty"),
        pytest.param((0,), (MINUTE,), (), id="lengths"),
        pytest.param((MINUTE,), (MINUTE,), (ONE,), id="no-length"),
        pytest.param((0, MINUTE), (2 * MINUTE, 3 * MINUTE), (ONE, TWO), id="overlap"),
        pytest.param((MINUTE, 0), (2 * MINUTE, MINUTE), (ONE, TWO), id="falling"),
        pytest.param((1,), (MINUTE,), (ONE,), id="no-whole-minute"),
    ],
)
def test_a_series_that_is_none_is_refused(
    starts: tuple[int, ...], ends: tuple[int, ...], values: tuple[Decimal, ...]
) -> None:
    """Stretches ascend, last, do not overlap, and are of whole minutes."""
    with pytest.raises(ValueError, match=r"series|stretch"):
        Series(starts, ends, values)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3), st.integers(-99, 99)), min_size=1, max_size=20))
def test_every_minute_has_the_value_of_its_stretch(stretches: list[tuple[int, int, int]]) -> None:
    """Looked up minute by minute, a series is what it was made of; holes hold the value before and are doubted."""
    starts, ends, expected, at = [], [], [], 5
    for length, hole, value in stretches:
        starts.append(at * MINUTE)
        ends.append((at + length) * MINUTE)
        expected += [(Decimal(value), True)] * length + [(Decimal(value), False)] * hole
        at += length + hole
    series = Series(tuple(starts), tuple(ends), tuple(Decimal(value) for _, _, value in stretches))
    got = [(series.at((5 + n) * MINUTE), not series.doubt((5 + n) * MINUTE)) for n in range(len(expected))]
    assert got == expected
