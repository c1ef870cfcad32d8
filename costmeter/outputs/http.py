"""The pages over HTTP: loopback unless told otherwise, a bounded number of clients, and none of them waited for.

One daemon thread with an event loop of its own has all connections; pages are made in a second thread, passwords are
checked in a third, files of the configuration are read in a fourth. A client that connects and says nothing costs a
descriptor for a few seconds and delays nobody. When there are too many, who has stood still longest goes first.
"""

import asyncio
import errno
import resource
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress

from costmeter.clock import Clock, RealClock
from costmeter.config.webconfig import WebConfig
from costmeter.outputs.httpconnection import Client
from costmeter.outputs.httpcrowd import Crowd, State
from costmeter.outputs.httpmemory import Tide, give_back
from costmeter.outputs.httppages import Page, Pages, Site

#: Clients at the same time, where the process may have twice as many files open.
MOST_CLIENTS = 1_024
_FEWEST_CLIENTS = 16
#: Connections that wait in the kernel until we take them.
_BACKLOG = 512
#: Connections taken in one go, before those that we have get their turn.
_MOST_AT_ONCE = 64
#: A pause when the machine has no descriptor left for another client.
_PAUSE_SECONDS = 0.1
#: After many clients have gone: until their last pieces have, too.
_SETTLING_SECONDS = 1.0

__all__ = ["MOST_CLIENTS", "Page", "Site", "listen", "serve", "serve_on"]


def serve(addresses: Sequence[tuple[str, int]], site: Site, web: WebConfig | None = None) -> list[str]:
    """Serve the site in threads of its own; the real `host:port` of each address. Raises OSError as `listen` does."""
    return serve_on(listen(addresses), site, web)


def listen(addresses: Sequence[tuple[str, int]]) -> list[socket.socket]:
    """Take the addresses; who connects waits until they are served.

    Port 0 takes any free one; an empty host is every address of this machine. Raises OSError, its `filename` the
    address, when one cannot be had; then none is taken.
    """
    listeners: list[socket.socket] = []
    try:
        for host, port in addresses:
            listeners.append(_listener(host, port))
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def serve_on(listeners: list[socket.socket], site: Site, web: WebConfig | None = None) -> list[str]:
    """As `serve`, on what `listen` took."""
    server = _Server(site, web, RealClock())
    threading.Thread(target=server.run, args=(listeners,), name="costmeter-http", daemon=True).start()
    return [shown(*listener.getsockname()[:2]) for listener in listeners]


def shown(host: str, port: int) -> str:
    """An address as it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens. An empty host is both families, where this machine has IPv6."""
    has_both = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if has_both or ":" in host else socket.AF_INET
    listener = None
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if has_both else 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as refusal:
        if listener is not None:
            listener.close()
        raise OSError(refusal.errno, refusal.strerror or str(refusal), shown(host, port)) from None
    return listener


class _Server:
    """All connections of the listeners, in one event loop."""

    def __init__(self, site: Site, web: WebConfig | None, clock: Clock) -> None:
        self._pages, self._clock = Pages(site, web, clock), clock
        self._loop = asyncio.new_event_loop()
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._tide = Tide()
        self._crowd = Crowd(MOST_CLIENTS if soft < 0 else max(_FEWEST_CLIENTS, min(MOST_CLIENTS, soft // 2)))

    def run(self, listeners: list[socket.socket]) -> None:
        """Serve until the process ends."""
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(lambda *_: None)  # nothing of ours is written on the terminal of a job
        for listener in listeners:
            self._listen(listener)
        self._loop.run_forever()

    def _listen(self, listener: socket.socket) -> None:
        self._loop.add_reader(listener.fileno(), self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_MOST_AT_ONCE):
            try:
                connection, peer = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as refusal:
                if refusal.errno in (errno.ECONNABORTED, errno.EPROTO):
                    continue
                self._crowd.make_room()
                self._loop.remove_reader(listener.fileno())
                self._loop.call_later(_PAUSE_SECONDS, self._listen, listener)
                return
            self._begin(connection, str(peer[0]).removeprefix("::ffff:"), _is_loopback(listener))

    def _begin(self, connection: socket.socket, peer: str, is_local: bool) -> None:
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = Client(connection, peer, is_local, self._loop, self._pages, self._clock, self._moved)
        self._crowd.add(client, peer)
        client.start()

    def _moved(self, client: Client, state: State) -> None:
        self._crowd.move(client, state)
        if self._tide.has_gone_out(len(self._crowd)):
            self._loop.call_later(_SETTLING_SECONDS, give_back)


def _is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    host = str(listener.getsockname()[0])
    return host == "::1" or host.startswith("127.")
