"""Whether a run is on several nodes, and whether its meters can see each other's journals there."""

import os
from collections.abc import Mapping
from pathlib import Path

#: File systems that every node of a cluster sees alike, by the beginning of their names in /proc/self/mountinfo.
_SHARED = ("nfs", "lustre", "beegfs", "gpfs", "ceph", "cifs", "smb", "afs", "9p", "glusterfs", "pvfs2", "panfs")
_FUSE = "fuse."
#: Where the kernel lists what is mounted.
MOUNTS = "/proc/self/mountinfo"


def nodes(environ: Mapping[str, str]) -> int:
    """On how many nodes the run is, as Slurm or its launcher says; 1 where nobody says so."""
    counts = [_number(environ.get(name)) for name in ("SLURM_NNODES", "SLURM_JOB_NUM_NODES")]
    world, local = _number(environ.get("WORLD_SIZE")), _number(environ.get("LOCAL_WORLD_SIZE"))
    if world > local > 0:
        counts.append(-(-world // local))
    return max(1, *counts)


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


def why_no_stop(environ: Mapping[str, str], state: Path) -> str:
    """Why a run may not be stopped by its budget; empty where it may.

    On several nodes each meter sees what its own costs; only in a folder that all of them see do they see the whole.
    """
    count = nodes(environ)
    if count == 1:
        return ""
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            mounted = file.read()
    except OSError:
        mounted = ""
    if is_shared(state, mounted):
        return ""
    return f"the run is on {count} nodes, and {state} is not on a file system that they share"


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else 0


def _unescaped(text: str) -> str:
    """A path of mountinfo, in which blanks and the like are octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
