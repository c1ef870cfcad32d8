"""Curves: running totals in closed form."""

from hypothesis import given
from hypothesis import strategies as st

from costmeter.sources.simulated.curves import Constant, Curve, Ramp, Weighted, chain, remembered, repeat, steps

RATES = st.integers(0, 1_000)
LENGTHS = st.integers(1, 60)
TIMES = st.integers(0, 500)


def leaves() -> st.SearchStrategy[Curve]:
    return st.one_of(
        RATES.map(Constant),
        st.builds(Ramp, RATES, RATES, LENGTHS),
        st.lists(st.tuples(LENGTHS, RATES), min_size=1, max_size=5).map(steps),
    )


def grown(inner: st.SearchStrategy[Curve]) -> st.SearchStrategy[Curve]:
    pieces = st.lists(st.tuples(LENGTHS, inner), min_size=1, max_size=3)
    return st.one_of(pieces.map(chain), st.builds(repeat, inner, LENGTHS), inner.map(remembered))


CURVES = st.recursive(leaves(), grown, max_leaves=6)


@given(CURVES, TIMES, TIMES, TIMES)
def test_cutting_changes_no_total(curve: Curve, first: int, second: int, third: int) -> None:
    """The totals of windows that meet add up to the total of the whole window."""
    a, b, c = sorted((first, second, third))

    whole = curve.total(c) - curve.total(a)

    assert whole == (curve.total(b) - curve.total(a)) + (curve.total(c) - curve.total(b))


@given(CURVES, TIMES, LENGTHS)
def test_totals_stay_within_bounds(curve: Curve, start: int, length: int) -> None:
    """A window accumulates at least the lowest rate and at most the highest, to one unit of rounding per piece."""
    low, high = curve.bounds()
    rounding = length + 1  # each nanosecond of a test curve can begin a new piece, and each piece rounds once

    total = curve.total(start + length) - curve.total(start)

    assert low * length - rounding <= total <= high * length + rounding


def test_curves_at_one_time_are_weighed() -> None:
    """Of 7 slices, 3 at a rate of 70 and 1 at 30 then 50: (210 + 30) / 7 for 10 ns, then (210 + 50) / 7 for 4 ns."""
    curve = Weighted(((3, Constant(70)), (1, steps([(10, 30), (0, 50)]))), 7)

    assert [curve.total(at_ns) for at_ns in (7, 10, 14)] == [240, 342, 491]
    assert curve.bounds() == (34, 38)


@given(
    st.lists(st.tuples(st.integers(1, 7), st.lists(st.tuples(LENGTHS, RATES), min_size=1, max_size=5).map(steps))),
    st.integers(1, 7),
    TIMES,
    LENGTHS,
)
def test_weighed_curves_stay_within_bounds(
    parts: list[tuple[int, Curve]], divisor: int, start: int, length: int
) -> None:
    """Whatever the weights, a window of their sum accumulates no less and no more than its bounds, to one unit."""
    curve = Weighted(tuple(parts), divisor)
    low, high = curve.bounds()

    total = curve.total(start + length) - curve.total(start)

    assert low * length - 1 <= total <= high * length + 1


@given(CURVES)
def test_nothing_accumulates_in_no_time(curve: Curve) -> None:
    """A curve begins at zero."""
    assert curve.total(0) == 0


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(1, 2_000), st.integers(0, 3_000))
def test_a_ramp_is_its_numeric_integral(first: int, last: int, length: int, until: int) -> None:
    """A ramp's total agrees with midpoints summed over unit steps, to one unit."""
    rates = [first + (last - first) * min((t + 0.5) / length, 1.0) for t in range(until)]

    assert abs(Ramp(first, last, length).total(until) - sum(rates)) <= 1 + 1e-6 * abs(sum(rates))


@given(st.lists(st.tuples(LENGTHS, RATES), min_size=1, max_size=6), TIMES)
def test_repeated_steps_are_their_numeric_integral(pieces: list[tuple[int, int]], until: int) -> None:
    """Steps over and over accumulate what their rates add up to, nanosecond by nanosecond."""
    period = [rate for length, rate in pieces for _ in range(length)]
    curve = repeat(steps(pieces), len(period))

    assert curve.total(until) == sum(period[t % len(period)] for t in range(until))


def test_a_ramp_by_hand() -> None:
    """From 100 to 300 over 10: 5 in, the rate is 200 and the area 150 × 5 = 750; 20 in, 200 × 10 + 300 × 10 = 5000."""
    ramp = Ramp(100, 300, 10)

    assert (ramp.total(5), ramp.total(20)) == (750, 5000)


def test_a_chain_goes_on_with_its_last_curve() -> None:
    """10 at rate 1, then a ramp from 2 to 4 over 10 and 4 for ever: 10 + 30 + 40 at 30."""
    curve = chain([(10, Constant(1)), (0, Ramp(2, 4, 10))])

    assert curve.total(30) == 80
