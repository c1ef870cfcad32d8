"""The runs of a node as its recorder knows them: what was told of them, which are shown, and which are over."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from costmeter.clock import Anchor
from costmeter.ledger.node.query import NodePart
from costmeter.ledger.node.record import UNKNOWN_OUTCOME, RunAccount, RunEnded, RunFacts, RunRisen, RunSeen
from costmeter.meter.holder import HeldBy, Holder, RunKey
from costmeter.meter.outlook import Outlook
from costmeter.meter.progress import UNTOLD, Progress
from costmeter.outputs.nodesnapshot import AT_ZERO_NS
from costmeter.runtime.agent.admission import Admission
from costmeter.runtime.agent.events import Held, RunGone, RunTold
from costmeter.runtime.agent.runcalls import RunCalls
from costmeter.runtime.agent.thrift import Thrift, cut_short
from costmeter.runtime.course import further
from costmeter.units import NANOSECONDS_PER_MINUTE

#: A run that nobody has named for so long is over, though nobody said so: the agent was down when it ended.
UNHEARD_NS = 2 * NANOSECONDS_PER_MINUTE
#: Facts that change are written again, for one run so often in all.
FACTS_WRITTEN = 32

Accounts = Mapping[RunKey, RunAccount]


class NodeRuns:
    """What the node's runs told, since `start_ns` (CLOCK_BOOTTIME)."""

    def __init__(self, part: NodePart, max_runs: int, start_ns: int) -> None:
        self._admission, self._thrift, self._calls = Admission(), Thrift(), RunCalls()
        self._max_runs = max_runs
        self._facts = {key: account.facts for key, account in part.accounts.items() if account.ended is None}
        self._written: dict[RunKey, int] = {}
        self._heard_ns = dict.fromkeys(self._facts, start_ns)
        self._gone_ns: dict[RunKey, int] = {}
        self._shown: tuple[RunKey, ...] = ()
        self._at_zero_ns: dict[RunKey, int] = {}
        self._unshown: frozenset[RunKey] = frozenset()
        self._never_shown = self._dropped_before = 0
        self.latest: Held | None = None
        self.furthest: Mapping[RunKey, Progress] = {}
        self.outlooks: Mapping[RunKey, Outlook] = {}
        self.forgotten: frozenset[RunKey] = frozenset()

    @property
    def hidden(self) -> int:
        """How many runs were too many to be shown. The journal has all of them."""
        return self._never_shown

    @property
    def refused(self) -> int:
        """How many runs were too many to be heard of, or to have an account: what they held is their user's."""
        return self._dropped_before + self._admission.refused + self._thrift.refused

    @property
    def live(self) -> Collection[RunKey]:
        """The runs that have not ended, as far as was told."""
        return self._facts.keys()

    def hear(self, held: Held, accounts: Accounts) -> Callable[[int], Iterator[RunSeen]]:
        """Take who holds what; the runs of which something is new, to be written at an instant in UTC.

        What was seen before a run's end was told does not bring it back.
        """
        looked_ns = held.at_ns if held.looked_ns is None else held.looked_ns
        there = {key: facts for key, facts in held.runs.items() if looked_ns > self._gone_ns.get(key, -1)}
        runs = {key: cut_short(facts) for key, facts in there.items()}
        holders = {
            uuid: tuple(each for each in found if not each.run or each.key in runs)
            for uuid, found in held.by_device.items()
        }
        self.latest = replace(held, by_device=holders, runs=runs)
        self._dropped_before = max(self._dropped_before, held.dropped)
        admitted = self._admitted(runs, accounts)
        self._thrift.begin(frozenset(runs))
        news = [runs[key] for key in runs if key in admitted and self._is_news(runs[key])]
        news = [each for each in news if self._thrift.may_write(each, each.key not in self._facts, holders, held.at_ns)]
        for facts in news:
            self._facts[facts.key] = facts
            self._written[facts.key] = self._written.get(facts.key, 0) + 1
        called = [(facts, accounts.get(facts.key), self._calls.called(facts.key, accounts)) for facts in news]
        return lambda at_utc_ns: (
            RunSeen(at_utc_ns, _as_counted(facts, account, at_utc_ns), name, account is None or account.at_zero)
            for facts, account, name in called
        )

    def missed(self, gone: RunGone, anchor: Anchor, devices: Collection[str], held: HeldBy) -> Held | None:
        """A run that ended before anybody had looked, to be heard as it was; None where that is nothing new.

        From its start on it held what it says, as far as that is one of these devices and nobody else `held` it. So it
        is where it was heard of before and names its devices only now: of what is not booked yet they are its own.
        """
        if gone.facts is None:
            return None
        facts, latest = self._facts.get(gone.key, gone.facts), self.latest or Held(gone.at_ns, {}, {})
        holder = Holder(facts.uid, facts.run, facts.user, facts.source)
        free = [uuid for uuid in devices if not (held.get(uuid) or latest.by_device.get(uuid))]
        own = {uuid: (holder,) for uuid in free if uuid in gone.held}
        if gone.key in self._facts and not own:
            return None
        by_device, runs = {**latest.by_device, **own}, {**latest.runs, gone.key: facts}
        told = replace(latest, at_ns=gone.at_ns, by_device=by_device, runs=runs)
        return replace(told, since_ns=anchor.boottime(facts.started_utc_ns), looked_ns=gone.told_ns)

    def again(self, at_ns: int) -> Held | None:
        """The latest word, to be heard once more, where something of it could not be written yet."""
        if self.latest is None or not self._thrift.is_waiting:
            return None
        return replace(self.latest, at_ns=at_ns, since_ns=None)

    def fitting(self, held: HeldBy, devices: int, at_ns: int) -> HeldBy:
        """Who holds what by the latest word, as far as the node can keep it; `held` is who held it until now."""
        if self.latest is None:
            return {}
        wanted = self._admission.fit(self.latest.by_device, self._facts, at_ns)
        return self._thrift.changed(wanted, held, devices, at_ns)

    def end(self, gone: RunGone, at_utc_ns: int) -> RunEnded | None:
        """Take a run's end; what is written of it, None where it was not known to live."""
        self._gone_ns[gone.key] = gone.at_ns if gone.told_ns is None else gone.told_ns
        if self.latest is not None:
            self.latest = _without(self.latest, gone.key)
        if self._facts.pop(gone.key, None) is None:
            return None
        self._heard_ns.pop(gone.key, None)
        return RunEnded(at_utc_ns, gone.key, gone.outcome, gone.exit_code, gone.signal, self.furthest.get(gone.key))

    def tell(self, told: RunTold) -> None:
        """Take how far a run has come; of a run that nobody knows it says nothing."""
        if told.key in self._facts:
            most = self.furthest.get(told.key, UNTOLD)
            self.furthest = {**self.furthest, told.key: further(told.progress, most)}
            self.outlooks = {**self.outlooks, told.key: told.outlook}

    def seen(self, accounts: Accounts, at_utc_ns: int) -> Iterator[RunSeen]:
        """Every run that lives, for a file that begins."""
        live = (account for account in accounts.values() if account.ended is None)
        return (RunSeen(at_utc_ns, account.facts, account.called, account.at_zero) for account in live)

    def shown(self, accounts: Accounts, at_ns: int) -> tuple[RunKey, ...]:
        """The runs that have series: what was shown stays, and others follow in their order while there is room.

        Those that ended before they could be shown come last: they must not keep out who lives.
        """
        kept = dict.fromkeys(key for key in self._shown if key in accounts)
        others = {key: account for key, account in accounts.items() if key not in kept}
        room = max(0, self._max_runs - sum(accounts[key].ended is None for key in kept))
        waiting = [key for key, account in others.items() if account.ended is None]
        ended = [key for key, account in others.items() if account.ended is not None and not account.at_zero]
        late = [key for key, account in others.items() if account.ended is not None and account.at_zero]
        series = (*kept, *ended, *waiting[:room])
        left_over = max(0, self._max_runs - len(series))
        self._shown = (*series, *late[:left_over])
        self._at_zero_ns = {key: self._at_zero_ns.get(key, at_ns) for key in self._shown if accounts[key].at_zero}
        left = frozenset((*waiting[room:], *late[left_over:]))
        self._never_shown += len(left - self._unshown)
        self._unshown = left | (self._unshown & accounts.keys())
        return self._shown

    def risen(self, accounts: Accounts, at_ns: int, at_utc_ns: int) -> list[RunRisen]:
        """The runs that have stood at 0 for long enough: never again, be the clock set back or the agent begun anew."""
        long = (key for key, since_ns in self._at_zero_ns.items() if at_ns - since_ns >= AT_ZERO_NS)
        return [RunRisen(at_utc_ns, key) for key in long if key in accounts and accounts[key].at_zero]

    def unheard(self, accounts: Accounts, at_ns: int) -> list[RunGone]:
        """The end of every run that lives by what we know, and that nobody has named for long."""
        if self.latest is None:
            return []
        for key in self._facts:
            if key in self.latest.runs or key not in self._heard_ns:
                self._heard_ns[key] = at_ns
        late = [key for key, heard_ns in self._heard_ns.items() if at_ns - heard_ns >= UNHEARD_NS and key in accounts]
        return [RunGone(self._heard_ns[key], key, UNKNOWN_OUTCOME) for key in late]

    def tidy(self, accounts: Accounts, at_ns: int) -> None:
        """Forget what is known beside the accounts of runs that have none any more."""
        known = self._facts.keys() | accounts.keys()
        self._gone_ns = {key: ns for key, ns in self._gone_ns.items() if at_ns - ns < NANOSECONDS_PER_MINUTE}
        self._written = {key: times for key, times in self._written.items() if key in known}
        self._calls.keep(known)
        self.furthest = {key: progress for key, progress in self.furthest.items() if key in known}
        self.outlooks = {key: outlook for key, outlook in self.outlooks.items() if key in known}
        self._unshown = self._unshown & accounts.keys()

    def _admitted(self, runs: Mapping[RunKey, RunFacts], accounts: Accounts) -> frozenset[RunKey]:
        """Which runs there is room for. For some of them accounts of runs that ended are `forgotten`."""
        ended = {key: account.ended.at_utc_ns for key, account in accounts.items() if account.ended is not None}
        over = sorted(ended.keys() - self._facts.keys(), key=ended.__getitem__)
        live = self._facts.keys() | (accounts.keys() - ended.keys())
        admitted, self.forgotten = self._admission.admitted(runs, live, over)
        return admitted

    def _is_news(self, facts: RunFacts) -> bool:
        known = self._facts.get(facts.key)
        return known is None or (facts != known and self._written.get(facts.key, 0) < FACTS_WRITTEN)


def _as_counted(facts: RunFacts, account: RunAccount | None, at_utc_ns: int) -> RunFacts:
    """A run as seen since its account began: one that was forgotten and comes back begins at 0 like any other."""
    return replace(facts, seen_utc_ns=at_utc_ns if account is None else account.facts.seen_utc_ns)


def _without(held: Held, run: RunKey) -> Held:
    """What is held when a run holds nothing any more."""
    by_device = {uuid: tuple(h for h in holders if h.key != run) for uuid, holders in held.by_device.items()}
    return replace(held, by_device=by_device, runs={key: facts for key, facts in held.runs.items() if key != run})
