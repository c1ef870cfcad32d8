"""Lines whose checksum is right and whose values no meter wrote: refused whole, and no reader stumbles over them."""

import json
import os
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from costmeter.clock import LATEST_UTC_NS
from costmeter.errors import JournalError
from costmeter.ledger import kinds
from costmeter.ledger.bulk import load_run
from costmeter.ledger.finding import paths_of
from costmeter.ledger.line import decode, seal, unseal
from costmeter.ledger.listing import listing
from costmeter.ledger.record import Budgets, Devices, Items, Mark, Record, SlotEntry, Usage
from costmeter.ledger.timeline import timeline
from costmeter.meter.budget import Budget, BudgetUse
from costmeter.meter.item import LineItem
from costmeter.meter.progress import Progress
from costmeter.meter.standing import Standing
from costmeter.outputs.html import page
from costmeter.outputs.markdown import markdown
from costmeter.outputs.receipt import receipt
from costmeter.outputs.runcsv import runs_csv
from costmeter.outputs.runlist import Shown
from costmeter.outputs.runlist import render as render_list
from costmeter.outputs.style import Style
from costmeter.outputs.terminal import render
from tests.depth import examples
from tests.end_to_end.installed import COSTMETER, own_home
from tests.ledger.written import write
from tests.samples import (
    BEGAN_UTC_NS,
    CONFIGURED,
    JOULE,
    MINUTE,
    SECOND,
    device,
    footer,
    header,
    instances,
    measured,
    rates,
    rates_from_start,
    rental,
    slot,
    uuids,
)

GPUS = (device(), *instances(device(1), 3, 4))
ORDER = uuids(GPUS)
PLAIN = Style(80, False, False)


def _minute(number: int) -> SlotEntry:
    of = {uuid: measured(MINUTE - place, 650 * JOULE + number) for place, uuid in enumerate(ORDER)}
    told = Progress(10 * number, 1_000 * number, 2.5, 100)
    counters = dict.fromkeys(ORDER, 5_000_001)
    standings = {ORDER[0]: Standing(1, 2, 3)}
    entry = replace(slot(of, number), phase="training", progress=told, counters_microjoules=counters)
    return SlotEntry(replace(entry, standings=standings))


def _records() -> Iterator[Record]:
    """A run that says something of everything."""
    yield Devices(GPUS, None, 2, {ORDER[1]: 5 * SECOND})
    of = {uuid: rental(str(place + 1)) for place, uuid in enumerate(ORDER)}
    priced = rates(of, origins={"gpu.price": CONFIGURED})
    yield rates_from_start(replace(priced, market_grams_per_kwh=Decimal(50)))
    yield Items((LineItem("traffic", "network", Decimal("0.09"), CONFIGURED),))
    yield Budgets(BEGAN_UTC_NS, (BudgetUse(Budget(Decimal(80), per="day"), Decimal(5)),))
    yield from map(_minute, range(3))
    yield Mark(BEGAN_UTC_NS + MINUTE, "checkpoint", "saved")
    yield Mark(BEGAN_UTC_NS + 2 * MINUTE, "resume", "went back to step 10", ORDER[0])
    yield Usage(BEGAN_UTC_NS + 2 * MINUTE, {"traffic": 10**9}, {"traffic": "counted since the start"})
    yield footer(3 * MINUTE)


def _lines() -> tuple[bytes, ...]:
    with tempfile.TemporaryDirectory() as folder:
        named = header(labels={"project": "llm"}, user="ada", name="train")
        return tuple(write(Path(folder), named, _records()).read_bytes().splitlines(keepends=True))


LINES = _lines()
Leaf = tuple[int, tuple[str | int, ...]]


