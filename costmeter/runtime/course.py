"""How a run has come along: the furthest it told of, and points from which its end can be projected."""

from dataclasses import replace
from decimal import Decimal

from costmeter.meter.progress import UNTOLD, Progress
from costmeter.meter.projection import Point
from costmeter.runtime.events import Told
from costmeter.units import NANOSECONDS_PER_SECOND

#: When there are so many points every second one is let go, and they come half as often: a run of any length has few.
POINTS_KEPT = 128
#: A tick that comes this much too early is not let go for the next one.
EARLY_NS = NANOSECONDS_PER_SECOND // 10


class Course:
    """What one meter has seen of its run's progress."""

    def __init__(self) -> None:
        self.furthest = UNTOLD
        self.points: tuple[Point, ...] = ()
        self._spacing_ns = NANOSECONDS_PER_SECOND
        self._steps: int | None = None

    def tell(self, told: Told) -> None:
        """Take what the run said."""
        self.furthest = further(told.progress, self.furthest)
        self._steps = told.progress.steps

    def is_due(self, at_ns: int) -> bool:
        """Whether a point is to be taken: the caller then says what the run costs, which takes a moment."""
        if self._steps is None or not self.points:
            return self._steps is not None
        waited_ns = at_ns - self.points[-1].at_ns
        return waited_ns >= self._spacing_ns - EARLY_NS or self._steps < self.points[-1].steps

    def see(self, at_ns: int, cost: Decimal) -> None:
        """Take a point: what the run costs by an instant (CLOCK_BOOTTIME)."""
        assert self._steps is not None  # is_due said so
        kept = self.points
        if len(kept) >= POINTS_KEPT:
            kept, self._spacing_ns = kept[::2], self._spacing_ns * 2
        self.points = (*kept, Point(at_ns, self._steps, cost))


def further(now: Progress, most: Progress) -> Progress:
    """What a run says now, with the most that it ever told of steps and tokens."""
    return replace(now, steps=_more(now.steps, most.steps), tokens=_more(now.tokens, most.tokens))


def _more(now: int | None, before: int | None) -> int | None:
    return before if now is None else now if before is None else max(now, before)
