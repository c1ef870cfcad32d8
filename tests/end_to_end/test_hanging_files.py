"""Settings and prices on a disk that never answers: the job runs, is metered with what is left, and ends in time."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.installed import COSTMETER, eventually, own_home
from tests.native import compiled

pytestmark = pytest.mark.skipif(not compiled.has_compiler(), reason="needs gcc")

SETTINGS = "gpu: {price: 2.00}\nelectricity: {price: hung/prices.csv}\ncarbon: {intensity: hung/carbon.csv}\n"
NO_ANSWER = "cannot be read: the disk did not answer in time"
SIMULATED = ["run", "--simulate", "healthy"]


@pytest.fixture
def hung(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a user whose project names files in a folder that hangs."""
    (tmp_path / "hung").mkdir()
    (tmp_path / "costmeter.yaml").write_text(SETTINGS)
    with own_home() as environ:
        yield environ | {"LD_PRELOAD": str(compiled.library("stuck_disk")), "STUCK_PATH": str(tmp_path / "hung")}


def costmeter(folder: Path, environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """The installed command in a folder; whatever hangs there fails the test."""
    return subprocess.run([COSTMETER, *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=30)


def test_a_run_is_metered_at_the_price_that_is_known(tmp_path: Path, hung: dict[str, str]) -> None:
    """The meter starts, and says before the job ends which files do not answer; the receipt has the known price."""
    job = "until grep -q 'metering 8' log; do sleep 0.1; done; cp log before-the-end; exit 3"
    log = tmp_path / "log"
    with log.open("w") as stderr:
        done = subprocess.run(
            [COSTMETER, *SIMULATED, "--", "sh", "-c", job], cwd=tmp_path, env=hung, stderr=stderr, timeout=30
        )
    assert done.returncode == 3
    assert "$2.00 rental (configured: costmeter.yaml:1)" in log.read_text()
    receipt = " ".join(log.read_text().partition("── costmeter")[2].split())
    for name in ("prices", "carbon"):
        assert f"costmeter: warning: hung/{name}.csv: {NO_ANSWER}" in (tmp_path / "before-the-end").read_text()
        assert f"Warning hung/{name}.csv: {NO_ANSWER}" in receipt


def test_a_job_that_ends_at_once_has_its_receipt(tmp_path: Path, hung: dict[str, str]) -> None:
    """The end of the job cuts the waiting short, so that a receipt is printed; once in three on a busy machine."""
    receipts = []
    for _ in range(3):
        done = costmeter(tmp_path, hung, *SIMULATED, "--", "sh", "-c", "echo works; exit 3")
        assert (done.returncode, done.stdout) == (3, "works\n")
        receipts.append("$2.00 rental (configured: costmeter.yaml:1)" in done.stderr)
        if receipts[-1]:
            break
    assert any(receipts)


def test_settings_that_hang_themselves_are_told(tmp_path: Path, hung: dict[str, str]) -> None:
    """Where the project's own file does not answer the run has the built-in price, and says why."""
    hung["STUCK_PATH"] = str(tmp_path / "costmeter.yaml")
    done = costmeter(tmp_path, hung, *SIMULATED, "--", "sh", "-c", "sleep 3; exit 3")
    assert done.returncode == 3
    assert f"costmeter: warning: costmeter.yaml: {NO_ANSWER}" in done.stderr
    assert "exit 3 (failed)" in done.stderr


@pytest.mark.parametrize("options", [["--config", "costmeter.yaml"], ["--strict"]], ids=["config", "strict"])
def test_what_must_be_right_is_refused(options: list[str], tmp_path: Path, hung: dict[str, str]) -> None:
    """With --config or --strict a file that does not answer keeps the job from starting, as any other fault."""
    done = costmeter(tmp_path, hung, *SIMULATED, *options, "--", "sh", "-c", "echo works")
    assert (done.returncode, done.stdout) == (125, "")
    assert f"hung/prices.csv: {NO_ANSWER}" in done.stderr


def test_what_hangs_before_the_start_leaves_the_job_its_signals_and_its_end(
    tmp_path: Path, hung: dict[str, str]
) -> None:
    """A site file hangs while --config is read: the job still gets SIGTERM through the meter, and its end is seen."""
    site = tmp_path / "site" / "costmeter"
    site.mkdir(parents=True)
    (tmp_path / "mine.yaml").write_text("gpu: {price: 2.00}\n")
    hung |= {"XDG_CONFIG_DIRS": str(tmp_path / "site"), "STUCK_PATH": str(site)}
    job = "trap 'exit 9' TERM; touch ready; while :; do sleep 0.1; done"
    command = [COSTMETER, *SIMULATED, "--config", "mine.yaml", "--", "sh", "-c", job]
    with subprocess.Popen(command, cwd=tmp_path, env=hung, stderr=subprocess.PIPE, text=True) as meter:
        eventually(lambda: True if (tmp_path / "ready").exists() else None, "the job's start")
        meter.terminate()
        told = meter.communicate(timeout=30)[1]
    assert meter.returncode == 9
    assert NO_ANSWER in told
    assert "exit 9" in told


@pytest.mark.parametrize("words", [["doctor"], ["config", "show"], ["config", "check"]], ids=" ".join)
def test_a_command_that_waits_for_a_disk_is_interrupted(words: list[str], tmp_path: Path, hung: dict[str, str]) -> None:
    """Ctrl-C ends a command while a file does not answer: no thread of it waits in a way that hears no signal."""
    with subprocess.Popen(
        [COSTMETER, *words], cwd=tmp_path, env=hung, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as waiting:
        tasks = Path(f"/proc/{waiting.pid}/task")
        eventually(lambda: True if len(os.listdir(tasks)) > 1 else None, "the thread that reads")
        waiting.send_signal(signal.SIGINT)
        waiting.communicate(timeout=30)
    assert waiting.returncode in (130, -signal.SIGINT)


@pytest.mark.parametrize("words", [["doctor"], ["config", "show"], ["estimate", "--gpu", "h100", "--hours", "1"]])
def test_a_command_names_the_file_and_goes_on(words: list[str], tmp_path: Path, hung: dict[str, str]) -> None:
    """Commands that read settings end by themselves, and name the file that did not answer."""
    done = costmeter(tmp_path, hung, *words)
    assert f"hung/prices.csv: {NO_ANSWER}" in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stderr
