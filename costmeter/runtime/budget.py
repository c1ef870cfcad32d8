"""Budgets, watched while a run goes on: what it costs at every tick, and what others have spent once a minute.

The arithmetic is the recorder's, after each of its events, and never waits. Journals of other runs are read by a thread
of this module's own: a disk that hangs delays no tick, and what it does not tell is taken for nothing and said.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import Decimal
from pathlib import Path

from costmeter.clock import Clock
from costmeter.errors import JournalError
from costmeter.ledger.bulk import load_run
from costmeter.ledger.listing import Checked, Listed, listing, listing_of
from costmeter.ledger.query import Part
from costmeter.ledger.record import Budgets, Header, Mark, Record, SlotEntry
from costmeter.ledger.spent import SpentSums, Whose
from costmeter.meter.budget import WHOLE, Budget, BudgetUse, said_of, stop_said_of
from costmeter.meter.period import Period
from costmeter.meter.totals import totals
from costmeter.outputs.budget import is_charged
from costmeter.outputs.budgetline import amount_of, list_price, reached_line
from costmeter.outputs.snapshot import Snapshot
from costmeter.runtime.recorder import Post
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND

#: The journals of others are looked at so often, and so many times as long as a look takes is waited between two.
_LOOK_NS, _REST = NANOSECONDS_PER_MINUTE, 50
#: Others' spending is waited for so long before a share of a budget is announced without it.
_PATIENCE_NS = 10 * NANOSECONDS_PER_SECOND
#: The pace of a run is that of its last minutes, seen so often.
_PACE_NS, _PACES = 10 * NANOSECONDS_PER_SECOND, 30


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a watch does: hand records to the recorder, tell a person, warn, and stop the command.

    `stop` returns at once, with what is to be said of it.
    """

    record: Callable[[Budgets | Mark], None]
    tell: Callable[[str], None]
    warn: Callable[[str], None]
    stop: Callable[[], str]


