"""Text files that somebody named: read whole, within a size, and never waited for."""

import os
import stat

from costmeter.config.yamlfile import Fault, Place

MAX_BYTES = 1_000_000


def content(path: str, max_bytes: int = MAX_BYTES) -> bytes:
    """A regular file of a sensible size; a pipe or a terminal would be waited for. Raises OSError or ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("not a regular file")
        read = file.read(max_bytes + 1)
    if len(read) > max_bytes:
        raise ValueError(f"more than {max_bytes} bytes")
    return read


def text(path: str, shown_as: str, max_bytes: int = MAX_BYTES) -> tuple[str, tuple[Fault, ...]]:
    """The text of a file, without a byte order mark; empty and a fault when it cannot be read, or is not UTF-8."""
    try:
        read = content(path, max_bytes)
    except (OSError, ValueError) as problem:
        return "", (Fault(Place(shown_as), f"cannot be read: {reason(problem)}"),)
    try:
        return read.decode("utf-8").removeprefix("\ufeff"), ()
    except UnicodeDecodeError as problem:
        return "", (not_text(read, problem, shown_as),)


def reason(problem: OSError | ValueError) -> str:
    """Why a file cannot be read, without its name."""
    return (problem.strerror if isinstance(problem, OSError) else None) or str(problem)


def not_text(read: bytes, problem: UnicodeDecodeError, shown_as: str) -> Fault:
    """The fault of a file that is not UTF-8, at its first wrong byte."""
    before = read[: problem.start]
    place = Place(shown_as, before.count(b"\n") + 1, problem.start - before.rfind(b"\n"))
    return Fault(place, "not UTF-8 text")
