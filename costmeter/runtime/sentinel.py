"""The sentinel: a process in the command's process group, by which we learn that a signal went to the whole group.

`timeout`, `kill -- -PGID` and a shell that hangs up signal a group, and then the command has the signal already:
passing ours on would be a second one, on which many trainers give up the checkpoint that they began to save on the
first. The kernel does not tell a receiver whether it was meant alone. So one process more stands in the group, with
every signal blocked; what is pending there was sent to the group.

It holds no descriptors but its two pipes, wakes only when asked, and dies with us.
"""

from __future__ import annotations

import os
import signal

_ASK = b"?"
#: A stopped sentinel answers nothing; then the signal is passed on, as without one.
_ANSWER_SECONDS = 0.2
_KILLED_WITH_US = 1


class Sentinel:
    """The process, from our side. Made in the main thread before any other is started. A plain class: see `child`."""

    __slots__ = ("_answers", "_asking", "pid")

    def __init__(self) -> None:
        """Fork it. Raises OSError where no process or pipe can be made."""
        told_in, self._asking = os.pipe()
        self._answers, told_out = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _stand(parent, told_in, told_out)
        os.close(told_in)
        os.close(told_out)

    def pending(self) -> set[int]:
        """The signals that reached the group since this was last asked; none when the sentinel does not answer."""
        import select  # not before the launch

        try:
            os.write(self._asking, _ASK)
            if not select.select([self._answers], [], [], _ANSWER_SECONDS)[0]:
                return set()
            return set(os.read(self._answers, 256)) - {0}
        except OSError:
            return set()


def _stand(parent: int, told_in: int, told_out: int) -> None:
    """In the sentinel: wait to be asked, say what is pending, until the one who asks is gone. Never returns."""
    try:
        every = signal.valid_signals()
        signal.pthread_sigmask(signal.SIG_BLOCK, every)
        for name in os.listdir("/proc/self/fd"):
            if int(name) not in (told_in, told_out):
                _close(int(name))
        _die_with_parent()
        while os.getppid() == parent and os.read(told_in, 1):
            found = [0]
            while (info := signal.sigtimedwait(every, 0)) is not None:
                found.append(info.si_signo)
            os.write(told_out, bytes(found))
    finally:
        os._exit(0)


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return  # the listing's own descriptor


def _die_with_parent() -> None:
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_KILLED_WITH_US, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return  # the pipe's end tells it all the same
