"""`costmeter report` as a list, through the installed command: what it chooses, groups, writes and refuses."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.ledger.identity import boot_id, start_ticks
from costmeter.ledger.record import RatesChange, Record, SlotEntry
from costmeter.meter.progress import Progress
from tests.end_to_end.installed import COSTMETER, uncovered
from tests.end_to_end.test_report import Recorded, two_runs
from tests.ledger.written import write
from tests.samples import (
    BEGAN_UTC_NS,
    HOUR,
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


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """Two runs of a second on the simulated node, and nothing else."""
    yield from two_runs(tmp_path_factory.mktemp("receipt") / "receipt.json")


def test_without_a_run_all_are_listed(recorded: Recorded) -> None:
    """Both runs stand in the list, the newest last, simulated and so called; with --json they are receipts."""
    done = recorded.report(PYTHONUTF8="1")
    assert (0, "") == (done.returncode, done.stderr)
    lines = done.stdout.splitlines()
    assert "simulated GPUs" in lines[0]
    assert [" first ", " second "] == [name for line in lines for name in (" first ", " second ") if name in line]
    assert any(line.startswith("2 entries, 2 runs") for line in lines)
    told = json.loads(recorded.report("--json").stdout)
    assert ["second", "first"] == [receipt["run"]["name"] for receipt in told]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        pytest.param(["--name", "first"], ["first"], id="name"),
        pytest.param(["--label", "team=nlp", "--since", "1h"], ["second", "first"], id="label-and-age"),
        pytest.param(["--label", "team=vision"], [], id="other-label"),
        pytest.param(["--until", "2020-01-01"], [], id="before-a-day"),
        pytest.param(["--since", "2020-01-01T00:00Z", "--outcome", "ok"], ["second", "first"], id="outcome"),
        pytest.param(["--outcome", "failed"], [], id="none-failed"),
    ],
)
def test_runs_are_chosen(recorded: Recorded, options: list[str], names: list[str]) -> None:
    """Only runs that fit all options are listed."""
    told = json.loads(recorded.report(*options, "--json").stdout)
    assert names == [receipt["run"]["name"] for receipt in told]
    assert ("no run matches" in recorded.report(*options).stdout) is (not names)


def test_groups_add_up_to_the_receipts(recorded: Recorded) -> None:
    """Both runs by day and by model are what their receipts say, to the last digit."""
    total = sum(Decimal(each["cost"]["total"]) for each in json.loads(recorded.report("--json").stdout))
    for key in ("day", "month", "model", "user", "host", "outcome", "name"):
        told = json.loads(recorded.report("--by", key, "--json").stdout)
        assert total == sum(Decimal(group["cost"]) for group in told["groups"]), key


@pytest.mark.parametrize("kind", ["text", "json", "csv", "md", "focus"])
def test_every_format_is_written_whole_into_a_file(recorded: Recorded, tmp_path: Path, kind: str) -> None:
    """`-o` writes what stdout would have had, and prints nothing."""
    file = tmp_path / "report"
    options = ["--format", kind, *(["--simulated"] if kind == "focus" else [])]
    done = recorded.report(*options, "-o", str(file))
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    assert recorded.report(*options).stdout == file.read_text()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param(["--since", "yesterday"], "expected an age, a day or an instant", id="age"),
        pytest.param(["--label", "team"], "expected KEY=VALUE", id="label"),
        pytest.param(["--timezone", "Europe/Berln"], 'Did you mean "Europe/Berlin"?', id="zone"),
        pytest.param(["--html"], "the page of one run", id="page-of-all"),
        pytest.param(["--html", "--format", "csv"], "one format at a time", id="two-formats"),
        pytest.param(["--by", "day", "--format", "focus"], "no focus form", id="groups-as-focus"),
        pytest.param(["r-x", "--since", "7d"], "--since is for the list", id="run-and-filter"),
        pytest.param(["--by", "dy"], "invalid choice", id="by-what"),
        pytest.param(["--by", "mnth"], 'Did you mean "month"?', id="by-month"),
        pytest.param(["--by", "day", "--by", "user"], "given twice", id="by-two"),
        pytest.param(["--simulated"], "--simulated is for --format focus", id="simulated-list"),
        pytest.param(["--format", "focus", "--timezone", "UTC"], "those of FOCUS are UTC's", id="focus-zone"),
    ],
)
def test_what_makes_no_sense_is_refused(recorded: Recorded, options: list[str], says: str) -> None:
    """A wrong command line exits with 2 and says what to type."""
    done = recorded.report(*options)
    assert (2, "") == (done.returncode, done.stdout)
    assert says in done.stderr
    assert "hint: " in done.stderr


def test_a_run_that_is_called_last_wins(recorded: Recorded, tmp_path: Path) -> None:
    """`last` is the newest run, unless there is one of that very id."""
    other = tmp_path / "costmeter" / "runs"
    shutil.copytree(recorded.folder, other / "last")
    shutil.copytree(recorded.folder, other / "r-newer")
    os.utime(other / "r-newer", (2**32, 2**32))
    done = recorded.report("last", "--json", XDG_STATE_HOME=str(tmp_path))
    assert [recorded.receipt] == json.loads(done.stdout)


def test_a_folder_of_somebody_else_is_told(recorded: Recorded, tmp_path: Path) -> None:
    """A journal that is no journal is counted below the list; the others are listed, with exit code 0."""
    other = tmp_path / "costmeter" / "runs"
    shutil.copytree(recorded.folder, other / "r-good")
    (other / "r-bad").mkdir()
    (other / "r-bad" / "gpu01.1.jsonl").write_bytes(b"\x00" * 100)
    done = recorded.report(XDG_STATE_HOME=str(tmp_path))
    assert (0, "") == (done.returncode, done.stderr)
    assert "Not counted: 1 journal that cannot be read" in done.stdout


def unprivileged(recorded: Recorded, state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The report command of somebody whom the rights of files stop, as they do not stop root."""
    without = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    environ = uncovered(recorded.environ) | {"XDG_STATE_HOME": str(state)}
    return subprocess.run(
        [*without, COSTMETER, "report", *arguments], env=environ, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("closed", ["costmeter", "costmeter/runs", "costmeter/runs/r-theirs"])
@pytest.mark.parametrize("options", [[], ["last"], ["r-theirs"], ["--by", "user"], ["--json"]], ids=" ".join)
def test_runs_that_are_somebody_elses_are_not_none(
    recorded: Recorded, tmp_path: Path, closed: str, options: list[str]
) -> None:
    """Where the rights of a folder stop us, that folder is named, and nobody is told that nothing was recorded."""
    shutil.copytree(recorded.folder, tmp_path / "costmeter" / "runs" / "r-theirs")
    folder = tmp_path / closed
    folder.chmod(0)
    try:
        done = unprivileged(recorded, tmp_path, *options)
    finally:
        folder.chmod(0o700)
    said = done.stdout + done.stderr
    assert f"{tmp_path}/costmeter" in said
    assert "cannot be read: Permission denied" in said
    assert "no runs recorded" not in said
    assert "Traceback" not in said


def test_an_unreadable_journal_is_counted_beside_the_others(recorded: Recorded, tmp_path: Path) -> None:
    """One run of ours and one of somebody else: ours is listed, theirs is named."""
    runs = tmp_path / "costmeter" / "runs"
    shutil.copytree(recorded.folder, runs / "r-ours")
    shutil.copytree(recorded.folder, runs / "r-theirs")
    for journal in (runs / "r-theirs").iterdir():
        journal.chmod(0)
    done = unprivileged(recorded, tmp_path)
    assert (0, "") == (done.returncode, done.stderr)
    assert "1 entry, 1 run" in done.stdout
    assert "Not counted: 1 journal that cannot be read" in done.stdout
    assert f"{runs / 'r-theirs'}/" in done.stdout


def test_a_run_that_goes_on_says_where_it_ends(recorded: Recorded, tmp_path: Path) -> None:
    """600 of 1,200 steps in an hour, two GPUs at $2.49: an hour more, $9.96 in all, by hand; nothing once it ended."""
    order = uuids(devices(2))
    records: list[Record] = [held(devices(2)), RatesChange(BEGAN_UTC_NS, rates(dict.fromkeys(order, rental())))]
    for minute in range(60):
        told = Progress(10 * (minute + 1), None, None, 1_200)
        records.append(SlotEntry(replace(slot(dict.fromkeys(order, measured(MINUTE)), minute), progress=told)))
    pid = os.getpid()
    going = header(run="r-going", pid=pid, pid_start_ticks=start_ticks(pid), boot_id=boot_id())
    write(tmp_path / "costmeter" / "runs" / "r-going", going, records)
    write(tmp_path / "costmeter" / "runs" / "r-gone", replace(going, run="r-gone"), [*records, footer(HOUR)])
    receipts = json.loads(recorded.report("r-going", "r-gone", "--json", XDG_STATE_HOME=str(tmp_path)).stdout)
    found = {receipt["run"]["id"]: receipt for receipt in receipts}
    assert ("running", "ok") == tuple(found[run]["run"]["outcome"] for run in ("r-going", "r-gone"))
    assert found["r-gone"]["progress"]["projected"] is None
    projected = found["r-going"]["progress"]["projected"]
    assert (3_600.0, Decimal("9.96")) == (projected["seconds_left"], Decimal(projected["total_cost"]))
    printed = recorded.report("r-going", XDG_STATE_HOME=str(tmp_path), PYTHONUTF8="1").stdout
    assert " To go    about $" in printed
