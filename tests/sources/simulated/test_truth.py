"""The truth about a simulated node: exact for any window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.clock import ManualClock
from costmeter.config import yamlfile
from costmeter.sources.simulated import SimulatedLibrary, bundled_scenarios, open_library
from tests.sources.nodes import SECOND, STEADY, node

MONTH = 30 * 86_400 * SECOND
LIBRARIES = [open_library(name, yamlfile.load, ManualClock(0), 0) for name in bundled_scenarios()]


@given(st.sampled_from(LIBRARIES), st.lists(st.integers(0, MONTH), min_size=3, max_size=3).map(sorted))
def test_windows_that_meet_add_up(library: SimulatedLibrary, edges: list[int]) -> None:
    """Energy and busy time of two windows that meet are those of the whole, to the last unit, on every scenario."""
    truth = library.truth
    a, b, c = edges
    for uuid in truth.uuids:
        for quantity in (truth.energy_microjoules, truth.busy_nanoseconds):
            assert quantity(uuid, a, c) == quantity(uuid, a, b) + quantity(uuid, b, c)


@given(st.sampled_from(LIBRARIES), st.integers(0, MONTH), st.integers(1, 86_400 * SECOND))
def test_energy_stays_below_the_board_limit(library: SimulatedLibrary, start: int, length: int) -> None:
    """No bundled scenario draws more than its boards may, nor less than half of what an idle board draws."""
    for gpu in library.scenario.gpus:
        energy_uj = library.truth.energy_microjoules(gpu.uuid, start, start + length)
        assert energy_uj <= gpu.power_limit_milliwatts * length // 10**6 + 1
        assert energy_uj >= gpu.idle_milliwatts * length // (2 * 10**6) - 1


def test_a_steady_board_by_hand() -> None:
    """At 300 W and 60 %, 90 s are 27 kJ, 90 s busy and none idle; before the epoch there is nothing."""
    library = node(STEADY, epoch_boottime_ns=50 * SECOND)
    truth, uuid = library.truth, library.truth.uuids[0]
    window = 50 * SECOND, 140 * SECOND

    assert truth.energy_microjoules(uuid, *window) == 27_000_000_000
    assert (truth.busy_seconds(uuid, *window), truth.idle_seconds(uuid, *window)) == (90.0, 0.0)
    assert truth.mean_utilization(uuid, *window) == 0.6
    assert truth.energy_microjoules(uuid, 0, 140 * SECOND) == 27_000_000_000


def test_a_spike_is_really_drawn() -> None:
    """200 W more for 3 s are 600 J more."""
    library = node(STEADY + "    faults: [{kind: spike, at: 10 s, for: 3 s, power: 200 W}]\n")

    assert library.truth.energy_microjoules(library.truth.uuids[0], 0, 60 * SECOND) == 18_600_000_000


def test_boards_of_one_kind_differ() -> None:
    """With a spread, eight boards of one entry draw different powers, all within it."""
    library = node(STEADY + "    count: 8\n    spread: 5 %\n")
    joules = [library.truth.energy_microjoules(uuid, 0, SECOND) / 1e6 for uuid in library.truth.uuids]

    assert len(set(joules)) == 8
    assert all(285 <= energy <= 315 for energy in joules)


@pytest.mark.parametrize(
    ("name", "busy_at_least", "busy_at_most"),
    [
        pytest.param("healthy", 0.85, 0.97, id="healthy"),
        pytest.param("data-bound", 0.30, 0.36, id="data-bound"),
        pytest.param("hang", 0.0, 0.02, id="hang"),
        pytest.param("preempted", 0.55, 0.70, id="preempted"),
        pytest.param("notebook", 0.0, 0.0, id="notebook"),
    ],
)
def test_scenarios_are_as_busy_as_they_say(name: str, busy_at_least: float, busy_at_most: float) -> None:
    """Over one hour each bundled scenario is busy for the share its story needs."""
    library = open_library(name, yamlfile.load, ManualClock(0), 0)
    share = library.truth.busy_seconds(library.truth.uuids[0], 0, 3_600 * SECOND) / 3_600

    assert busy_at_least <= share <= busy_at_most
