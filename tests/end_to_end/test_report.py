"""`costmeter report` through the installed command: the receipt again, from the journal alone."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.installed import COSTMETER, own_home
from tests.ledger.test_sequence import GROWING, lines_of, spoiled


@dataclass(frozen=True, slots=True)
class Recorded:
    """A home in which runs have been recorded, and the receipt of the last."""

    environ: dict[str, str]
    receipt: dict[str, Any]
    printed: str

    def report(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """The report command in this home."""
        command = [COSTMETER, "report", *arguments]
        return subprocess.run(command, env=self.environ | changed, capture_output=True, text=True, timeout=60)

    @property
    def folder(self) -> Path:
        """Where the last run's journal is."""
        return Path(self.environ["XDG_STATE_HOME"], "costmeter", "runs", self.receipt["run"]["id"])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """Two runs of a second on the simulated node."""
    yield from two_runs(tmp_path_factory.mktemp("receipt") / "receipt.json")


def two_runs(file: Path) -> Iterator[Recorded]:
    """The same, with the last receipt in a file."""
    with own_home() as environ:
        options = ["--simulate", "healthy", "--price", "2.49", "--label", "team=nlp"]
        for name in ("first", "second"):
            command = [COSTMETER, "run", *options, "--name", name, "--json", str(file), "--", "sleep", "1"]
            done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True, timeout=60)
        yield Recorded(environ, json.loads(file.read_text()), done.stderr)


def test_the_last_runs_receipt_is_printed_again(recorded: Recorded) -> None:
    """`last` prints the newest run, every line of its receipt as at its end."""
    again = recorded.report("last")
    assert 0 == again.returncode
    lines = [line for line in recorded.printed.splitlines() if line and not line.startswith("costmeter:")]
    assert lines == [line for line in again.stdout.splitlines() if line]


def test_the_json_of_a_report_is_the_receipt(recorded: Recorded) -> None:
    """The receipt of the journal equals the one written at the end, to the last digit."""
    again = json.loads(recorded.report(recorded.receipt["run"]["id"], "--json").stdout)
    assert [recorded.receipt] == again


def test_several_runs_come_newest_first(recorded: Recorded) -> None:
    """All runs named are in the list, newest first, in whatever order they were named."""
    runs = sorted(folder.name for folder in recorded.folder.parent.iterdir())
    listed = json.loads(recorded.report(*runs, "--json").stdout)
    assert ["second", "first"] == [receipt["run"]["name"] for receipt in listed]


def test_a_copied_journal_is_read_without_driver_or_settings(recorded: Recorded, tmp_path: Path) -> None:
    """A journal that was copied elsewhere is priced as it was, on a machine whose settings say otherwise."""
    copied = tmp_path / "copied"
    shutil.copytree(recorded.folder, copied)
    (tmp_path / "costmeter.yaml").write_text("gpu: {price: 99}\n")
    again = recorded.report(str(copied), "--json", XDG_STATE_HOME=str(tmp_path / "empty"), COSTMETER_GPU_PRICE="77")
    assert [recorded.receipt] == json.loads(again.stdout)


def test_journals_are_private_to_their_user(recorded: Recorded) -> None:
    """Nobody else may read a journal or list its folder."""
    assert {0o600} == {file.stat().st_mode & 0o777 for file in recorded.folder.iterdir()}
    assert 0o700 == recorded.folder.stat().st_mode & 0o777


def test_labels_name_and_command_are_recorded(recorded: Recorded) -> None:
    """What was said of the run on the command line is in its receipt."""
    run = recorded.receipt["run"]
    assert ("second", {"team": "nlp"}, ["sleep", "1"]) == (run["name"], run["labels"], run["command"])


def test_an_unknown_run_names_the_closest(recorded: Recorded) -> None:
    """A mistyped id exits with 1 and names the run that was meant."""
    run_id = recorded.receipt["run"]["id"]
    wrong = recorded.report(run_id[:-1])
    assert 1 == wrong.returncode
    assert run_id in wrong.stderr


def test_a_folder_without_a_journal_hides_no_run(recorded: Recorded) -> None:
    """Where the newest folder is empty, the last run is the one before it, and the empty one is not suggested."""
    empty = recorded.folder.parent / "r-empty"
    empty.mkdir()
    try:
        assert [recorded.receipt] == json.loads(recorded.report("last", "--json").stdout)
        refused = recorded.report("r-empty")
    finally:
        empty.rmdir()
    assert 1 == refused.returncode
    assert "Closest: r-empty" not in refused.stderr


def test_a_run_in_two_currencies_has_a_receipt_in_each(recorded: Recorded, tmp_path: Path) -> None:
    """A requeue under another currency is shown beside the first part, newest first, and never added to it."""
    environ = recorded.environ | {"COSTMETER_RUN_ID": "requeued", "XDG_STATE_HOME": str(tmp_path)}
    for currency in ("EUR", "USD"):
        config = tmp_path / f"{currency}.yaml"
        config.write_text(f"currency: {currency}\n")
        options = ["-q", "--simulate", "healthy", "--price", "2", "--config", str(config)]
        subprocess.run([COSTMETER, "run", *options, "--", "true"], env=environ, check=True, timeout=60)
    told = json.loads(recorded.report("requeued", "--json", XDG_STATE_HOME=str(tmp_path)).stdout)
    assert ["USD", "EUR"] == [receipt["currency"] for receipt in told]
    printed = recorded.report("requeued", PYTHONUTF8="1", XDG_STATE_HOME=str(tmp_path)).stdout
    assert 2 == printed.count(" requeued · exit 0")


