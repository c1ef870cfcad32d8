"""`costmeter what-if` and `costmeter import` through the installed command: real journals, real files, exit codes."""

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.installed import COSTMETER, own_home

HEADER = "timestamp, index, uuid, name, pci.bus_id, power.draw [W], utilization.gpu [%], power.limit [W]\n"
RECORD = ["run", "--simulate", "healthy", "--price", "2.49", "-q", "--", "sleep", "1"]
SHEET = """
currency: USD
timezone: UTC
energy:
  - {name: day, hours: "06:00-22:00", price_per_kwh: 0.30}
  - {name: night, hours: other, price_per_kwh: 0.10}
"""


@dataclass(frozen=True, slots=True)
class Home:
    """A home in which a run was recorded, and its folder."""

    environ: dict[str, str]
    folder: Path

    def costmeter(self, *arguments: str, code: int = 0) -> str:
        """What a command prints to stdout; its exit code is as expected, and there is never a traceback."""
        done = self._run(arguments)
        assert "Traceback" not in done.stderr
        assert done.returncode == code, done.stderr
        return done.stdout

    def refused(self, *arguments: str, code: int = 2) -> str:
        """What a refused command says, which is all it prints."""
        done = self._run(arguments)
        assert (done.returncode, done.stdout) == (code, ""), done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    def data(self, *arguments: str) -> Any:
        """What a command prints as JSON."""
        return json.loads(self.costmeter(*arguments, "--json"))

    def _run(self, arguments: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
        command = [COSTMETER, *arguments]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=60, cwd=self.folder)


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """One home for all tests that only read."""
    with own_home() as environ:
        made = Home(environ, Path(environ["HOME"]))
        made.costmeter(*RECORD)
        yield made


@pytest.fixture
def empty() -> Iterator[Home]:
    """A home with no run in it."""
    with own_home() as environ:
        yield Home(environ, Path(environ["HOME"]))


def log(folder: Path, seconds: range, gpus: int = 2, watts: str = "300.00 W") -> Path:
    """A log of H100s at a steady power, on 22 November 2026 from 14:00."""
    path = folder / "gpus.csv"
    rows = [
        f"2026/11/22 {14 + at // 3600:02d}:{at // 60 % 60:02d}:{at % 60:02d}.00{gpu}, {gpu}, GPU-{gpu}, "
        f"NVIDIA H100 80GB HBM3, 00000000:1{gpu}:00.0, {watts}, 98 %, 700.00 W\n"
        for at in seconds
        for gpu in range(gpus)
    ]
    path.write_text(HEADER + "".join(rows))
    return path


def test_as_run_is_the_receipt(home: Home) -> None:
    """Law 5 from outside: the row of the run's own rates has the receipt's total, text for text."""
    (receipt,) = home.data("report")
    table = home.data("what-if", receipt["run"]["id"])

    assert table["scenarios"][0]["name"] == "as run"
    assert table["scenarios"][0]["cost"] == receipt["cost"]["total"]
    assert table["scenarios"][0]["components"] == receipt["cost"]["components"]
    assert table["scenarios"][0]["energy_kwh"] == receipt["energy"]["total_kwh"]
    assert table["scenarios"][0]["emissions_grams"] == receipt["emissions"]["total_grams"]
    assert table["simulated"] is True


def test_naming_its_own_price_again_changes_nothing(home: Home) -> None:
    """The price it was run at, given as a scenario, gives the same cost to the last digit."""
    own, again = home.data("what-if", "--price", "2.49")["scenarios"]
    assert (again["cost"], again["vs_percent"]) == (own["cost"], 0)


def test_as_configured_is_the_settings_as_they_are_now(home: Home) -> None:
    """A configuration of half the price gives half the cost, as --config or as the settings found."""
    half = home.folder / "half.yaml"
    half.write_text("gpu: {price: 1.245}\n")
    own, other = home.data("what-if", "--config", "half.yaml")["scenarios"]
    assert abs(2 * Decimal(other["cost"]) - Decimal(own["cost"])) < Decimal("1e-9")

    (home.folder / "costmeter.yaml").write_text("gpu: {price: 1.245}\n")
    found = home.data("what-if", "--as-configured")["scenarios"][1]
    (home.folder / "costmeter.yaml").unlink()
    assert found["cost"] == other["cost"]


