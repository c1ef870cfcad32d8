"""Projection: how long a run will still take and what it will have cost, from how it has come along so far.

The steps of the recent past are taken apart into blocks of equally many steps; how long each took, and cost, says how
evenly the run goes. The middle is the mean of all blocks, so that evaluations and checkpoints, which come again, count
as part of the whole. The band leaves out a tenth of the blocks at either end and always holds the middle: it is what is
left if all of it went like the faster, or the slower, of them. That is honest of a run that goes unevenly, and wider
than the error of a long mean. A crash, a queue or a change of price nobody can foresee.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

#: So many blocks at most say how evenly a run goes, and fewer than so many say nothing.
BLOCKS, FEWEST = 20, 3
#: Of so many equal shares of the steps done, only the last says how it goes on: what was slow at first is over.
SHARES = 2
#: Of so many blocks one is left out of the band at either end.
_LEFT_OUT = 10


@dataclass(frozen=True, slots=True)
class Point:
    """How far a run was: at an instant (nanoseconds, of whatever clock), steps done and all its money by then."""

    at_ns: int
    steps: int
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Projection:
    """From the last point to `of_steps`: nanoseconds left, and the whole cost then; each with its band.

    `total_cost` is what has been spent by the last point and what is still to come.
    """

    remaining_ns: int
    least_ns: int
    most_ns: int
    total_cost: Decimal
    least_cost: Decimal
    most_cost: Decimal


def project(points: Sequence[Point], of_steps: int | None) -> Projection | None:
    """Where a run ends, from points in order of time; None where nobody can know.

    That is without `of_steps`, and before three blocks of at least one step and one point each are behind it. A run
    beyond its last step has nothing left. What came before the last step backwards says nothing of the time to come. A
    run that stands still, now or in the past, is slower for it.
    """
    if of_steps is None or not points:
        return None
    now, reached = points[-1], _reached(points)
    remaining = of_steps - now.steps
    if remaining <= 0:
        return Projection(0, 0, 0, now.cost, now.cost, now.cost)
    first = now.steps - max((now.steps - reached[0].steps) // SHARES, min(FEWEST, now.steps - reached[0].steps))
    steps = now.steps - first
    count = min(BLOCKS, steps, sum(point.steps > first for point in reached))
    if count < FEWEST:
        return None
    edges = [_at(reached, first * count + steps * place, count) for place in range(count)] + [now]
    pairs = list(pairwise(edges))
    blocks_ns = sorted(after.at_ns - before.at_ns for before, after in pairs)
    costs = sorted(after.cost - before.cost for before, after in pairs)
    out = count // _LEFT_OUT
    mean_ns = sum(blocks_ns) * remaining // steps
    mean_cost = sum(costs, Decimal(0)) * remaining / steps
    return Projection(
        mean_ns,
        min(mean_ns, blocks_ns[out] * count * remaining // steps),
        max(mean_ns, blocks_ns[-1 - out] * count * remaining // steps),
        now.cost + mean_cost,
        now.cost + min(mean_cost, costs[out] * count * remaining / steps),
        now.cost + max(mean_cost, costs[-1 - out] * count * remaining / steps),
    )


def _reached(points: Sequence[Point]) -> list[Point]:
    """The points at which steps were first reached, since they last fell."""
    reached = [points[0]]
    for point in points[1:]:
        if point.steps < reached[-1].steps:
            reached = [point]
        elif point.steps > reached[-1].steps:
            reached.append(point)
    return reached


def _at(reached: Sequence[Point], numerator: int, denominator: int) -> Point:
    """When step `numerator / denominator` was reached, and at what cost: linear between its neighbours."""
    for before, after in pairwise(reached):
        if after.steps * denominator >= numerator:
            passed, length = numerator - before.steps * denominator, (after.steps - before.steps) * denominator
            at_ns = before.at_ns + (after.at_ns - before.at_ns) * passed // length
            return Point(at_ns, before.steps, before.cost + (after.cost - before.cost) * passed / length)
    return reached[-1]
