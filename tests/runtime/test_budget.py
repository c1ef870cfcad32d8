"""The watch over a run's budgets, on a clock that jumps: what it says, records and stops, and when a new day begins."""

from collections.abc import Callable
from datetime import timezone
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.clock import Anchor, RealClock
from costmeter.ledger.query import begin, fold
from costmeter.ledger.record import Budgets, Mark, Record, SlotEntry
from costmeter.meter.budget import Budget
from costmeter.meter.slot import Slot
from costmeter.outputs.snapshot import Snapshot
from costmeter.runtime.budget import BudgetWatch, Hooks, _Found
from costmeter.runtime.limits import applying
from costmeter.runtime.recorder import Post
from tests.end_to_end.installed import eventually
from tests.ledger.test_query import ORDER
from tests.ledger.test_spent import MIDNIGHT, PRICED, record
from tests.samples import BEGAN_NS, MINUTE, SECOND, devices, header, held, measured

UTC = timezone.utc
DAY = Budget(Decimal(10), per="day")


class Watching:
    """A run that costs a dollar a minute from `minutes_before` midnight on, and what its watch did."""

    def __init__(self, state: Path, *budgets: Budget, minutes_before: int = 3, run: str = "own") -> None:
        self.begins_utc_ns = MIDNIGHT - minutes_before * MINUTE
        first = header(run=run, anchor=Anchor(BEGAN_NS, self.begins_utc_ns), start_ns=BEGAN_NS, pid=7)
        self.part = begin(first)
        for line in (held(devices(2)), PRICED):
            self.part = fold(self.part, line)
        self.said: list[str] = []
        self.records: list[Record] = []
        self.stops = 0
        hooks = Hooks(self._record, self.said.append, self.said.append, self._stop)
        self.watch = BudgetWatch(budgets, first, state, UTC, RealClock(), hooks)

    def look(self) -> None:
        """As the watch's own thread does once a minute, here and now."""
        self.watch._found = self.watch._look()

    def minutes(self, count: int, seconds: int = 0) -> None:
        """So many minutes close, each at its edge; then the next is open for some seconds."""
        for _ in range(count):
            self._tick([self._slot(MINUTE)], 0)
        self._tick([], seconds)

    def _tick(self, closed: list[Slot], seconds: int) -> None:
        for slot in closed:
            self.part = fold(self.part, SlotEntry(slot))
        still_open = self._slot(seconds * SECOND)
        length_ns = still_open.end_utc_ns - self.begins_utc_ns
        snapshot = Snapshot(still_open.end_utc_ns, self.part, still_open, length_ns=length_ns)
        self.watch.see(Post(tuple(map(SlotEntry, closed)), ORDER, snapshot))

    def gap(self, count: int) -> None:
        """So many minutes close at once, as after a machine that slept."""
        slots: list[Slot] = []
        for _ in range(count):
            slots.append(self._slot(MINUTE, len(slots)))
        self._tick(slots, 0)

    def _slot(self, length_ns: int, later: int = 0) -> Slot:
        start_utc_ns = self.begins_utc_ns + (self.part.slots + later) * MINUTE
        return Slot(start_utc_ns, start_utc_ns + length_ns, dict.fromkeys(ORDER, measured(length_ns, length_ns)), {}, 0)

    def _record(self, line: Budgets | Mark) -> None:
        self.records.append(line)

    def _stop(self) -> str:
        self.stops += 1
        return "stopping"

    @property
    def shares(self) -> list[str]:
        return [line.removeprefix("budget: ").partition(" of ")[0] for line in self.said]


def test_shares_are_said_when_the_open_minute_reaches_them(tmp_path: Path) -> None:
    """5 of 10 dollars are reached 5 minutes in, 8 after 8, to the second; nothing is said twice."""
    run = Watching(tmp_path, Budget(Decimal(10)))
    run.look()
    run.minutes(4, 59)
    assert [] == run.said
    run.minutes(1, 0)
    run.minutes(0, 30)
    assert ["50 %"] == run.shares
    run.minutes(3, 0)
    run.minutes(9, 0)
    assert ["50 %", "80 %", "100 %"] == run.shares
    assert run.said[-1].endswith("; the command runs on")
    marks = [line.what for line in run.records if isinstance(line, Mark)]
    assert ["10 per run: 50 % of $10.00 used ($5.00), $5.00 left, at $60.00/h 5 m"] == marks[:1]


def test_a_stop_is_asked_for_once(tmp_path: Path) -> None:
    """Two budgets that both stop stop one command once."""
    both = (Budget(Decimal(2), on_exceed="stop"), Budget(Decimal(3), per="month", on_exceed="stop"))
    run = Watching(tmp_path, *both, minutes_before=60)
    run.look()
    run.minutes(5)
    assert 1 == run.stops
    assert ["2 per run: stopping the command"] == [
        line.what for line in run.records if isinstance(line, Mark) and "stopping" in line.what
    ]


