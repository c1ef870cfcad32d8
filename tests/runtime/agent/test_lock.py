"""One agent per folder: a lock that says who has it, and that no dead process keeps."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from costmeter.clock import RealClock
from costmeter.runtime.agent.lock import AgentLock, InUse, described

HOLDER = """
import sys, time
from pathlib import Path
from costmeter.clock import RealClock
from costmeter.runtime.agent.lock import AgentLock
AgentLock.take(kept := AgentLock(Path(sys.argv[1])), "x", "y", RealClock())
print("locked", flush=True)
time.sleep(60)
"""


def test_a_second_one_is_told_who_has_it_and_what_to_type(tmp_path: Path) -> None:
    """While the holder lives it is refused by its pid; once it was killed the lock is free."""
    path, clock = tmp_path / "deep" / ".lock", RealClock()
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(InUse) as refusal:
            AgentLock(path).take("/state", "--state DIR", clock)
        holder.kill()
    told = refusal.value.message
    assert told.startswith(f"/state is in use by pid {holder.pid} (")
    assert told.endswith(". Another: --state DIR")  # it is no agent, so that there is nothing to look at
    AgentLock(path).take("/state", "--state DIR", clock)


def test_what_was_let_go_can_be_taken(tmp_path: Path) -> None:
    """In one process, too: an agent that ended leaves nothing locked."""
    lock, clock = AgentLock(tmp_path / ".lock"), RealClock()
    for _ in range(2):
        lock.take("x", "y", clock)
        with pytest.raises(InUse):
            AgentLock(tmp_path / ".lock").take("x", "y", clock)
        lock.let_go()
    other = AgentLock(tmp_path / ".lock")
    other.take("x", "y", clock)
    assert other.is_there


def test_a_lock_whose_file_was_removed_is_taken_anew(tmp_path: Path) -> None:
    """It keeps others out again; where another was faster, that one has it."""
    lock, clock = AgentLock(tmp_path / "run" / ".lock"), RealClock()
    lock.take("x", "y", clock)
    shutil.rmtree(tmp_path / "run")
    was_there = lock.is_there
    lock.keep("x", "y", clock)
    assert (was_there, lock.is_there) == (False, True)
    with pytest.raises(InUse):
        AgentLock(tmp_path / "run" / ".lock").take("x", "y", clock)

    shutil.rmtree(tmp_path / "run")
    AgentLock.take(other := AgentLock(tmp_path / "run" / ".lock"), "x", "y", clock)
    with pytest.raises(InUse):
        lock.keep("x", "y", clock)
    other.let_go()
    lock.keep("x", "y", clock)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """In a folder that others may write to, a lock must not empty a file of ours."""
    (tmp_path / "precious").write_text("kept")
    (tmp_path / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        AgentLock(tmp_path / ".lock").take("x", "y", RealClock())
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_process_that_is_gone_is_a_number() -> None:
    """Nothing more is known of it."""
    assert described(2**22 + 1, RealClock()) == f"pid {2**22 + 1}"
