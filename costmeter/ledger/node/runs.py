"""What the nodes' journals come to by run, user or day, and what nobody held: a node's account, for reports."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta, timezone
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.grouping import Group, HeldCost, Share, summed
from costmeter.ledger.listing import Spending
from costmeter.ledger.node.journal import node_folder, node_paths
from costmeter.ledger.node.record import RunFacts
from costmeter.ledger.node.stints import stints_of
from costmeter.ledger.record import Header
from costmeter.meter.charge import Amounts
from costmeter.meter.holder import of_user
from costmeter.meter.period import local_date
from costmeter.meter.totals import DeviceTotals, add_amounts

#: By what a node's account can be split.
NODE_KEYS = ("user", "run", "project", "name", "host", "day")
#: What stands for time that nobody held, and for what a user held of whom no run is known.
UNHELD_GROUP, NO_RUN = "(unheld)", "(no run)"
#: What is told of idle time, and where it goes of time that nobody held.
_UNKNOWN_FOR_IDLE = {
    "idle_nanoseconds": "unknown_nanoseconds",
    "idle_microjoules": "unknown_microjoules",
    "idle_host_microjoules": "unknown_host_microjoules",
}


@dataclass(frozen=True, slots=True)
class NodeShare:
    """What one holder's GPUs did and cost in one file; `facts` are None for what nobody held, as those of a stint."""

    header: Header
    day: str
    currency: str
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

    A file may begin with the day before the one in its name: with a gap over midnight that a restarted agent filled.
    Raises JournalError where nobody may look, or there is none.
    """
    shares: list[NodeShare] = []
    problems: list[str] = []
    unread: list[str] = []
    for path in _journals(state):
        day = _date(path)
        is_of_it = is_wanted(day.isoformat())
        if not (is_of_it or is_wanted((day - timedelta(days=1)).isoformat())):
            continue
        told: list[str] = []
        try:
            shares += (share for share in _shares(path, told) if is_wanted(share.day))
        except (JournalError, OSError) as refusal:
            why = refusal.message if isinstance(refusal, JournalError) else f"{path}: {refusal.strerror}"
            unread += [why] if is_of_it else []
        problems += [f"{path.name}: {problem}" for problem in told if is_of_it]
    return NodeAccount(tuple(shares), tuple(problems), tuple(unread))


def node_groups(account: NodeAccount, key: str) -> tuple[Group, ...]:
    """The same by one of `NODE_KEYS`: days in order, the others by what they cost; all groups are the whole node.

    Days say who held what. Runs of several users that have one id are named with the user's number, as `r-1~1002`.
    """
    shared = _shared(account.shares) if key == "run" else frozenset[str]()
    groups = summed((_share(each, key, shared) for each in account.shares), key == "day")
    held = _held(account) if key == "day" else {}
    return tuple(replace(group, runs=group.runs - {""}, held=held.get(_place(group))) for group in groups)


def _held(account: NodeAccount) -> dict[tuple[bool, str, str], HeldCost]:
    """Of every day, in one currency, who held what."""
    found: dict[tuple[bool, str, str], HeldCost] = {}
    for each in account.shares:
        cost, place = each.whole.cost, (each.header.simulated, each.currency, each.day)
        held = HeldCost(unheld=cost) if each.facts is None else HeldCost(users=cost)
        held = HeldCost(runs=cost) if each.facts is not None and each.facts.run else held
        found[place] = found.get(place, HeldCost()) + held
    return found


def _place(group: Group) -> tuple[bool, str, str]:
    return group.spending.simulated, group.spending.currency, group.word


def _share(of: NodeShare, key: str, shared: Collection[str]) -> Share:
    run = "" if of.facts is None or not of.facts.run else of_user(of.facts.key)
    word = of_user(of.facts.key) if of.facts is not None and of.facts.run in shared else _word(of, key)
    whole = _nobodys(of.whole) if of.facts is None else of.whole
    return word, run, Spending(of.currency, of.header.simulated, whole)


def _nobodys(whole: DeviceTotals) -> DeviceTotals:
    """The same where it is nobody's idle spend: GPUs that nobody holds cost the node, whatever they do."""
    did, idle = whole.quantities, _UNKNOWN_FOR_IDLE
    moved = {name: getattr(did, name) + getattr(did, was) for was, name in idle.items()} | dict.fromkeys(idle, 0)
    charges, credits = (_not_idle(amounts) for amounts in (whole.charges, whole.credits))
    return replace(whole, quantities=replace(did, **moved), charges=charges, credits=credits)


def _not_idle(amounts: Amounts) -> Amounts:
    idle: Amounts = {(component, "unknown"): paid for (component, state), paid in amounts.items() if state == "idle"}
    return add_amounts({key: paid for key, paid in amounts.items() if key[1] != "idle"}, idle)


def _shared(shares: Iterable[NodeShare]) -> frozenset[str]:
    """The ids that runs of several users have."""
    users = Counter(run for _, run in {each.facts.key for each in shares if each.facts is not None and each.facts.run})
    return frozenset(run for run, count in users.items() if count > 1)


def _word(of: NodeShare, key: str) -> str:
    if key in ("day", "host"):
        return of.day if key == "day" else of.header.host
    if of.facts is None:
        return UNHELD_GROUP
    if key == "user":
        return of.facts.user
    if not of.facts.run:
        return NO_RUN
    if key == "run":
        return of.facts.run
    told = of.facts.name if key == "name" else of.facts.labels.get("project", "")
    return f'"{told}"' if told in (UNHELD_GROUP, NO_RUN) else told  # nobody's run is booked as the node's by its name


def _journals(state: Path) -> list[Path]:
    folder = node_folder(state)
    try:
        found = node_paths(folder)
    except OSError as refusal:
        raise JournalError(f"{folder}: cannot be read: {refusal.strerror}", "ask who runs the agent") from refusal
    if not found:
        raise JournalError(f"no agent has recorded anything under {state}", "costmeter report --node --state DIR")
    return found


def _date(path: Path) -> date:
    """The UTC day of a journal, by its name."""
    try:
        return date.fromisoformat(path.name.rsplit(".", 3)[1])
    except ValueError:  # a name that no agent gives, as of the 31st of June: it is nobody's day
        return date.max


def _day(until_utc_ns: int) -> str:
    """The UTC day in which a stint ends, which is the one that all its slots are of: a file ends at midnight."""
    return local_date(until_utc_ns - 1, timezone.utc).isoformat()


def _shares(path: Path, problems: list[str]) -> Iterator[NodeShare]:
    """Every holder's share of one journal, from nothing: what its opening brought belongs to the files before."""
    told = stints_of(path, is_checked=True)
    problems += told.problems
    for stint in told.stints:
        if stint.whole != DeviceTotals():  # else it only ended there
            yield NodeShare(told.header, _day(stint.until_utc_ns), stint.currency, stint.facts, stint.whole)
