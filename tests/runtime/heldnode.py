"""A node's recorder on a simulated node and a manual clock, without threads: who holds what is said by the test."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType

from costmeter.clock import ManualClock
from costmeter.errors import SourceError
from costmeter.ledger.node.query import NodePart, begin_node, fold_node_all
from costmeter.ledger.node.record import NodeRecord, Opening, RunFacts
from costmeter.ledger.record import Header, Outcome, Record
from costmeter.ledger.resume import NOTHING_EARLIER, Earlier
from costmeter.meter.activity import IdleRule
from costmeter.meter.holder import HeldBy, Holder, RunKey
from costmeter.meter.idlememory import IdleMemory
from costmeter.meter.totals import Totals
from costmeter.outputs.nodesnapshot import NodeSnapshot
from costmeter.rates.book import Book
from costmeter.readings import Missing, Reading
from costmeter.runtime.agent.events import Held, Reloaded, Repriced, RunGone
from costmeter.runtime.agent.post import NodePost
from costmeter.runtime.agent.recorder import NodeRecorder
from costmeter.runtime.booking import Pricing
from costmeter.runtime.events import Batch, Ended, Opened
from costmeter.sources.nvml import NvmlSource
from costmeter.sources.simulated import SimulatedLibrary
from tests.runtime.metered import BEGAN_UTC_NS, BOOTED_NS, LAZY_NS, SECOND, header
from tests.sources.nodes import node

#: The runs and users of these tests: two runs of maya, one of lee, and lee himself.
MAYA_1, MAYA_2 = (Holder(1001, run, "maya", "announced") for run in ("r-1", "r-2"))
LEE_1, LEE = Holder(1002, "r-1", "lee", "slurm"), Holder(1002, "", "lee", "user")
EVERYBODY = (MAYA_1, MAYA_2, LEE_1, LEE)
#: What idle means where nobody set it.
RULE = IdleRule()


def facts(holder: Holder, seen_utc_ns: int = BEGAN_UTC_NS) -> RunFacts:
    """What is known of a holder's run."""
    return RunFacts(holder.uid, holder.run, holder.user, holder.source, seen_utc_ns, seen_utc_ns)


class HeldNode:
    """One agent's recorder on one simulated node. Time passes only by `tick`."""

    def __init__(
        self,
        library: SimulatedLibrary,
        clock: ManualClock,
        book: Book,
        max_runs: int = 100,
        opened: Opening | None = None,
        earlier: Earlier = NOTHING_EARLIER,
        holders: HeldBy | None = None,
        idle: Mapping[str, IdleMemory] | None = None,
    ) -> None:
        self.library, self.clock = library, clock
        self.source = NvmlSource(clock, library)
        self.start_ns = clock.boottime_ns()
        self.posts: list[NodePost] = []
        self.header = replace(header(clock, LAZY_NS), meter="agent", run="", command=None)
        pricing = Pricing(book.quotation, lambda: (), 0.0)
        post = self.posts.append
        kept = earlier, opened, holders, max_runs
        self.recorder = NodeRecorder(self.header, pricing, clock, post, *kept, idle=idle)
        self._ticks = 0

    def open(self) -> None:
        """The driver answers."""
        self.devices = self.source.open()
        boards = len({device.board for device in self.devices})
        self.recorder.handle(Opened(self.devices, boards, self.source.facts()))

    def begin(self) -> None:
        """The driver answers, and is read at once."""
        self.open()
        self.tick(0)

    def tick(self, after_ns: int = SECOND) -> None:
        """Let time pass, then read every device."""
        self.clock.advance(after_ns)
        slow = self._ticks % 15 == 0
        self._ticks += 1
        readings = {board: self._ask(board, slow) for board in dict.fromkeys(d.board for d in self.devices)}
        processes = {device.uuid: self._listed(device.uuid) for device in self.devices} if slow else None
        self.recorder.handle(Batch(self.clock.boottime_ns(), readings, slow, processes=processes))

    def hold(self, *held: Sequence[Holder], runs: Sequence[Holder] = (), dropped: int = 0) -> None:
        """From now on each device, in their order, has these holders; `runs` are others that are known, too."""
        found = {device.uuid: tuple(holders) for device, holders in zip(self.devices, held, strict=False)}
        known = [holder for holders in (*found.values(), runs) for holder in holders if holder.run]
        told = {holder.key: facts(holder) for holder in known}
        self.recorder.handle(Held(self.clock.boottime_ns(), found, told, dropped=dropped))

    def gone(self, holder: Holder, outcome: Outcome = "ok") -> None:
        """A run ended just now."""
        self.recorder.handle(RunGone(self.clock.boottime_ns(), holder.key, outcome, 0))

    def reload(
        self, book: Book | None, rule: IdleRule = RULE, labels: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Settings were loaded anew; None: they were faulty."""
        at_ns = self.clock.boottime_ns()
        if book is not None:
            self.recorder.handle(Repriced(at_ns, Pricing(book.quotation, lambda: (), 0.0), rule, labels))
        self.recorder.handle(Reloaded(at_ns, book is not None))

    def end(self) -> None:
        """The agent is told to stop."""
        self.recorder.handle(Ended(self.clock.boottime_ns(), 0, None))

    @property
    def snapshot(self) -> NodeSnapshot:
        """The latest snapshot."""
        return self.posts[-1].snapshot

    @property
    def files(self) -> list[list[Record | NodeRecord]]:
        """The journal's files, each as its records."""
        files: list[list[Record | NodeRecord]] = []
        for record in (record for post in self.posts for record in post.records):
            if isinstance(record, Header):
                files.append([])
            files[-1].append(record)
        return files

    @property
    def folded(self) -> list[NodePart]:
        """What a reader makes of each file."""
        parts = []
        for first, *rest in self.files:
            assert isinstance(first, Header)
            parts.append(fold_node_all(begin_node(first), rest))
        return parts

    def run(self, holder: Holder) -> Totals:
        """What a run did and cost by the latest snapshot."""
        return self.snapshot.node.accounts[holder.key].totals

    def seconds(self, key: RunKey) -> float:
        """GPU-seconds of a run by the latest snapshot."""
        return self.snapshot.node.accounts[key].totals.whole.quantities.nanoseconds / SECOND

    def _listed(self, uuid: str) -> tuple[int, ...] | Missing:
        """As the reader does: a device that is lost lists nobody, and costs no tick."""
        try:
            return self.source.processes(uuid)
        except SourceError as error:
            return Missing(error.message)

    def _ask(self, board: str, slow: bool) -> Reading | Missing:
        try:
            return self.source.read(board, slow)
        except SourceError as error:
            return Missing(error.message)


@contextmanager
def held_node(
    scenario: str, book: Book | None = None, utc_ns: int = BEGAN_UTC_NS, max_runs: int = 100
) -> Iterator[HeldNode]:
    """An agent's recorder on the node of a scenario text; the driver is let go afterwards."""
    clock = ManualClock(utc_ns, BOOTED_NS)
    found = HeldNode(node(scenario, clock, BOOTED_NS), clock, book or Book(), max_runs)
    try:
        yield found
    finally:
        found.library.release_hung_calls()
        found.source.close()
