"""Totals of runs by what they have in common: exact, so that they add up to the receipts whatever is asked for.

Money of two currencies is never added, nor what simulated GPUs came to with what real ones did.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from pathlib import Path

from costmeter.ledger.brief import Brief
from costmeter.ledger.bulk import load_run
from costmeter.ledger.listing import Listed, Spending, all_together, spending, which_overlap
from costmeter.ledger.query import paths_of
from costmeter.ledger.use import priced_slots
from costmeter.meter.period import local_date
from costmeter.meter.totals import DeviceTotals, totals

#: What is not known of a run, as a group of its own.
NONE = "-"


@dataclass(frozen=True, slots=True)
class Group:
    """What the runs, or the parts of runs, with one word in common came to."""

    word: str
    spending: Spending
    runs: frozenset[str]


#: One run's share of a group: the group's word, the run's id, what it came to.
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
    return summed((share for run in runs for share in _shares(state, run, key, zone)), key == "day")


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
            yield _OF_RUN[key](run), run.id, spent
    elif key == "host":
        for part in run.parts:
            yield part.header.host, run.id, spending([part], run.simulated)
    elif key == "model":
        for model, _, currency, whole, redone in pieces(state, run, None):
            yield model, run.id, Spending(currency, run.simulated, whole, redone)
    else:
        for _, day, currency, whole, redone in pieces(state, run, lambda utc_ns: local_date(utc_ns, zone).isoformat()):
            yield day, run.id, Spending(currency, run.simulated, whole, redone)


#: A GPU model, a day, a currency, what was used and paid, and what of the money was for work done again.
Piece = tuple[str, str, str, DeviceTotals, Decimal]


def pieces(state: Path, run: Listed, day_of: Callable[[int], str] | None) -> Iterator[Piece]:
    """A run cut by GPU model and, with `day_of`, by the day that each slot began on; together they are the whole run.

    Slots are read only where the two ends of a journal do not tell. Where two meters saw the same GPUs, the part that
    counts stands on its first day.
    """
    if len(run.parts) > 1 and which_overlap(run.parts):
        for folded in load_run(state, run.found).parts:
            day = day_of(folded.header.anchor.utc(folded.start_ns)) if day_of else ""
            for uuid, whole in folded.totals.devices.items():
                yield folded.devices[uuid].name, day, folded.currency, whole, Decimal(0)
        return
    paths = {path.name: path for path in paths_of(state, run.found)}
    for part in run.parts:
        days = _days(part, day_of)
        names = [name for name, _ in part.summary.gpus]
        if len(days) == 1 and len(names) <= 1:
            yield "".join(names), days[0], part.currency, part.summary.whole, part.summary.redone
        else:
            yield from _from_slots(paths[part.file], day_of)


def _days(part: Brief, day_of: Callable[[int], str] | None) -> list[str]:
    """The first and the last day of a part, once where they are the same."""
    if day_of is None:
        return [""]
    last_ns = max(part.ending.started_utc_ns, part.ending.ended_utc_ns - 1)
    return list(dict.fromkeys((day_of(part.ending.started_utc_ns), day_of(last_ns))))


def _from_slots(path: Path, day_of: Callable[[int], str] | None) -> Iterator[Piece]:
    """One journal, slot by slot."""
    found: dict[tuple[str, str, str], DeviceTotals] = {}
    redone: dict[tuple[str, str, str], Decimal] = {}
    for priced in priced_slots(path, []):
        day = day_of(priced.slot.start_utc_ns) if day_of else ""
        for uuid, booked in totals(priced.slot, priced.rates).devices.items():
            key = priced.devices[uuid].name, day, priced.rates.currency
            found[key] = found[key] + booked if key in found else booked
            if priced.slot.redone:
                redone[key] = redone.get(key, Decimal(0)) + booked.cost
    for key, whole in found.items():
        yield *key, whole, redone.get(key, Decimal(0))
