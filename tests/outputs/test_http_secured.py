"""TLS, client certificates, passwords and limits of the web configuration, on real sockets with a real TLS client."""

import base64
import os
import shutil
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import pytest

from costmeter.config import webconfig
from costmeter.config.webconfig import WebConfig
from costmeter.outputs.http import Site, serve
from costmeter.outputs.httpauth import MOST_CHECKS, credentials
from tests.outputs.talking import CERTIFICATES, ask, client_tls, connection, tell

PAGE = b"costmeter_up 1\n"
SITE = Site(lambda _: (PAGE, "text/plain"), lambda: b"")
#: Of the format's own documentation's kind; the cheapest cost, for the tests' sake.
HASHES = {user: bcrypt.hashpw(password, bcrypt.gensalt(4)).decode() for user, password in {
    "alice": b"wonderland", "bob": "Пароль:with colon".encode(),
}.items()}  # fmt: skip


@pytest.fixture(autouse=True)
def _looked_at_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at on every connection, so that no test waits a second."""
    monkeypatch.setattr(webconfig, "LOOK_AGAIN_SECONDS", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with certificates, which a configuration in it names without a path."""
    for name in ("server.pem", "server.key", "authority.pem", "renewed.pem", "renewed.key"):
        shutil.copy(CERTIFICATES / name, tmp_path)
    return tmp_path


def written(folder: Path, text: str) -> WebConfig:
    """A configuration with this text; what it is told of re-reading is nobody's."""
    file = folder / "web.yml"
    file.write_text(text)
    return WebConfig(str(file))


def tls(more: str = "") -> str:
    """The section of a secured server."""
    return f"tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n{more}"


def verified(kind: str) -> str:
    return f"  client_auth_type: {kind}\n  client_ca_file: authority.pem\n"


def is_served(address: str, client: ssl.SSLContext) -> bool:
    """Whether this client gets the page; what it sees instead is a closed connection."""
    try:
        return ask(address, "/metrics", tls=client)[2] == PAGE
    except OSError:
        return False


@pytest.mark.parametrize(
    ("more", "served"),
    [
        pytest.param("", (True, True, True), id="no-certificates"),
        pytest.param("  client_auth_type: RequestClientCert\n", (True, True, True), id="asked-for"),
        pytest.param(verified("VerifyClientCertIfGiven"), (True, True, False), id="if-given"),
        pytest.param(verified("RequireAndVerifyClientCert"), (False, True, False), id="required"),
        pytest.param(verified("RequireAnyClientCert"), (False, True, False), id="any-is-verified-too"),
        pytest.param(
            verified("RequireAndVerifyClientCert") + "  client_allowed_sans: [other.example, prometheus.example]\n",
            (False, True, False),
            id="of-this-name",
        ),
        pytest.param(
            verified("RequireAndVerifyClientCert") + "  client_allowed_sans: ['spiffe://cluster/prometheus']\n",
            (False, True, False),
            id="of-this-uri",
        ),
        pytest.param(
            verified("RequireAndVerifyClientCert") + "  client_allowed_sans: [example]\n",
            (False, False, False),
            id="of-no-such-name",
        ),
    ],
)
def test_clients_need_the_certificate_that_is_asked_for(
    folder: Path, more: str, served: tuple[bool, bool, bool]
) -> None:
    """A client without a certificate, with ours, and with one of a stranger who took the same name."""
    address = serve([("127.0.0.1", 0)], SITE, written(folder, tls(more)))[0]
    clients = (client_tls(), client_tls("client"), client_tls("stranger"))
    assert served == tuple(is_served(address, client) for client in clients)


