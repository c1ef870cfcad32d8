"""A disk that refuses, takes half a line or is where a process dies, at chosen calls on files of a folder."""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

#: What a call does: it works, the disk is full, it takes half, the process dies before or after it.
Fate = Literal["works", "full", "half", "dies before", "dies after"]
_CALLS = ("write", "pwrite", "fsync", "open", "ftruncate", "replace")


class Killed(BaseException):
    """The process is gone: nothing that follows in it is run."""


class Disk:
    """The calls on files of a folder have these fates, one after the other; those that follow work."""

    def __init__(self, folder: Path, fates: Sequence[Fate] = ()) -> None:
        self._folder = str(folder)
        self._fates = iter(fates)
        self.is_full = False
        self.calls = 0

    @contextmanager
    def __call__(self) -> Iterator["Disk"]:
        real = {name: getattr(os, name) for name in _CALLS}
        with contextlib_all([patch.object(os, name, self._fated(name, call)) for name, call in real.items()]):
            yield self

    def _fated(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def fated(file: Any, *others: Any, **named: Any) -> Any:
            if not self._is_ours(file):
                return call(file, *others, **named)
            self.calls += 1
            fate = next(self._fates, "works")
            if fate == "dies before":
                raise Killed
            if fate == "half" and name in ("write", "pwrite"):
                data, *rest = others
                call(file, data[: len(data) // 2], *rest)
                raise Killed
            if (fate == "full" or self.is_full) and not self._takes_no_room(name, file, others):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            found = call(file, *others, **named)
            if fate == "dies after":
                raise Killed
            return found

        return fated

    def _is_ours(self, file: Any) -> bool:
        try:
            path = os.readlink(f"/proc/self/fd/{file}") if isinstance(file, int) else os.fspath(file)
        except (OSError, TypeError):
            return False
        return path.startswith(self._folder)

    def _takes_no_room(self, name: str, file: Any, others: Sequence[Any]) -> bool:
        """Whether a call overwrites what is there, or makes nothing: a full disk takes it."""
        if name == "pwrite":
            data, at = others
            return bool(at + len(data) <= os.fstat(file).st_size)
        return name == "open" and (not others[0] & os.O_CREAT or os.path.exists(file))


@contextmanager
def contextlib_all(patches: Sequence[Any]) -> Iterator[None]:
    """All of these at once."""
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()
