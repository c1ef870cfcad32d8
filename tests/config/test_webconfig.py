"""The web configuration file: what it may say, every fault at once, and nothing secret in what is printed."""

import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.clock import ManualClock
from costmeter.config.webconfig import WebConfig, WebSettings, read
from costmeter.config.webgrammar import CIPHER_SUITES, HEADERS, RateLimit, WebFile, parse
from costmeter.errors import ConfigError
from costmeter.units import NANOSECONDS_PER_SECOND

CERTIFICATES = Path(__file__).parents[1] / "certificates"
SECTIONS = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
#: The example of the format's documentation (docs/web-configuration.md of exporter-toolkit).
HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
WHOLE = f"""
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [prometheus.example, 10.0.0.1]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: no
  curve_preferences: [CurveP256, X25519]
http_server_config:
  http2: false
  headers:
    Content-Security-Policy: default-src 'self'
    X-Frame-Options: sameorigin
    X-Content-Type-Options: nosniff
    X-XSS-Protection: ""
    Strict-Transport-Security: max-age=300
basic_auth_users:
  alice: {HASH}
rate_limit:
  interval: 500ms
  burst: 20
"""


def test_everything_the_format_has_is_read() -> None:
    """A file with every key of the published format has no fault, and says what it says."""
    file, faults = parse(WHOLE, "web.yml")
    assert () == faults
    tls = file.tls
    assert tls is not None
    assert ("server.crt", "server.key", "ca.crt") == tuple(
        source[2] for source in (tls.certificate, tls.key, tls.authorities) if source is not None
    )
    assert ("RequireAndVerifyClientCert", frozenset(("prometheus.example", "10.0.0.1"))) == (
        tls.client_auth,
        tls.allowed_sans,
    )
    assert ("TLS12", "TLS13", False) == (tls.lowest, tls.highest, tls.is_servers_choice)
    assert (("ECDHE-RSA-AES128-GCM-SHA256",), ("prime256v1", "X25519")) == (tls.suites, tls.curves)
    assert {"alice": HASH} == file.users
    assert {name for name in HEADERS if name != "X-XSS-Protection"} == file.headers.keys()
    assert RateLimit(0.5, 20) == file.rate_limit


@pytest.mark.parametrize("text", ["", "# nothing\n", "tls_server_config:\n", "basic_auth_users: {}\n"])
def test_nothing_is_open(text: str) -> None:
    """A file that says nothing asks for nothing."""
    assert (WebFile(), ()) == parse(text, "web.yml")