@pytest.mark.parametrize(
    "go_over",
    [pytest.param(lambda run: run.minutes(10), id="by-the-minute"), pytest.param(lambda run: run.gap(10), id="asleep")],
)
def test_a_new_day_begins_at_nothing(tmp_path: Path, go_over: Callable[[Watching], None]) -> None:
    """3 minutes before midnight and 7 after it: 3 dollars belong to the day before, and 7 to this one."""
    run = Watching(tmp_path, DAY)
    run.look()
    go_over(run)
    (use,) = run.watch.uses
    assert Decimal(7) == use.spent(run.part.totals.whole.cost)
    recorded = [line for line in run.records if isinstance(line, Budgets)]
    assert recorded[-1].uses == run.watch.uses
    assert "80 %" not in run.shares
    run.minutes(1)
    assert "80 %" == run.shares[-1]


def test_what_others_spent_counts_and_yesterdays_does_not(tmp_path: Path) -> None:
    """4 dollars of another run today, 3 of it yesterday: the budget of the day is half used with one of our own."""
    record(tmp_path, "other", MIDNIGHT - 3 * MINUTE, 7)
    run = Watching(tmp_path, DAY, minutes_before=-30)
    clock = RealClock()
    run.watch._clock = replace_now(clock, MIDNIGHT + 30 * MINUTE)
    run.look()
    run.minutes(0, 59)
    assert [] == run.said
    run.minutes(1)
    assert ["50 %"] == run.shares
    assert "$4.00 of it not by this meter" in run.said[0]


def replace_now(clock: RealClock, utc_ns: int) -> RealClock:
    """The same clock at another time of the world."""
    clock.utc_ns = lambda: utc_ns  # type: ignore[method-assign]  # the outermost edge: the time of day
    return clock


def test_a_look_that_fails_is_not_the_last(tmp_path: Path) -> None:
    """What nobody foresaw is warned of once; the next looks go on, and what others spent counts again."""

    class Faulty(BudgetWatch):
        faults = 2

        def _look(self) -> tuple[_Found, ...]:
            self._look_now.set()  # the next one at once
            if self.faults:
                self.faults -= 1
                raise ZeroDivisionError("a journal that nobody foresaw")
            self._over.set()
            return super()._look()

    run = Watching(tmp_path, DAY)
    run.watch.__class__ = Faulty
    run.watch.start()
    eventually(lambda: run.watch._found, "a look after the faults")

    (warning,) = run.said
    assert "cannot be read (ZeroDivisionError: a journal that nobody foresaw); it is tried again" in warning


def test_shares_wait_for_the_first_look_but_not_for_ever(tmp_path: Path) -> None:
    """Until it is known what others spent nothing is said, or else that it is not known."""
    run = Watching(tmp_path, Budget(Decimal("0.10")))
    run.minutes(0, 9)
    assert [] == run.said
    run.minutes(0, 11)
    assert "does not say what other runs spent; this one alone counts till then" in run.said[0]
    assert ["100 %"] == run.shares[1:]


@pytest.mark.parametrize(
    ("budget", "label", "expected"),
    [
        pytest.param(Budget(Decimal(1)), "", Budget(Decimal(1)), id="a-run-needs-no-project"),
        pytest.param(
            Budget(Decimal(1), per="project"), "llm", Budget(Decimal(1), per="project", project="llm"), id="own"
        ),
        pytest.param(Budget(Decimal(1), per="project"), "", None, id="no-project-no-budget"),
        pytest.param(Budget(Decimal(1), per="project/day", project="x"), "llm", None, id="of-another"),
        pytest.param(
            Budget(Decimal(1), project="llm"), "llm", Budget(Decimal(1), project="llm"), id="runs-of-a-project"
        ),
        pytest.param(Budget(Decimal(1), project="llm"), "", None, id="runs-of-none"),
    ],
)
def test_which_budgets_a_run_counts_against(budget: Budget, label: str, expected: Budget | None) -> None:
    """Those of everybody, and those of its own label `project`, which they are named for then."""
    assert (() if expected is None else (expected,)) == applying([budget], label)


def test_a_part_before_said_it_already(tmp_path: Path) -> None:
    """Shares in the milestones of an earlier part of the run are not said again; that all is used is."""
    earlier = Watching(tmp_path, Budget(Decimal(10)))
    marks = [Mark(MIDNIGHT, "budget", "10 per run: 50 % of $10.00 used ($5.00)")]
    marks += [Mark(MIDNIGHT, "budget", "10 per run: 100 % of $10.00 used ($10.00)")]
    earlier.watch._told_earlier = tuple(marks)
    earlier.look()
    earlier.minutes(6)
    assert [] == earlier.said
    earlier.minutes(4)
    assert ["80 %", "100 %"] == earlier.shares
