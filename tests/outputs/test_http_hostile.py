"""Clients that behave badly, many at a time, on real sockets. How long others wait meanwhile is in tests/bench."""

import os
import resource
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from costmeter.config.webconfig import WebConfig
from costmeter.outputs import http, httpconnection
from costmeter.outputs.http import Site, serve
from costmeter.outputs.httppages import MOST_PAGES
from tests.end_to_end.installed import eventually
from tests.outputs.talking import CERTIFICATES, ask, client_tls, place, raw, silent_clients

PAGE = b"costmeter_up 1\n"
LARGE = b"x" * 8_000_000
ASKS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def address() -> str:
    """Where a small page is served."""
    return serve([("127.0.0.1", 0)], Site(lambda _: (PAGE, "text/plain"), lambda: b""))[0]


@pytest.fixture
def secured(tmp_path: Path) -> str:
    """Where it is served over TLS."""
    file = tmp_path / "web.yml"
    file.write_text(
        f"tls_server_config: {{cert_file: {CERTIFICATES}/server.pem, key_file: {CERTIFICATES}/server.key}}\n"
    )
    return serve([("127.0.0.1", 0)], Site(lambda _: (PAGE, "text/plain"), lambda: b""), WebConfig(str(file)))[0]


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """This process may have as many files open as it may allow itself: both ends of every connection are its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2_000:
        pytest.skip(f"not more than {hard} open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4_000 if hard == resource.RLIM_INFINITY else min(hard, 4_000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
def test_500_half_open_and_50_silent_tls_clients_keep_nobody_from_the_page(address: str, secured: str) -> None:
    """A scrape is answered while clients stand about that never finish, over TLS or plain, and no thread is theirs."""
    ask(address, "/metrics"), ask(secured, "/metrics", tls=client_tls())
    threads = threading.active_count()
    with silent_clients(address, 500, b"GET /metrics HT"), silent_clients(secured, 50):
        for _ in range(5):
            assert PAGE == ask(address, "/metrics")[2] == ask(secured, "/metrics", tls=client_tls())[2]
        assert threads == threading.active_count()


@pytest.mark.usefixtures("many_descriptors")
def test_too_many_clients_go_the_longest_silent_first(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound whoever has been there longest without a request is sent away, and a new client is served."""
    monkeypatch.setattr(httpconnection, "CLIENT_SECONDS", 3_600.0)
    with silent_clients(address, 1_100) as clients:
        assert PAGE == ask(address, "/metrics")[2]
        assert b"" == clients[0].recv(1)
        clients[-1].sendall(ASKS)
        assert clients[-1].recv(15).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        pytest.param("CLIENT_SECONDS", b"", id="never-asks"),
        pytest.param("CLIENT_SECONDS", ASKS[:9], id="never-finishes-asking"),
        pytest.param(
            "CLIENT_SECONDS", b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n", id="no-body"
        ),
        pytest.param("IDLE_SECONDS", ASKS, id="never-asks-again"),
        pytest.param("CLIENT_SECONDS", ASKS + ASKS[:9], id="never-finishes-asking-again"),
    ],
)
def test_nobody_is_waited_for_for_ever(address: str, limit: str, says: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thing that a client may keep us waiting for has its limit; after that the connection is closed."""
    monkeypatch.setattr(httpconnection, limit, 0.1)
    ends_with = PAGE if ASKS in says else b""
    assert raw(address, says).endswith(ends_with)


def test_a_client_that_drips_is_not_waited_for(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more byte does not buy a client more time."""
    monkeypatch.setattr(httpconnection, "CLIENT_SECONDS", 0.3)
    with socket.create_connection(place(address)) as client, pytest.raises(ConnectionError):  # noqa: PT012
        client.settimeout(0.02)
        while True:
            client.sendall(b"a")
            with suppress(TimeoutError):
                if client.recv(1) == b"":
                    raise ConnectionResetError


@pytest.mark.parametrize(
    "says", [pytest.param(b"", id="nothing"), pytest.param(ASKS[:9], id="half"), pytest.param(ASKS, id="a-request")]
)
def test_clients_that_reset_leave_nothing_behind(address: str, says: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """After hundreds of connections that were cut, no descriptor and no thread is left, and nobody's terminal hears."""
    ask(address, "/metrics")
    before, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(300):
        with socket.create_connection(place(address)) as client:
            client.sendall(says)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    eventually(lambda: True if len(os.listdir("/proc/self/fd")) <= before else None, "descriptors to be closed")
    assert (PAGE, threads) == (ask(address, "/metrics")[2], threading.active_count())
    assert ("", "") == tuple(capfd.readouterr())


def test_clients_that_do_not_read_delay_nobody() -> None:
    """Pages of 8 MB that nobody takes stay where they are, and others get theirs whole."""
    address = serve([("127.0.0.1", 0)], Site(lambda _: (LARGE, "text/plain"), lambda: b""))[0]
    with silent_clients(address, MOST_PAGES // 2, ASKS):
        assert LARGE == ask(address, "/metrics")[2]


@pytest.mark.parametrize("hosts", [1, 3], ids=["from-one-address", "from-several"])
def test_clients_that_do_not_read_take_nobodys_place(hosts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as many as there are places ask for page after page and read none: a scrape is answered all the same."""
    monkeypatch.setattr(http, "MOST_CLIENTS", 32)
    address = serve([("", 0)], Site(lambda _: (LARGE, "text/plain"), lambda: b""))[0]
    port = address.rpartition(":")[2]
    with ExitStack() as stack:
        for host in range(1, hosts + 1):
            stack.enter_context(silent_clients(f"127.0.0.{host}:{port}", 64 // hosts, ASKS * 60))
            assert LARGE == ask(f"127.0.0.1:{port}", "/metrics")[2]


def test_who_takes_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that stops in the middle of a page is let go; one that takes some of it now and then gets it all."""
    monkeypatch.setattr(httpconnection, "STANDING_SECONDS", 0.8)
    address = serve([("127.0.0.1", 0)], Site(lambda _: (LARGE, "text/plain"), lambda: b""))[0]
    with silent_clients(address, 2, ASKS) as (stands, reads):
        heard = 0
        while heard < len(LARGE):
            heard += len(reads.recv(10**6, socket.MSG_WAITALL))
            time.sleep(0.15)  # slower than the other is given up on
        taken = 0
        with suppress(ConnectionError):
            while more := len(stands.recv(10**6)):
                taken += more
        assert taken < len(LARGE)


def test_garbage_over_tls_is_that_clients_loss(secured: str) -> None:
    """Noise instead of a handshake closes the connection; plain HTTP is told what is spoken here."""
    for says, hears in ((os.urandom(4_000), b""), (ASKS, b"400 Bad Request")):
        with socket.create_connection(place(secured)) as client:
            client.sendall(says)
            heard = b""
            try:
                while more := client.recv(4_096):
                    heard += more
            except ConnectionError:
                pass
        assert hears in heard
    assert PAGE == ask(secured, "/metrics", tls=client_tls())[2]
