"""Power readings between ticks: of which boards, when, and which tick they go with."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.readings import NOT_ASKED, Device, Method, Missing, Reading, Sample
from costmeter.runtime.sampling import CELL_NS, Sampling

SECOND = 1_000_000_000
REFUSED = Missing("not supported by this GPU")
WITHOUT = Device("GPU-a", 0, "board", "", 400.0, "power")


def said(at_ns: int, counter: int | Missing, uuid: str = "GPU-a") -> Reading:
    """A reading with this counter."""
    return Reading(uuid, at_ns, counter, 300.0, 0.6)


def plan(sampling: Sampling, now_ns: int, until_ns: int) -> list[int]:
    """The instants at which power is read until the next tick."""
    instants: list[int] = []
    while True:
        now_ns, boards = sampling.next(now_ns, until_ns)
        if not boards:
            return instants
        instants.append(now_ns)


def held(device: Device, period_ns: int = SECOND, chances: Sequence[float] = (0.5,)) -> Sampling:
    """A plan for one board; its instants within a tenth of a second follow these chances, again and again."""
    turn = iter(range(10**9))
    sampling = Sampling(period_ns, lambda: chances[next(turn) % len(chances)])
    sampling.hold([device])
    return sampling


@given(
    chances=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=30),
    start_ns=st.integers(0, 10**15),
    ticks=st.lists(st.integers(CELL_NS, 3 * SECOND), min_size=1, max_size=5),
)
def test_one_reading_lies_in_each_tenth(chances: list[float], start_ns: int, ticks: list[int]) -> None:
    """Wherever ticks fall, from the first to the last reading every tenth of a second has exactly one."""
    sampling = held(WITHOUT, chances=chances)
    sampling.complete(said(start_ns, REFUSED))
    instants: list[int] = []
    now_ns = start_ns
    for length_ns in ticks:
        instants += plan(sampling, now_ns, now_ns + length_ns)
        now_ns += length_ns
    cells = [instant // CELL_NS for instant in instants]
    assert cells == list(range(cells[0], cells[0] + len(cells))) if cells else sum(ticks) < 3 * CELL_NS
    assert abs(len(cells) - sum(ticks) // CELL_NS) <= 2


def test_instants_spread() -> None:
    """From a chance of 0.1 on, each instant lies 0.618… of its tenth after the last: 0.1, 0.718…, 0.336…"""
    sampling = held(WITHOUT, chances=(0.1, 0.9))
    sampling.complete(said(0, REFUSED))
    instants = plan(sampling, 0, 400_000_000)
    assert [round(instant / 1_000_000, 3) for instant in instants] == [110.0, 271.803, 333.607]


def test_a_tick_does_not_show_in_the_instants() -> None:
    """Ticks at any instant leave the readings where they would be without: what was drawn holds beyond a tick."""
    whole, cut = held(WITHOUT, chances=(0.3,)), held(WITHOUT, chances=(0.3,))
    for sampling in (whole, cut):
        sampling.complete(said(0, REFUSED))
    starts_ns = range(0, 3 * SECOND, 333_333_333)
    instants = [at_ns for start_ns in starts_ns for at_ns in plan(cut, start_ns, start_ns + 333_333_333)]
    assert instants[:29] == plan(whole, 0, 4 * SECOND)[:29]


@pytest.mark.parametrize(
    ("method", "is_mean", "period_ns", "expected"),
    [
        pytest.param("power", False, SECOND, 100, id="every-tenth"),
        pytest.param("power", True, SECOND, 0, id="mean-at-every-tick"),
        pytest.param("power", True, SECOND // 2, 0, id="mean-and-faster-ticks"),
        pytest.param("power", True, 10 * SECOND, 10, id="mean-between-slow-ticks"),
        pytest.param("counter", False, SECOND, 100, id="counter-that-cannot-be-read"),
        pytest.param("estimated", False, SECOND, 0, id="no-power-at-all"),
        pytest.param(REFUSED, False, SECOND, 0, id="nothing-at-all"),
    ],
)
def test_how_often(method: Method | Missing, is_mean: bool, period_ns: int, expected: int) -> None:
    """In 10 s without a counter: 100 readings; of means of a second 10, and none where ticks come every second.

    The first tenth may hold no reading any more, or the last one not yet.
    """
    sampling = held(replace(WITHOUT, method=method, power_is_mean=is_mean), period_ns)
    sampling.complete(said(0, REFUSED))
    assert abs(len(plan(sampling, 0, 10 * SECOND)) - expected) <= 1
    assert bool(plan(sampling, 10 * SECOND, 20 * SECOND)) == bool(expected)


@pytest.mark.parametrize(
    ("readings", "is_sampled"),
    [
        pytest.param([said(0, 5)], False, id="first"),
        pytest.param([said(0, 5), said(SECOND, 6)], False, id="moves"),
        pytest.param([said(0, 5), said(SECOND, 5)], True, id="stands-still"),
        pytest.param([said(0, 5), said(50_000_000, 5)], False, id="between-two-steps"),
        pytest.param([said(0, 5), said(SECOND, 5), said(2 * SECOND, 6)], False, id="moves-again"),
        pytest.param([said(0, 5), said(SECOND, REFUSED)], True, id="refused"),
        pytest.param([said(0, REFUSED), said(SECOND, 5)], False, id="answers"),
    ],
)
def test_only_a_counter_that_says_nothing_is_helped(readings: list[Reading], is_sampled: bool) -> None:
    """A board is sampled as long as its counter is refused, or has not moved for longer than a step."""
    sampling = held(WITHOUT)
    for reading in readings:
        sampling.complete(reading)
    now_ns = readings[-1].at_ns
    assert bool(plan(sampling, now_ns, now_ns + SECOND)) is is_sampled


def test_readings_go_with_the_next_tick_once() -> None:
    """What was read between two ticks comes with the second, in order, and not with the third."""
    sampling = held(WITHOUT)
    samples = (Sample(1, 100.0), Sample(2, REFUSED), Sample(3, 120.0))
    for sample in samples:
        sampling.keep("GPU-a", sample)
    assert sampling.complete(said(4, REFUSED)).samples == samples
    assert sampling.complete(said(5, REFUSED)).samples == ()


def test_a_silent_board_is_not_sampled_until_it_answers() -> None:
    """A board that did not answer at a tick loses what was read before, and is asked again after its next reading."""
    sampling = held(WITHOUT)
    sampling.complete_or_drop("GPU-a", said(0, REFUSED))
    sampling.keep("GPU-a", Sample(1, 100.0))
    assert sampling.complete_or_drop("GPU-a", NOT_ASKED) is NOT_ASKED
    assert plan(sampling, 1, SECOND) == []
    assert sampling.complete(said(SECOND, REFUSED)).samples == ()
    assert plan(sampling, SECOND, 2 * SECOND) != []


def test_each_board_has_its_own_pace() -> None:
    """Beside a board at 10 Hz one of means is read once a second, between ticks that are 10 s apart."""
    sampling = Sampling(10 * SECOND, lambda: 0.5)
    sampling.hold([WITHOUT, replace(WITHOUT, uuid="GPU-b", power_is_mean=True)])
    for uuid in ("GPU-a", "GPU-b"):
        sampling.complete(said(0, REFUSED, uuid))
    asked: list[str] = []
    now_ns, boards = sampling.next(0, 10 * SECOND)
    while boards:
        asked += boards
        now_ns, boards = sampling.next(now_ns, 10 * SECOND)
    assert (asked.count("GPU-a"), asked.count("GPU-b")) == (99, 9)


def test_a_board_that_is_held_no_more_is_not_sampled() -> None:
    """After a reload that lists it no more a board is left in peace."""
    sampling = held(WITHOUT)
    sampling.complete(said(0, REFUSED))
    sampling.hold([])
    assert plan(sampling, 0, SECOND) == []
