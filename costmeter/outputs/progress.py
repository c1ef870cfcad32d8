"""How far a run came, what a step and a million tokens of it cost, and what it will have cost at its end."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from costmeter.ledger.query import Part, Run
from costmeter.ledger.timeline import Timeline
from costmeter.meter.progress import Progress
from costmeter.meter.projection import Point, Projection, project
from costmeter.outputs.figures import plain
from costmeter.units import NANOSECONDS_PER_SECOND

_MILLION = 1_000_000
#: Unit costs are told to a millionth of a millionth, as charges are; smaller ones in so many digits.
_UNIT, _DIGITS = Decimal("1e-12"), 6


def projected(timeline: Timeline, of_steps: int | None) -> Projection | None:
    """Where a run that still goes on ends, from what it did so far; None where it never told how far it is to go."""
    points, cost = [], Decimal(0)
    for step in timeline.steps:
        cost += step.cost
        if step.steps is not None:
            points.append(Point(step.end_utc_ns, step.steps, cost))
    return project(points, of_steps) if points else None


def progress_of(run: Run, cost: Decimal, projection: Projection | None = None) -> dict[str, Any]:
    """The run's progress as the job told it; None for what it never told.

    Steps and tokens are the most that any part reached, `from_steps` and `from_tokens` where the first of the parts
    that told began to count, None where that was at nothing. A unit costs all that these parts cost, work done twice
    included, divided by what they added: the price of a step that is there in the end. `projection` is where it ends,
    of a run that still goes on.
    """
    told = [part.progress for part in sorted(run.parts, key=lambda part: part.ended_utc_ns) if part.progress]
    steps, tokens = _most(told, lambda each: each.steps), _most(told, lambda each: each.tokens)
    from_steps = _began(run.parts, lambda each: each.steps, lambda each: each.from_steps)
    from_tokens = _began(run.parts, lambda each: each.tokens, lambda each: each.from_tokens)
    losses = [each.loss for each in told if each.loss is not None]
    is_later = part_number(run) is not None
    return {
        "steps": steps,
        "tokens": tokens,
        "from_steps": from_steps,
        "from_tokens": from_tokens,
        "loss": losses[-1] if losses else None,
        "of_steps": _most(told, lambda each: each.of_steps),
        "cost_per_step": _unit_cost(cost, _added(steps, from_steps, is_later), 1),
        "cost_per_million_tokens": _unit_cost(cost, _added(tokens, from_tokens, is_later), _MILLION),
        "projected": None if projection is None else _projected(projection),
    }


def part_number(run: Run) -> int | None:
    """Which part of its run this is, where it is one alone and others came before it; None of any other."""
    number = run.parts[0].header.part
    return number if len(run.parts) == 1 and number > 1 else None


def _began(
    parts: Sequence[Part], count: Callable[[Progress], int | None], began: Callable[[Progress], int | None]
) -> int | None:
    """Where the part began to count that was the first to tell of such a count."""
    by_start = sorted(parts, key=lambda part: part.header.anchor.utc(part.start_ns))
    told = (part.progress for part in by_start if part.progress is not None and count(part.progress) is not None)
    return next(map(began, told), None) or None


def _added(reached: int | None, began: int | None, is_later: bool) -> int | None:
    """What was added; None where nobody knows: a later part, of which it is not known where it began, added not all."""
    return None if reached is None or (is_later and began is None) else reached - (began or 0)


def _most(told: Iterable[Progress], count: Callable[[Progress], int | None]) -> int | None:
    return max((reached for each in told if (reached := count(each)) is not None), default=None)


def _unit_cost(cost: Decimal, count: int | None, units: int) -> str | None:
    if count is None or count <= 0:
        return None
    each = cost * units / count
    return plain(each.quantize(min(_UNIT, Decimal(1).scaleb(each.adjusted() - _DIGITS + 1)) if each else _UNIT))


def _projected(projection: Projection) -> dict[str, Any]:
    return {
        "seconds_left": projection.remaining_ns / NANOSECONDS_PER_SECOND,
        "seconds_left_low": projection.least_ns / NANOSECONDS_PER_SECOND,
        "seconds_left_high": projection.most_ns / NANOSECONDS_PER_SECOND,
        "total_cost": plain(projection.total_cost),
        "total_cost_low": plain(projection.least_cost),
        "total_cost_high": plain(projection.most_cost),
    }
