"""Ending: from the job's end to the meter's exit, healthy and with a driver or a disk that hangs for ever."""

import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.table import Row
from tests.end_to_end.installed import COSTMETER, own_home
from tests.native import compiled

ROUNDS = 15
#: The job lives long enough for the meter to have started, and says when it ends.
JOB = ["sh", "-c", "sleep 1.3; exec date +%s%N"]
SHORT_JOB = ["date", "+%s%N"]

HANGING = """
devices:
  - name: NVIDIA H100 80GB HBM3
    count: 8
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    load: {shape: constant, power: 300 W, utilization: 60 %}
    faults:
      - {kind: hang, at: AT, functions: [nvmlDeviceGetTotalEnergyConsumption]}
"""


def measure() -> Iterator[Row]:
    """Medians of 15 for the healthy case, the worst of 3 for each that hangs."""
    with tempfile.TemporaryDirectory() as folder:
        healthy = ["--simulate", "healthy", "--json", f"{folder}/receipt.json"]
        yield Row("healthy, median of 15", statistics.median(_endings_ms(healthy, JOB, ROUNDS)), "ms", 150)
        short = statistics.median(_endings_ms(healthy, SHORT_JOB, ROUNDS))
        yield Row("healthy, a job that ends at once, median of 15", short, "ms", note="the meter is still starting")
        for what, at in (("hangs from the start", "0 s"), ("hangs while running", "700 ms")):
            file = Path(folder, "hang.yaml")
            file.write_text(HANGING.replace("AT", at))
            worst = max(_endings_ms(["--simulate", str(file)], JOB, 3, fresh=True))
            yield Row(f"driver {what}, worst of 3", worst, "ms", 2_000)
        for stuck in ("STUCK_PATH", "STUCK_FSYNC"):
            preload = {"LD_PRELOAD": str(compiled.library("stuck_disk")), "XDG_STATE_HOME": folder, stuck: folder}
            worst = max(_endings_ms(["--simulate", "healthy"], JOB, 3, preload))
            what = "state directory" if stuck == "STUCK_PATH" else "fsync"
            yield Row(f"{what} hangs for ever, worst of 3", worst, "ms", 2_000)


def _endings_ms(
    options: list[str], job: list[str], rounds: int, changed: dict[str, str] | None = None, fresh: bool = False
) -> list[float]:
    found = []
    with own_home() as environ:
        for _ in range(rounds):
            if fresh:  # the simulated node's own clock begins anew, so that its faults come when they should
                for epoch in Path(environ["XDG_RUNTIME_DIR"]).rglob("*"):
                    if epoch.is_file():
                        epoch.unlink()
            done = subprocess.run(
                [COSTMETER, "run", *options, "--", *job],
                env=environ | (changed or {}),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=True,
            )
            found.append((time.time_ns() - int(done.stdout)) / 1e6)
    return found
