"""Stopping a run whose budget is used up: it is asked, then told by TERM, and killed when its grace is over.

Only what descends from the command is ever signalled: what stands below it, what was seen below it before, and what
carries our own mark in its environment, for a process that was handed to us by its parent's death stands below nothing
else any more. A process is named by pid and start time, and signalled through a descriptor that holds it.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from costmeter.clock import Clock
from costmeter.ledger.identity import start_ticks
from costmeter.runtime import lineage
from costmeter.units import NANOSECONDS_PER_SECOND

#: The variable that names the socket of progress; beside it lies the file that asks to stop.
NOTIFY_VARIABLE, STOP_SUFFIX = "COSTMETER_NOTIFY", ".stop"
#: What asks gets this share of the grace before TERM.
_ASKED_SHARE = 2
_LOOK_NS = NANOSECONDS_PER_SECOND // 10
#: A process that KILL does not end within this hangs in the kernel, and nothing would end it.
_KILLED_WITHIN_NS = 5 * NANOSECONDS_PER_SECOND
#: What ends our wait for what the command left behind: somebody wants the meter itself to go.
_LEAVE_US = (signal.SIGTERM, signal.SIGHUP)

#: A process: its pid and its start time in ticks.
Process = tuple[int, int]


def stop_file(environ: Mapping[str, str]) -> Path | None:
    """The file whose existence asks the run to stop; None where it has no socket of progress."""
    notify = environ.get(NOTIFY_VARIABLE)
    return Path(notify + STOP_SUFFIX) if notify else None


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be stopped. `send` signals the command itself while it lives; `mark` is in what it gave its children.

    `can_stop` says whether a process of it looks whether it shall stop.
    """

    pid: int
    send: Callable[[int], bool]
    mark: str
    asks_by: Path | None
    can_stop: Callable[[], bool]


class Stopper:
    """Stops one command, once, in a thread of its own. `note` takes what was done, for the journal."""

    def __init__(self, command: Command, grace_seconds: float, clock: Clock, note: Callable[[str], None]) -> None:
        self._command, self._clock, self._note = command, clock, note
        self.grace_seconds = grace_seconds
        self._grace_ns = round(grace_seconds * NANOSECONDS_PER_SECOND)
        ticks = start_ticks(command.pid)
        self._known: set[Process] = set() if ticks is None else {(command.pid, ticks)}
        self._has_begun = False
        self._never = threading.Event()
        self._is_reaped = threading.Event()
        self.done = threading.Event()

    @property
    def has_begun(self) -> bool:
        """Whether the command was told to stop, or is being told."""
        return self._has_begun

    def begin(self) -> None:
        """Stop it. Returns at once; a second time does nothing."""
        if not self._has_begun:
            self._has_begun = True
            threading.Thread(target=self._stop, name="costmeter-stopper", daemon=True).start()

    def reaped(self) -> None:
        """The command itself has ended; what it left behind may still run."""
        self._is_reaped.set()

    def outlast(self) -> None:
        """In the main thread, after the command's end: wait until what it left behind has ended or was killed.

        A TERM or HUP to the meter ends the wait, as nothing else would pass it on.
        """
        self.reaped()
        while not self.done.wait(_LOOK_NS / NANOSECONDS_PER_SECOND):
            if signal.sigtimedwait(_LEAVE_US, 0) is not None:
                self._note("left alone before the grace was over, for the meter itself was told to end")
                return

    def clear(self) -> None:
        """Take the request to stop away again."""
        if self._command.asks_by is not None:
            with contextlib.suppress(OSError):
                self._command.asks_by.unlink(missing_ok=True)

    # The thread

    def _stop(self) -> None:
        try:
            ends_ns = self._clock.boottime_ns() + self._grace_ns
            if self._ask():
                self._note("asked to stop")
                self._wait(ends_ns - self._grace_ns // _ASKED_SHARE)
            if self._is_running():
                self._note(f"TERM to {_counted(self._signal(signal.SIGTERM))}")
                self._wait(ends_ns)
            if self._is_running():
                seconds = self._grace_ns / NANOSECONDS_PER_SECOND
                self._note(f"KILL to {_counted(self._signal(signal.SIGKILL))}, {seconds:g} s after the stop")
                self._kill_all()
        finally:
            self.done.set()

    def _ask(self) -> bool:
        """Ask, and say whether anybody listens. The file stays for who looks later."""
        path = self._command.asks_by
        if path is None:
            return False
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            pass  # asked already
        except OSError:
            return False
        return self._command.can_stop()

    def _wait(self, until_ns: int) -> None:
        while self._is_running() and (now_ns := self._clock.boottime_ns()) < until_ns:
            self._clock.wait(self._never, min(until_ns, now_ns + _LOOK_NS))

    def _is_running(self) -> bool:
        return not self._is_reaped.is_set() or bool(self._targets())

    def _signal(self, number: int) -> int:
        """Signal all of it; how many processes that were. A stopped one takes TERM only once it goes on."""
        targets = self._targets()
        told = 0
        if not self._is_reaped.is_set():
            told += self._command.send(number)
        for process in targets:
            told += process[0] != self._command.pid and _send(process, number)
        if number == signal.SIGTERM:
            for process in targets:
                if lineage.is_stopped(process[0]):
                    _send(process, signal.SIGCONT)
        return told

    def _kill_all(self) -> None:
        """Kill what was forked meanwhile as well."""
        until_ns = self._clock.boottime_ns() + _KILLED_WITHIN_NS
        while self._is_running() and (now_ns := self._clock.boottime_ns()) < until_ns:
            self._clock.wait(self._never, now_ns + _LOOK_NS // 2)
            self._signal(signal.SIGKILL)

    def _targets(self) -> list[Process]:
        """Everything that descends from the command and runs, parents before their children."""
        found: dict[int, Process] = {}
        for pid in lineage.living_orphans():
            ticks = start_ticks(pid)
            if ticks is None:
                continue
            process = (pid, ticks)
            if process in self._known or lineage.parent(pid) in found or _carries(pid, self._command.mark):
                found[pid] = process
        self._known |= set(found.values())
        return list(found.values())


def _counted(processes: int) -> str:
    return f"{processes} process{'' if processes == 1 else 'es'}"


def _send(process: Process, number: int) -> bool:
    """Signal just this process, never another that has its pid by now; False where it is gone or another user's.

    A kernel before 5.3 has no descriptors of processes: there the pid is looked at just before.
    """
    pid, ticks = process
    descriptor = _descriptor(pid)
    try:
        if start_ticks(pid) != ticks:
            return False
        if descriptor is None:
            os.kill(pid, number)
        else:
            signal.pidfd_send_signal(descriptor, number)
    except OSError:
        return False
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return True


def _descriptor(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return None


def _carries(pid: int, mark: str) -> bool:
    """Whether a process has our mark in its environment, as it was at its start."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return os.fsencode(f"{lineage.WRAPPER_VARIABLE}={mark}") in file.read().split(b"\0")
    except OSError:
        return False
