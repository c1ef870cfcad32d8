"""Files that are written whole or not at all: by renaming a finished one over the old one, and one writer at a time."""

import contextlib
import errno
import fcntl
import os
import re
import stat
import threading
from collections.abc import Iterator

from costmeter.cli.lines import warn
from costmeter.clock import RealClock
from costmeter.errors import CostmeterError
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_SECOND

#: What a kill leaves of an unfinished file, whoever made up the eight letters.
_UNFINISHED = re.compile(r"[a-z0-9_]{8}", re.ASCII)
_LEFT_BEHIND_NS = NANOSECONDS_PER_HOUR
_PATIENCE_NS = 10 * NANOSECONDS_PER_SECOND
_LOOK_AGAIN_NS = NANOSECONDS_PER_SECOND // 20
#: Folders that cannot be locked: a network file system's, or one that knows no locks.
_NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EACCES, errno.EPERM, errno.ENOSYS)


def write(path: str, text: str, shown_as: str, hint: str = "-o /another/folder/file") -> None:
    """`replace` for a command: a warning on stderr where there is one. Raises CostmeterError."""
    try:
        warning = replace(path, text)
    except OSError as problem:
        raise CostmeterError(f"{shown_as} was not written: {problem.strerror or problem}", hint) from None
    if warning:
        warn(f"{shown_as}: {warning}")


def replace(path: str, text: str, is_hasty: bool = False) -> str:
    """Replace a file: a kill or a full disk leaves the old one as it was. Returns a warning, mostly an empty one.

    Links are followed; mode, owner and group of the old file stay, the latter two as far as the system lets us. In
    haste nothing waits for the disk, and unfinished files of killed writers are not looked for. Raises OSError.
    """
    target = os.path.realpath(path)
    old = _facts(target)
    if not is_hasty:
        _sweep(target)
    unfinished = unfinished_name(target)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666 if old is None else 0)
    try:
        with open(descriptor, "wb") as file:
            warning = "" if old is None else _as_before(file.fileno(), old)
            file.write(text.encode("utf-8"))
            file.flush()
            if not is_hasty:
                os.fsync(file.fileno())
        os.replace(unfinished, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
        raise
    return warning


def unfinished_name(target: str) -> str:
    """A name beside a file's that nobody has, for what is not finished; after a kill `_sweep` knows it again."""
    return os.path.join(os.path.dirname(target), f".{os.path.basename(target)}.{os.urandom(4).hex()}.tmp")


def _facts(target: str) -> os.stat_result | None:
    """Of the file that will be replaced; None for a new one. Raises OSError for what is no file."""
    try:
        facts = os.stat(target)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    return facts


def _as_before(descriptor: int, old: os.stat_result) -> str:
    """Owner, group and mode of the old file; a warning where the first two are refused. Only root gives files away."""
    warning = ""
    mine = os.fstat(descriptor)
    if (mine.st_uid, mine.st_gid) != (old.st_uid, old.st_gid):
        for owner in (old.st_uid, -1):
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, owner, old.st_gid)
                break
        now = os.fstat(descriptor)
        if (now.st_uid, now.st_gid) != (old.st_uid, old.st_gid):
            before = f"{old.st_uid}:{old.st_gid}"
            warning = f"owner and group were {before} and are {now.st_uid}:{now.st_gid} now; sudo chown {before}"
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
    return warning


def _sweep(target: str) -> None:
    """Remove unfinished files of this one that killed writers left behind more than an hour ago."""
    folder, begin = os.path.dirname(target), f".{os.path.basename(target)}."
    oldest_ns = RealClock().utc_ns() - _LEFT_BEHIND_NS
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(begin) and _UNFINISHED.fullmatch(name[len(begin) :].removesuffix(".tmp")):
                left = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    if name.endswith(".tmp") and os.lstat(left).st_mtime_ns < oldest_ns:
                        os.unlink(left)


@contextlib.contextmanager
def alone(path: str, shown_as: str, patience_ns: int = _PATIENCE_NS) -> Iterator[None]:
    """No other costmeter writes into this file's folder meanwhile; where a folder cannot be locked, it is said.

    The lock is the folder's, for a file that is replaced cannot hold one; a kill ends it. Raises CostmeterError when
    another writer holds it for longer than we wait.
    """
    try:
        descriptor = os.open(os.path.dirname(os.path.realpath(path)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as problem:
        raise CostmeterError(
            f"{shown_as} was not written: {problem.strerror or problem}", "-o /another/folder/file"
        ) from None
    try:
        _lock(descriptor, shown_as, patience_ns)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, shown_as: str, patience_ns: int) -> None:
    clock, never = RealClock(), threading.Event()
    ends_ns = clock.boottime_ns() + patience_ns
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as problem:
            if problem.errno in _NO_LOCKS:
                what = "its folder cannot be locked, so let no second fetch write into it meanwhile"
                warn(f"{shown_as}: {what}")
                return
        now_ns = clock.boottime_ns()
        if now_ns >= ends_ns:
            seconds = patience_ns / NANOSECONDS_PER_SECOND
            raise CostmeterError(
                f"{shown_as} was not written: another process has held its folder's lock for {seconds:g} s", "try again"
            )
        clock.wait(never, now_ns + _LOOK_AGAIN_NS)
