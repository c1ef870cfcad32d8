"""Which signals reach the command through the wrapper, how often, and what becomes of processes left behind."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.installed import PATIENCE_SECONDS, PYTHON
from tests.end_to_end.wrapped import (
    RECORD,
    RECORDER,
    Wrapper,
    children_of,
    read_line,
    read_ready,
    rest,
    state_of,
    until,
)

# A job that on SIGTERM saves a checkpoint, which lasts until the test lets it, and ends with a code of its own.
SAVES = """
import os, signal, sys
def save(number, frame):
    os.write(1, b"saving\\n")
    sys.stdin.readline()
    os.write(1, b"saved\\n")
    sys.exit(5)
signal.signal(signal.SIGTERM, save)
os.write(1, f"ready {os.getpid()} {os.getppid()}\\n".encode())
while True:
    signal.pause()
"""


def ignore(number: signal.Signals) -> Callable[[], None]:
    def set_one() -> None:
        signal.signal(number, signal.SIG_IGN)

    return set_one


def end(process: subprocess.Popen[bytes]) -> list[str]:
    """End the recorder by the signal that comes after all others, and return what it heard before."""
    process.send_signal(signal.SIGWINCH)
    heard = rest(process)
    assert heard.pop() == "SIGWINCH"
    assert process.returncode == 7
    return heard


@pytest.mark.parametrize("name", ["TERM", "HUP", "USR1", "USR2", "QUIT"])
def test_a_signal_to_the_whole_group_comes_once(wrapper: Wrapper, name: str) -> None:
    """A signal sent to the process group, which the command is in, is not passed on a second time."""
    process = wrapper.start(RECORD)
    read_ready(process)
    os.killpg(process.pid, signal.Signals[f"SIG{name}"])
    assert end(process) == [f"SIG{name}"]


def test_after_a_signal_to_the_group_one_to_the_wrapper_is_forwarded(wrapper: Wrapper) -> None:
    """What went to the group before says nothing of a signal that comes to the wrapper alone."""
    process = wrapper.start(RECORD)
    read_ready(process)
    os.killpg(process.pid, signal.SIGTERM)
    assert read_line(process) == "SIGTERM"
    process.send_signal(signal.SIGUSR1)
    assert read_line(process) == "SIGUSR1"
    process.send_signal(signal.SIGTERM)
    assert end(process) == ["SIGTERM"]


def test_always_forwards_what_the_group_has_too(wrapper: Wrapper) -> None:
    """With --forward always a signal to the group reaches the command twice, as asked."""
    process = wrapper.start(RECORD, "--forward", "always")
    read_ready(process)
    os.killpg(process.pid, signal.SIGTERM)
    assert {"SIGTERM"} == set(end(process))


@pytest.mark.parametrize("name", ["TERM", "HUP", "USR1", "USR2", "QUIT"])
def test_a_signal_is_forwarded_once(wrapper: Wrapper, name: str) -> None:
    """A signal sent to the wrapper alone reaches the command once, and the wrapper lives on with it."""
    process = wrapper.start(RECORD)
    read_ready(process)
    process.send_signal(signal.Signals[f"SIG{name}"])

    assert [f"SIG{name}"] == end(process)


def test_an_interrupt_is_not_forwarded(wrapper: Wrapper) -> None:
    """SIGINT to the wrapper alone ends neither it nor the command."""
    process = wrapper.start(RECORD)
    read_ready(process)
    for _ in range(3):
        process.send_signal(signal.SIGINT)

    assert [] == end(process)


def test_an_unusual_signal_ends_the_command(wrapper: Wrapper) -> None:
    """A signal that the command does not expect kills the command, not the wrapper above it."""
    process = wrapper.start(RECORD)
    read_ready(process)
    process.send_signal(signal.SIGRTMIN + 5)

    assert rest(process) == []
    assert process.returncode == -(signal.SIGRTMIN + 5)


def test_never_forwards_nothing(wrapper: Wrapper) -> None:
    """With --forward never the command hears only what was sent to it."""
    process = wrapper.start(RECORD, "--forward", "never")
    pid, _ = read_ready(process)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH):
        process.send_signal(number)
    until(lambda: pending(process.pid) == 0, "the wrapper has taken every signal")
    os.kill(pid, signal.SIGWINCH)

    assert rest(process) == ["SIGWINCH"]
    assert process.returncode == 7


def pending(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("ShdPnd"))


def test_a_term_lets_the_command_save(wrapper: Wrapper) -> None:
    """A command that saves on SIGTERM is waited for, and its own exit code is kept."""
    process = wrapper.start([*PYTHON, "-c", SAVES], stdin=subprocess.PIPE)
    read_ready(process)
    process.send_signal(signal.SIGTERM)
    assert read_line(process) == "saving"
    process.send_signal(signal.SIGINT)

    output, _ = process.communicate(b"\n", timeout=PATIENCE_SECONDS)
    assert output == b"saved\n"
    assert process.returncode == 5


def test_a_term_to_the_group_lets_the_command_save(wrapper: Wrapper) -> None:
    """SIGTERM to the wrapper and then to the whole group, as timeout(1) sends it, leaves the command its code."""
    process = wrapper.start(RECORD)
    read_ready(process)
    process.send_signal(signal.SIGTERM)
    os.killpg(process.pid, signal.SIGTERM)
    heard = end(process)

    assert heard
    assert set(heard) == {"SIGTERM"}


def test_timeout_ends_the_command(wrapper: Wrapper) -> None:
    """timeout(1) around the wrapper ends the command, and nothing of it stays."""
    reading, writing = os.pipe()
    line = ["timeout", "0.5", *wrapper.around(["sleep", "600"])]
    process = wrapper.start_bare(line, stdout=writing)
    os.close(writing)

    assert process.wait(PATIENCE_SECONDS) == 124
    assert os.read(reading, 1) == b""  # the end of file: the command has gone too
    os.close(reading)


def test_a_signal_of_the_job_to_its_group_comes_once(wrapper: Wrapper) -> None:
    """A job that signals its own process group (`kill 0`) hears it once, though the wrapper is in the group."""
    program = (
        f"import os,signal,subprocess,sys\nif os.fork():\n    os.execv(sys.executable, {['x', '-c', RECORDER]!r})\n"
    )
    program += "signal.signal(15, signal.SIG_IGN)\nos.close(1)\nsys.stdin.readline()\nos.kill(0, 15)\nsignal.pause()\n"
    process = wrapper.start([*PYTHON, "-c", program], stdin=subprocess.PIPE)
    read_ready(process)
    assert process.stdin is not None
    process.stdin.write(b"now\n")
    process.stdin.close()
    process.stdin = None
    assert read_line(process) == "SIGTERM"

    assert [] == end(process)


@pytest.mark.parametrize("name", ["HUP", "TERM", "USR1"])
def test_an_ignored_signal_stays_ignored(wrapper: Wrapper, name: str) -> None:
    """A signal that was ignored when the wrapper started is ignored by both, as under nohup."""
    number = signal.Signals[f"SIG{name}"]
    process = wrapper.start(RECORD, preexec_fn=ignore(number))
    read_ready(process)
    process.send_signal(number)

    assert [] == end(process)


def test_nohup_protects_the_command(wrapper: Wrapper) -> None:
    """Under nohup(1) a hangup of the whole group ends neither wrapper nor command."""
    process = wrapper.start_bare(["nohup", *wrapper.around(RECORD)], stderr=subprocess.DEVNULL)
    read_ready(process)
    os.killpg(process.pid, signal.SIGHUP)

    assert [] == end(process)


def test_a_background_command_survives_an_interrupt(wrapper: Wrapper) -> None:
    """Started with & by a script, where SIGINT is ignored, the command survives Ctrl-C of the script."""
    words = " ".join(f"'{word}'" for word in wrapper.around(["sh", "-c", "echo $$; read line; exit 3"]))
    script = f"exec 3<&0; {words} <&3 & trap '' INT; wait $!; echo code $?"
    process = wrapper.start_bare(["sh", "-c", script], stdin=subprocess.PIPE)
    read_line(process)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(b"\n", timeout=PATIENCE_SECONDS)

    assert output == b"code 3\n"


def test_stop_and_continue_reach_the_command(wrapper: Wrapper) -> None:
    """A group that is stopped and continued, as by Ctrl-Z and fg, runs on; the command hears SIGCONT once."""
    process = wrapper.start(RECORD)
    pid, _ = read_ready(process)
    os.killpg(process.pid, signal.SIGSTOP)
    until(lambda: state_of(process.pid) == "T" == state_of(pid), "both are stopped")
    os.killpg(process.pid, signal.SIGCONT)

    assert ["SIGCONT"] == end(process)


def test_a_stopped_command_is_continued_through_the_wrapper(wrapper: Wrapper) -> None:
    """SIGCONT to the wrapper alone continues a command that stands still."""
    process = wrapper.start(RECORD)
    pid, _ = read_ready(process)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state_of(pid) == "T", "the command is stopped")
    process.send_signal(signal.SIGCONT)
    assert read_line(process) == "SIGCONT"

    assert [] == end(process)


def test_the_wrapper_runs_on_beside_a_stopped_command(wrapper: Wrapper) -> None:
    """A command stopped by itself does not stop the wrapper, which could not be continued with it."""
    process = wrapper.start(RECORD)
    pid, _ = read_ready(process)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state_of(pid) == "T", "the command is stopped")
    assert state_of(process.pid) != "T"
    os.kill(pid, signal.SIGKILL)

    assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL


def test_orphans_come_to_us_and_are_reaped(wrapper: Wrapper) -> None:
    """A process whose parent ended becomes the wrapper's child, and leaves no zombie when it ends."""
    program = """
import os, sys, time
if os.fork() == 0:
    if os.fork() == 0:
        while os.getppid() != int(os.environ["COSTMETER_WRAPPER"].split(":")[0]):
            time.sleep(0.001)
        os.write(1, f"{os.getpid()}\\n".encode())
        os._exit(0)
    os._exit(0)
os.wait()
sys.stdin.readline()
sys.exit(4)
"""
    process = wrapper.start([*PYTHON, "-c", program], stdin=subprocess.PIPE)
    orphan = int(read_line(process))
    until(lambda: state_of(orphan) == "", "the orphan is reaped")
    process.communicate(b"\n", timeout=PATIENCE_SECONDS)

    assert process.returncode == 4


