"""What recorded runs have spent of a budget: from the list of runs, and by slots where a day or month cuts a run.

A slot counts in the day or month in which it began. Simulated runs count only for simulated ones.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from costmeter.ledger.brief import Brief
from costmeter.ledger.copies import identity
from costmeter.ledger.cutting import cut
from costmeter.ledger.listing import Listed
from costmeter.ledger.record import Header
from costmeter.meter.budget import PROJECT, Budget
from costmeter.meter.period import Period
from costmeter.units import NANOSECONDS_PER_HOUR

_NOTHING = Decimal(0)
_BEFORE = "before"
#: So much later, by the clock of the boot, a day or month may begin than the header's clock says: that was set since.
_CLOCK_DOUBT_NS = 24 * NANOSECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Spent:
    """What counts against a budget, and how many runs it was spent by."""

    amount: Decimal = _NOTHING
    runs: int = 0


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose spending is asked for: runs in this currency, simulated or not, for a budget and, where it has one, in its
    day or month. `run` is the run that asks, for budgets of single runs; its own journal, `own`, is left out.
    """

    budget: Budget
    period: Period | None
    currency: str
    simulated: bool = False
    run: str = ""
    own: Header | None = None

    def counts(self, part: Brief) -> bool:
        """Whether a part is among them."""
        header, budget = part.header, self.budget
        if part.currency != self.currency or header.simulated != self.simulated or self._is_own(header):
            return False
        if budget.per == "run":
            return header.run == self.run
        return not budget.is_of_project or header.labels.get(PROJECT, "") == budget.project

    def _is_own(self, header: Header) -> bool:
        return self.own is not None and identity(header) == identity(self.own)


#: What slots before an instant cost: the journal, the instant, and what of that counts from other parts.
_Before = tuple[Path, int, tuple[tuple[str, tuple[tuple[int, int], ...]], ...]]


@dataclass(slots=True)
class SpentSums:
    """Adds up what was spent. What a journal had cost before a day or month began never changes, and is kept.

    Of a part that cannot be read at a look, what the last one found counts, or nothing; `faults` says so till the next.
    """

    before: dict[_Before, Decimal] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    _found: dict[tuple[Path, Period | None], Decimal] = field(default_factory=dict)

    def of(self, whose: Whose, runs: Iterable[Listed]) -> Spent:
        """What those runs have spent."""
        amount, count = _NOTHING, 0
        self.faults.clear()
        for run in runs:
            costs = [cost for part in run.parts if whose.counts(part) for cost in self._cost(part, run, whose.period)]
            amount += sum(costs, _NOTHING)
            count += bool(costs)
        return Spent(amount, count)

    def _cost(self, part: Brief, run: Listed, period: Period | None) -> Iterator[Decimal]:
        """What a part cost within a period; nothing where it lies outside."""
        path = run.path_of(part)
        try:
            costs = list(self._costs(part, path, period))
        except Exception as fault:  # one journal must not cost a run the sum over all others, nor stop it
            self.faults.append(f"{path}: {fault}")
            costs = [self._found[path, period]] if (path, period) in self._found else []
        for cost in costs:
            self._found[path, period] = cost
            yield cost

    def _costs(self, part: Brief, path: Path, period: Period | None) -> Iterator[Decimal]:
        cost, ending = part.summary.whole.cost, part.ending
        if period is None:
            yield cost
        elif ending.clock_was_set:  # by its slots alone
            until = self._before(part, path, period.end_utc_ns)
            yield from filter(None, [until - self._before(part, path, period.start_utc_ns)])
        elif ending.started_utc_ns < period.end_utc_ns and ending.ended_utc_ns > period.start_utc_ns:
            if ending.ended_utc_ns > period.end_utc_ns:
                cost = self._before(part, path, period.end_utc_ns)
            if ending.started_utc_ns < period.start_utc_ns:
                cost -= self._before(part, path, period.start_utc_ns)
            yield cost

    def _before(self, part: Brief, path: Path, edge_utc_ns: int) -> Decimal:
        """What a journal's slots cost that began before an instant. Raises JournalError, and nothing is kept then."""
        upto_ns = part.header.anchor.boottime(edge_utc_ns) + _CLOCK_DOUBT_NS
        earlier = ((uuid, _until(windows, upto_ns)) for uuid, windows in sorted(part.elsewhere.items()))
        key = path, edge_utc_ns, tuple(each for each in earlier if each[1])
        if key not in self.before:
            pieces = cut(path, lambda utc_ns: _BEFORE if utc_ns < edge_utc_ns else "", part.elsewhere)
            self.before[key] = sum((whole.cost for _, when, _, whole, _ in pieces if when == _BEFORE), _NOTHING)
        return self.before[key]


def _until(windows: tuple[tuple[int, int], ...], upto_ns: int) -> tuple[tuple[int, int], ...]:
    """What lies of windows before an instant."""
    return tuple((start_ns, min(end_ns, upto_ns)) for start_ns, end_ns in windows if start_ns < upto_ns)
