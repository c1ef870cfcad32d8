"""Turning this process into the user's command, and saying in one line why that failed.

The search follows execvp(3) and the shells: a script without `#!` is run by /bin/sh, a file that exists and cannot be
run is 126, everything else that does not start is 127. `os.execvpe` knows neither of these.
"""

from __future__ import annotations

import errno
import os
import sys

from costmeter.runtime import signals

TYPE_CHECKING = False  # the import of `typing` alone costs a third of the launch budget
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

NOT_FOUND, NOT_EXECUTABLE = 127, 126
_SEARCH_ON = (errno.EACCES, errno.ENOENT, errno.ENOTDIR)


class SpawnFailed(Exception):
    """The command cannot be started: `exit_code` is 127 or 126, `message` the line for stderr."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.message = message


def exec_through(argv: list[str], environ: dict[str, str]) -> NoReturn:
    """Become the command at once, unmetered: for the inner of two wrappers, or when no process can be made.

    Raises SpawnFailed when the command cannot be started.
    """
    for stream in (sys.stdout, sys.stderr):
        flush_quietly(stream)
    signals.restore_python_defaults()
    code, path = execute(argv, as_found(environ))
    raise explain(argv[0], code, path)


def execute(argv: list[str], environ: dict[str, str]) -> tuple[int, str]:
    """Become the command; returns only if that failed: the errno and the file it came from, "" if none was found."""
    failure = None
    for path in _candidates(argv[0], environ):
        code = _try(path, argv, environ)
        # A shell passes over directories, and over folders of PATH that it may not read, as if they held nothing.
        if failure is None and ("/" in argv[0] or os.path.isfile(path)):
            failure = (code, path)
        if failure is not None and code not in _SEARCH_ON:
            break
    return failure or (errno.ENOENT, "")


def explain(command: str, code: int, path: str) -> SpawnFailed:
    """The failure as a shell would see it: what happened, to which file, and what to type."""
    if not path:
        return SpawnFailed(NOT_FOUND, f"costmeter run: {command}: command not found{_advice_if_here(command)}")
    exit_code, reason = NOT_EXECUTABLE, os.strerror(code)
    if code in (errno.ENOENT, errno.ENOTDIR):
        exit_code = NOT_FOUND
        if os.path.isfile(path):
            reason = "the interpreter named in its first line is missing"
    elif os.path.isdir(path):
        reason = os.strerror(errno.EISDIR)
    elif code == errno.EACCES and os.path.isfile(path) and not os.access(path, os.X_OK):
        reason = f"not executable. Try:  {_runnable(path)}"
    return SpawnFailed(exit_code, f"costmeter run: {path}: {reason}")


def _advice_if_here(command: str) -> str:
    """What to type when the name is that of a file in the current folder, which shells do not search either."""
    if not command or not os.path.isfile(command):
        return ""
    return f". There is such a file here. Try:  {_runnable(f'./{command}')}"


def _runnable(path: str) -> str:
    if path.endswith(".py"):
        return f"costmeter run -- python {path}"
    return f"costmeter run -- {path}" if os.access(path, os.X_OK) else f"chmod +x {path}"


def as_found(environ: dict[str, str]) -> dict[str, str]:
    """The environment without what Python itself put into it.

    In the C locale Python sets LC_CTYPE in its own environment (PEP 538). The block the kernel was given still says
    what was there before.
    """
    if environ.get("LC_CTYPE") not in ("C.UTF-8", "C.utf8", "UTF-8"):
        return environ
    try:
        with open("/proc/self/environ", "rb") as file:
            block = file.read().split(b"\0")
    except OSError:
        return environ
    first = next((entry for entry in block if entry.startswith(b"LC_CTYPE=")), None)
    changed = dict(environ)
    if first is None:
        del changed["LC_CTYPE"]
    else:
        changed["LC_CTYPE"] = os.fsdecode(first.partition(b"=")[2])
    return changed


def flush_quietly(stream: object) -> None:
    """Flush a standard stream that may be closed, broken, or None because it was closed when we started."""
    try:
        stream.flush()  # type: ignore[attr-defined]  # anything may stand in for sys.stderr, None included
    except (OSError, ValueError, AttributeError):
        return


def _candidates(command: str, environ: dict[str, str]) -> Iterator[str]:
    """The files that a command name may mean, in order; an empty folder in PATH is the current one."""
    if "/" in command:
        yield command
        return
    for folder in environ.get("PATH", os.defpath).split(":"):
        yield f"{folder}/{command}" if folder else f"./{command}"


def _try(path: str, argv: list[str], environ: dict[str, str]) -> int:
    """Exec one file; returns the errno if it could not be run."""
    try:
        os.execve(path, argv, environ)
    except OSError as fault:
        if fault.errno != errno.ENOEXEC:
            return fault.errno or errno.EIO
    try:
        os.execve("/bin/sh", ["/bin/sh", path, *argv[1:]], environ)
    except OSError as fault:
        return fault.errno or errno.EIO
