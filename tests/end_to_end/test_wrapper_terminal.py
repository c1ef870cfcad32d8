"""The wrapper on a terminal: the command sees it, Ctrl-C is the command's alone, and job control works."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from tests.end_to_end.installed import PATIENCE_SECONDS, PYTHON
from tests.end_to_end.wrapped import RECORD, Wrapper, until

# Ctrl-C makes it save; it needs until the next line of input, and a second Ctrl-C meanwhile would be seen.
SAVES = """
import os, signal, sys
def save(number, frame):
    os.write(1, b"saving\\n")
    sys.stdin.readline()
    os.write(1, b"saved\\n")
    sys.exit(9)
signal.signal(signal.SIGINT, save)
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""
SEES = """
import os, sys
print(*(os.isatty(n) for n in range(3)), os.ttyname(0) == os.ttyname(1) == os.ttyname(2))
print(os.tcgetpgrp(0) == os.getpgrp(), os.get_terminal_size(0) == os.terminal_size((97, 31)))
"""


@contextmanager
def terminal(wrapper: Wrapper, command: list[str], **how: str) -> Iterator[pexpect.spawn]:
    """A command line on a terminal of its own, which is closed in the end."""
    session = pexpect.spawn(
        command[0],
        command[1:],
        env={**wrapper.environ, **how},
        timeout=PATIENCE_SECONDS,
        dimensions=(31, 97),
        echo=False,
    )
    try:
        yield session
    finally:
        session.close(force=True)


def said(session: pexpect.spawn) -> list[bytes]:
    """The command's last words, without a warning of ours, which a slow machine may bring about."""
    lines: list[bytes] = session.before.splitlines()
    return [word for line in lines if not line.startswith(b"costmeter:") for word in line.split()]


def test_the_command_sees_the_terminal(wrapper: Wrapper) -> None:
    """All three streams are the terminal, the command is in its foreground, and its size is known."""
    with terminal(wrapper, wrapper.around([*PYTHON, "-c", SEES])) as session:
        session.expect(pexpect.EOF)

        assert said(session) == [b"True"] * 6


def test_an_interrupt_is_delivered_once(wrapper: Wrapper) -> None:
    """Ctrl-C reaches a command that needs time to save once, nobody hurries it, and its exit code is kept."""
    with terminal(wrapper, wrapper.around([*PYTHON, "-c", SAVES])) as session:
        session.expect("ready")
        session.sendintr()
        session.expect("saving")
        session.sendline()
        session.expect(pexpect.EOF)
        session.wait()

        assert said(session) == [b"saved"]
        assert session.exitstatus == 9


@pytest.mark.parametrize(("key", "name"), [("c", "SIGINT"), ("\\", "SIGQUIT")], ids=["ctrl-c", "ctrl-backslash"])
def test_a_key_is_one_signal(wrapper: Wrapper, key: str, name: str) -> None:
    """What the terminal sends to the whole group the command hears once."""
    with terminal(wrapper, wrapper.around(RECORD)) as session:
        session.expect(r"ready (\d+) (\d+)")
        session.sendcontrol(key)
        session.expect(name)
        os.kill(session.pid, signal.SIGWINCH)
        session.expect(pexpect.EOF)
        session.wait()

        assert said(session) == [b"SIGWINCH"]
        assert session.exitstatus == 7


@pytest.mark.parametrize(("key", "number"), [("c", signal.SIGINT), ("\\", signal.SIGQUIT)], ids=["ctrl-c", "quit"])
def test_death_by_a_key_is_passed_on(wrapper: Wrapper, key: str, number: signal.Signals) -> None:
    """A command without a handler dies by the key, and the wrapper by the same signal."""
    with terminal(wrapper, wrapper.around(["sh", "-c", "echo ready; exec sleep 600"])) as session:
        session.expect("ready")
        session.sendcontrol(key)
        session.expect(pexpect.EOF)
        session.wait()

        assert session.signalstatus == number


def test_a_resize_is_one_signal(wrapper: Wrapper) -> None:
    """A change of the window's size reaches the command once."""
    with terminal(wrapper, wrapper.around(RECORD)) as session:
        session.expect(r"ready (\d+) (\d+)")
        session.setwinsize(40, 120)
        session.expect(pexpect.EOF)
        session.wait()

        assert said(session) == [b"SIGWINCH"]
        assert session.exitstatus == 7


def test_a_hangup_is_one_signal(wrapper: Wrapper, tmp_path: Path) -> None:
    """A closed terminal hangs up the command once, and the wrapper goes on for as long as the command does."""
    record = tmp_path / "record"
    with terminal(wrapper, wrapper.around([*RECORD, str(record)])) as session:
        until(lambda: record.exists() and record.read_text().startswith("ready"), "the command runs")
        session.ptyproc.fileobj.close()
        until(lambda: "SIGHUP" in record.read_text(), "the hangup came")
        os.kill(session.pid, signal.SIGWINCH)
        until(lambda: "SIGWINCH" in record.read_text(), "the command ended")
        assert session.wait() == 7

    heard = record.read_text().split("\n")[1:-1]
    assert [name for name in heard if name != "SIGCONT"] == ["SIGHUP", "SIGWINCH"]


def test_a_job_is_stopped_and_brought_back(wrapper: Wrapper) -> None:
    """In an interactive shell Ctrl-Z stops the job and fg brings it back, with one SIGCONT for the command."""
    with terminal(wrapper, ["bash", "--norc", "--noprofile", "--noediting", "-i"], PS1="$ ") as shell:
        line = " ".join(f"'{word}'" for word in wrapper.around([*PYTHON, "recorder.py"]))
        Path(wrapper.environ["HOME"], "recorder.py").write_text(RECORD[-1])
        shell.expect_exact("$ ")
        shell.sendline(f"cd; {line}; echo code $?")
        shell.expect(r"ready (\d+) (\d+)")
        wrapper_pid = int(shell.match.group(2))
        shell.sendcontrol("z")
        shell.expect("Stopped")
        shell.expect_exact("$ ")
        shell.sendline("fg; echo code $?")
        shell.expect("SIGCONT")
        shell.sendintr()
        shell.expect(r"SIG\w+")
        assert shell.match.group(0) == b"SIGINT"
        os.kill(wrapper_pid, signal.SIGWINCH)
        shell.expect("code 7")


def test_a_background_job_may_speak(wrapper: Wrapper) -> None:
    """With `stty tostop` a background job that does not write itself ends without waiting for fg."""
    with terminal(wrapper, ["bash", "--norc", "--noprofile", "--noediting", "-i"], PS1="$ ") as shell:
        line = " ".join(f"'{word}'" for word in wrapper.around(["sh", "-c", "exit 3"]) if word != "--quiet")
        shell.expect_exact("$ ")
        shell.sendline(f"stty tostop; {line} & wait $!; echo code $?")
        shell.expect(r"code (\d+)")

        assert shell.match.group(1) == b"3"