def test_the_table_without_flags(home: Home) -> None:
    """Spot, owned, elsewhere and no idle, each compared with the run and with where its price comes from."""
    text = home.costmeter("what-if")

    assert text.splitlines()[0].endswith(" of samples of simulated GPUs, priced again")
    rows, _, below = text.partition("\n\n")
    names = [line.split("  ")[0] for line in rows.splitlines()[2:] if not line.startswith(" ")]
    assert names == ["as run", "spot", "owned", "elsewhere", "no idle"]
    assert " spot: list price 20" in below
    assert " owned: estimated, " in below
    assert " elsewhere: estimated, bundled table, grid of " in below


def test_eighty_columns_have_room_for_all_of_it(home: Home) -> None:
    """What a row changes is never cut: it goes on below itself, and no line is wider than the terminal."""
    text = home.costmeter("what-if")
    rows = text.partition("\n\n")[0]

    assert "electricity on top" in " ".join(rows.split())
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_csv_and_json_say_the_same(home: Home) -> None:
    """The same rows with the same amounts."""
    rows = list(csv.DictReader(io.StringIO(home.costmeter("what-if", "--csv"))))
    data = home.data("what-if")["scenarios"]
    assert [(row["name"], row["cost"]) for row in rows] == [(row["name"], row["cost"]) for row in data]


def test_a_copied_journal_needs_nothing_else(home: Home, tmp_path: Path) -> None:
    """A journal in another folder is priced by its path, in a home with no runs."""
    (journal,) = Path(home.environ["XDG_STATE_HOME"]).rglob("*.jsonl")
    copy = tmp_path / "copied.jsonl"
    copy.write_bytes(journal.read_bytes())
    with own_home() as environ:
        there = Home(environ, tmp_path).data("what-if", str(copy), "--price", "1")
    here = home.data("what-if", "--price", "1")
    assert there["scenarios"][1]["cost"] == here["scenarios"][1]["cost"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["--price", "x"], 2, "expected a price per GPU-hour such as 1.99", id="price"),
        pytest.param(["--prise", "1"], 2, 'Did you mean "--price"?', id="misspelt"),
        pytest.param(["--config", "none.yaml"], 125, "there is no such file", id="config"),
        pytest.param(["nobody"], 1, 'no run "nobody" here', id="run"),
        pytest.param(["--json", "--csv"], 2, "not allowed with", id="both-forms"),
    ],
)
def test_refusals(home: Home, arguments: list[str], code: int, said: str) -> None:
    """What is wrong is said in one place, with the exit code that its kind has."""
    assert said in home.refused("what-if", *arguments, code=code)


def test_without_runs(empty: Home) -> None:
    """Where nothing was recorded there is a command to type."""
    assert "costmeter run -- python train.py" in empty.refused("what-if", code=1)


def test_an_imported_log_is_a_run(empty: Home) -> None:
    """Two GPUs at 300 W for an hour: 0.6 kWh and $4.98; report and what-if know the run, a tariff prices its hours.

    Owned at 35,040 over 4 years a GPU-hour is $1.00: with 0.6 kWh at $0.30 that is $2.18; from 22:00 on at $0.10 $2.06.
    """
    log(empty.folder, range(3_601))
    (empty.folder / "b.yaml").write_text(SHEET)
    made = empty.data("import", "gpus.csv", "--timezone", "UTC", "--price", "2.49", "--label", "team=nlp")
    (known,) = empty.data("report", made["run"]["id"])
    bought = "purchase=35040, tariff=b.yaml"
    scenarios = ["--scenario", f"day: {bought}", "--scenario", f"night: {bought}, shift=22:00"]
    table = empty.data("what-if", made["run"]["id"], *scenarios)["scenarios"]

    assert made == known
    assert (made["cost"]["total"], made["energy"]["total_kwh"]) == ("4.980000000000", 0.6)
    assert made["energy"]["methods"] == {"power": 2_160_000.0}
    assert made["run"]["labels"] == {"imported": "nvidia-smi", "team": "nlp"}
    assert made["run"]["started_at"] == "2026-11-22T14:00:00.000Z"
    assert [round(Decimal(row["cost"]), 9) for row in table] == [Decimal("4.98"), Decimal("2.18"), Decimal("2.06")]


