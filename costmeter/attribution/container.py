"""Which container a process is in, as the paths of its control groups say (cgroups(7); /proc/PID/cgroup).

Each engine writes the container's id, 64 hex digits, into the last parts of the path:

- Docker: `/docker/<id>`, or `/system.slice/docker-<id>.scope`
- containerd and CRI-O of Kubernetes: `/kubepods…/pod<uid>/<id>`, or `cri-containerd-<id>.scope`, `crio-<id>.scope`
- Podman: `libpod-<id>.scope`, with `/container` behind it; its own monitor is in `libpod-conmon-<id>.scope`
"""

import re
from collections.abc import Iterable

_ID = re.compile(r"(?:(?P<engine>[a-z][a-z-]*)-)?(?P<id>[0-9a-f]{64})(?:\.scope)?")
#: Processes beside a container that watch over it are not in it.
_WATCHERS = ("conmon", "-conmon")
_SHOWN_DIGITS = 12


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


def is_of_a_pod(cgroups: Iterable[str]) -> bool:
    """Whether a process is in a pod of Kubernetes, or may be, for all that can be seen of its control groups."""
    paths = [path for path in cgroups if path.strip("/.")]
    return not paths or any("kubepods" in path for path in paths)
