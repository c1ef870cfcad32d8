"""The agent's composition root: builds reader, recorder, writer, attribution and server of a node, and wires them.

One process with a thread for each thing that may have to wait. What fails at the start is told and refused; what fails
later is told once, shown on the page, and goes on being tried.
"""

import os
import queue
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from costmeter.attribution.kubelet import DEFAULT_SOCKET
from costmeter.clock import Anchor, Clock, RealClock, anchor
from costmeter.ledger import identity
from costmeter.ledger.node.journal import Restored
from costmeter.ledger.record import Header
from costmeter.outputs.looked import Looked
from costmeter.outputs.nodesnapshot import NodeSnapshot
from costmeter.outputs.versions import versions
from costmeter.runtime.agent import rights
from costmeter.runtime.agent.announceserver import AnnounceServer
from costmeter.runtime.agent.attributor import Attributor, Places
from costmeter.runtime.agent.events import NodeEvent, Reloaded, Repriced
from costmeter.runtime.agent.leftholders import announced_before
from costmeter.runtime.agent.lock import AgentLock
from costmeter.runtime.agent.places import runtime_folder, slurm_folder, socket_path
from costmeter.runtime.agent.recorder import NodeRecorder
from costmeter.runtime.agent.script import NO_SCRIPT, Script, script
from costmeter.runtime.agent.settings import AgentOptions, NodeSettings
from costmeter.runtime.agent.site import Asked, Serving
from costmeter.runtime.agent.state import AgentState
from costmeter.runtime.agent.telling import AgentTeller
from costmeter.runtime.agent.writer import NodeWriter
from costmeter.runtime.assembly import source
from costmeter.runtime.events import Batch, Ended, Opened
from costmeter.runtime.hostcounters import sysfs
from costmeter.runtime.reader import Reader
from costmeter.units import NANOSECONDS_PER_SECOND

#: How the time for the end is divided between a driver and a disk that may both hang.
READING_SHARE, WRITING_SHARE, CLOSING_SHARE = 0.45, 0.45, 0.1
#: A recorder that has not looked at its events for this long is stuck.
_HEALTHY_NS = 15 * NANOSECONDS_PER_SECOND


def _lock(socket: Path) -> AgentLock:
    return AgentLock(socket.with_name(f"{socket.name}.lock"))


