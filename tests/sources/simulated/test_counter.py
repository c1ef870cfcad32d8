"""The energy counter against the truth: steps, resets, freezes and reloads."""

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.clock import ManualClock
from costmeter.config import yamlfile
from costmeter.sources.simulated import SimulatedLibrary, open_library
from tests.sources.nodes import SECOND, STEADY, driver, handle, node

DAY = 86_400 * SECOND
HEALTHY = open_library("healthy", yamlfile.load, ManualClock(0), 0)


def counter_at(library: SimulatedLibrary, clock: ManualClock, *seconds: float) -> list[int]:
    """What pynvml reads, in millijoules, at instants after the epoch."""
    shown = []
    with driver(library):
        for instant in seconds:
            clock.advance(round(instant * SECOND) - clock.boottime_ns())
            shown.append(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle()))
    return shown


def steady(*faults: str) -> tuple[SimulatedLibrary, ManualClock]:
    clock = ManualClock(0)
    lines = "".join(f"\n      - {{{fault}}}" for fault in faults)
    return node(STEADY + (f"    faults:{lines}\n" if faults else ""), clock), clock


def test_the_counter_steps() -> None:
    """From 5 J at 300 W in steps of 100 ms: 30 J more each, and the same until the next one."""
    assert counter_at(*steady(), 0, 0.099, 0.1, 0.19, 10) == [5_000, 5_000, 35_000, 35_000, 3_005_000]


def test_a_reset_counter_begins_at_zero() -> None:
    """Reset at 10.05 s, it shows nothing until the step at 10.1 s shows the 15 J since."""
    shown = counter_at(*steady("kind: counter-reset, at: 10050 ms"), 10, 10.06, 10.1, 11.1)

    assert shown == [3_005_000, 0, 15_000, 315_000]


@pytest.mark.parametrize(
    ("then", "after"),
    [
        pytest.param("", 3_305_000, id="resumes-by-default"),
        pytest.param(", then: resume", 3_305_000, id="resumes"),
        pytest.param(", then: catch-up", 9_305_000, id="catches-up"),
    ],
)
def test_a_frozen_counter_stands_still(then: str, after: int) -> None:
    """Frozen from 10 s to 30 s at 3,005 J; 1 s later it shows 300 J more, or all the 6,300 J it missed."""
    shown = counter_at(*steady(f"kind: counter-frozen, at: 10 s, for: 20 s{then}"), 10, 20, 29.9, 31)

    assert shown == [3_005_000, 3_005_000, 3_005_000, after]


def test_a_frozen_counter_can_stay_frozen() -> None:
    """Without a length, a frozen counter never moves again."""
    assert counter_at(*steady("kind: counter-frozen, at: 1 s"), 2, 3_600) == [305_000, 305_000]


def test_a_reset_ends_a_freeze() -> None:
    """Reset at 20 s while frozen, the counter runs from zero, also when the freeze would have ended."""
    faults = "kind: counter-frozen, at: 10 s, for: 20 s", "kind: counter-reset, at: 20 s"

    assert counter_at(*steady(*faults), 19, 21, 40) == [3_005_000, 300_000, 6_000_000]


@pytest.mark.parametrize(
    ("faults", "instants", "shown"),
    [
        pytest.param(
            ["kind: counter-jump, at: 10 s, energy: 2 MJ"],
            [9.9, 10, 11, 60],
            [2_975_000, 2_003_005_000, 2_003_305_000, 2_018_005_000],
            id="jump-for-good",
        ),
        pytest.param(
            ["kind: counter-jump, at: 10 s, for: 1 s, energy: 2 MJ"],
            [10, 10.9, 11, 60],
            [2_003_005_000, 2_003_275_000, 3_305_000, 18_005_000],
            id="glitch",
        ),
        pytest.param(
            ["kind: counter-fall, at: 10 s, for: 5 s, energy: 1 kJ"],
            [9.9, 10, 14.9, 15],
            [2_975_000, 2_005_000, 3_475_000, 4_505_000],
            id="falls-and-returns",
        ),
        pytest.param(
            ["kind: counter-fall, at: 10 s, for: 5 s, energy: 3605 J"],
            [10, 12, 13, 15],
            [0, 0, 300_000, 4_505_000],
            id="falls-to-nothing",
        ),
        pytest.param(
            ["kind: counter-jump, at: 10 s, for: 20 s, energy: 1 kJ", "kind: counter-fall, at: 15 s, energy: 400 J"],
            [20, 30],
            [6_605_000, 8_605_000],
            id="jump-and-fall",
        ),
        pytest.param(
            ["kind: counter-jump, at: 10 s, for: 20 s, energy: 2 MJ", "kind: counter-reset, at: 20 s"],
            [20, 21, 30, 31],
            [0, 300_000, 3_000_000, 3_300_000],
            id="reset-ends-a-jump",
        ),
        pytest.param(
            ["kind: counter-jump, at: 20 s, energy: 1 kJ", "kind: counter-reset, at: 20 s"],
            [20, 21],
            [1_000_000, 1_300_000],
            id="jump-at-a-reset",
        ),
        pytest.param(
            ["kind: counter-frozen, at: 10 s, for: 20 s", "kind: counter-jump, at: 15 s, energy: 1 kJ"],
            [15, 29.9, 31],
            [3_005_000, 3_005_000, 4_305_000],
            id="jump-while-frozen",
        ),
        pytest.param(
            ["kind: counter-jump, at: 5 s, for: 10 s, energy: 1 kJ", "kind: counter-frozen, at: 10 s, for: 20 s"],
            [10, 29.9, 31],
            [4_005_000, 4_005_000, 3_305_000],
            id="frozen-in-a-glitch",
        ),
        pytest.param(
            ["kind: counter-jump, at: 5 s, energy: 1 kJ", "kind: counter-frozen, at: 10 s, for: 20 s, then: catch-up"],
            [29.9, 31],
            [4_005_000, 10_305_000],
            id="catches-up-after-a-jump",
        ),
    ],
)
def test_a_counter_is_moved_off_its_line(faults: list[str], instants: list[float], shown: list[int]) -> None:
    """5 J, 300 J for each second, and what it jumped or fell by; a reset ends both, a freeze holds both."""
    assert counter_at(*steady(*faults), *instants) == shown


