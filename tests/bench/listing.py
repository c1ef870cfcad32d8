"""Listing: `costmeter report` over 5,000 runs, every tenth without a footer, five of 90 days on 8 GPUs among them.

The journals are written by the ledger itself, one for each kind, and copied under other ids. What a killed run says of
itself is whatever its meter had written by some minute. The pages are in memory when the command starts, which is a
fresh process each time, with its bytecode on disk as an installed command has it; the median of five is told.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from statistics import median

from costmeter.clock import Anchor
from costmeter.ledger.identity import boot_id
from costmeter.ledger.line import encode
from costmeter.ledger.record import Header, RatesChange, Record, SlotEntry
from costmeter.meter.slot import Slot
from tests.bench.table import Row
from tests.ledger.written import write
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    HOUR,
    JOULE,
    MINUTE,
    SECOND,
    devices,
    footer,
    header,
    held,
    measured,
    owned,
    rates,
    uuids,
)

RUNS, LONG_RUNS, CUT_EVERY = 5_000, 5, 10
DAYS_90 = 90 * 24 * 60
#: Minutes that the other runs take: most training runs are tries.
LENGTHS = (3, 12, 25, 47, 90, 200)
TIMES = 5
#: An instant in a line, and where the line's checksum begins.
_INSTANT, _SEAL = re.compile(rb'(utc_ns":)(\d{19})'), -len(b',"crc":"01234567"}')
_PLACE = re.compile(rb'"place":\[\d+,(\w+,\w+),\d+\]')


def measure() -> Iterator[Row]:
    """The list, filtered and grouped."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder, "costmeter")
        runs = make(state)
        environ = {**os.environ, "XDG_STATE_HOME": folder, "HOME": folder, "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        megabytes = sum(path.stat().st_size for path in state.rglob("*.jsonl")) / 1e6
        for what, options, bar in (
            ("report", [], 1.0),
            ("report --since 7d", ["--since", "7d"], 1.0),
            ("report --by project", ["--by", "project"], 1.0),
            ("report --format csv", ["--format", "csv"], None),
            ("one of 90 days by day, of", ["r-000000000001", "--by", "day"], None),
        ):
            _timed(["report", *options], environ)
            seconds = [_timed(["report", *options], environ) for _ in range(TIMES)]
            note = f"{megabytes:,.0f} MB; {min(seconds):.2f} to {max(seconds):.2f} s"
            yield Row(f"{what} over {runs:,} runs", median(seconds), "s", bar, note)


def _timed(arguments: list[str], environ: dict[str, str]) -> float:
    began = time.monotonic()
    command = [sys.executable, "-m", "costmeter", *arguments]
    subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def make(state: Path, runs: int = RUNS, long_runs: int = LONG_RUNS, long_minutes: int = DAYS_90) -> int:
    """So many runs under a state directory."""
    kinds: dict[tuple[int, int], bytes] = {}
    for number in range(runs):
        is_long, is_cut = number < long_runs, number % CUT_EVERY == 0
        minutes = long_minutes if is_long else LENGTHS[number % len(LENGTHS)]
        gpus = 8 if is_long or number % 3 else 1
        if is_long:
            is_cut = number % 2 == 0
        kind = minutes, gpus
        if kind not in kinds:
            kinds[kind] = _journal(state.parent / "kinds" / f"{minutes}-{gpus}", *kind)
        whole = kinds[kind]
        _copy(state, number, whole[: whole.rindex(b"\n", 0, -1) + 1] if is_cut else whole)
    return runs


def _copy(state: Path, number: int, whole: bytes) -> None:
    """The same run under another id, at another time, with the checksums of what precedes a sum as it is now."""
    first, *lines = whole.splitlines()
    began_utc_ns = BEGAN_UTC_NS - number * HOUR
    labels = {"project": f"p{number % 7}", "experiment": f"e{number % 90:02}"}
    named = _header(f"r-{number:012}", labels, began_utc_ns)
    folder = state / "runs" / named.run
    folder.mkdir(parents=True)
    line = encode(named)
    assert len(line) == len(first) + 1
    written, check = [line], zlib.crc32(line)
    at = len(line)
    for each in lines:
        written.append(_earlier(each, number * HOUR, at, check))
        at, check = at + len(written[-1]), zlib.crc32(written[-1], check)
    (folder / "gpu01.1.jsonl").write_bytes(b"".join(written))


def _earlier(line: bytes, by_ns: int, at: int, check: int) -> bytes:
    """A line with its instants earlier, sealed anew; `check` is the checksum of the `at` bytes before it."""
    text = _INSTANT.sub(lambda found: b"%s%d" % (found[1], int(found[2]) - by_ns), line[:_SEAL])
    text = _PLACE.sub(lambda found: b'"place":[%d,%s,%d]' % (at, found[1], check), text)
    return b'%s,"crc":"%08x"}\n' % (text, zlib.crc32(text))


def _header(run: str, labels: dict[str, str], began_utc_ns: int) -> Header:
    anchor = Anchor(BEGAN_NS, began_utc_ns)
    return header(run=run, labels=labels, anchor=anchor, name="pretrain", boot_id=boot_id(), user="maya")


def _journal(folder: Path, minutes: int, gpus: int) -> bytes:
    """A journal of so many minutes, as its meter writes it."""
    order = uuids(devices(gpus))
    of = rates(
        {uuid: owned("0.7705", embodied="4.68") for uuid in order},
        electricity_per_kwh=Decimal("0.16853"),
        pue=Decimal("1.2"),
        carbon_grams_per_kwh=Decimal(380),
    )
    first = _header("r-000000000000", {"project": "p0", "experiment": "e00"}, BEGAN_UTC_NS)
    records: list[Record] = [held(devices(gpus)), RatesChange(BEGAN_UTC_NS, of)]
    return write(folder, first, [*records, *_slots(order, minutes), footer(minutes * MINUTE)]).read_bytes()


def _slots(order: tuple[str, ...], minutes: int) -> Iterator[SlotEntry]:
    for minute in range(minutes):
        of = {}
        for place, uuid in enumerate(order):
            energy_uj = (40_000 + 97 * place + minute % 1_009) * JOULE
            idle_ns = SECOND * ((minute + place) % 7)
            idle_uj = idle_ns // 12
            of[uuid] = measured(MINUTE - idle_ns, energy_uj, idle_ns, idle_uj)
        start = BEGAN_UTC_NS + minute * MINUTE
        counters = {uuid: (place + minute) * 41_000 * JOULE for place, uuid in enumerate(order)}
        yield SlotEntry(Slot(start, start + MINUTE, of, counters, minute))
