"""Resumed: the meter of one run dies by SIGKILL a hundred times and is started again; what is lost is counted.

The load is a square wave, so that a gap filled by anything but the counter would show. It begins with steady power:
the head, which is estimated from the first power, then tells exactly when the first reading was.
"""

import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from costmeter.config import yamlfile
from costmeter.ledger.bulk import load_run
from costmeter.ledger.query import Part, Run
from costmeter.sources.simulated.counter import Counter
from costmeter.sources.simulated.reader import scenario
from costmeter.sources.simulated.world import simulated_gpus
from tests.bench.table import Row
from tests.end_to_end.installed import COSTMETER, own_home

CHAINS, KILLS = 4, 25
PERIOD_SECONDS = 0.2
STEADY_WATTS = 300
NODE = f"""
seed: 5
devices:
  - name: NVIDIA H100 80GB HBM3
    count: 4
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    load:
      - {{shape: constant, for: 15 s, power: {STEADY_WATTS} W, utilization: 60 %}}
      - shape: square
        period: 700 ms
        high_for: 300 ms
        high: {{power: 650 W, utilization: 100 %}}
        low: {{power: 90 W, utilization: 0 %}}
"""
#: The job outlives every meter of its chain but the last few.
JOB = ["sleep", "5"]
#: A kill comes at most this long after a reading was booked, or, when it comes early, after the meter was started.
LATE_SECONDS, EARLY_SECONDS = 0.7, 0.4
#: A reading is stamped just after the driver answered: its counter may have moved on since, by one step.
ANSWERED_WITHIN_NS = 10_000_000

#: When a meter is killed: some time after its first reading, before it can have made one, or when its journal begins.
READ, AT_ONCE, BEGUN = "after the first reading", "at once", "journal begun"
ORDERS = {
    "killed before the first reading": [READ, AT_ONCE, READ, BEGUN] * 4 + [READ],
    "killed twice within a second": [READ, AT_ONCE, BEGUN, READ, BEGUN, BEGUN] * 2 + [READ],
}


@dataclass(frozen=True, slots=True)
class Lost:
    """What one chain of meters lost between its first and its last booked instant, worst GPU, and what it did."""

    microjoules: int
    nanoseconds: int
    meters: int
    silent_meters: int
    joules: float


def measure() -> Iterator[Row]:
    """Four chains side by side, killed at random; then the orders in which a kill is most likely to lose something."""
    with ThreadPoolExecutor(CHAINS) as pool:
        yield from _rows(
            f"killed and restarted {CHAINS * KILLS} times",
            list(pool.map(lambda seed: _chain(seed, [READ] * (KILLS + 1)), range(CHAINS))),
        )
        orders = list(pool.map(lambda seed: _chain(seed, ORDERS[list(ORDERS)[seed % 2]]), range(4)))
    for place, what in enumerate(ORDERS):
        yield from _rows(what, orders[place::2])


def _rows(what: str, chains: list[Lost]) -> Iterator[Row]:
    meters, silent = sum(chain.meters for chain in chains), sum(chain.silent_meters for chain in chains)
    joules = sum(chain.joules for chain in chains)
    note = f"{len(chains)} runs, {meters} meters, {silent} of them without a reading; {joules:,.0f} J in all"
    yield Row(f"{what}: GPU energy lost, worst GPU", max(chain.microjoules for chain in chains), "µJ", 0, note)
    yield Row(f"{what}: rent lost, worst GPU", max(chain.nanoseconds for chain in chains), "ns", 0, note)


def _chain(seed: int, order: list[str]) -> Lost:
    """One run, metered by one meter after the other in a home and on a node of its own."""
    chance = random.Random(seed)
    with own_home() as environ, tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(NODE)
        file.flush()
        environ["COSTMETER_RUN_ID"] = "chain"
        folder = Path(environ["XDG_STATE_HOME"], "costmeter", "runs", "chain")
        command = [COSTMETER, "run", "-q", "--simulate", file.name, "--interval", str(PERIOD_SECONDS), "--", *JOB]
        for when in order:
            known = set(os.listdir(folder)) if folder.exists() else set()
            meter = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if when == READ:
                _see(meter, folder, ".open", known)
                time.sleep(chance.uniform(0, LATE_SECONDS))
            elif when == AT_ONCE:
                time.sleep(chance.uniform(0, EARLY_SECONDS))
            else:
                _see(meter, folder, ".jsonl", known)
            meter.send_signal(signal.SIGKILL)
            meter.wait()
        run = load_run(folder.parents[1], "chain")
        epoch_ns = int(next(Path(environ["XDG_RUNTIME_DIR"]).rglob("*.epoch")).read_text())
    return _lost(run, len(order), epoch_ns)


def _see(meter: subprocess.Popen[bytes], folder: Path, suffix: str, known: set[str]) -> None:
    """Wait, without a pause that a reading could fall into, for a file of the meter that was just started."""
    while not (folder.exists() and any(name.endswith(suffix) for name in set(os.listdir(folder)) - known)):
        assert meter.poll() is None, f"the meter ended before it wrote a {suffix} file"
        time.sleep(0.001)


def _lost(run: Run, meters: int, epoch_ns: int) -> Lost:
    gpus = simulated_gpus(scenario(yamlfile.load(NODE, "node"), "node", "node"))
    booked = [part for part in run.parts if part.totals.devices]
    assert booked[0] is run.parts[0]
    lost_uj = lost_ns = 0
    for gpu in gpus:
        uuid, counter = gpu.facts.uuid, gpu.counter()
        assert counter is not None
        began_ns, ended_ns = booked[0].header.start_ns, _ended_ns(booked[-1], uuid)
        quantities = run.totals.devices[uuid].quantities
        first_ns = began_ns + quantities.estimated_microjoules * 1_000 // STEADY_WATTS
        booked_uj = quantities.microjoules - quantities.estimated_microjoules
        lost_uj = max(lost_uj, _off(counter, first_ns - epoch_ns, ended_ns - epoch_ns, booked_uj))
        lost_ns = max(lost_ns, abs(ended_ns - began_ns - quantities.nanoseconds))
    joules = run.totals.whole.quantities.microjoules / 1e6
    return Lost(lost_uj, lost_ns, meters, meters - len(booked), joules)


def _ended_ns(part: Part, uuid: str) -> int:
    """The last instant that a part booked for a device."""
    return part.since_ns.get(uuid, part.header.start_ns) + part.totals.devices[uuid].quantities.nanoseconds


def _off(counter: Counter, first_ns: int, last_ns: int, booked_uj: int) -> int:
    """What was booked beside what the counter counted, whichever side of a step the driver answered on."""
    firsts = {counter.millijoules(at_ns) for at_ns in (first_ns, first_ns - ANSWERED_WITHIN_NS)}
    lasts = {counter.millijoules(at_ns) for at_ns in (last_ns, last_ns - ANSWERED_WITHIN_NS)}
    return min(abs((last - first) * 1_000 - booked_uj) for first in firsts for last in lasts)