def test_a_jump_is_not_drawn() -> None:
    """What a counter shows too much was never drawn."""
    library, _ = steady("kind: counter-jump, at: 10 s, energy: 2 MJ")

    assert library.truth.energy_microjoules(library.truth.uuids[0], 0, 20 * SECOND) == 6_000_000_000


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["counter-jump", "counter-fall", "counter-frozen"]), st.integers(0, 50), st.integers(1, 50)
        ),
        max_size=6,
    )
)
def test_counter_faults_pass(drawn: list[tuple[str, int, int]]) -> None:
    """However faults that end overlap, the counter is back on its line after them when it catches up.

    At 100 s it holds 5 J + 30,000 J, whatever jumped by 700 J, fell by 700 J or stood still before.
    """
    more = {"counter-frozen": "then: catch-up", "counter-jump": "energy: 700 J", "counter-fall": "energy: 700 J"}
    faults = [f"kind: {kind}, at: {start} s, for: {length} s, {more[kind]}" for kind, start, length in drawn]
    library, _ = steady(*faults)
    counter = library._gpus[0].counter()
    assert counter is not None

    assert counter.millijoules(100 * SECOND) == 30_005_000


def test_a_board_without_a_counter_says_so() -> None:
    """A board that has no energy counter answers Not Supported."""
    with (
        driver(node(STEADY.replace("{start: 5 J}", "none"))),
        pytest.raises(pynvml.NVMLError_NotSupported),
    ):
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle())


@given(st.integers(0, 7), st.integers(0, 30 * DAY), st.integers(0, DAY))
def test_the_counter_tells_the_truth_one_step_late(index: int, start: int, length: int) -> None:
    """A counter's difference is the true energy of the window, less and plus at most one step at each end.

    One step of 100 ms at no more than 700 W is 70 J, and each reading is rounded down to 1 mJ.
    """
    gpu = HEALTHY._gpus[index]
    counter = gpu.counter()
    assert counter is not None

    shown_uj = (counter.millijoules(start + length) - counter.millijoules(start)) * 1_000

    true_uj = HEALTHY.truth.energy_microjoules(gpu.facts.uuid, start, start + length)
    assert abs(shown_uj - true_uj) <= 70_000_000 + 1_000


@given(st.integers(0, 7), st.integers(0, 30 * DAY), st.integers(0, 10 * SECOND))
def test_the_counter_never_falls(index: int, start: int, length: int) -> None:
    """Without a fault, a later reading is no lower than an earlier one."""
    counter = HEALTHY._gpus[index].counter()
    assert counter is not None

    assert counter.millijoules(start) <= counter.millijoules(start + length)


@given(st.integers(0, 7), st.integers(0, 10**7))
def test_between_steps_the_counter_is_the_truth(index: int, step: int) -> None:
    """At the instants it steps, the counter holds exactly the energy since the epoch, to 1 mJ."""
    gpu = HEALTHY._gpus[index]
    counter = gpu.counter()
    assert counter is not None
    instant = counter.renewed_ns(step * 100_000_000)

    shown = counter.millijoules(instant) - counter.millijoules(0)

    assert shown == HEALTHY.truth.energy_microjoules(gpu.facts.uuid, 0, instant) // 1_000
