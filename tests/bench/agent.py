"""Agent: CPU of a whole tick of a node, memory of an agent that serves, and memory over a simulated month."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.bench.stub_driver import build
from tests.bench.table import Row
from tests.bench.tick import COUNTER_STEP_NS
from tests.end_to_end.agents import StartedAgent
from tests.end_to_end.installed import COSTMETER, eventually, own_home

#: An agent is looked at after so long; it is scraped all the while, as often as a Prometheus in a hurry would.
SERVING_SECONDS, SCRAPES_A_SECOND = 45, 2


def measure() -> Iterator[Row]:
    """Each in a process of its own."""
    with own_home() as environ, tempfile.TemporaryDirectory() as folder:
        loaded = environ | {
            "LD_LIBRARY_PATH": build(Path(folder))["LD_LIBRARY_PATH"],
            "STUB_NVML_STEP_NS": COUNTER_STEP_NS,
        }
        found = _alone("tick", loaded)
        note = f"the best of {found['rounds']:.0f} rounds; holders on every GPU"
        yield Row("CPU of a whole tick of a node, 8 GPUs, C driver", found["tick_ms"], "ms", 0.3, note)
        resident_mb, threads = _serving(Path(folder), loaded)
        note = f"{threads} threads, scraped {SCRAPES_A_SECOND} times a second for {SERVING_SECONDS} s"
        yield Row("resident memory of an agent that serves, 8 GPUs", resident_mb, "MB", 45, note)
        month = _alone("month", environ)
    note = (
        f"{month['hour_mb']:.1f} MB after an hour, {month['month_mb']:.1f} MB after the month, {month['runs']:.0f} runs"
    )
    yield Row("memory grown since the first hour, 30 days at 60 s", month["month_mb"] - month["hour_mb"], "MB", 1, note)
    yield Row("journal of a day of such a month", month["journal_mb_a_day"], "MB", 1)


def _alone(what: str, environ: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.agenting", what]
    found: dict[str, float] = json.loads(
        subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=True).stdout
    )
    return found


def _serving(folder: Path, environ: dict[str, str]) -> tuple[float, int]:
    """Resident megabytes and threads of the installed agent."""
    log = folder / "agent.log"
    kept = ["--state", str(folder / "state"), "--socket", str(folder / "s"), "--web.listen-address", "127.0.0.1:0"]
    with log.open("wb") as stderr, subprocess.Popen([COSTMETER, "agent", *kept], env=environ, stderr=stderr) as process:
        try:
            started = StartedAgent(process, log)
            eventually(lambda: started.url and (started.node["gpus"] or None), "GPUs")
            for _ in range(SERVING_SECONDS * SCRAPES_A_SECOND):
                for page in ("/metrics", "/", "/api/v1/node"):
                    urllib.request.urlopen(f"{started.url}{page}", timeout=10).close()
                time.sleep(1 / SCRAPES_A_SECOND)
            folder_of = Path(f"/proc/{process.pid}")
            resident_bytes = int((folder_of / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            return resident_bytes / 1e6, len(list((folder_of / "task").iterdir()))
        finally:
            process.kill()
