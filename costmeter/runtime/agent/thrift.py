"""What a node's journal may grow by on account of those who use the node: nobody's runs fill the disk.

A run that comes, says something new of itself, or changes what it holds or does, is lines on disk. Each user has so
many bytes, and all of them together have; what comes faster waits until there are some again, and is then taken as it
stands, however often it has changed meanwhile. Pure: it is told the time.
"""

from dataclasses import replace

from costmeter.ledger.line import encode
from costmeter.ledger.node.record import Holders, RunFacts, RunSeen
from costmeter.meter.holder import HeldBy, Holder, RunKey
from costmeter.runtime.agent.allowance import Allowance, Savings
from costmeter.units import NANOSECONDS_PER_MINUTE

#: Of the journal's bytes a user may save so many, and gets so many a minute: of all a day less than 18 MB.
OF_A_USER = Allowance(1_500_000, NANOSECONDS_PER_MINUTE // 10_500)
#: And all users together.
OF_A_NODE = Allowance(2_000_000, NANOSECONDS_PER_MINUTE // 11_000)
#: What is written of one run may be so long: its name, labels and job are cut to it. Sixteen of the longest labels fit.
LONGEST_FACTS = 32_768
#: A slot's line, and what a device adds to it; the line of a run's end with its progress.
_SLOT_BYTES, _DEVICE_BYTES, _END_BYTES = 150, 55, 400
#: What is left for the texts of a run beside its numbers; a character that cannot be written plainly is \uXXXX.
_LONGEST_TEXTS, _LONGEST_CHARACTER = LONGEST_FACTS - 2_048, 6


def cut_short(facts: RunFacts) -> RunFacts:
    """Facts that fit a line: less labels from the last on where they are too long, and then less of every text."""
    texts = (facts.name, facts.job, facts.user, *facts.labels, *facts.labels.values())
    if _LONGEST_CHARACTER * sum(map(len, texts)) <= _LONGEST_TEXTS:  # as nearly all are: nothing is encoded to see that
        return facts
    labels = list(facts.labels.items())
    while labels and _length(facts) > LONGEST_FACTS:
        labels.pop()
        facts = replace(facts, labels=dict(labels))
    if _length(facts) > LONGEST_FACTS:
        most = _LONGEST_TEXTS // _LONGEST_CHARACTER // 3
        facts = replace(facts, name=facts.name[:most], job=facts.job[:most], user=facts.user[:most])
    return facts


def _length(facts: RunFacts) -> int:
    return len(encode(RunSeen(facts.seen_utc_ns, facts)))


class Thrift:
    """What the users of one node have left to write. `is_waiting` says whether something could not be written yet."""

    def __init__(self) -> None:
        self._savings = Savings(OF_A_USER, OF_A_NODE)
        self._late: frozenset[int] = frozenset()
        self._unwritten: set[RunKey] = set()
        self._refused: frozenset[RunKey] = frozenset()
        self.refused = 0

    @property
    def is_waiting(self) -> bool:
        """Whether something had to wait that was asked for last."""
        return bool(self._late or self._unwritten)

    def begin(self, runs: frozenset[RunKey]) -> None:
        """A new look at which runs there are; counts those that had to wait in the last one, each once."""
        self._refused &= runs
        self._unwritten.clear()

    def may_write(self, facts: RunFacts, is_new: bool, holders: HeldBy, at_ns: int) -> bool:
        """Whether a run's facts may be written; that a new one ends some day, and cuts a slot then, is paid for."""
        if not self._savings.may(facts.uid, at_ns):
            self._unwritten.add(facts.key)
            if is_new and facts.key not in self._refused:
                self._refused |= {facts.key}
                self.refused += 1
            return False
        cost = _length(facts)
        self._savings.spend((facts.uid,), cost + is_new * (_END_BYTES + _cut_bytes(holders, len(holders))), at_ns)
        return True

    def changed(self, wanted: HeldBy, held: HeldBy, devices: int, at_ns: int) -> HeldBy:
        """Who holds what from now on: what was asked for, but for those who have to wait; they hold what they held."""
        changing = {
            holder.uid
            for uuid in wanted.keys() | held.keys()
            for holder in set(wanted.get(uuid, ())) ^ set(held.get(uuid, ()))
        }
        self._late = frozenset(uid for uid in changing if not self._savings.may(uid, at_ns))
        if not changing or self._late >= changing:
            return held if changing else wanted
        if self._late:
            wanted = {uuid: both for uuid in wanted.keys() | held.keys() if (both := self._both(wanted, held, uuid))}
        self._savings.spend(changing - self._late, _cut_bytes(wanted, devices), at_ns)
        return wanted

    def _both(self, wanted: HeldBy, held: HeldBy, uuid: str) -> tuple[Holder, ...]:
        """One device's holders, of those who have to wait the old ones."""
        new = {holder for holder in wanted.get(uuid, ()) if holder.uid not in self._late}
        return tuple(sorted(new | {holder for holder in held.get(uuid, ()) if holder.uid in self._late}))


def _cut_bytes(holders: HeldBy, devices: int) -> int:
    """What it costs that a slot ends and others hold the devices: two lines."""
    return len(encode(Holders(0, holders))) + _SLOT_BYTES + _DEVICE_BYTES * devices
