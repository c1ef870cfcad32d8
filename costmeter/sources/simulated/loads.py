"""Reads the loads of a scenario file: what a GPU does over time, as pieces of four shapes."""

from costmeter.sources.simulated.fields import Field
from costmeter.sources.simulated.scenario import (
    FOR_EVER_NS,
    Level,
    Load,
    Pause,
    Piece,
    Shape,
    Slope,
    Square,
    Steady,
    Training,
)

_IDLE_LEVEL = Level(None, 0)
IDLE = Load((Piece(Steady(_IDLE_LEVEL), FOR_EVER_NS),))


def read_load(value: Field) -> Load:
    """One piece, a list of pieces, or `{repeat: [pieces]}`."""
    if value.is_list():
        return Load(_pieces(value))
    if (cycle := value.get("repeat")) is not None:
        value.done()
        pieces = _pieces(cycle)
        if any(piece.length_ns == FOR_EVER_NS for piece in pieces):
            cycle.fault("every piece of a repeated load needs a length; add `for: 5 min` to each")
            return IDLE
        return Load(pieces, repeats=True)
    return Load((_piece(value),))


def _pieces(value: Field) -> tuple[Piece, ...]:
    items = value.items()
    pieces = tuple(_piece(item) for item in items)
    for item, piece in zip(items[:-1], pieces[:-1], strict=True):
        if piece.length_ns == FOR_EVER_NS:
            item.fault("only the last piece may go on for ever; add `for: 5 min`")
    if not pieces:
        value.fault("a load needs at least one piece")
    return pieces or IDLE.pieces


def _piece(block: Field) -> Piece:
    shape = block.need("shape")
    length = block.get("for")
    length_ns = length.duration() if length else FOR_EVER_NS
    word = shape.choice(("constant", "ramp", "square", "training")) if shape else None
    read = {"ramp": _slope, "square": _square, "training": _training}.get(word or "", _steady)
    piece = Piece(read(block, length_ns), length_ns)
    block.done()
    return piece


def _steady(block: Field, _: int) -> Shape:
    return Steady(_level_fields(block))


def _slope(block: Field, length_ns: int) -> Shape:
    last = block.need("to_power")
    if length_ns == FOR_EVER_NS:
        block.fault("a ramp needs a length; add `for: 30 s`")
        length_ns = 1
    return Slope(_level_fields(block), last.milliwatts() if last else 0, length_ns)


def _square(block: Field, _: int) -> Shape:
    period, high_for = block.need("period"), block.need("high_for")
    high, low = block.need("high"), block.need("low")
    period_ns = period.duration(2) if period else 2
    high_ns = high_for.duration() if high_for else 1
    if high_ns >= period_ns and high_for:
        high_for.fault("the high part must be shorter than the period")
        high_ns = period_ns - 1
    return Square(_level(high), _level(low), high_ns, period_ns)


def _training(block: Field, _: int) -> Shape:
    step, wait_for = block.need("step"), block.get("wait_for")
    compute, wait = block.need("compute"), block.get("wait")
    evaluation, checkpoint = _pause(block.get("evaluation")), _pause(block.get("checkpoint"))
    step_ns = step.duration(2) if step else 2
    wait_ns = wait_for.duration() if wait_for else 0
    if wait_ns >= step_ns and wait_for:
        wait_for.fault("waiting for data must be shorter than the step")
        wait_ns = 1
    compute_level = _level(compute)
    return Training(
        compute_level,
        step_ns - wait_ns,
        _level(wait) if wait_for else compute_level,
        wait_ns,
        evaluation,
        _aligned(block, evaluation, checkpoint),
    )


def _aligned(block: Field, evaluation: Pause | None, checkpoint: Pause | None) -> Pause | None:
    """Pauses nest, one count a multiple of the other: that is what keeps energy a closed form."""
    if evaluation and checkpoint:
        small, large = sorted((evaluation.after_steps, checkpoint.after_steps))
        if large % small:
            block.fault(f"`after_steps` of the longer cycle ({large}) must be a multiple of the shorter one ({small})")
    return checkpoint


def _pause(block: Field | None) -> Pause | None:
    if block is None:
        return None
    after, length = block.need("after_steps"), block.need("for")
    level = _level_fields(block)
    block.done()
    return Pause(after.whole(1, 10**9) if after else 1, level, length.duration() if length else 1)


def _level(block: Field | None) -> Level:
    if block is None:
        return _IDLE_LEVEL
    level = _level_fields(block)
    block.done()
    return level


def _level_fields(block: Field) -> Level:
    power, utilization, busy = block.get("power"), block.get("utilization"), block.get("busy")
    return Level(
        None if power is None or power.text() == "idle" else power.milliwatts(1_000),
        utilization.percent() if utilization else 0,
        busy.flag() if busy else None,
    )
