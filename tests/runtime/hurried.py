"""The real reader on a manual clock: minutes of ticks pass as fast as the simulated driver answers."""

from collections.abc import Callable

from costmeter.clock import Clock, ManualClock, anchor
from costmeter.readings import Device, Missing, Reading
from costmeter.runtime.events import Batch, Ended, Event, Opened
from costmeter.runtime.reader import Reader
from costmeter.sources.nvml import NvmlSource
from costmeter.sources.simulated import SimulatedLibrary
from tests.sources.nodes import SECOND, node

PATIENCE_SECONDS = 60
UTC_NS = 1_795_356_192 * SECOND


class Hurried:
    """What a reader posts in so many seconds of a scenario; ticks are on whole seconds after the first, at 0 s."""

    def __init__(
        self,
        scenario: str,
        seconds: int,
        source: Callable[[Clock, SimulatedLibrary], NvmlSource] = NvmlSource,
    ) -> None:
        self.clock = ManualClock(UTC_NS)
        library = node(scenario, self.clock)
        self.source = source(self.clock, library)
        self.events: list[Event] = []
        self._end_ns = seconds * SECOND
        now = anchor(self.clock)
        self.reader = Reader(self.source, self.clock, lambda: now, SECOND, tuple, self._take)
        try:
            self.reader.start()
            assert self.reader.finished.wait(PATIENCE_SECONDS), "the reader never ended"
        finally:
            library.release_hung_calls()
            library.uninstall()

    def _take(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Batch) and self.clock.boottime_ns() >= self._end_ns:
            self.reader.end(Ended(self.clock.boottime_ns(), 0, None))

    @property
    def opened(self) -> list[tuple[int, tuple[Device, ...]]]:
        """Every list of devices that was posted, with the second of the tick that followed."""
        found: list[tuple[int, tuple[Device, ...]]] = []
        for event, after in zip(self.events, self.events[1:], strict=False):
            if isinstance(event, Opened):
                assert isinstance(after, Batch)
                found.append((after.at_ns // SECOND, event.devices))
        return found

    @property
    def batches(self) -> list[Batch]:
        """Every tick."""
        return [event for event in self.events if isinstance(event, Batch)]

    def said(self, second: int) -> list[Reading | str]:
        """What the boards said at the tick of a second: readings, and reasons for none."""
        [batch] = [batch for batch in self.batches if batch.at_ns == second * SECOND][:1]
        return [said.reason if isinstance(said, Missing) else said for said in batch.readings.values()]

    def answered(self, second: int) -> list[bool | str]:
        """Who answered at that tick, and why others did not."""
        return [said if isinstance(said, str) else True for said in self.said(second)]
