"""The snapshot: everything outputs show, frozen at one tick. Readers take a reference and need no lock."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from costmeter.ledger.query import Part
from costmeter.meter.idling import IdleSpell
from costmeter.meter.interval import Interval
from costmeter.meter.outlook import Allowed, Outlook
from costmeter.meter.progress import UNTOLD, Progress
from costmeter.meter.projection import Point, Projection, project
from costmeter.meter.slot import Slot
from costmeter.meter.totals import Totals, totals
from costmeter.readings import Reading


@dataclass(frozen=True, slots=True)
class Seen:
    """What a meter last saw of its devices, whether they are a run's or a node's.

    `intervals` are the last of each device. `slow` are the last readings that carried slow values (power, memory).
    `last_answer_utc_ns` is when a device last answered, None before the first. `resets` counts falls of an energy
    counter, `silent` are the devices that did not answer at the last tick. `can_be_negative` is whether any price can
    be, now or later. `took_ns` is how long the last tick took to read them all, None before the first.
    """

    intervals: Mapping[str, Interval] = field(default_factory=dict)
    slow: Mapping[str, Reading] = field(default_factory=dict)
    readings: int = 0
    failures: int = 0
    last_answer_utc_ns: int | None = None
    resets: Mapping[str, int] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    can_be_negative: bool = False
    took_ns: int | None = None


NOTHING_SEEN = Seen()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The run as of one tick: the closed slots folded, the slot still open, and the last of each device.

    `length_ns` is how long the run has lasted. `furthest` is the most that the run ever told of steps and tokens, with
    the last loss and target; `points` are how it came along. `idle` has the devices that are idle for a reason now.
    """

    at_utc_ns: int
    part: Part
    open_slot: Slot | None = None
    seen: Seen = NOTHING_SEEN
    journal_writable: bool = True
    length_ns: int = 0
    furthest: Progress = UNTOLD
    points: tuple[Point, ...] = ()
    idle: Mapping[str, IdleSpell] = field(default_factory=dict)

    @property
    def projection(self) -> Projection | None:
        """Where the run ends, as far as its course tells; computed when asked."""
        return project(self.points, self.furthest.of_steps)

    @property
    def outlook(self) -> Outlook:
        """What it will cost, as far as its course tells, and what it may, by the last word; computed when asked."""
        projection = self.projection
        budgets = {(use.budget.per, use.budget.project): use.budget.amount for use in self.part.budgets}
        allowed = tuple(Allowed(amount, per, project) for (per, project), amount in budgets.items())
        cost = None if projection is None else projection.total_cost
        return Outlook(self.part.header.currency, cost, allowed)

    @property
    def totals(self) -> Totals:
        """Live totals: closed slots plus the open one, priced now. The same sum a report finds later."""
        if self.open_slot is None or self.part.rates is None:
            return self.part.totals
        return self.part.totals + totals(self.open_slot, self.part.rates)
