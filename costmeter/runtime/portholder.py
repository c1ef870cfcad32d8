"""Who listens on a port, as far as this user may see it: from /proc, without a program to ask."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

#: The fourth field of /proc/net/tcp for a socket that listens (include/net/tcp_states.h).
_LISTENS = "0A"
_TABLES = ("tcp", "tcp6")


def listener(port: int, proc: Path = Path("/proc")) -> int | None:
    """The process that listens on a port, on whatever address; None where none does or we may not see which."""
    links = {f"socket:[{inode}]" for inode in _inodes(port, proc)}
    for pid in _pids(proc) if links else ():
        with suppress(OSError):  # another user's process, or gone meanwhile
            if any(_target(link) in links for link in (proc / str(pid) / "fd").iterdir()):
                return pid
    return None


def _inodes(port: int, proc: Path) -> Iterator[str]:
    """The sockets that listen on a port."""
    for table in _TABLES:
        with suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if len(fields) > 9 and fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _pids(proc: Path) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(proc) if name.isdigit())
    except OSError:
        return []


def _target(link: Path) -> str:
    """Where a descriptor leads; nowhere when it was closed meanwhile."""
    try:
        return os.readlink(link)
    except OSError:
        return ""
