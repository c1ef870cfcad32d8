"""`--record` and `--replay` through the installed command: a run is kept, and metered again without a driver."""

import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.installed import COSTMETER, eventually, own_home

PRICE = ["--price", "2.49"]
NO_DRIVER = """
faults: [{kind: driver-missing, at: 0 s}]
devices:
  - {name: NVIDIA L4, power_limit: 72 W, idle_power: 16 W, memory: 23034 MiB}
"""


@dataclass(frozen=True, slots=True)
class Home:
    """A home, and a run recorded in it: what its receipt said and what was printed."""

    environ: dict[str, str]
    recording: Path
    receipt: dict[str, Any]
    printed: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`costmeter run` in this home."""
        command = [COSTMETER, "run", *arguments]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=60)

    def replayed(self, folder: Path, *options: str) -> dict[str, Any]:
        """The receipt of a replay, as JSON."""
        file = folder / "replayed.json"
        done = self.run("--replay", str(self.recording), "--json", str(file), *options)
        assert 0 == done.returncode, done.stderr
        loaded: dict[str, Any] = json.loads(file.read_text())
        return loaded

    def journals(self) -> set[Path]:
        """Every file below the state directory."""
        return {file for file in Path(self.environ["XDG_STATE_HOME"]).rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A run of two seconds on the simulated node, recorded and packed."""
    folder = tmp_path_factory.mktemp("recorded")
    file, recording = folder / "receipt.json", folder / "run.jsonl.gz"
    job = ["python", "-c", "import time; time.sleep(2)", "--api-key", "hunter2"]
    options = ["--simulate", "healthy", "--name", "sft", "--json", str(file), "--record", str(recording)]
    with own_home() as environ:
        command = [COSTMETER, "run", *PRICE, *options, "--", *job]
        done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True, timeout=60)
        yield Home(environ, recording, json.loads(file.read_text()), done.stderr)


def without_overhead(receipt: dict[str, Any]) -> dict[str, Any]:
    """A receipt less the CPU time of its meter, which a recording says as of just before the receipt."""
    meter = {name: value for name, value in receipt["meter"].items() if name != "cpu_seconds"}
    return receipt | {"meter": meter}


def test_a_replay_gives_the_same_receipt(home: Home, tmp_path: Path) -> None:
    """At the same price every figure is as it was, to the last digit; only the meter's end took a little CPU more."""
    again = home.replayed(tmp_path, *PRICE)
    assert without_overhead(home.receipt) == without_overhead(again)
    assert 0 < again["meter"]["cpu_seconds"] <= home.receipt["meter"]["cpu_seconds"]
    assert again["simulated"]


def test_a_replay_prints_what_it_is_and_the_receipt(home: Home) -> None:
    """On stderr alone: whose recording it is and from when, and every figure as the run printed it."""
    done = home.run("--replay", str(home.recording), *PRICE)
    assert (0, "") == (done.returncode, done.stdout)
    host, began = home.receipt["run"]["hosts"][0], home.receipt["run"]["started_at"]
    assert f"costmeter: replay of {home.recording}, recorded on {host} at {began}, with simulated GPUs" in done.stderr
    table = [line for line in home.printed.splitlines() if "%" in line and "CPU" not in line]
    assert table
    assert set(table) <= set(done.stderr.splitlines())


def test_a_replay_is_priced_as_configured_now(home: Home, tmp_path: Path) -> None:
    """At another price the money is another, and energy and time are not."""
    config = tmp_path / "costmeter.yaml"
    config.write_text("currency: EUR\ngpu: {price: 4.98}\n")
    again = home.replayed(tmp_path, "--config", str(config))
    assert "EUR" == again["currency"]
    assert {"rental": "4.98"} in again["rates"]["gpu_per_hour"].values()
    assert home.receipt["energy"] == again["energy"]
    assert home.receipt["gpu_seconds"] == again["gpu_seconds"]
    assert float(again["cost"]["total"]) == pytest.approx(2 * float(home.receipt["cost"]["total"]), abs=1e-9)


