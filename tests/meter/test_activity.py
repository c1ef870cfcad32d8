"""The idle rule: what counts as busy, idle and unknown, at its edges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.activity import STATES, IdleRule, State, state
from costmeter.readings import Missing
from tests.samples import missing, ratios

SILENT = Missing("not supported")
LIMIT = 700.0


@pytest.mark.parametrize(
    ("expected", "utilization", "share_of_limit"),
    [
        pytest.param("idle", 0.0, 0.10, id="nothing-runs"),
        pytest.param("idle", 0.0499, 0.90, id="4.99-percent"),
        pytest.param("busy", 0.05, 0.10, id="5-percent"),
        pytest.param("busy", 0.95, 0.199, id="95-percent-at-19.9-of-limit"),
        pytest.param("idle", 0.96, 0.199, id="96-percent-at-19.9-of-limit"),
        pytest.param("busy", 0.96, 0.20, id="96-percent-at-20-of-limit"),
        pytest.param("idle", 1.0, 0.17, id="a-hang-that-spins"),
        pytest.param("busy", 1.0, 0.93, id="training"),
    ],
)
def test_edges_of_the_idle_rule(expected: State, utilization: float, share_of_limit: float) -> None:
    """Below 5 % is idle, and so is more than 95 % at less than 20 % of the limit; the edges themselves are busy."""
    assert expected == state(IdleRule(), utilization, share_of_limit * LIMIT, LIMIT)


@pytest.mark.parametrize(
    ("expected", "utilization", "power", "limit"),
    [
        pytest.param("unknown", SILENT, 650.0, LIMIT, id="no-utilization"),
        pytest.param("busy", 1.0, SILENT, LIMIT, id="no-power"),
        pytest.param("busy", 1.0, 60.0, SILENT, id="no-limit"),
        pytest.param("idle", 0.01, SILENT, SILENT, id="utilization-is-enough-for-idle"),
    ],
)
def test_what_is_missing_decides_nothing(
    expected: State, utilization: float | Missing, power: float | Missing, limit: float | Missing
) -> None:
    """Without utilization nobody can say; without power or limit, utilization alone decides."""
    assert expected == state(IdleRule(), utilization, power, limit)


def test_the_rule_can_be_changed() -> None:
    """Both thresholds are the site's to set."""
    rule = IdleRule(utilization_below=0.30, spin_power_below=0.5)
    assert state(rule, 0.25, 300.0, LIMIT) == "idle"
    assert state(rule, 0.99, 349.0, LIMIT) == "idle"


@given(ratios | missing, st.floats(0, 2_000) | missing, st.floats(1, 2_000) | missing)
def test_every_interval_has_one_of_three_states(
    utilization: float | Missing, power: float | Missing, limit: float | Missing
) -> None:
    """Whatever is said or not said, the state is one of the three, and unknown only without utilization."""
    found = state(IdleRule(), utilization, power, limit)
    assert found in STATES
    assert (found == "unknown") == isinstance(utilization, Missing)
