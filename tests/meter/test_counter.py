"""Lines of an energy counter: what fits one, and where it stands beside another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.counter import Line, beside, is_steady, later
from tests.samples import JOULE, SECOND

WATTS = 840.0
LINES = st.builds(Line, st.integers(0, 2**63), st.integers(0, 2**50), st.integers(0, 10**12), st.integers(0, 10**12))


def at(seconds: float, joules: float, booked: int = 0) -> Line:
    return Line(round(joules * JOULE), round(seconds * SECOND), booked * JOULE)


@pytest.mark.parametrize(
    ("expected", "joules", "seconds"),
    [
        pytest.param(True, 1_000, 11, id="stands-still"),
        pytest.param(False, 999.999999, 11, id="fell"),
        # 840 W × (1 s + a step of 0.15 s) = 966 J.
        pytest.param(True, 1_966, 11, id="all-it-can-draw"),
        pytest.param(False, 1_966.000001, 11, id="more"),
        pytest.param(True, 1_126, 10, id="one-step-in-no-time"),
        pytest.param(False, 1_127, 10, id="more-than-a-step-in-no-time"),
    ],
)
def test_what_fits_a_line(expected: bool, joules: float, seconds: int) -> None:
    """From 1,000 J at 10 s a counter of at most 840 W stands still or grows so far, whatever was booked."""
    value, at_ns = round(joules * JOULE), seconds * SECOND
    assert at(10, 1_000).fits(value, at_ns, WATTS) is expected
    assert at(10, 1_000, booked=500).fits(value, at_ns, WATTS) is expected


def test_a_line_knows_what_is_covered() -> None:
    """1,000 J counted, and 300 J and 200 J booked since: up to 1,500 J, with 3 s of it unmeasured."""
    line = later(later(at(0, 1_000), 300 * JOULE, SECOND), 200 * JOULE, 2 * SECOND)
    assert line is not None
    assert (1_500 * JOULE, 3 * SECOND) == (line.covered_microjoules, line.unmeasured_nanoseconds)
    assert later(None, 300 * JOULE, SECOND) is None


def test_a_line_that_was_left_moves_along() -> None:
    """Left at 10 s; from 12 s to 20 s the counter counts 2,400 J on another line: left is what lay between, 2 s."""
    left = beside(at(10, 1_000, booked=600), at(12, 5), 2_405 * JOULE, 20 * SECOND)
    assert left == at(18, 3_400, booked=600)
    assert left.fits(round((3_400 + 966 + 840) * JOULE), 20 * SECOND, WATTS)
    assert not left.fits(round((3_401 + 966 + 840) * JOULE), 20 * SECOND, WATTS)


@given(LINES, LINES, st.integers(0, 10**12), st.integers(0, 10**12))
def test_what_is_covered_moves_by_what_is_settled(left: Line, line: Line, counted_uj: int, length_ns: int) -> None:
    """A settlement books what was counted less what was booked, and the line that was left is covered for as much."""
    value, at_ns = line.microjoules + counted_uj, line.at_ns + length_ns
    moved = beside(left, line, value, at_ns)
    assert value - line.covered_microjoules == moved.covered_microjoules - left.covered_microjoules
    assert at_ns - moved.at_ns == line.at_ns - left.at_ns


@pytest.mark.parametrize(
    ("expected", "first", "second"),
    [
        pytest.param(True, 2_000, 2_000, id="one-rate"),
        pytest.param(True, 1_000, 2_000, id="twice-as-much"),
        pytest.param(True, 2_000, 1_000, id="half-as-much"),
        pytest.param(False, 2_000, 999, id="a-jump"),
        pytest.param(False, 999, 2_000, id="the-beginning-of-a-jump"),
        pytest.param(True, 3_600, 3_600, id="as-much-as-anything-draws"),
        pytest.param(False, 3_601, 3_000, id="more"),
        pytest.param(False, 3_000, 3_601, id="more-later"),
        pytest.param(False, 0, 0, id="nothing"),
        pytest.param(False, -500, -500, id="falls"),
    ],
)
def test_a_steady_draw_is_no_jump(expected: bool, first: int, second: int) -> None:
    """Two seconds in a row within a factor of two of each other, and of no more than 3,600 W."""
    since = at(1, 10_000 + first)
    assert is_steady(at(0, 10_000), since, since.microjoules + second * JOULE, 2 * SECOND) is expected
