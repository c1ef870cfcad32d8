"""What a meter of the whole node lacks that more privilege would give: each with the one thing that enables it.

None is needed: without them a run is found by its announcement, its parents and its control group, and what is not
found is its user's. Where a fact about another process is not shown to us, nothing is said of it.
"""

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from costmeter.attribution.slurm import jobs_in

#: Numbers of capabilities (include/uapi/linux/capability.h).
_DAC_OVERRIDE, _DAC_READ_SEARCH, _SYS_PTRACE = 1, 2, 19
#: The inode of the first pid namespace of a machine (PROC_PID_INIT_INO, include/linux/proc_ns.h).
_FIRST_PID_NAMESPACE = "pid:[4026531836]"
_SLURM_SETTINGS = ("/etc/slurm/slurm.conf", "/etc/slurm-llnl/slurm.conf")
_KUBELET_FOLDER = Path("/var/lib/kubelet")


@dataclass(frozen=True, slots=True)
class Lack:
    """What is not seen, and so not known; and what enables it."""

    what: str
    enable: str

    def __str__(self) -> str:
        return f"{self.what}. Enable: {self.enable}"


def lacks(pid: int, slurm_folder: Path | None, kubelet_socket: Path, is_simulated: bool) -> Iterator[Lack]:
    """All that the process `pid` would see with more privilege; of files, what this process may open."""
    yield from of_processes(pid, is_simulated)
    found = kubelet(kubelet_socket), None if slurm_folder is None else slurm(slurm_folder)
    yield from (lack for lack in found if lack is not None)


def of_processes(pid: int, is_simulated: bool, proc: Path = Path("/proc")) -> Iterator[Lack]:
    """What the process `pid` does not see of others. A simulated node's processes are numbers, of no namespace."""
    may_trace = has_capability(pid, _SYS_PTRACE, proc)
    if not may_trace and not os.access(proc / "1" / "stat", os.R_OK):
        yield Lack(
            "other users' processes are hidden (hidepid), so whose GPUs are held only announcements tell",
            "CAP_SYS_PTRACE, or the group that /proc is mounted with (gid=)",
        )
    # /proc/PID/environ is a file of its user's, mode 0400, and the kernel asks besides whether we may trace him.
    may_open = any(has_capability(pid, number, proc) for number in (_DAC_OVERRIDE, _DAC_READ_SEARCH))
    if not (may_trace and may_open):
        yield Lack(
            "other users' environments cannot be read, so a run that only COSTMETER_RUN_ID names is its user's",
            "AmbientCapabilities=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH in the unit",
        )
    if not is_simulated and _pid_namespace(pid, proc) not in ("", _FIRST_PID_NAMESPACE):
        yield Lack(
            "it has a pid namespace of its own, so the processes that NVML lists cannot be told apart",
            "hostPID: true, or docker run --pid=host",
        )


def kubelet(socket: Path, folder: Path = _KUBELET_FOLDER) -> Lack | None:
    """Why the kubelet that is here cannot be asked; None where it can, or where there is none."""
    if not (os.path.exists(socket) or os.path.isdir(folder)):
        return None
    if not os.access(socket, os.R_OK | os.W_OK):
        return Lack(
            f"the kubelet is here, and {socket} cannot be opened, so pods are found by their containers only",
            f"CAP_DAC_OVERRIDE, and in a container a hostPath mount of {socket.parent}",
        )
    if importlib.util.find_spec("grpc") is None:
        return Lack("the kubelet is here, and grpc to ask it is not", "pip install 'costmeter[kubernetes]'")
    return None


def slurm(folder: Path, is_here: bool | None = None) -> Lack | None:
    """Why Slurm's allocations are not known; None where they are, or where there is no Slurm."""
    if not (any(map(os.path.exists, _SLURM_SETTINGS)) if is_here is None else is_here):
        return None
    if not os.path.isdir(folder):
        return Lack(
            f"Slurm is here, and no prolog has written to {folder}, so jobs are found by their processes only",
            "Prolog= and Epilog= in slurm.conf: examples/slurm/prolog.sh",
        )
    faults = jobs_in(str(folder)).faults
    return Lack(f"Slurm's job files: {faults[0]}", f"ls -l {folder}") if faults else None


def host_energy(sysfs: Path) -> Lack | None:
    """Why the host's energy counters cannot be read that are here; None where they can, or there are none."""
    closed = sorted(each for each in sysfs.glob("class/powercap/*/energy_uj") if not os.access(each, os.R_OK))
    if not closed:
        return None
    what = f"{closed[0]} may be read by root only, so the host's energy is not counted"
    return Lack(what, f"CAP_DAC_READ_SEARCH, or chmod a+r {closed[0].parent.parent}/*/energy_uj")


def has_capability(pid: int, number: int, proc: Path = Path("/proc")) -> bool:
    """Whether a process has a capability in effect; taken for granted where that is not shown."""
    try:
        lines = (proc / str(pid) / "status").read_text(errors="replace").splitlines()
    except OSError:
        return True
    shown = [line.split()[1] for line in lines if line.startswith("CapEff:")]
    return not shown or bool(int(shown[0], 16) >> number & 1)


def _pid_namespace(pid: int, proc: Path) -> str:
    """A process's pid namespace; empty where we may not see it."""
    try:
        return os.readlink(proc / str(pid) / "ns" / "pid")
    except OSError:
        return ""
