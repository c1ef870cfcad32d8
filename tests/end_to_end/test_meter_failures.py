"""Whatever happens to the meter, the job starts, runs and ends as it would have without it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from costmeter.cli.run import SCENARIOS
from costmeter.sources.simulated import bundled_scenarios
from tests.end_to_end.installed import COSTMETER, eventually, own_home, uncovered
from tests.native import compiled

STEADY = """
devices:
  - name: NVIDIA H100 80GB HBM3
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    load: {shape: constant, power: 300 W, utilization: 60 %}
"""
HANGS_AT_ONCE = (
    STEADY
    + """
    faults:
      - {kind: hang, functions: [nvmlDeviceGetTotalEnergyConsumption]}
"""
)
NO_DRIVER = (
    STEADY
    + """
faults:
  - {kind: driver-missing}
"""
)

#: Prints, then ends with a code of its own.
JOB = ["sh", "-c", "echo works; exit 3"]

needs_compiler = pytest.mark.skipif(not compiled.has_compiler(), reason="needs gcc")


def run(options: list[str], job: list[str], **changed: str) -> subprocess.CompletedProcess[str]:
    """The installed command on a job, in a home of its own."""
    with own_home() as environ:
        return subprocess.run(
            [COSTMETER, "run", *options, "--", *job], env=environ | changed, capture_output=True, text=True, timeout=60
        )


@pytest.mark.parametrize(
    ("scenario", "says"),
    [
        pytest.param(HANGS_AT_ONCE, "", id="driver-hangs"),
        pytest.param(NO_DRIVER, "driver is not loaded", id="no-driver"),
    ],
)
def test_a_sick_driver_changes_nothing_for_the_job(scenario: str, says: str, tmp_path: Path) -> None:
    """The job's output and code are its own when the driver hangs for ever or is not there; a receipt is printed."""
    file = tmp_path / "scenario.yaml"
    file.write_text(scenario)
    done = run(["--simulate", str(file)], JOB)
    assert (done.returncode, done.stdout) == (3, "works\n")
    assert says in done.stderr
    assert "exit 3 (failed)" in done.stderr


@needs_compiler
@pytest.mark.parametrize(
    "stuck",
    [pytest.param("STUCK_PATH", id="state-directory"), pytest.param("STUCK_FSYNC", id="fsync")],
)
def test_a_hanging_disk_changes_nothing_for_the_job(stuck: str, tmp_path: Path) -> None:
    """The job's output and code are its own when the state directory never answers; the receipt says so."""
    preload = {"LD_PRELOAD": str(compiled.library("stuck_disk")), "XDG_STATE_HOME": str(tmp_path), stuck: str(tmp_path)}
    done = run(["--simulate", "healthy"], JOB, **preload)
    assert (done.returncode, done.stdout) == (3, "works\n")
    assert "does not answer" in done.stderr


def test_an_unwritable_state_directory_is_told_and_the_job_runs(tmp_path: Path) -> None:
    """A file where the state directory should be costs the record, not the job, and the receipt names the folder."""
    (tmp_path / "blocked").write_text("")
    done = run(["--simulate", "healthy"], JOB, XDG_STATE_HOME=str(tmp_path / "blocked"))
    assert (done.returncode, done.stdout) == (3, "works\n")
    assert str(tmp_path / "blocked") in done.stderr
    assert "Unsaved" in done.stderr


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_a_state_directory_that_may_not_be_looked_into_is_told(command: str) -> None:
    """Below a folder without any permission the run is metered all the same; doctor says what is the matter."""
    # Root is held by no permission as long as it has its capabilities.
    without = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    with own_home() as environ:
        state = Path(environ["XDG_STATE_HOME"])
        state.chmod(0)
        argv = [*without, COSTMETER, command, "--simulate", "healthy", *(["--", *JOB] if command == "run" else [])]
        done = subprocess.run(argv, env=uncovered(environ), capture_output=True, text=True, timeout=60)
        state.chmod(0o700)
    assert "Traceback" not in done.stderr
    if command == "run":
        assert (3, "works\n") == (done.returncode, done.stdout)
        assert "── costmeter" in done.stderr
        assert "Unsaved" in done.stderr
    else:
        assert 1 == done.returncode
        assert f"fail  {state}/costmeter: Permission denied" in done.stdout


