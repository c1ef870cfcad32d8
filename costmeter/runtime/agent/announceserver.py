"""The agent's socket, on which runs announce themselves, and the thread that listens there.

Every user of the node may connect, so nobody is trusted further than the kernel vouches for him (SO_PEERCRED). Who says
nothing, half a line, too much or too often costs a little time and a bounded piece of memory, and nobody else anything.
"""

import contextlib
import errno
import os
import resource
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from costmeter.attribution.announcement import Announcement
from costmeter.clock import Clock
from costmeter.ledger.identity import start_ticks, user_name
from costmeter.runtime.agent import announceline
from costmeter.runtime.agent.allowance import Allowance, Savings
from costmeter.runtime.agent.announceconnection import BYTES_AGAIN, BYTES_AT_ONCE, Connection
from costmeter.runtime.agent.announcedruns import MOST, MOST_OF_A_USER, AnnouncedRuns, Posted, Session
from costmeter.runtime.agent.announceline import LONGEST_LINE, Farewell, Greeting, Refused, Saying
from costmeter.runtime.agent.events import RunGone
from costmeter.runtime.agent.firstprocess import first_process
from costmeter.runtime.agent.known import announced_facts
from costmeter.runtime.agent.socketfile import SocketFile
from costmeter.runtime.agent.socketwatch import SocketWatch
from costmeter.runtime.patience import within
from costmeter.units import NANOSECONDS_PER_SECOND

#: Who has connected has so long to greet.
SILENT_NS = 5 * NANOSECONDS_PER_SECOND
#: So many of a user, and in all, may be about to.
MOST_SILENT_OF_A_USER, MOST_SILENT = 16, 256
#: A user may greet so often at once, and once more every second.
GREETINGS = Allowance(MOST_OF_A_USER, NANOSECONDS_PER_SECOND)
_SWEEP_NS = NANOSECONDS_PER_SECOND
#: After every turn the thread rests, so that a flood leaves the machine to others.
_REST_SECONDS = 0.01
_ACCEPTED_AT_ONCE, _TAKEN_AT_ONCE = 16, 16_384
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
#: A directory of users may hang; then a number is a name, too.
_PATIENCE_SECONDS = 1.0
_MOST_USERS = 4_096


