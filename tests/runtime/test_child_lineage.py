"""Who descends from whom, as /proc says it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from costmeter.ledger import identity
from costmeter.runtime import lineage

NO_PROCESS = 2**22  # above the kernel's highest pid


@pytest.fixture
def child(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process below this one whose name would mislead a careless reader of its stat file."""
    program = tmp_path / "a) R 1 (b"
    program.symlink_to(os.path.realpath(sys.executable))
    with subprocess.Popen(
        [str(program), "-S", "-c", "print('up', flush=True); input()"], stdout=-1, stdin=-1
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_process_is_read_through_its_odd_name(child: subprocess.Popen[bytes]) -> None:
    """Parent, start and name are right for a process with parentheses and spaces in its name."""
    own_start = identity.start_ticks(os.getpid())
    start = identity.start_ticks(child.pid)

    assert os.getpid() == lineage.parent(child.pid)
    assert lineage.command_name(child.pid) == "a) R 1 (b"
    assert own_start is not None
    assert start is not None
    assert own_start <= start


def test_a_missing_process_is_no_process() -> None:
    """Whatever is asked of a pid without a process is answered with nothing."""
    assert identity.start_ticks(NO_PROCESS) is None
    assert lineage.parent(NO_PROCESS) is None
    assert lineage.command_name(NO_PROCESS) == ""
    assert not lineage.is_stopped(NO_PROCESS)
    assert not lineage.is_below(NO_PROCESS, os.getpid())


def test_descent(child: subprocess.Popen[bytes]) -> None:
    """A process is below itself, its parent and its parent's parent, and not below its child or nobody."""
    assert lineage.is_below(child.pid, child.pid)
    assert lineage.is_below(child.pid, os.getpid())
    assert lineage.is_below(child.pid, os.getppid())
    assert not lineage.is_below(os.getpid(), child.pid)
    assert not lineage.is_below(0, child.pid)


def test_a_stopped_process_is_seen(child: subprocess.Popen[bytes]) -> None:
    """A process is stopped from SIGSTOP to SIGCONT."""
    assert not lineage.is_stopped(child.pid)
    child.send_signal(signal.SIGSTOP)
    os.waitpid(child.pid, os.WUNTRACED)
    assert lineage.is_stopped(child.pid)
    child.send_signal(signal.SIGCONT)
    os.waitpid(child.pid, os.WCONTINUED)
    assert not lineage.is_stopped(child.pid)


def test_living_processes_below_us_are_listed(child: subprocess.Popen[bytes]) -> None:
    """A child is listed while it runs, and not as a zombie."""
    assert child.pid in lineage.living_orphans()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert child.pid not in lineage.living_orphans()


def test_an_ancestor_with_the_right_start_encloses_us() -> None:
    """A mark names an enclosing wrapper only if that ancestor lives and started when the mark says."""
    parent = os.getppid()
    ticks = identity.start_ticks(parent)
    assert ticks is not None

    assert parent == lineage.enclosing_wrapper({lineage.WRAPPER_VARIABLE: f"{parent}:{ticks}"})
    assert lineage.enclosing_wrapper({lineage.WRAPPER_VARIABLE: f"{parent}:{ticks + 1}"}) is None
    assert lineage.enclosing_wrapper({lineage.WRAPPER_VARIABLE: lineage.wrapper_mark()}) is None
    assert lineage.enclosing_wrapper({}) is None