@pytest.mark.parametrize(
    ("more", "versions"),
    [
        pytest.param("", {"TLSv1.2", "TLSv1.3"}, id="as-it-is"),
        pytest.param("  min_version: TLS13\n", {"TLSv1.3"}, id="least"),
        pytest.param("  max_version: TLS12\n", {"TLSv1.2"}, id="most"),
        pytest.param("  curve_preferences: [CurveP384, X25519]\n", {"TLSv1.2", "TLSv1.3"}, id="curves"),
    ],
)
def test_versions(folder: Path, more: str, versions: set[str]) -> None:
    """Only the versions between the two that are named are spoken."""
    address = serve([("127.0.0.1", 0)], SITE, written(folder, tls(more)))[0]
    spoken = set()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = client_tls()
        client.minimum_version = client.maximum_version = version
        if is_served(address, client):
            spoken.add({ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version])
    assert versions == spoken


def test_the_suite_that_is_named_is_spoken(folder: Path) -> None:
    """Of TLS 1.2 only the suites of the list are taken, called as crypto/tls calls them."""
    suite = "  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n"
    address = serve([("127.0.0.1", 0)], SITE, written(folder, tls(suite)))[0]
    client = connection(address, client_tls())
    tell(client, "/metrics")
    assert isinstance(client.sock, ssl.SSLSocket)
    assert "ECDHE-ECDSA-AES256-GCM-SHA384" == (client.sock.cipher() or ("",))[0]
    client.close()


def serial(address: str) -> str:
    """The serial number of the certificate that a server shows to a new client."""
    client = connection(address, client_tls())
    client.connect()
    assert isinstance(client.sock, ssl.SSLSocket)
    shown = client.sock.getpeercert()
    client.close()
    return str((shown or {})["serialNumber"])


def test_a_renewed_certificate_is_taken_without_a_restart(folder: Path) -> None:
    """Files replaced in place are shown to the next client; between the two replacements the old pair holds."""
    address = serve([("127.0.0.1", 0)], SITE, written(folder, tls()))[0]
    assert "01" == serial(address)
    os.replace(folder / "renewed.pem", folder / "server.pem")
    assert "01" == serial(address)
    os.replace(folder / "renewed.key", folder / "server.key")
    assert "02" == serial(address)


def test_a_faulty_change_changes_nothing_and_is_told(folder: Path) -> None:
    """The old configuration holds while the new one is faulty; each reading tells whether it succeeded."""
    told: list[tuple[str, ...]] = []
    file = folder / "web.yml"
    file.write_text(tls())
    address = serve([("127.0.0.1", 0)], SITE, WebConfig(str(file), told.append))[0]
    file.write_text(tls() + "  min_versoin: TLS13\n")
    assert is_served(address, client_tls())
    (faults,) = told
    assert [f'{file}:4:3: tls_server_config: unknown key "min_versoin". Did you mean "min_version"?'] == list(faults)
    file.write_text(f"basic_auth_users: {{alice: '{HASHES['alice']}'}}\n")
    assert (401, ()) == (ask(address, "/metrics")[0], told[-1])


# Passwords


def basic(user: str, password: str | bytes) -> str:
    """What a client sends."""
    said = password.encode() if isinstance(password, str) else password
    return "Basic " + base64.b64encode(user.encode() + b":" + said).decode()


USERS = "basic_auth_users:\n" + "".join(f"  {user}: {hashed}\n" for user, hashed in HASHES.items())


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        pytest.param(basic("alice", "wonderland"), 200, id="right"),
        pytest.param(basic("alice", "wonderland").replace("Basic", "basic"), 200, id="lower-case"),
        pytest.param(basic("bob", "Пароль:with colon"), 200, id="colon-and-cyrillic"),
        pytest.param(basic("alice", "looking-glass"), 401, id="wrong"),
        pytest.param(basic("alice", ""), 401, id="empty"),
        pytest.param(basic("alice", b"wonderland\0more"), 401, id="nul"),
        pytest.param(basic("alice", "w" * 5_000), 401, id="long"),
        pytest.param(basic("mallory", "wonderland"), 401, id="nobody"),
        pytest.param(basic("", ""), 401, id="nothing"),
        pytest.param("Bearer abc", 401, id="another-kind"),
        pytest.param("Basic !!!", 401, id="garbled"),
        pytest.param("Basic", 401, id="cut-off"),
    ],
)
def test_passwords(tmp_path: Path, authorization: str, status: int) -> None:
    """Every path needs the name and the password of a user, health included, and says so."""
    address = serve([("127.0.0.1", 0)], SITE, written(tmp_path, USERS))[0]
    for path in ("/metrics", "/-/healthy", "/metrics"):
        answered, headers, _ = ask(address, path, Authorization=authorization)
        assert (status, status == 401) == (answered, "www-authenticate" in headers)


