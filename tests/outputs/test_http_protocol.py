"""The server's HTTP on real sockets: paths, methods, formats, connections that are kept, and nonsense."""

import gzip
import http.client
import re
import socket
import threading
from typing import Any

import pytest

from costmeter.outputs.http import Site, serve
from costmeter.outputs.httpconnection import MOST_HEADER_BYTES, http_date
from costmeter.outputs.httppages import takes_gzip
from tests.outputs.talking import ask, connection, raw, tell

PAGE = b'costmeter_run_cost_usd_total{run_id="r"} 1.0\n' * 100
KIND = "text/plain; version=0.0.4"


class Node:
    """What an agent shows, as far as a server knows."""

    def __init__(self) -> None:
        self.is_healthy = self.is_ready = True
        self.refusal: str | None = None
        self.state = object()
        self.made = 0
        self.reloads, self.wanted_by = 0, ""

    def metrics(self, accept: str) -> tuple[bytes, str]:
        self.made += 1
        return PAGE + accept.encode(), KIND

    def reload(self, wanted_by: str) -> str | None:
        self.reloads += 1
        self.wanted_by = wanted_by
        return self.refusal

    @property
    def site(self) -> Site:
        return Site(
            self.metrics,
            lambda: b"<p>landing",
            lambda: b'{"schema": "costmeter.node/1"}',
            lambda: self.is_healthy,
            lambda: self.is_ready,
            self.reload,
            lambda: self.state,
        )


@pytest.fixture
def node() -> Node:
    """A node that answers."""
    return Node()


@pytest.fixture
def address(node: Node) -> str:
    """Where it is served."""
    return serve([("127.0.0.1", 0)], node.site)[0]


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        pytest.param("/", "text/html; charset=utf-8", b"<p>landing", id="landing"),
        pytest.param("/metrics", KIND, PAGE, id="metrics"),
        pytest.param("/api/v1/node", "application/json", b'{"schema": "costmeter.node/1"}', id="json"),
        pytest.param("/-/healthy", "text/plain; charset=utf-8", b"ok\n", id="healthy"),
        pytest.param("/-/ready?verbose=1", "text/plain; charset=utf-8", b"ok\n", id="ready"),
    ],
)
def test_paths(address: str, path: str, kind: str, body: bytes) -> None:
    """Every path has its page and its type, and is the same without its body for HEAD."""
    status, headers, told = ask(address, path)
    assert (200, kind, body) == (status, headers["content-type"], told)
    assert (200, str(len(body)), b"") == (
        (head := ask(address, path, "HEAD"))[0],
        head[1]["content-length"],
        head[2],
    )


def test_a_site_without_a_node_has_no_json() -> None:
    """What a site does not have is not found, and nothing there can be loaded anew."""
    address = serve([("127.0.0.1", 0)], Site(lambda _: (b"", ""), lambda: b""))[0]
    assert [404, 404] == [ask(address, "/api/v1/node")[0], ask(address, "/-/reload", "POST")[0]]


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        *(pytest.param("/metrics", method, "GET, HEAD", id=f"{method}-metrics") for method in ("POST", "PUT", "PATCH")),
        pytest.param("/-/healthy", "DELETE", "GET, HEAD", id="DELETE-healthy"),
        pytest.param("/-/reload", "GET", "POST, PUT", id="GET-reload"),
        pytest.param("/-/reload", "HEAD", "POST, PUT", id="HEAD-reload"),
    ],
)
def test_other_methods_are_refused(address: str, node: Node, path: str, method: str, allowed: str) -> None:
    """A method that a path does not have is 405, names those that it has, and does nothing."""
    status, headers, _ = ask(address, path, method)
    assert (405, allowed, 0, 0) == (status, headers["allow"], node.made, node.reloads)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_reload(address: str, node: Node, method: str) -> None:
    """POST and PUT load the settings anew, and it is told who did; what is wrong with them is told with a 500."""
    assert (200, b"reloaded\n") == ask(address, "/-/reload", method)[::2]
    assert f"{method} from 127.0.0.1" == node.wanted_by
    node.refusal = 'costmeter.yaml:3:1: unknown key "tarrif"'
    status, _, body = ask(address, "/-/reload", method)
    assert (500, 2) == (status, node.reloads)
    assert node.refusal.encode() in body


