"""A whole run on a simulated node and a manual clock, with the real reader in its own threads: ten minutes in a second.

Where `metered` drives the recorder tick by tick, here the reader decides when it reads, opens anew, samples and seeks.
"""

import random
import threading
from collections.abc import Callable, Mapping
from typing import Any

from costmeter.clock import ManualClock
from costmeter.ledger.query import Part, Run
from costmeter.meter.slot import Quantities
from costmeter.outputs.receipt import receipt
from costmeter.rates.book import Book
from costmeter.readings import Device
from costmeter.runtime.events import Ended, Event
from costmeter.runtime.reader import STUCK_AFTER_NS, Reader
from costmeter.runtime.recorder import Post, Pricing, Recorder
from costmeter.sources.nvml import NvmlSource
from tests.runtime.metered import BEGAN_UTC_NS, BOOTED_NS, header
from tests.sources.nodes import SECOND, node

PATIENCE_SECONDS = 60
#: What happens to the machine at a second of the run: the clock is all that it can move.
Happenings = Mapping[int, Callable[[ManualClock], None]]


class Lasting:
    """One run of `seconds` on the node of a scenario text, finished when this is made. Boot time begins with it."""

    def __init__(
        self, scenario: str, seconds: int, happenings: Happenings | None = None, assumed: tuple[Device, ...] = ()
    ) -> None:
        self.clock = ManualClock(BEGAN_UTC_NS, BOOTED_NS)
        self.library = node(scenario, self.clock, BOOTED_NS)
        self.posts: list[Post] = []
        self._happenings = dict(happenings or {})
        self._end_ns = BOOTED_NS + seconds * SECOND
        source = NvmlSource(self.clock, self.library, probe_seconds=1.0)
        pricing = Pricing(Book().quotation, lambda: assumed, 0.0)
        self.recorder = Recorder(header(self.clock, SECOND), pricing, self.clock, self.posts.append)
        chance = random.Random(7).random
        self.reader = Reader(source, self.clock, lambda: self.recorder.anchor, SECOND, tuple, self._take, chance=chance)
        self.library._faulty._released = _Patience(self._let_go)  # a manual clock cannot move while a call hangs
        try:
            self._run()
        finally:
            self.library.release_hung_calls()
            source.close()
            self.library.uninstall()

    def _run(self) -> None:
        self.clock.advance(SECOND // 5)
        self.reader.start()
        assert self.reader.finished.wait(PATIENCE_SECONDS), "the reader never ended"
        self.recorder.handle(Ended(self._end_ns, 0, None))

    def _take(self, event: Event) -> None:
        """What the recorder's thread does, in the reader's: the clock stands still meanwhile."""
        self.recorder.handle(event)
        second = (self.clock.boottime_ns() - BOOTED_NS) // SECOND
        for at in [at for at in self._happenings if at <= second]:
            self._happenings.pop(at)(self.clock)
        if self.clock.boottime_ns() >= self._end_ns:
            self.reader.end(Ended(self._end_ns, 0, None))

    def _let_go(self) -> None:
        self.clock.advance(STUCK_AFTER_NS)
        self.reader.watch()

    @property
    def part(self) -> Part:
        """What was recorded, folded."""
        return self.recorder.part

    @property
    def receipt(self) -> dict[str, Any]:
        """Its receipt."""
        return receipt(Run((self.part,)))

    def quantities(self, uuid: str) -> Quantities:
        """What one device did."""
        return self.part.totals.devices[uuid].quantities

    def told(self, uuid: str | None = None) -> list[str]:
        """The marks of one device, or all, in words."""
        return [mark.what for mark in self.part.marks if uuid is None or mark.device == uuid]

    def joules(self, uuid: str, start: float, end: float) -> float:
        """The truth: what a board drew between two seconds of the run."""
        at = [BOOTED_NS + round(second * SECOND) for second in (start, end)]
        return self.library.truth.energy_microjoules(uuid, at[0], at[1]) / 1e6

    def booked(self, uuid: str) -> list[tuple[float, float]]:
        """After every event: the second of the run, and the joules booked to a device up to then."""
        began_utc_ns = self.recorder.part.header.anchor.utc(BOOTED_NS)
        return [
            ((post.snapshot.at_utc_ns - began_utc_ns) / SECOND, found.quantities.microjoules / 1e6)
            for post in self.posts
            if (found := post.snapshot.totals.devices.get(uuid)) is not None
        ]


class _Patience(threading.Event):
    """What hung calls wait for: the first wait of a thread lets time pass, so that it is left behind."""

    def __init__(self, let_go: Callable[[], None]) -> None:
        super().__init__()
        self._let_go, self._patient = let_go, threading.local()

    def wait(self, timeout: float | None = None) -> bool:
        if not getattr(self._patient, "has_waited", False):
            self._patient.has_waited = True
            self._let_go()
        return super().wait(timeout)
