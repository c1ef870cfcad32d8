"""Hung: one of eight GPUs stops answering for ever in the middle of a run; the other seven, the page and the end."""

import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from costmeter.clock import RealClock
from costmeter.ledger.bulk import load_run
from costmeter.ledger.query import Part
from tests.bench.energy import NODE as TRAINING
from tests.bench.table import Row
from tests.end_to_end.installed import COSTMETER, eventually, own_home
from tests.sources.nodes import node

HUNG_GPU = 3
#: The node is opened once before the run, so that it draws power already when the run begins.
HANGS_AFTER_SECONDS, JOB_SECONDS, TOLD_AFTER_SECONDS = 8, 18, 12
NODE = f"""{TRAINING}
faults:
  - {{kind: hang, devices: [{HUNG_GPU}], at: {HANGS_AFTER_SECONDS} s}}
"""
#: The job says when it ended.
JOB = ["sh", "-c", f"sleep {JOB_SECONDS}; exec date +%s%N"]
SCRAPE_EVERY_SECONDS, SCRAPE_PATIENCE_SECONDS = 0.1, 10
MOST_MS = 2_000


@dataclass(frozen=True, slots=True)
class Hung:
    """What came of one run: what it recorded, on a node of which epoch, how long it took to exit, and every scrape."""

    part: Part
    epoch_ns: int
    exit_ms: float
    scrapes_ms: tuple[float, ...]


def measure() -> Iterator[Row]:
    """One run to the job's own end, and one that is told to end while the GPU hangs; both are scraped throughout."""
    hung = _run(JOB, _ended_by_itself)
    worst, together = _errors(hung)
    what = f"GPU {HUNG_GPU} of 8 hangs for ever {HANGS_AFTER_SECONDS} s into the node's {JOB_SECONDS} and more"
    yield Row("energy of the other seven off the truth, worst GPU", 100 * worst, "%", 1, f"{what}; sum {together:.2%}")
    yield Row("job's end to exit", hung.exit_ms, "ms", MOST_MS)
    yield _slowest_scrape("slowest scrape until the job ended", hung)
    hung = _run(["sleep", "60"], _ended_by_signal)
    yield Row("SIGTERM to exit", hung.exit_ms, "ms", MOST_MS, "the job dies of it at once")
    yield _slowest_scrape("slowest scrape until then", hung)


def _slowest_scrape(what: str, hung: Hung) -> Row:
    return Row(what, max(hung.scrapes_ms), "ms", 1_000, f"{len(hung.scrapes_ms)} scrapes, every one answered")


def _run(job: list[str], end: Callable[[subprocess.Popen[bytes]], int]) -> Hung:
    """Meter a job in a home of its own and scrape until `end` says when the job ended (UTC nanoseconds)."""
    with own_home() as environ, tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        file = Path(folder, "hung.yaml")
        file.write_text(NODE)
        command = [COSTMETER, "run", "-q", "--simulate", str(file)]
        subprocess.run([*command, "--", "sleep", "1"], env=environ, check=True)
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        meter = subprocess.Popen(
            [*command, "--listen", address, "--", *job],
            env=environ | {"COSTMETER_RUN_ID": "hung"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        eventually(lambda: _answers(address), "the first page")
        enough, scrapes_ms = threading.Event(), list[float]()
        scraping = threading.Thread(target=_scrape, args=(address, enough, scrapes_ms))
        scraping.start()
        ended_utc_ns = end(meter)
        enough.set()
        meter.wait()
        exit_ms = (time.time_ns() - ended_utc_ns) / 1e6
        scraping.join()
        run = load_run(Path(environ["XDG_STATE_HOME"], "costmeter"), "hung")
        epoch_ns = int(next(Path(environ["XDG_RUNTIME_DIR"]).rglob("*.epoch")).read_text())
    return Hung(run.parts[0], epoch_ns, exit_ms, tuple(scrapes_ms))


def _ended_by_itself(meter: subprocess.Popen[bytes]) -> int:
    assert meter.stdout is not None
    return int(meter.stdout.readline())


def _ended_by_signal(meter: subprocess.Popen[bytes]) -> int:
    time.sleep(TOLD_AFTER_SECONDS)
    told_utc_ns = time.time_ns()
    meter.send_signal(signal.SIGTERM)
    return told_utc_ns


def _answers(address: str) -> bool | None:
    """True once a page has come; None before."""
    try:
        return _page(address)
    except OSError:
        return None


def _page(address: str) -> bool:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=SCRAPE_PATIENCE_SECONDS) as page:
        return b"gpu_" in page.read()


def _scrape(address: str, enough: threading.Event, scrapes_ms: list[float]) -> None:
    """Scrape until it is enough; one that fails before that took for ever, the one in which the meter exits is none."""
    while not enough.wait(SCRAPE_EVERY_SECONDS):
        before = time.monotonic()
        try:
            is_whole = _page(address)
        except OSError:
            is_whole = False
            if enough.is_set():
                return
        scrapes_ms.append(1_000 * (time.monotonic() - before) if is_whole else float("inf"))


def _errors(hung: Hung) -> tuple[float, float]:
    """How far the GPUs that went on answering are from the truth over the whole run: the worst, and all together."""
    footer, header = hung.part.footer, hung.part.header
    assert footer is not None
    truth = node(NODE, RealClock(), hung.epoch_ns).truth
    booked, drawn = [], []
    for place, uuid in enumerate(truth.uuids):
        quantities = hung.part.totals.devices[uuid].quantities
        if place == HUNG_GPU:
            assert quantities.unmeasured_nanoseconds > 0
            continue
        booked.append(quantities.microjoules)
        drawn.append(truth.energy_microjoules(uuid, header.start_ns, header.start_ns + footer.length_ns))
    worst = max(abs(ours / theirs - 1) for ours, theirs in zip(booked, drawn, strict=True))
    return worst, abs(sum(booked) / sum(drawn) - 1)
