"""The metrics page over HTTP: a real server on a free port, and clients that behave badly."""

import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from costmeter.outputs.http import Page, Site
from costmeter.outputs.http import serve as served
from costmeter.outputs.prometheus import page
from tests.outputs import talking
from tests.outputs.talking import PATIENCE_SECONDS
from tests.outputs.test_prometheus import OPENMETRICS, in_the_middle

#: So many ask at once.
WORKERS = 32


def serve(host: str, port: int, page: Page) -> str:
    """Serve a site of one page; where it is served."""
    return served([(host, port)], Site(page, lambda: b"the landing page"))[0]


@pytest.fixture(scope="module")
def address() -> str:
    """Where a page of one snapshot is served."""
    snapshot = in_the_middle()
    return serve("127.0.0.1", 0, lambda accept: page(snapshot, accept))


def ask(address: str, path: str, method: str = "GET", accept: str = "") -> tuple[int, str, bytes]:
    """Status, content type and body of one request."""
    status, told, body = talking.ask(address, path, method, Accept=accept)
    return status, told["content-type"], body


def test_the_page_is_served(address: str) -> None:
    """GET /metrics is the page, whatever is asked after a question mark."""
    expected = page(in_the_middle())
    assert (200, expected[1], expected[0]) == ask(address, "/metrics") == ask(address, "/metrics?target=x")


def test_openmetrics_is_served_to_who_asks(address: str) -> None:
    """The Accept header reaches the page."""
    expected = page(in_the_middle(), OPENMETRICS)
    assert (200, expected[1], expected[0]) == ask(address, "/metrics", accept=OPENMETRICS)


@pytest.mark.parametrize(
    ("status", "kind", "text", "path"),
    [
        pytest.param(200, "text/plain", b"ok\n", "/-/healthy", id="healthy"),
        pytest.param(200, "text/plain", b"ok\n", "/-/ready", id="ready"),
        pytest.param(200, "text/html", b"the landing page", "/", id="landing-page"),
        pytest.param(404, "text/plain", b"not found; try /metrics\n", "/etc/passwd", id="unknown"),
        pytest.param(404, "text/plain", b"not found; try /metrics\n", "/metrics/", id="below"),
        pytest.param(404, "text/plain", b"not found; try /metrics\n", "/../metrics", id="up"),
    ],
)
def test_paths(status: int, kind: str, text: bytes, path: str) -> None:
    """A few paths are answered, and all others say where the metrics are."""
    answered, content_type, body = ask(serve("127.0.0.1", 0, lambda _: (b"", "")), path)
    assert (status, kind) == (answered, content_type.partition(";")[0])
    assert text in body


def test_head_is_the_headers_alone(address: str) -> None:
    """HEAD says how long the page is, and not one byte of it is sent."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as client:
        client.sendall(b"HEAD /metrics HTTP/1.0\r\n\r\n")
        headers, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert headers.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Length: %d" % len(page(in_the_middle())[0]) in headers
    assert b"" == body


@pytest.mark.parametrize("method", [pytest.param(method, id=method) for method in ("POST", "PUT", "DELETE")])
def test_nothing_can_be_changed(address: str, method: str) -> None:
    """No other method is answered."""
    assert ask(address, "/metrics", method)[0] == 405


def test_many_scrapes_read_the_same(address: str) -> None:
    """Two hundred scrapes, many at a time, give one page: reading changes nothing."""
    with ThreadPoolExecutor(2 * WORKERS) as pool:
        pages = list(pool.map(lambda _: ask(address, "/metrics"), range(200)))
    assert [ask(address, "/metrics")] * 200 == pages


def silent_clients(address: str, count: int, says: bytes) -> list[socket.socket]:
    """Connections that were accepted by the kernel and never finish their request."""
    host, _, port = address.rpartition(":")
    clients = []
    for _ in range(count):
        client = socket.create_connection((host, int(port)))
        client.sendall(says)
        clients.append(client)
    return clients


@pytest.mark.parametrize(
    ("count", "says"),
    [
        pytest.param(WORKERS - 1, b"", id="fewer-than-workers"),
        pytest.param(WORKERS - 1, b"GET /metrics HT", id="half-a-request"),
        pytest.param(WORKERS + 8, b"", id="more-than-workers"),
    ],
)
def test_clients_that_say_nothing_keep_nobody_from_the_page(address: str, count: int, says: bytes) -> None:
    """A scrape is answered while others are connected and silent, more of them than there are workers included."""
    clients = silent_clients(address, count, says)
    try:
        assert ask(address, "/metrics")[0] == 200
    finally:
        for client in clients:
            client.close()


def test_a_client_that_leaves_harms_nobody(address: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A connection that is cut in the middle of an answer is that client's loss, and no news on the job's terminal."""
    for client in silent_clients(address, 20, b"GET /metrics HTTP/1.0\r\n\r\n"):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.close()
    assert ask(address, "/metrics")[0] == 200
    assert ("", "") == tuple(capfd.readouterr())


