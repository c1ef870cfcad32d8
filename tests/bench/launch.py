"""Launch: how much later a job starts under the meter than under a bare Python that only execs it."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.bench.table import Row
from tests.end_to_end.installed import COSTMETER, own_home

ROUNDS = 40
#: The job says when it started, on the clock of the whole machine.
JOB = ["date", "+%s%N"]
BARE = [sys.executable, "-c", "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])", *JOB]


def measure() -> Iterator[Row]:
    """Both launches in turn, 40 times; medians."""
    bare_ms, metered_ms = [], []
    with own_home() as environ:
        for _ in range(ROUNDS):
            bare_ms.append(_started_after_ms(BARE, environ))
            metered_ms.append(_started_after_ms([COSTMETER, "run", "-q", "--simulate", "healthy", "--", *JOB], environ))
    bare, metered = statistics.median(bare_ms), statistics.median(metered_ms)
    yield Row("bare exec by Python, median of 40", bare, "ms")
    yield Row("costmeter run, median of 40", metered, "ms", note=f"ratio {metered / bare:.2f}")
    yield Row("costmeter run over bare exec", metered - bare, "ms", 30)


def _started_after_ms(command: list[str], environ: dict[str, str]) -> float:
    before_ns = time.time_ns()
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return (int(done.stdout) - before_ns) / 1e6
