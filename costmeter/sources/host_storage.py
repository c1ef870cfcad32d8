"""The size of a file or folder: the sum of the sizes of its regular files, as storage is sold.

A file counts with its length (`st_size`), not with the blocks it takes on one file system: that is what object stores
and quotas bill. Files with several names count once; links to elsewhere are not followed, except the path itself when
it is one; other file systems mounted below are left out. Files come and go while the tree is walked: a walk finds each
that was there all the time.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from costmeter.readings import Missing

#: Beyond so many entries a walk is given up: a folder that big belongs to a quota's own counter.
MOST_ENTRIES = 2_000_000
#: After so many entries a walk rests, so that it leaves most of a core to whoever else is in this process.
ENTRIES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Size:
    """What a walk found. `unread` counts what could not be read in it; `exists` is False where there is nothing."""

    size_bytes: int
    unread: int = 0
    exists: bool = True


@dataclass(slots=True)
class _Walk:
    """One walk under way."""

    device: int
    seen: set[tuple[int, int]] = field(default_factory=set)
    size_bytes: int = 0
    unread: int = 0
    entries: int = 0


def measure(path: str, rest: Callable[[], bool]) -> Size | Missing:
    """The size below a path now; Missing with the reason where it cannot be told.

    `rest` is called now and then, may wait, and says whether to go on. A path that does not exist has a size of 0.
    """
    try:
        top = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Size(0, exists=False)
    except (OSError, ValueError) as refusal:
        return Missing(_words(refusal))
    if not stat.S_ISDIR(top.st_mode):
        return Size(top.st_size) if stat.S_ISREG(top.st_mode) else Missing("neither a file nor a folder")
    walk = _Walk(top.st_dev)
    folders = [path]
    while folders:
        folder = folders.pop()
        for entry in _entries(folder, walk):
            walk.entries += 1
            if walk.entries > MOST_ENTRIES:
                return Missing(f"more than {MOST_ENTRIES:,} files; name a folder inside, or give it as gb")
            if walk.entries % ENTRIES_AT_ONCE == 0 and not rest():
                return Missing("the run has ended")
            if _count(entry, walk):
                folders.append(entry.path)
    if walk.unread and not walk.size_bytes:
        return Missing("permission denied")
    return Size(walk.size_bytes, walk.unread)


def _entries(folder: str, walk: _Walk) -> Iterator["os.DirEntry[str]"]:
    """What a folder holds, one by one; a folder that vanished holds nothing, one that refuses is counted."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        walk.unread += 1


def _count(entry: "os.DirEntry[str]", walk: _Walk) -> bool:
    """Count one entry; whether it is a folder to go into."""
    try:
        facts = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # it vanished
        return False
    except OSError:  # its folder may be listed and not entered
        walk.unread += 1
        return False
    if stat.S_ISDIR(facts.st_mode):
        return facts.st_dev == walk.device
    if not stat.S_ISREG(facts.st_mode):
        return False
    if facts.st_nlink > 1:
        if (facts.st_dev, facts.st_ino) in walk.seen:
            return False
        walk.seen.add((facts.st_dev, facts.st_ino))
    walk.size_bytes += facts.st_size
    return False


def _words(refusal: OSError | ValueError) -> str:
    text = refusal.strerror if isinstance(refusal, OSError) else None
    return (text or str(refusal)).lower()
