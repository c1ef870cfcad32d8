"""Several files of one folder, written all or none: finished beside their places first, then renamed over them.

Whatever the umask, they are for everybody to read: other users' services do.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from costmeter.cli.wholefile import unfinished_name
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
    """Paths in the folder: what was written anew, what was there just so, and what was taken away.

    `stale` is there still and belongs to an earlier export, `others` to one that somebody has changed since.
    """

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def write(
    folder: str,
    files: Mapping[str, File],
    is_forced: bool,
    left_out: Mapping[str, Callable[[str], bool]] = MappingProxyType({}),
) -> Written:
    """Write files by their paths in a folder, which may not be there yet; files of other names are left alone.

    Those `left_out` an earlier export may have written: forced, they go where their text is one that it wrote.
    Raises UsageError, naming all of them, where a file is there and differs, unless forced, or where something that is
    no file is in the way; CostmeterError where it cannot be written. Then nothing was changed, or the error says what
    was. A file that is the same and not for everybody to read is no other file: it is made anew, and so that they can.
    """
    unchanged = _unchanged(folder, files, is_forced)
    new = {path: file for path, file in files.items() if path not in unchanged}
    stale, others = _stale(folder, left_out)
    removed = stale if is_forced else ()
    try:
        if os.path.lexists(folder):
            _replace(folder, new, removed)
        else:
            _make(os.path.abspath(folder), new)
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        hint = "a folder that you may write into, on a disk with space"
        raise CostmeterError(f"nothing was written: {where}{problem.strerror or problem}", hint) from None
    _open_folders(folder, files)
    same = tuple(path for path in files if path in unchanged)
    return Written(tuple(new), same, removed, () if is_forced else stale, others)


def _stale(folder: str, left_out: Mapping[str, Callable[[str], bool]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is there of the files that are left out: those as they were written, and those that are another's now."""
    there = [path for path in left_out if os.path.lexists(os.path.join(folder, path))]
    ours = [path for path in there if _is_as_written(os.path.join(folder, path), left_out[path])]
    return tuple(ours), tuple(path for path in there if path not in ours)


def _is_as_written(path: str, is_written: Callable[[str], bool]) -> bool:
    text, _ = _found(path)
    return text is not None and not os.path.islink(path) and is_written(text)


def _make(folder: str, files: Mapping[str, File]) -> None:
    """A new folder, which has all of its files when it is first there."""
    made: list[str] = []
    draft = unfinished_name(folder)
    try:
        _make_folder(os.path.dirname(folder), made)
        _replace(draft, files)
        os.rename(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        _undo((), made)
        raise


def _replace(folder: str, files: Mapping[str, File], stale: Iterable[str] = ()) -> None:
    """Files in a folder, which is made if need be; the first is not replaced before the last is on the disk.

    What is stale is taken away when all else is done.
    """
    gone = [os.path.realpath(os.path.join(folder, path)) for path in stale]
    made: list[str] = []
    drafts: dict[str, str] = {}
    olds: dict[str, str] = {}
    replaced: list[str] = []
    try:
        for path, file in files.items():
            target = os.path.realpath(os.path.join(folder, path))
            _make_folder(os.path.dirname(target), made)
            drafts[target] = _draft(target, file)
        for target in (*drafts, *gone):
            if os.path.lexists(target):
                olds[target] = _kept(target)
        for target, draft in drafts.items():
            os.replace(draft, target)
            replaced.append(target)
        for target in gone:
            os.unlink(target)
            replaced.append(target)
    except BaseException as problem:
        remaining = _put_back(replaced, olds)
        _undo(drafts.values(), made)
        if remaining and isinstance(problem, OSError):
            raise CostmeterError(
                f"{problem.strerror or problem}, and these are changed already: {', '.join(remaining)}",
                "export once more, into a folder that you may write into",
            ) from None
        raise
    _undo(olds.values(), ())


def _kept(target: str) -> str:
    """A second name of a file that will be replaced; a copy where the file system has no such."""
    old = unfinished_name(target)
    try:
        os.link(target, old)
    except OSError:
        try:
            shutil.copy2(target, old)
        except BaseException:
            _undo([old], ())
            raise
    return old


def _put_back(replaced: Iterable[str], olds: Mapping[str, str]) -> list[str]:
    """Undo what was replaced, and take away the second names; returns what could not be undone.

    That keeps its second name, which is told with it: it is all that there is of the old file.
    """
    remaining, kept = [], set()
    for target in replaced:
        try:
            if target in olds:
                os.replace(olds[target], target)
            else:
                os.unlink(target)
        except OSError:
            remaining.append(f"{target} (as it was: {olds[target]})" if target in olds else target)
            kept.add(target)
    _undo((old for target, old in olds.items() if target not in kept), ())
    return remaining


def _unchanged(folder: str, files: Mapping[str, File], is_forced: bool) -> frozenset[str]:
    """The files that are there already and need nothing. Raises UsageError for those that may not be replaced."""
    same, differing, blocked = [], [], list(_blocked(folder, files))
    for path, file in files.items():
        text, mode = _found(os.path.join(folder, path))
        if text == file.text and not file.mode & ~mode:
            same.append(path)
        elif text is not None and text != file.text:
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


def _found(path: str) -> tuple[str | None, int]:
    """Text and mode of what is there; of what cannot be read or is no text, a text that differs from all of ours.

    None where there is no file.
    """
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            return None, 0
        with open(path, encoding="utf-8", newline="") as file:
            return file.read(), facts.st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None, 0
    except (OSError, ValueError):
        return "\0", 0


def _make_folder(path: str, made: list[str]) -> None:
    """Make a folder with those above it, and tell of each that was made, outermost first."""
    if not os.path.isdir(path):
        _make_folder(os.path.dirname(path), made)
        os.mkdir(path)
        made.append(path)
        _open(path)


def _open(folder: str) -> None:
    """Let everybody look into a folder, whatever the umask."""
    mode = stat.S_IMODE(os.stat(folder).st_mode)
    if mode | 0o755 != mode:
        os.chmod(folder, mode | 0o755)


def _open_folders(folder: str, files: Iterable[str]) -> None:
    """Open the folders within an exported one, also of an earlier export; those of others as far as they let us."""
    for inner in sorted(set().union(*(_parents(folder, path) for path in files))):
        with contextlib.suppress(OSError):
            _open(inner)


def _draft(target: str, file: File) -> str:
    """The finished file, beside its place and under a name of its own."""
    draft = unfinished_name(target)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, file.mode)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as writing:
            os.fchmod(descriptor, file.mode)
            writing.write(file.text)
            writing.flush()
            os.fsync(writing.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    return draft


def _undo(drafts: Iterable[str], made: Sequence[str]) -> None:
    """Take away what was made, as far as it is there."""
    for draft in drafts:
        with contextlib.suppress(OSError):
            os.unlink(draft)
    for folder in reversed(made):
        with contextlib.suppress(OSError):
            os.rmdir(folder)