def test_no_runs_at_all_says_how_to_make_one(recorded: Recorded, tmp_path: Path) -> None:
    """In an empty state directory the report names it and the command to type."""
    empty = recorded.report(XDG_STATE_HOME=str(tmp_path))
    assert 1 == empty.returncode
    assert str(tmp_path) in empty.stderr
    assert "costmeter run --" in empty.stderr


def test_a_reader_that_goes_away_is_no_error(recorded: Recorded) -> None:
    """`costmeter report | true` ends without a traceback."""
    command = ["sh", "-c", f"{COSTMETER} report | true"]
    done = subprocess.run(command, env=recorded.environ, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr


def test_arguments_of_odd_bytes_are_recorded(recorded: Recorded, tmp_path: Path) -> None:
    """Bytes that are no text, newlines and empty arguments in a command line harm neither run nor report."""
    job = ["true", "", "a\nb", os.fsdecode(b"\xff\xfe"), "x" * 999]
    file = tmp_path / "receipt.json"
    argv = [COSTMETER, "run", "-q", "--simulate", "healthy", "--json", str(file), "--", *job]
    environ = recorded.environ | {"COSTMETER_RUN_ID": "odd"}
    assert 0 == subprocess.run(argv, env=environ, timeout=60).returncode
    again = recorded.report("odd")
    assert 0 == again.returncode, again.stderr
    assert "true" in again.stdout
    assert job == json.loads(file.read_text())["run"]["command"]
    assert job == json.loads(recorded.report("odd", "--json").stdout)[0]["run"]["command"]


def test_json_to_a_pipe_reaches_its_reader(recorded: Recorded) -> None:
    """`--json >(…)` hands the receipt to the other process, as bash writes it."""
    script = f"{{ {COSTMETER} run -q --simulate healthy --json >(cat >&3) -- true; }} 3>&1 | cat"
    done = subprocess.run(["bash", "-c", script], env=recorded.environ, capture_output=True, text=True, timeout=60)
    assert "ok" == json.loads(done.stdout)["run"]["outcome"], done.stderr


def test_json_to_a_pipe_without_a_reader_is_told_and_not_waited_for(recorded: Recorded, tmp_path: Path) -> None:
    """A named pipe that nobody reads costs the receipt file, not the end of the run."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    argv = [COSTMETER, "run", "-q", "--simulate", "healthy", "--json", str(pipe), "--", "sh", "-c", "exit 3"]
    done = subprocess.run(argv, env=recorded.environ, capture_output=True, text=True, timeout=60)
    assert 3 == done.returncode
    assert f"--json {pipe}: not written" in done.stderr


def test_json_to_an_open_descriptor_is_written_to_it(recorded: Recorded, tmp_path: Path) -> None:
    """`--json /dev/fd/3 3>file` writes into that file."""
    script = f"{COSTMETER} run -q --simulate healthy --json /dev/fd/3 -- true 3>{tmp_path}/receipt.json"
    done = subprocess.run(["bash", "-c", script], env=recorded.environ, capture_output=True, text=True, timeout=60)
    assert "ok" == json.loads((tmp_path / "receipt.json").read_text())["run"]["outcome"], done.stderr


def test_json_follows_a_link(recorded: Recorded, tmp_path: Path) -> None:
    """A link stays a link, and the file behind it holds the receipt."""
    (tmp_path / "target.json").write_text("old")
    link = tmp_path / "link.json"
    link.symlink_to("target.json")
    argv = [COSTMETER, "run", "-q", "--simulate", "healthy", "--json", str(link), "--", "true"]
    assert 0 == subprocess.run(argv, env=recorded.environ, timeout=60).returncode
    assert link.is_symlink()
    assert "ok" == json.loads((tmp_path / "target.json").read_text())["run"]["outcome"]


def test_gpus_whose_rates_are_damaged_are_told_and_the_others_reported(recorded: Recorded, tmp_path: Path) -> None:
    """A damaged line of rates after more GPUs appeared: receipt and bill go on with those whose price is known; 0."""
    journal = tmp_path / "gpu01.1.jsonl"
    journal.write_bytes(b"".join(spoiled(lines_of(tmp_path / "whole", GROWING), 5, 40)))
    for arguments in ([], ["--bill"]):
        done = recorded.report(*arguments, str(journal), "--json")
        assert (0, False) == (done.returncode, "Traceback" in done.stderr), done.stderr
        assert "GPUs not counted for a time: 2, no readable rates" in done.stdout
        assert "slots with other prices than their own, which are lost: 2" in done.stdout


def test_a_journal_whose_lines_are_there_twice_costs_no_more(recorded: Recorded, tmp_path: Path) -> None:
    """All lines but the first once more, as a copy that was begun again leaves them: the same receipt, and said."""
    (journal,) = recorded.folder.glob("*.jsonl")
    first, *rest = journal.read_bytes().splitlines(keepends=True)
    (tmp_path / "twice.1.jsonl").write_bytes(b"".join([first, *rest, *rest]))
    (again,) = json.loads(recorded.report(str(tmp_path), "--json").stdout)
    problems = again["meter"].pop("journal_problems")
    assert recorded.receipt["cost"] == again["cost"]
    assert recorded.receipt["energy"] == again["energy"]
    assert any("counted once" in problem for problem in problems)
    assert any("rates that stand there again" in problem for problem in problems)
