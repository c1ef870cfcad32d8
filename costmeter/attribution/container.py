"""Which container a process is in, as the paths of its control groups say (cgroups(7); /proc/PID/cgroup).

Each engine writes the container's id, 64 hex digits, into the last parts of the path:

- Docker: `/docker/<id>`, or `/system.slice/docker-<id>.scope`
- containerd and CRI-O of Kubernetes: `/kubepods…/pod<uid>/<id>`, or `cri-containerd-<id>.scope`, `crio-<id>.scope`
- Podman: `libpod-<id>.scope`, with `/container` behind it; its own monitor is in `libpod-conmon-<id>.scope`

The kubelet keeps its pods below `/kubepods` (cgroupfs) or `/kubepods.slice` (systemd), k3s and RKE likewise. Nodes that
are containers themselves have theirs below the container's group, kind's below `kubelet` in it. Seen from within a pod,
paths begin with a `/..` for each level up to where both meet. What is below `user.slice` any user may have made.
"""

import re
from collections.abc import Iterable

_ID = re.compile(r"(?:(?P<engine>[a-z][a-z-]*)-)?(?P<id>[0-9a-f]{64})(?:\.scope)?")
#: Processes beside a container that watch over it are not in it.
_WATCHERS = ("conmon", "-conmon")
_SHOWN_DIGITS = 12
_NODE = (
    r"(?:/docker/[0-9a-f]{64}|/system\.slice/docker-[0-9a-f]{64}\.scope"
    r"|/machine\.slice/libpod-[0-9a-f]{64}\.scope(?:/container)?)"
)
_FROM_THE_ROOT = rf"{_NODE}?(?:/kubelet)?/kubepods|{_NODE}?(?:/kubelet\.slice/kubelet-|/)kubepods\.slice"
_FROM_WITHIN = r"(?:/(?:burstable|besteffort))?/pod[0-9a-f-]{32,36}|/(?:kubelet-)?kubepods-[^/]+\.slice"
#: The groups of pods, and whatever is in them.
_OF_A_POD = re.compile(rf"(?:(?:/\.\.)*(?:{_FROM_THE_ROOT})|(?:/\.\.)+(?:{_FROM_WITHIN}))(?:/.*)?")


def container_of(cgroups: Iterable[str]) -> str:
    """The id of the innermost container that the paths name; empty where there is none."""
    found, depth = "", -1
    for path in cgroups:
        for at, part in enumerate(path.split("/")):
            match = _ID.fullmatch(part)
            if match is not None and at > depth and not (match["engine"] or "").endswith(_WATCHERS):
                found, depth = match["id"], at
    return found


def run_id(container: str) -> str:
    """The run that a container is where nobody names it: as many digits of its id as the engines show."""
    return f"container-{container[:_SHOWN_DIGITS]}"


def is_of_a_pod(cgroups: Iterable[str]) -> bool | None:
    """Whether a process is in a pod of Kubernetes; None where its control groups are not shown."""
    paths = [path for path in cgroups if path.strip("/.")]
    return any(map(_OF_A_POD.fullmatch, paths)) if paths else None
