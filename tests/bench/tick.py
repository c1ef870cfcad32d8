"""Tick: CPU time of one whole tick for 8 GPUs on a C driver: calls, split, money, snapshot, write."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.stub_driver import build
from tests.bench.table import Row
from tests.end_to_end.installed import own_home


def measure() -> Iterator[Row]:
    """The meter's own threads in a process of their own, at 20 ticks a second."""
    with own_home() as environ, tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))["LD_LIBRARY_PATH"]
        command = [sys.executable, "-m", "tests.bench.ticking"]
        loaded = environ | {"LD_LIBRARY_PATH": library}
        done = subprocess.run(command, env=loaded, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    yield Row("CPU of a whole tick, 8 GPUs, C driver", found["tick_ms"], "ms", 0.3, f"{found['ticks']} ticks")
    yield Row("fast driver calls per GPU and tick", found["fast_calls"], "calls", 2)
    yield Row("slow driver calls per GPU and tick, amortised", found["slow_calls"], "calls", 0.5)
    yield Row("resident memory of the meter", found["resident_mb"], "MB")
