"""What was shown of a node that its journal does not have: told by a few bytes that were there before a disk was full.

A restarted agent goes on from the journal only where no value beyond it was ever shown. So before the first such value
is shown, a marker is set: bytes that are overwritten in place, in a file that was made at the start. There are up to
two, one in memory (/run), one beside the journal; either is enough. They also name the newest journal whose values
were shown: where that one is gone, the one before it would be too little. And they say whether there was an open slot
beside it: where that is gone, the closed ones are too little. A folder in memory may be that of several agents, so a
marker in it has the folder of the journals in its name.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from costmeter.ledger import kinds
from costmeter.ledger.journal import safe_name
from costmeter.ledger.line import seal, unseal

#: A marker has a fixed length: what is overwritten in place takes no room on a full disk.
_BYTES = 1_024
_PRIVATE = 0o600
#: What stands for a folder in the name of a marker.
_FOLDER_DIGITS = 16
_SHAPE: kinds.Shape = {
    "boot_id": kinds.text,
    "beyond": kinds.truth,
    "journal": kinds.text,
    "opened": kinds.truth,
    "marker": kinds.text,
}


@dataclass(frozen=True, slots=True)
class Shown:
    """Whether values were shown that no journal has, and which journals had shown values when they were the newest.

    Those of them that are `opened` had an open slot. `unreadable` are markers of which nobody can say what they tell.
    """

    beyond: bool = False
    journals: frozenset[str] = frozenset()
    opened: frozenset[str] = frozenset()
    unreadable: tuple[str, ...] = ()


def marker_paths(folder: Path, host: str, runtime: Path | None) -> tuple[Path, ...]:
    """Where the markers of a host are: the surest first, in memory, then beside the journals in `folder`.

    No disk is asked: two names of one folder are two folders to the first, and one to the second.
    """
    name, which = safe_name(host), hashlib.sha256(os.fsencode(os.path.abspath(folder))).hexdigest()[:_FOLDER_DIGITS]
    beside = folder / f"{name}.shown"
    return (beside,) if runtime is None else (runtime / f"{name}.{which}.shown", beside)


def shown_by(paths: tuple[Path, ...], boot_id: str) -> Shown:
    """What the markers say that an agent left behind since the machine booted."""
    told, unreadable = [], []
    for path in paths:
        try:
            body = _read(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError) as problem:
            unreadable.append(f"{path}: {getattr(problem, 'strerror', None) or problem}")
            continue
        if body is not None and body["boot_id"] == boot_id:
            told.append(body)
    named = [body for body in told if body["journal"]]
    journals = frozenset(body["journal"] for body in named)
    opened = frozenset(body["journal"] for body in named if body["opened"])
    return Shown(any(body["beyond"] for body in told), journals, opened, tuple(unreadable))


def _read(path: Path) -> Mapping[str, Any] | None:
    """What a marker says; None for one that was made, and not written yet. Raises OSError or ValueError."""
    written = path.read_bytes()[:_BYTES]
    if not written.strip(b"\n\0"):
        return None
    body = unseal(written.partition(b"\n")[0])
    kinds.expect(body, _SHAPE)
    if not body.keys() >= _SHAPE.keys():
        raise ValueError("not a marker")
    if body["marker"] != path.name:
        raise ValueError(f"it was written as {body['marker']}")
    return body


class Marker:
    """The markers of one agent, which lie in `paths`. No method raises, and all may wait for a disk.

    `is_set` where one may say that values beyond the journal were shown; `journal` is the one they name, and `opened`
    whether it has an open slot.
    """

    def __init__(self, paths: tuple[Path, ...], boot_id: str) -> None:
        self.paths = paths
        self.journal = ""
        self.opened = self.is_set = False
        self._boot_id = boot_id
        self._files: dict[Path, int] = {}

    def prepare(self) -> None:
        """Make what is not there. What an agent before said stays until this one's first values are on disk."""
        for path in self.paths:
            self._file(path)

    def set(self, path: Path) -> bool:
        """Say that values are shown which the journal does not have; whether that could be said here."""
        self.is_set = True
        return self._put(path, True)

    def clear(self, journal: str, opened: bool = False) -> None:
        """Say that all that was shown is in this journal, its open slot, and those before it."""
        self.journal, self.opened = journal, opened
        cleared = [self._put(path, False) for path in self.paths if path in self._files]
        self.is_set = not all(cleared)

    def _put(self, path: Path, beyond: bool) -> bool:
        body = {"boot_id": self._boot_id, "beyond": beyond, "journal": self.journal, "opened": self.opened}
        body["marker"] = path.name
        line = seal(body).ljust(_BYTES, b"\n")
        with contextlib.suppress(OSError):
            file = self._file(path)
            return file is not None and len(line) == _BYTES and os.pwrite(file, line, 0) == _BYTES
        return False

    def _file(self, path: Path) -> int | None:
        """A marker's open file; made again where somebody has removed it."""
        file = self._files.get(path)
        if file is not None:
            with contextlib.suppress(OSError):
                if os.stat(path).st_ino == os.fstat(file).st_ino:
                    return file
            del self._files[path]
            os.close(file)
        found = _opened(path)
        if found is not None:
            self._files[path] = found
        return found


def _opened(path: Path) -> int | None:
    """A marker's file, with its room taken; None where there can be none."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _PRIVATE)
        missing = _BYTES - os.fstat(file).st_size
        if missing <= 0 or _filled(file, missing):
            return file
        os.close(file)
    return None


def _filled(file: int, missing: int) -> bool:
    """Whether the rest of a marker's room could be taken."""
    with contextlib.suppress(OSError):
        return os.pwrite(file, b"\n" * missing, _BYTES - missing) == missing
    return False