def test_a_page_that_fails_is_an_error_to_who_asked(capfd: pytest.CaptureFixture[str]) -> None:
    """A fault of ours is a 500 with its reason; the server goes on, and the job's terminal stays as it was."""

    def fails(_: str) -> tuple[bytes, str]:
        raise ValueError("no such device")

    address = serve("127.0.0.1", 0, fails)
    with pytest.raises(urllib.error.HTTPError, match="500") as refusal:
        urllib.request.urlopen(f"http://{address}/metrics", timeout=PATIENCE_SECONDS)
    assert b"ValueError: no such device\n" == refusal.value.read()
    assert ask(address, "/-/healthy")[0] == 200
    assert ("", "") == tuple(capfd.readouterr())


@pytest.mark.parametrize(
    ("host", "shown"), [pytest.param("127.0.0.1", "127.0.0.1", id="ipv4"), pytest.param("::1", "[::1]", id="ipv6")]
)
def test_only_the_loopback_listens(host: str, shown: str) -> None:
    """The server is at the address it was given and says which port it got."""
    _skip_without(host)
    address = serve(host, 0, lambda _: (b"x 1\n", "text/plain"))
    assert shown == address.rpartition(":")[0]
    assert ask(address, "/metrics")[2] == b"x 1\n"
    assert not _connects(lambda: socket.create_connection(("127.0.0.2", int(address.rpartition(":")[2]))))


def _skip_without(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if not _connects(lambda: _bound(family, host)):
        pytest.skip(f"this machine has no {host}")


def _bound(family: socket.AddressFamily, host: str) -> socket.socket:
    probe = socket.socket(family)
    probe.bind((host, 0))
    return probe


def _connects(connect: Callable[[], socket.socket]) -> bool:
    try:
        connect().close()
    except OSError:
        return False
    return True


def test_a_taken_port_is_refused() -> None:
    """The caller learns which address cannot be had, and decides; of several that he asked for none is served then."""
    site = Site(lambda _: (b"", ""), lambda: b"")
    taken = serve("127.0.0.1", 0, lambda _: (b"", ""))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    with pytest.raises(OSError, match="in use") as refusal:
        served([("127.0.0.1", free), ("127.0.0.1", int(taken.rpartition(":")[2]))], site)
    assert taken == refusal.value.filename
    assert not _connects(lambda: socket.create_connection(("127.0.0.1", free)))


def test_several_addresses_serve_one_site() -> None:
    """Each address that is asked for is served, and each is told."""
    first, second = served([("127.0.0.1", 0), ("127.0.0.2", 0)], Site(lambda _: (b"x 1\n", "text/plain"), lambda: b""))
    assert ["127.0.0.1", "127.0.0.2"] == [address.rpartition(":")[0] for address in (first, second)]
    assert ask(first, "/metrics") == ask(second, "/metrics")


def test_no_host_is_every_address() -> None:
    """Without a host the server listens on all addresses of the machine, of both families where it has them."""
    port = served([("", 0)], Site(lambda _: (b"x 1\n", "text/plain"), lambda: b""))[0].rpartition(":")[2]
    hosts = ["127.0.0.1", "127.0.0.2"]
    if socket.has_dualstack_ipv6() and _connects(lambda: _bound(socket.AF_INET6, "::1")):
        hosts.append("[::1]")
    assert [b"x 1\n"] * len(hosts) == [ask(f"{host}:{port}", "/metrics")[2] for host in hosts]
