"""Stopping a run whose budget is used up: it is asked, then told by TERM, and killed when its grace is over.

Only what descends from the command is ever signalled: what stands below it, what was seen below it before, what carries
our own mark in its environment, and what was handed to us by its parent's death, for that stands below nothing else.
Where something stands beside the command that is older than it (`x & exec costmeter run …`), what is handed to us may
be of either, and only what proves itself is the command's. A process is named by pid and start time, and signalled
through a descriptor that holds it.
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
from costmeter.outputs.figures import about
from costmeter.runtime import lineage
from costmeter.units import NANOSECONDS_PER_SECOND

#: The variable that names the socket of progress; beside it lies the file that asks to stop.
NOTIFY_VARIABLE, STOP_SUFFIX = "COSTMETER_NOTIFY", ".stop"
#: What asks gets this share of the grace before TERM.
_ASKED_SHARE = 2
_LOOK_NS = NANOSECONDS_PER_SECOND // 10
#: A look that comes later than this was frozen or asleep, as the command was, which could not save meanwhile.
_LATE_NS = 3 * _LOOK_NS
#: A process that KILL does not end within this hangs in the kernel, and nothing would end it.
_KILLED_WITHIN_NS = 5 * NANOSECONDS_PER_SECOND
#: What ends our wait for what the command left behind: somebody wants the meter itself to go.
_LEAVE_US = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
#: So many processes are named, and the others counted.
_NAMED = 3

#: A process: its pid and its start time in ticks.
Process = tuple[int, int]


def stop_file(environ: Mapping[str, str]) -> Path | None:
    """The file whose existence asks the run to stop; None where it has no socket of progress."""
    notify = environ.get(NOTIFY_VARIABLE)
    return Path(notify + STOP_SUFFIX) if notify else None


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be stopped. `send` signals the command itself while it lives; `mark` is in what it gave its children.

    `can_stop` says whether a process of it looks whether it shall stop; `below_us` are all processes below the meter
    that are none of its own.
    """

    pid: int
    send: Callable[[int], bool]
    mark: str
    asks_by: Path | None
    can_stop: Callable[[], bool]
    below_us: Callable[[], list[int]] = lineage.living_orphans


class Stopper:
    """Stops one command, once, in a thread of its own. `note` takes what was done for the journal, `tell` for a person.

    Its grace is time in which the command could run: while all stood still, or the command was stopped, none is spent.
    """

    def __init__(
        self,
        command: Command,
        grace_seconds: float,
        clock: Clock,
        note: Callable[[str], None],
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._command, self._clock, self._note, self._tell = command, clock, note, tell
        self.grace_seconds = grace_seconds
        self._grace_ns = self._left_ns = round(grace_seconds * NANOSECONDS_PER_SECOND)
        ticks = start_ticks(command.pid)
        self._known: set[Process] = set() if ticks is None else {(command.pid, ticks)}
        # To the first process of a container the kernel hands what was brought in from outside, too.
        is_first = os.getpid() == 1
        has_older = ticks is None or any(_is_older(pid, ticks) for pid in command.below_us())
        self._is_alone = not (is_first or has_older)
        self._running: tuple[int, ...] = ()
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

        A TERM, HUP or Ctrl-C to the meter ends the wait, as nothing else would pass it on.
        """
        self.reaped()
        has_told = False
        while not self.done.wait(_LOOK_NS / NANOSECONDS_PER_SECOND):
            if signal.sigtimedwait(_LEAVE_US, 0) is not None:
                self._note("left alone before the grace was over, for the meter itself was told to end")
                self._tell(f"left running: {_named(self._running)}")
                return
            if self._running and self._command.pid not in self._running and not has_told:
                has_told = True
                left = about(max(1.0, self._left_ns / NANOSECONDS_PER_SECOND))
                self._tell(f"the command ended; waiting up to {left} for {_named(self._running)}; Ctrl-C leaves it")

    def clear(self) -> None:
        """Take the request to stop away again."""
        if self._command.asks_by is not None:
            with contextlib.suppress(OSError):
                self._command.asks_by.unlink(missing_ok=True)

    # The thread

    def _stop(self) -> None:
        try:
            began_ns = self._clock.boottime_ns()
            if self._ask():
                self._note("asked to stop")
                self._wait(self._grace_ns - self._grace_ns // _ASKED_SHARE)
            if self._is_running():
                self._note(f"TERM to {_counted(self._signal(signal.SIGTERM))}")
                self._wait(0, is_halted=self._is_halted)
            if self._is_running():
                seconds = (self._clock.boottime_ns() - began_ns) / NANOSECONDS_PER_SECOND
                self._note(f"KILL to {_counted(self._signal(signal.SIGKILL))}, {seconds:.0f} s after the stop")
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

    def _wait(self, left_ns: int, is_halted: Callable[[], bool] = lambda: False) -> None:
        """Until so much of the grace is left. A look that comes late spends little of it, and is never the last."""
        was_late = False
        while self._left_ns > left_ns and self._is_running():
            began_ns = self._clock.boottime_ns()
            self._clock.wait(self._never, began_ns + min(self._left_ns - left_ns, _LOOK_NS))
            if is_halted():
                continue
            waited_ns = self._clock.boottime_ns() - began_ns
            is_late = waited_ns > _LATE_NS
            least_ns = left_ns + _LOOK_NS if is_late and not was_late else 0
            self._left_ns = max(self._left_ns - min(waited_ns, _LATE_NS), min(self._left_ns, least_ns))
            was_late = is_late

    def _is_halted(self) -> bool:
        """Whether job control holds the command, or all that is left of it: it cannot save."""
        pids = self._running if self._is_reaped.is_set() else (self._command.pid,)
        return bool(pids) and all(map(lineage.is_stopped, pids))

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
        if self._is_reaped.is_set() and self._targets():
            self._note(f"KILL did not end {_named(self._running)}")
            self._tell(f"KILL did not end {_named(self._running)}: see: ps -o pid,user,stat,wchan:30,args")

    def _targets(self) -> list[Process]:
        """Everything that descends from the command and runs, parents before their children."""
        found: dict[int, Process] = {}
        for pid in self._command.below_us():
            ticks = start_ticks(pid)
            if ticks is None:
                continue
            process = (pid, ticks)
            is_below = process in self._known or lineage.parent(pid) in found
            if is_below or self._is_alone or _carries(pid, self._command.mark):
                found[pid] = process
        self._known |= set(found.values())
        self._running = tuple(found)
        return list(found.values())


def _is_older(pid: int, than_ticks: int) -> bool:
    """Whether a process began before another one did, and so does not descend from it."""
    ticks = start_ticks(pid)
    return ticks is not None and ticks < than_ticks


def _named(pids: tuple[int, ...]) -> str:
    """`pid 4711 (python3)`, the first few of them."""
    named = [f"pid {pid} ({lineage.command_name(pid) or 'gone'})" for pid in pids[:_NAMED]]
    more = [f"{len(pids) - _NAMED} more"] if len(pids) > _NAMED else []
    return ", ".join(named + more) or "nothing"


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