def test_without_a_header_nobody_is_let_in(tmp_path: Path) -> None:
    """A client that does not say who it is gets a challenge, and not one byte of a page."""
    status, headers, body = ask(serve([("127.0.0.1", 0)], SITE, written(tmp_path, USERS))[0], "/metrics")
    assert (401, 'Basic realm="costmeter", charset="UTF-8"') == (status, headers["www-authenticate"])
    assert PAGE not in body


def test_a_password_that_is_changed_holds_at_once(tmp_path: Path) -> None:
    """On a connection that is kept, too: who was let in with the old password is asked again."""
    address = serve([("127.0.0.1", 0)], SITE, written(tmp_path, USERS))[0]
    client, header = connection(address), basic("alice", "wonderland")
    assert 200 == tell(client, "/metrics", Authorization=header)[0]
    written(tmp_path, f"basic_auth_users: {{alice: '{HASHES['bob']}'}}\n")
    assert 401 == tell(client, "/metrics", Authorization=header)[0]
    client.close()


def test_guesses_delay_nobody_who_is_known(tmp_path: Path) -> None:
    """While many guess at once, more than are checked one after the other are sent away; who is known gets his page."""
    slow = bcrypt.hashpw(b"wonderland", bcrypt.gensalt(9)).decode()
    address = serve([("127.0.0.1", 0)], SITE, written(tmp_path, f"basic_auth_users: {{alice: {slow}}}\n"))[0]
    known = connection(address)
    assert 200 == tell(known, "/metrics", Authorization=basic("alice", "wonderland"))[0]
    count = 3 * MOST_CHECKS
    with ThreadPoolExecutor(count) as pool:
        guesses = [
            pool.submit(ask, address, "/metrics", Authorization=basic("alice", str(number))) for number in range(count)
        ]
        assert 200 == tell(known, "/metrics", Authorization=basic("alice", "wonderland"))[0]
        assert {401, 503} == {guess.result()[0] for guess in guesses}
    known.close()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        pytest.param("Basic YTpi", ("a", b"b"), id="plain"),
        pytest.param("Basic YTpiOmM=", ("a", b"b:c"), id="colon-in-the-password"),
        pytest.param("Basic YQ==", None, id="no-colon"),
        pytest.param("Basic /zph", None, id="name-not-utf-8"),
    ],
)
def test_credentials(said: str, meant: tuple[str, bytes] | None) -> None:
    """RFC 7617: the first colon ends the name."""
    assert meant == credentials(said)


# The rest


def test_headers_are_those_that_are_set(tmp_path: Path) -> None:
    """A header of the configuration stands on every answer, in place of ours."""
    headers = "{Strict-Transport-Security: max-age=300, X-Frame-Options: sameorigin}"
    address = serve([("127.0.0.1", 0)], SITE, written(tmp_path, f"http_server_config: {{headers: {headers}}}\n"))[0]
    told = ask(address, "/nowhere")[1]
    assert ("max-age=300", "sameorigin") == (told["strict-transport-security"], told["x-frame-options"])


def test_requests_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    """After the burst a client is told to come back after the interval."""
    address = serve([("127.0.0.1", 0)], SITE, written(tmp_path, "rate_limit: {interval: 1h, burst: 3}\n"))[0]
    answers = [ask(address, "/metrics") for _ in range(5)]
    assert [200, 200, 200, 429, 429] == [answer[0] for answer in answers]
    assert "3600" == answers[-1][1]["retry-after"]
