"""Power without a counter: trapezoids, what may be bridged, and the estimate from utilization."""

import random
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.power import NO_TRAIL, Known, Trail, follow, known
from costmeter.readings import Device, Missing, PowerRange, Reading, Sample
from tests.meter.accounts import H100, REFUSED, said
from tests.samples import JOULE, SECOND, device

BRIDGE_NS = 8 * SECOND
RANGED = device(power_range=PowerRange(100.0, 700.0))


def watts(at_s: float, power: float | Missing) -> Sample:
    return Sample(round(at_s * SECOND), power)


def reading(at_s: float, power: float | None, *samples: Sample, utilization: float | None = 0.9) -> Reading:
    """A reading without a counter, with samples before it."""
    found = said(at_s, None, power, utilization)
    return Reading(found.uuid, found.at_ns, REFUSED, found.power_watts, found.utilization_ratio, samples=samples)


def after(*readings: Reading, board: Device = H100, bridge_ns: int = BRIDGE_NS) -> list[Known]:
    """What is known of the time before each reading, the first of which begins the trail at 0 s."""
    return [
        known(follow(NO_TRAIL, before, before.at_ns - SECOND), now, board, before.at_ns, bridge_ns)
        for before, now in pairwise(readings)
    ]


@pytest.mark.parametrize(
    ("expected", "now"),
    [
        # (300 + 500) / 2 × 1 s.
        pytest.param(Known(400 * JOULE, "power", 0), reading(1, 500), id="a-trapezoid"),
        # 300 to 700 in 0.25 s, 700 to 100 in 0.25 s, 100 to 100 in 0.5 s: 125 + 100 + 50 J.
        pytest.param(
            Known(275 * JOULE, "power", 0), reading(1, 100, watts(0.25, 700), watts(0.5, 100)), id="with-samples"
        ),
        # The refused sample is passed over: 300 to 500 in 1 s.
        pytest.param(Known(400 * JOULE, "power", 0), reading(1, 500, watts(0.5, REFUSED)), id="a-sample-refused"),
        # 300 to 500 in 0.5 s, and 500 W held for the rest: 200 + 250 J.
        pytest.param(Known(450 * JOULE, "power", 0), reading(1, None, watts(0.5, 500)), id="refused-at-the-end"),
        # A sample of before belongs to what is booked already.
        pytest.param(Known(400 * JOULE, "power", 0), reading(1, 500, watts(-0.5, 9_999)), id="a-sample-of-before"),
        pytest.param(Known(3_200 * JOULE, "power", 0), reading(8, 500), id="just-bridged"),
        pytest.param(Known(0, None, 9 * SECOND), reading(9, 500), id="too-far-apart"),
        # 9 s unmeasured, then 500 to 700 W in 2 s.
        pytest.param(
            Known(1_200 * JOULE, "power", 9 * SECOND), reading(11, 700, watts(9, 500)), id="too-far-apart-in-part"
        ),
        pytest.param(Known(0, "power", 0), reading(0, 500), id="no-time"),
        pytest.param(Known(300 * JOULE, "power", 0), reading(1, None), id="refused-for-a-moment"),
        pytest.param(Known(0, None, 9 * SECOND), reading(9, None), id="refused-for-too-long-and-no-range"),
    ],
)
def test_what_power_says_of_a_stretch(expected: Known, now: Reading) -> None:
    """Trapezoids from the 300 W at 0 s on, between readings at most 8 s apart."""
    assert after(reading(0, 300), now) == [expected]


def test_a_trail_begins_with_its_first_power() -> None:
    """Before the first its power is taken to have held, which is called estimated; further back is unmeasured.

    200 W × 1.5 s, then 200 to 400 W in 1.5 s: 300 + 450 J.
    """
    first = reading(5, 400, watts(3.5, 200))
    assert known(NO_TRAIL, first, H100, 2 * SECOND, BRIDGE_NS) == Known(750 * JOULE, "estimated", 0)
    assert known(NO_TRAIL, reading(9, 400), H100, 0, BRIDGE_NS) == Known(0, None, 9 * SECOND)


def test_power_that_is_refused_for_a_moment_is_bridged() -> None:
    """600 W, refused, 400 W: 1,000 J in 2 s, of which 600 J are booked at 1 s, as if 600 W held."""
    first, second, third = reading(0, 600), reading(1, None), reading(2, 400)
    trail = follow(NO_TRAIL, first, -SECOND)
    assert known(trail, second, H100, 0, BRIDGE_NS) == Known(600 * JOULE, "power", 0)
    trail = follow(trail, second, 0)
    assert known(trail, third, H100, SECOND, BRIDGE_NS) == Known(400 * JOULE, "power", 0)


def test_where_a_tick_lies_between_two_samples_does_not_matter() -> None:
    """300 W at 0.9 s and 500 W at 1.3 s are 160 J: 30 J before the tick, as if 300 W held, and 130 J after it.

    Then 500 W hold until 2 s, 350 J.
    """
    readings = reading(1, 9_999, watts(0.9, 300)), reading(2, 9_999, watts(1.3, 500))
    assert known(Trail(watts(0.9, 300)), readings[0], H100, 900_000_000, BRIDGE_NS) == Known(30 * JOULE, "power", 0)
    assert after(*readings) == [Known(480 * JOULE, "power", 0)]


