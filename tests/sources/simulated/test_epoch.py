"""One world for all processes of a machine."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from costmeter.clock import ManualClock, RealClock
from costmeter.config import yamlfile
from costmeter.sources.simulated import open_library
from costmeter.sources.simulated.epoch import shared_epoch

OPEN = """
from costmeter.clock import RealClock
from costmeter.config import yamlfile
from costmeter.sources.simulated import open_library
print(open_library("notebook", yamlfile.load, RealClock()).epoch_boottime_ns)
"""
SEPARATE = "the simulated GPUs are not those of your other processes"


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def test_processes_started_together_see_one_epoch(runtime: Path) -> None:
    """Four processes that open a scenario at the same time agree on its epoch, and one file remains."""
    started = [
        subprocess.Popen([sys.executable, "-c", OPEN], stdout=subprocess.PIPE, text=True, env={**os.environ})
        for _ in range(4)
    ]
    epochs = {process.communicate()[0] for process in started}

    assert len(epochs) == 1
    assert [int(file.read_text()) for file in (runtime / "costmeter").iterdir()] == [int(epochs.pop())]


def test_a_later_process_joins_the_node(runtime: Path) -> None:
    """The same scenario opened again has the same epoch; another scenario has its own."""
    first, again = (open_library("notebook", yamlfile.load, RealClock()).epoch_boottime_ns for _ in range(2))
    other = open_library("hang", yamlfile.load, RealClock()).epoch_boottime_ns

    assert first == again != other
    assert len(list((runtime / "costmeter").iterdir())) == 2


def test_the_directory_is_private(runtime: Path) -> None:
    """Nobody else can read or plant an epoch."""
    shared_epoch("key", 1)

    assert (runtime / "costmeter").stat().st_mode & 0o777 == 0o700


def test_without_a_runtime_directory_the_temporary_one_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without XDG_RUNTIME_DIR, a private directory below the temporary one is shared by the user's processes."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    assert (shared_epoch("key", 5), shared_epoch("key", 9)) == (5, 5)
    assert list((tmp_path / f"costmeter-{os.getuid()}").iterdir())


def test_a_link_is_told_as_what_it_is(runtime: Path) -> None:
    """It is not said to be another user's: the reason is the true one."""
    (runtime / "costmeter").symlink_to(runtime)
    warned: list[str] = []

    assert shared_epoch("key", 7, warned.append) == 7
    assert [f"{SEPARATE}: {runtime}/costmeter is a link or a file, and a folder is needed"] == warned


def test_an_unusable_epoch_leaves_a_node_of_its_own(runtime: Path) -> None:
    """When the file holds no number, the node begins now, and a warning says that it is not shared."""
    shared_epoch("key", 1)
    [file] = (runtime / "costmeter").iterdir()
    file.write_text("soon\n")

    warned: list[str] = []
    assert shared_epoch("key", 7, warned.append) == 7
    assert [f"{SEPARATE}: invalid literal for int() with base 10: 'soon\\n'"] == warned


def test_a_manual_clock_shares_nothing(runtime: Path) -> None:
    """A clock that is not the machine's begins its own node and writes no file."""
    library = open_library("notebook", yamlfile.load, ManualClock(0, boottime_ns=42))

    assert library.epoch_boottime_ns == 42
    assert not (runtime / "costmeter").exists()
