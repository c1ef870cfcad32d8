"""Totals of runs by what they have in common: exact, so that they add up to the receipts whatever is asked for.

Money of two currencies is never added, nor what simulated GPUs came to with what real ones did.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from pathlib import Path

from costmeter.ledger.brief import Brief
from costmeter.ledger.cutting import Piece, cut
from costmeter.ledger.listing import Listed, Spending, all_together, spending
from costmeter.ledger.node.cut import node_cut
from costmeter.meter.charge import CAPITAL
from costmeter.meter.period import local_date
from costmeter.meter.totals import DeviceTotals

#: What is not known of a run, as a group of its own.
NONE = "-"


@dataclass(frozen=True, slots=True)
class HeldCost:
    """A node's cost by who held its GPUs: runs, users of whom no run is known, nobody. Together they are all of it."""

    runs: Decimal = Decimal(0)
    users: Decimal = Decimal(0)
    unheld: Decimal = Decimal(0)

    def __add__(self, other: "HeldCost") -> "HeldCost":
        return HeldCost(self.runs + other.runs, self.users + other.users, self.unheld + other.unheld)


@dataclass(frozen=True, slots=True)
class Group:
    """What the runs, or the parts of runs, with one word in common came to; `held` only of days of a node."""

    word: str
    spending: Spending
    runs: frozenset[str]
    held: HeldCost | None = None


#: One run's share of a group: the group's word, what no other run is called, what it came to.
Share = tuple[str, str, Spending]

_OF_RUN: Mapping[str, Callable[[Listed], str]] = {
    "project": lambda run: run.header.labels.get("project", ""),
    "experiment": lambda run: run.header.labels.get("experiment", ""),
    "user": lambda run: run.header.user,
    "name": lambda run: run.header.name,
    "outcome": lambda run: run.ending.outcome,
}
#: What runs can be grouped by.
KEYS = ("day", "project", "user", "model", "experiment", "name", "outcome", "host")


def groups(state: Path, runs: Iterable[Listed], key: str, zone: tzinfo | None) -> tuple[Group, ...]:
    """Runs by one of `KEYS`: days in order, the others by what they cost. Days are local to `zone`.

    Raises JournalError where a journal that was there has gone.
    """
    shares = (share for run in runs for alike in run.apart for share in _shares(state, alike, key, zone))
    return summed(shares, key == "day")


def summed(shares: Iterable[Share], in_order: bool = False) -> tuple[Group, ...]:
    """Shares of one word, one currency and one reality as one group."""
    found: dict[tuple[bool, str, str], tuple[list[Spending], set[str]]] = {}
    for word, run, spent in shares:
        spendings, runs = found.setdefault((spent.simulated, spent.currency, word or NONE), ([], set()))
        spendings.append(spent)
        runs.add(run)
    made = [Group(key[2], all_together(spendings), frozenset(runs)) for key, (spendings, runs) in found.items()]
    if in_order:
        return tuple(sorted(made, key=lambda group: group.word))
    return tuple(sorted(made, key=lambda group: (-group.spending.cost, group.word)))


def _shares(state: Path, run: Listed, key: str, zone: tzinfo | None) -> Iterator[Share]:
    if key in _OF_RUN:
        for spent in run.spendings:
            yield _OF_RUN[key](run), run.found, spent
    elif key == "host":
        for part in run.parts:
            yield part.header.host, run.found, spending([part], run.simulated)
    elif key == "model":
        for model, _, currency, whole, redone in pieces(state, run, None):
            yield model, run.found, Spending(currency, run.simulated, whole, redone)
    else:
        for _, day, currency, whole, redone in pieces(state, run, lambda utc_ns: local_date(utc_ns, zone).isoformat()):
            yield day, run.found, Spending(currency, run.simulated, whole, redone)


def pieces(state: Path, run: Listed, day_of: Callable[[int], str] | None) -> Iterator[Piece]:
    """A run cut by GPU model and, with `day_of`, by the day that each slot began on; together they are the whole run.

    Slots are read only where the two ends of a journal do not tell. What two meters saw at once counts once.
    """
    for part in run.parts:
        days = _days(part, day_of)
        names = [name for name, _ in part.summary.gpus]
        is_told = len(names) <= 1 and not (day_of and (part.ending.clock_was_set or _is_mixed(part.summary.whole)))
        if len(days) == 1 and is_told:
            yield "".join(names), days[0], part.currency, part.summary.whole, part.summary.redone
        elif part.of is not None:
            yield from node_cut(run.path_of(part), part.of, part.currency, day_of)
        else:
            yield from cut(run.path_of(part), day_of, part.elsewhere)


def _is_mixed(whole: DeviceTotals) -> bool:
    """Whether there are owned GPUs in it, and rented ones."""
    components = {component for component, _ in (*whole.charges, *whole.credits)}
    return {CAPITAL, "rental"} <= components


def _days(part: Brief, day_of: Callable[[int], str] | None) -> list[str]:
    """The first and the last day of a part, once where they are the same."""
    if day_of is None:
        return [""]
    last_ns = max(part.ending.started_utc_ns, part.ending.ended_utc_ns - 1)
    return list(dict.fromkeys((day_of(part.ending.started_utc_ns), day_of(last_ns))))