class Agent:
    """One node's agent. Made and started it runs until `end`; `failed` is set where it cannot go on."""

    def __init__(self, options: AgentOptions, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        """Read the settings and take what must be ours alone. Raises ConfigError and InUse.

        What can be refused is looked at first: a refused start leaves nothing behind.
        """
        self._options, self._say, self._warn = options, say, warn
        self._clock: Clock = RealClock()
        self._settings = NodeSettings(options, self._clock, warn)
        self._events: queue.SimpleQueue[NodeEvent] = queue.SimpleQueue()
        self._reloading, self._noting = threading.Lock(), threading.Lock()
        self._refused: set[str] = set()
        self._recorded, self.failed = threading.Event(), threading.Event()
        self._alive_ns = self._clock.boottime_ns()
        self._state = AgentState(options.state, options.environ, options.simulate is not None)
        self._socket = socket_path(options.socket, options.environ)
        self._serving = self._served()
        self._state.look(self._clock)
        if self._socket is not None:
            _lock(self._socket).look(str(self._socket), "--socket PATH", self._clock)
        self._socket_lock = self._lock_socket()
        self._state.lock(self._clock, warn)
        header = self._header()
        runtime, folder = runtime_folder(self._socket, header.simulated), self._state.folder
        left = self._state.left(header, runtime)
        if left.why_zero:
            say(f"counters begin at 0: {left.why_zero}")
        self._writer = NodeWriter(folder, header.host, runtime, partial(self._state.keep, self._clock))
        self._server = self._announcements()
        self._recorder = self._recording(header, left)
        self._teller = AgentTeller(say, warn, folder)
        self._driver = source(options.simulate, self._clock, warn)
        self._attributor = self._attribution(left)
        self._reader = self._reading(header)

    def start(self) -> None:
        """Serve, then start every other thread. Returns at once."""
        self._serving.start()
        for told in filter(None, (self._settings.remark(), *map(str, self._lacks()))):
            self._say(told)
        self._writer.start()
        threading.Thread(target=self._record_for_ever, name="costmeter-recorder", daemon=True).start()
        self._attributor.start()
        if self._server is not None:
            self._server.start()
        self._reader.start()

    def end(self, seconds: float) -> str:
        """Read once more, write the footer, let go; what hangs is given up on. What could not be saved, in words."""
        ended = Ended(self._clock.boottime_ns(), 0, None)
        self._reader.end(ended)
        self._attributor.end()
        if not self._reader.finished.wait(seconds * READING_SHARE):
            self._reader.give_up(ended)
        self._events.put(ended)
        self._recorded.wait(seconds * WRITING_SHARE / 2)
        self._writer.done.wait(seconds * WRITING_SHARE / 2)
        self._serving.finish(seconds * CLOSING_SHARE / 2)
        if self._server is not None:
            self._server.close(seconds * CLOSING_SHARE / 2)
        self._state.let_go()
        if self._socket_lock is not None:
            self._socket_lock.let_go()
        return self._writer.unsaved

    def current(self) -> NodeSnapshot | None:
        """What may be shown now; None before there is anything."""
        return self._writer.snapshot

    def reload(self, wanted_by: str) -> str | None:
        """Load the settings anew: rates, labels and what idle means hold from now on. What is wrong; then none do.

        `wanted_by` says who asked for it, a signal or somebody over HTTP.
        """
        with self._reloading:  # it is asked for by a signal and over HTTP
            before = self._settings.now
            wrong = self._settings.load_anew()
            if wrong is None and self._settings.now != before:  # else the journal would say it again for nothing
                pricing, now = self._settings.pricing(), self._settings.now
                self._events.put(Repriced(self._clock.boottime_ns(), pricing, now.idle, now.labels))
        self._note_reload("settings", wrong is None)
        if wrong is None:
            self._say(f"settings loaded anew ({wanted_by})")
        else:
            self._warn(f"settings not loaded anew ({wanted_by}), the old ones hold: {wrong}")
        return wrong

    def _note_reload(self, what: str, is_good: bool) -> None:
        """Show whether all that can be loaded anew was taken the last time."""
        with self._noting:
            (self._refused.discard if is_good else self._refused.add)(what)
            self._events.put(Reloaded(self._clock.boottime_ns(), not self._refused))

    # Building

    def _lock_socket(self) -> AgentLock | None:
        """One agent per socket. Where no lock can be made there is none."""
        if self._socket is None:
            return None
        lock = _lock(self._socket)
        try:
            lock.take(str(self._socket), "--socket PATH", self._clock)
        except OSError as refusal:
            self._warn(f"{self._socket}: {refusal.strerror or refusal}; two agents would not notice each other")
        return lock

    def _keep_lock(self) -> None:
        """Lock the socket anew where somebody removed the lock's file. Raises InUse."""
        if self._socket_lock is not None:
            self._socket_lock.keep(str(self._socket), "--socket PATH", self._clock)

    def _header(self) -> Header:
        options, settings = self._options, self._settings.now
        return Header(
            run="",
            part=0,
            meter="agent",
            name="",
            labels=settings.labels,
            command=None,
            host=identity.host_name(),
            boot_id=identity.boot_id(),
            pid=os.getpid(),
            pid_start_ticks=identity.start_ticks(os.getpid()) or 0,
            start_ns=self._clock.boottime_ns(),
            anchor=anchor(self._clock),
            period_ns=round(options.period_seconds * NANOSECONDS_PER_SECOND),
            rule=settings.idle,
            simulated=options.simulate is not None,
            currency=settings.currency,
            versions=versions(),
            user=identity.user_name(),
        )

    def _recording(self, header: Header, left: Restored) -> NodeRecorder:
        most, post = self._options.max_runs, self._writer.post
        pricing, holders = self._settings.pricing(), left.holders
        begins = left.earlier, left.opening, holders
        return NodeRecorder(header, pricing, self._clock, post, *begins, most, self._turned_away, left.idle)

    def _announcements(self) -> AnnounceServer | None:
        if self._socket is None:
            self._warn("no folder for the socket on which runs announce themselves. Set one: --socket PATH")
            return None
        is_simulated = self._options.simulate is not None
        path, post = str(self._socket), self._events.put
        return AnnounceServer(path, self._clock, post, self._changed, self._warn, is_simulated, self._keep_lock)

    def _attribution(self, left: Restored) -> Attributor:
        slurm = slurm_folder(self._options.environ, self._options.simulate is not None)
        kubelet = self._options.kubelet_socket or (DEFAULT_SOCKET if os.path.exists(DEFAULT_SOCKET) else "")
        places = Places("" if slurm is None else str(slurm), kubelet)
        announced = self._server.announcements if self._server is not None else tuple
        heard = None if self._server is None else self._server.is_heard
        post, told = self._events.put, self._script()
        found = Attributor(self._clock, self._anchor, post, announced, places, self._warn, heard, told)
        runs = [account.facts for account in left.opening.accounts if account.ended is None]
        found.expect(runs, left.holders)
        if self._server is not None:
            self._server.expect(announced_before(left.holders, runs))
        return found

    def _script(self) -> Script:
        """The processes that a scenario has made up; none of a real driver."""
        scenario = self._driver.scenario
        return NO_SCRIPT if scenario is None else script(scenario)

    def _served(self) -> Serving:
        options = self._options
        web = None if options.web_config is None else os.path.join(options.cwd, options.web_config)
        asked = Asked(self.current, self._looked, self._is_healthy, self.reload, partial(self._note_reload, "web"))
        return Serving(options.addresses, web, options.textfile, asked, self._clock, self._say, self._warn)

    def _reading(self, header: Header) -> Reader:
        driver, host = self._driver, self._settings.host
        read, post = host.read if host else None, self._events.put
        return Reader(driver, self._clock, self._anchor, header.period_ns, tuple, post, read, lists_processes=True)

    def _lacks(self) -> Iterator[rights.Lack]:
        """What more privilege would show, for who wonders later why it is not there."""
        options, is_simulated = self._options, self._options.simulate is not None
        slurm = slurm_folder(options.environ, is_simulated)
        yield from rights.lacks(os.getpid(), slurm, Path(options.kubelet_socket or DEFAULT_SOCKET), is_simulated)
        if self._settings.measures_host:
            lack = rights.host_energy(Path(sysfs(options.environ)))
            if lack is not None:
                yield lack

    # Running

    def _anchor(self) -> Anchor:
        return self._recorder.anchor

    def _looked(self) -> Looked:
        return self._attributor.looked

    def _turned_away(self) -> int:
        return 0 if self._server is None else self._server.dropped

    def _changed(self) -> None:
        self._attributor.changed()

    def _is_healthy(self) -> bool:
        is_alive = self._clock.boottime_ns() - self._alive_ns < _HEALTHY_NS
        return is_alive and not self.failed.is_set()

    def _record_for_ever(self) -> None:
        while True:
            self._alive_ns = self._clock.boottime_ns()
            try:
                event = self._events.get(timeout=self._reader.watch_seconds)
            except queue.Empty:
                self._reader.watch()
                continue
            try:
                self._recorder.handle(event)
                self._pass_on(event)
            except Exception as fault:  # a total that may be wrong is not added to: what was saved is gone on with
                self._warn(f"the agent stopped counting ({type(fault).__name__}: {fault})")
                self.failed.set()
                self._recorded.set()
                return
            if isinstance(event, Ended):
                self._recorded.set()
                return

    def _pass_on(self, event: NodeEvent) -> None:
        """Tell others what the reader found."""
        if isinstance(event, Opened):
            self._attributor.hold(event.devices, event.facts is not None and event.facts.simulated)
        if isinstance(event, Batch) and event.processes is not None:
            self._attributor.see(event.processes, event.at_ns)
        self._teller.see(event, self._recorder.part, self._settings.now.book, self._writer.refusal)
