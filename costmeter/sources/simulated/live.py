"""Real processes that say they compute on a simulated GPU: a file for each, named by its pid, while it lives.

`<folder>/<index of the board>/<pid>`, or `<folder>/<index>:<place>/<pid>` for an instance of a divided board. Such a
process is listed beside those of the scenario until it ends, as a driver lists one until its context is gone.
"""

import os
from pathlib import Path

from costmeter.sources.simulated.scenario import Gpu, Instance, Process

#: The folder's name below the one where a user's processes meet.
NAME = "processes"


class LiveProcesses:
    """The processes that a folder names; none without a folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def on(self, gpu: Gpu, kind: str) -> list[Process]:
        """The processes of a kind on a board, those of its instances included. All of them compute."""
        if self._folder is None or kind != "compute":
            return []
        own = [Process(pid, "compute", 0) for pid in _pids(self._folder / str(gpu.index))]
        return own + [each for instance in gpu.mig or () for each in self.within(gpu, instance, kind)]

    def within(self, gpu: Gpu, instance: Instance, kind: str) -> list[Process]:
        """The processes of a kind in one instance of a board."""
        if self._folder is None or kind != "compute":
            return []
        board, own = instance.gpu_instance, instance.compute_instance
        pids = _pids(self._folder / f"{gpu.index}:{instance.place}")
        return [Process(pid, "compute", 0, gpu_instance=board, compute_instance=own) for pid in pids]


def _pids(folder: Path) -> list[int]:
    """The pids among a folder's names whose processes live, in order."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    pids = sorted(int(name) for name in names if name.isascii() and name.isdecimal() and len(name) <= 10)
    return [pid for pid in pids if _lives(pid)]


def _lives(pid: int) -> bool:
    """Whether there is such a process; one that is dead and not reaped has no context on a GPU."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")