def test_a_full_disk_is_told_and_the_job_runs() -> None:
    """With a file size limit of zero, as a full quota, nothing can be saved; the job runs and the receipt says so."""
    with own_home() as environ:
        limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh"]
        done = subprocess.run(
            [*limited, COSTMETER, "run", "--simulate", "healthy", "--", "sh", "-c", "exit 3"],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 3
    assert "Unsaved" in done.stderr


def test_a_taken_port_falls_to_a_free_one(tmp_path: Path) -> None:
    """A listen address that is taken is told, metrics are served elsewhere, and the job runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run(["--simulate", "healthy", "--listen", f"127.0.0.1:{taken.getsockname()[1]}"], ["sleep", "1"])
    assert done.returncode == 0
    assert "taking a free port instead" in done.stderr
    assert "metrics at http://127.0.0.1:" in done.stderr


def test_a_typo_in_a_found_file_warns_in_the_receipt_too(tmp_path: Path) -> None:
    """A misspelt key in costmeter.yaml is named with its line at the start and in the receipt; the job runs."""
    (tmp_path / "costmeter.yaml").write_text("currency: USD\ntarrif: x.yaml\n")
    with own_home() as environ:
        done = subprocess.run(
            [COSTMETER, "run", "--simulate", "healthy", "--", *JOB],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stdout) == (3, "works\n")
    assert done.stderr.count("costmeter.yaml:2") == 2, done.stderr


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        pytest.param(["--price", "cheap"], 2, "expected a price per GPU-hour", id="price"),
        pytest.param(["--interval", "0"], 2, "expected seconds", id="interval"),
        pytest.param(["--listen", "nowhere"], 2, "expected an address", id="listen"),
        pytest.param(["--gpus", "1;2"], 2, "expected indices or UUIDs", id="gpus"),
        pytest.param(["--label", "project"], 2, "expected NAME=VALUE", id="label"),
        pytest.param(["--simulate", "helthy"], 2, "neither a file nor one of", id="scenario"),
        pytest.param(["--json", "/no/such/folder/receipt.json"], 2, "no such folder", id="json"),
        pytest.param(["--config", "/no/such/costmeter.yaml"], 125, "costmeter.yaml", id="config"),
        pytest.param(["--pryce", "2"], 2, 'Did you mean "--price"?', id="misspelt"),
    ],
)
def test_only_what_the_user_typed_wrong_keeps_the_job_from_starting(
    options: list[str], code: int, says: str, tmp_path: Path
) -> None:
    """A wrong flag (2) or a faulty --config (125) is refused in one readable line, and the job is not started."""
    proof = tmp_path / "started"
    done = run(options, ["touch", str(proof)])
    assert code == done.returncode
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not proof.exists()


def test_a_faulty_config_file_lists_every_fault_with_its_line(tmp_path: Path) -> None:
    """All faults of a --config file come at once, each with file, line and what was meant."""
    file = tmp_path / "site.yaml"
    file.write_text("currency: dollars\nelectricity: {pue: 0.5}\ncarbn: {intensity: 380}\n")
    done = run(["--config", str(file)], JOB)
    assert done.returncode == 125
    lines = [line for line in done.stderr.splitlines() if str(file) in line]
    assert [f"{file}:{number}:" for number in (1, 2, 3)] == [":".join(line.split(":")[:2]) + ":" for line in lines]
    assert 'Did you mean "carbon"?' in done.stderr


def test_strict_refuses_on_a_fault_in_a_found_file(tmp_path: Path) -> None:
    """With --strict a typo in a found file keeps the job from starting."""
    (tmp_path / "costmeter.yaml").write_text("tarrif: x.yaml\n")
    with own_home() as environ:
        done = subprocess.run(
            [COSTMETER, "run", "--strict", "--", "touch", "started"],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 125
    assert not (tmp_path / "started").exists()


def test_a_stderr_that_nobody_reads_holds_up_nothing() -> None:
    """With stderr a pipe that is full and never read, the job runs and the meter ends as the job did."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 65_536)
    os.set_blocking(writing, True)
    with own_home() as environ:
        command = [COSTMETER, "run", "--simulate", "healthy", "--", *JOB]
        done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, stderr=writing, text=True, timeout=60)
    os.close(reading)
    os.close(writing)
    assert (3, "works\n") == (done.returncode, done.stdout)


@pytest.mark.parametrize("options", [[], ["--strict"], ["--json", "receipt.json"]], ids=["plain", "strict", "json"])
def test_a_deleted_working_folder_changes_nothing_for_the_job(options: list[str]) -> None:
    """From a folder that has been deleted the job runs, and is metered."""
    with own_home() as environ:
        script = 'd=$(mktemp -d); cd "$d"; rmdir "$d"; exec "$@"'
        command = ["sh", "-c", script, "sh", COSTMETER, "run", "--simulate", "healthy", *options, "--", *JOB]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert (3, "works\n") == (done.returncode, done.stdout), done.stderr
    assert "exit 3 (failed)" in done.stderr


