"""Intervals: what two readings say of the time between them, and that cutting it loses nothing."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.activity import IdleRule
from costmeter.meter.interval import Interval, between, cut, head, silence
from costmeter.readings import Method, Missing, Reading
from tests.samples import JOULE, SECOND, device, intervals

RULE = IdleRule()
H100 = device()
REFUSED = Missing("not supported")


def reading(at_s: float, joules: float | Missing, watts: float | Missing = 650.0, **changes: Any) -> Reading:
    """What a GPU at full load says."""
    counter = joules if isinstance(joules, Missing) else round(joules * JOULE)
    said = Reading(H100.uuid, round(at_s * SECOND), counter, watts, 0.98)
    return replace(said, **changes)


def measured(before: Reading, after: Reading) -> Interval:
    return between(before, after, H100, RULE, before.at_ns)


@given(intervals(min_length_ns=1), st.lists(st.floats(0, 1, exclude_max=True), max_size=8))
def test_cutting_an_interval_changes_no_sum(whole: Interval, places: list[float]) -> None:
    """Any number of cuts leaves time and energy as they were, and every piece its state, method and utilization."""
    length_ns = whole.end_ns - whole.start_ns
    pieces, rest = [], whole
    for at_ns in sorted({whole.start_ns + int(place * length_ns) for place in places}):
        piece, rest = cut(rest, at_ns)
        pieces.append(piece)
    pieces.append(rest)
    assert length_ns == sum(piece.end_ns - piece.start_ns for piece in pieces)
    assert whole.microjoules == sum(piece.microjoules for piece in pieces)
    assert whole == replace(pieces[0], end_ns=whole.end_ns, microjoules=whole.microjoules)
    assert all(piece.microjoules >= 0 for piece in pieces)
    assert all(left.end_ns == right.start_ns for left, right in pairwise(pieces))


def test_energy_is_cut_in_proportion_to_time() -> None:
    """60 s at 700 W cut after 15 s: a quarter of 42,000 J, 10,500 J, comes before the cut."""
    whole = Interval("GPU-0", 0, 60 * SECOND, "busy", 42_000 * JOULE, "counter", 0.98)
    before, after = cut(whole, 15 * SECOND)
    assert (10_500 * JOULE, 31_500 * JOULE) == (before.microjoules, after.microjoules)


def test_an_interval_of_no_length_keeps_its_energy_when_cut() -> None:
    """Energy at an instant stays with the first piece."""
    instant = Interval("GPU-0", 7, 7, "busy", 5, "counter", None)
    assert [5, 0] == [piece.microjoules for piece in cut(instant, 7)]


@pytest.mark.parametrize(
    ("joules", "method", "before", "after"),
    [
        pytest.param(650, "counter", reading(10, 1_000), reading(11, 1_650), id="counter"),
        pytest.param(0, "counter", reading(10, 1_000), reading(11, 1_000), id="counter-that-stands-still"),
        # The counter fell: a driver reload. 600 W and 500 W are 550 W on average, for 2 s.
        pytest.param(1_100, "power", reading(10, 1e6, 600.0), reading(12, 3, 500.0), id="counter-reset"),
        # 1.2 × 700 W × (1 s + one counter step of 0.15 s) = 966 J can have been drawn, 966.1 J cannot.
        pytest.param(966, "counter", reading(10, 0), reading(11, 966), id="jump-of-just-1.2-limits"),
        pytest.param(650, "power", reading(10, 0), reading(11, 966.1), id="jump-above-1.2-limits"),
        pytest.param(1_200, "power", reading(10, REFUSED, 500.0), reading(12, REFUSED, 700.0), id="power-only"),
        pytest.param(1_400, "estimated", reading(10, REFUSED, REFUSED), reading(12, 9, 700.0), id="one-power-only"),
        pytest.param(0, None, reading(10, REFUSED, REFUSED), reading(11, REFUSED, REFUSED), id="nothing-to-go-by"),
        pytest.param(0, None, reading(10, 5, REFUSED), reading(11, 2, REFUSED), id="reset-without-power"),
    ],
)
def test_energy_between_two_readings(joules: int, method: Method | None, before: Reading, after: Reading) -> None:
    """The counter's difference where it can be true, else mean power × time, else nothing; each says which it was."""
    found = measured(before, after)
    assert (joules * JOULE, method) == (found.microjoules, found.method)


def test_a_counter_without_a_known_limit_is_believed() -> None:
    """Where nobody knows what a board may draw, no difference is doubtful."""
    unlimited = replace(H100, power_limit_watts=Missing("not supported"))
    found = between(reading(10, 0), reading(11, 5_000), unlimited, RULE, 10 * SECOND)
    assert (5_000 * JOULE, "counter") == (found.microjoules, found.method)


def test_an_outage_is_booked_when_it_ends() -> None:
    """A device silent from 10 s to 20 s: its counter's whole difference falls on the interval that ends the silence."""
    found = between(reading(10, 1_000), reading(21, 7_600), H100, RULE, 20 * SECOND)
    assert (20 * SECOND, 21 * SECOND, 6_600 * JOULE) == (found.start_ns, found.end_ns, found.microjoules)


def test_power_is_not_invented_for_an_outage() -> None:
    """Without a counter the silent time stays unmeasured: 650 W count for the last second only."""
    found = between(reading(10, REFUSED), reading(21, REFUSED), H100, RULE, 20 * SECOND)
    assert (650 * JOULE, "power") == (found.microjoules, found.method)


def test_a_hang_is_seen_in_the_energy_of_the_interval() -> None:
    """100 % utilization at 118 J in a second is a kernel that spins, whatever the power reading says."""
    found = measured(reading(10, 0), reading(11, 118))
    assert found.state == "idle"


def test_the_head_is_first_power_times_time_and_estimated() -> None:
    """Half a second from spawn to the first reading of 650 W is 325 J, of which nobody measured any."""
    found = head(reading(10.5, 123_456), H100, RULE, 10 * SECOND)
    assert Interval(H100.uuid, 10 * SECOND, 10_500_000_000, "busy", 325 * JOULE, "estimated", 0.98) == found


def test_a_head_without_power_is_unmeasured() -> None:
    """Time before the first reading is held and rented even when no power can be read."""
    found = head(reading(11, 5, REFUSED), H100, RULE, 10 * SECOND)
    assert (SECOND, 0, None) == (found.end_ns - found.start_ns, found.microjoules, found.method)


def test_silence_is_unknown_and_unmeasured() -> None:
    """A device that says nothing is not idle, and its energy is not invented."""
    assert Interval("GPU-0", 3, 9, "unknown", 0, None, None) == silence("GPU-0", 3, 9)


@given(st.lists(st.tuples(st.integers(1, 10 * SECOND), st.integers(0, 700)), min_size=1, max_size=30))
def test_counter_differences_telescope(steps: list[tuple[int, int]]) -> None:
    """Reading more or less often books the same energy: the counter's last value less its first."""
    readings = [reading(0, 0)]
    for length_ns, watts in steps:
        last = readings[-1]
        assert isinstance(last.energy_microjoules, int)
        counted_uj = last.energy_microjoules + watts * length_ns // 1_000
        readings.append(replace(last, at_ns=last.at_ns + length_ns, energy_microjoules=counted_uj))
    often = [measured(before, after) for before, after in pairwise(readings)]
    once = measured(readings[0], readings[-1])
    assert once.microjoules == sum(interval.microjoules for interval in often) == readings[-1].energy_microjoules
