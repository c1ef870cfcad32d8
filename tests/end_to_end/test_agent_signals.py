"""Signals that come when nobody expects them: before the agent has begun, under nohup, from a terminal that goes."""

import fcntl
import os
import pty
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.agents import agent, agent_command
from tests.end_to_end.installed import PATIENCE_SECONDS, eventually, own_home


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    """What an agent and a user's shell share."""
    with own_home() as found:
        yield found


def _catches(pid: int, told: signal.Signals) -> bool:
    """Whether a process has said what is to happen at a signal (proc_pid_status(5))."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return any(int(fields[mask], 16) >> (told - 1) & 1 for mask in ("SigCgt", "SigBlk"))


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("after_seconds", [0.0, 0.1, 0.3])
def test_an_agent_that_is_stopped_as_it_begins_has_stopped(
    told: signal.Signals, after_seconds: float, environ: dict[str, str], tmp_path: Path
) -> None:
    """From where its own program begins on, before all else is loaded, TERM and INT end it with 0 and no word."""
    with subprocess.Popen(agent_command(tmp_path), env=environ, stderr=subprocess.PIPE) as starting:
        eventually(lambda: _catches(starting.pid, signal.SIGTERM) or None, "the agent's own program")
        time.sleep(after_seconds)  # wherever it has got to by then
        starting.send_signal(told)
        _, said = starting.communicate(timeout=PATIENCE_SECONDS)
    assert 0 == starting.returncode
    assert b"Traceback" not in said


def test_under_nohup_no_hangup_is_a_wish(environ: dict[str, str], tmp_path: Path) -> None:
    """A HUP that was ignored when the agent began stays so."""
    with agent(tmp_path, environ, before=["nohup"]) as started:
        eventually(lambda: "metering" in started.said or None, "GPUs")
        started.process.send_signal(signal.SIGHUP)
        assert started.node["gpus"]
        assert 0 == started.stop()
    assert "loaded anew" not in started.said


def test_a_terminal_that_goes_is_no_wish(environ: dict[str, str], tmp_path: Path) -> None:
    """The kernel tells whoever leads a session that its terminal has gone: the agent goes on, with its settings."""
    keeper, terminal = pty.openpty()
    log = tmp_path / "log"

    def lead() -> None:
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    with log.open("wb") as stderr:
        argv = agent_command(tmp_path)
        with subprocess.Popen(argv, env=environ, stdin=terminal, stderr=stderr, preexec_fn=lead) as started:
            os.close(terminal)
            eventually(lambda: "metering" in log.read_text() or None, "GPUs")
            os.close(keeper)
            time.sleep(0.5)  # two of one signal that wait are one, and who sent the second is lost
            started.send_signal(signal.SIGHUP)
            eventually(lambda: "loaded anew" in log.read_text() or None, "the wish that was one")
            started.terminate()
            assert 0 == started.wait(PATIENCE_SECONDS)
    assert 1 == log.read_text().count("settings loaded anew (SIGHUP)")


def test_an_agent_that_was_stopped_and_goes_on_hears_nothing_that_nobody_said(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """Stopped for longer than any wait of its own and continued, it neither loads anything anew nor ends."""
    with agent(tmp_path, environ) as started:
        eventually(lambda: "metering" in started.said or None, "GPUs")
        for _ in range(3):
            started.process.send_signal(signal.SIGSTOP)
            time.sleep(0.6)
            started.process.send_signal(signal.SIGCONT)
            assert started.node["gpus"]
        assert 0 == started.stop()
    assert "loaded anew" not in started.said
