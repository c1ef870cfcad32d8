"""Clients of the server in tests: real sockets, well and badly behaved."""

import http.client
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

CERTIFICATES = Path(__file__).parents[1] / "certificates"
PATIENCE_SECONDS = 60

Told = tuple[int, dict[str, str], bytes]


def place(address: str) -> tuple[str, int]:
    """`[::1]:80` as host and port."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def connection(address: str, tls: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
    """A client that keeps its connection."""
    if tls is not None:
        return http.client.HTTPSConnection(*place(address), timeout=PATIENCE_SECONDS, context=tls)
    return http.client.HTTPConnection(*place(address), timeout=PATIENCE_SECONDS)


def ask(
    address: str, path: str, method: str = "GET", tls: ssl.SSLContext | None = None, body: bytes = b"", **headers: str
) -> Told:
    """Status, headers (names in lower case) and body of one request on a connection of its own."""
    client = connection(address, tls)
    try:
        return tell(client, path, method, body, **headers)
    finally:
        client.close()


def tell(client: http.client.HTTPConnection, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Told:
    """One request on a connection that is kept."""
    client.request(method, path, body or None, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = client.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def raw(address: str, says: bytes) -> bytes:
    """All that the server answers to some bytes until it closes the connection; a reset ends it too."""
    with socket.create_connection(place(address), timeout=PATIENCE_SECONDS) as client:
        heard = b""
        try:
            client.sendall(says)
            while more := client.recv(65_536):
                heard += more
        except ConnectionError:
            pass
        return heard


@contextmanager
def silent_clients(address: str, count: int, says: bytes = b"") -> Iterator[Sequence[socket.socket]]:
    """Connections that say something, or nothing, and then never again."""
    with ExitStack() as stack:
        clients = []
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(place(address), timeout=PATIENCE_SECONDS))
            client.sendall(says)
            clients.append(client)
        yield clients


def client_tls(certificate: str | None = None, trusted: str = "authority") -> ssl.SSLContext:
    """What a client needs to trust the server of the tests, and to show a certificate."""
    context = ssl.create_default_context(cafile=str(CERTIFICATES / f"{trusted}.pem"))
    if certificate is not None:
        context.load_cert_chain(str(CERTIFICATES / f"{certificate}.pem"), str(CERTIFICATES / f"{certificate}.key"))
    return context
