"""Journal: how many bytes a day writes, of every bundled scenario and of jobs that tell of themselves all the time, and
how late the readings are while the disk does not answer.

Two hours at a reading every 5 s on a manual clock, through recorder and writer to a real file; what the first lines
take is counted once. Host power is a constant, as on a machine without RAPL. A slot
is cut where the phase changes, so a job that changes it often writes more. Lateness is of the installed command, from
a recording of its readings on another disk: ticks are due on whole seconds.
"""

import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median

from costmeter.cli.run import SCENARIOS
from costmeter.ledger.line import unseal
from costmeter.meter.progress import Progress
from costmeter.runtime.events import Batch, Told
from costmeter.runtime.recording import Recording
from costmeter.runtime.writer import Writer
from tests.bench.table import Row
from tests.end_to_end.installed import COSTMETER, own_home
from tests.native import compiled
from tests.runtime.metered import SECOND, Metered, metered

HOURS, TICK_SECONDS = 2, 5
BLOCKED_SECONDS, LATE_SECONDS = 30, 0.2
HOST_WATTS = 800.0
BUNDLED = Path(__file__).parents[2] / "costmeter" / "sources" / "simulated" / "scenarios"
#: What a chatty job does, one after the other.
PHASES = ("training", "training", "eval", "training", "checkpoint", "training")


def measure() -> Iterator[Row]:
    """Megabytes a day, with the share of each kind of line; then the latest reading."""
    for name in SCENARIOS:  # of a whole team's GPUs no two do the same: no run is like that, and its node has an agent
        yield _row(name, chatty_every_seconds=0, bar=None if name == "team" else 1.0)
    yield _row("healthy", chatty_every_seconds=300, bar=1.0)
    yield _row("healthy", chatty_every_seconds=60, bar=None)
    yield _row("healthy", chatty_every_seconds=10, bar=None)
    for preload in ("", str(compiled.library("stuck_disk"))):
        late = _lateness(preload)
        what = f"fsync takes {BLOCKED_SECONDS} s" if preload else "a disk that answers"
        bar = LATE_SECONDS if preload else None
        yield Row(f"latest of the readings, {what}", late[-1], "s", bar, f"{len(late)}, median {median(late):.3f} s")


def a_day(sizes: Counter[str], hours: float) -> float:
    """What a day writes (MB) where so many hours wrote this: what a journal begins and ends with is there once."""
    once = sizes["header"] + sizes["devices"] + sizes["footer"] + sizes["rates"]
    return ((sizes.total() - once) * 24 / hours + once) / 1e6


def _row(name: str, chatty_every_seconds: int, bar: float | None) -> Row:
    sizes = lines_of(name, HOURS, chatty_every_seconds)
    megabytes = a_day(sizes, HOURS)
    shares = ", ".join(f"{kind} {size / sizes.total():.0%}" for kind, size in sizes.most_common(3))
    told = f", a step a second, a phase every {chatty_every_seconds} s" if chatty_every_seconds else ""
    return Row(f"{name}{told}", megabytes, "MB/day", bar, shares)


def lines_of(name: str, hours: int, chatty_every_seconds: int = 0) -> Counter[str]:
    """The bytes of a journal of a bundled scenario, by kind of line."""
    with metered((BUNDLED / f"{name}.yaml").read_text(), host_watts=HOST_WATTS) as run:
        run.open()
        for tick in range(hours * 3_600 // TICK_SECONDS):
            if chatty_every_seconds:
                _tell(run, tick * TICK_SECONDS, chatty_every_seconds)
            run.tick(TICK_SECONDS * SECOND)
        run.end()
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(Path(folder), "host")
        for post in run.posts:
            writer.write(post)
        sizes: Counter[str] = Counter()
        for line in Path(folder, "host.1.jsonl").read_bytes().splitlines(keepends=True):
            sizes[str(unseal(line)["type"])] += len(line)
    return sizes


def _tell(run: Metered, second: int, every_seconds: int) -> None:
    """What the job says of itself at a second of the run."""
    phase = PHASES[second // every_seconds % len(PHASES)]
    progress = Progress(steps=second, tokens=second * 81_920, loss=2.31 + second % 97 / 1_000)
    run.recorder.handle(Told(run.clock.boottime_ns(), phase, progress))


def _lateness(preload: str) -> list[float]:
    """How late each reading was (s), ascending, in a run through the end of a minute and the 30 s after it."""
    shift = 60 - 8 - int(time.time()) % 60
    with own_home() as environ, tempfile.TemporaryDirectory() as folder:
        libraries = ":".join(filter(None, (str(compiled.library("shifted_clock")), preload)))
        environ |= {"LD_PRELOAD": libraries, "SHIFT_SECONDS": str(shift), "SLOW_FSYNC_SECONDS": str(BLOCKED_SECONDS)}
        record = Path(folder, "recording.jsonl")
        command = [COSTMETER, "run", "-q", "--simulate", "healthy", "--record", str(record), "--", "sleep"]
        subprocess.run([*command, str(BLOCKED_SECONDS + 8)], env=environ, check=True, stderr=subprocess.DEVNULL)
        taken = [each.utc_ns for each in Recording(record).events() if isinstance(each.event, Batch)]
    ticks = taken[1:-1]  # the first is when the driver has opened, the last when the job has ended
    # Due is the whole second after the one before.
    return sorted((tick - (before // SECOND + 1) * SECOND) / SECOND for before, tick in pairwise(ticks))
