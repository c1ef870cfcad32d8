"""What becomes of signals while a child runs: kept as found for the child, waited for by us, forwarded by rule.

Python changes two dispositions before any of our code runs: it ignores SIGPIPE and SIGXFSZ. What they were before
cannot be learned afterwards (the kernel keeps one value per signal, and a parent that ignores them tells nothing about
what it set for us), so the command gets the default, as from `subprocess`. All others are passed on as they were.

`signal` costs 4 ms to import, nearly all of it for enums that argparse needs as well; `ctypes` costs 2 ms and is the
only way to prctl(2).
"""

from __future__ import annotations

import os
import signal

from costmeter.runtime import lineage

TYPE_CHECKING = False  # the import of `typing` alone costs a third of the launch budget
if TYPE_CHECKING:
    from collections.abc import Iterable

_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
# Never waited for: what cannot be caught, what job control does to the whole group, and faults of our own code.
_LEFT_ALONE = {
    *(signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
    *(signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGSYS, signal.SIGTRAP),
    *_IGNORED_BY_PYTHON,
}
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 2, 36


class Dispositions:
    """The signal state we were started with; `give_to_child` makes it the child's. (dataclasses would cost 21 ms.)"""

    __slots__ = ("death_signal", "ignores_children", "mask", "timers", "waited")

    def __init__(self) -> None:
        """Take the signals: from here on they wait in the queue and none can end or interrupt this process."""
        found = {number: signal.getsignal(number) for number in signal.valid_signals()}
        self.ignores_children = found[signal.SIGCHLD] is signal.SIG_IGN
        # What was ignored stays ignored and is not waited for: that is how nohup and `&` protect their command.
        self.waited = {n for n, how in found.items() if how is not signal.SIG_IGN} - _LEFT_ALONE | {signal.SIGCHLD}
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, self.waited)
        if self.ignores_children:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # else the kernel reaps the child and its status is lost
        # exec keeps timers and the parent-death signal, fork clears them; `perl -e 'alarm 60; exec @ARGV'` needs them.
        self.timers = [(which, signal.setitimer(which, 0)) for which in _TIMERS]
        self.death_signal = _death_signal()

    def give_to_child(self) -> None:
        """In the child: everything as it was. A signal that came since the fork is delivered by the last step."""
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        restore_python_defaults()
        if self.death_signal:
            _prctl(_PR_SET_PDEATHSIG, self.death_signal)
        self.take_back()

    def take_back(self) -> None:
        """In this process, when no child was made: as it was, for a plain exec."""
        if self.ignores_children:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        for which, (seconds, interval) in self.timers:
            if seconds:
                signal.setitimer(which, seconds, interval)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)


def leave_interrupts_to_child() -> None:
    """Survive Ctrl-C without a KeyboardInterrupt. exec turns a handler back into the default, but never SIG_IGN."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda _number, _frame: None)


def restore_python_defaults() -> None:
    """Undo what Python did to this process at its start, before an exec."""
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)


def adopt_orphans(wanted: bool) -> None:
    """Have orphans below us handed to us, not to init, so that we can name those that still hold a GPU."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(wanted))


def write_unstopped() -> None:
    """In this thread, and in those it starts, write to the terminal from the background without stopping the job.

    With `stty tostop` the kernel stops the whole process group of a background writer, the child included; a writer
    that blocks SIGTTOU is let through.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})


def stop_with_group() -> None:
    """In this thread, take SIGTTOU again, so that a child stopped for its own writing is a stopped job."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTTOU})


def is_forwarded(
    policy: str, heard: signal.struct_siginfo, child: int, in_slurm_step: bool, reached_by_group: bool = False
) -> bool:
    """Whether a signal that reached us must be passed on, because it has not reached the child by itself.

    `policy` is `always`, `never` or `auto`. Under `auto` the child has it already when the kernel sent it (a terminal
    signals the group, except that it hangs up its session's leader alone; timers and limits are our own), when
    slurmstepd did (TERM and CONT go to every process of the job, and inside a step all signals do), when it went to our
    whole process group (`reached_by_group`), and when the child's own processes did (`kill 0`). SIGINT is never passed.
    """
    number, sender = heard.si_signo, heard.si_pid
    if number in (signal.SIGINT, signal.SIGCHLD) or policy == "never":
        return False
    if policy == "always":
        return True
    if reached_by_group:
        return False
    if heard.si_code > 0 and not (number in (signal.SIGHUP, signal.SIGCONT) and os.getsid(0) == os.getpid()):
        return False
    if number == signal.SIGCONT and not lineage.is_stopped(child):
        return False  # `fg` has continued the whole group: a second SIGCONT would run a handler twice
    if sender and lineage.command_name(sender).startswith("slurmstepd"):
        return not in_slurm_step and number not in (signal.SIGTERM, signal.SIGCONT)
    # A container's processes reach the command as pid 1, which we are: `kill 1` is meant for the child.
    return os.getpid() == 1 or not lineage.is_below(sender, child)


def await_signal(numbers: Iterable[int]) -> signal.struct_siginfo:
    """Sleep until one of these blocked signals is there."""
    return signal.sigwaitinfo(numbers)


def die_by(number: int) -> None:
    """End this process by a signal, without a core file; returns only if that is not possible (pid 1, SIGSTOP)."""
    if os.getpid() == 1:
        return  # the kernel would not deliver it
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    except (ImportError, OSError, ValueError):
        pass


def _death_signal() -> int:
    """The signal we were told to get when our parent dies; 0 for none."""
    try:
        import ctypes

        number = ctypes.c_int(0)
        _prctl(_PR_GET_PDEATHSIG, ctypes.addressof(number))
        return number.value
    except ImportError:
        return 0


def _prctl(option: int, value: int) -> None:
    """prctl(2), as far as it can be had: a Python without ctypes meters all the same."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass
