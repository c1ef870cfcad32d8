"""Loads as curves: training and its pauses, noise, and what counts as busy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.config import yamlfile
from costmeter.sources.simulated.profile import NOISE_LENGTH, NOISE_STEP_NS, Board, curves, noise
from costmeter.sources.simulated.reader import scenario
from costmeter.sources.simulated.scenario import FOR_EVER_NS, Level, Load, Piece, Steady
from tests.sources.nodes import SECOND

BOARD = Board(700_000, 70_000)
PICOJOULES_PER_JOULE = 10**12


def load(text: str) -> Load:
    """A load as a scenario file writes it."""
    device = "devices:\n  - {name: X, power_limit: 700 W, idle_power: 70 W, memory: 80 GiB, load: it}\n"
    return scenario(yamlfile.load(f"{device}loads:\n  it: {text}\n", "t.yaml"), "t", "t.yaml").gpus[0].load


def test_training_by_hand() -> None:
    """Steps of 2 s (1.5 s at 600 W, 0.5 s at 100 W) are 950 J; ten, then 5 s of evaluation at 400 W: 11,500 J in 25 s.

    Twice that, then a checkpoint of 10 s at 120 W: 24,200 J in 60 s. Busy are 15 s + 5 s of each 25 s: 40 s of 60 s.
    """
    training = curves(
        load(
            "{shape: training, step: 2 s, compute: {power: 600 W, utilization: 100 %},"
            " wait_for: 500 ms, wait: {power: 100 W, utilization: 0 %},"
            " evaluation: {after_steps: 10, for: 5 s, power: 400 W, utilization: 90 %},"
            " checkpoint: {after_steps: 20, for: 10 s, power: 120 W, utilization: 1 %}}"
        ),
        BOARD,
    )

    joules = [training.power.total(t * SECOND) // PICOJOULES_PER_JOULE for t in (2, 20, 25, 50, 60, 120)]
    assert joules == [950, 9_500, 11_500, 23_000, 24_200, 48_400]
    assert training.busy.total(60 * SECOND) == 40 * SECOND


def test_a_repeated_load_begins_again() -> None:
    """10 s at 200 W and 20 s idle at 70 W are 3,400 J; two rounds and 5 s more are 7,800 J."""
    spot = curves(
        load("{repeat: [{shape: constant, for: 10 s, power: 200 W}, {shape: constant, for: 20 s, power: idle}]}"), BOARD
    )

    assert spot.power.total(65 * SECOND) == 7_800 * PICOJOULES_PER_JOULE


def test_a_square_by_hand() -> None:
    """0.25 s of each second at 400 W and the rest at 100 W are 175 J per second; 40 % × 0.25 is 10 % utilization."""
    square = curves(
        load(
            "{shape: square, period: 1 s, high_for: 250 ms,"
            " high: {power: 400 W, utilization: 40 %}, low: {power: 100 W, utilization: 0 %}}"
        ),
        BOARD,
    )

    assert square.power.total(8 * SECOND) == 1_400 * PICOJOULES_PER_JOULE
    assert square.utilization.total(8 * SECOND) == 10 * 8 * SECOND


@given(st.integers(1, 50_000), st.integers(0, 1_000))
def test_noise_sums_to_zero(amplitude: int, seed: int) -> None:
    """One round of noise adds nothing, and no offset is beyond the amplitude."""
    table = noise(amplitude, str(seed))
    low, high = table.bounds()

    assert table.total(NOISE_LENGTH * NOISE_STEP_NS) == 0
    assert -amplitude <= low <= high <= amplitude


def test_noise_repeats_for_its_seed_only() -> None:
    """The same seed gives the same noise, another seed another."""
    first, again, other = (noise(10_000, seed) for seed in ("a", "a", "b"))

    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("level", "busy"),
    [
        pytest.param(Level(600_000, 98), 1, id="computing"),
        pytest.param(Level(120_000, 4), 0, id="below-5-percent"),
        pytest.param(Level(120_000, 5), 1, id="at-5-percent"),
        pytest.param(Level(118_000, 100), 0, id="spinning-below-140-watts"),
        pytest.param(Level(140_000, 100), 1, id="at-a-fifth-of-the-limit"),
        pytest.param(Level(118_000, 95), 1, id="at-95-percent-no-spin"),
        pytest.param(Level(118_000, 100, True), 1, id="the-scenario-says-busy"),
        pytest.param(Level(600_000, 98, False), 0, id="the-scenario-says-idle"),
    ],
)
def test_busy_follows_the_idle_rule(level: Level, busy: int) -> None:
    """A level counts as busy by the rule the meter uses, unless the scenario says otherwise."""
    load = Load((Piece(Steady(level), FOR_EVER_NS),))

    assert curves(load, BOARD).busy.total(SECOND) == busy * SECOND