def test_the_same_log_is_not_imported_twice(empty: Home) -> None:
    """Its content is its id; another span of it, or another name for it, is another run."""
    log(empty.folder, range(61))
    first = empty.data("import", "gpus.csv", "--timezone", "UTC")["run"]["id"]

    assert f"run {first} is imported already" in empty.refused("import", "gpus.csv", "--timezone", "UTC", code=1)
    part = empty.data("import", "gpus.csv", "--timezone", "UTC", "--from", "2026/11/22 14:00:30")
    assert part["run"]["seconds"] == 30
    named = empty.data("import", "gpus.csv", "--timezone", "UTC", "--run-id", "mine")
    assert len({first, part["run"]["id"], named["run"]["id"]}) == 3


def test_a_dry_run_records_nothing(empty: Home) -> None:
    """It prints the receipt, and leaves the state directory as it was."""
    log(empty.folder, range(61))
    assert "2 × H100" in empty.costmeter("import", "gpus.csv", "--timezone", "UTC", "--dry-run")
    assert not list(Path(empty.environ["XDG_STATE_HOME"]).rglob("*"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("", "no header with a timestamp", id="empty"),
        pytest.param("hello\nworld\n", "no header with a timestamp", id="something-else"),
        pytest.param(HEADER, "fewer than two readings", id="header-alone"),
        pytest.param(HEADER + "x\n" * 9, "line 2: 1 fields where 8 are needed", id="no-usable-line"),
        pytest.param("# gpu    pwr  gtemp\n", "nvidia-smi dmon or pmon, which is not read", id="dmon"),
    ],
)
def test_a_file_with_nothing_usable(empty: Home, content: str, said: str) -> None:
    """It is refused with the command that writes such a log, and no half of a run is left."""
    (empty.folder / "x.csv").write_text(content)
    told = empty.refused("import", "x.csv", "--timezone", "UTC", code=1)

    assert said in told
    assert "nvidia-smi --query-gpu=timestamp,index,uuid" in told
    assert not list(Path(empty.environ["XDG_STATE_HOME"]).rglob("*.jsonl"))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["none.csv"], 1, "none.csv: no such file", id="no-file"),
        pytest.param(["."], 1, "not a file", id="folder"),
        pytest.param(["gpus.csv", "--timezone", "Europe/Berlim"], 2, "Europe/Berlin", id="zone"),
        pytest.param(["gpus.csv", "--columns", "index,power.draw"], 2, "it has no timestamp", id="columns"),
        pytest.param(["gpus.csv", "--run-id", "../x"], 2, "expected up to 64 letters", id="run-id"),
        pytest.param(["gpus.csv", "--price", "much"], 2, "expected a price per GPU-hour", id="price"),
        pytest.param(["gpus.csv", "--from", "14:00"], 2, "expected a day and a time such as", id="from"),
        pytest.param(["gpus.csv", "--label", "x"], 2, "expected NAME=VALUE", id="label"),
    ],
)
def test_import_refusals(empty: Home, arguments: list[str], code: int, said: str) -> None:
    """Each wrong argument is named, with what to type."""
    log(empty.folder, range(3))
    assert said in empty.refused("import", *arguments, code=code)


def test_a_state_directory_that_refuses(empty: Home) -> None:
    """Where no run can be recorded the reason is said, and what can be typed instead."""
    log(empty.folder, range(61))
    Path(empty.environ["XDG_STATE_HOME"], "costmeter").write_text("a file in its place")

    told = empty.refused("import", "gpus.csv", "--timezone", "UTC", code=1)
    assert "not recorded: " in told
    assert "Not a directory" in told
    assert "costmeter import --dry-run" in told


