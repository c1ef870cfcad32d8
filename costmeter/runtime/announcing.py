"""The wrapper's side of the agent's socket: a run says that it is there, what it holds and does, and how it ended.

All of it happens in a thread of its own that waits for nobody: where no agent listens nothing is said, and one that
listens and does not read is left alone. The agent and the wrapper meter each for itself; this is all they exchange.
"""

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from costmeter.clock import Clock
from costmeter.ledger.identity import start_ticks
from costmeter.ledger.record import Header
from costmeter.meter.outlook import Outlook
from costmeter.readings import Device
from costmeter.runtime.agent.announceline import (
    Farewell,
    Greeting,
    Saying,
    farewell_line,
    greeting_line,
    refusal,
    saying_line,
)
from costmeter.runtime.agent.places import OFF, SYSTEM_SOCKET, VARIABLE, user_socket
from costmeter.runtime.events import Ended, Told
from costmeter.runtime.outcome import outcome

#: An agent that is not there, or has gone, is looked for again this often; one that refused, for a reason, less often.
AGAIN_SECONDS, AFTER_REFUSAL_SECONDS = 5.0, 60.0
_ANSWER_BYTES = 4_096
_BOTH_SERVE = 'the agent of this node serves this run, too, with meter="agent"'


def sockets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where an agent may listen, the one to be asked first before the others."""
    named = environ.get(VARIABLE, "")
    if named:
        return () if named.casefold() == OFF else (named,)
    return tuple(str(each) for each in (SYSTEM_SOCKET, user_socket(environ)) if each is not None)


def greeting(header: Header, pid: int) -> Greeting:
    """How a wrapped run presents itself; `pid` is its command's, 0 where it is not known."""
    ticks = start_ticks(pid) if pid else None
    return Greeting(
        run=header.run,
        name=header.name,
        labels=header.labels,
        pid=0 if ticks is None else pid,
        start_ticks=ticks,
        started_utc_ns=header.anchor.utc(header.start_ns),
        is_simulated=header.simulated,
    )


def farewell(ended: Ended, clock: Clock) -> Farewell:
    """How a wrapped run ended, and when by the clock on the wall as it is now: it may have been set meanwhile."""
    ended_utc_ns = clock.utc_ns() - max(0, clock.boottime_ns() - ended.at_ns)
    return Farewell(outcome(ended), ended.exit_code, ended.signal, ended_utc_ns)


