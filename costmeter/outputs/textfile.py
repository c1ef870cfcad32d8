"""Metrics as a file for node_exporter's textfile collector: each time the whole page, put in place by a rename.

A run's file stays after its end, for several scrapes; whoever writes into the folder next removes files that nobody has
renewed for a quarter of an hour, because those who wrote them do not live any more.
"""

import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress

from costmeter.clock import Clock
from costmeter.units import NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND

#: So often a file is written anew, and so long one stays that is not.
EVERY_NS, KEPT_NS = 15 * NANOSECONDS_PER_SECOND, 15 * NANOSECONDS_PER_MINUTE
_PREFIX, _SUFFIX, _DRAFT = "costmeter-", ".prom", ".draft"


def write_textfile(folder: str, name: str, page: bytes) -> None:
    """Put a page in place as `costmeter-NAME.prom`, readable for all. Raises OSError; what was there is then there."""
    path = os.path.join(folder, f"{_PREFIX}{name}{_SUFFIX}")
    draft = os.path.join(folder, f".{_PREFIX}{name}.{os.getpid()}{_DRAFT}")
    with suppress(FileNotFoundError):
        os.unlink(draft)  # of a process of this number that was killed while it wrote
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o644)  # node_exporter is another user, and the umask may be a private one
            file.write(page)
        os.rename(draft, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise


def remove_old(folder: str, now_utc_ns: int) -> None:
    """Remove our files that nobody has renewed for a quarter of an hour; what may not be removed stays."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            is_ours = entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)
            is_draft = entry.name.startswith(f".{_PREFIX}") and entry.name.endswith(_DRAFT)
            if not (is_ours or is_draft):
                continue
            with suppress(OSError):
                facts = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode) and now_utc_ns - facts.st_mtime_ns > KEPT_NS:
                    os.unlink(entry.path)


class Textfile:
    """One file that is kept up to date by a thread of its own, so that a disk that hangs holds up nobody.

    Without a folder there is no file, no thread and nothing to wait for.
    """

    def __init__(
        self, folder: str | None, name: str, page: Callable[[], bytes], clock: Clock, warn: Callable[[str], None]
    ) -> None:
        self._folder, self._name, self._page = folder, name, page
        self._clock, self._warn = clock, warn
        self._ending, self._done = threading.Event(), threading.Event()
        self._has_warned = False
        self._looked_ns: int | None = None
        #: When a page was last put in place; None before the first.
        self.written_utc_ns: int | None = None

    def start(self) -> None:
        """Write the first page, and one every 15 seconds. Returns at once."""
        if self._folder is not None:
            args = (self._folder,)
            threading.Thread(target=self._write_for_ever, args=args, name="costmeter-textfile", daemon=True).start()

    def finish(self, seconds: float) -> None:
        """Write the last page; after so long it is left to itself."""
        self._ending.set()
        self.wait(seconds)

    def wait(self, seconds: float) -> bool:
        """Whether the last page has been tried within so long; at once where there is no file."""
        return self._folder is None or self._done.wait(seconds)

    def _write_for_ever(self, folder: str) -> None:
        is_last = False
        while not is_last:
            is_last = self._ending.is_set()
            self._tidy(folder)
            self._write(folder)
            if not is_last:
                self._clock.wait(self._ending, self._clock.boottime_ns() + EVERY_NS)
        self._done.set()

    def _write(self, folder: str) -> None:
        try:
            write_textfile(folder, self._name, self._page())
            self.written_utc_ns = self._clock.utc_ns()
        except Exception as failure:  # a page that cannot be made is no reason to end, either
            if not self._has_warned:
                self._has_warned = True
                why = getattr(failure, "strerror", None) or f"{type(failure).__name__}: {failure}"
                self._warn(f"--textfile {folder}: no metrics written: {why}; tried again every 15 s")

    def _tidy(self, folder: str) -> None:
        now_ns = self._clock.boottime_ns()
        if self._looked_ns is None or now_ns - self._looked_ns >= KEPT_NS:
            self._looked_ns = now_ns
            remove_old(folder, self._clock.utc_ns())
