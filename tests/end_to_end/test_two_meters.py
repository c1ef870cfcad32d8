"""Several meters of one run at once: each has a part of its own, no line is lost or mixed, and no time counts twice."""

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.ledger.record import RatesChange, Record, SlotEntry
from tests.end_to_end.installed import COSTMETER, own_home, uncovered
from tests.ledger import damage
from tests.ledger.written import write
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    HOUR,
    JOULE,
    MINUTE,
    devices,
    footer,
    header,
    held,
    measured,
    rates,
    rental,
    slot,
    uuids,
)

METERS = 4
#: The run begins at 14:03 UTC on 2026-11-22.
TO_MIDNIGHT = 597


def test_meters_of_one_run_at_once_write_parts_of_their_own(tmp_path: Path) -> None:
    """Four commands with one run id, started together: parts 1 to 4, each whole, with its own header and its footer."""
    with own_home() as environ:
        environ = uncovered(environ) | {"COSTMETER_RUN_ID": "r-shared"}
        receipts = [tmp_path / f"{number}.json" for number in range(METERS)]
        runs = Path(environ["XDG_STATE_HOME"], "costmeter", "runs", "r-shared")
        job = f"until [ $(ls {runs}/*.jsonl 2>/dev/null | wc -l) -ge {METERS} ]; do sleep 0.1; done"
        begun = [
            subprocess.Popen(
                [COSTMETER, "run", "-q", "--simulate", "healthy", "--json", str(file), "--", "sh", "-c", job],
                env=environ,
            )
            for file in receipts
        ]
        assert [0] * METERS == [meter.wait(timeout=60) for meter in begun]
        journals = sorted(runs.iterdir())
        headers = {}
        for journal in journals:
            lines = [damage.intact(line) for line in journal.read_bytes().splitlines()]
            whole = [line for line in lines if line is not None]
            assert len(lines) == len(whole)
            assert ["header", "footer"] == [whole[0]["type"], whole[-1]["type"]]
            assert 1 == sum(line["type"] == "header" for line in whole)
            headers[journal.name] = whole[0]["part"], whole[0]["pid"]
    assert {f"{number}.jsonl" for number in range(1, METERS + 1)} == {
        ".".join(name.split(".")[-2:]) for name in headers
    }
    assert [1, 2, 3, 4] == sorted(part for part, _ in headers.values())
    assert {meter.pid for meter in begun} == {pid for _, pid in headers.values()}
    assert all(json.loads(file.read_text())["run"]["id"] == "r-shared" for file in receipts)


class Doubly:
    """A home with a run that two meters saw, each for some minutes, on two GPUs at 30 USD an hour: $1 a minute."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = uncovered(environ) | {"TZ": "UTC"}
        self.runs = Path(environ["XDG_STATE_HOME"], "costmeter", "runs")

    def meter(self, part: int, first: int, after: int, **facts: object) -> None:
        """One meter, from a minute to before another."""
        pair = devices(2)
        done = dict.fromkeys(uuids(pair), measured(MINUTE, JOULE))
        slots = [SlotEntry(replace(slot(done, at), number=at - first)) for at in range(first, after)]
        priced = RatesChange(BEGAN_UTC_NS + first * MINUTE, rates(dict.fromkeys(uuids(pair), rental("30"))))
        end = replace(footer((after - first) * MINUTE), ended_utc_ns=BEGAN_UTC_NS + after * MINUTE)
        records: list[Record] = [held(pair), priced, *slots, end]
        about = header(run="r-doubly", part=part, pid=part, start_ns=BEGAN_NS + first * MINUTE, name="sft", **facts)
        write(self.runs / "r-doubly", about, records)

    def report(self, *arguments: str) -> str:
        """What the report command prints."""
        done = subprocess.run([COSTMETER, *arguments], env=self._environ, capture_output=True, text=True, timeout=60)
        assert 0 == done.returncode, done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def doubly() -> Iterator[Doubly]:
    """Two meters over midnight: minutes 567 to 626 and 587 to 616, 30 dollars before midnight and 30 after it."""
    with own_home() as environ:
        home = Doubly(environ)
        home.meter(1, TO_MIDNIGHT - 30, TO_MIDNIGHT + 30)
        home.meter(2, TO_MIDNIGHT - 10, TO_MIDNIGHT + 20)
        yield home


def test_every_report_counts_what_two_meters_saw_once_and_on_its_day(doubly: Doubly) -> None:
    """Receipt, list, groups, FOCUS and the bill: $60, of it $30 on each day; and the list calls nothing damaged."""
    (told,) = json.loads(doubly.report("report", "r-doubly", "--json"))
    assert Decimal(60) == Decimal(told["cost"]["total"])
    assert "damaged" not in doubly.report("report")
    for key, costs in (("day", [30, 30]), ("model", [60]), ("host", [60]), ("project", [60])):
        groups = json.loads(doubly.report("report", "--by", key, "--json"))["groups"]
        assert costs == [Decimal(group["cost"]) for group in groups], key
    rows = list(csv.DictReader(io.StringIO(doubly.report("report", "--format", "focus"))))
    assert [30, 30] == [Decimal(row["EffectiveCost"]) for row in rows]
    (bill,) = json.loads(doubly.report("report", "--bill", "--month", "2026-11", "--json"))["bills"]
    assert Decimal(60) == Decimal(bill["total"])


def test_a_copy_of_a_run_is_billed_by_nobody(doubly: Doubly) -> None:
    """`cp -r` of the folder: every report has $60 still, and says which folder it leaves out."""
    copy = doubly.runs / "r-doubly.bak"
    shutil.copytree(doubly.runs / "r-doubly", copy)
    said = f"{copy} is a copy of r-doubly: not counted"
    for arguments in (["report"], ["report", "--by", "day"], ["report", "--bill", "--month", "2026-11"], ["budget"]):
        assert said in doubly.report(*arguments), arguments
    assert "60.00" in doubly.report("report")
    assert "120.00" not in doubly.report("report", "--bill", "--month", "2026-11")


def test_the_newest_run_is_the_one_that_began_last(doubly: Doubly) -> None:
    """Whatever was copied or touched since: `last` is by the start. A name that one run has is told with its id."""
    write(doubly.runs / "r-old", header(run="r-old", start_ns=BEGAN_NS - HOUR), [])
    assert "r-doubly" == json.loads(doubly.report("report", "last", "--json"))[0]["run"]["id"]
    with pytest.raises(AssertionError, match="did you mean r-doubly, named sft"):
        doubly.report("report", "sft")
