"""What /proc says of the processes that compute on GPUs: whose they are, from whom they descend, what they are part of.

A process is named by pid and start time, since pids are used again. /proc is read without a library between: a process
that is known costs one file every look. Whatever is not shown (another user's environment, a process of another pid
namespace, one that has just ended) is left out or a `Missing`, never guessed.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from costmeter.attribution.container import container_of
from costmeter.attribution.slurm import Step, step_of_cgroups, step_of_title
from costmeter.readings import Missing

#: A process: its pid and its start, in clock ticks since boot.
Identity = tuple[int, int]
#: The variable by which a process says of which run it is, and what it may hold.
RUN_VARIABLE = "COSTMETER_RUN_ID"
_FIT_RUN = re.compile(rb"[A-Za-z0-9._-]{1,64}")
#: Arguments and environment together have 6 MiB at most on Linux (execve(2)); what lies beyond this much is not sought.
_MOST_ENVIRONMENT_BYTES = 2**20
#: Each process that does not answer costs a wait and a thread: beyond so many no other is asked.
_MOST_SILENT = 4
#: A process has a few ancestors; this many would be a knot, of processes that ended and pids that were used again.
_MOST_ANCESTORS = 256
_SLURM_STEP_DAEMON = "slurmstepd"

UNREADABLE = Missing("its environment cannot be read (another user's; needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH)")
_SILENT = Missing("its environment did not answer in time")


@dataclass(frozen=True, slots=True)
class Process:
    """One process. `uid` is the real one: who started it. `name` is the kernel's, of at most 15 characters.

    `ancestors` begin with its parent and end with the first process that is seen. `cgroups` are the paths of its
    control groups, each once; `step` and `container` are what these say, or the ancestors. `run` is what its
    environment names, empty where it names none.
    """

    pid: int
    start_ticks: int
    uid: int
    name: str = ""
    ancestors: tuple[Identity, ...] = ()
    cgroups: tuple[str, ...] = ()
    step: Step | None = None
    container: str = ""
    run: str | Missing = ""

    @property
    def identity(self) -> Identity:
        """Pid and start."""
        return self.pid, self.start_ticks


@dataclass(frozen=True, slots=True)
class _Stat:
    """The part of /proc/PID/stat that is asked every time."""

    name: str
    parent: int
    start_ticks: int


@dataclass(frozen=True, slots=True)
class _Facts:
    """What does not change while a process runs the same program."""

    stat: _Stat
    uid: int
    cgroups: tuple[str, ...]
    run: str | Missing


class Processes:
    """The processes of this machine. Not for several threads at once.

    `patiently` asks what may hang: the environment and the arguments of a process lie in its own memory, which a sick
    one can keep locked. It returns None where no answer came in time.
    """

    def __init__(
        self, patiently: Callable[[Callable[[], bytes]], bytes | None] = lambda ask: ask(), folder: str = "/proc"
    ) -> None:
        self._patiently, self._folder = patiently, folder
        self._known: dict[Identity, _Facts] = {}
        self._titles: dict[Identity, str] = {}
        self._silent = 0

    def look(self, pids: Iterable[int]) -> dict[int, Process]:
        """Those of these processes that live. What is known of others is forgotten."""
        stats: dict[int, _Stat | None] = {}
        found: dict[int, Process] = {}
        known, titles = self._known, self._titles
        self._known, self._titles = {}, {}
        self._silent = sum(facts.run is _SILENT for facts in known.values())
        for pid in dict.fromkeys(pids):
            here = self._stat(pid, stats)
            if here is None:
                continue
            identity = pid, here.start_ticks
            facts = known.get(identity)
            if facts is None or facts.stat.name != here.name:  # another program, and with it another environment
                facts = self._facts(pid, here)
            if facts is None:
                continue
            self._known[identity] = facts
            ancestors = self._ancestors(here, stats)
            found[pid] = Process(
                pid,
                here.start_ticks,
                facts.uid,
                here.name,
                ancestors,
                facts.cgroups,
                step_of_cgroups(facts.cgroups) or self._step_above(ancestors, stats, titles),
                container_of(facts.cgroups),
                facts.run,
            )
        return found

    def is_alive(self, identity: Identity) -> bool:
        """Whether that very process still runs."""
        stat = self._stat(identity[0], {})
        return stat is not None and stat.start_ticks == identity[1]

    # One process

    def _stat(self, pid: int, stats: dict[int, _Stat | None]) -> _Stat | None:
        """Name, parent and start; None for one that has ended, is not reaped yet, or cannot be seen."""
        if pid not in stats:
            stats[pid] = _parsed(self._read(pid, "stat"))
        return stats[pid]

    def _facts(self, pid: int, here: _Stat) -> _Facts | None:
        uid = _uid(self._read(pid, "status"))
        if uid is None:
            return None
        return _Facts(here, uid, _paths(self._read(pid, "cgroup")), self._run(pid))

    def _run(self, pid: int) -> str | Missing:
        """The run that the environment names. The file opens for us or it does not; only reading it may hang."""
        if self._silent >= _MOST_SILENT:
            return _SILENT
        try:
            handle = os.open(f"{self._folder}/{pid}/environ", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return UNREADABLE

        def read() -> bytes:
            with os.fdopen(handle, "rb", buffering=0) as file:
                return _all_of(file.read)

        try:
            environment = self._patiently(read)
        except OSError:
            return UNREADABLE
        if environment is None:
            self._silent += 1
            return _SILENT
        return _named(environment)

    # Above it

    def _ancestors(self, here: _Stat, stats: dict[int, _Stat | None]) -> tuple[Identity, ...]:
        found: list[Identity] = []
        above = here.parent
        while above and len(found) < _MOST_ANCESTORS:
            stat = self._stat(above, stats)
            if stat is None:
                break
            found.append((above, stat.start_ticks))
            above = stat.parent
        return tuple(found)

    def _step_above(
        self, ancestors: Iterable[Identity], stats: Mapping[int, _Stat | None], titles: Mapping[Identity, str]
    ) -> Step | None:
        """The step whose daemon a process descends from. Anybody may take its name, but only root's process is it."""
        for identity in ancestors:
            stat = stats[identity[0]]
            if stat is None or stat.name != _SLURM_STEP_DAEMON:
                continue
            title = self._titles.get(identity, titles.get(identity))
            if title is None:
                title = self._title(identity[0])
            self._titles[identity] = title
            return step_of_title(title)
        return None

    def _title(self, pid: int) -> str:
        if _uid(self._read(pid, "status")) != 0:
            return ""
        try:
            title = self._patiently(lambda: self._read(pid, "cmdline") or b"")
        except OSError:
            return ""
        return (title or b"").split(b"\0")[0].decode(errors="replace")

    def _read(self, pid: int, name: str) -> bytes | None:
        try:
            handle = os.open(f"{self._folder}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return os.read(handle, 65_536)
        except OSError:
            return None
        finally:
            os.close(handle)


def _parsed(stat: bytes | None) -> _Stat | None:
    """The fields of /proc/PID/stat (proc(5)); the name may hold spaces and parentheses."""
    if not stat:
        return None
    before, _, after = stat.rpartition(b")")
    fields = after.split()
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    return _Stat(before.partition(b"(")[2].decode(errors="replace"), int(fields[1]), int(fields[19]))


def _uid(status: bytes | None) -> int | None:
    """The real user of /proc/PID/status."""
    for line in (status or b"").splitlines():
        if line.startswith(b"Uid:"):
            return int(line.split()[1])
    return None


def _paths(cgroup: bytes | None) -> tuple[str, ...]:
    """The paths of /proc/PID/cgroup: `hierarchy:controllers:path` lines."""
    lines = (cgroup or b"").decode(errors="replace").splitlines()
    return tuple(dict.fromkeys(line.split(":", 2)[2] for line in lines if line.count(":") >= 2))


def _all_of(read: Callable[[int], bytes | None]) -> bytes:
    """A file of /proc, which gives a page at a time, as far as is looked at."""
    found = b""
    while len(found) < _MOST_ENVIRONMENT_BYTES:
        more = read(65_536)
        if not more:
            break
        found += more
    return found


def _named(environment: bytes) -> str:
    """The run that an environment names, in the form that names of runs have."""
    key = RUN_VARIABLE.encode() + b"="
    start = 0 if environment.startswith(key) else environment.find(b"\0" + key) + 1
    if start == 0 and not environment.startswith(key):
        return ""
    value = environment[start + len(key) :].split(b"\0", 1)[0]
    return value.decode() if _FIT_RUN.fullmatch(value) and value.strip(b".") else ""
