"""Real HTTP servers on loopback that speak what a test scripts, and doors that ask them."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from costmeter.feeds.http import Door, Limits
from costmeter.feeds.series import Asked
from costmeter.units import NANOSECONDS_PER_SECOND

#: 2026-11-22T12:00Z.
NOON_S = 1_795_348_800
NOON_NS = NOON_S * NANOSECONDS_PER_SECOND
DAY_NS = 86_400 * NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Said:
    """One answer. `promised_bytes` is what Content-Length says, where that is not the truth."""

    body: str | bytes = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    promised_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked: method, path with query, and headers with names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class Server:
    """A running server: its address, and every request it has had."""

    base: str
    requests: list[Request]
    release: threading.Event


#: Answers a request; None never answers, until the server is closed.
Script = Callable[[Request], Said | None]


@contextmanager
def serving(script: Script) -> Iterator[Server]:
    """A server on a free port of loopback."""
    requests: list[Request] = []
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            request = Request(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
            requests.append(request)
            said = script(request)
            if said is None:
                release.wait()
                return
            body = said.body.encode() if isinstance(said.body, str) else said.body
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if said.promised_bytes is None else said.promised_bytes))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = _answer  # noqa: N815 - names that http.server looks for

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_address[1]}", requests, release)
    finally:
        release.set()
        server.shutdown()
        server.server_close()
        thread.join()


def always(body: str | bytes, status: int = 200) -> Script:
    """The same answer to everything."""
    return lambda request: Said(body, status)


def door(seconds: float = 10.0, max_bytes: int = 16_000_000) -> Door:
    """A door without proxies, as patient as is said."""
    return Door(Limits(seconds, seconds * 4, max_bytes), proxied=False)


def asked(server: Server, *words: str, days: int = 1, token: str = "", is_dated: bool = False) -> Asked:
    """The day that begins at noon of 22 November 2026, or more of them; now is a month later."""
    return Asked(words, server.base, NOON_NS, NOON_NS + days * DAY_NS, NOON_NS + 30 * DAY_NS, is_dated, token)
