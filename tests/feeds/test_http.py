"""The door to other servers: what comes in whole, and what each refusal says."""

import contextlib
import gzip
import re
import socket
import ssl
import threading
from pathlib import Path

import pytest

from costmeter.feeds.http import Door, FeedError, address, shown_url
from tests.feeds.servers import Request, Said, always, door, serving

SECRET = "s3cret-t0ken"


def refusal(said: Said | None, seconds: float = 10.0, max_bytes: int = 16_000_000) -> FeedError:
    """What the door raises when this is the answer to a request with a secret in query and header."""
    with serving(lambda request: said) as server, pytest.raises(FeedError) as caught:
        door(seconds, max_bytes).get(f"{server.base}/data?key={SECRET}", {"auth-token": SECRET})
    assert SECRET not in caught.value.message + caught.value.hint
    return caught.value


def test_a_whole_answer_comes_with_its_headers() -> None:
    """Body and headers are the server's; what was sent carries the headers that were asked for."""
    with serving(lambda request: Said("yes", headers={"X-Flavor": "lemon"})) as server:
        reply = door().get(f"{server.base}/a?b=c", {"auth-token": "t"})
    assert (b"yes", "lemon") == (reply.body, reply.headers["x-flavor"])
    assert ("GET", "/a?b=c", "t") == (
        server.requests[0].method,
        server.requests[0].path,
        server.requests[0].headers["auth-token"],
    )


@pytest.mark.parametrize(
    ("status", "words", "hint"),
    [
        pytest.param(401, "refuses us", "token", id="unauthorised"),
        pytest.param(403, "refuses us", "token", id="forbidden"),
        pytest.param(404, "does not exist", "zone", id="not-found"),
        pytest.param(429, "too many requests", "try again in 30 s", id="too-many"),
        pytest.param(500, "in trouble", "later", id="server-error"),
        pytest.param(418, "answers with status 418", "check", id="other"),
        pytest.param(204, "answers with status 204", "check", id="no-content"),
    ],
)
def test_each_status_has_its_words(status: int, words: str, hint: str) -> None:
    """A status other than 200 is a refusal that names it and says what to do."""
    error = refusal(Said("no", status, {"Retry-After": "30"} if status == 429 else {}))
    assert (status, True, True) == (error.status, words in error.message, hint in error.hint)


def test_silence_is_given_up_on() -> None:
    """A server that takes the request and says nothing is told as late, with the seconds that were waited."""
    error = refusal(None, seconds=0.2)
    assert "did not answer within 0.2 s" in error.message
    assert error.status is None


def test_an_answer_that_is_cut_off_is_no_answer() -> None:
    """Fewer bytes than promised are a refusal that says how many came."""
    assert "cut off after 5 of 500 bytes" in refusal(Said("12345", promised_bytes=500)).message


def test_a_huge_answer_is_refused() -> None:
    """Beyond the limit of size nothing is kept."""
    assert "more than 1000 bytes" in refusal(Said(b"x" * 200_000), max_bytes=1000).message


def test_a_redirect_on_the_same_host_is_followed() -> None:
    """Another path of the same scheme, host and port is fine."""

    def script(request: Request) -> Said:
        return Said("there") if request.path == "/new" else Said(status=302, headers={"Location": "/new"})

    with serving(script) as server:
        assert b"there" == door().get(f"{server.base}/old").body


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("{other}/x", "another host"),
        ("https://127.0.0.1/x", "another host"),
        ("file:///etc/passwd", "no web address"),
        ("ftp://h/x", "no web address"),
        ("http://[x", "redirects to what is no web address|not a whole HTTP answer"),
    ],
)
def test_a_redirect_to_elsewhere_is_not_followed(target: str, words: str) -> None:
    """Another host, port or scheme is refused before anything, a token least of all, is sent there."""
    with serving(always("stolen")) as other:
        location = target.format(other=other.base)
        moved = Said(status=302, headers={"Location": location})
        with serving(lambda request: moved) as server, pytest.raises(FeedError, match=words):
            door().get(f"{server.base}/", {"auth-token": SECRET})
        assert not other.requests


def test_a_redirect_in_a_circle_is_told() -> None:
    """A path that leads back to itself is given up on, and called what it is."""
    error = refusal(Said(status=302, headers={"Location": "/data"}))
    assert "redirects in a circle" in error.message


def test_a_packed_answer_is_named() -> None:
    """Nobody asked for gzip: an answer that is packed all the same is refused by name, not shown as garbage."""
    error = refusal(Said(gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"}))
    assert "the answer is packed (gzip)" in error.message
    with serving(always("x")) as server:
        door().get(server.base)
        assert "identity" == server.requests[0].headers["accept-encoding"]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/",
        "example.org",
        "http://",
        "http://[::1",
        "http://h:99999/",
        "http://h/a b",
    ],
)
def test_only_web_addresses_are_asked(url: str) -> None:
    """What is no http or https address is refused without a request."""
    with pytest.raises(FeedError, match="no http or https address"):
        door().get(url)


