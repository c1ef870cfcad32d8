"""Killed agents: fifty times by SIGKILL at random moments, scraped all the time by a real Prometheus.

After every second restart nothing of ours may grow on its disk any more, as where that is full; the agent then goes on
from memory until it is killed. What the counters increased by, with resets counted as Prometheus does, is held against
the truth: eight GPUs are eight seconds a second. The truth leaves out what an agent that begins at nothing cannot know:
from the last scrape of the one before to its own first reading.

And the size of a node's journal: a day of eight GPUs that three runs hold, for each bundled scenario.
"""

import json
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from costmeter.cli.run import SCENARIOS
from costmeter.ledger.node.journal import node_paths
from costmeter.runtime.agent.writer import NodeWriter
from tests.bench.journal import BUNDLED
from tests.bench.table import Row
from tests.end_to_end.installed import eventually, own_home
from tests.end_to_end.killable import GPU_TIME, READ_AT, KillableAgent
from tests.runtime.heldnode import LEE_1, MAYA_1, MAYA_2, held_node
from tests.runtime.metered import SECOND

KILLS, GPUS, SCRAPE_SECONDS = 50, 8, 0.2
HOURS, TICK_SECONDS = 2, 5
CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs: [{{job_name: costmeter, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""

Samples = list[tuple[float, float]]


def measure() -> Iterator[Row]:
    """Counters that fell to anything but nothing; how far the increase is from the truth, in scrapes; journal sizes."""
    if shutil.which("prometheus") is None:
        yield Row("agents killed (prometheus not installed)", 0, "", None)
    else:
        yield from _killed()
    for name in SCENARIOS:
        yield Row(f"node journal, {name}, 3 runs", _megabytes_a_day(name), "MB/day", 1.0)


def _killed() -> Iterator[Row]:
    dice = random.Random(7)
    with own_home() as home, tempfile.TemporaryDirectory(prefix="costmeter-") as folder:
        agent = KillableAgent(home, Path(folder))
        with _prometheus(agent.port, Path(folder)) as address:
            begun, went_on = 0, 0
            for kill in range(KILLS):
                on = agent.start()
                begun, went_on = begun + (not on), went_on + on
                time.sleep(dice.uniform(0.3, 1.5))
                if kill % 2:
                    agent.refuse()
                    time.sleep(dice.uniform(0.3, 1.5))
                agent.end()
            agent.start()
            time.sleep(2)
            agent.end(signal.SIGTERM)
            times, read = _samples(address, f"sum({GPU_TIME})"), _samples(address, f"max({READ_AT})")
    yield from _rows(times, read, begun, went_on)


def _rows(times: Samples, read: Samples, begun: int, went_on: int) -> Iterator[Row]:
    read_at = dict(read)
    told = [(at, value, read_at[at]) for at, value in times if at in read_at]
    increase = truth = 0.0
    resets = falls = 0
    for (_, before, before_at), (_, after, after_at) in pairwise(told):
        if after >= before:
            increase, truth = increase + after - before, truth + GPUS * (after_at - before_at)
            continue
        resets += 1
        increase += after
        truth += after  # an agent that began at nothing: what it did since
        falls += after > GPUS * (after_at - before_at) + GPUS * SCRAPE_SECONDS
    yield Row(f"values between nothing and the last shown, of {KILLS} kills", falls, "", 0, f"{len(told)} scrapes")
    off = abs(increase - truth) / GPUS / SCRAPE_SECONDS
    yield Row("increase off the truth", off, "scrapes", 1.0, f"{increase / GPUS:.3f} s, {truth / GPUS:.3f} s")
    yield Row("restarts from nothing", begun, "", None, f"{went_on} went on, {resets} resets were seen")


@contextmanager
def _prometheus(port: int, folder: Path) -> Iterator[str]:
    """The address of a Prometheus that scrapes five times a second."""
    config, log = folder / "prometheus.yml", folder / "prometheus.log"
    config.write_text(CONFIG.format(port=port))
    storage = f"--storage.tsdb.path={folder / 'tsdb'}"
    argv = ["prometheus", f"--config.file={config}", storage, "--web.listen-address=127.0.0.1:0", "--log.level=info"]
    with log.open("w") as writing, subprocess.Popen(argv, stdout=writing, stderr=subprocess.STDOUT) as process:
        try:
            found = eventually(lambda: re.search(r'"Listening on" address=(\S+)', log.read_text()), "Prometheus")
            eventually(lambda: "Server is ready" in log.read_text() or None, "Prometheus to be ready")
            yield found[1]
        finally:
            process.kill()


def _samples(address: str, query: str) -> Samples:
    """Every stored value of a sum over series of one scrape, by the time of the scrape."""
    family, reduce = query.partition("(")[2].rstrip(")"), query.partition("(")[0]
    asked = urllib.parse.urlencode({"query": f"{family}[1h]"})
    with urllib.request.urlopen(f"http://{address}/api/v1/query?{asked}", timeout=60) as answer:
        series = json.load(answer)["data"]["result"]
    values: dict[float, list[float]] = {}
    for each in series:
        for at, value in each["values"]:
            values.setdefault(float(at), []).append(float(value))
    return sorted((at, sum(each) if reduce == "sum" else max(each)) for at, each in values.items())


def _megabytes_a_day(name: str) -> float:
    """What a day writes where three runs hold the GPUs, one of which goes from training to evaluation each hour."""
    with held_node((BUNDLED / f"{name}.yaml").read_text()) as run, tempfile.TemporaryDirectory() as folder:
        writer = NodeWriter(Path(folder), "gpu01", None)
        run.begin()
        runs = (MAYA_1, MAYA_2, LEE_1)
        for tick in range(HOURS * 3_600 // TICK_SECONDS):
            if tick % (600 // TICK_SECONDS) == 0:
                turn = tick // (600 // TICK_SECONDS)
                run.hold(*([runs[(place + turn) % 3]] for place in range(GPUS)))
            run.tick(TICK_SECONDS * SECOND)
            for post in run.posts:
                writer.write(post)
            run.posts.clear()
        size = sum(path.stat().st_size for path in node_paths(Path(folder)))
    return size * 24 / HOURS / 1e6
