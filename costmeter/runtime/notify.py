"""The socket on which a run's processes tell of its progress, and the thread that reads it.

What they send is state and not events: the thread keeps the last of every process, and hands on what it makes of them
as often as the journal can bear. A flood costs a little CPU time, and memory none.
"""

import contextlib
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from costmeter.clock import Clock
from costmeter.ledger.identity import start_ticks
from costmeter.ledger.reached import steps_reached
from costmeter.runtime.events import Told
from costmeter.runtime.notifypath import STOP_SUFFIX, VARIABLE, make_folder
from costmeter.runtime.progress import LONGEST_DATAGRAM, Sender, State, Tracker
from costmeter.units import NANOSECONDS_PER_SECOND

#: So many changes of phase, checkpoints and steps backwards are told on as they come, and one more every so often: the
#: journal has a line for each. Beyond that the last state wins.
CUTS_AT_ONCE, CUT_AGAIN_NS = 120, 30 * NANOSECONDS_PER_SECOND
#: A phase that is left within this was none: between an evaluation and a checkpoint lies no training.
SETTLED_NS = 20_000_000
#: Steps, tokens and loss are told on this often.
PERIOD_NS = NANOSECONDS_PER_SECOND
#: After so many datagrams in one go the thread rests, so that a flood leaves the machine to others.
_TAKEN_AT_ONCE, _REST_MILLISECONDS = 64, 50
_SWEEP_NS = NANOSECONDS_PER_SECOND
_DRAINED_AT_END = 2_000
_CREDENTIALS = struct.Struct("3i")
_CREDENTIALS_SPACE = socket.CMSG_SPACE(_CREDENTIALS.size)
_PRIVATE_SOCKET = 0o600