def test_nobody_there_is_told_with_the_system_s_words() -> None:
    """A refused connection says so, and how to name a mirror."""
    with serving(always("")) as server:
        base = server.base
    with pytest.raises(FeedError, match="cannot be reached: Connection refused") as caught:
        door().get(base)
    assert "--url" in caught.value.hint


def test_a_token_with_a_line_break_is_refused() -> None:
    """A header that would become two is not sent, and not shown."""
    with pytest.raises(FeedError, match="no header can carry") as caught:
        door().get("http://127.0.0.1:1/", {"auth-token": f"{SECRET}\r\nX: y"})
    assert SECRET not in caught.value.message


def test_all_requests_share_one_deadline() -> None:
    """When the time of the whole is used up, nothing more is asked."""
    from costmeter.clock import ManualClock
    from costmeter.feeds.http import Limits

    clock = ManualClock(0)
    with serving(always("x")) as server:
        one = Door(Limits(10, 60), proxied=False, clock=clock)
        assert b"x" == one.get(server.base).body
        clock.advance(60 * 1_000_000_000)
        with pytest.raises(FeedError, match="within 60 s"):
            one.get(server.base)
        assert 1 == len(server.requests)


def test_bytes_that_are_no_http_are_told() -> None:
    """A server of another protocol is a refusal, not a traceback."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=speak, daemon=True)
        thread.start()
        with pytest.raises(FeedError, match="not a whole HTTP answer"):
            door().get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()


def test_proxies_of_the_environment_are_left_out_where_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A door without proxies asks the host itself, whatever the environment names."""
    with serving(always("proxy")) as proxy, serving(always("host")) as server:
        monkeypatch.setenv("http_proxy", proxy.base)
        monkeypatch.delenv("no_proxy", raising=False)
        assert b"host" == door().get(server.base).body
        assert b"proxy" == Door().get("http://somewhere.invalid/").body


def test_shown_urls_have_no_secrets() -> None:
    """User, password, query and fragment stay out of messages."""
    assert "https://host:8443/a b" == shown_url(f"https://me:{SECRET}@host:8443/a%20b?token={SECRET}#{SECRET}")
    assert "(no URL)" == shown_url("http://[")


def test_the_room_is_the_only_one_that_knows_the_web() -> None:
    """Of the files of this room only the door imports urllib.request."""
    import costmeter.feeds

    room = Path(costmeter.feeds.__file__).parent
    users = [file.name for file in room.glob("*.py") if re.search(r"^import urllib", file.read_text(), re.MULTILINE)]
    assert ["http.py"] == users


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        pytest.param("gpu02:26786", ("http://gpu02:26786", {}, False), id="bare"),
        pytest.param("localhost:1", ("http://localhost:1", {}, True), id="here"),
        pytest.param("http://[::1]:9/", ("http://[::1]:9", {}, True), id="here-v6"),
        pytest.param(
            "https://a:b%40c@gpu02/x/", ("https://gpu02/x", {"Authorization": "Basic YTpiQGM="}, False), id="user"
        ),
        pytest.param("ftp://gpu02", None, id="scheme"),
        pytest.param("http://gpu02:99999", None, id="port"),
        pytest.param("http://gpu02/?a=b", None, id="query"),
        pytest.param("http://[", None, id="broken"),
        pytest.param("", None, id="empty"),
    ],
)
def test_an_address_is_taken_apart(typed: str, found: tuple[str, dict[str, str], bool] | None) -> None:
    """A host is http's; user and password become basic auth (printf 'a:b@c' | base64) and leave the URL."""
    taken = address(typed)
    assert found == (None if taken is None else (taken.base, dict(taken.headers), taken.is_here))


@pytest.mark.parametrize("content", [None, "nothing\n"], ids=["missing", "no-certificate"])
def test_certificates_that_are_none_are_refused(tmp_path: Path, content: str | None) -> None:
    """A file to believe servers by that is not there, or holds none, is named."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(FeedError, match=r"ca\.pem"):
        Door(trusted=str(file))


def test_a_server_is_believed_by_the_certificates_of_a_file() -> None:
    """With the authority's file its server is believed; by the system's certificates it is not."""
    from tests.outputs.talking import CERTIFICATES

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem", CERTIFICATES / "server.key")
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        context.wrap_socket(listening, server_side=True) as server,
    ):
        threading.Thread(target=_answers, args=(server, 2), daemon=True).start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"
        assert b"yes" == Door(proxied=False, trusted=str(CERTIFICATES / "authority.pem")).get(url).body
        with pytest.raises(FeedError, match="certificate that is not believed: "):
            Door(proxied=False).get(url)


def _answers(server: ssl.SSLSocket, times: int) -> None:
    for _ in range(times):
        with contextlib.suppress(OSError):
            client, _ = server.accept()
            with client:
                client.recv(65_536)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nyes")