def test_a_driver_that_never_opens_still_costs_rent(tmp_path: Path) -> None:
    """With a price set, the time of a run whose driver hangs from the start is worth money, and the fault is named."""
    file = tmp_path / "hung.yaml"
    file.write_text(STEADY + "\nfaults:\n  - {kind: hang}\n")
    done = run(["--price", "3600", "--simulate", str(file)], ["sleep", "1"])
    assert "never answered" in done.stderr
    assert "unidentified GPU" in done.stderr
    assert "no price" not in done.stderr


def test_gpus_that_hang_while_the_run_ends_are_named(tmp_path: Path) -> None:
    """When all GPUs stop answering just before the end, the receipt says so, and their time is still paid for."""
    file = tmp_path / "hung.yaml"
    fault = "    faults:\n      - {kind: hang, at: 700 ms, functions: [nvmlDeviceGetTotalEnergyConsumption]}\n"
    file.write_text(STEADY.rstrip() + "\n    count: 2\n" + fault)
    done = run(["--simulate", str(file), "--json", str(tmp_path / "receipt.json")], ["sleep", "2"])
    assert 0 == done.returncode
    assert "the driver does not answer" in done.stderr
    seconds = json.loads((tmp_path / "receipt.json").read_text())["gpu_seconds"]
    assert seconds["unknown"] > 0
    assert 4.0 <= sum(seconds.values())


def test_a_gpu_that_is_lost_from_the_start_is_billed_and_named(tmp_path: Path) -> None:
    """A GPU that does not open is held all the same: its time costs what was configured, and its fault is told."""
    file = tmp_path / "lost.yaml"
    file.write_text(STEADY.rstrip() + "\n    count: 2\nfaults:\n  - {kind: lost, devices: [0]}\n")
    options = ["--simulate", str(file), "--price", "3.60", "--json", str(tmp_path / "receipt.json")]
    done = run(options, ["sleep", "1"])
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    assert "GPU 0: GPU is lost" in done.stderr
    assert 2 == len(receipt["devices"])
    assert receipt["devices"][0]["cost"] == receipt["devices"][1]["cost"] != "0"


def test_the_environment_may_choose_a_simulation() -> None:
    """COSTMETER_SIMULATE names a scenario as --simulate does, and what is printed says that it is simulated."""
    done = run([], JOB, COSTMETER_SIMULATE="healthy")
    assert (3, "works\n") == (done.returncode, done.stdout)
    assert "8 × H100 80GB HBM3" in done.stderr
    assert "simulated" in done.stderr


def test_a_wrong_scenario_in_the_environment_is_told_and_the_job_runs() -> None:
    """A mistake in the environment keeps no job from starting."""
    done = run([], JOB, COSTMETER_SIMULATE="helthy")
    assert (3, "works\n") == (done.returncode, done.stdout)
    assert "helthy" in done.stderr


def test_a_faulty_scenario_file_is_a_wrong_flag(tmp_path: Path) -> None:
    """Every fault of a scenario file is listed, and nothing is started."""
    file = tmp_path / "bad.yaml"
    file.write_text("devices: []\nsede: 3\n")
    done = run(["--simulate", str(file)], JOB)
    assert (2, "") == (done.returncode, done.stdout)
    assert "sede" in done.stderr


def test_a_killed_meter_leaves_the_job_alone_and_a_receipt_behind(tmp_path: Path) -> None:
    """kill -9 of the meter: the job runs on to its end, and the report prices the run to the last tick."""
    ended = tmp_path / "ended"
    with own_home() as environ:
        meter = subprocess.Popen(
            [COSTMETER, "run", "-q", "--simulate", "healthy", "--", "sh", "-c", f"sleep 3; touch {ended}"],
            env=environ,
            start_new_session=True,
        )
        runs = Path(environ["XDG_STATE_HOME"], "costmeter", "runs")
        eventually(lambda: next(runs.glob("*/*.open"), None), "the open slot of the journal")
        os.kill(meter.pid, signal.SIGKILL)
        meter.wait(timeout=60)
        eventually(lambda: ended if ended.exists() else None, "the end of the job")
        report = subprocess.run(
            [COSTMETER, "report", "--json"], env=environ, capture_output=True, text=True, timeout=60
        )
    receipt = json.loads(report.stdout)[0]
    assert receipt["run"]["outcome"] == "interrupted"
    assert float(receipt["cost"]["total"]) > 0


def test_the_command_knows_every_bundled_scenario() -> None:
    """The names that --simulate accepts without reading a file are the scenarios in the package."""
    assert sorted(SCENARIOS) == sorted(bundled_scenarios())
