"""Whether a run is on several nodes, and whether its meters can see each other's journals there."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

#: File systems that every node of a cluster sees alike, by the beginning of their names in /proc/self/mountinfo.
_SHARED = ("nfs", "lustre", "beegfs", "gpfs", "ceph", "cifs", "smb", "afs", "9p", "glusterfs", "pvfs2", "panfs")
_FUSE = "fuse."
#: Where the kernel lists what is mounted.
MOUNTS = "/proc/self/mountinfo"


#: Who tells a process how many there are, and how many of them on its own node: torchrun, Open MPI, MPICH.
_SIZES = (
    ("WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_SIZE", "MPI_LOCALNRANKS"),
)
_COUNTS = ("SLURM_NNODES", "SLURM_JOB_NUM_NODES", "PET_NNODES")
#: The options of torchrun, accelerate and deepspeed.
_FLAGS = ("--nnodes", "--num_machines", "--num_nodes")


def nodes(environ: Mapping[str, str], command: Sequence[str] = ()) -> int | None:
    """On how many nodes the run is at most, as Slurm, MPI or its launcher says; 1 where nobody says anything.

    None where there are several processes and nobody says how many of them are on this node.
    """
    counts = [_most(environ.get(name, "")) for name in _COUNTS] + _asked_for(command)
    is_unknown = False
    for all_of_them, of_this_node in _SIZES:
        world, local = _number(environ.get(all_of_them)), _number(environ.get(of_this_node))
        if world > 1 and local == 0:
            is_unknown = True
        elif local:
            counts.append(-(-world // local))
    most = max(counts, default=0)
    return most if most > 0 else None if is_unknown else 1


def _asked_for(command: Sequence[str]) -> list[int]:
    """What a launcher's command line says: `--nnodes=2`, `--nnodes 1:4`."""
    counts = []
    for word, following in zip(command, (*command[1:], ""), strict=False):
        name, equals, value = word.partition("=")
        if name.replace("-", "_").replace("__", "--", 1) in _FLAGS:
            counts.append(_most(value if equals else following))
    return counts


def _most(text: str) -> int:
    """The larger number of `2` or `1:4`; 0 where it is none."""
    return max(map(_number, text.split(":")))


def is_shared(folder: Path, mountinfo: str) -> bool:
    """Whether a folder lies on a network's file system, in the kernel's list of what is mounted (proc(5))."""
    here, best, kind = os.path.abspath(folder), "", ""
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        where = fields.split()
        if len(where) < 5 or not rest.split():
            continue
        point = _unescaped(where[4])
        if len(point) >= len(best) and (here == point or here.startswith(point.rstrip("/") + "/")):
            best, kind = point, rest.split()[0]  # of two on one place the later covers the earlier
    return kind.removeprefix(_FUSE).startswith(_SHARED)


def why_no_stop(environ: Mapping[str, str], state: Path, command: Sequence[str] = ()) -> str:
    """Why a run may not be stopped by its budget; empty where it may.

    On several nodes each meter sees what its own costs; only in a folder that all of them see do they see the whole.
    """
    count = nodes(environ, command)
    if count == 1:
        return ""
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            mounted = file.read()
    except OSError:
        mounted = ""
    if is_shared(state, mounted):
        return ""
    on = f"on {count} nodes" if count else "on nobody says how many nodes (no LOCAL_WORLD_SIZE or the like)"
    return f"the run is {on}, and {state} is not on a file system that they share"


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else 0


def _unescaped(text: str) -> str:
    """A path of mountinfo, in which blanks and the like are octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
