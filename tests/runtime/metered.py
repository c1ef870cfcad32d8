"""A whole meter on a simulated node and a manual clock, without threads: what the recorder makes of a scenario."""

import contextlib
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from costmeter.clock import Clock, ManualClock, anchor
from costmeter.errors import SourceError
from costmeter.ledger.query import Part
from costmeter.ledger.record import Header, Record
from costmeter.meter.activity import IdleRule
from costmeter.outputs.snapshot import Snapshot
from costmeter.rates.book import Book
from costmeter.readings import Device, HostReading, Missing, Reading
from costmeter.runtime.events import Batch, Ended, Opened
from costmeter.runtime.recorder import Post, Pricing, Recorder
from costmeter.runtime.sampling import Sampling
from costmeter.runtime.writer import Writer
from costmeter.sources.nvml import NvmlSource
from costmeter.sources.simulated import SimulatedLibrary
from tests.ledger.slowly import fold_journal, read_journal
from tests.sources.nodes import node

SECOND = 1_000_000_000
#: 2026-11-22 14:03:12 UTC.
BEGAN_UTC_NS = 1_795_356_192 * SECOND
BOOTED_NS = 5_000 * SECOND
#: A period in which the ticks of a test may be minutes apart without being a gap.
LAZY_NS = 90 * SECOND


class Metered:
    """One run on one simulated node. Time passes only by `tick` and `end`."""

    def __init__(
        self, library: SimulatedLibrary, clock: ManualClock, book: Book, host_watts: float, period_ns: int
    ) -> None:
        self.library, self.clock = library, clock
        self.source = NvmlSource(clock, library)
        self.start_ns = clock.boottime_ns()
        self.posts: list[Post] = []
        self.header = header(clock, period_ns)
        pricing = Pricing(book.quotation, lambda: (), host_watts)
        self.recorder = Recorder(self.header, pricing, clock, self.posts.append)
        self.host: Callable[[], HostReading | Missing] | None = None
        self._sampling = Sampling(period_ns, random.Random(7).random)
        self._ticks = 0

    def open(self, devices: Sequence[Device] | None = None) -> None:
        """The driver answers."""
        everything = self.source.open()
        held = tuple(devices or everything)
        self.devices = held
        self._sampling.hold(held)
        boards = len({device.board for device in everything})
        self.recorder.handle(Opened(held, boards, self.source.facts()))

    def tick(self, after_ns: int = SECOND, until_ns: int | None = None) -> None:
        """Let time pass, then read every device."""
        self._pass(after_ns)
        at_ns = self.clock.boottime_ns()
        slow = self._ticks % 15 == 0
        self._ticks += 1
        readings = {board: self._ask(board, slow) for board in dict.fromkeys(d.board for d in self.devices)}
        self.recorder.handle(Batch(at_ns, readings, slow, until_ns, host=self.host() if self.host else None))

    def end(self, exit_code: int | None = 0, signal: int | None = None) -> None:
        """The child is reaped now."""
        self.recorder.handle(Ended(self.clock.boottime_ns(), exit_code, signal))

    @property
    def snapshot(self) -> Snapshot:
        """The latest snapshot."""
        return self.posts[-1].snapshot

    @property
    def records(self) -> list[Record]:
        """Everything recorded so far, in order."""
        return [record for post in self.posts for record in post.records]

    def written(self) -> Part:
        """What is read back from a journal to which all of this was written."""
        with tempfile.TemporaryDirectory() as folder:
            writer = Writer(Path(folder), "host")
            for post in self.posts:
                writer.write(post)
            return fold_journal(read_journal(Path(folder, "host.1.jsonl")))

    def _pass(self, nanoseconds: int) -> None:
        """Let time pass, with the power readings that the reader makes meanwhile."""
        until_ns = self.clock.boottime_ns() + nanoseconds
        boards: frozenset[str] = frozenset({""})
        while boards:
            at_ns, boards = self._sampling.next(self.clock.boottime_ns(), until_ns)
            self.clock.advance(at_ns - self.clock.boottime_ns())
            for board in boards:
                with contextlib.suppress(SourceError):
                    self._sampling.keep(board, self.source.sample(board))

    def _ask(self, board: str, slow: bool) -> Reading | Missing:
        try:
            return self._sampling.complete(self.source.read(board, slow))
        except SourceError as error:
            return Missing(error.message)


def header(clock: Clock, period_ns: int = LAZY_NS) -> Header:
    """A run that begins now; its ticks may be minutes apart, as tests like them."""
    return Header(
        run="r-test",
        part=1,
        meter="wrapper",
        name="",
        labels={},
        command=("train",),
        host="gpu01",
        boot_id="boot",
        pid=4242,
        pid_start_ticks=1,
        start_ns=clock.boottime_ns(),
        anchor=anchor(clock),
        period_ns=period_ns,
        rule=IdleRule(),
        simulated=True,
        currency="USD",
    )


@contextmanager
def metered(
    scenario: str, book: Book | None = None, host_watts: float = 0.0, period_ns: int = LAZY_NS
) -> Iterator[Metered]:
    """A meter on the node of a scenario text; the driver is let go afterwards."""
    clock = ManualClock(BEGAN_UTC_NS, BOOTED_NS)
    run = Metered(node(scenario, clock, BOOTED_NS), clock, book or Book(), host_watts, period_ns)
    try:
        yield run
    finally:
        run.library.release_hung_calls()
        run.source.close()
