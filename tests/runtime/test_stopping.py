"""What a stop reaches: everything that descends from the command, by pid and start time, and nothing else."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from costmeter.clock import RealClock
from costmeter.ledger.identity import start_ticks
from costmeter.runtime.stopping import Command, Stopper, _send, stop_file
from tests.end_to_end.installed import PATIENCE_SECONDS
from tests.samples import HOUR

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(300)"


@contextmanager
def child(script: str = STUBBORN) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that is up, and is gone afterwards."""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert b"up\n" == process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def command(process: subprocess.Popen[bytes], asks_by: Path | None = None, can_stop: bool = False) -> Command:
    """The process as what is to be stopped."""

    def send(number: int) -> bool:
        process.send_signal(number)
        return True

    return Command(process.pid, send, "0:0", asks_by, lambda: can_stop)


def reap(process: subprocess.Popen[bytes], stopper: Stopper) -> None:
    """As the wrapper's main thread does."""
    process.wait(PATIENCE_SECONDS)
    stopper.reaped()


def test_what_ignores_term_is_killed_after_its_grace(tmp_path: Path) -> None:
    """TERM, then nothing for the whole grace, then KILL; what was done is noted in order."""
    noted: list[str] = []
    with child() as process:
        stopper = Stopper(command(process), 1.0, RealClock(), noted.append)
        assert not stopper.has_begun
        stopper.begin()
        stopper.begin()
        reap(process, stopper)
        assert stopper.done.wait(PATIENCE_SECONDS)
    assert -signal.SIGKILL == process.returncode
    assert ["TERM to 1 process", "KILL to 1 process, 1 s after the stop"] == noted


@pytest.mark.parametrize("can_stop", [True, False])
def test_the_file_is_there_for_who_looks_and_half_the_grace_for_who_says_so(tmp_path: Path, can_stop: bool) -> None:
    """The request is made in any case; only a loop that says it looks is waited for before TERM."""
    path = tmp_path / "sock.stop"
    noted: list[str] = []
    looks = f"import os, time; print('up', flush=True)\nwhile not os.path.exists({str(path)!r}): time.sleep(0.01)"
    with child(looks + "\ntime.sleep(0.3)" if can_stop else STUBBORN) as process:
        stopper = Stopper(command(process, path, can_stop), 2.0, RealClock(), noted.append)
        stopper.begin()
        reap(process, stopper)
        assert stopper.done.wait(PATIENCE_SECONDS)
    assert (["asked to stop"], 0) == (noted, process.returncode) if can_stop else noted[0].startswith("TERM")
    assert path.exists()
    assert 0 == path.stat().st_mode & 0o077
    stopper.clear()
    assert not path.exists()


def test_a_pid_that_is_another_process_by_now_is_left_alone() -> None:
    """The start time tells the two apart."""
    with child() as process:
        ticks = start_ticks(process.pid)
        assert ticks is not None
        assert not _send((process.pid, ticks + 1), signal.SIGKILL)
        assert process.poll() is None
        assert _send((process.pid, ticks), signal.SIGKILL)
        assert -signal.SIGKILL == process.wait(PATIENCE_SECONDS)
        assert not _send((process.pid, ticks), signal.SIGKILL)


def test_what_is_beside_the_command_is_none_of_it() -> None:
    """Another child of the same process, and a child of that, are no targets; a child of the command is."""
    with child() as beside, child(_with_child()) as process:
        stopper = Stopper(command(process), 60, RealClock(), lambda _: None)
        below = {pid for pid, _ in stopper._targets()}
        assert process.pid in below
        assert 2 == len(below)
        assert beside.pid not in below


def test_who_carries_our_mark_is_the_commands_wherever_it_stands() -> None:
    """A process that the kernel handed to us proves by its environment whose it was."""
    with child() as process:
        mark = "4711:99"
        environ = os.environ | {"COSTMETER_WRAPPER": mark}
        argv = [sys.executable, "-c", STUBBORN]
        orphan = subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE)
        assert orphan.stdout is not None
        assert b"up\n" == orphan.stdout.readline()
        marked = Command(process.pid, lambda _: True, mark, None, lambda: False)
        assert orphan.pid in {pid for pid, _ in Stopper(marked, 60, RealClock(), lambda _: None)._targets()}
        orphan.kill()
        orphan.wait()
        orphan.stdout.close()