@dataclass(slots=True)
class _Watched:
    """One budget, in the day or month under way. `before` is what this meter had booked when that began."""

    budget: Budget
    period: Period | None
    elsewhere: Decimal = Decimal(0)
    before: Decimal = Decimal(0)
    said: set[Decimal] = field(default_factory=set)

    @property
    def use(self) -> BudgetUse:
        """As a journal keeps it: so that it adds up with all that the meter has counted."""
        return BudgetUse(self.budget, self.elsewhere - self.before)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look at the journals found of a budget: what others spent in a period, and which shares were announced."""

    period: Period | None
    elsewhere: Decimal
    said: frozenset[Decimal]


class BudgetWatch:
    """Watches the budgets of one run. `see` is called by the recorder after every event; nothing of it waits."""

    def __init__(
        self, budgets: Sequence[Budget], header: Header, state: Path, zone: tzinfo | None, clock: Clock, hooks: Hooks
    ) -> None:
        self._header, self._state, self._zone, self._clock, self._hooks = header, state, zone, clock, hooks
        now_utc_ns = header.anchor.utc(header.start_ns)
        self._watched = [_Watched(budget, budget.window(now_utc_ns, zone)) for budget in budgets]
        self._found: tuple[_Found, ...] | None = None
        self._over = threading.Event()
        self._look_now = threading.Event()
        self._spending = SpentSums()
        self._checked: Checked = {}
        self._told_earlier: tuple[Mark, ...] | None = None
        self._has_looked = self._has_stopped = self._told_of_price = self._told_of_disk = self._told_of_fault = False
        self._list_price: str | None = None
        self._closed_slots, self._closed = -1, Decimal(0)
        self._pace: deque[tuple[int, Decimal]] = deque(maxlen=_PACES)

    def start(self) -> None:
        """Have the journal say which budgets there are, and look at what others spent. Returns at once."""
        self._record_uses()
        threading.Thread(target=self._look_for_ever, name="costmeter-budget", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        self._look_now.set()

    @property
    def uses(self) -> tuple[BudgetUse, ...]:
        """Every budget, and what else counts against it."""
        return tuple(watched.use for watched in self._watched)

    def see(self, post: Post) -> None:
        """Compare what is spent by now with every budget."""
        snapshot = post.snapshot
        if snapshot.part.rates is None:
            return
        if not is_charged(snapshot.part.rates):
            self._warn_of_price(snapshot.part)
            return
        if self._list_price is None and snapshot.part.devices:
            self._see_list_price(snapshot.part)
        self._adopt()
        own = self._own(snapshot)
        if not self._pace or snapshot.at_utc_ns - self._pace[-1][0] >= _PACE_NS:
            self._pace.append((snapshot.at_utc_ns, own))
        for watched in self._watched:
            self._see_period(watched, post)
            self._compare(watched, own, snapshot)

    # What this run has spent

    def _own(self, snapshot: Snapshot) -> Decimal:
        """All that this meter has counted, the open slot included."""
        part = snapshot.part
        if part.slots != self._closed_slots:
            self._closed_slots, self._closed = part.slots, part.totals.whole.cost
        if snapshot.open_slot is None or part.rates is None:
            return self._closed
        return self._closed + totals(snapshot.open_slot, part.rates).whole.cost

    def _see_period(self, watched: _Watched, post: Post) -> None:
        """A new day or month begins with its first slot; all that was booked before is none of its spending."""
        period, open_slot = watched.period, post.snapshot.open_slot
        if period is None or open_slot is None or open_slot.start_utc_ns < period.end_utc_ns:
            return
        watched.period = watched.budget.window(open_slot.start_utc_ns, self._zone)
        assert watched.period is not None  # it had one
        later = _cost_since(post.records, watched.period.start_utc_ns, post.snapshot.part)
        watched.before, watched.elsewhere = self._closed - later, Decimal(0)
        watched.said.clear()
        self._record_uses()
        self._look_now.set()

    def _compare(self, watched: _Watched, own: Decimal, snapshot: Snapshot) -> None:
        if not self._has_looked and not self._is_out_of_patience(snapshot):
            return
        mine = own - watched.before
        use = BudgetUse(watched.budget, watched.elsewhere)
        share = watched.budget.reached(use.spent(mine), watched.said)
        if share is None:
            return
        watched.said.add(share)
        line = reached_line(use, share, mine, self._per_hour(snapshot.at_utc_ns, own), self._header.currency)
        self._mark(f"{watched.budget.name}: {line}")
        self._hooks.tell(f"budget: {line}{self._consequence(watched.budget, share)}")

    def _is_out_of_patience(self, snapshot: Snapshot) -> bool:
        """Whether shares are announced although nobody knows yet what others have spent, which is said once."""
        if snapshot.length_ns < _PATIENCE_NS:
            return False
        if not self._told_of_disk:
            self._told_of_disk = True
            self._hooks.warn(
                f"budget: {self._state} does not say what other runs spent; this one alone counts till then"
            )
        return True

    def _consequence(self, budget: Budget, share: Decimal) -> str:
        """What follows of a share that was reached, and is done here."""
        if share < WHOLE:
            return ""
        if budget.on_exceed == "warn":
            return "; the command runs on"
        if not self._has_stopped:
            self._has_stopped = True
            self._mark(stop_said_of(budget))
            counted = f", counted at {self._list_price}, not yours: --price P" if self._list_price else ""
            return f"; {self._hooks.stop()}{counted}"
        return ""

    def _per_hour(self, at_utc_ns: int, own: Decimal) -> Decimal | None:
        """What the run costs an hour, by its last minutes."""
        since_utc_ns, before = self._pace[0]
        if at_utc_ns <= since_utc_ns:
            return None
        return (own - before) * NANOSECONDS_PER_HOUR / (at_utc_ns - since_utc_ns)

    def _warn_of_price(self, part: Part) -> None:
        if part.devices and not self._told_of_price:
            self._told_of_price = True
            names = ", ".join(amount_of(watched.budget, part.currency) for watched in self._watched)
            self._hooks.warn(f"budget of {names}: no GPU has a price, so it cannot be watched. Set one: --price P")

    def _see_list_price(self, part: Part) -> None:
        """A stop that rests on what others are asked for a GPU is said before it comes."""
        self._list_price = list_price(part)
        if self._list_price and any(watched.budget.on_exceed == "stop" for watched in self._watched):
            self._hooks.warn(
                f"budget: the command is stopped by {self._list_price}, which may not be yours. Set it: --price P"
            )

    def _mark(self, what: str) -> None:
        self._hooks.record(Mark(self._clock.utc_ns(), "budget", what))

    def _record_uses(self) -> None:
        self._hooks.record(Budgets(self._clock.utc_ns(), self.uses))

    # What others have spent

    def _adopt(self) -> None:
        """Take what the last look found, where it is still of the day or month under way."""
        found, self._found = self._found, None
        if found is None:
            return
        self._has_looked = True
        before = self.uses
        for watched, each in zip(self._watched, found, strict=True):
            if each.period == watched.period:
                watched.elsewhere = each.elsewhere
                watched.said |= each.said
        if self.uses != before:
            self._record_uses()

    def _look_for_ever(self) -> None:
        while not self._over.is_set():
            self._look_now.clear()
            began_ns = self._clock.boottime_ns()
            try:
                self._found = self._look()
            except Exception as fault:  # a journal that nobody foresaw costs no run its budgets, for more than a look
                self._warn_of_fault(f"{type(fault).__name__}: {fault}")
            now_ns = self._clock.boottime_ns()
            self._clock.wait(self._look_now, now_ns + max(_LOOK_NS, _REST * (now_ns - began_ns)))

    def _warn_of_fault(self, fault: str) -> None:
        if not self._told_of_fault:
            self._told_of_fault = True
            self._hooks.warn(f"budget: what other runs spent cannot be read ({fault}); it is tried again every minute")

    def _look(self) -> tuple[_Found, ...]:
        """What others have spent by now. What cannot be read is nothing: the receipt of that run says why."""
        now_utc_ns = self._clock.utc_ns()
        if self._told_earlier is None:
            self._told_earlier = self._milestones()
        only_own = all(watched.budget.per == "run" for watched in self._watched)
        runs = self._own_run() if only_own else listing(self._state, self._checked).runs
        found = []
        for watched in self._watched:
            period = watched.budget.window(now_utc_ns, self._zone)
            spent = self._spending.of(self._whose(watched.budget, period), runs)
            if self._spending.faults:
                self._warn_of_fault(self._spending.faults[0])
            found.append(_Found(period, spent.amount, self._said_before(watched.budget, period)))
        return tuple(found)

    def _whose(self, budget: Budget, period: Period | None) -> Whose:
        header = self._header
        return Whose(budget, period, header.currency, header.simulated, header.run, header)

    def _own_run(self) -> tuple[Listed, ...]:
        try:
            return listing_of(self._state, (self._header.run,), self._checked).runs
        except (JournalError, OSError):
            return ()

    def _milestones(self) -> tuple[Mark, ...]:
        """What earlier parts of this run announced: a run that was queued anew does not say it again."""
        try:
            run = load_run(self._state, self._header.run)
        except (JournalError, OSError):
            return ()
        return tuple(mark for part in run.parts for mark in part.milestones if mark.kind == "budget")

    def _said_before(self, budget: Budget, period: Period | None) -> frozenset[Decimal]:
        """Shares that need not be said again. That all is used is: a run that goes on beyond it is told, or stopped."""
        since_utc_ns = 0 if period is None else period.start_utc_ns
        told = [mark.what for mark in self._told_earlier or () if mark.at_utc_ns >= since_utc_ns]
        shares = (share for share in budget.shares if share < WHOLE)
        return frozenset(share for share in shares if any(what.startswith(said_of(budget, share)) for what in told))


def _cost_since(records: Sequence[Record], start_utc_ns: int, part: Part) -> Decimal:
    """What slots cost that were closed just now and began at an instant or later."""
    slots = (record.slot for record in records if isinstance(record, SlotEntry))
    if part.rates is None:
        return Decimal(0)
    return sum((totals(slot, part.rates).whole.cost for slot in slots if slot.start_utc_ns >= start_utc_ns), Decimal(0))
