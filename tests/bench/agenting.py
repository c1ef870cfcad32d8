"""What `agent` measures in processes of their own: ticks back to back on a C driver, and a month on a manual clock."""

import gc
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil

from costmeter.clock import ManualClock, RealClock
from costmeter.meter.holder import Holder
from costmeter.outputs.nodepage import RunNames, page
from costmeter.rates.book import Book
from costmeter.readings import Missing, Reading
from costmeter.runtime.agent.events import Held, RunGone
from costmeter.runtime.agent.post import NodePost
from costmeter.runtime.agent.recorder import NodeRecorder
from costmeter.runtime.agent.writer import NodeWriter
from costmeter.runtime.booking import Pricing
from costmeter.runtime.events import Batch, Ended, Opened
from costmeter.sources.nvml import NvmlSource
from tests.bench.month import BOOK, IN_MEMORY, MINUTE, NODE
from tests.bench.ticking import BACK_TO_BACK_TICKS, ROUNDS, SLOW_EVERY
from tests.runtime.heldnode import MAYA_1, MAYA_2, facts
from tests.runtime.metered import BEGAN_UTC_NS, BOOTED_NS, header
from tests.sources.nodes import node

DAYS, HOURS_PER_DAY, TICKS_PER_HOUR = 30, 24, 60
#: The page is asked for every so many ticks of the month: what a scrape needs is needed from the first hour on.
SCRAPED_EVERY = 3
GPUS = 8


def main(what: str) -> None:
    """Measure and print."""
    print(json.dumps(_tick() if what == "tick" else _month()))


def _tick() -> dict[str, float]:
    """CPU milliseconds of a whole tick, caches warm; what others do on the machine meanwhile only adds."""
    return {"tick_ms": min(_round_ms() for _ in range(ROUNDS)), "rounds": ROUNDS}


def _round_ms() -> float:
    clock = RealClock()
    source = NvmlSource(clock)
    devices = source.open()
    posts: list[NodePost] = []
    begun = replace(header(clock), meter="agent", run="")
    recorder = NodeRecorder(begun, Pricing(Book().quotation, lambda: (), 0.0), clock, posts.append)
    recorder.handle(Opened(devices, len(devices), source.facts()))
    by_device = {device.uuid: (MAYA_1 if place < GPUS / 2 else MAYA_2,) for place, device in enumerate(devices)}
    recorder.handle(Held(clock.boottime_ns(), by_device, {each.key: facts(each) for each in (MAYA_1, MAYA_2)}))
    with tempfile.TemporaryDirectory() as folder:
        writer = NodeWriter(Path(folder), "bench", Path(folder))
        before = time.process_time()
        for tick in range(BACK_TO_BACK_TICKS):
            slow, at_ns = tick % SLOW_EVERY == 0, clock.boottime_ns()
            readings: dict[str, Reading | Missing] = {each.uuid: source.read(each.uuid, slow) for each in devices}
            recorder.handle(Batch(at_ns, readings, slow))
            for post in posts:
                writer.write(post)
            posts.clear()
        used_seconds = time.process_time() - before
    source.close()
    return 1_000 * used_seconds / BACK_TO_BACK_TICKS


def _month() -> dict[str, float]:
    """Thirty days at one reading a minute: a run on every GPU that ends each hour, and another that follows it."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None) as folder:
        month = _Month(Path(folder))
        month.hour()
        hour_mb = _resident_mb()
        for _ in range(DAYS * HOURS_PER_DAY - 1):
            month.hour()
        month_mb = _resident_mb()
        written = sum(path.stat().st_size for path in Path(folder).glob("*.jsonl"))
        month.end()
    return {"hour_mb": hour_mb, "month_mb": month_mb, "runs": month.runs, "journal_mb_a_day": written / 1e6 / DAYS}


class _Month:
    """An agent without threads that is scraped, whose journal is on disk and whose memory is its own."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(BEGAN_UTC_NS - BEGAN_UTC_NS % MINUTE, BOOTED_NS)
        self.source = NvmlSource(self.clock, node(NODE.replace("GPUS", str(GPUS)), self.clock, BOOTED_NS))
        self.writer = NodeWriter(folder, "host", folder)
        begun = replace(header(self.clock, MINUTE), meter="agent", run="")
        pricing = Pricing(BOOK.quotation, lambda: (), 0.0)
        self.recorder = NodeRecorder(begun, pricing, self.clock, self.writer.write)
        self.devices = self.source.open()
        self.recorder.handle(Opened(self.devices, GPUS, self.source.facts()))
        self.runs, self.names = 0, RunNames()

    def hour(self) -> None:
        """One run ends on every GPU, another follows, and does this and that."""
        last = Holder(1001, f"r-{self.runs}", "maya", "announced")
        self.recorder.handle(RunGone(self.clock.boottime_ns(), last.key, "ok", 0))
        self.runs += 1
        holder = Holder(1001, f"r-{self.runs}", "maya", "announced")
        for tick in range(TICKS_PER_HOUR):
            if tick % 15 == 0:
                self._hold(replace(holder, phase=f"phase {tick}"))
            self.clock.advance(MINUTE)
            at_ns = self.clock.boottime_ns()
            readings: dict[str, Reading | Missing] = {d.uuid: self.source.read(d.uuid, True) for d in self.devices}
            self.recorder.handle(Batch(at_ns, readings, True))
            if tick % SCRAPED_EVERY == 0 and self.writer.snapshot is not None:
                page(self.writer.snapshot, names=self.names)

    def end(self) -> None:
        """The agent is stopped."""
        self.recorder.handle(Ended(self.clock.boottime_ns(), 0, None))
        self.source.close()

    def _hold(self, holder: Holder) -> None:
        held = {device.uuid: (holder,) for device in self.devices}
        seen = facts(holder, self.recorder.anchor.utc(self.clock.boottime_ns()))
        self.recorder.handle(Held(self.clock.boottime_ns(), held, {holder.key: seen}))


def _resident_mb() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6


if __name__ == "__main__":
    main(sys.argv[1])
