"""Killed: the meter dies by SIGKILL at random moments, a hundred times; what is left is read every time."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.table import Row
from tests.end_to_end.installed import COSTMETER, own_home
from tests.ledger.slowly import fold_journal, read_journal

ROUNDS = 100
PERIOD_SECONDS = 0.2
#: The job outlives the meter and then says so.
JOB = ["sh", "-c", "sleep 4; echo done"]


def measure() -> Iterator[Row]:
    """Unreadable journals, jobs disturbed, and the longest time lost, in ticks."""
    with own_home() as environ, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: _one(seed, environ), range(ROUNDS)))
    yield Row("journals unreadable, of 100", sum(not readable for readable, _, _ in found), "", 0)
    yield Row("jobs disturbed, of 100", sum(not undisturbed for _, undisturbed, _ in found), "", 0)
    lost = [lost_seconds / PERIOD_SECONDS for _, _, lost_seconds in found]
    # One tick, and the moment in which that tick is read and written.
    yield Row(
        "most time lost", max(lost), "ticks", 1.5, f"median {sorted(lost)[ROUNDS // 2]:.2f}, tick {PERIOD_SECONDS} s"
    )


def _one(seed: int, environ: dict[str, str]) -> tuple[bool, bool, float]:
    run_id = f"killed-{seed}"
    options = ["-q", "--simulate", "healthy", "--interval", str(PERIOD_SECONDS)]
    meter = subprocess.Popen(
        [COSTMETER, "run", *options, "--", *JOB],
        env=environ | {"COSTMETER_RUN_ID": run_id},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(random.Random(seed).uniform(1.5, 3.0))
    killed_utc_ns = time.time_ns()
    os.kill(meter.pid, signal.SIGKILL)
    meter.wait()
    assert meter.stdout is not None
    undisturbed = meter.stdout.read() == b"done\n"
    try:
        folder = Path(environ["XDG_STATE_HOME"], "costmeter", "runs", run_id)
        part = fold_journal(read_journal(next(folder.glob("*.jsonl"))))
    except Exception:
        return False, undisturbed, 0.0
    return not part.problems, undisturbed, (killed_utc_ns - part.ended_utc_ns) / 1e9
