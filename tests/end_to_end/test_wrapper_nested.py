"""A wrapper inside a wrapper passes through; a stale mark of one does not stop another."""

import os
import sys
from pathlib import Path

import pytest

from tests.end_to_end.installed import PATIENCE_SECONDS
from tests.end_to_end.wrapped import RECORD, Wrapper, read_ready, rest

WHO = [sys.executable, "-c", "import os; print(os.getpid(), os.getppid(), os.environ.get('COSTMETER_WRAPPER'))"]


def test_the_inner_wrapper_becomes_the_command(wrapper: Wrapper) -> None:
    """Of two nested wrappers the inner one execs: the command's parent is the outer one, and its mark is kept."""
    process = wrapper.start(wrapper.around(WHO))
    pid, parent, mark = rest(process)[-1].split()

    assert process.pid == int(parent) != int(pid)
    assert mark.startswith(f"{process.pid}:")
    assert process.returncode == 0


def test_the_inner_wrapper_is_found_below_a_shell(wrapper: Wrapper) -> None:
    """A launch script that meters its steps itself is metered once, by the wrapper around the script."""
    inner = " ".join(f"'{word}'" for word in wrapper.around(["sh", "-c", "echo $PPID; exit 5"]))
    process = wrapper.start(["sh", "-c", f"echo $$; {inner}; exit $?"])
    shell, parent = rest(process)

    assert shell == parent
    assert process.returncode == 5


@pytest.mark.parametrize("command", ["pyhton", "/etc", "/etc/hostname"])
def test_the_inner_wrapper_fails_as_the_outer_one(wrapper: Wrapper, command: str) -> None:
    """A command that cannot start gives the same code from an inner wrapper as from an outer one."""
    outer = wrapper.start([command], stderr=-3).wait(PATIENCE_SECONDS)
    inner = wrapper.start(wrapper.around([command]), stderr=-3).wait(PATIENCE_SECONDS)

    assert outer == inner
    assert inner in (126, 127)


def test_the_inner_wrapper_restores_signals(wrapper: Wrapper) -> None:
    """The command of an inner wrapper has the signal state of a plain exec."""
    wrapped, bare = wrapper.both(wrapper.around(["grep", "Sig[BIC]", "/proc/self/status"]))
    plain, _ = wrapper.start_bare(["grep", "Sig[BIC]", "/proc/self/status"]).communicate(timeout=PATIENCE_SECONDS)

    assert plain == wrapped == bare


@pytest.mark.parametrize("mark", ["stranger", "wrong-time", "gone", "nonsense", "0:0", "-1:5", "²:5", ""])
def test_a_stale_mark_does_not_pass_through(wrapper: Wrapper, mark: str) -> None:
    """A mark of a process that is gone, is another one, or is no ancestor leaves the command metered."""
    stranger = wrapper.start_bare(RECORD)
    read_ready(stranger)
    ticks = Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[19]
    own = os.getpid()
    marks = {"stranger": f"{stranger.pid}:{ticks}", "wrong-time": f"{own}:1", "gone": f"{2**22 - 1}:5"}
    process = wrapper.start(WHO, env={**wrapper.environ, "COSTMETER_WRAPPER": marks.get(mark, mark)})
    _, parent, new_mark = rest(process)[-1].split()

    assert process.pid == int(parent)
    assert new_mark.startswith(f"{process.pid}:")
