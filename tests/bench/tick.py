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

#: Back to back, ticks are a fraction of a millisecond apart: the counter must move between them as it does in a second.
COUNTER_STEP_NS = "50000"


def measure() -> Iterator[Row]:
    """Back to back, and through the meter's own threads; in a process of its own."""
    with own_home() as environ, tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))["LD_LIBRARY_PATH"]
        command = [sys.executable, "-m", "tests.bench.ticking"]
        loaded = environ | {"LD_LIBRARY_PATH": library, "STUB_NVML_STEP_NS": COUNTER_STEP_NS}
        done = subprocess.run(command, env=loaded, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    yield Row("CPU of a whole tick, 8 GPUs, C driver, back to back", found["back_to_back_ms"], "ms", 0.3)
    ratio = found["paced_ms"] / found["back_to_back_ms"]
    note = f"{found['ticks']} ticks, {ratio:.1f} × back to back: caches are cold after each sleep"
    yield Row("the same through the meter's threads, 20 ticks a second", found["paced_ms"], "ms", note=note)
    yield Row("fast driver calls per GPU and tick", found["fast_calls"], "calls", 2)
    yield Row("slow driver calls per GPU and tick, amortised", found["slow_calls"], "calls", 0.5)
    yield Row("resident memory of the meter", found["resident_mb"], "MB")
