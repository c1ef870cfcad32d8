"""What the nodes' journals come to by run, user or day, and what nobody held: a node's account, for reports."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.grouping import Group, Share, summed
from costmeter.ledger.listing import Spending
from costmeter.ledger.nodejournal import node_folder, node_paths
from costmeter.ledger.noderecord import RunFacts, RunSeen
from costmeter.ledger.query import priced_only
from costmeter.ledger.reading import all_records
from costmeter.ledger.record import Header, RatesChange, SlotEntry
from costmeter.meter.charge import Rates
from costmeter.meter.holder import Holder, RunKey
from costmeter.meter.holding import by_holder
from costmeter.meter.slot import Slot
from costmeter.meter.totals import DeviceTotals, totals

#: By what a node's account can be split.
NODE_KEYS = ("user", "run", "project", "name", "host", "day")
#: What stands for time that nobody held, and for what a user held of whom no run is known.
UNHELD, NO_RUN = "(unheld)", "(no run)"


@dataclass(frozen=True, slots=True)
class NodeShare:
    """What one holder's GPUs did and cost in one file; `holder` is None for what nobody held."""

    header: Header
    day: str
    currency: str
    holder: Holder | None
    facts: RunFacts | None
    whole: DeviceTotals


@dataclass(frozen=True, slots=True)
class NodeAccount:
    """All holders' shares, what could not be read of files, and what files could not be read at all."""

    shares: tuple[NodeShare, ...]
    problems: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def node_account(state: Path, is_wanted: Callable[[str], bool] = lambda day: True) -> NodeAccount:
    """What the nodes' journals under a state directory come to, of the UTC days that are wanted.

    Raises JournalError where nobody may look, or there is none.
    """
    shares: list[NodeShare] = []
    problems: list[str] = []
    unread: list[str] = []
    for path in _journals(state):
        if not is_wanted(_day(path)):
            continue
        told: list[str] = []
        try:
            shares += _shares(path, told)
        except (JournalError, OSError) as refusal:
            unread.append(refusal.message if isinstance(refusal, JournalError) else f"{path}: {refusal.strerror}")
        problems += [f"{path.name}: {problem}" for problem in told]
    return NodeAccount(tuple(shares), tuple(problems), tuple(unread))


def node_groups(account: NodeAccount, key: str) -> tuple[Group, ...]:
    """The same by one of `NODE_KEYS`: days in order, the others by what they cost; all groups are the whole node."""
    groups = summed((_share(each, key) for each in account.shares), key == "day")
    return tuple(replace(group, runs=group.runs - {""}) for group in groups)


def _share(of: NodeShare, key: str) -> Share:
    run = "" if of.holder is None else of.holder.run
    return _word(of, key), run, Spending(of.currency, of.header.simulated, of.whole)


def _word(of: NodeShare, key: str) -> str:
    if key in ("day", "host"):
        return of.day if key == "day" else of.header.host
    if of.holder is None:
        return UNHELD
    if key == "user":
        return of.holder.user
    if not of.holder.run:
        return NO_RUN
    if key == "run" or of.facts is None:
        return of.holder.run if key == "run" else ""
    return of.facts.name if key == "name" else of.facts.labels.get("project", "")


def _journals(state: Path) -> list[Path]:
    folder = node_folder(state)
    try:
        found = node_paths(folder)
    except OSError as refusal:
        raise JournalError(f"{folder}: cannot be read: {refusal.strerror}", "ask who runs the agent") from refusal
    if not found:
        raise JournalError(f"no agent has recorded anything under {state}", "costmeter report --node --state DIR")
    return found


def _day(path: Path) -> str:
    """The UTC day of a journal, by its name."""
    return path.name.rsplit(".", 3)[1]


def _shares(path: Path, problems: list[str]) -> Iterator[NodeShare]:
    """Every holder's share of one journal, from nothing: what its opening brought belongs to the files before."""
    header: Header | None = None
    rates: Rates | None = None
    runs: dict[RunKey, RunFacts] = {}
    sums: dict[tuple[str, Holder | None], DeviceTotals] = {}
    for record in all_records(path, problems):
        if isinstance(record, Header):
            header = header or record
        elif isinstance(record, RatesChange):
            rates = record.rates
        elif isinstance(record, RunSeen):
            runs[record.facts.key] = record.facts
        elif isinstance(record, SlotEntry):
            _add(sums, record.slot, rates, problems)
    if header is None:
        return
    for (currency, holder), whole in sums.items():
        facts = None if holder is None else runs.get(holder.key)
        yield NodeShare(header, _day(path), currency, holder, facts, whole)


def _add(
    sums: dict[tuple[str, Holder | None], DeviceTotals], whole: Slot, rates: Rates | None, problems: list[str]
) -> None:
    slot, problem = priced_only(whole, rates)
    if problem and problem not in problems:
        problems.append(problem)
    if rates is None:
        return
    for holder, own in by_holder(slot).items():
        known = None if holder is None else Holder(holder.uid, holder.run, holder.user, holder.source)
        key = rates.currency, known
        sums[key] = sums.get(key, DeviceTotals()) + totals(own, rates).whole
