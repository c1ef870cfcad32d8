"""A web configuration file as it was written: the format that Prometheus' exporters share, and every fault in it.

The format is that of Prometheus' exporter-toolkit (its `docs/web-configuration.md`, as of 2026-11). What this Python's
TLS cannot do is a fault that says so, never a setting that is silently not kept.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from costmeter.config.faults import shown, shown_node, suggestion
from costmeter.config.yamlfile import Fault, Node, Place, Scalar, Sequence, compose
from costmeter.config.yamlfile import Mapping as Section

CLIENT_AUTH_TYPES = (
    "NoClientCert",
    "RequestClientCert",
    "RequireAnyClientCert",
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
)
#: Of these two a client must show a certificate, so that there are names to look at.
_WITH_NAMES = ("RequireAnyClientCert", "RequireAndVerifyClientCert")
_BOUNDS = ("min_version", "max_version")
VERSIONS = ("TLS12", "TLS13")
_RETIRED_VERSIONS = ("TLS10", "TLS11")
#: The suites of crypto/tls up to TLS 1.2 and what OpenSSL calls them; None are those of TLS 1.3, which are always on.
CIPHER_SUITES: dict[str, str | None] = {
    f"TLS_ECDHE_{kind}_WITH_{suite}": f"ECDHE-{kind}-{openssl}"
    for kind in ("ECDSA", "RSA")
    for suite, openssl in {
        "AES_128_CBC_SHA": "AES128-SHA",
        "AES_256_CBC_SHA": "AES256-SHA",
        "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
        "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
        "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
    }.items()
} | dict.fromkeys(("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"))
#: Curves as crypto/tls and as OpenSSL call them.
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
#: The headers that may be set, and what their values may be where that is a closed list.
HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-Content-Type-Options": ("nosniff",),
    "X-XSS-Protection": (),
    "Strict-Transport-Security": (),
}
_SECTIONS = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
#: A hash of cost 16 takes some five seconds to check; the format's own example has 10.
_LOWEST_COST, _HIGHEST_COST = 4, 16
_HASH = re.compile(r"\$2[abxy]\$([0-9]{2})\$[./A-Za-z0-9]{53}", re.ASCII)
_DURATION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(ms|s|m|h)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
#: What YAML 1.1 takes for a boolean, as the other exporters do.
_YES, _NO = frozenset({"true", "yes", "on"}), frozenset({"false", "no", "off"})
_HTPASSWD = "make one with  htpasswd -nBC 10 USER"


@dataclass(frozen=True, slots=True)
class Tls:
    """How connections are secured. A certificate, key or list of authorities is a file or PEM text, never both.

    Each of the three is (place, whether it is a file, the file's name or the text); empty without it.
    """

    place: Place
    certificate: tuple[Place, bool, str] | None = None
    key: tuple[Place, bool, str] | None = field(default=None, repr=False)
    authorities: tuple[Place, bool, str] | None = None
    client_auth: str = "NoClientCert"
    allowed_sans: frozenset[str] = frozenset()
    lowest: str = "TLS12"
    highest: str = "TLS13"
    suites: tuple[str, ...] = ()
    is_servers_choice: bool = True
    curves: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One request per `interval_seconds`, and `burst` of them at once."""

    interval_seconds: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebFile:
    """What a web configuration file says. `users` are names and bcrypt hashes, which no repr shows."""

    tls: Tls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    rate_limit: RateLimit | None = None


def parse(text: str, filename: str) -> tuple[WebFile, tuple[Fault, ...]]:
    """What the text says, and every fault in it, in the order of lines; never raises. No fault shows a secret."""
    root, faults = compose(text, filename)
    reader = _Reader()
    reader.faults.extend(faults)
    found = reader.file(root)
    return found, tuple(sorted(reader.faults, key=lambda fault: (fault.place.line, fault.place.column)))


class _Reader:
    """Reads the sections of a file, collecting faults."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def file(self, root: Node | None) -> WebFile:
        """All that the file says."""
        sections = self._entries(root, "", _SECTIONS) if root is not None else {}
        return WebFile(
            self._tls(sections["tls_server_config"]) if "tls_server_config" in sections else None,
            self._http(sections.get("http_server_config")),
            self._users(sections.get("basic_auth_users")),
            self._rate_limit(sections.get("rate_limit")),
        )

    # Sections

    def _tls(self, node: Node) -> Tls | None:
        names = ("cert", "key", "client_ca")
        known = (
            *(f"{name}_file" for name in names),
            *names,
            "client_auth_type",
            "client_allowed_sans",
            "min_version",
            "max_version",
            "cipher_suites",
            "prefer_server_cipher_suites",
            "curve_preferences",
        )
        found = self._entries(node, "tls_server_config", known)
        if not found:
            return None
        certificate, key, authorities = (self._source(found, name) for name in names)
        for name, source in (("cert", certificate), ("key", key)):
            if source is None:
                self._fault(node.place, f"tls_server_config: {name}_file is missing")
        lowest, highest = (self._version(found, key, default) for key, default in zip(_BOUNDS, VERSIONS, strict=True))
        if (lowest, highest) == ("TLS13", "TLS12"):
            self._fault(found["max_version"].place, "max_version: TLS12 is below min_version, TLS13")
        client_auth, sans = self._client_auth(found, authorities is not None)
        return Tls(
            node.place,
            certificate,
            key,
            authorities,
            client_auth,
            sans,
            lowest,
            highest,
            tuple(filter(None, (CIPHER_SUITES[name] for name in self._words(found, "cipher_suites", CIPHER_SUITES)))),
            self._yes(found, "prefer_server_cipher_suites", True),
            tuple(CURVES[name] for name in self._words(found, "curve_preferences", CURVES)),
        )

    def _client_auth(self, found: dict[str, Node], has_authorities: bool) -> tuple[str, frozenset[str]]:
        kind = self._word(found, "client_auth_type", CLIENT_AUTH_TYPES, "NoClientCert")
        sans = self._words(found, "client_allowed_sans")
        place = found["client_auth_type"].place if "client_auth_type" in found else None
        if kind == "RequireAnyClientCert" and not has_authorities:
            instead = "it lets in who makes up a certificate; write RequireAndVerifyClientCert and a client_ca_file"
            self._fault(place, f"client_auth_type: RequireAnyClientCert cannot be had here: {instead}")
        elif kind in ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert") and not has_authorities:
            self._fault(place, f"client_auth_type: {kind} needs a client_ca_file")
        elif kind == "NoClientCert" and has_authorities:
            node = found.get("client_ca_file") or found["client_ca"]
            advice = "add  client_auth_type: RequireAndVerifyClientCert"
            self._fault(node.place, f"client_ca_file: no client is asked for a certificate; {advice}")
        if "client_allowed_sans" in found and kind not in _WITH_NAMES:
            advice = "write  client_auth_type: RequireAndVerifyClientCert"
            said = f"client_allowed_sans: with {kind} a client need not show a certificate; {advice}"
            self._fault(found["client_allowed_sans"].place, said)
        return kind, frozenset(sans)

    def _http(self, node: Node | None) -> dict[str, str]:
        found = self._entries(node, "http_server_config", ("http2", "headers"))
        self._yes(found, "http2", True)  # taken and without effect: pages are served as HTTP/1.1
        headers = {}
        for name, value in self._entries(found.get("headers"), "headers", tuple(HEADERS)).items():
            text = self._text(value, name)
            if not text:
                continue
            if HEADERS[name] and text not in HEADERS[name]:
                self._fault(value.place, f"{name}: expected {' or '.join(HEADERS[name])}, not {shown(text)}")
            elif not text.isascii() or not text.isprintable():
                self._fault(value.place, f"{name}: expected printable ASCII text, not {shown(text)}")
            else:
                headers[name] = text
        return headers

    def _users(self, node: Node | None) -> dict[str, str]:
        users = {}
        for name, value in self._entries(node, "basic_auth_users", None).items():
            user = f"basic_auth_users: {shown(name)}"
            match = _HASH.fullmatch(value.text) if isinstance(value, Scalar) else None
            if not name or ":" in name:
                self._fault(value.place, f"{user}: a user's name is not empty and has no colon")
            elif match is None:  # what stands there may be the password itself
                self._fault(value.place, f"{user}: expected a bcrypt hash that begins with $2y$; {_HTPASSWD}")
            elif not _LOWEST_COST <= int(match[1]) <= _HIGHEST_COST:
                bounds = f"expected a cost between {_LOWEST_COST} and {_HIGHEST_COST}, not {int(match[1])}"
                self._fault(value.place, f"{user}: {bounds}; {_HTPASSWD}")
            else:
                users[name] = match[0]
        return users

    def _rate_limit(self, node: Node | None) -> RateLimit | None:
        found = self._entries(node, "rate_limit", ("interval", "burst"))
        interval, burst = self._known_text(found, "interval"), self._known_text(found, "burst")
        match = _DURATION.fullmatch(interval) if interval else None
        if interval not in ("", "0") and match is None:
            self._fault(found["interval"].place, f"interval: expected a time such as 1s, not {shown(interval)}")
        is_number = burst.isascii() and burst.isdigit() and len(burst) < 7
        if burst and not (is_number and int(burst)):
            self._fault(found["burst"].place, f"burst: expected a number of requests such as 20, not {shown(burst)}")
        if match is None or not float(match[1]):
            return None
        if not burst:
            self._fault(found["interval"].place, "rate_limit: burst is missing; without one every request is refused")
        return RateLimit(float(match[1]) * _SECONDS[match[2]], int(burst) if is_number else 1)

    # Values

    def _source(self, found: dict[str, Node], name: str) -> tuple[Place, bool, str] | None:
        inline, file = found.get(name), found.get(f"{name}_file")
        inline_text, file_text = self._known_text(found, name), self._known_text(found, f"{name}_file")
        if inline_text and file_text and file is not None:
            self._fault(file.place, f"{name}_file: {name} is given too; leave one of them out")
        node, text = (file, file_text) if file_text else (inline, inline_text)
        return (node.place, node is file, text) if node is not None and text else None

    def _version(self, found: dict[str, Node], key: str, default: str) -> str:
        if self._known_text(found, key, is_quiet=True) in _RETIRED_VERSIONS:
            self._fault(found[key].place, f"{key}: TLS 1.0 and 1.1 are retired (RFC 8996); write TLS12 or TLS13")
            return default
        return self._word(found, key, VERSIONS, default)

    def _yes(self, found: dict[str, Node], key: str, default: bool) -> bool:
        text = self._known_text(found, key)
        if text and text.lower() not in _YES | _NO:
            self._fault(found[key].place, f"{key}: expected true or false, not {shown(text)}")
        return text.lower() in _YES if text else default

    def _word(self, found: dict[str, Node], key: str, known: Iterable[str], default: str) -> str:
        """One of the known words; the default without one, and with a fault."""
        text = self._known_text(found, key)
        if not text or text in (words := tuple(known)):
            return text or default
        self._fault(found[key].place, f"{key}: expected {' or '.join(words)}, not {shown(text)}{_near(text, words)}")
        return default

    def _words(self, found: dict[str, Node], key: str, known: Iterable[str] | None = None) -> list[str]:
        """A list of texts, of known ones where that is said."""
        node = found.get(key)
        if node is None or (isinstance(node, Scalar) and not node.text):
            return []
        if not isinstance(node, Sequence):
            self._fault(node.place, f"{key}: expected a list, not {shown_node(node)}")
            return []
        words = tuple(known) if known is not None else None
        texts = []
        for item in node.items:
            text = self._text(item, key)
            if words is not None and text and text not in words:
                self._fault(item.place, f"{key}: unknown {shown(text)}{suggestion(text, words)}")
            elif text:
                texts.append(text)
        return texts

    def _known_text(self, found: dict[str, Node], key: str, is_quiet: bool = False) -> str:
        node = found.get(key)
        if is_quiet:
            return node.text if isinstance(node, Scalar) else ""
        return "" if node is None else self._text(node, key)

    def _text(self, node: Node, key: str) -> str:
        if isinstance(node, Scalar):
            return node.text
        self._fault(node.place, f"{key}: expected one value, not {shown_node(node)}")
        return ""

    def _entries(self, node: Node | None, name: str, known: tuple[str, ...] | None) -> dict[str, Node]:
        """The keys and values of a section; unknown keys are faults."""
        if node is None or (isinstance(node, Scalar) and not node.text):
            return {}
        before = f"{name}: " if name else ""
        if not isinstance(node, Section):  # not shown: it may be a secret on the wrong line
            self._fault(node.place, f"{before}expected keys and values")
            return {}
        for key, _ in node.entries:
            if known is not None and key.text not in known:
                self._fault(key.place, f"{before}unknown key {shown(key.text)}{suggestion(key.text, known)}")
        return {key.text: value for key, value in node.entries if known is None or key.text in known}

    def _fault(self, place: Place | None, what: str) -> None:
        if place is not None:
            self.faults.append(Fault(place, what))


def _near(text: str, words: tuple[str, ...]) -> str:
    """A suggestion where a word is near; the words themselves stand in the fault already."""
    near = suggestion(text, words)
    return near if "Did you mean" in near else ""