def test_a_request_that_cannot_be_made_costs_no_stop(tmp_path: Path) -> None:
    """Without a folder for the file the command is told by TERM at once."""
    noted: list[str] = []
    with child("import time; print('up', flush=True); time.sleep(300)") as process:
        stopper = Stopper(command(process, tmp_path / "gone" / "x.stop", True), 30, RealClock(), noted.append)
        stopper.begin()
        reap(process, stopper)
        assert stopper.done.wait(PATIENCE_SECONDS)
    assert (-signal.SIGTERM, ["TERM to 1 process"]) == (process.returncode, noted)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [({}, None), ({"COSTMETER_NOTIFY": ""}, None), ({"COSTMETER_NOTIFY": "/run/a.sock"}, Path("/run/a.sock.stop"))],
)
def test_the_request_lies_beside_the_socket(environ: dict[str, str], expected: Path | None) -> None:
    """The helper of training scripts looks there."""
    assert expected == stop_file(environ)


def _with_child() -> str:
    """A process with one of its own."""
    return f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); time.sleep(300)"


class Frozen(RealClock):
    """The machine's clock, whose nth wait ends an hour late: the meter was frozen, and everything it started too."""

    def __init__(self, at: int) -> None:
        self.waits, self.at, self.slept_ns = 0, at, 0

    def boottime_ns(self) -> int:
        return super().boottime_ns() + self.slept_ns

    def wait(self, event: threading.Event, until_boottime_ns: int) -> bool:
        self.waits += 1
        woken = super().wait(event, until_boottime_ns - self.slept_ns)
        self.slept_ns += (self.waits == self.at) * HOUR
        return woken


@pytest.mark.parametrize("at", [1, 5, 10])
def test_time_asleep_is_none_of_the_grace(at: int) -> None:
    """An hour's sleep in a grace of a second takes at most 0.3 s of it: there are looks after it, and then KILL."""
    noted: list[str] = []
    clock = Frozen(at)
    with child() as process:
        stopper = Stopper(command(process), 1.0, clock, noted.append)
        stopper.begin()
        reap(process, stopper)
        assert stopper.done.wait(PATIENCE_SECONDS)
    assert clock.slept_ns == HOUR
    assert clock.waits >= max(at + 1, 7)
    assert noted == ["TERM to 1 process", "KILL to 1 process, 3601 s after the stop"]


def test_a_clock_that_is_always_late_ends_all_the_same() -> None:
    """A machine so busy that every look is late stops the command in the end."""

    class Late(Frozen):
        def wait(self, event: threading.Event, until_boottime_ns: int) -> bool:
            self.at = self.waits + 1
            return super().wait(event, until_boottime_ns)

    with child() as process:
        stopper = Stopper(command(process), 2.0, Late(0), lambda _: None)
        stopper.begin()
        reap(process, stopper)
        assert stopper.done.wait(PATIENCE_SECONDS)
    assert -signal.SIGKILL == process.returncode


def test_while_the_command_is_stopped_no_grace_is_spent() -> None:
    """One that job control stops after its TERM cannot save: it is killed when its grace is over after it goes on."""
    told, killed = threading.Event(), threading.Event()
    with child() as process:
        stopper = Stopper(
            command(process), 1.0, RealClock(), lambda what: (killed if what.startswith("KILL") else told).set()
        )
        stopper.begin()
        assert told.wait(PATIENCE_SECONDS)
        process.send_signal(signal.SIGSTOP)
        assert not killed.wait(2.5)
        process.send_signal(signal.SIGCONT)
        reap(process, stopper)
        assert stopper.done.wait(PATIENCE_SECONDS)
    assert killed.is_set()


def test_a_daemon_without_our_mark_is_the_commands_where_nobody_else_is() -> None:
    """Handed to us with an empty environment it can only be the command's; beside an older process it may be another's.

    `below_us` stands for the kernel's list, in which here are the command and a process that is not below it.
    """
    with child() as older, child() as process, child() as daemon:
        for others, reached in (([daemon.pid], True), ([older.pid, daemon.pid], False)):
            pids = [process.pid, *others]
            alone = Command(process.pid, lambda _: True, "0:0", None, lambda: False, pids.copy)
            targets = {pid for pid, _ in Stopper(alone, 60, RealClock(), lambda _: None)._targets()}
            assert targets == ({process.pid, daemon.pid} if reached else {process.pid})


def test_a_stop_needs_its_thread_alone() -> None:
    """Before it begins there is none."""
    with child() as process:
        before = threading.active_count()
        Stopper(command(process), 60, RealClock(), lambda _: None).reaped()
        assert before == threading.active_count()
