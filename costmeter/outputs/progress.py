"""How far a run came, what a step and a million tokens of it cost, and what it will have cost at its end."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from costmeter.ledger.query import Run
from costmeter.ledger.timeline import Timeline
from costmeter.meter.progress import Progress
from costmeter.meter.projection import Point, Projection, project
from costmeter.outputs.figures import plain
from costmeter.units import NANOSECONDS_PER_SECOND

_MILLION = 1_000_000
#: Unit costs are told to a millionth of a millionth, as charges are.
_UNIT = Decimal("1e-12")


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

    Steps and tokens are the most that any part reached. A unit costs all that the run cost, work done twice included,
    divided by what it reached: the price of a step that is there in the end. `projection` is where it ends, of a run
    that still goes on.
    """
    told = [part.progress for part in sorted(run.parts, key=lambda part: part.ended_utc_ns) if part.progress]
    steps, tokens = _most(told, lambda each: each.steps), _most(told, lambda each: each.tokens)
    losses = [each.loss for each in told if each.loss is not None]
    return {
        "steps": steps,
        "tokens": tokens,
        "loss": losses[-1] if losses else None,
        "of_steps": _most(told, lambda each: each.of_steps),
        "cost_per_step": _unit_cost(cost, steps, 1),
        "cost_per_million_tokens": _unit_cost(cost, tokens, _MILLION),
        "projected": None if projection is None else _projected(projection),
    }


def _most(told: Iterable[Progress], count: Callable[[Progress], int | None]) -> int | None:
    return max((reached for each in told if (reached := count(each)) is not None), default=None)


def _unit_cost(cost: Decimal, count: int | None, units: int) -> str | None:
    return plain((cost * units / count).quantize(_UNIT)) if count else None


def _projected(projection: Projection) -> dict[str, Any]:
    return {
        "seconds_left": projection.remaining_ns / NANOSECONDS_PER_SECOND,
        "seconds_left_low": projection.least_ns / NANOSECONDS_PER_SECOND,
        "seconds_left_high": projection.most_ns / NANOSECONDS_PER_SECOND,
        "total_cost": plain(projection.total_cost),
        "total_cost_low": plain(projection.least_cost),
        "total_cost_high": plain(projection.most_cost),
    }
