"""Starts the user's command, waits for it, and ends as it ended, as if nobody stood in between.

The command keeps everything it would have got from a plain exec: streams, terminal, folder, process group, limits,
descriptors, signal mask and dispositions, timers, and the environment plus COSTMETER_*. One path makes it: fork, exec,
and a pipe that closes at the exec or carries the reason why there was none.

`run` starts the command within 30 ms, so nothing slow is imported on this path: no dataclasses, typing,
subprocess or logging. Hence the plain classes with __slots__ here and in the modules beside it.

The order of calls, all in the main thread and before any other thread is started::

    child = spawn(argv, environ)      # SpawnFailed: print it, exit with its code. OSError: warn, exec_through
    start metering threads            # they inherit the blocked signals: those reach the main thread, in `wait`
    status, reaped_ns = child.wait()
    finish metering
    die_like(status)

No process may be started with `subprocess` while the child runs: `wait` reaps whatever ends.
"""

from __future__ import annotations

import _thread  # `threading` without its cost; the lock is the same
import os
import signal
import sys
import time

from costmeter.runtime import lineage, signals
from costmeter.runtime.command import SpawnFailed, as_found, exec_through, execute, explain, flush_quietly
from costmeter.runtime.lineage import enclosing_wrapper, living_orphans
from costmeter.runtime.sentinel import Sentinel

TYPE_CHECKING = False  # the import of `typing` alone costs a third of the launch budget
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import NoReturn

__all__ = [
    "Child",
    "SpawnFailed",
    "descriptor_named",
    "die_like",
    "enclosing_wrapper",
    "exec_through",
    "living_orphans",
    "spawn",
]

_NAMED = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_LOST = 125 << 8  # the status when something else in this process has reaped the child: our failure, by the book


#: How long a signal to the group may come after one to us and still be the same event.
_GROUP_SECONDS = 0.01


class Child:
    """The running command. `pid`, and `spawned_ns`, the CLOCK_BOOTTIME nanoseconds just before the fork."""

    __slots__ = ("_in_slurm_step", "_lock", "_reaped", "_sentinel", "_waited", "pid", "spawned_ns")

    def __init__(self, pid: int, spawned_ns: int, waited: set[signal.Signals], in_slurm_step: bool) -> None:
        self.pid = pid
        self.spawned_ns = spawned_ns
        self._waited = waited
        self._in_slurm_step = in_slurm_step
        self._lock = _thread.allocate_lock()
        self._reaped = False
        self._sentinel = _sentinel()

    def wait(self, forward: str = "auto", heard: Callable[[int], None] | None = None) -> tuple[int, int]:
        """Forward signals and reap until the child ends; its wait status, and the boot time at which it was reaped.

        Orphans are reaped on the way and not waited for. `heard` is told every signal that reached us, SIGINT and
        those not forwarded included, after it was dealt with; it runs in this thread and must not block.
        """
        signals.stop_with_group()
        while (status := self._reap()) is None:
            info = signals.await_signal(self._waited)
            if info.si_signo == signal.SIGCHLD:
                continue
            reached = self._reached_by_group(info)
            if signals.is_forwarded(forward, info, self.pid, self._in_slurm_step, reached):
                self.send(info.si_signo)
            if heard is not None:
                _tell(heard, info.si_signo)
        ended_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        signals.write_unstopped()  # the receipt of a background job must not wait for `fg`
        return status, ended_ns

    def _reached_by_group(self, info: signal.struct_siginfo) -> bool:
        """Whether the child got this signal with us, as a member of our process group."""
        if self._sentinel is None:
            return False
        if info.si_code <= 0:
            time.sleep(_GROUP_SECONDS)  # `timeout` signals us first and the group next: one event, and one signal
            signal.sigtimedwait({info.si_signo}, 0)
        reached = self._sentinel.pending()
        try:
            return info.si_signo in reached and os.getpgid(self.pid) == os.getpgrp()
        except OSError:
            return False

    def orphans(self) -> list[int]:
        """The processes that the child left behind and that still run."""
        return [pid for pid in living_orphans() if self._sentinel is None or pid != self._sentinel.pid]

    def send(self, number: int) -> bool:
        """Send the child a signal, from any thread; False once it was reaped, when its pid may be another's."""
        with self._lock:
            if self._reaped:
                return False
            try:
                os.kill(self.pid, number)
            except PermissionError:
                return False  # it runs as another user now (sudo): the signal is its sender's to repeat
            return True

    def _is_ours(self) -> bool:
        """Whether the child is still there for us to reap."""
        try:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def _reap(self) -> int | None:
        """Reap all that has ended; the child's status if it is among them."""
        while True:
            with self._lock:
                try:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    pid, status = self.pid, _LOST
                if pid == self.pid:
                    self._reaped = True
                    return status
            if pid == 0:
                return None if self._is_ours() else _LOST


