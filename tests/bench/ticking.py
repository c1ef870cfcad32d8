"""The metering process that `tick` measures: the real assembly on whatever driver the loader finds; prints JSON."""

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pynvml

from costmeter.clock import RealClock
from costmeter.rates.book import Book
from costmeter.readings import Missing, Reading
from costmeter.runtime.assembly import Metering, Options
from costmeter.runtime.events import Batch, Ended, Opened
from costmeter.runtime.recorder import Post, Pricing, Recorder
from costmeter.runtime.writer import Writer
from costmeter.sources.nvml import NvmlSource
from tests.runtime.metered import header

PERIOD_SECONDS = 0.05
SETTLE_SECONDS = 2.0
MEASURED_SECONDS = 20.0
ROUNDS = 4
BACK_TO_BACK_TICKS = 3_000
GPUS = 8
#: At one tick a second every fifteenth is slow.
SLOW_EVERY = 15


def main() -> None:
    """Measure and print."""
    paced, ticks, resident_bytes = _at_its_own_pace()
    fast, slow = _calls()
    found = {
        "back_to_back_ms": _back_to_back_ms(),
        "paced_ms": paced,
        "ticks": ticks,
        "resident_mb": resident_bytes / 1e6,
        "fast_calls": fast,
        "slow_calls": slow,
    }
    print(json.dumps(found))


def _at_its_own_pace() -> tuple[float, int, int]:
    """CPU milliseconds per tick of the meter's own threads at 20 ticks a second, sleeping in between."""
    metering = Metering(_options(), say=lambda _text: None, warn=lambda _text: None)
    metering.start()
    time.sleep(SETTLE_SECONDS)
    cpu_before, ticks_before = time.process_time(), _ticks(metering)
    time.sleep(MEASURED_SECONDS)
    ticks = _ticks(metering) - ticks_before
    cpu_seconds = time.process_time() - cpu_before
    resident_bytes = psutil.Process().memory_info().rss
    metering.finish(Ended(RealClock().boottime_ns(), 0, None), 2.0)
    return 1_000 * cpu_seconds / ticks, ticks, resident_bytes


def _back_to_back_ms() -> float:
    """CPU milliseconds of a whole tick with caches warm: calls, split, money, snapshot, write, one after the other.

    The best of several rounds: what others do on the machine meanwhile only adds.
    """
    return min(_round_ms() for _ in range(ROUNDS))


def _round_ms() -> float:
    clock = RealClock()
    source = NvmlSource(clock)
    devices = source.open()
    posts: list[Post] = []
    recorder = Recorder(header(clock), Pricing(Book().quotation, lambda: (), 0.0), clock, posts.append)
    boards = tuple(dict.fromkeys(device.board for device in devices))
    recorder.handle(Opened(devices, len(boards), source.facts()))
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(Path(folder), "bench")
        before = time.process_time()
        for tick in range(BACK_TO_BACK_TICKS):
            slow, at_ns = tick % SLOW_EVERY == 0, clock.boottime_ns()
            readings: dict[str, Reading | Missing] = {board: source.read(board, slow) for board in boards}
            recorder.handle(Batch(at_ns, readings, slow))
            for post in posts:
                assert post.snapshot.totals.whole.cost >= 0
                writer.write(post)
            posts.clear()
        used_seconds = time.process_time() - before
    source.close()
    return 1_000 * used_seconds / BACK_TO_BACK_TICKS


def _ticks(metering: Metering) -> int:
    return metering.current().seen.readings // GPUS


def _options() -> Options:
    return Options(
        run_id="bench",
        command=("bench",),
        keep_command=True,
        name="",
        labels={},
        period_seconds=PERIOD_SECONDS,
        gpus=None,
        simulate=None,
        listen=None,
        config=None,
        flags={"gpu.price": "2.49"},
        environ=dict(os.environ),
        cwd="/",
        pid=os.getpid(),
        spawned_ns=RealClock().boottime_ns(),
    )


class _Counting:
    """The driver's library, counting what is called on it."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.calls = 0

    def __getattr__(self, name: str) -> Callable[..., int]:
        function = getattr(self._library, name)

        def counted(*arguments: object) -> int:
            self.calls += 1
            code: int = function(*arguments)
            return code

        return counted


def _calls() -> tuple[float, float]:
    """Driver calls per GPU of a fast tick, and what slow ticks add to each tick on average."""
    source = NvmlSource(RealClock())
    source.open()
    counting = _Counting(pynvml.nvmlLib)
    source.close()
    pynvml.nvmlLib = counting
    pynvml._nvmlGetFunctionPointer_cache.clear()
    boards = list(dict.fromkeys(device.board for device in source.open()))
    for board in boards:  # each has shown by now that its counter moves
        source.read(board, slow=True)
    counting.calls = 0
    for board in boards:
        source.read(board, slow=False)
    fast = counting.calls
    for board in boards:
        source.read(board, slow=True)
    slow = counting.calls - 2 * fast
    return fast / GPUS, slow / GPUS / SLOW_EVERY


if __name__ == "__main__":
    main()
