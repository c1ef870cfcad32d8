"""`costmeter report` by days and months, and as FOCUS: a month can be closed. Through the installed command."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pexpect
import pytest

from costmeter.clock import Anchor
from costmeter.ledger.record import RatesChange, Record, SlotEntry
from tests.end_to_end.installed import COSTMETER, eventually, own_home
from tests.ledger.written import write
from tests.samples import BEGAN_NS, HOUR, SECOND, devices, footer, header, held, measured, rates, rental, slot, uuids

#: 2026-10-31 22:00 UTC.
EVE_UTC_NS = 1_793_484_000 * SECOND
TWO = uuids(devices(2))


def hours_long(run: str, began_utc_ns: int, hours: int, **facts: object) -> tuple[object, list[Record]]:
    """A run of two GPUs at $2.40 an hour, in slots of an hour each."""
    records: list[Record] = [held(devices(2)), RatesChange(began_utc_ns, rates(dict.fromkeys(TWO, rental("2.40"))))]
    for hour in range(hours):
        first = slot(dict.fromkeys(TWO, measured(HOUR)), hour, HOUR)
        began = began_utc_ns + hour * HOUR
        records.append(SlotEntry(replace(first, start_utc_ns=began, end_utc_ns=began + HOUR)))
    records.append(replace(footer(hours * HOUR), ended_utc_ns=began_utc_ns + hours * HOUR))
    return header(run=run, name=run, anchor=Anchor(BEGAN_NS, began_utc_ns), **facts), records


@pytest.fixture(scope="module")
def home() -> Iterator[dict[str, str]]:
    """A run from 22:00 of October's last day until 01:00 in UTC, one of an hour in November, a simulated one."""
    with own_home() as environ:
        for run, after, hours, facts in (
            ("r-eve", 0, 3, {}),
            ("r-later", 24 * HOUR, 1, {}),
            ("r-toy", 24 * HOUR, 1, {"simulated": True}),
        ):
            first, records = hours_long(run, EVE_UTC_NS + after, hours, **facts)
            write(Path(environ["XDG_STATE_HOME"], "costmeter", "runs", run), first, records)  # type: ignore[arg-type]
        yield environ


