"""What recorded runs have spent of a budget: from the list of runs, and by slots where a day or month cuts a run.

A slot counts in the day or month in which it began. Simulated runs count only for simulated ones.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.brief import Brief
from costmeter.ledger.journal import records, safe_name
from costmeter.ledger.listing import Listed
from costmeter.ledger.query import priced_only
from costmeter.ledger.record import Header, RatesChange, SlotEntry
from costmeter.meter.budget import PROJECT, Budget
from costmeter.meter.charge import Rates
from costmeter.meter.period import Period
from costmeter.meter.totals import totals

_NOTHING = Decimal(0)


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
        own = self.own
        return own is not None and (header.run, header.host, header.boot_id, header.pid, header.start_ns) == (
            own.run, own.host, own.boot_id, own.pid, own.start_ns
        )  # fmt: skip


@dataclass(slots=True)
class Spending:
    """Adds up what was spent. What a journal had cost before a day or month began never changes, and is kept."""

    before: dict[tuple[Path, int], Decimal] = field(default_factory=dict)

    def of(self, whose: Whose, runs: Iterable[Listed]) -> Spent:
        """What those runs have spent."""
        amount, count = _NOTHING, 0
        for run in runs:
            costs = [cost for part in run.parts if whose.counts(part) for cost in self._costs(part, run, whose.period)]
            amount += sum(costs, _NOTHING)
            count += bool(costs)
        return Spent(amount, count)

    def _costs(self, part: Brief, run: Listed, period: Period | None) -> Iterator[Decimal]:
        """What a part cost within a period; nothing where it lies outside."""
        cost, ending = part.summary.whole.cost, part.ending
        if period is None:
            yield cost
        elif ending.started_utc_ns < period.end_utc_ns and ending.ended_utc_ns > period.start_utc_ns:
            path = journal_of(run.place, part.header)
            if ending.ended_utc_ns > period.end_utc_ns:
                cost = self._before(path, period.end_utc_ns)
            if ending.started_utc_ns < period.start_utc_ns:
                cost -= self._before(path, period.start_utc_ns)
            yield cost

    def _before(self, path: Path, edge_utc_ns: int) -> Decimal:
        """What a journal's slots cost that began before an instant; nothing where it cannot be read."""
        known = self.before.get((path, edge_utc_ns))
        if known is None:
            known = self.before[path, edge_utc_ns] = _cost_before(path, edge_utc_ns)
        return known


def journal_of(place: Path, header: Header) -> Path:
    """The journal of a part in the folder of its run; `place` may also be the journal itself."""
    return place if place.suffix == ".jsonl" else place / f"{safe_name(header.host)}.{header.part}.jsonl"


def _cost_before(path: Path, edge_utc_ns: int) -> Decimal:
    cost = _NOTHING
    rates: Rates | None = None
    try:
        for record in records(path, []):
            if isinstance(record, RatesChange):
                rates = record.rates
            elif isinstance(record, SlotEntry) and record.slot.start_utc_ns >= edge_utc_ns:
                break
            elif isinstance(record, SlotEntry) and rates is not None:
                cost += totals(priced_only(record.slot, rates)[0], rates).whole.cost
    except JournalError:
        return _NOTHING
    return cost
