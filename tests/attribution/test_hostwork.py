"""How much of the host processes use: ticks of a /proc made up by the test, and a real process that computes."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from costmeter.attribution import hostwork
from costmeter.attribution.hostwork import HostWork, RunWork
from costmeter.clock import RealClock

SECOND = 1_000_000_000
HERTZ = 100
#: A process: its parent, its start in ticks since boot, the ticks it used, and those of children it waited for.
Row = tuple[int, int, int, int]


class Proc:
    """A /proc of processes that are what the test says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.work = HostWork(str(folder), HERTZ)

    def now(self, rows: Mapping[int, Row]) -> None:
        """These are all the processes there are."""
        shutil.rmtree(self._folder)
        for pid, (parent, start, used, waited) in rows.items():
            fields = ["S", str(parent), *["0"] * 9, str(used), "0", str(waited), "0", *["0"] * 4, str(start), "0"]
            (self._folder / str(pid)).mkdir(parents=True)
            (self._folder / str(pid) / "stat").write_text(f"{pid} (a ) b) {' '.join(fields)}\n")
        (self._folder / "self").mkdir()

    def cores(self, pids: tuple[int, ...], after_seconds: int) -> float | None:
        """What these use by a look so long after boot."""
        return self.work.look({"gpu": pids}, after_seconds * SECOND).get("gpu")


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    (tmp_path / "proc").mkdir()
    return Proc(tmp_path / "proc")


BEFORE = {1: (0, 1, 500, 0), 10: (1, 1_000, 2_000, 0), 11: (10, 1_100, 300, 0), 90: (1, 50, 9_000, 0)}


@pytest.mark.parametrize(
    ("expected", "pids", "rows"),
    [
        pytest.param(0.0, (10,), {}, id="nothing-used"),
        pytest.param(1.0, (10,), {10: (1, 1_000, 3_000, 0)}, id="one-core-of-its-own"),
        pytest.param(3.5, (10,), {10: (1, 1_000, 2_500, 0), 11: (10, 1_100, 3_300, 0)}, id="with-its-loader"),
        pytest.param(0.7, (10,), {12: (11, 10_500, 700, 0)}, id="a-grandchild-that-began-meanwhile"),
        pytest.param(0.0, (10,), {12: (11, 9_000, 5_000, 0)}, id="one-that-was-there-and-was-not-seen"),
        pytest.param(0.5, (10,), {10: (1, 1_000, 2_000, 800), 11: None}, id="a-child-that-ended-counts-once"),
        pytest.param(0.0, (10,), {11: None}, id="nobody-waited-for-the-child"),
        pytest.param(0.0, (10,), {90: (1, 50, 99_000, 0)}, id="others-are-others"),
        pytest.param(2.0, (10, 11), {11: (10, 1_100, 2_300, 0)}, id="each-once"),
        pytest.param(None, (77,), {}, id="not-there"),
        pytest.param(None, (10,), {10: (1, 10_500, 100, 0), 11: None}, id="another-process-of-that-pid"),
    ],
)
def test_cores_are_what_was_used_since_the_last_look(
    expected: float | None, pids: tuple[int, ...], rows: Mapping[int, Row | None], proc: Proc
) -> None:
    """Ten seconds pass between two looks, at 100 s and 110 s after boot: 1,000 ticks are one core."""
    proc.now(BEFORE)
    assert proc.cores(pids, 100) is None
    proc.now({pid: row for pid, row in {**BEFORE, **rows}.items() if row is not None})
    assert proc.cores(pids, 110) == expected


def test_nobody_is_looked_at_for_nobody(proc: Proc) -> None:
    """Without processes to ask about there is no look, and the next one is a first one."""
    proc.now(BEFORE)
    assert proc.cores((10,), 100) is None
    assert proc.cores((), 110) is None
    assert proc.cores((10,), 120) is None
    assert proc.cores((10,), 130) == 0.0


def test_a_machine_of_too_many_processes_is_not_looked_at(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look takes no longer than a few thousand processes take; beyond, nobody can say."""
    monkeypatch.setattr(hostwork, "MOST_PROCESSES", len(BEFORE) - 1)
    proc.now(BEFORE)
    assert proc.cores((10,), 100) is None
    assert proc.cores((10,), 110) is None


@pytest.mark.parametrize("stat", ["", "10 (short) S 1", "garbage"])
def test_what_is_no_process_is_left_out(stat: str, proc: Proc, tmp_path: Path) -> None:
    """A file that was cut off, or is none, is nobody's work."""
    proc.now(BEFORE)
    (tmp_path / "proc/10/stat").write_text(stat)
    assert proc.cores((10,), 100) is None
    assert proc.cores((10,), 110) is None


def test_a_real_process_that_computes_is_seen_below_its_parent() -> None:
    """A child of a child that computes makes its grandparent use some of a core."""
    burn = "import time\nprint(flush=True)\nwhile True: sum(range(10_000))"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-Sc', {burn!r}])"
    parent = subprocess.Popen([sys.executable, "-Sc", child], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline()
        work = RunWork(parent.pid, RealClock())
        assert work.cores() is None
        deadline = time.monotonic() + 60
        while not (cores := work.cores()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert 0 < cores <= (os.cpu_count() or 1) * 2
    finally:
        os.killpg(parent.pid, 9)
        parent.communicate()
