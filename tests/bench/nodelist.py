"""Node lists: `costmeter report` over 400 days that only an agent saw, 8 GPUs and 20 runs a day, and a day folded.

One day's file is written by the ledger itself and copied to other days under other run ids. Commands are fresh
processes with their bytecode on disk; the median of five is told. A day without an end is what a killed agent leaves.
"""

import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from statistics import median

from costmeter.ledger.journal import JournalFile
from costmeter.ledger.node.journal import fold_node_path, stem
from costmeter.ledger.node.line import apart
from costmeter.ledger.node.record import Holders, Line, Opening, RunEnded, RunFacts, RunSeen
from costmeter.ledger.node.stints import Stints
from costmeter.ledger.record import Footer, RatesChange, SlotEntry
from costmeter.ledger.sequence import Numbering
from costmeter.meter.holder import Holder
from tests.bench.listing import _INSTANT, _PLACE, _SEAL, _slots
from tests.bench.table import Row
from tests.samples import BEGAN_UTC_NS, HOUR, MINUTE, devices, footer, header, held, owned, rates, uuids

DAYS, RUNS, MINUTES, TIMES = 400, 20, 1_440, 5
GPUS = devices(8)
_DAY = b"r-0000-"


def measure() -> Iterator[Row]:
    """Lists, groups and the node's account; and one day folded."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder, "costmeter")
        path = make(state)
        environ = {**os.environ, "XDG_STATE_HOME": folder, "HOME": folder, "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for what, options, bar in (
            ("report", [], 1.0),
            ("report --since 7d", ["--since", "7d"], 1.0),
            ("report --by user", ["--by", "user"], None),
            ("report --format csv", ["--format", "csv"], None),
            ("report --node --since 30d", ["--node", "--since", _since(30)], 3.0),
            ("report --node", ["--node"], 3.0),
        ):
            seconds = [_timed(["report", *options], environ) for _ in range(TIMES + 1)][1:]
            yield Row(f"{what}, {DAYS} days, {RUNS} runs each", median(seconds), "s", bar, f"to {max(seconds):.2f} s")
        cut_off = path.read_bytes()
        path.write_bytes(cut_off[: cut_off.rindex(b"\n", 0, -1) + 1])
        seconds = [_folded(path) for _ in range(TIMES)]
        yield Row("one day of a node folded", median(seconds), "s", 0.1, f"{len(cut_off) / 1e6:.2f} MB")


def _since(days: int) -> str:
    began = time.gmtime(BEGAN_UTC_NS // 10**9 - (days - 1) * 86_400)
    return time.strftime("%Y-%m-%d", began)


def _timed(arguments: list[str], environ: dict[str, str]) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "costmeter", *arguments], env=environ, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def _folded(path: Path) -> float:
    began = time.monotonic()
    fold_node_path(path)
    return time.monotonic() - began


def make(state: Path, days: int = DAYS) -> Path:
    """So many days of a node under a state directory; the file of the newest."""
    first = _day(state.parent / "kinds")
    for number in range(days):
        _copy(state / "node", number, first.read_bytes())
    return state / "node" / f"{stem('gpu01', _date(0))}.1.jsonl"


def _date(number: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(BEGAN_UTC_NS // 10**9 - number * 86_400))


def _copy(folder: Path, number: int, whole: bytes) -> None:
    """The same day so many days earlier, with runs of other ids, sealed anew."""
    folder.mkdir(parents=True, exist_ok=True)
    written, at, check = [], 0, 0
    for line in whole.splitlines():
        text = _INSTANT.sub(lambda found: b"%s%d" % (found[1], int(found[2]) - number * 24 * HOUR), line[:_SEAL])
        place = b"%d,\\1,%d" % (at, check)
        text = _PLACE.sub(b'"place":[%s]' % place, text)
        text = text.replace(_DAY, b"r-%04d-" % number)
        written.append(b'%s,"crc":"%08x"}\n' % (text, zlib.crc32(text)))
        at, check = at + len(written[-1]), zlib.crc32(written[-1], check)
    (folder / f"{stem('gpu01', _date(number))}.1.jsonl").write_bytes(b"".join(written))


def _day(folder: Path) -> Path:
    """A day as an agent writes it, with its end."""
    order, numbering, stints = uuids(GPUS), Numbering(), Stints()
    file, holders = JournalFile(folder, stem("gpu01", _date(0))), Holders(0, {})
    for record in _records(order):
        if isinstance(record, Holders):
            holders = record
        if isinstance(record, SlotEntry):
            record = SlotEntry(replace(record.slot, holders=holders.by_device))
        stints.take(record)
        if isinstance(record, Footer):
            for stint in stints.stints():
                file.write(stint, order)
            record = replace(record, summary=stints.summary())
        for each in apart(record) if isinstance(record, Opening) else (record,):
            file.write(numbering.numbered(each), order)
    file.close(finished=True)
    return file.path


def _records(order: tuple[str, ...]) -> Iterator[Line]:
    """Runs of one to four GPUs, one after the other on the same GPUs; for two hours two of them share one."""
    of = rates(
        dict.fromkeys(order, owned("0.7705", embodied="4.68")),
        electricity_per_kwh=Decimal("0.16853"),
        pue=Decimal("1.2"),
        carbon_grams_per_kwh=Decimal(380),
    )
    yield header(meter="agent", run="", command=None)
    yield Opening(BEGAN_UTC_NS)
    yield held(GPUS)
    yield RatesChange(BEGAN_UTC_NS, of)
    slots, by_device = list(_slots(order, MINUTES)), dict[str, tuple[Holder, ...]]()
    for number in range(RUNS):
        at = number * MINUTES // RUNS
        at_utc_ns = BEGAN_UTC_NS + at * MINUTE
        holder = Holder(1000 + number % 3, f"r-0000-{number:04}", f"user{number % 3}", "announced")
        for uuid in {order[number % 8], order[(number + 1) % 8]}:
            for gone in by_device.get(uuid, ()):
                yield RunEnded(at_utc_ns, gone.key, "ok", 0)
                by_device = {each: tuple(h for h in who if h != gone) for each, who in by_device.items()}
            by_device[uuid] = (holder,)
        if number == 9:
            by_device[order[0]] = (*by_device.get(order[0], ()), holder)
        facts = RunFacts(
            holder.uid, holder.run, holder.user, "announced", at_utc_ns, at_utc_ns, "pretrain", {"project": "llm"}
        )
        yield RunSeen(at_utc_ns, facts)
        yield Holders(at_utc_ns, by_device)
        yield from slots[at : (number + 1) * MINUTES // RUNS]
    yield footer(MINUTES * MINUTE, "running")
