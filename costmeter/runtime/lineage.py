"""Who descends from whom, as /proc says it: the enclosing wrapper, the adopted orphans, a child's state.

A process is named by pid and start time, since pids are used again. Whatever /proc does not show (another user's
process under hidepid, a pid of another namespace, a process that has just ended) is taken as "no".
"""

from __future__ import annotations

import os

from costmeter.ledger.identity import start_ticks

WRAPPER_VARIABLE = "COSTMETER_WRAPPER"


def parent(pid: int) -> int | None:
    """The pid of a process's parent; 0 above the first process of the namespace, None if it is gone."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def is_stopped(pid: int) -> bool:
    """Whether job control has stopped the process."""
    fields = _stat(pid)
    return fields is not None and fields[0] == b"T"


def is_below(pid: int, ancestor: int) -> bool:
    """Whether a process is the ancestor itself, or its child, or its child's child, and so on."""
    here: int | None = pid
    while here and here != ancestor:
        here = parent(here)
    return here == ancestor


def command_name(pid: int) -> str:
    """What the kernel calls the process (at most 15 characters); empty if there is no such process."""
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return os.fsdecode(file.read().rstrip(b"\n"))
    except OSError:
        return ""


def wrapper_mark() -> str:
    """This process as an inner wrapper will look for it: `pid:start ticks`."""
    pid = os.getpid()
    return f"{pid}:{start_ticks(pid) or 0}"


def enclosing_wrapper(environ: dict[str, str]) -> int | None:
    """The pid of the wrapper that is metering us already, if there is one.

    The variable alone proves nothing: it is inherited by whatever outlives the wrapper, travels with srun and ssh to
    other nodes, and its pid may be another process by now. So the process must live, must have started when the
    variable says, and must be an ancestor of ours.
    """
    pid_text, _, ticks_text = environ.get(WRAPPER_VARIABLE, "").partition(":")
    if not (pid_text.isdecimal() and ticks_text.isdecimal()):
        return None
    pid = int(pid_text)
    own_parent = _own_parent()
    if pid == 0 or own_parent is None or start_ticks(pid) != int(ticks_text):
        return None
    return pid if is_below(own_parent, pid) else None


def living_orphans() -> list[int]:
    """The pids of every process below us that still runs, nearest first; zombies are not listed.

    After the child is reaped these are the orphans we adopted, and their children. Empty on the few kernels built
    without CONFIG_PROC_CHILDREN: the list explains who still holds a GPU, nothing depends on it.
    """
    found: list[int] = []
    level = _children("self")
    while level:
        found += level
        level = [pid for above in level for pid in _children(str(above))]
    return [pid for pid in found if _is_running(pid)]


def _is_running(pid: int) -> bool:
    fields = _stat(pid)
    return fields is not None and fields[0] not in (b"Z", b"X")


def _children(pid: str) -> list[int]:
    """Children of all threads of a process: the kernel hands an orphan to any one of its adopter's threads."""
    children: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                children += [int(child) for child in file.read().split()]
    except OSError:
        pass  # it ended while we looked
    return children


def _own_parent() -> int | None:
    """Our parent in the pid namespace that /proc shows, which need not be the one os.getppid() speaks of."""
    fields = _stat("self")
    return int(fields[1]) if fields else None


def _stat(pid: int | str) -> list[bytes] | None:
    """The fields of /proc/PID/stat from the state on; the name before it may hold spaces and parentheses."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None