SUGGESTED = [
    ("tls_server_confg: {}", '1:1: unknown key "tls_server_confg". Did you mean "tls_server_config"?'),
    ("tls_server_config: {cert: a, key: b, kye: b}", '1:38: tls_server_config: unknown key "kye". Did you mean "key"?'),
    ("tls_server_config: {cert_file: a}", "1:20: tls_server_config: key_file is missing"),
    ("tls_server_config: {cert_file: a, key_file: }", "1:20: tls_server_config: key_file is missing"),
    ("tls_server_config: {cert: a, cert_file: b, key: c}", "1:41: cert_file: cert is given too; leave one of them out"),
    ("tls_server_config: [a]", "1:20: tls_server_config: expected keys and values"),
    (
        "tls_server_config: {cert: a, key: b, client_auth_type: RequireAndVerifyClientCrt}",
        '1:56: client_auth_type: expected NoClientCert or RequestClientCert or RequireAnyClientCert or '
        "VerifyClientCertIfGiven or RequireAndVerifyClientCert, not \"RequireAndVerifyClientCrt\". "
        'Did you mean "RequireAndVerifyClientCert"?',
    ),
    (
        "tls_server_config: {cert: a, key: b, client_auth_type: RequireAndVerifyClientCert}",
        "1:56: client_auth_type: RequireAndVerifyClientCert needs a client_ca_file",
    ),
    (
        "tls_server_config: {cert: a, key: b, client_auth_type: RequireAnyClientCert}",
        "1:56: client_auth_type: RequireAnyClientCert cannot be had here: it lets in who makes up a certificate; "
        "write RequireAndVerifyClientCert and a client_ca_file",
    ),
    (
        "tls_server_config: {cert: a, key: b, client_ca_file: c}",
        "1:54: client_ca_file: no client is asked for a certificate; add  client_auth_type: RequireAndVerifyClientCert",
    ),
    (
        "tls_server_config: {cert: a, key: b, client_allowed_sans: [c]}",
        "1:59: client_allowed_sans: with NoClientCert a client need not show a certificate; "
        "write  client_auth_type: RequireAndVerifyClientCert",
    ),
    (
        "tls_server_config: {cert: a, key: b, min_version: TLS11}",
        "1:51: min_version: TLS 1.0 and 1.1 are retired (RFC 8996); write TLS12 or TLS13",
    ),
    (
        "tls_server_config: {cert: a, key: b, min_version: TLS13, max_version: TLS12}",
        "1:71: max_version: TLS12 is below min_version, TLS13",
    ),
    (
        "tls_server_config: {cert: a, key: b, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA265]}",
        '1:54: cipher_suites: unknown "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA265". '
        'Did you mean "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"?',
    ),
    ("http_server_config: {http2: maybe}", '1:29: http2: expected true or false, not "maybe"'),
    (
        "http_server_config: {headers: {X-Frame-Options: never}}",
        '1:49: X-Frame-Options: expected deny or sameorigin, not "never"',
    ),
    (
        "http_server_config: {headers: {Strict-Transport-Security: \"a\\r\\nb\"}}",
        '1:59: Strict-Transport-Security: expected printable ASCII text, not "a��b"',
    ),
    (
        "basic_auth_users: {alice: wonderland}",
        '1:27: basic_auth_users: "alice": expected a bcrypt hash that begins with $2y$; '
        "make one with  htpasswd -nBC 10 USER",
    ),
    (
        f"basic_auth_users: {{alice: {HASH.replace('$10$', '$31$')}}}",
        '1:27: basic_auth_users: "alice": expected a cost between 4 and 16, not 31; '
        "make one with  htpasswd -nBC 10 USER",
    ),
    (
        f"basic_auth_users: {{':b': {HASH}}}",
        '1:26: basic_auth_users: ":b": a user\'s name is not empty and has no colon',
    ),
    ("rate_limit: {interval: soon, burst: 1}", '1:24: interval: expected a time such as 1s, not "soon"'),
    ("rate_limit: {interval: 1s, burst: 0}", '1:35: burst: expected a number of requests such as 20, not "0"'),
    ("rate_limit: {interval: 1s}", "1:24: rate_limit: burst is missing; without one every request is refused"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "fault"), [pytest.param(*each, id=each[1][:40]) for each in SUGGESTED])
def test_a_fault_says_where_and_what_to_write(text: str, fault: str) -> None:
    """Each fault has its line and column, and what belongs there."""
    assert [f"web.yml:{fault}"] == list(map(str, parse(text, "web.yml")[1]))


def written(folder: Path, text: str) -> str:
    """The path of a file with this text."""
    file = folder / "web.yml"
    file.write_text(text)
    return str(file)


def faults_of(folder: Path, text: str) -> list[str]:
    """What is wrong with a file and with what it names."""
    return [str(fault).replace(f"{folder}/", "") for fault in read(written(folder, text))[2]]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """In the order of lines, those of the files that are named among them; their names are of the file's folder."""
    text = "tls_server_config:\n  cert_file: no.pem\n  key_file: no.key\n  min_version: SSL3\nrate_limt: {}\n"
    assert [
        "web.yml:2:14: cert_file: no.pem cannot be read: No such file or directory",
        "web.yml:3:13: key_file: no.key cannot be read: No such file or directory",
        'web.yml:4:16: min_version: expected TLS12 or TLS13, not "SSL3"',
        'web.yml:5:1: unknown key "rate_limt". Did you mean "rate_limit"?',
    ] == faults_of(tmp_path, text)


@pytest.mark.parametrize(
    ("certificate", "key", "more", "fault"),
    [
        pytest.param(
            "server.pem",
            "renewed.key",
            "",
            "web.yml:2:14: cert_file and key_file: cannot be used: the key is not this certificate's",
            id="another's-key",
        ),
        pytest.param(
            "server.pem",
            "encrypted.key",
            "",
            "web.yml:3:13: key_file: the key has a passphrase; take it off:  openssl pkey -in KEY -out PLAIN",
            id="key-with-a-passphrase",
        ),
        pytest.param(
            "server.key",
            "server.key",
            "",
            "web.yml:2:14: cert_file and key_file: cannot be used: ",
            id="no-certificate",
        ),
        pytest.param(
            "server.pem",
            "server.key",
            "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: server.key\n",
            "web.yml:5:19: client_ca_file: no certificates in it: ",
            id="no-authorities",
        ),
        pytest.param(
            "server.pem",
            "server.key",
            "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: server.pem\n",
            "web.yml:5:19: client_ca_file: no authority's certificate in it; ",
            id="not-an-authority",
        ),
        pytest.param("/dev/tty", "server.key", "", "web.yml:2:14: cert_file: /dev/tty cannot be read: ", id="terminal"),
    ],
)
def test_certificates_are_tried(tmp_path: Path, certificate: str, key: str, more: str, fault: str) -> None:
    """What could not serve is a fault when the file is read, and not with the first client."""
    for file in CERTIFICATES.glob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = f"tls_server_config:\n  cert_file: {certificate}\n  key_file: {key}\n{more}"
    (told,) = faults_of(tmp_path, text)
    assert told.startswith(fault)