def test_nobody_has_settings_loaded_for_ever(address: str, node: Node) -> None:
    """Ten at once, and then one a second: who asks more often is told to come later, and nothing is read."""
    answers = [ask(address, "/-/reload", "POST")[0] for _ in range(40)]
    assert {200, 429} == set(answers)
    assert answers.count(200) == node.reloads < 40
    assert [200] * 10 == answers[:10]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Origin": "https://evil.example"}, id="another-origin"),
        pytest.param({"Origin": "null"}, id="an-origin-that-is-hidden"),
        pytest.param({"Origin": "http://evil.example", "Host": "evil.example"}, id="a-name-turned-to-us"),
        pytest.param({"Sec_Fetch_Site": "cross-site"}, id="cross-site"),
        pytest.param({"Sec_Fetch_Site": "same-site"}, id="another-port"),
    ],
)
def test_no_page_of_another_site_reloads(address: str, node: Node, headers: dict[str, Any]) -> None:
    """A browser that is made to ask by a page from elsewhere is refused, whatever it says; our own page is not."""
    assert 403 == ask(address, "/-/reload", "POST", **headers)[0]
    assert 0 == node.reloads
    own: dict[str, Any] = {"Origin": f"http://{address}", "Sec_Fetch_Site": "same-origin"}
    assert 200 == ask(address, "/-/reload", "POST", **own)[0]


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/node", "/-/healthy", "/-/reload", "/nowhere"])
@pytest.mark.parametrize(
    "name",
    [
        "evil.example",
        "evil.example:26786",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "[]evil.example",
        "[::1].evil.example",
        "[::1",
    ],
)
def test_a_name_that_leads_here_is_not_believed(address: str, node: Node, path: str, name: str) -> None:
    """What only this machine reaches is not shown under a name that anybody could have turned to it."""
    status, _, body = ask(address, path, "POST" if "reload" in path else "GET", Host=name)
    assert (403, 0, 0) == (status, node.made, node.reloads)
    assert b"not served under that name" in body


@pytest.mark.parametrize(
    "name",
    ["localhost:9", "LOCALHOST", "localhost.", "gpu.localhost", "127.0.0.1:26786", "[::1]:26786", "10.1.2.3", "", None],
)
def test_names_of_this_machine_are_served(address: str, name: str | None) -> None:
    """Addresses, localhost and this machine's own name, whatever the port: a tunnel has another."""
    assert PAGE == ask(address, "/metrics", Host=socket.gethostname() if name is None else name)[2]


def test_on_other_addresses_names_are_free(node: Node) -> None:
    """Who serves a network cannot know by what names it calls him; yet under a strange one no browser reloads."""
    port = serve([("", 0)], node.site)[0].rpartition(":")[2]
    assert 200 == ask(f"127.0.0.1:{port}", "/metrics", Host="gpu01.cluster.example")[0]
    assert 200 == ask(f"127.0.0.1:{port}", "/-/reload", "POST", Host="gpu01.cluster.example")[0]
    turned: dict[str, Any] = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert (403, 1) == (ask(f"127.0.0.1:{port}", "/-/reload", "POST", **turned)[0], node.reloads)


def test_health_and_readiness_are_what_the_node_says(address: str, node: Node) -> None:
    """Neither is claimed while the node says otherwise; before there is something to show, no page is made."""
    node.is_ready = False
    assert [200, 503] == [ask(address, "/-/healthy")[0], ask(address, "/-/ready")[0]]
    assert [503] * 3 == [ask(address, path)[0] for path in ("/", "/metrics", "/api/v1/node")]
    node.is_healthy, node.is_ready = False, True
    assert [503, 200] == [ask(address, "/-/healthy")[0], ask(address, "/-/ready")[0]]


def test_every_answer_has_the_headers_of_a_careful_server(address: str) -> None:
    """Pages are not stored, framed, guessed at or told to other sites, be they found or not."""
    for path in ("/", "/metrics", "/nowhere"):
        headers = ask(address, path)[1]
        assert ("no-store", "nosniff", "deny", "no-referrer") == tuple(
            headers[name] for name in ("cache-control", "x-content-type-options", "x-frame-options", "referrer-policy")
        )


def test_a_date_is_written_in_english() -> None:
    """784,111,777 s after 1970 is the example of RFC 9110 §5.6.7."""
    assert "Sun, 06 Nov 1994 08:49:37 GMT" == http_date(784_111_777 * 10**9)


# Pages are made once


def test_a_page_is_made_once_for_all_who_ask_for_it(address: str, node: Node) -> None:
    """Scrapes of one state share a page, each format one; a new state has a new one."""
    for _ in range(3):
        ask(address, "/metrics")
        ask(address, "/metrics", Accept="application/openmetrics-text")
    assert 2 == node.made
    node.state = object()
    ask(address, "/metrics")
    assert 3 == node.made