def spawn(argv: list[str], environ: dict[str, str], keep: Collection[int] = ()) -> Child:
    """Start the command with this environment plus COSTMETER_WRAPPER, and return once it is running.

    Afterwards this process holds none of the descriptors it inherited, except stderr and those in `keep`.

    Raises SpawnFailed when the command cannot be started (127, 126), and OSError when no process or pipe can be made
    (limits reached): a plain exec needs neither, so the caller can still `exec_through`.
    """
    signals.leave_interrupts_to_child()
    environ = {**as_found(environ), lineage.WRAPPER_VARIABLE: lineage.wrapper_mark()}
    report_in, report_out = os.pipe()
    signals.adopt_orphans(True)
    found = signals.Dispositions()
    try:
        spawned_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        pid = os.fork()
    except OSError:
        found.take_back()
        signals.adopt_orphans(False)
        os.close(report_in)
        os.close(report_out)
        raise
    if pid == 0:
        _become(argv, environ, found, report_out)
    os.close(report_out)
    report = _read_to_end(report_in)
    if report:
        os.waitpid(pid, 0)
        found.take_back()
        code, _, path = os.fsdecode(report).partition(" ")
        raise explain(argv[0], int(code), path)
    _let_go_of_descriptors(keep)
    signals.write_unstopped()
    return Child(pid, spawned_ns, found.waited, "SLURM_STEP_ID" in environ)


def descriptor_named(path: str) -> int | None:
    """The inherited descriptor that a path such as /dev/stdout or /dev/fd/63, from `>(…)`, stands for; for `keep`."""
    if path in _NAMED:
        return _NAMED[path]
    folder, _, name = path.rpartition("/")
    return int(name) if folder in ("/dev/fd", "/proc/self/fd") and name.isdecimal() else None


def die_like(status: int) -> NoReturn:
    """End this process as the child ended: by its exit code, or by the signal that killed it.

    Nothing is waited for: no threads, no atexit. Where a signal cannot kill us (pid 1), the code is 128 + signal.
    """
    for stream in (sys.stdout, sys.stderr):
        flush_quietly(stream)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        signals.die_by(number)
        os._exit(128 + number)
    os._exit(os.WEXITSTATUS(status))


def _become(argv: list[str], environ: dict[str, str], found: signals.Dispositions, report_out: int) -> NoReturn:
    """In the child: restore, exec, and if that fails tell the parent why. Nothing may escape from here."""
    try:
        found.give_to_child()
        code, path = execute(argv, environ)
        os.write(report_out, os.fsencode(f"{code} {path}"))
    except BaseException:
        os.write(report_out, os.fsencode(f"{_cause()} {argv[0]}"))
    finally:
        os._exit(127)


def _cause() -> int:
    """The errno of the error being handled, or EINVAL: exec refuses a null byte with a ValueError."""
    fault = sys.exc_info()[1]
    return getattr(fault, "errno", None) or 22


def _read_to_end(descriptor: int) -> bytes:
    """Everything the pipe gives until its other end closes, which is at the exec."""
    parts = []
    while part := os.read(descriptor, 4096):
        parts.append(part)
    os.close(descriptor)
    return b"".join(parts)


def _let_go_of_descriptors(keep: Collection[int]) -> None:
    """Drop what is the child's, in this process only: all that was inherited except stderr, where our own text goes.

    Else a pipe would not break when the child closes its end, since we held another: `yes | costmeter run -- …` would
    hang. Where a stream was closed /dev/null takes its place, so that no journal gets the number of stderr. What we
    open ourselves is never inheritable, which tells the two apart.
    """
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in {0, 1}.difference(keep):
            os.dup2(null, stream, inheritable=False)
        if null > 2:
            os.close(null)
        os.fstat(2)
    except OSError:
        _fill_stderr()
    for descriptor in _open_descriptors():
        try:
            if descriptor > 2 and descriptor not in keep and os.get_inheritable(descriptor):
                os.close(descriptor)
        except OSError:
            continue  # the listing's own descriptor


def _fill_stderr() -> None:
    try:
        os.dup2(0, 2, inheritable=False)
    except OSError:
        return


def _open_descriptors() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return []


def _sentinel() -> Sentinel | None:
    """Where no process more can be had, signals are passed on by their sender alone."""
    try:
        return Sentinel()
    except OSError:
        return None


def _tell(heard: Callable[[int], None], number: int) -> None:
    """Pass a signal's number on; an error there must not end the wait."""
    try:
        heard(number)
    except Exception:
        return