def test_a_log_without_header_and_units(empty: Home) -> None:
    """--columns says what stands where: 60 s of one GPU at 300 W are 18 kJ."""
    rows = [f"2026/11/22 14:{at // 60:02d}:{at % 60:02d}.000, 300.00, 98\n" for at in range(61)]
    (empty.folder / "bare.csv").write_text("".join(rows))
    columns = "timestamp,power.draw,utilization.gpu"
    made = empty.data("import", "bare.csv", "--timezone", "UTC", "--columns", columns, "--price", "2.49")

    assert made["energy"]["gpu_joules"] == 18_000.0


def test_simulated_and_real_runs_are_not_added(empty: Home) -> None:
    """One was paid for, the other by nobody: both together are refused, each alone is priced; `last` is the newest."""
    log(empty.folder, range(61))
    real = empty.data("import", "gpus.csv", "--timezone", "UTC", "--price", "2.49")["run"]["id"]
    empty.costmeter(*RECORD)
    simulated = next(run for each in empty.data("report") if (run := each["run"]["id"]) != real)
    assert "their money is not added" in empty.refused("what-if", real, simulated)
    newest = max(empty.data("report"), key=lambda each: str(each["run"]["started_at"]))["run"]["id"]
    assert [newest] == empty.data("what-if", "last")["runs"]


def test_a_copy_of_a_run_is_not_another_run(home: Home, tmp_path: Path) -> None:
    """A run and the copy of its folder come to what the run came to; the copy is named."""
    (receipt,) = home.data("report")
    run = receipt["run"]["id"]
    shutil.copytree(Path(home.environ["XDG_STATE_HOME"], "costmeter", "runs", run), tmp_path / "copy")
    command = [COSTMETER, "what-if", run, str(tmp_path / "copy"), "--price", "3", "--json"]
    done = subprocess.run(command, env=home.environ, capture_output=True, text=True, timeout=60, check=True)
    assert receipt["cost"]["total"] == json.loads(done.stdout)["scenarios"][0]["cost"]
    assert f"is a copy of {run}: not counted" in done.stderr


def test_all_faults_of_a_file_are_told_with_their_lines(home: Home) -> None:
    """Rows that can be none, wherever in the file, and a wrong flag beside them: one refusal, nothing priced."""
    (home.folder / "wrong.yaml").write_text(
        "cheap: {price: 1.99}\nodd: {pric: 1.99}\nnothing: 5\ndear:\n  pue: 1.2\n  price: abc\ncold: {pue: 0.5}\n"
    )
    said = home.refused("what-if", "--scenarios", "wrong.yaml", "--zone", "XX")

    for fault in (
        'wrong.yaml:2:7: no such key: pric. Did you mean "price"?',
        "wrong.yaml:3:10: expected the changes of a scenario, such as  NAME: {price: 1.99, pue: 1.1}",
        'wrong.yaml:6:3, price: "abc": expected a price per GPU-hour such as 1.99',
        "a PUE is at least 1, not 0.5",
        'no zone "XX"',
    ):
        assert fault in said
    assert "wrong.yaml:1" not in said


def test_a_machines_price_is_shown_with_its_gpus(home: Home) -> None:
    """The node of the run has 8 GPUs, which share the price: 8 × $2.49 = $19.92 a machine costs what the run did."""
    own, other = home.data("what-if", "--price", "per_instance_hour:19.92")["scenarios"]

    assert other["what"] == "rental, $19.92 / 8 GPUs"
    assert other["cost"] == own["cost"]


def test_the_row_of_the_run_names_all_its_prices(empty: Home) -> None:
    """A run under a rent by the hour had more than one price: the row says between which they were."""
    windows = '[{hours: "14:00-14:01", price: 2.49}, {hours: "14:01-14:02", price: 3.10}, {hours: other, price: 2.49}]'
    (empty.folder / "costmeter.yaml").write_text(f"timezone: UTC\ngpu: {{price: {{windows: {windows}}}}}\n")
    log(empty.folder, range(181))
    empty.costmeter("import", "gpus.csv", "--timezone", "UTC")

    assert empty.data("what-if")["scenarios"][0]["what"] == "rental, $2.49 … $3.10/GPU-h"
