"""Which runs an agent knows of, beyond one look: their facts, how many there may be, and when one is gone."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from costmeter.attribution.announcement import Announcement
from costmeter.attribution.attribute import FoundRun
from costmeter.attribution.processes import Identity
from costmeter.clock import Anchor
from costmeter.ledger.node.record import UNKNOWN_OUTCOME, RunFacts
from costmeter.meter.holder import UNKNOWN_UID, HeldBy, Holder, RunKey
from costmeter.runtime.agent.announceline import MOST_LABELS
from costmeter.runtime.agent.events import RunGone
from costmeter.runtime.agent.room import room
from costmeter.units import NANOSECONDS_PER_MINUTE

#: A run that is not seen for so long has ended; one that comes back sooner was not gone.
GONE_AFTER_NS = NANOSECONDS_PER_MINUTE
#: An ended run keeps its place this long, as it does on the page: names made up as they go are no more than these.
REMEMBERED_NS = 15 * NANOSECONDS_PER_MINUTE
#: So many runs of one user that nobody announced; what is beyond is its user's time, and is counted.
MOST_RUNS_OF_A_USER = 64
#: So many processes of a run are watched for its end.
_MOST_PROCESSES = 256


@dataclass(frozen=True, slots=True)
class _Known:
    """One run: what is said of it, when it was last there, and the processes by which it may still be."""

    facts: RunFacts
    last_ns: int
    processes: frozenset[Identity]
    is_announced: bool
    is_gone: bool = False


class KnownRuns:
    """The runs of one agent. Not for several threads at once."""

    def __init__(self, anchor: Callable[[], Anchor], is_alive: Callable[[Identity], bool]) -> None:
        self._anchor, self._is_alive = anchor, is_alive
        self._runs: dict[RunKey, _Known] = {}
        self._refused: frozenset[RunKey] = frozenset()
        self.dropped = 0

    def expect(self, runs: Iterable[RunFacts], now_ns: int) -> None:
        """Runs that were there before this agent was."""
        for facts in runs:
            processes = frozenset({(facts.pid, facts.pid_start_ticks)}) if facts.pid else frozenset[Identity]()
            self._runs[facts.key] = _Known(facts, now_ns, processes, is_announced=False)  # who announced it may be gone

    def settle(
        self, by_device: HeldBy, found: Mapping[RunKey, FoundRun], now_ns: int
    ) -> tuple[dict[str, tuple[Holder, ...]], dict[RunKey, RunFacts], list[RunGone]]:
        """The holders less the runs that are too many, the facts of all that are there, and the runs that are gone.

        What an announced run left behind when it ended is its user's.
        """
        found = {key: each for key, each in found.items() if not self._is_left_behind(key, each)}
        admitted = self._admitted(found)
        for key in admitted:
            self._runs[key] = self._seen(self._runs.get(key), found[key], now_ns)
        gone = self._gone(found, now_ns)
        self._runs = {key: each for key, each in self._runs.items() if self._is_remembered(each, now_ns)}
        held = {
            uuid: tuple(sorted({each.without_run() if _is_refused(each, admitted) else each for each in holders}))
            for uuid, holders in by_device.items()
        }
        there = {key: each.facts for key, each in self._runs.items() if key in admitted or _may_return(each)}
        return held, there, gone

    def _admitted(self, found: Mapping[RunKey, FoundRun]) -> frozenset[RunKey]:
        """The runs there is room for: those that were known, then announced ones, then the others by name.

        Pods and announcements have limits of their own, where they come from. On a full node who ended makes room.
        """
        taken = Counter(uid for (uid, _), known in self._runs.items() if not known.is_announced)
        new: list[RunKey] = []
        for key in sorted(found.keys() - self._runs.keys(), key=lambda each: (found[each].announcement is None, each)):
            if found[key].announcement is None and key[0] != UNKNOWN_UID:
                if taken[key[0]] >= MOST_RUNS_OF_A_USER:
                    continue
                taken[key[0]] += 1
            new.append(key)
        ended = {key: known.last_ns for key, known in self._runs.items() if key not in found and not _may_return(known)}
        admitted, forgotten = room(new, self._runs.keys() - ended.keys(), sorted(ended, key=ended.__getitem__))
        self._runs = {key: known for key, known in self._runs.items() if key not in forgotten}
        refused = found.keys() - self._runs.keys() - admitted
        self.dropped += len(refused - self._refused)
        self._refused = frozenset(refused)
        return frozenset(found.keys() - refused)

    def _seen(self, known: _Known | None, found: FoundRun, now_ns: int) -> _Known:
        """A run that is there now: its facts, as far as they go beyond what was known."""
        now_utc_ns, told = self._anchor().utc(now_ns), found.announcement
        holder = found.holder
        if known is None or known.is_gone:
            seen_ns = now_utc_ns if told is None else told.seen_utc_ns
            facts = RunFacts.of(holder, seen_ns)
        else:
            facts = known.facts
        facts = replace(
            facts,
            user=holder.user or facts.user,
            source=holder.source,
            name=found.name or facts.name,
            labels=_labels(facts, found),
            job=found.job or facts.job,
        )
        if told is not None:
            facts = replace(facts, started_utc_ns=told.started_utc_ns)
            if told.root_pid:
                facts = replace(facts, pid=told.root_pid, pid_start_ticks=told.root_start_ticks)
        elif (facts.pid, facts.pid_start_ticks) not in found.processes:
            pid, ticks = min(found.processes, key=lambda each: (each[1], each[0]), default=(0, 0))
            facts = replace(facts, pid=pid, pid_start_ticks=ticks)
        processes = frozenset(sorted(found.processes)[:_MOST_PROCESSES])
        return _Known(facts, now_ns, processes, told is not None)

    def _gone(self, found: Mapping[RunKey, FoundRun], now_ns: int) -> list[RunGone]:
        """The runs that are not there any more; how an announced one ended is told by who announced it."""
        gone: list[RunGone] = []
        for key, known in self._runs.items():
            if key in found or known.is_gone or now_ns - known.last_ns < GONE_AFTER_NS:
                continue
            if any(map(self._is_alive, known.processes)):
                self._runs[key] = replace(known, last_ns=now_ns)
                continue
            self._runs[key] = replace(known, is_gone=True)
            if not known.is_announced:
                gone.append(RunGone(known.last_ns, key, UNKNOWN_OUTCOME))
        return gone

    def _is_left_behind(self, key: RunKey, found: FoundRun) -> bool:
        """Whether a run was announced and is no more, so that its end was told, and has processes of before alone."""
        known = self._runs.get(key)
        if known is None or not known.is_announced or found.announcement is not None:
            return False
        return found.processes <= known.processes

    def _is_remembered(self, known: _Known, now_ns: int) -> bool:
        return not known.is_gone or now_ns - known.last_ns < REMEMBERED_NS


def _labels(facts: RunFacts, found: FoundRun) -> Mapping[str, str]:
    """What a run's labels are now: those of its announcement, else the newest of what several sources say."""
    if found.announcement is not None:
        return found.labels
    both = {**found.labels, **{label: said for label, said in facts.labels.items() if label not in found.labels}}
    return dict(islice(both.items(), MOST_LABELS))


def announced_facts(told: Announcement) -> RunFacts:
    """A run as its announcement alone tells of it."""
    return RunFacts(
        told.uid,
        told.run,
        told.user,
        "announced",
        told.seen_utc_ns,
        told.started_utc_ns,
        told.name,
        told.labels,
        pid=told.root_pid,
        pid_start_ticks=told.root_start_ticks,
    )


def _may_return(known: _Known) -> bool:
    """Whether a run that is not seen now may be again: of an announced one it is said when it ends."""
    return not (known.is_gone or known.is_announced)


def _is_refused(holder: Holder, admitted: frozenset[RunKey]) -> bool:
    return bool(holder.run) and holder.key not in admitted