def test_a_tick_after_a_fall_of_power_takes_nothing_back() -> None:
    """600 W held for 0.1 s, 60 J; at 1.02 s power is 0, so that 36 J would have been enough: 0 J, and not -24 J."""
    readings = reading(1, None, watts(0.9, 600)), reading(1.02, 0.0)
    assert after(*readings) == [Known(0, "power", 0)]


@pytest.mark.parametrize(
    ("joules", "before", "now"),
    [
        # 100 W + 0.5 × 600 W.
        pytest.param(400, 0.5, 0.5, id="half"),
        pytest.param(400, 0.2, 0.8, id="the-mean-of-both-ends"),
        pytest.param(580, None, 0.8, id="the-only-one-known"),
        pytest.param(100, 0.0, 0.0, id="idle-power-is-drawn-always"),
    ],
)
def test_an_estimate_by_utilization(joules: float, before: float | None, now: float) -> None:
    """Idle power, and the rest of the range by utilization."""
    stretch = known(Trail(None, before), reading(1, None, utilization=now), RANGED, 0, BRIDGE_NS)
    assert stretch == Known(round(joules * JOULE), "estimated", 0)


@pytest.mark.parametrize(
    ("board", "now"),
    [
        pytest.param(H100, reading(1, None), id="no-range"),
        pytest.param(RANGED, reading(1, None, utilization=None), id="no-utilization"),
        pytest.param(RANGED, reading(9, None), id="too-long"),
    ],
)
def test_what_cannot_be_estimated_is_unmeasured(board: Device, now: Reading) -> None:
    """Nothing is invented: 0 J, by no method, for the whole length."""
    assert known(Trail(None, 0.9), now, board, 0, BRIDGE_NS) == Known(0, None, now.at_ns)


@given(
    st.lists(st.integers(1, SECOND), min_size=1, max_size=30),
    st.sets(st.integers(0, 30 * SECOND), max_size=5),
    st.integers(0, 500),
    st.integers(0, 100),
)
def test_a_ramp_is_integrated_exactly(
    lengths_ns: list[int], ticks_ns: set[int], start_watts: int, watts_per_second: int
) -> None:
    """However a ramp is sampled and wherever ticks divide it, its energy is that of one trapezoid, but for rounding."""
    points = [Sample(at_ns, start_watts + watts_per_second * at_ns / SECOND) for at_ns in accumulate([0, *lengths_ns])]
    end_ns = points[-1].at_ns
    trail, start_ns, energy_uj = Trail(points[0]), 0, 0
    for tick_ns in [*sorted(each for each in ticks_ns if each < end_ns), end_ns]:
        samples = tuple(point for point in points[1:] if start_ns < point.at_ns <= tick_ns)
        now = Reading(H100.uuid, tick_ns, REFUSED, REFUSED, REFUSED, samples=samples)
        if samples:
            found = known(trail, now, H100, start_ns, 2 * SECOND)
            assert (found.method, found.unmeasured_nanoseconds) == ("power", 0)
            energy_uj, trail, start_ns = energy_uj + found.microjoules, follow(trail, now, start_ns), tick_ns
    true_uj = (start_watts + start_watts + watts_per_second * end_ns / SECOND) / 2 * end_ns / 1_000
    assert abs(energy_uj - true_uj) <= len(points) + len(ticks_ns)


@given(st.lists(st.tuples(st.integers(0, 20 * SECOND), st.none() | st.floats(0, 1_000)), min_size=1, max_size=12))
def test_energy_stays_within_what_was_read(drawn: list[tuple[int, float | None]]) -> None:
    """Never negative, never more than the highest power for the measured time, and time is measured or unmeasured."""
    drawn = sorted(drawn, key=lambda each: each[0])
    points = [Sample(at_ns, REFUSED if power is None else power) for at_ns, power in drawn]
    end = Reading(H100.uuid, points[-1].at_ns, REFUSED, points[-1].power_watts, REFUSED, samples=tuple(points[:-1]))
    found = known(Trail(Sample(0, 200.0)), end, H100, 0, BRIDGE_NS)
    highest = max([200.0, *(power for _, power in drawn if power is not None)])
    measured_ns = end.at_ns - found.unmeasured_nanoseconds
    assert 0 <= measured_ns <= end.at_ns
    assert 0 <= found.microjoules <= highest * measured_ns / 1_000 + len(points)
    assert found.method is not None or (found.microjoules, measured_ns) == (0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_jittered_samples_of_a_square_wave_are_within_one_percent(seed: int) -> None:
    """600 W for half of each second and 100 W for the other, sampled once in each tenth: 350 W × 600 s = 210,000 J."""
    chance = random.Random(seed)

    def draws(at_ns: int) -> float:
        return 600.0 if at_ns % SECOND < SECOND // 2 else 100.0

    trail, energy_uj = Trail(Sample(0, draws(0))), 0
    for second in range(600):
        samples = tuple(
            Sample(at_ns, draws(at_ns))
            for cell in range(10)
            for at_ns in [second * SECOND + cell * SECOND // 10 + chance.randrange(SECOND // 10)]
        )
        end_ns = (second + 1) * SECOND
        now = Reading(H100.uuid, end_ns, REFUSED, draws(end_ns), REFUSED, samples=samples)
        energy_uj += known(trail, now, H100, second * SECOND, BRIDGE_NS).microjoules
        trail = follow(trail, now, second * SECOND)
    assert energy_uj == pytest.approx(210_000 * JOULE, rel=0.01)