def test_certificates_may_stand_in_the_file(tmp_path: Path) -> None:
    """PEM text in place of file names serves as well."""
    texts = {
        name: "".join(f"    {line}\n" for line in (CERTIFICATES / file).read_text().splitlines())
        for name, file in (("cert", "server.pem"), ("key", "server.key"), ("client_ca", "authority.pem"))
    }
    text = "tls_server_config:\n  client_auth_type: RequireAndVerifyClientCert\n"
    settings, names, faults = read(written(tmp_path, text + "".join(f"  {name}: |\n{texts[name]}" for name in texts)))
    assert ((), ()) == (names, faults)
    assert settings.context is not None


def test_no_text_of_ours_shows_a_secret(tmp_path: Path) -> None:
    """Neither a fault nor what Python prints of the settings has a hash, a password or a key in it."""
    key = "".join(f"    {line}\n" for line in (CERTIFICATES / "server.key").read_text().splitlines())
    text = (
        f"basic_auth_users: {{alice: {HASH}, bob: opensesame}}\n"
        f"tls_server_config:\n  cert_file: {CERTIFICATES}/renewed.pem\n  key: |\n{key}"
    )
    settings, _, faults = read(written(tmp_path, text))
    shown = repr((settings, parse(text, "web.yml")[0])) + "".join(map(str, faults))
    assert 2 == len(faults)
    for secret in (HASH[10:20], "opensesame", "BEGIN", key.split()[5]):
        assert secret not in shown


def test_a_faulty_file_is_refused_with_every_fault(tmp_path: Path) -> None:
    """At the start nothing is served that is not secured as it was meant to be."""
    with pytest.raises(ConfigError) as refusal:
        WebConfig(written(tmp_path, "basic_auth_users: {a: b}\nx: 1\n"))
    assert 2 == len(refusal.value.faults)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    """A file that is not there is not the same as one that says nothing."""
    with pytest.raises(ConfigError, match=r"web\.yml: cannot be read: No such file or directory"):
        WebConfig(str(tmp_path / "web.yml"))


def test_files_are_looked_at_once_a_second(tmp_path: Path) -> None:
    """However often it is asked, the disk is asked once a second; an unchanged file is not read again."""
    clock, told = ManualClock(0), list[tuple[str, ...]]()
    config = WebConfig(written(tmp_path, f"basic_auth_users: {{alice: {HASH}}}\n"), told.append, clock)
    written(tmp_path, "rate_limit: {interval: 1s, burst: 7}\n")
    due = [config.is_due]
    clock.advance(NANOSECONDS_PER_SECOND)
    due.append(config.is_due)
    config.look()
    due.append(config.is_due)
    assert (WebSettings(rate_limit=RateLimit(1.0, 7)), [()]) == (config.settings, told)
    assert [False, True, False] == due
    config.look()
    assert [()] == told


def test_a_reload_reads_whatever_the_files_look_like(tmp_path: Path) -> None:
    """Somebody who asks for it is told what is wrong; the old settings hold until nothing is."""
    config = WebConfig(written(tmp_path, "rate_limit: {interval: 1s, burst: 7}\n"))
    assert () == config.reload()
    path = written(tmp_path, "rate_limit: {interval: 1s, burst: 7}\nx: 1\n")
    assert (f'{path}:2:1: unknown key "x". Known here: {", ".join(SECTIONS)}',) == config.reload()
    assert RateLimit(1.0, 7) == config.settings.rate_limit


@given(
    st.text(max_size=200) | st.sampled_from(WHOLE.splitlines()).flatmap(lambda line: st.just(WHOLE.replace(line, "")))
)
def test_any_text_is_read_or_faulty(text: str) -> None:
    """No text makes the reader fail; what it takes has only words that are known."""
    file, faults = parse(text, "web.yml")
    assert all(str(fault).startswith("web.yml") and str(fault).isprintable() for fault in faults)
    assert file.headers.keys() <= HEADERS.keys()


def test_every_suite_is_one_that_openssl_knows() -> None:
    """The names of crypto/tls are translated into names that OpenSSL takes."""
    for suite in filter(None, CIPHER_SUITES.values()):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(suite)
        assert suite in {each["name"] for each in context.get_ciphers()}
