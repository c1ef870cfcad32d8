"""The metrics page over HTTP: loopback unless told otherwise, a bounded number of workers, no client waited for.

A client that connects and says nothing is dropped after a few seconds and delays nobody: scrapes share nothing but a
reference to a frozen snapshot.
"""

import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer

from costmeter import __version__

#: A client may take this long to say what it wants, and to take what it asked for.
CLIENT_SECONDS = 5.0
#: Requests answered at the same time; more wait in the listen queue.
WORKERS = 32

Page = Callable[[str], tuple[bytes, str]]

_LANDING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>costmeter</title>
<h1>costmeter</h1><p><a href="/metrics">metrics</a></p></html>
"""


def serve(host: str, port: int, page: Page) -> str:
    """Serve the page in threads of its own; the real `host:port`. Raises OSError when the address cannot be had."""
    server = _Server(host, port, page)
    threading.Thread(target=server.serve_forever, name="costmeter-http", daemon=True).start()
    bound_host, bound_port = server.server_address[:2]
    shown = f"[{bound_host!s}]" if ":" in str(bound_host) else str(bound_host)
    return f"{shown}:{bound_port}"


class _Server(HTTPServer):
    """One thread per request, at most `WORKERS` of them."""

    allow_reuse_address = True
    request_queue_size = 128  # the library's 5 makes a sixth client at once wait a second for its connection

    def __init__(self, host: str, port: int, page: Page) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.page = page
        self._free = threading.BoundedSemaphore(WORKERS)
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind without the reverse name lookup of the library, which can take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: object, client_address: object) -> None:
        """Hand one connection to a worker."""
        self._free.acquire()
        threading.Thread(target=self._work, args=(request, client_address), daemon=True).start()

    def _work(self, request: socket.socket, client_address: tuple[str, int]) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:
            pass  # the client left or was too slow: its loss
        finally:
            self.shutdown_request(request)
            self._free.release()


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD of a few paths, and nothing else."""

    server: _Server
    timeout = CLIENT_SECONDS
    server_version = f"costmeter/{__version__}"
    sys_version = ""

    def do_GET(self) -> None:
        body, content_type, status = self._answer()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  the library finds its methods by these names

    def _answer(self) -> tuple[bytes, str, HTTPStatus]:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            return self._metrics()
        if path in ("/-/healthy", "/-/ready"):
            return b"ok\n", "text/plain; charset=utf-8", HTTPStatus.OK
        if path == "/":
            return _LANDING.encode(), "text/html; charset=utf-8", HTTPStatus.OK
        return b"not found; try /metrics\n", "text/plain; charset=utf-8", HTTPStatus.NOT_FOUND

    def _metrics(self) -> tuple[bytes, str, HTTPStatus]:
        try:
            return (*self.server.page(self.headers.get("Accept", "")), HTTPStatus.OK)
        except Exception as failure:  # a fault of ours is told to who asked, and not on the terminal of the job
            text = f"{type(failure).__name__}: {failure}\n".encode("utf-8", "replace")
            return text, "text/plain; charset=utf-8", HTTPStatus.INTERNAL_SERVER_ERROR

    def log_message(self, format: str, *args: object) -> None:
        """A scrape is not news."""
