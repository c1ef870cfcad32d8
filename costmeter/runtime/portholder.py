"""Who listens on a port, as far as this user may see it: from /proc, without a program to ask."""

import ipaddress
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

#: The fourth field of /proc/net/tcp for a socket that listens (include/net/tcp_states.h).
_LISTENS = "0A"
_TABLES = ("tcp", "tcp6")


def addresses(pid: int, proc: Path = Path("/proc")) -> list[tuple[str, int]]:
    """Where a process listens, in order: loopback stands for every address. Empty where we may not see it."""
    try:
        held = {_target(link) for link in (proc / str(pid) / "fd").iterdir()}
    except OSError:
        return []
    return sorted({(_host(address), port) for address, port, inode in _listening(proc) if f"socket:[{inode}]" in held})


def listener(port: int, proc: Path = Path("/proc")) -> int | None:
    """The process that listens on a port, on whatever address; None where none does or we may not see which."""
    links = {f"socket:[{inode}]" for _, each, inode in _listening(proc) if each == port}
    for pid in _pids(proc) if links else ():
        with suppress(OSError):  # another user's process, or gone meanwhile
            if any(_target(link) in links for link in (proc / str(pid) / "fd").iterdir()):
                return pid
    return None


def _listening(proc: Path) -> Iterator[tuple[str, int, str]]:
    """Address (in the kernel's hexadecimal), port and inode of every socket that listens."""
    for table in _TABLES:
        with suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if len(fields) > 9 and fields[3] == _LISTENS:
                    address, _, port = fields[1].rpartition(":")
                    yield address, int(port, 16), fields[9]


def _host(address: str) -> str:
    """The kernel's address, words of 32 bits in its own order of bytes, as a URL has it."""
    words = (int(address[place : place + 8], 16) for place in range(0, len(address), 8))
    found = ipaddress.ip_address(b"".join(word.to_bytes(4, sys.byteorder) for word in words))
    if found.is_unspecified:
        return "127.0.0.1"
    return f"[{found}]" if found.version == 6 else str(found)


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