class Announcing:
    """One run, announced at the first of these sockets at which an agent listens.

    `taken` is called once, when an agent has taken the announcement. Everything but `close` returns at once. Only the
    last state counts: an agent that was too slow has missed nothing.
    """

    def __init__(self, paths: tuple[str, ...], greets: Greeting, taken: Callable[[], None] = lambda: None) -> None:
        self._paths, self._greeting, self._taken = paths, greets, taken
        self._is_taken = False
        self._saying = Saying()
        self._farewell: Farewell | None = None
        self._changing = threading.Lock()
        self._wake_read = self._wake_write = -1
        self._ending, self._done = threading.Event(), threading.Event()

    def start(self) -> None:
        """Look for an agent, in a thread of its own. Where none can be started the run is not announced."""
        if not self._paths:
            return
        with contextlib.suppress(OSError, RuntimeError):
            self._wake_read, self._wake_write = os.pipe()
            os.set_blocking(self._wake_read, False)
            os.set_blocking(self._wake_write, False)
            threading.Thread(target=self._announce, name="costmeter-announcing", daemon=True).start()

    def hold(self, devices: Iterable[Device]) -> None:
        """The run holds these devices."""
        uuids = frozenset(device.uuid for device in devices if device.is_identified)
        self._change(lambda saying: replace(saying, uuids=uuids))

    def tell(self, told: Told) -> None:
        """The run has told of its progress."""
        self._change(lambda saying: replace(saying, phase=told.phase, redone=told.redone, progress=told.progress))

    def foretell(self, outlook: Outlook) -> None:
        """What the run will cost and may cost is known now, or is another."""
        self._change(lambda saying: replace(saying, outlook=outlook))

    def end(self, farewell: Farewell) -> None:
        """The run has ended."""
        self._farewell = farewell
        self._ending.set()
        self._wake()

    def close(self, seconds: float) -> None:
        """After `end`: wait until it is said, or for so long. An agent that hangs is left behind with its thread."""
        if self._wake_write >= 0:
            self._done.wait(max(0.0, seconds))

    def _change(self, change: Callable[[Saying], Saying]) -> None:
        with self._changing:
            self._saying = change(self._saying)
        self._wake()

    def _wake(self) -> None:
        if self._wake_write >= 0:
            with contextlib.suppress(OSError):  # full: it is about to wake
                os.write(self._wake_write, b".")

    # The thread

    def _announce(self) -> None:
        is_last = False
        try:
            while (pause_seconds := self._attempt()) > 0 and not is_last:
                is_last = self._ending.wait(pause_seconds)  # an agent that came meanwhile still hears of it
        except Exception:  # whatever it is, the run goes on and is metered here
            return
        finally:
            self._done.set()

    def _attempt(self) -> float:
        """Be heard by an agent, if there is one, as long as it listens. When to try again; 0 when all is said."""
        agent = next((found for path in self._paths if (found := _connected(path)) is not None), None)
        if agent is None:
            return AGAIN_SECONDS
        with agent:
            return self._say_all(agent)

    def _say_all(self, agent: socket.socket) -> float:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        said, has_ended = self._saying, False
        outgoing = greeting_line(self._greeting) + (saying_line(said) if said != Saying() else b"")
        while True:
            if not outgoing and has_ended:
                return 0  # what becomes known after the goodbye is no reason to greet, and end, a second time
            if not outgoing and (saying := self._saying) != said:
                outgoing, said = saying_line(saying), saying
            elif not outgoing and self._farewell is not None:
                outgoing, has_ended = farewell_line(self._farewell), True
            if outgoing:
                try:
                    outgoing = outgoing[agent.send(outgoing, socket.MSG_NOSIGNAL) :]
                    continue
                except BlockingIOError:  # it does not read: the state that holds when it does is said
                    pass
                except OSError:
                    return AGAIN_SECONDS
            poll.register(agent, select.POLLIN | (select.POLLOUT if outgoing else 0))
            if (pause_seconds := self._listened(agent, poll)) > 0:
                return pause_seconds

    def _listened(self, agent: socket.socket, poll: select.poll) -> float:
        """Wait for something to say or to hear. 0 to go on; else when to try again, because the agent will not."""
        ready = dict(poll.poll())
        if self._wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, _ANSWER_BYTES)
        if not ready.get(agent.fileno(), 0) & ~select.POLLOUT:
            return 0
        try:
            answer = agent.recv(_ANSWER_BYTES)
        except OSError:
            return AGAIN_SECONDS
        if refusal(answer.partition(b"\n")[0]):
            return AFTER_REFUSAL_SECONDS
        if answer and not self._is_taken:
            self._is_taken = True
            self._taken()
        return 0 if answer else AGAIN_SECONDS


def announcing(
    header: Header, pid: int, environ: Mapping[str, str], say: Callable[[str], None], serves: bool
) -> Announcing:
    """A wrapped run, where its agent is; who `serves` metrics is told when they are served elsewhere, too."""
    taken = partial(say, _BOTH_SERVE) if serves else lambda: None
    return Announcing(sockets(environ), greeting(header, pid), taken)


def _connected(path: str) -> socket.socket | None:
    """An agent's socket, not blocking; None where nobody listens, or so many wait that he would have to."""
    agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        agent.connect(path)
    except (OSError, ValueError):
        agent.close()
        return None
    return agent