class AnnounceServer:
    """Listens at `path` for runs. `post` is given what they tell and how they end; `changed` is called when what is
    announced has changed; `warn` is told why nobody is heard. All three are called in the server's thread.

    `is_simulated` is whether the node's GPUs are: runs on GPUs of the other kind are not this node's. `lock` makes sure
    that no other agent has the path; it may raise.
    """

    def __init__(
        self,
        path: str,
        clock: Clock,
        post: Callable[[Posted], None],
        changed: Callable[[], None],
        warn: Callable[[str], None],
        is_simulated: bool = False,
        lock: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock, self._post, self._changed, self._warn = clock, post, changed, warn
        self._file, self._is_simulated = SocketFile(path), is_simulated
        self._watch = SocketWatch(self._file, lock, warn)
        self._greetings = Savings(GREETINGS)
        self._runs = AnnouncedRuns(lambda pid, ticks: start_ticks(pid) == ticks)
        self._announced: tuple[Announcement, ...] = ()
        self._connections: dict[int, Connection] = {}
        self._users: dict[int, str] = {}
        self._selector = selectors.DefaultSelector()
        self._listener: socket.socket | None = None
        self._is_listening = False
        self._most = _most_connections()
        self._wake_read = self._wake_write = -1
        self._closing, self._closed = threading.Event(), threading.Event()

    def start(self) -> bool:
        """Listen, in a thread of its own. False, and a warning, where that cannot be: the agent goes on without."""
        try:
            self._listener = self._file.listen()
            self._wake_read, self._wake_write = os.pipe()
            threading.Thread(target=self._listen, name="costmeter-announce", daemon=True).start()
        except (OSError, RuntimeError) as refusal:
            why = getattr(refusal, "strerror", None) or refusal
            self._warn(f"runs cannot announce themselves: {self._file.path}: {why}")
            self._file.remove()
            self._announced = ()
            return False
        return True

    def expect(self, announcements: tuple[Announcement, ...]) -> None:
        """Runs that an agent before this one heard, and that go on. Before `start`."""
        self._runs.expect(announcements, self._clock.boottime_ns())
        self._announced = self._runs.announcements()

    def announcements(self) -> tuple[Announcement, ...]:
        """The runs that are announced now."""
        return self._announced

    @property
    def dropped(self) -> int:
        """How many announcements there was no room for."""
        return self._runs.dropped

    def is_heard(self) -> bool:
        """Whether runs that begin find the socket."""
        return self._listener is not None and not self._closed.is_set() and not self._watch.is_lost

    def close(self, seconds: float = 1.0) -> None:
        """Listen no more and remove the socket. No run has ended by that; they announce themselves again."""
        self._closing.set()
        if self._wake_write >= 0:
            os.write(self._wake_write, b".")
            self._closed.wait(seconds)

    # The thread

    def _listen(self) -> None:
        assert self._listener is not None
        try:
            self._selector.register(self._wake_read, selectors.EVENT_READ)
            self._listen_on(True)
            self._serve_until_closed()
        except Exception as fault:  # the meter goes on without
            self._warn(f"runs are not heard any more: {type(fault).__name__}: {fault}")
        finally:
            self._file.remove()
            for each in (self._listener, *(connection.socket for connection in self._connections.values())):
                with contextlib.suppress(OSError):
                    each.close()
            self._selector.close()
            self._closed.set()

    def _serve_until_closed(self) -> None:
        swept_ns = self._clock.boottime_ns()
        while not self._closing.is_set():
            ready = self._selector.select(_SWEEP_NS / NANOSECONDS_PER_SECOND)
            for key, _ in ready:
                if isinstance(key.data, Connection):
                    self._read(key.data)
            if any(key.fileobj is self._listener for key, _ in ready):  # last, when there is room again
                self._accept()
            if self._clock.boottime_ns() - swept_ns >= _SWEEP_NS:
                swept_ns = self._clock.boottime_ns()
                self._sweep(swept_ns)
            self._publish()
            if ready:
                self._closing.wait(_REST_SECONDS)

    def _publish(self) -> None:
        announced = self._runs.announcements()
        if announced != self._announced:
            self._announced = announced
            self._changed()

    def _tell(self, posted: list[Posted]) -> None:
        """What is gone is announced no more when it is said to be gone."""
        if posted:
            self._publish()
        told_ns = self._clock.boottime_ns()
        for each in posted:
            self._post(replace(each, told_ns=told_ns) if isinstance(each, RunGone) else each)

    def _sweep(self, now_ns: int) -> None:
        """Once a second: who was silent for too long, who may speak again, and whose run is over."""
        for connection in list(self._connections.values()):
            if connection.session is None and now_ns - connection.opened_ns >= SILENT_NS:
                self._refuse(connection, f"nothing was announced within {SILENT_NS // NANOSECONDS_PER_SECOND} s")
                continue
            if connection.bytes_left <= 0:
                self._selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.bytes_left = min(BYTES_AT_ONCE, connection.bytes_left + BYTES_AGAIN)
        self._look_after_file(now_ns)
        self._listen_on(True)
        self._tell(self._runs.sweep(now_ns))

    def _look_after_file(self, now_ns: int) -> None:
        was_lost = self._watch.is_lost
        listener = self._watch.listened(now_ns)
        if listener is not None:
            self._listen_on(False)
            if self._listener is not None:
                self._listener.close()
            self._listener = listener
        if was_lost != self._watch.is_lost:
            self._changed()

    # Connections

    def _listen_on(self, listens: bool) -> None:
        if listens != self._is_listening and self._listener is not None:
            if listens:
                self._selector.register(self._listener, selectors.EVENT_READ)
            else:
                self._selector.unregister(self._listener)
            self._is_listening = listens

    def _accept(self) -> None:
        assert self._listener is not None
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connected, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as refusal:
                if refusal.errno in _EXHAUSTED:
                    self._listen_on(False)  # until the next sweep
                    return
                continue
            self._admit(connected)

    def _admit(self, connected: socket.socket) -> None:
        try:
            connected.setblocking(False)
            connection = Connection(connected, self._clock.boottime_ns())
        except OSError:
            connected.close()
            return
        silent = [each.uid for each in self._connections.values() if each.session is None]
        is_full = len(silent) >= MOST_SILENT or silent.count(connection.uid) >= MOST_SILENT_OF_A_USER
        if is_full or len(self._connections) >= self._most:
            connection.answer(announceline.refused_line("too many connections; try again later"))
            connected.close()
            return
        self._connections[connected.fileno()] = connection
        self._selector.register(connected, selectors.EVENT_READ, connection)

    def _read(self, connection: Connection) -> None:
        try:
            sent = connection.socket.recv(min(_TAKEN_AT_ONCE, connection.bytes_left))
        except BlockingIOError:
            return
        except OSError:
            sent = b""
        connection.bytes_left -= len(sent)
        connection.buffer += sent
        *lines, rest = bytes(connection.buffer).split(b"\n") if b"\n" in sent else (bytes(connection.buffer),)
        if not sent and rest:  # the last line need not end
            lines, rest = [rest], b""
        connection.buffer = bytearray(rest)
        for line in lines:
            if not self._hear(connection, line):
                return
        self._take_up(connection)
        if len(rest) > LONGEST_LINE:
            self._refuse(connection, f"a line of more than {LONGEST_LINE:,} bytes")
        elif not sent:
            self._drop(connection)
        elif connection.bytes_left <= 0:
            self._selector.unregister(connection.socket)

    def _hear(self, connection: Connection, line: bytes) -> bool:
        """Take one line; whether the connection goes on."""
        if len(line) > LONGEST_LINE:
            return self._refuse(connection, f"a line of more than {LONGEST_LINE:,} bytes")
        if connection.session is None:
            try:
                connection.session = self._greeted(connection, announceline.greeting(line))
            except Refused as refusal:
                return self._refuse(connection, str(refusal))
            connection.is_unanswered = True
            return True
        said = announceline.further(line)
        if isinstance(said, Saying):
            self._tell(self._runs.hear(connection.session, said, self._clock.boottime_ns()))
        elif isinstance(said, Farewell):
            self._take_up(connection)
            self._end(connection.session, said)
            connection.answer(announceline.accepted_line())
            self._forget(connection)
            return False
        return True

    def _end(self, session: Session, said: Farewell) -> None:
        """Tell of a run that has ended what nobody may have had the time to ask: which run it was, and what it held."""
        now_ns, known = self._clock.boottime_ns(), session.announcement
        posted = self._runs.end(session, said, now_ns, self._clock.utc_ns())
        facts, held = announced_facts(known), known.uuids or frozenset()
        self._tell([replace(each, facts=facts, held=held) if isinstance(each, RunGone) else each for each in posted])

    def _take_up(self, connection: Connection) -> None:
        """Publish and answer a greeting, with the state that came with it: who comes again lets go of nothing."""
        if connection.is_unanswered:
            connection.is_unanswered = False
            self._publish()
            connection.answer(announceline.accepted_line())

    def _greeted(self, connection: Connection, told: Greeting) -> Session:
        """The run that is announced by this. Raises Refused."""
        if told.is_simulated != self._is_simulated:
            kinds = ("simulated GPUs", "real ones") if told.is_simulated else ("real GPUs", "simulated ones")
            raise Refused(f"the run is on {kinds[0]}, and this agent meters {kinds[1]}")
        now_ns, seen_utc_ns = self._clock.boottime_ns(), self._clock.utc_ns()
        if not self._greetings.may(connection.uid, now_ns):
            self._runs.dropped += 1
            raise Refused(f"too many runs are announced: {GREETINGS.most} of a user at once, and then one a second")
        self._greetings.spend((connection.uid,), 1, now_ns)
        pid, ticks = first_process(told, connection.pid, connection.uid)
        session = self._runs.announce(
            Announcement(
                uid=connection.uid,
                pid=connection.pid,
                run=told.run,
                user=self._user(connection.uid),
                seen_utc_ns=seen_utc_ns,
                started_utc_ns=min(told.started_utc_ns or seen_utc_ns, seen_utc_ns),
                uuids=told.uuids,
                root_pid=pid,
                root_start_ticks=ticks,
                name=told.name,
                labels=told.labels,
            )
        )
        if session is None:
            raise Refused(f"too many runs are announced: {MOST_OF_A_USER} of a user and {MOST:,} of a node are taken")
        return session

    def _user(self, uid: int) -> str:
        if uid not in self._users and len(self._users) < _MOST_USERS:
            self._users[uid] = within(_PATIENCE_SECONDS, partial(user_name, uid), str(uid))
        return self._users.get(uid, str(uid))

    def _refuse(self, connection: Connection, why: str) -> bool:
        """Say why somebody is not heard further, and let go of him; False, for he does not go on."""
        connection.answer(announceline.refused_line(why))
        self._drop(connection)
        return False

    def _drop(self, connection: Connection) -> None:
        self._forget(connection)
        if connection.session is not None:
            self._tell(self._runs.close(connection.session, self._clock.boottime_ns()))

    def _forget(self, connection: Connection) -> None:
        del self._connections[connection.socket.fileno()]
        with contextlib.suppress(KeyError):  # who has sent too much is not listened to just now
            self._selector.unregister(connection.socket)
        connection.socket.close()


def _most_connections() -> int:
    """How many may be open at a time: those of a full node, or half of what this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST + MOST_SILENT if soft == resource.RLIM_INFINITY else min(MOST + MOST_SILENT, soft // 2)
