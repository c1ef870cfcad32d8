"""What an agent serves: its pages over HTTP, and the same as a file for node_exporter."""

import errno
import json
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from costmeter.clock import Clock
from costmeter.config.webconfig import WebConfig
from costmeter.outputs.http import Site, listen, serve_on
from costmeter.outputs.landing import landing
from costmeter.outputs.looked import Looked
from costmeter.outputs.nodejson import Passed, node_json
from costmeter.outputs.nodepage import RunNames, file_page, page
from costmeter.outputs.nodesnapshot import NodeSnapshot
from costmeter.outputs.textfile import Textfile
from costmeter.runtime.agent.lock import InUse, in_use
from costmeter.runtime.agent.ownprocess import OwnProcess
from costmeter.runtime.portholder import listener
from costmeter.units import NANOSECONDS_PER_SECOND

#: The file of metrics of an agent: there is one on a node.
_TEXTFILE, _SOON_SECONDS = "agent", 0.2


@dataclass(frozen=True, slots=True)
class Asked:
    """What the pages ask of the agent. `current` is what may be shown, None before there is anything.

    `looked` is the last look for holders. `reload` is told who wants it; `note_web` whether the web configuration was
    taken, each time that it was read anew.
    """

    current: Callable[[], NodeSnapshot | None]
    looked: Callable[[], Looked]
    is_healthy: Callable[[], bool]
    reload: Callable[[str], str | None]
    note_web: Callable[[bool], None]


class Serving:
    """The agent's pages, on every one of these addresses."""

    def __init__(
        self,
        addresses: Sequence[tuple[str, int]],
        web: str | None,
        textfile: str | None,
        asked: Asked,
        clock: Clock,
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        """Read the web configuration, a file, and take the addresses; `textfile` is a folder.

        Raises ConfigError with every fault in the file, and InUse where an address cannot be had.
        """
        self._asked, self._clock = asked, clock
        self._say, self._warn, self._names = say, warn, RunNames()
        self._scraped_utc_ns: int | None = None
        self._process, self._folder = OwnProcess(clock), textfile
        self._ending = threading.Event()
        self._textfile = Textfile(textfile, _TEXTFILE, self._page_of_file, clock, warn)
        self._web = None if web is None else WebConfig(web, self._told, clock)
        self._listeners = self._listening(addresses)

    def _listening(self, addresses: Sequence[tuple[str, int]]) -> list[socket.socket]:
        try:
            return listen(addresses)
        except OSError as refusal:
            raise self._refused(refusal) from None

    def start(self) -> None:
        """Serve."""
        site = Site(
            self._metrics,
            self._landing,
            self._node,
            self._asked.is_healthy,
            lambda: self._asked.current() is not None,
            self._loaded_anew,
            lambda: self._asked.current() or object(),
            self._process.count,
        )
        served = serve_on(self._listeners, site, self._web)
        scheme = "https" if self._web is not None and self._web.settings.context is not None else "http"
        for address in served:
            self._say(f"metrics at {scheme}://{address}/metrics")
        self._textfile.start()

    def finish(self, seconds: float) -> None:
        """The last values are there to be shown: write them, too."""
        self._ending.set()
        self._textfile.finish(seconds)

    def _refused(self, refusal: OSError) -> InUse:
        address = str(refusal.filename)
        if refusal.errno != errno.EADDRINUSE:
            return InUse(f"{address}: {refusal.strerror}. Another address: --web.listen-address ADDR")
        port = address.rpartition(":")[2]
        free = f"{address.removesuffix(port)}{int(port) + 1}"
        return in_use(address, listener(int(port)), f"--web.listen-address {free}", self._clock)

    def _told(self, faults: tuple[str, ...]) -> None:
        self._asked.note_web(not faults)
        for fault in faults:
            self._warn(fault)

    def _loaded_anew(self, wanted_by: str) -> str | None:
        wrong = self._asked.reload(wanted_by)
        if self._web is not None:
            wrong = "\n".join(filter(None, (wrong, *self._web.reload()))) or None
        return wrong

    # Pages

    def _snapshot(self) -> NodeSnapshot:
        snapshot = self._asked.current()
        if snapshot is None:
            raise LookupError("nothing was read yet")
        return snapshot

    def _metrics(self, accept: str) -> tuple[bytes, str]:
        snapshot, began_ns = self._snapshot(), self._clock.boottime_ns()
        self._scraped_utc_ns = self._clock.utc_ns()
        made = page(snapshot, accept, self._names, self._process.now(), self._asked.looked())
        self._process.took((self._clock.boottime_ns() - began_ns) / NANOSECONDS_PER_SECOND)
        return made

    def _page_of_file(self) -> bytes:
        while self._asked.current() is None and not self._ending.wait(_SOON_SECONDS):
            pass  # the first page has something on it
        is_last = self._ending.is_set()  # what is shown after that is never less
        return file_page(self._snapshot(), self._names, is_last, self._asked.looked())

    def _landing(self) -> bytes:
        return landing(node_json(self._snapshot(), looked=self._asked.looked()))

    def _node(self) -> bytes:
        passed = Passed(self._scraped_utc_ns, self._textfile.written_utc_ns, self._folder)
        return json.dumps(node_json(self._snapshot(), passed, self._asked.looked()), indent=1).encode()
