"""Notify: what a call of `costmeter.step` costs the training loop, with a meter that listens and without any.

Compared, in the same process, with a loop that only adds: the loop's own time is taken off. The median of nine.
"""

import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import costmeter
from costmeter.notify import VARIABLE
from tests.bench.table import Row

CALLS = 20_000
REPEATS = 9
#: A step of the fastest training loops takes a millisecond; a hundredth of it is out of sight.
BAR_MICROSECONDS = 10.0


def measure() -> Iterable[Row]:
    """Microseconds a call."""
    before = os.environ.pop(VARIABLE, None)
    try:
        yield _row("step(), no meter", lambda: costmeter.step(1, loss=2.0))
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            path = str(Path(folder, "s"))
            listening.bind(path)
            os.environ[VARIABLE] = path
            yield _row("step(), a meter that does not read", lambda: costmeter.step(1, loss=2.0))
            yield _row("stop_requested()", costmeter.stop_requested)
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def _row(name: str, call: Callable[[], object]) -> Row:
    call()
    taken_us = median(_once(call) for _ in range(REPEATS)) - median(_once(int) for _ in range(REPEATS))
    return Row(name, taken_us, "µs", BAR_MICROSECONDS)


def _once(call: Callable[[], object]) -> float:
    started_ns = time.perf_counter_ns()
    for _ in range(CALLS):
        call()
    return (time.perf_counter_ns() - started_ns) / CALLS / 1_000