def test_a_replay_leaves_no_journal_and_says_so(home: Home, tmp_path: Path) -> None:
    """Nothing is added to the state directory, and the receipt does not offer to print it again from there."""
    before = home.journals()
    done = home.run("--replay", str(home.recording), "--quiet", "--json", str(tmp_path / "again.json"))
    assert ("", "") == (done.stdout, done.stderr)
    assert before == home.journals()
    assert "costmeter report" not in home.run("--replay", str(home.recording)).stderr


def test_a_recording_knows_no_secret_of_the_command_line(home: Home, tmp_path: Path) -> None:
    """The values of secrets are stars, and with --no-command there is no command at all."""
    assert ["--api-key", "***"] == home.replayed(tmp_path)["run"]["command"][-2:]
    recording = tmp_path / "no-command.jsonl"
    options = ["--simulate", "healthy", "--no-command", "--record", str(recording)]
    assert 0 == home.run(*options, "--", "true", "unmentionable").returncode
    assert b"unmentionable" not in recording.read_bytes()
    assert 0o600 == recording.stat().st_mode & 0o777


def test_a_killed_meters_recording_is_interrupted(home: Home, tmp_path: Path) -> None:
    """Without its end a recording counts up to its last reading, exit code 0, and says that how it ended is unknown."""
    recording, file = tmp_path / "killed.jsonl", tmp_path / "killed.json"
    command = [COSTMETER, "run", "-q", "--simulate", "healthy", "--record", str(recording), "--", "sleep", "60"]
    process = subprocess.Popen(command, env=home.environ, start_new_session=True)
    eventually(lambda: _ticks(recording) >= 3 or None, "three ticks in the recording")
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    done = home.run("--replay", str(recording), "--json", str(file))
    assert 0 == done.returncode, done.stderr
    receipt = json.loads(file.read_text())
    assert "interrupted" == receipt["run"]["outcome"]
    assert "ends here without the end of its run" in done.stderr or "torn" in done.stderr
    assert receipt["energy"]["gpu_joules"] > 0


def _ticks(recording: Path) -> int:
    return recording.read_bytes().count(b'"type":"batch"') if recording.exists() else 0


def test_a_recording_without_driver_is_priced_as_it_was(home: Home, tmp_path: Path) -> None:
    """The GPUs that a run without a driver is assumed to hold are held in its replay, on whatever machine."""
    recording, file = tmp_path / "no-driver.jsonl", tmp_path / "no-driver.json"
    scenario = tmp_path / "none.yaml"
    scenario.write_text(NO_DRIVER)
    options = ["--simulate", str(scenario), *PRICE, "--gpus", "0,1", "--json", str(file), "--record", str(recording)]
    done = home.run(*options, "--", "true")
    assert 0 == done.returncode, done.stderr
    first = json.loads(file.read_text())
    done = home.run("--replay", str(recording), *PRICE, "--json", str(file))
    assert 0 == done.returncode, done.stderr
    again = json.loads(file.read_text())
    assert 2 == len(again["devices"])
    assert first["cost"] == again["cost"]


def test_a_disk_that_refuses_keeps_no_job_from_running(home: Home) -> None:
    """Where no file can be made the job runs and ends as it would, and the warning names the file."""
    done = home.run("--simulate", "healthy", "--record", "/proc/run.jsonl", "--", "sh", "-c", "exit 3")
    assert 3 == done.returncode
    assert "warning: --record /proc/run.jsonl: nothing is recorded from here on" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--replay", "RUN", "--", "true"], "starts no command", id="command"),
        pytest.param(["--replay", "RUN", "--gpus", "0"], "--gpus cannot be given with --replay", id="gpus"),
        pytest.param(["--replay", "RUN", "--simulate", "healthy"], "--simulate cannot be given", id="simulate"),
        pytest.param(["--replay", "RUN", "--record", "x"], "--record cannot be given", id="record"),
        pytest.param(["--replay", "RUN", "--no-command"], "--no-command cannot be given", id="no-command"),
        pytest.param(["--replay", "RUN", "--price", "two"], '--price "two"', id="price"),
        pytest.param(["--replay", "RUN", "--json", "/no/where"], '--json "/no/where": no such folder', id="json"),
        pytest.param(["--replay", "/no/where"], "/no/where: cannot be read", id="missing"),
        pytest.param(["--replay", COSTMETER], f"{COSTMETER}, line 1: not a recording", id="something-else"),
        pytest.param(["--record", "RUN", "--", "true"], "exists, and is never overwritten", id="exists"),
        pytest.param(["--record", "/no/where", "--", "true"], '--record "/no/where": no such folder', id="no-folder"),
        pytest.param(["--record", "", "--", "true"], '--record "": no such folder', id="no-name"),
    ],
)
def test_what_cannot_be_meant_is_refused(home: Home, arguments: list[str], said: str) -> None:
    """Exit code 2 and a sentence that names the option or the file; nothing was started and nothing written."""
    before = home.recording.read_bytes()
    done = home.run(*(str(home.recording) if word == "RUN" else word for word in arguments))
    assert (2, "") == (done.returncode, done.stdout)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert before == home.recording.read_bytes()


