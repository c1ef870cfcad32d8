"""Making recordings for tests: the real reader on a simulated node and a manual clock, so that a minute takes no time.

The committed ones are made anew by `COSTMETER_GOLDEN=write pytest tests/runtime/test_replay.py`.
"""

import gzip
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from costmeter.clock import ManualClock
from costmeter.config import yamlfile
from costmeter.ledger.record import Header
from costmeter.readings import Device, HostReading, Missing
from costmeter.runtime.eventline import Beginning, Boards, Taken, boards_of
from costmeter.runtime.events import Batch, Ended, Event
from costmeter.runtime.reader import Reader
from costmeter.runtime.recording import event_line, first_line
from costmeter.sources.nvml import NvmlSource
from costmeter.sources.simulated import SimulatedLibrary, open_library
from tests.runtime.metered import BEGAN_UTC_NS, BOOTED_NS, SECOND
from tests.runtime.metered import header as header_of

FOLDER = Path(__file__).parent
PATIENCE_SECONDS = 60
LENGTH_SECONDS = 60
#: The bundled scenarios, and how many seconds into each the recorded minute begins: where the most happens.
BEGINS_SECONDS = {"healthy": 0, "data-bound": 0, "hang": 25, "preempted": 420, "notebook": 0, "mixed": 0}


class Recorded:
    """One run as its meter would have recorded it: ticks each second from the spawn on, and a clean end."""

    def __init__(
        self,
        library: SimulatedLibrary,
        clock: ManualClock,
        seconds: int,
        host: Callable[[], HostReading | Missing] | None = None,
    ) -> None:
        self.clock = clock
        self.header: Header = header_of(clock, SECOND)
        self.story: list[Taken] = []
        self._end_ns = clock.boottime_ns() + seconds * SECOND
        source = NvmlSource(clock, library)
        chance = random.Random(1).random
        anchor = self.header.anchor
        self._reader = Reader(source, clock, lambda: anchor, SECOND, self._hold, self._post, host, chance)
        self._reader.start()
        assert self._reader.finished.wait(PATIENCE_SECONDS), "the reader did not come to its end"
        source.close()

    def _hold(self, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        return devices

    def _post(self, event: Event) -> None:
        """As the meter takes it; the first tick at or past the end is followed by the last, and by the end."""
        self._take(event)
        if not isinstance(event, Batch):
            return
        now_ns = self.clock.boottime_ns()
        ended = Ended(now_ns if event.until_ns is None else event.until_ns, 0, None)
        if event.until_ns is not None:
            self._take(ended)
        elif now_ns >= self._end_ns:
            self._reader.end(ended)

    def _take(self, event: Event) -> None:
        self.story.append(Taken(event, self.clock.boottime_ns(), self.clock.utc_ns()))


def lines(beginning: Beginning, story: Sequence[Taken]) -> list[bytes]:
    """A recording line by line."""
    boards: Boards = ()
    made = [first_line(beginning)]
    for number, taken in enumerate(story):
        made.append(event_line(number, taken, boards))
        boards = boards_of(taken.event, boards)
    return made


def bundled(scenario: str) -> Path:
    """The committed recording of a bundled scenario; with COSTMETER_GOLDEN=write it is made first."""
    path = FOLDER / f"{scenario}.jsonl.gz"
    if os.environ.get("COSTMETER_GOLDEN") == "write":
        clock = ManualClock(BEGAN_UTC_NS, BOOTED_NS)
        epoch_ns = BOOTED_NS - BEGINS_SECONDS[scenario] * SECOND
        library = open_library(scenario, yamlfile.load, clock, epoch_boottime_ns=epoch_ns)
        recorded = Recorded(library, clock, LENGTH_SECONDS)
        path.write_bytes(gzip.compress(b"".join(lines(Beginning(recorded.header, 1), recorded.story)), mtime=0))
    return path
