"""One agent per folder and per socket: a lock beside it, which the kernel lets go of however its holder ends."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from costmeter.clock import Clock
from costmeter.errors import CostmeterError
from costmeter.ledger.identity import start_ticks
from costmeter.outputs.figures import about
from costmeter.runtime.agent.socketfile import identity
from costmeter.runtime.portholder import addresses
from costmeter.units import NANOSECONDS_PER_SECOND

_MODE = 0o644
#: Reading who it is may meet a holder that has not said so yet; a line is no longer than this.
_LINE_BYTES = 64
#: How `described` calls an agent of ours.
AGENT = "(costmeter agent, "
_TAKEN = (errno.EWOULDBLOCK, errno.EACCES)


class InUse(CostmeterError):
    """Another agent has this folder, socket or address already."""


class AgentLock:
    """Holds `path` locked until the process ends, or `let_go`."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, -1

    @property
    def is_there(self) -> bool:
        """Whether another process that looks at the path finds it locked."""
        if self._file < 0:
            return False
        facts = os.fstat(self._file)
        return identity(self._path) == (facts.st_dev, facts.st_ino)

    def take(self, what: str, otherwise: str, clock: Clock) -> None:
        """Lock it. Raises InUse where another process has it, OSError where a lock cannot be made here.

        `what` is told to be in use, `otherwise` is what to type to have one's own.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as refusal:
            holder = _holder(file)
            os.close(file)
            if refusal.errno in _TAKEN:
                raise in_use(what, holder, otherwise, clock) from None
            raise
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self.let_go()  # a file that somebody removed
        self._file = file

    def keep(self, what: str, otherwise: str, clock: Clock) -> None:
        """Lock it anew where somebody removed the file. Raises InUse where another process has locked it since."""
        if not self.is_there:
            with contextlib.suppress(OSError):  # as at the start: where no lock can be made there is none
                self.take(what, otherwise, clock)

    def look(self, what: str, otherwise: str, clock: Clock) -> None:
        """Raise InUse where another process has it; leave nothing there. What cannot be looked at is told by `take`."""
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as refusal:
            if refusal.errno in _TAKEN:
                raise in_use(what, _holder(file), otherwise, clock) from None
        finally:
            os.close(file)

    def let_go(self) -> None:
        """Unlock it. The file stays: one that is removed could be locked by two."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def in_use(what: str, pid: int | None, otherwise: str, clock: Clock) -> InUse:
    """The refusal: by whom it is used, where that can be seen, and what to type. An agent of ours may be looked at."""
    holder = "" if pid is None else f" by {described(pid, clock)}"
    seen = addresses(pid) if pid is not None else []
    at = f" --from {seen[0][0]}:{seen[0][1]}" if seen else ""
    use = f" Use it: costmeter top{at}. Or:" if AGENT in holder else " Another:"
    return InUse(f"{what} is in use{holder}.{use} {otherwise}")


def described(pid: int, clock: Clock) -> str:
    """A process as a message names it: `pid 4242 (costmeter agent, up 3 d 4 h)`; the number alone where it is gone."""
    lived_seconds = up_seconds(pid, clock)
    return f"pid {pid}" if lived_seconds is None else f"pid {pid} ({_program(pid)}, up {about(lived_seconds)})"


def up_seconds(pid: int, clock: Clock) -> float | None:
    """How long a process has lived; None where it is not seen."""
    ticks = start_ticks(pid)
    if ticks is None:
        return None
    return max(0.0, clock.boottime_ns() / NANOSECONDS_PER_SECOND - ticks / os.sysconf("SC_CLK_TCK"))


def _program(pid: int) -> str:
    """The program's name, with its command where it is ours; no other argument: there may be a password among them."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        name = Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
    except OSError:
        return "another program"
    ours = next((place for place, word in enumerate(words[:3]) if os.path.basename(word) == "costmeter"), None)
    if ours is not None:
        command = words[ours + 1] if len(words) > ours + 1 else ""
        name = f"costmeter {command}".strip() if command.isalpha() else "costmeter"
    return "".join(character if character.isprintable() else "?" for character in name)


def _holder(file: int) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(os.pread(file, _LINE_BYTES, 0))
    return None
