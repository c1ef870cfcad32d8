"""Projections against runs whose end is known: steady, uneven, standing still, gone back."""

import random
from collections.abc import Iterable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.projection import Point, Projection, project

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
#: What every second of the runs costs.
PRICE = Decimal("0.01")


def run(step_seconds: Iterable[float], every_seconds: float = 10) -> list[Point]:
    """A run whose steps take so long each, looked at from time to time, and at its end; 1 cent a second."""
    points, at, looked = [Point(0, 0, Decimal(0))], 0.0, 0.0
    done = 0
    for seconds in step_seconds:
        while looked + every_seconds < at + seconds:
            looked += every_seconds
            points.append(point(looked, done))
        at, done = at + seconds, done + 1
    return [*points, point(at, done)]


def point(seconds: float, steps: int) -> Point:
    return Point(round(seconds * SECOND), steps, PRICE * Decimal(str(seconds)))


def known(points: list[Point], of_steps: int) -> Projection:
    projection = project(points, of_steps)
    assert projection is not None
    return projection


def test_a_steady_run_ends_when_it_must() -> None:
    """400 of 1,000 steps at half a second: 300 s are left, the whole costs 500 s at a cent, and the band is narrow."""
    projection = known(run([0.5] * 400), 1_000)

    assert projection.remaining_ns == pytest.approx(300 * SECOND, rel=0.01)
    assert projection.total_cost == pytest.approx(Decimal(5), rel=Decimal("0.01"))
    assert projection.most_ns - projection.least_ns < 15 * SECOND
    assert projection.most_cost - projection.least_cost < Decimal("0.15")


def test_evaluations_are_part_of_the_whole() -> None:
    """10 s of evaluation after every 100 steps of a tenth of a second come again: 1,000 steps to go take 200 s."""
    steps = [10.1 if step % 100 == 99 else 0.1 for step in range(2_000)]
    projection = known(run(steps, 5), 3_000)

    assert projection.remaining_ns == pytest.approx(200 * SECOND, rel=0.05)
    assert projection.least_ns < 200 * SECOND < projection.most_ns


@pytest.mark.parametrize("seed", range(5))
def test_the_band_holds_the_end_of_a_noisy_run(seed: int) -> None:
    """Steps between a fifth and twice their mean: what the rest really takes lies within the band, in 7 of 8 runs."""
    held = 0
    for each in range(8):
        rng = random.Random(1_000 * seed + each)
        steps = [rng.uniform(0.2, 2) for _ in range(1_000)]
        projection = known(run(steps[:500]), 1_000)
        held += projection.least_ns <= sum(steps[500:]) * SECOND <= projection.most_ns
    assert held >= 7


def test_a_slow_start_is_forgotten() -> None:
    """100 steps of 5 s while compiling, then 900 of 1 s: the 1,000 to go are taken to last 1 s each."""
    projection = known(run([5.0] * 100 + [1.0] * 900), 2_000)

    assert projection.remaining_ns == pytest.approx(1_000 * SECOND, rel=0.01)


def test_a_run_that_stands_still_gets_later() -> None:
    """After 200 s at a step a second nothing happens for 100 s: the middle and the far end move away, and go on to."""
    before = run([1.0] * 200)
    still = [*before, point(250, 200)]
    longer = [*still, point(300, 200)]

    moving, stuck, stuck_longer = (known(points, 400) for points in (before, still, longer))

    assert moving.remaining_ns < stuck.remaining_ns < stuck_longer.remaining_ns
    assert moving.most_ns <= stuck.most_ns <= stuck_longer.most_ns
    assert stuck_longer.remaining_ns == pytest.approx(400 * SECOND, rel=0.01)  # 100 steps took 200 s, 200 are to go


def test_work_done_again_is_not_counted_twice() -> None:
    """A run that went back from step 300 to 200 has 200 steps to go from there, at the pace since then."""
    first = run([2.0] * 300)
    again = [
        Point(each.at_ns + first[-1].at_ns, each.steps + 200, each.cost + first[-1].cost) for each in run([1.0] * 100)
    ]

    projection = known(first + again, 500)

    assert projection.remaining_ns == pytest.approx(200 * SECOND, rel=0.01)
    assert projection.total_cost == pytest.approx(first[-1].cost + Decimal(3), rel=Decimal("0.01"))


@pytest.mark.parametrize(
    ("points", "of_steps"),
    [
        pytest.param(run([1.0] * 100), None, id="no-target"),
        pytest.param([], 100, id="no-points"),
        pytest.param([point(0, 0)], 100, id="one-point"),
        pytest.param([point(0, 0), point(10, 1), point(20, 2)], 100, id="two-steps"),
        pytest.param([point(0, 50), point(60, 50), point(120, 50)], 100, id="no-step-since-the-start"),
        pytest.param([point(0, 0), point(60, 1_000)], 10_000, id="two-points"),
    ],
)
def test_nothing_is_guessed(points: list[Point], of_steps: int | None) -> None:
    """Without a target, and before three blocks of steps, nobody can know."""
    assert project(points, of_steps) is None


@pytest.mark.parametrize("of_steps", [0, 99, 100])
def test_beyond_the_last_step_nothing_is_left(of_steps: int) -> None:
    """A run at or beyond its target costs what it has cost."""
    points = run([1.0] * 100)
    assert project(points, of_steps) == Projection(0, 0, 0, *[points[-1].cost] * 3)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**12), st.integers(0, 10**6), st.decimals(-1_000, 1_000, places=4, allow_nan=False)),
        max_size=40,
    ),
    st.one_of(st.none(), st.integers(0, 2**63)),
)
def test_the_band_holds_the_middle(steps: list[tuple[int, int, Decimal]], of_steps: int | None) -> None:
    """Whatever the course, prices below zero included, the middle lies within its band and no time is negative."""
    at_ns, points = 0, []
    for length_ns, done, cost in steps:
        at_ns += length_ns
        points.append(Point(at_ns, done, cost))
    projection = project(points, of_steps)
    if projection is not None:
        assert 0 <= projection.least_ns <= projection.remaining_ns <= projection.most_ns
        assert projection.least_cost <= projection.total_cost <= projection.most_cost