class Notify:
    """One run's socket at `path`; none where that is empty. `post` is given what was told, `warn` why nothing can be.

    `reached` says how far earlier parts of the run got; it may take its time over a disk.
    """

    def __init__(
        self,
        path: str,
        clock: Clock,
        post: Callable[[Told], None],
        warn: Callable[[str], None],
        reached: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._path, self._clock, self._post, self._warn, self._reached = path, clock, post, warn, reached
        self._tracker = Tracker(_lives)
        self._pace = Pace(clock.boottime_ns())
        self._wake_read = self._wake_write = -1
        self._closing = threading.Event()
        self._closed = threading.Event()

    def start(self) -> None:
        """Make the socket and listen, in a thread of its own."""
        if not self._path:
            return
        self._wake_read, self._wake_write = os.pipe()
        threading.Thread(target=self._listen, name="costmeter-notify", daemon=True).start()

    @property
    def can_stop(self) -> bool:
        """Whether a process of the run looks whether it shall stop."""
        return self._tracker.can_stop

    @property
    def stop_path(self) -> str:
        """The file whose presence asks the run to save and end."""
        return self._path + STOP_SUFFIX

    def close(self, seconds: float) -> None:
        """Take what was sent already, tell the last state and remove the socket; a thread that hangs is left behind."""
        self._closing.set()
        if self._wake_write >= 0:
            os.write(self._wake_write, b".")
            self._closed.wait(seconds)

    def _listen(self) -> None:
        try:
            receiver = _opened(self._path)
        except OSError as refusal:
            self._warn(f"progress cannot be told to this meter: {self._path}: {refusal.strerror or refusal}")
            self._closed.set()
            return
        try:
            with receiver:
                self._tracker = Tracker(_lives, self._reached())
                self._take_until_closed(receiver)
        except Exception as fault:  # the job and its meter go on without
            self._warn(f"progress is not heard any more: {type(fault).__name__}: {fault}")
        finally:
            for path in (self._path, self.stop_path):
                with contextlib.suppress(OSError):
                    os.unlink(path)
            self._closed.set()

    def _take_until_closed(self, receiver: socket.socket) -> None:
        poll, rest = select.poll(), select.poll()
        poll.register(receiver, select.POLLIN)
        for each in (poll, rest):
            each.register(self._wake_read, select.POLLIN)
        swept_ns = self._clock.boottime_ns()
        while not self._closing.is_set():
            poll.poll((SETTLED_NS if self._pace.is_settling else PERIOD_NS) // 1_000_000)
            if self._take(receiver, _TAKEN_AT_ONCE) == _TAKEN_AT_ONCE:
                rest.poll(_REST_MILLISECONDS)
            now_ns = self._clock.boottime_ns()
            if now_ns - swept_ns >= _SWEEP_NS:
                self._tracker.sweep()
                swept_ns = now_ns
            self._tell(now_ns)
        self._take(receiver, _DRAINED_AT_END)
        self._tell(self._clock.boottime_ns(), is_last=True)

    def _take(self, receiver: socket.socket, most: int) -> int:
        """Take what is there, up to so many datagrams; how many there were."""
        for count in range(most):
            try:
                datagram, ancillary, _, _ = receiver.recvmsg(LONGEST_DATAGRAM + 1, _CREDENTIALS_SPACE)
            except OSError:  # no more of them
                return count
            sender = _sender(ancillary)
            if sender is not None:
                self._tracker.hear(sender, datagram)
        return most

    def _tell(self, now_ns: int, is_last: bool = False) -> None:
        told = self._pace.due(self._tracker.state, now_ns, is_last)
        if told is not None:
            self._post(told)


def notify(
    environ: Mapping[str, str],
    folder: Path,
    host: str,
    clock: Clock,
    post: Callable[[Told], None],
    warn: Callable[[str], None],
) -> Notify:
    """The socket that was named to this run's processes; `folder` has the journals of its earlier parts."""
    reached = partial(steps_reached, folder, host, clock)
    return Notify(environ.get(VARIABLE, ""), clock, post, warn, reached)


class Pace:
    """How often a state is told on. Pure: it is told the time."""

    def __init__(self, now_ns: int) -> None:
        self._last = State()
        self._last_ns = self._refilled_ns = now_ns
        self._cuts_left = CUTS_AT_ONCE
        self._changed_ns: int | None = None

    @property
    def is_settling(self) -> bool:
        """Whether the run does something else since a moment ago."""
        return self._changed_ns is not None

    def due(self, state: State, now_ns: int, is_last: bool = False) -> Told | None:
        """What is to be told on now, if anything: a change as of when it was first seen. The last state always is."""
        gained = (now_ns - self._refilled_ns) // CUT_AGAIN_NS
        self._refilled_ns += gained * CUT_AGAIN_NS
        self._cuts_left = min(CUTS_AT_ONCE, self._cuts_left + gained)
        last = self._last
        if not (self._cuts_left > 0 or is_last):
            state = replace(last, progress=state.progress)
        is_cut = _cutting(state) != _cutting(last)
        self._changed_ns = (self._changed_ns or now_ns) if is_cut else None
        changed_ns = self._changed_ns or now_ns
        waited_ns, wait_ns = (now_ns - changed_ns, SETTLED_NS) if is_cut else (now_ns - self._last_ns, PERIOD_NS)
        if state == last or (waited_ns < wait_ns and not is_last):
            return None
        self._cuts_left -= is_cut
        self._last, self._last_ns, self._changed_ns = state, now_ns, None
        has_resumed, has_saved = state.resumes != last.resumes, state.checkpoints != last.checkpoints
        resumed = state.resumed if has_resumed else None
        return Told(changed_ns, state.phase, state.progress, state.redone, has_saved, resumed)


def _cutting(state: State) -> tuple[object, ...]:
    return state.phase, state.redone, state.checkpoints, state.resumes


def _sender(ancillary: list[tuple[int, int, bytes]]) -> Sender | None:
    """The process that sent a datagram, as the kernel says; None where it is neither ours nor root's."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid, uid, _ = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
            return (pid, start_ticks(pid) if pid else None) if uid in (os.getuid(), 0) else None
    return None


def _lives(sender: Sender) -> bool:
    pid, ticks = sender
    return pid == 0 or (ticks is not None and start_ticks(pid) == ticks)  # 0: in a container that we cannot see into


def _opened(path: str) -> socket.socket:
    """The socket, in a folder that is ours alone. Raises OSError where it cannot be."""
    if refusal := make_folder(os.path.dirname(path)):
        raise PermissionError(0, refusal)
    _remove_left_over(Path(path))
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        receiver.bind(path)
        os.chmod(path, _PRIVATE_SOCKET)
    except OSError:
        receiver.close()
        raise
    return receiver


def _remove_left_over(own: Path) -> None:
    """Remove sockets at which nobody listens any more, and requests to stop beside none: of meters that were killed.

    A request beside our own is ours: one that was left there is gone since before the job began.
    """
    dead = set()
    for path in own.parent.glob("*.sock"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
                dead.add(path)
            except OSError:
                continue
    for request in own.parent.glob(f"*.sock{STOP_SUFFIX}"):
        path = request.with_suffix("")
        if path != own and (path in dead or not (path.exists() or _has_meter(path))):
            request.unlink(missing_ok=True)


def _has_meter(path: Path) -> bool:
    """Whether a process lives that has the pid in a socket's name."""
    pid = path.stem.rpartition(".")[2]
    return pid.isdecimal() and start_ticks(int(pid)) is not None
