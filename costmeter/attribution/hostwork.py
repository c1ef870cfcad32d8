"""How much of the host the processes on GPUs use: a GPU that is idle while its host works waits for it.

A process counts with all that descend from it: loaders read, decode and augment in processes of their own.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from costmeter.clock import Clock
from costmeter.units import NANOSECONDS_PER_SECOND

#: On a machine of more processes none is looked at: a look stays short (20 µs each; a large node has some 4,000).
MOST_PROCESSES = 8_000
_MOST_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class _Used:
    """One process: its parent, its start in clock ticks since boot, and the ticks that it used.

    What its children used is in `ticks` once they have ended and it has waited for them (proc(5): cutime, cstime).
    """

    parent: int
    start_ticks: int
    ticks: int


class HostWork:
    """The cores that processes use, from one look to the next. Not for several threads at once."""

    def __init__(self, folder: str = "/proc", ticks_per_second: int = 0) -> None:
        self._folder = folder
        self._ticks_per_second = ticks_per_second or os.sysconf("SC_CLK_TCK")
        self._seen: Mapping[int, _Used] = {}
        self._at_ns = 0

    def look(self, roots: Mapping[str, Collection[int]], at_ns: int) -> dict[str, float]:
        """By name, how many cores its processes have used since the look before, with all that descend from them.

        A name is left out where none of its processes has been seen twice. `at_ns` is CLOCK_BOOTTIME. Nobody is looked
        at where there are no processes to ask about.
        """
        before, before_ns = self._seen, self._at_ns
        self._seen = now = self._all() if any(roots.values()) else {}
        self._at_ns = at_ns
        if not before or not now or at_ns <= before_ns:
            return {}
        children = _children(now)
        ended = _ended(before, now)
        new_ticks = before_ns * self._ticks_per_second // NANOSECONDS_PER_SECOND
        found: dict[str, float] = {}
        for name, pids in roots.items():
            tree = _below(pids, children, now)
            if any(_is_same(pid, before, now) for pid in tree):
                ticks = sum(_more(pid, before, now, new_ticks) - ended.get(pid, 0) for pid in tree)
                seconds = max(0, ticks) / self._ticks_per_second
                found[name] = seconds * NANOSECONDS_PER_SECOND / (at_ns - before_ns)
        return found

    def _all(self) -> dict[int, _Used]:
        """Every process that is shown, none where there are too many; one that ends meanwhile is left out."""
        try:
            names = os.listdir(self._folder)
        except OSError:
            return {}
        pids = [int(name) for name in names if name.isdecimal()]
        if len(pids) > MOST_PROCESSES:
            return {}
        found = ((pid, self._used(pid)) for pid in pids)
        return {pid: used for pid, used in found if used is not None}

    def _used(self, pid: int) -> _Used | None:
        try:
            handle = os.open(f"{self._folder}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fields = os.read(handle, _MOST_BYTES).rpartition(b")")[2].split()
        except OSError:
            return None
        finally:
            os.close(handle)
        if len(fields) < 20:
            return None
        return _Used(int(fields[1]), int(fields[19]), sum(map(int, fields[11:15])))


def _children(processes: Mapping[int, _Used]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for pid, used in processes.items():
        found.setdefault(used.parent, []).append(pid)
    return found


def _below(pids: Iterable[int], children: Mapping[int, list[int]], now: Mapping[int, _Used]) -> frozenset[int]:
    """These processes and all that descend from them, each once."""
    found: set[int] = set()
    waiting = [pid for pid in pids if pid in now]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, ())
    return frozenset(found)


def _is_same(pid: int, before: Mapping[int, _Used], now: Mapping[int, _Used]) -> bool:
    return pid in before and before[pid].start_ticks == now[pid].start_ticks


def _ended(before: Mapping[int, _Used], now: Mapping[int, _Used]) -> dict[int, int]:
    """By parent, the ticks that its children which ended meanwhile had used before: they come to it once more."""
    found: dict[int, int] = {}
    for pid, used in before.items():
        if pid not in now or now[pid].start_ticks != used.start_ticks:
            found[used.parent] = found.get(used.parent, 0) + used.ticks
    return found


def _more(pid: int, before: Mapping[int, _Used], now: Mapping[int, _Used], new_ticks: int) -> int:
    """What a process used since; of one that was not there, all, and of one that was not seen, nothing."""
    if _is_same(pid, before, now):
        return now[pid].ticks - before[pid].ticks
    return now[pid].ticks if now[pid].start_ticks >= new_ticks else 0


class RunWork:
    """How much of the host one run uses: a process and all that descend from it."""

    def __init__(self, pid: int, clock: Clock) -> None:
        self._pid, self._clock, self._work = pid, clock, HostWork()

    def cores(self) -> float | None:
        """The cores that it has used since this was asked last; None at first, and where the process is not shown."""
        return self._work.look({"": (self._pid,)}, self._clock.boottime_ns()).get("")
