"""Turns what a scenario says of a GPU's load into curves: power, utilization, and time spent computing."""

import random
from dataclasses import dataclass, replace
from functools import lru_cache

from costmeter.sources.simulated.curves import Constant, Curve, Ramp, chain, remembered, repeat, steps
from costmeter.sources.simulated.scenario import Level, Load, Pause, Shape, Slope, Square, Steady, Training

#: Noise is a table of this many offsets of this length, over and over; they sum to zero.
NOISE_LENGTH = 64
NOISE_STEP_NS = 73_000_000

#: The idle rule in instant values (percent): below the first is idle, above the second at low power is a spin.
_IDLE_BELOW, _SPIN_ABOVE, _SPIN_POWER_SHARE = 5, 95, 5


@dataclass(frozen=True, slots=True)
class Curves:
    """What a load amounts to over time: milliwatts, percent of utilization, and 1 where it computes."""

    power: Curve
    utilization: Curve
    busy: Curve


@dataclass(frozen=True, slots=True)
class Board:
    """The two powers of a device that levels refer to."""

    limit_milliwatts: int
    idle_milliwatts: int

    def power(self, level: Level) -> int:
        return self.idle_milliwatts if level.power_milliwatts is None else level.power_milliwatts

    def busy(self, level: Level, power_milliwatts: int) -> int:
        """1 when the level is computing, by its own word or else by the idle rule."""
        if level.busy is not None:
            return int(level.busy)
        spins = level.utilization_percent > _SPIN_ABOVE and power_milliwatts * _SPIN_POWER_SHARE < self.limit_milliwatts
        return int(level.utilization_percent >= _IDLE_BELOW and not spins)


@lru_cache(maxsize=256)
def curves(load: Load, board: Board) -> Curves:
    """A whole load on one kind of board; boards of one kind share the curves, and what they remember."""
    joined = _join([(piece.length_ns, _shape(piece.shape, board)) for piece in load.pieces])
    whole = _again(joined, sum(piece.length_ns for piece in load.pieces)) if load.repeats else joined
    return replace(whole, utilization=remembered(whole.utilization))


def noise(amplitude_milliwatts: int, seed: str) -> Curve:
    """Offsets within ± the amplitude that look random, are the same for the same seed, and sum to zero."""
    if amplitude_milliwatts == 0:
        return Constant(0)
    generator = random.Random(seed)
    half = [generator.randint(-amplitude_milliwatts, amplitude_milliwatts) for _ in range(NOISE_LENGTH // 2)]
    offsets = half + [-offset for offset in half]
    generator.shuffle(offsets)
    return repeat(steps([(NOISE_STEP_NS, offset) for offset in offsets]), NOISE_LENGTH * NOISE_STEP_NS)


def _shape(shape: Shape, board: Board) -> Curves:
    if isinstance(shape, Steady):
        return _levels([(0, shape.level)], board)
    if isinstance(shape, Slope):
        return _slope(shape, board)
    if isinstance(shape, Square):
        low_ns = shape.period_ns - shape.high_ns
        return _again(_levels([(shape.high_ns, shape.high), (low_ns, shape.low)], board), shape.period_ns)
    return _training(shape, board)


def _slope(shape: Slope, board: Board) -> Curves:
    first = board.power(shape.level)
    mean = (first + shape.last_milliwatts) // 2
    return Curves(
        Ramp(first, shape.last_milliwatts, shape.ramp_ns),
        Constant(shape.level.utilization_percent),
        Constant(board.busy(shape.level, mean)),
    )


def _training(shape: Training, board: Board) -> Curves:
    """Steps, evaluations after so many steps, checkpoints after so many evaluations: periods inside periods."""
    block_ns = shape.compute_ns + shape.wait_ns
    block = _again(_levels([(shape.compute_ns, shape.compute), (shape.wait_ns, shape.wait)], board), block_ns)
    made_steps = 1
    for pause in sorted((p for p in (shape.evaluation, shape.checkpoint) if p), key=lambda p: p.after_steps):
        block, block_ns = _interrupted(block, block_ns, pause, pause.after_steps // made_steps, board)
        made_steps = pause.after_steps
    return block


def _interrupted(block: Curves, block_ns: int, pause: Pause, blocks: int, board: Board) -> tuple[Curves, int]:
    """So many blocks, then the pause, over and over; with the length of one such period."""
    working_ns = block_ns * blocks
    period_ns = working_ns + pause.length_ns
    joined = _join([(working_ns, block), (pause.length_ns, _levels([(0, pause.level)], board))])
    return _again(joined, period_ns), period_ns


def _levels(pieces: list[tuple[int, Level]], board: Board) -> Curves:
    powers = [(length_ns, board.power(level)) for length_ns, level in pieces]
    return Curves(
        steps(powers),
        steps([(length_ns, level.utilization_percent) for length_ns, level in pieces]),
        steps(
            [
                (length_ns, board.busy(level, power))
                for (length_ns, power), (_, level) in zip(powers, pieces, strict=True)
            ]
        ),
    )


def _join(pieces: list[tuple[int, Curves]]) -> Curves:
    return Curves(
        chain([(length_ns, part.power) for length_ns, part in pieces]),
        chain([(length_ns, part.utilization) for length_ns, part in pieces]),
        chain([(length_ns, part.busy) for length_ns, part in pieces]),
    )


def _again(part: Curves, period_ns: int) -> Curves:
    return Curves(repeat(part.power, period_ns), repeat(part.utilization, period_ns), repeat(part.busy, period_ns))
