"""The instant at which a simulated node began, the same for every process of the machine.

The first process that opens a scenario writes the instant (CLOCK_BOOTTIME) to a small file; the others read it. The
name of the file holds the scenario's content and the boot, so an edited scenario or a reboot begins a new node.
"""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def shared_epoch(content_key: str, now_boottime_ns: int, warn: Callable[[str], None] = lambda _: None) -> int:
    """The epoch of the node with this content, begun now when nobody opened it before.

    Where no file can be agreed on it is begun now, and `warn` is told why.
    """
    try:
        return _agreed(directory() / f"simulated-{content_key}-{_boot_key()}.epoch", now_boottime_ns)
    except (OSError, ValueError) as error:
        warn(f"the simulated GPUs are not those of your other processes: {error}")
        return now_boottime_ns


def _agreed(path: Path, now_boottime_ns: int) -> int:
    """Write the file whole and link it into place: the first link wins, and nobody reads half a number."""
    if not path.exists():
        handle, draft = tempfile.mkstemp(prefix=".epoch-", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(f"{now_boottime_ns}\n")
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was first, and its epoch holds
        finally:
            os.unlink(draft)
    return int(path.read_text(encoding="ascii"))


def directory() -> Path:
    """Where a user's processes meet; made private, and refused when it is somebody else's."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    fallback = Path(tempfile.gettempdir()) / f"costmeter-{os.getuid()}"
    directory = Path(runtime) / "costmeter" if runtime else fallback
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        directory = fallback
        directory.mkdir(mode=0o700, exist_ok=True)
    facts = directory.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        raise NotADirectoryError(f"{directory} is a link or a file, and a folder is needed")
    if facts.st_uid != os.getuid():
        raise PermissionError(f"{directory} belongs to another user")
    return directory


def _boot_key() -> str:
    """The first part of the kernel's boot id; it is random, so a part tells boots apart."""
    return _BOOT_ID.read_text(encoding="ascii").partition("-")[0].strip()