def test_a_client_that_makes_up_headers_costs_others_nothing(address: str, node: Node) -> None:
    """However many Accept headers there are, a page has two formats, each packed or not, and is made that often."""
    kinds = [f"application/openmetrics-text;v={number},text/plain;q=0.{number}" for number in range(100)]
    for accept in [*kinds, *(f"text/plain;version={number}" for number in range(100)), "*/*", "garbage;;;,", ""]:
        for encoding in ("gzip", "identity"):
            assert 200 == ask(address, "/metrics", Accept=accept, Accept_Encoding=encoding)[0]
    assert 4 == node.made


def test_a_page_that_takes_long_delays_no_other() -> None:
    """While one page is being made, health is answered."""
    may_go_on, has_begun = threading.Event(), threading.Event()

    def slow(_: str) -> tuple[bytes, str]:
        has_begun.set()
        may_go_on.wait()
        return b"late\n", KIND

    address = serve([("127.0.0.1", 0)], Site(slow, lambda: b""))[0]
    client = connection(address)
    client.request("GET", "/metrics")
    has_begun.wait()
    assert 200 == ask(address, "/-/healthy")[0]
    may_go_on.set()
    assert b"late\n" == client.getresponse().read()
    client.close()


# Formats


@pytest.mark.parametrize(
    ("asked", "is_packed"),
    [
        pytest.param("gzip", True, id="as-prometheus-asks"),
        pytest.param("deflate, GZIP;q=0.5", True, id="among-others"),
        pytest.param("gzip;q=0", False, id="refused"),
        pytest.param("br", False, id="another"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_gzip_is_for_who_asks(address: str, asked: str, is_packed: bool) -> None:
    """A page is packed for clients that say so, and is the same page; a short answer is not worth it."""
    _, headers, body = ask(address, "/metrics", Accept_Encoding=asked)
    assert (is_packed, is_packed) == (headers.get("content-encoding") == "gzip", takes_gzip(asked))
    assert PAGE == (gzip.decompress(body) if is_packed else body)
    assert "Accept, Accept-Encoding" == headers["vary"]
    assert "content-encoding" not in ask(address, "/-/healthy", Accept_Encoding=asked)[1]


# Connections


def test_a_connection_is_kept(address: str) -> None:
    """One connection serves request after request, bodies and HEAD included."""
    client = connection(address)
    first = tell(client, "/metrics")
    socket_then = client.sock
    told = [
        tell(client, "/-/reload", "POST", b"x" * 1000)[0],
        tell(client, "/", "HEAD")[0],
        tell(client, "/nowhere")[0],
    ]
    assert (first[2], [200, 200, 404]) == (tell(client, "/metrics")[2], told)
    assert client.sock is socket_then
    client.close()


def test_pipelined_requests_are_answered_in_order(address: str) -> None:
    """Requests that come in one packet are answered one by one, in their order."""
    heard = raw(
        address,
        b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    assert [b"200", b"404", b"200"] == re.findall(rb"HTTP/1\.1 ([0-9]+)", heard)
    assert heard.endswith(b"<p>landing")


@pytest.mark.parametrize(
    ("says", "status"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 99, b"400", id="tls-to-a-plain-port"),
        pytest.param(b"GET /metrics\r\n\r\n", b"400", id="http-0.9"),
        pytest.param(b"GET /metrics HTTP/1.1\r\n\r\n", b"400", id="no-host"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nHost : x\r\n\r\n", b"400", id="space-before-the-colon"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            b"400",
            id="two-lengths",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", b"501", id="odd-encoding"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 2**20 + b"\r\n\r\n", b"431", id="headers-of-1-MB"
        ),
        pytest.param(b"GET /" + b"a" * 2 * MOST_HEADER_BYTES, b"431", id="endless-request-line"),
        pytest.param(
            b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n" + b"a" * 200_000,
            b"200",
            id="body",
        ),
        pytest.param(
            b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
            b"200",
            id="waits-to-be-asked-for-its-body",
        ),
        pytest.param(b"\r\n\r\n\0\0\0", b"400", id="nul"),
    ],
)
def test_nonsense_is_answered_once_and_ended(address: str, says: bytes, status: bytes) -> None:
    """What is no request, or too large a one, gets one answer that says so, and no second chance."""
    heard = raw(address, says)
    assert status == heard.split()[1]
    assert 1 == heard.count(b"HTTP/1.1 ")
    assert b"connection: close" in heard.lower()
    assert 200 == ask(address, "/metrics")[0]


def test_a_client_that_says_it_is_done_is_answered(address: str) -> None:
    """A client that closes its half of the connection after asking still gets the page."""
    client = connection(address)
    client.connect()
    client.sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    client.sock.shutdown(1)
    answer = http.client.HTTPResponse(client.sock)
    answer.begin()
    assert PAGE == answer.read()
    client.close()
