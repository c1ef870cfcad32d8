"""Several files of one folder, written all or none: finished beside their places first, then renamed over them."""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from costmeter.errors import CostmeterError, UsageError


@dataclass(frozen=True, slots=True)
class File:
    """What a file is to hold, and whether it is to be run."""

    text: str
    is_program: bool = False

    @property
    def mode(self) -> int:
        return 0o755 if self.is_program else 0o644


@dataclass(frozen=True, slots=True)
class Written:
    """Paths in the folder: what was written anew, and what was there just so."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]


def write(folder: str, files: Mapping[str, File], is_forced: bool) -> Written:
    """Write files by their paths in a folder, which may not be there yet; files of other names are left alone.

    Raises UsageError, naming all of them, where a file is there and differs, unless forced, or where something that is
    no file is in the way; CostmeterError where it cannot be written. Then nothing was changed.
    """
    unchanged = _unchanged(folder, files, is_forced)
    new = {path: file for path, file in files.items() if path not in unchanged}
    try:
        if os.path.lexists(folder):
            _replace(folder, new)
        else:
            _make(os.path.abspath(folder), new)
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        hint = "a folder that you may write into, on a disk with space"
        raise CostmeterError(f"nothing was written: {where}{problem.strerror or problem}", hint) from None
    return Written(tuple(new), tuple(path for path in files if path in unchanged))


def _make(folder: str, files: Mapping[str, File]) -> None:
    """A new folder, which has all of its files when it is first there."""
    made: list[str] = []
    draft = _draft_name(folder)
    try:
        _make_folder(os.path.dirname(folder), made)
        _replace(draft, files)
        os.rename(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        _undo((), made)
        raise


def _replace(folder: str, files: Mapping[str, File]) -> None:
    """Files in a folder, which is made if need be; the first is not replaced before the last is on the disk."""
    made: list[str] = []
    drafts: dict[str, str] = {}
    try:
        for path, file in files.items():
            target = os.path.realpath(os.path.join(folder, path))
            _make_folder(os.path.dirname(target), made)
            drafts[target] = _draft(target, file)
        for target, draft in drafts.items():
            os.replace(draft, target)
    except BaseException:
        _undo(drafts.values(), made)
        raise


def _unchanged(folder: str, files: Mapping[str, File], is_forced: bool) -> frozenset[str]:
    """The files that are there already and need nothing. Raises UsageError for those that may not be replaced."""
    same, differing, blocked = [], [], list(_blocked(folder, files))
    for path, file in files.items():
        found = _found(os.path.join(folder, path))
        if found == file:
            same.append(path)
        elif found is not None:
            differing.append(path)
    faults = [f"{where} is in the way: {what}" for where, what in blocked]
    if differing and not is_forced:
        there = "is there and differs" if len(differing) == 1 else "are there and differ"
        faults.append(f"{', '.join(os.path.join(folder, path) for path in differing)} {there}")
    if faults:
        hint = "another folder" if blocked else "another folder, or replace them: --force"
        raise UsageError("; ".join(faults) + "; nothing was written", hint)
    return frozenset(same)


def _blocked(folder: str, files: Mapping[str, File]) -> Iterator[tuple[str, str]]:
    """Places where no file or folder can be made, each once."""
    folders = {folder}.union(*(_parents(folder, path) for path in files))
    for place in sorted(folders):
        if os.path.lexists(place) and not os.path.isdir(place):
            yield place, "not a folder"
    for place in sorted(os.path.join(folder, path) for path in files):
        if os.path.lexists(place) and not os.path.isfile(place):
            yield place, "a folder" if os.path.isdir(place) else "not a regular file"


def _parents(folder: str, path: str) -> set[str]:
    parts = path.split("/")[:-1]
    return {os.path.join(folder, *parts[:length]) for length in range(1, len(parts) + 1)}


def _found(path: str) -> File | None:
    """What is there; of a file that cannot be read or is no text, something that differs from all of ours."""
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            return None
        with open(path, encoding="utf-8", newline="") as file:
            return File(file.read(), bool(facts.st_mode & stat.S_IXUSR))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError):
        return File("\0")


def _make_folder(path: str, made: list[str]) -> None:
    """Make a folder with those above it, and tell of each that was made, outermost first."""
    if not os.path.isdir(path):
        _make_folder(os.path.dirname(path), made)
        os.mkdir(path)
        made.append(path)


def _draft(target: str, file: File) -> str:
    """The finished file, beside its place and under a name of its own."""
    draft = _draft_name(target)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, file.mode)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as writing:
            writing.write(file.text)
            writing.flush()
            os.fsync(writing.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    return draft


def _draft_name(target: str) -> str:
    return os.path.join(os.path.dirname(target), f".{os.path.basename(target)}.{os.urandom(4).hex()}.tmp")


def _undo(drafts: Iterable[str], made: Sequence[str]) -> None:
    """Take away what was made, as far as it is there."""
    for draft in drafts:
        with contextlib.suppress(OSError):
            os.unlink(draft)
    for folder in reversed(made):
        with contextlib.suppress(OSError):
            os.rmdir(folder)