def test_a_damaged_recording_is_refused_by_line(home: Home, tmp_path: Path) -> None:
    """Exit code 2; file, line and what to do; no receipt of half a run."""
    recording = tmp_path / "run.jsonl"
    options = ["--simulate", "healthy", "--record", str(recording)]
    assert 0 == home.run(*options, "--", "true").returncode
    lines = recording.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"at_ns":', b'"at_ns":1', 1)
    recording.write_bytes(b"".join(lines))
    done = home.run("--replay", str(recording), "--json", str(tmp_path / "again.json"))
    assert 2 == done.returncode
    assert f"{recording}, line 3: damaged: checksum does not match" in done.stderr
    assert "hint: Copy the file again" in done.stderr
    assert not (tmp_path / "again.json").exists()


def test_a_recording_with_a_line_taken_out_is_refused(home: Home, tmp_path: Path) -> None:
    """Exit code 2 and the line that is not where it belongs; nothing is made up in place of what is gone."""
    recording = tmp_path / "run.jsonl"
    assert 0 == home.run("--simulate", "healthy", "--record", str(recording), "--", "true").returncode
    first, _, *others = recording.read_bytes().splitlines(keepends=True)
    recording.write_bytes(b"".join([first, *others]))
    done = home.run("--replay", str(recording))
    assert (2, "") == (done.returncode, done.stdout)
    assert f"{recording}, line 2: event 1 where event 0 belongs" in done.stderr
    recording.write_bytes(first)
    done = home.run("--replay", str(recording))
    assert (2, "") == (done.returncode, done.stdout)
    assert f"--replay {recording}: ends before the driver answered" in done.stderr
    assert "no GPU was found" not in done.stderr


def test_a_journal_is_named_and_where_it_can_be_read(home: Home) -> None:
    """The command in the hint prints its receipt."""
    journal = next(file for file in sorted(home.journals()) if file.suffix == ".jsonl")
    done = home.run("--replay", str(journal))
    assert 2 == done.returncode
    assert f"{journal}, line 1: a journal of costmeter, and no recording" in done.stderr
    assert f"costmeter report {journal}" in done.stderr
    report = [COSTMETER, "report", str(journal)]
    assert 0 == subprocess.run(report, env=home.environ, capture_output=True, timeout=60).returncode


def test_what_a_replay_had_to_do_without_is_told(home: Home, tmp_path: Path) -> None:
    """A torn last line, and a fault in the environment's settings, are warned of; the rest is metered."""
    recording = tmp_path / "torn.jsonl"
    assert 0 == home.run("--simulate", "healthy", "--record", str(recording), "--", "true").returncode
    recording.write_bytes(recording.read_bytes()[:-5])
    environ = home.environ | {"COSTMETER_GPU_PRICE": "cheap"}
    command = [COSTMETER, "run", "-q", "--replay", str(recording)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert 0 == done.returncode
    assert "warning: the recording's last line is torn, and dropped" in done.stderr
    assert "COSTMETER_GPU_PRICE" in done.stderr


def test_a_faulty_config_refuses_a_replay(home: Home, tmp_path: Path) -> None:
    """Exit code 125, as for a run."""
    config = tmp_path / "costmeter.yaml"
    config.write_text("gpu: {prise: 1}\n")
    done = home.run("--replay", str(home.recording), "--config", str(config))
    assert 125 == done.returncode
    assert "prise" in done.stderr
