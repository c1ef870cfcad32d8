"""What-if: a 90-day journal of eight GPUs, one slot a minute, priced again under a tariff of hours and seasons.

The journal is as a training run leaves it: GPUs that wait now and then, a phase and a step in every slot, a subtotal an
hour, a checkpoint every half hour, a footer with what it came to. The installed command prices it, as it was and under
the tariff, and its whole time and memory count. The same is done for three days of it slot by slot, and the two must
agree to the last digit.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from costmeter.config.layers import load_settings
from costmeter.ledger.bulk import fold_path
from costmeter.ledger.journal import JournalFile, records
from costmeter.ledger.pricing import PricesFor
from costmeter.ledger.query import Part, begin, fold
from costmeter.ledger.record import Header, Mark, RatesChange, Record, SlotEntry, Subtotal
from costmeter.ledger.trusted import fold_whole
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Quantities, Slot
from costmeter.units import NANOSECONDS_PER_MINUTE
from tests.bench.pricing import B20, OWNED
from tests.bench.table import Row
from tests.ledger.slowly import fold_journal, read_journal
from tests.samples import BEGAN_UTC_NS, MINUTE, devices, footer, header, held, owned, rates, rates_from_start, uuids

GPUS, DAYS, COMPARED_DAYS, SLOTS_A_DAY = 8, 90, 3, 1_440
SETTINGS = f"{OWNED}electricity: {{price: {{tariff: {B20}}}, pue: 1.2}}\ncarbon: {{intensity: {{zone: US-CAL}}}}\n"
TIMES = 3
ORDER = uuids(devices(GPUS))
#: What the journal says of its prices: all that can be charged is.
OWN = rates(
    {uuid: owned("0.7705479452054794520547945205", "4.68") for uuid in ORDER},
    electricity_per_kwh=Decimal("0.14"),
    pue=Decimal("1.2"),
    carbon_grams_per_kwh=Decimal(380),
)
INSTALLED = (str(Path(sys.executable).parent / "costmeter"),)


def measure() -> Iterator[Row]:
    """Time and memory of the whole process, the shortest of several; then the same as slot by slot."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "costmeter.yaml").write_text(SETTINGS)
        path = written(folder, DAYS)
        found = [_in_a_process(folder, path) for _ in range(TIMES)]
        fastest = min(seconds for seconds, _ in found)
        note = f"the whole command, two rows: {path.stat().st_size / 1e6:.0f} MB of journal"
        yield Row(f"{DAYS} days of {GPUS} GPUs re-priced under B-20", fastest, "s", 2, note)
        yield Row("its memory at most", max(megabytes for _, megabytes in found), "MB", 100)
        few = written(folder / "few", COMPARED_DAYS)
        prices = _prices(folder)
        began = time.monotonic()
        slow = _slowly(few, prices)
        seconds = (time.monotonic() - began) * DAYS / COMPARED_DAYS
        note = f"{COMPARED_DAYS} days, every field of both parts; slot by slot {DAYS} days take {seconds:.0f} s"
        own = fold_journal(read_journal(few))
        differing = (slow != fold_path(few, prices)) + (fold_path(few) != own)
        for part, expected in zip(fold_whole(few, (None, prices)), (own, slow), strict=True):
            differing += not isinstance(part, Part) or part.totals.whole != expected.totals.whole
        yield Row("parts that differ from those made slot by slot", differing, "", 0, note)


def written(folder: Path, days: int) -> Path:
    """The journal of so many days."""
    file = JournalFile(folder, "gpu01")
    nothing_yet = begin(header()).summary  # a subtotal is derived, and not read by a fold
    for line in _lines(days * SLOTS_A_DAY):
        file.write(Subtotal(nothing_yet) if line is None else line, ORDER)
    file.write(replace(footer(days * SLOTS_A_DAY * MINUTE), summary=fold_path(file.path).summary), ORDER)
    file.close(finished=True)
    return file.path


def _lines(minutes: int) -> Iterator[Record | None]:
    """Its records; None stands for a subtotal."""
    some = random.Random(8)
    yield from (header(), held(devices(GPUS)), rates_from_start(OWN))
    counters_uj = {uuid: some.randrange(10**15) * 1_000 for uuid in ORDER}
    for number in range(minutes):
        waits = number % 5 == 0
        of = {uuid: _quantities(some, waits) for uuid in ORDER}
        counters_uj = {uuid: uj + of[uuid].microjoules for uuid, uj in counters_uj.items()}
        start_utc_ns = BEGAN_UTC_NS + number * MINUTE
        progress = Progress(number * 40, number * 40 * 98_304, round(some.uniform(1, 3), 4), minutes * 40)
        yield SlotEntry(
            Slot(start_utc_ns, start_utc_ns + MINUTE, of, counters_uj, number, phase="training", progress=progress)
        )
        if number % 60 == 59:
            yield None
        if number % 30 == 29:
            yield Mark(start_utc_ns + MINUTE, "checkpoint", "")


def _quantities(some: random.Random, waits: bool) -> Quantities:
    """A minute of training; now and then the GPU waits for some of it."""
    idle_ns = some.randrange(1, 20 * 10**9) if waits else 0
    busy_uj, idle_uj = some.randrange(38 * 10**6, 42 * 10**6) * 1_000, idle_ns // 10**6 * 90_000
    return Quantities(
        busy_nanoseconds=MINUTE - idle_ns,
        idle_nanoseconds=idle_ns,
        busy_microjoules=busy_uj,
        idle_microjoules=idle_uj,
        counter_microjoules=busy_uj + idle_uj,
        utilized_nanoseconds=some.randrange(55 * 10**9, MINUTE),
        observed_nanoseconds=MINUTE,
        busy_host_microjoules=6 * 10**9,
    )


def _prices(folder: Path) -> PricesFor:
    """Those of the settings in a folder."""
    loaded = load_settings(None, {}, {"HOME": str(folder)}, str(folder), strict=True)
    return lambda _, devices, node_gpus: loaded.settings.book.quotation(devices, node_gpus)


def _slowly(path: Path, prices: PricesFor) -> Part:
    """Slot by slot, each under the rates of its minute."""
    problems: list[str] = []
    first, line, *rest = records(path, problems)
    assert isinstance(first, Header)
    part = fold(begin(first), line)
    quotation = prices(first, devices(GPUS), GPUS)
    for record in rest:
        if isinstance(record, RatesChange):
            continue
        if isinstance(record, SlotEntry):
            utc_ns = record.slot.start_utc_ns
            now = quotation.at(utc_ns - utc_ns % NANOSECONDS_PER_MINUTE)
            part = part if now == part.rates else fold(part, RatesChange(utc_ns, now))
        part = fold(part, record)
    return replace(part, problems=(*problems, *part.problems))


def _in_a_process(folder: Path, path: Path) -> tuple[float, float]:
    """How many seconds the command took from its start to its end, and the most megabytes it had."""
    environ = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    began = time.monotonic()
    command = [*INSTALLED, "what-if", str(path), "--tariff", str(B20), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, cwd=folder)
    assert process.stdout is not None
    own, other = json.loads(process.stdout.read())["scenarios"]
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    if status or own["cost"] == other["cost"]:
        raise RuntimeError("the tariff made no difference, so that it was not priced")
    return seconds, used.ru_maxrss / 1_000