def _leaves(of: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all values in a value, and of what holds them."""
    inside = of.items() if isinstance(of, dict) else enumerate(of[:2]) if isinstance(of, list) else ()
    for key, value in inside:
        yield from _leaves(value, (*path, key))
    if path and path != ("crc",):
        yield path


LEAVES: list[Leaf] = [(place, path) for place, line in enumerate(LINES) for path in _leaves(unseal(line))]
WRONG: list[Any] = [None, -1, 10**18, 10**40, 10**400, True, 1.5, float("nan"), float("inf"), [], {}, [[]], [None]]
WRONG += ["x", "", "NaN", "-Infinity", "1e999999", "0e-999999", "1" * 50, {"missing": 1}, {"a": None}]


def garbled(leaf: Leaf, wrong: Any) -> bytes:
    """The journal with another value in one place, under a checksum that is right."""
    place, path = leaf
    body = unseal(LINES[place])
    body.pop("crc", None)
    inner: Any = body
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = wrong
    return b"".join([*LINES[:place], seal(body), *LINES[place + 1 :]])


@pytest.mark.no_cover  # much of the same: others cover the lines
@examples(50)
@example((0, ("start_ns",)), "x")
@example((0, ("anchor", "utc_ns")), LATEST_UTC_NS)
@example((1, ("devices", 0, "uuid")), {})
@example((2, ("pue",)), "NaN")
@example((4, ("uses", 0, "amount")), "NaN")
@example((len(LINES) - 1, ("readings",)), [])
@example((len(LINES) - 1, ("outcome",)), "x")
@example((len(LINES) - 1, ("outcome",)), None)
@example((len(LINES) - 1, ("ended_utc_ns",)), 10**400)
@given(st.sampled_from(LEAVES), st.sampled_from(WRONG))
def test_no_reader_stumbles_over_a_value_of_another_kind(leaf: Leaf, wrong: Any) -> None:
    """Whatever stands in a line, lists leave the journal out or show it, and a run is shown or refused."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        (state / "runs" / "r-0123456789ab").mkdir(parents=True)
        (state / "runs" / "r-0123456789ab" / "gpu01.1.jsonl").write_bytes(garbled(leaf, wrong))
        found = listing(state)
        assert isinstance(render_list(found, Shown(BEGAN_UTC_NS, None), PLAIN) + runs_csv(found.runs), str)
        try:
            of = receipt(load_run(state, "r-0123456789ab"))
        except JournalError:
            assert leaf[0] == 0, "only the header is needed to read a journal"
            return
        steps = timeline(paths_of(state, "r-0123456789ab"))
        assert all((render(of, PLAIN), markdown(of), page(of, steps), json.dumps(of, default=str)))


@pytest.mark.parametrize("wrong", ["x", [], {}, None, 1.5, -1, 10**40], ids=repr)
@pytest.mark.parametrize("key", ["start_ns", "part", "period_ns"])
def test_a_header_with_a_garbled_number_is_none(key: str, wrong: object) -> None:
    """A line that no meter writes is a ValueError, whatever its checksum says."""
    with pytest.raises(ValueError, match=f"header record lacks or garbles {key}"):
        decode(garbled((0, (key,)), wrong).splitlines()[0])


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("2.49", True),
        ("-0.03", True),
        ("1e9", True),
        ("1e10", False),
        ("NaN", False),
        ("Infinity", False),
        ("0e-999999", False),
        ("0e999999", False),
        ("free", False),
        (2.49, False),
        (True, False),
    ],
)
def test_a_price_is_text_of_a_finite_decimal(text: object, is_right: bool) -> None:
    """Neither a float, nor what is no number, nor one that fills the memory where it is written out."""
    assert kinds.price(text) is is_right


@pytest.mark.parametrize(
    ("utc_ns", "is_right"),
    [(0, True), (-1, False), (LATEST_UTC_NS - 1, True), (LATEST_UTC_NS, False), (True, False), (1e18, False)],
)
def test_an_instant_is_in_a_calendar(utc_ns: object, is_right: bool) -> None:
    """From 1970 to before the year 9999, which began 253,370,764,800 s after (`date -u -d 9999-01-01 +%s`)."""
    assert LATEST_UTC_NS == 253_370_764_800 * SECOND
    assert kinds.instant(utc_ns) is is_right


def test_lines_nested_too_deep_are_unreadable() -> None:
    """A thousand brackets more than a reader of JSON follows are a line that cannot be read."""
    deep = b'{"type":"mark","what":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(ValueError, match="nested too deep"):
        decode(_sealed(deep))


def _sealed(text: bytes) -> bytes:
    return b'%s,"crc":"%08x"}\n' % (text[:-1], zlib.crc32(text[:-1]))


def test_one_garbled_journal_spoils_no_list() -> None:
    """Beside a journal whose start is a word, the other run is listed and priced; its own report says what is wrong."""
    with own_home() as environ:
        runs = Path(environ["XDG_STATE_HOME"]) / "costmeter" / "runs"
        good, bad = runs / "r-0123456789ab", runs / "r-ba9876543210"
        good.mkdir(parents=True)
        bad.mkdir()
        (good / "gpu01.1.jsonl").write_bytes(b"".join(LINES))
        (bad / "gpu01.1.jsonl").write_bytes(garbled((0, ("start_ns",)), "x"))

        def said(*args: str) -> subprocess.CompletedProcess[str]:
            done = subprocess.run([COSTMETER, *args], env=environ, capture_output=True, text=True, timeout=60)
            assert "Traceback" not in done.stderr, args
            return done

        assert good.name in said("report").stdout
        assert "ada" in said("report", "--by", "user").stdout
        assert good.name in said("report", "--format", "csv").stdout
        refused = said("report", bad.name)
        assert refused.returncode != 0
        assert "no readable header line" in refused.stderr
        assert said("run", "--", "true").returncode == os.EX_OK
