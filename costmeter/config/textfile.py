"""Text files that somebody named: read whole, within a size, and never waited for.

A pipe or a terminal is refused. Files are read in threads of their own: one on a disk that does not answer (a network
home, a FUSE mount) is left behind there after a while, so that whoever asked goes on, and Ctrl-C is heard meanwhile.
"""

import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

from costmeter.clock import RealClock
from costmeter.config.yamlfile import Fault, Place
from costmeter.units import NANOSECONDS_PER_SECOND

MAX_BYTES = 1_000_000
#: A disk has this long to answer for one file. Disks answer within milliseconds, tired ones within tenths of a second.
FILE_SECONDS: Final = 1.0
#: And this long for all files that are read for one purpose, such as the settings of a run.
ALL_SECONDS: Final = 1.5
#: What is left when whoever reads must come to an end: a wrapper whose job is over still has a receipt to print.
HURRIED_SECONDS: Final = 0.3
#: What is left for each file when all of that is used up: enough where a disk answers.
_LAST_SECONDS: Final = 0.05

_CLOCK: Final = RealClock()
_EVERY_SIGNAL: Final = signal.valid_signals()
_T = TypeVar("_T")


class Patience:
    """How long disks are waited for, all files together. Another thread may cut it short."""

    def __init__(self, seconds: float) -> None:
        self._until_ns = _CLOCK.boottime_ns() + round(seconds * NANOSECONDS_PER_SECOND)

    def hurry(self) -> None:
        """From now on wait for HURRIED_SECONDS at most."""
        self._until_ns = min(self._until_ns, Patience(HURRIED_SECONDS)._until_ns)

    def wait(self, event: threading.Event) -> None:
        """Wait for an answer, for one file's share of the patience at most."""
        began_ns = _CLOCK.boottime_ns()
        while not event.wait(_LAST_SECONDS):
            now_ns = _CLOCK.boottime_ns()
            if now_ns >= self._until_ns or now_ns - began_ns >= FILE_SECONDS * NANOSECONDS_PER_SECOND:
                return


_patience: ContextVar[Patience | None] = ContextVar("patience", default=None)


@contextmanager
def all_within(seconds: float = ALL_SECONDS) -> Iterator[Patience]:
    """Around everything that is read for one purpose: together it takes hardly longer than this.

    What is already being read for a larger purpose shares in that one's patience.
    """
    patience = _patience.get() or Patience(seconds)
    token = _patience.set(patience)
    try:
        yield patience
    finally:
        _patience.reset(token)


def answered(question: Callable[[], _T]) -> _T:
    """What a disk answers to a question that may block, or what it raises; TimeoutError when it does not answer."""
    answers: list[_T] = []
    problems: list[Exception] = []
    is_done = threading.Event()

    def ask() -> None:
        try:
            # Left behind, this thread must not take the signals that the main thread blocks and waits for.
            signal.pthread_sigmask(signal.SIG_BLOCK, _EVERY_SIGNAL)
            answers.append(question())
        except Exception as problem:
            problems.append(problem)
        finally:
            is_done.set()

    try:
        threading.Thread(target=ask, name="costmeter-file", daemon=True).start()
    except RuntimeError:  # no more threads allowed here
        return question()
    (_patience.get() or Patience(ALL_SECONDS)).wait(is_done)
    if problems:
        raise problems[0]
    if not answers:
        raise TimeoutError("the disk did not answer in time")
    return answers[0]


def content(path: str, max_bytes: int = MAX_BYTES) -> bytes:
    """A regular file of a sensible size; a pipe or a terminal would be waited for. Raises OSError or ValueError."""
    return answered(lambda: _read(path, max_bytes))


def _read(path: str, max_bytes: int) -> bytes:
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