def report(home: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The report command."""
    return subprocess.run([COSTMETER, "report", *arguments], env=home, capture_output=True, text=True, timeout=60)


def groups(home: dict[str, str], *arguments: str) -> dict[str, Decimal]:
    """What real GPUs came to, by group."""
    document = json.loads(report(home, *arguments, "--json").stdout)
    found = (group for group in document["groups"] if not group["simulated"])
    return {group[document["by"]]: Decimal(group["cost"]) for group in found}


UTC = ("--timezone", "UTC")
NOVEMBER = ("--since", "2026-11-01", "--until", "2026-12-01")


@pytest.mark.parametrize(
    ("options", "months"),
    [
        pytest.param(UTC, {"2026-10": "9.60", "2026-11": "9.60"}, id="both"),
        pytest.param((*UTC, *NOVEMBER), {"2026-11": "9.60"}, id="november"),
        pytest.param((*UTC, "--until", "2026-11-01"), {"2026-10": "9.60"}, id="october"),
        pytest.param(("--timezone", "Asia/Tokyo"), {"2026-11": "19.20"}, id="tokyo"),
        pytest.param((*UTC, "--since", "2026-12-01"), {}, id="december"),
    ],
)
def test_a_month_has_what_was_paid_in_it(
    home: dict[str, str], options: tuple[str, ...], months: dict[str, str]
) -> None:
    """Two GPUs at $2.40: two hours before midnight are October's, the hour after it and the later one November's."""
    assert {month: Decimal(paid) for month, paid in months.items()} == groups(home, "--by", "month", *options)


def test_days_are_chosen_as_they_are_shown(home: dict[str, str]) -> None:
    """A run that began the day before still has its hours on the day that is asked for."""
    assert {"2026-11-01": Decimal("9.60")} == groups(home, "--by", "day", *UTC, *NOVEMBER)
    assert (
        []
        == list(csv.reader(io.StringIO(report(home, "--name", "r-eve", *NOVEMBER, *UTC, "--format", "csv").stdout)))[1:]
    )


def test_focus_has_the_days_of_utc(home: dict[str, str]) -> None:
    """November of FOCUS: the same $9.60, whatever this clock; the simulated run is left out, and it is said."""
    for zone in ("UTC", "America/Los_Angeles"):
        done = report(home | {"TZ": zone}, "--format", "focus", *NOVEMBER)
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert Decimal("9.60") == sum(Decimal(row["EffectiveCost"]) for row in rows)
        assert {"2026-11-01T00:00:00Z"} == {row["BillingPeriodStart"] for row in rows}
        assert "1 simulated run is left out" in done.stderr
    with_toy = report(home, "--format", "focus", "--simulated", *NOVEMBER)
    assert {"false", "true"} == {row["x_Simulated"] for row in csv.DictReader(io.StringIO(with_toy.stdout))}
    assert "" == with_toy.stderr


@pytest.mark.parametrize("below", ["", "costmeter", "costmeter/runs"])
def test_a_folder_of_runs_is_listed(home: dict[str, str], below: str) -> None:
    """Runs that were copied somewhere: the folder itself, or the state directory it stands in, filters and all."""
    folder = os.path.join(home["XDG_STATE_HOME"], below)
    with own_home() as other:
        done = report(other, folder, "--until", "2026-11-01", *UTC)
        assert (0, "") == (done.returncode, done.stderr)
        assert "r-eve" in done.stdout
        assert "r-later" not in done.stdout
        assert {"r-eve", "r-later"} == set(groups(other, folder, "--by", "name"))


@pytest.mark.parametrize("command", [["budget"], ["report", "--bill"], ["report", "--by", "name"]])
def test_copies_are_said_alike_whoever_reads_them(home: dict[str, str], tmp_path: Path, command: list[str]) -> None:
    """Four copies beside the run: three are named and one counted, by every command that adds up runs."""
    runs = tmp_path / "costmeter" / "runs"
    for name in ("r-eve", *(f"r-copy-{number}" for number in range(4))):
        shutil.copytree(Path(home["XDG_STATE_HOME"], "costmeter", "runs", "r-eve"), runs / name)
    environ = home | {"XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run([COSTMETER, *command], env=environ, capture_output=True, text=True, check=False)
    named = [f"costmeter: warning: {runs}/r-copy-{n} is a copy of r-eve: not counted" for n in range(3)]
    told = [line for line in done.stderr.splitlines() if "cop" in line]
    assert [*named, "costmeter: warning: and 1 more copy"] == told


def test_runs_copied_many_times_are_counted_once_and_said_briefly(home: dict[str, str], tmp_path: Path) -> None:
    """Five copies beside the run: its cost stands once, three are named and two counted."""
    runs = tmp_path / "costmeter" / "runs"
    for name in ("r-eve", *(f"r-copy-{number}" for number in range(5))):
        shutil.copytree(Path(home["XDG_STATE_HOME"], "costmeter", "runs", "r-eve"), runs / name)
    done = report(home | {"XDG_STATE_HOME": str(tmp_path)}, "--format", "focus")
    rows = csv.DictReader(io.StringIO(done.stdout))
    assert Decimal("14.40") == sum(Decimal(row["EffectiveCost"]) for row in rows)
    assert 4 == len(done.stderr.splitlines())
    assert "and 2 more copies" in done.stderr


def test_what_matches_nothing_names_the_next_step(home: dict[str, str]) -> None:
    """On stdout where people read, on stderr beside data."""
    told = "no run matches.  All runs: costmeter report"
    assert told in report(home, "--label", "x=y").stdout
    assert told in report(home, "--label", "x=y", "--format", "csv").stderr


def test_a_page_is_not_poured_over_a_terminal(home: dict[str, str]) -> None:
    """Without a file, a terminal is told what to type; a pipe takes the page."""
    child = pexpect.spawn(COSTMETER, ["report", "last", "--html"], env=home, encoding="utf-8", timeout=30)
    child.expect(pexpect.EOF)
    child.close()
    assert 2 == child.exitstatus
    assert "-o receipt.html" in (child.before or "")
    assert report(home, "r-eve", "--html").stdout.startswith("<!DOCTYPE html>")


def test_a_run_that_goes_on_has_a_receipt() -> None:
    """While the job is at work its receipt says `running`, of the open minute, too; once it was stopped, cancelled.

    Where it ends nobody says before three minutes of steps; tests/end_to_end/test_runlist.py has a run of an hour.
    """
    with own_home() as environ:
        command = [COSTMETER, "run", "-q", "--simulate", "healthy", "--", "sleep", "60"]
        running = subprocess.Popen(command, env=environ)
        try:

            def paid() -> Decimal | None:
                receipts = json.loads(report(environ, "last", "--json").stdout or "[]")
                if not receipts or not Decimal(receipts[0]["cost"]["total"]):
                    return None
                assert "running" == receipts[0]["run"]["outcome"]
                return Decimal(receipts[0]["cost"]["total"])

            assert eventually(paid, "a receipt of the open minute") > 0
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(timeout=60)
        assert "running" != json.loads(report(environ, "last", "--json").stdout)[0]["run"]["outcome"]


def test_the_budgets_are_shown_by_name_too() -> None:
    """`costmeter budget show` is `costmeter budget`, options and all; on a narrow terminal no line is wider than it."""
    with own_home() as environ:
        setting = [COSTMETER, "budget", "set", "500/month", "--project", "a-project-of-a-very-long-name-that-goes-on"]
        subprocess.run(setting, env=environ, check=True, capture_output=True, timeout=60)
        outputs = [
            subprocess.run([COSTMETER, *words], env=environ, capture_output=True, text=True, timeout=60).stdout
            for words in (["budget"], ["budget", "show"], ["budget", "--json"], ["budget", "show", "--json"])
        ]
    assert outputs[0] == outputs[1]
    assert outputs[2] == outputs[3]
    assert max(map(len, outputs[0].splitlines())) <= 80
    assert all(figure in outputs[0] for figure in ("$500.00", "budgets.yaml:3"))


@pytest.mark.parametrize(
    "command",
    ["run", "report", "what-if", "import", "budget", "init", "estimate", "when", "prices", "config", "doctor"],
)
def test_help_fits_its_width(command: str) -> None:
    """No line of any help is longer than 96 columns."""
    told = subprocess.run([COSTMETER, command, "--help"], capture_output=True, text=True, timeout=60).stdout
    assert [] == [line for line in told.splitlines() if len(line) > 96]