@pytest.mark.parametrize(
    ("name", "in_step", "heard"),
    [
        pytest.param("TERM", False, False, id="final-term"),
        pytest.param("USR1", False, True, id="batch-usr1"),
        pytest.param("USR1", True, False, id="step-usr1"),
    ],
)
def test_slurm_signals_come_once(wrapper: Wrapper, name: str, in_step: bool, heard: bool, tmp_path: Path) -> None:
    """What slurmstepd sends to every process of a job or step is not forwarded; what it sends to us alone is."""
    slurmstepd = tmp_path / "slurmstepd"
    slurmstepd.symlink_to("/bin/bash")
    environ = {**wrapper.environ, **({"SLURM_STEP_ID": "0"} if in_step else {})}
    process = wrapper.start(RECORD, env=environ)
    read_ready(process)
    sender = wrapper.start_bare(
        [str(slurmstepd), "-c", f"kill -{name} {process.pid}; echo sent; read line"], stdin=subprocess.PIPE
    )
    assert read_line(sender) == "sent"

    assert ([f"SIG{name}"] if heard else []) == end(process)


def test_a_term_in_the_first_moment_ends_both(wrapper: Wrapper) -> None:
    """A SIGTERM between the start of the wrapper and the first step of the command is not lost."""
    reading, writing = os.pipe()
    process = wrapper.start(["sleep", "600"], stdout=writing)
    os.close(writing)
    until(lambda: bool(children_of(process.pid)), "the wrapper has forked")
    process.send_signal(signal.SIGTERM)

    assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_the_command_outlives_a_killed_wrapper(wrapper: Wrapper) -> None:
    """SIGKILL of the wrapper, which nobody can forward, leaves the job running to its end."""
    process = wrapper.start(RECORD)
    pid, _ = read_ready(process)
    process.kill()
    process.wait(PATIENCE_SECONDS)
    os.kill(pid, signal.SIGWINCH)

    assert read_line(process) == "SIGWINCH"
