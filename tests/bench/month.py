"""Month: thirty days at one reading a minute on a manual clock, through source, recorder and writer to a real journal.

The folder is one in memory where there is one: how long a disk takes to sync 43,200 lines says nothing of the meter,
whose writer is alone in waiting for it. Prices are such that each minute's money is a decimal of few digits, so that
what was charged must be, to the last digit, what rational arithmetic on the raw readings makes of it. Each month runs
in a process of its own.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import psutil

from costmeter.clock import ManualClock
from costmeter.ledger.query import Part
from costmeter.meter.charge import Origin
from costmeter.meter.schedule import Constant
from costmeter.rates.book import Book, GpuPlan, Owned, Sourced
from costmeter.readings import Missing, Reading
from costmeter.runtime.events import Batch, Ended, Opened
from costmeter.runtime.recorder import Pricing, Recorder
from costmeter.runtime.writer import Writer
from costmeter.sources.nvml import NvmlSource
from costmeter.units import MICROJOULES_PER_KWH, NANOSECONDS_PER_HOUR
from tests.bench.energy import NODE as TRAINING
from tests.bench.table import Row
from tests.ledger.slowly import fold_journal, read_journal
from tests.runtime.metered import BEGAN_UTC_NS, BOOTED_NS, SECOND, header
from tests.sources.nodes import node

DAYS, TICKS_PER_DAY = 30, 1_440
MINUTE = 60 * SECOND
#: At one tick a minute memory and the like are asked for at every tick, as in a meter that runs.
SLOW = True
IN_MEMORY = "/dev/shm"
CAPITAL_PER_HOUR, ELECTRICITY_PER_KWH = Decimal("0.60"), Decimal("0.36")
_HERE = Origin("configured", "month")
BOOK = Book(
    gpus=(GpuPlan(owned=Owned(CAPITAL_PER_HOUR * 8_760 * 4, _HERE, life_years=Decimal(4))),),
    electricity=Sourced(Constant(ELECTRICITY_PER_KWH), _HERE),
)
NODE = f"""{TRAINING.replace("count: 8", "count: GPUS").rstrip()}
      evaluation: {{after_steps: 500, for: 40 s, power: 480 W, utilization: 90 %}}
      checkpoint: {{after_steps: 1000, for: 150 s, power: 90 W, utilization: 1 %}}
"""


def measure() -> Iterator[Row]:
    """One GPU, then eight."""
    for gpus, bar in ((1, 15.0), (8, None)):
        command = [sys.executable, "-m", "tests.bench.month", str(gpus)]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        who = f"{gpus} GPU{'s' if gpus > 1 else ''}, {DAYS} days at 60 s"
        note = f"{found['journal_mb']:.1f} MB of journal; read back and folded in {found['fold_seconds']:.1f} s"
        yield Row(f"{who}: time taken", found["seconds"], "s", bar, note)
        note = f"resident {found['day_mb']:.1f} MB after a day, {found['month_mb']:.1f} MB after the month"
        yield Row(f"{who}: memory grown since the first day", found["month_mb"] - found["day_mb"], "MB", 1, note)
        note = f"{found['joules']:,.0f} J by the counters' own differences"
        yield Row(f"{who}: energy off rational arithmetic", found["off_uj"], "µJ", 0, note)
        yield Row(f"{who}: time off, all GPUs", found["off_ns"], "ns", 0)
        note = f"{found['cost']}: capital and electricity, minute by minute"
        yield Row(f"{who}: money off rational arithmetic", found["off_money"], "USD", 0, note)


class Month:
    """A meter without threads, whose journal is on disk and whose memory is its own."""

    def __init__(self, gpus: int, folder: Path) -> None:
        self.clock = ManualClock(BEGAN_UTC_NS - BEGAN_UTC_NS % MINUTE, BOOTED_NS)
        self.source = NvmlSource(self.clock, node(NODE.replace("GPUS", str(gpus)), self.clock, BOOTED_NS))
        self.writer = Writer(folder, "host")
        pricing = Pricing(BOOK.quotation, lambda: (), 0.0)
        self.recorder = Recorder(header(self.clock, MINUTE), pricing, self.clock, self.writer.write)
        self.devices = self.source.open()
        self.recorder.handle(Opened(self.devices, gpus, self.source.facts()))
        self.first_uj: dict[str, int] = {}
        self.last_uj: dict[str, int] = {}

    def tick(self) -> None:
        """Read every board once."""
        at_ns = self.clock.boottime_ns()
        readings: dict[str, Reading | Missing] = {d.uuid: self.source.read(d.uuid, SLOW) for d in self.devices}
        for uuid, reading in readings.items():
            assert isinstance(reading, Reading)
            assert not isinstance(reading.energy_microjoules, Missing)
            self.last_uj[uuid] = reading.energy_microjoules
            self.first_uj.setdefault(uuid, reading.energy_microjoules)
        self.recorder.handle(Batch(at_ns, readings, SLOW))

    def day(self) -> None:
        """A day passes."""
        for _ in range(TICKS_PER_DAY):
            self.clock.advance(MINUTE)
            self.tick()

    def end(self) -> None:
        """The child is reaped at the last reading."""
        self.recorder.handle(Ended(self.clock.boottime_ns(), 0, None))
        self.source.close()


def main(gpus: int) -> None:
    """Live through the month and print what came of it."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None) as folder:
        began = time.monotonic()
        month = Month(gpus, Path(folder))
        month.tick()
        month.day()
        day_mb = _resident_mb()
        for _ in range(DAYS - 1):
            month.day()
        seconds = time.monotonic() - began
        month_mb = _resident_mb()
        month.end()
        path = Path(folder, "host.1.jsonl")
        began = time.monotonic()
        part = fold_journal(read_journal(path))
        fold_seconds = time.monotonic() - began
        assert part.totals == month.recorder.part.totals
        found = {"journal_mb": path.stat().st_size / 1e6, "fold_seconds": fold_seconds, "seconds": seconds}
    found |= {"day_mb": day_mb, "month_mb": month_mb}
    print(json.dumps(found | _off(month, part, gpus)))


def _off(month: Month, part: Part, gpus: int) -> dict[str, object]:
    """What was booked beside rational arithmetic on the raw readings."""
    whole = part.totals.whole
    counted_uj = sum(month.last_uj[uuid] - first_uj for uuid, first_uj in month.first_uj.items())
    held_ns = gpus * DAYS * TICKS_PER_DAY * MINUTE
    capital = Fraction(CAPITAL_PER_HOUR) * held_ns / NANOSECONDS_PER_HOUR
    electricity = Fraction(ELECTRICITY_PER_KWH) * counted_uj / MICROJOULES_PER_KWH
    return {
        "joules": counted_uj / 1e6,
        "cost": str(whole.cost),
        "off_uj": abs(whole.quantities.microjoules - counted_uj),
        "off_ns": abs(whole.quantities.nanoseconds - held_ns),
        "off_money": float(abs(Fraction(whole.cost) - capital - electricity)),
    }


def _resident_mb() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6


if __name__ == "__main__":
    main(int(sys.argv[1]))
