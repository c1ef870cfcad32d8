"""What a training script tells its meter: steps, tokens, loss, phases and checkpoints.

Every function is a no-op where no meter listens (`COSTMETER_NOTIFY` unset), raises nothing whatever it is given, and
waits for nobody: a datagram that finds no room is dropped, and the next one, which says everything anew, repairs it.
At most one datagram in 50 ms leaves, except when a phase, a checkpoint or a target changes. Any thread may call.
"""

from __future__ import annotations  # a training script may run on an older Python than the meter

import atexit
import contextlib
import os
import time
from _thread import RLock
from typing import SupportsFloat, SupportsInt

#: Names the datagram socket of the meter; beside it stands the file that asks the run to stop.
VARIABLE = "COSTMETER_NOTIFY"
STOP_SUFFIX = ".stop"
#: The phase whose end is a checkpoint.
CHECKPOINT = "checkpoint"
#: Steps told oftener than this are told together.
_PERIOD_NS = 50_000_000
_LONGEST_NAME = 64
_LARGEST = 10**15


class _Sender:
    """What this process says, and what of it has not been said yet."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = RLock()  # a signal handler may call in the middle of a call
        self.told: dict[str, str] = {}
        self.steps = self.saves = 0
        self.phases: list[phase] = []
        self._firsts: dict[str, int] = {}
        self.is_due = False
        self._sent_ns = -_PERIOD_NS
        self._socket: object = None

    def may_send(self) -> bool:
        """Whether the last datagram is long enough ago."""
        return time.monotonic_ns() - self._sent_ns >= _PERIOD_NS

    def put(self, key: str, value: str) -> bool:
        """Remember a value; whether it is news."""
        is_news = self.told.get(key) != value
        self.told[key] = value
        self.is_due = self.is_due or is_news
        return is_news

    def began(self, key: str, from_count: int | None, count: int) -> None:
        """Remember where a count began: as given, else with the second one, as far before the first as that is after.

        The meter hears not every step, and none before it listens: only we know the first two.
        """
        if key in self.told:
            return
        first = self._firsts.setdefault(key, count)
        if from_count is not None and first == count:
            self.put(key, str(from_count))
        elif count > first:
            self.put(key, str(max(0, first - (count - first))))
        else:
            self._firsts[key] = count

    def send(self, at_once: bool) -> None:
        """Say everything, where something is new and it is time. What the meter does not take is said later."""
        if not self.is_due or not (at_once or self.may_send()):
            return
        import socket

        if not isinstance(self._socket, socket.socket):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sent_ns = time.monotonic_ns()
        text = "\n".join(f"{key}={value}" for key, value in self.told.items())
        try:
            self._socket.sendto(text.encode("utf-8", "replace"), socket.MSG_DONTWAIT, self.path)
        except OSError:
            return
        self.is_due = False


def step(
    n: SupportsInt | None = None,
    *,
    tokens: SupportsInt | None = None,
    loss: SupportsFloat | None = None,
    of: SupportsInt | None = None,
) -> None:
    """Tell that `n` steps are done (None: one more), and where known `tokens` in all, the loss, of how many steps.

    A loss is asked for its value only where a datagram leaves, because a tensor on a GPU would make the caller wait.
    One that is not a finite number, and counts below zero or beyond 10^15, are not told.
    """
    sender = _sender()
    if sender is None:
        return
    with contextlib.suppress(Exception), sender.lock:
        steps = sender.steps + 1 if n is None else _count(n)
        if steps is not None:
            sender.began("FROM", sender.steps if n is None else None, steps)
            sender.steps = steps
            sender.put("STEP", str(steps))
        if _put_count(sender, "TOKENS", tokens):
            sender.began("FROM_TOKENS", None, int(sender.told["TOKENS"]))
        is_target_new = _put_count(sender, "OF", of)
        if loss is not None and (is_target_new or sender.may_send()):
            _put_loss(sender, loss)
        sender.send(at_once=is_target_new)


class phase(contextlib.ContextDecorator):  # noqa: N801  # it reads as a verb where it is used
    """`with costmeter.phase("eval"):`, or as a decorator; the phase before is gone back to at its end.

    The end of `phase("checkpoint")` without an exception tells of a checkpoint. Of phases that overlap, in threads, the
    one begun last is told. A name is cut to 64 characters; one without any that can be printed is not told.
    """

    def __init__(self, name: str) -> None:
        self.name = ""
        with contextlib.suppress(Exception):
            self.name = "".join(c for c in str(name)[: 4 * _LONGEST_NAME] if c.isprintable())[:_LONGEST_NAME].strip()

    def _recreate_cm(self) -> phase:
        return phase(self.name)

    def __enter__(self) -> phase:
        sender = _sender() if self.name else None
        if sender is not None:
            with contextlib.suppress(Exception), sender.lock:
                sender.phases.append(self)
                if self.name == CHECKPOINT and "CHECKPOINT" not in sender.told:
                    sender.put("CHECKPOINT", "none")  # one that fails must not be taken for one that was saved
                _put_phase(sender)
        return self

    def __exit__(self, kind: object, exception: object, traceback: object) -> None:
        sender = _sender() if self.name else None
        if sender is None:
            return
        with contextlib.suppress(Exception), sender.lock:
            if self in sender.phases:
                sender.phases.reverse()
                sender.phases.remove(self)
                sender.phases.reverse()
            if self.name == CHECKPOINT and kind is None:
                _put_checkpoint(sender, None)
            _put_phase(sender)


def checkpoint(step: SupportsInt | None = None) -> None:
    """Tell that a checkpoint is whole: of so many steps, or of those that were told last."""
    sender = _sender()
    if sender is not None:
        with contextlib.suppress(Exception), sender.lock:
            _put_checkpoint(sender, step)
            sender.send(at_once=True)


def stop_requested() -> bool:
    """Whether the meter asks the run to save and end, because a budget that may stop it is spent.

    Who calls this is given time to do so: call it once a step. It is one look at the file system.
    """
    sender = _sender()
    if sender is None:
        return False
    try:
        with sender.lock:
            sender.send(at_once=sender.put("STOPS", "1"))
        return _is_meters(sender.path + STOP_SUFFIX) and _is_meters(os.path.dirname(sender.path))
    except Exception:  # mostly that there is no such file
        return False


def _is_meters(path: str) -> bool:
    """Whether a file is this user's or root's: nobody else may ask the run to end. Raises OSError where it is none."""
    return os.lstat(path).st_uid in (os.getuid(), 0)


def _put_count(sender: _Sender, key: str, value: SupportsInt | None) -> bool:
    count = None if value is None else _count(value)
    return count is not None and sender.put(key, str(count))


def _count(value: SupportsInt) -> int | None:
    """A count that can be meant, else None."""
    try:
        count = int(value)
    except Exception:  # a value of the caller's own kind raises what it likes
        return None
    return count if 0 <= count <= _LARGEST else None


def _put_loss(sender: _Sender, loss: SupportsFloat) -> None:
    with contextlib.suppress(Exception):  # a tensor of several values, of one that is not on this machine
        value = float(loss)
        if value - value == 0:  # neither NaN nor infinite
            sender.put("LOSS", repr(value))


def _put_phase(sender: _Sender) -> None:
    sender.put("PHASE", sender.phases[-1].name if sender.phases else "")
    sender.send(at_once=True)


def _put_checkpoint(sender: _Sender, step: SupportsInt | None) -> None:
    """By its step; without any, by how many there were."""
    sender.saves += 1
    told = sender.steps if step is None else _count(step)
    sender.put("CHECKPOINT", str(told or sender.saves))


_senders: dict[str, _Sender] = {}


def _sender() -> _Sender | None:
    """This process's sender; None where no meter listens."""
    path = os.environ.get(VARIABLE)
    if not path:
        return None
    sender = _senders.get(path)
    if sender is None:
        if not _senders:
            atexit.register(_say_the_rest)
            os.register_at_fork(after_in_child=_forked)
        sender = _senders.setdefault(path, _Sender(path))
    return sender


def _say_the_rest() -> None:
    for sender in _senders.values():
        with contextlib.suppress(Exception):
            sender.send(at_once=True)


def _forked() -> None:
    """In a child: another thread of the parent may have held the lock, and what was unsaid is the parent's to say."""
    for sender in _senders.values():
        sender.lock = RLock()
        sender.is_due = False
