"""The one door to other people's servers: one request, limits of time and size, and errors that say what to type.

No query, password or header ever stands in a message: that is where tokens are.
"""

import base64
import http.client
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import IO, NoReturn

from costmeter.clock import Clock, RealClock
from costmeter.errors import CostmeterError
from costmeter.units import NANOSECONDS_PER_SECOND

_CHUNK_BYTES = 65_536
#: So much is read of what comes with another status than 200.
_MOST_SAID_BYTES = 4_096
#: What is said of a certificate that nobody vouches for.
UNBELIEVED = "shows a certificate that is not believed"
#: What OpenSSL calls the answer of a server that does not speak TLS, by version.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
_ANOTHER_HOST = "name a host you trust with --url"


class FeedError(CostmeterError):
    """A server that did not give what was asked for. `status` is its HTTP status, None when it gave no answer.

    `body` is the beginning of what it said with that status, for who knows how to read it.
    """

    def __init__(self, message: str, hint: str = "", status: int | None = None) -> None:
        super().__init__(message, hint)
        self.status = status
        self.body = b""

    @property
    def has_no_tls(self) -> bool:
        """Whether it was asked in TLS, and speaks none."""
        return self.status is None and any(name in self.message for name in _NO_TLS)


class FeedLate(FeedError):
    """No answer in time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much. `request_seconds` is for one answer, `total_seconds` for all of one `Door`."""

    request_seconds: float = 10.0
    total_seconds: float = 120.0
    max_bytes: int = 16_000_000


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer of status 200. Names of headers are in lower case."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def shown_url(url: str) -> str:
    """A URL for people: without query, fragment, user and password."""
    try:
        parts = urllib.parse.urlsplit(url)
        name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        host = f"{name}:{parts.port}" if parts.port else name
    except ValueError:
        return "(no URL)"
    return f"{parts.scheme}://{host}{urllib.parse.unquote(parts.path)}"


@dataclass(frozen=True, slots=True)
class Address:
    """A server as somebody typed it. User and password are in `headers` and not in `base`, which ends without a slash.

    `is_here` is this machine's own: no proxy stands before it, and no password leaves the machine.
    """

    base: str
    headers: Mapping[str, str]
    is_here: bool


def address(text: str) -> Address | None:
    """`gpu02:26786`, or a URL of http or https without query; None for what is none."""
    try:
        parts = urllib.parse.urlsplit(text if "://" in text else f"http://{text}")
        host, is_web = parts.hostname, parts.scheme in ("http", "https") and (parts.port or 1) > 0
    except ValueError:
        return None
    if not host or not is_web or parts.query or parts.fragment:
        return None
    headers = {}
    if parts.username is not None:
        said = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(said.encode('utf-8', 'replace')).decode()}"
    base = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/"))
    is_here = host in ("localhost", "::1") or host.startswith("127.")
    return Address(urllib.parse.urlunsplit(base), headers, is_here)


def same_host(one: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host and port."""
    try:
        first, second = urllib.parse.urlsplit(one), urllib.parse.urlsplit(other)
        return (first.scheme, first.hostname, first.port) == (second.scheme, second.hostname, second.port)
    except ValueError:
        return False


def with_query(url: str, query: Mapping[str, str]) -> str:
    """The URL with these parameters."""
    return f"{url}?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote)}"


def part(text: str) -> str:
    """A piece of a path, with whatever would end it escaped."""
    return urllib.parse.quote(text, safe=":")


class Door:
    """Requests of one purpose, under one deadline. `proxied` asks through the proxies that the environment names.

    `trusted` is a file of certificates that servers are believed by, in place of the system's.
    """

    def __init__(
        self, limits: Limits = Limits(), proxied: bool = True, clock: Clock | None = None, trusted: str | None = None
    ) -> None:
        self._limits = limits
        self._clock = clock or RealClock()
        self._ends_ns = self._clock.boottime_ns() + round(limits.total_seconds * NANOSECONDS_PER_SECOND)
        proxies = urllib.request.ProxyHandler(None if proxied else {})
        self._opener = urllib.request.build_opener(proxies, _SameHostOnly(), *_believing(trusted))

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Ask for a URL. Raises FeedError for everything but a whole answer of status 200."""
        return self._ask("GET", url, headers or {})

    def put(self, url: str, headers: Mapping[str, str]) -> Reply:
        """PUT nothing to a URL, as AWS's metadata service wants it. Raises FeedError like `get`."""
        return self._ask("PUT", url, headers)

    def _ask(self, method: str, url: str, headers: Mapping[str, str]) -> Reply:
        request = _request(method, url, headers)
        left_seconds = (self._ends_ns - self._clock.boottime_ns()) / NANOSECONDS_PER_SECOND
        seconds = min(self._limits.request_seconds, left_seconds)
        if seconds <= 0:
            raise _late(url, self._limits.total_seconds)
        outcome: list[Reply | FeedError] = []
        # A thread, because names are looked up without a time limit, and a server that drips keeps any socket's.
        thread = threading.Thread(
            target=lambda: outcome.append(self._outcome(request, url, seconds)), name="ask", daemon=True
        )
        thread.start()
        thread.join(seconds)
        answer = outcome[0] if outcome else _late(url, seconds)
        if isinstance(answer, FeedError):
            raise answer
        return answer

    def _outcome(self, request: urllib.request.Request, url: str, seconds: float) -> Reply | FeedError:
        try:
            with self._opener.open(request, timeout=seconds) as response:
                return self._reply(response, url)
        except FeedError as refusal:
            return refusal
        except urllib.error.HTTPError as refusal:
            with refusal:
                told = _told(url, refusal)
                told.body = _beginning(refusal)
                return told
        except TimeoutError:
            return _late(url, seconds)
        except (OSError, http.client.HTTPException, ValueError) as problem:
            return _unreachable(url, problem, seconds)

    def _reply(self, response: http.client.HTTPResponse, url: str) -> Reply:
        if response.status != 200:
            raise _refused(url, response.status, "")
        packed = response.headers.get("Content-Encoding", "identity").strip().casefold()
        if packed not in ("", "identity"):
            name = packed if packed.isascii() and packed.isalnum() else "unknown"
            raise FeedError(f"{shown_url(url)}: the answer is packed ({name}), which was not asked for", "try a mirror")
        pieces, count = [], 0
        while piece := response.read(_CHUNK_BYTES):
            pieces.append(piece)
            count += len(piece)
            if count > self._limits.max_bytes:
                raise FeedError(f"{shown_url(url)}: more than {self._limits.max_bytes} bytes", "ask for less time")
        promised = response.headers.get("Content-Length", "")
        if promised.isascii() and promised.isdigit() and count < int(promised[:18]):
            raise FeedError(f"{shown_url(url)}: the answer was cut off after {count} of {promised} bytes", "try again")
        return Reply(b"".join(pieces), {name.lower(): value for name, value in response.headers.items()})


def _believing(trusted: str | None) -> list[urllib.request.HTTPSHandler]:
    """What believes servers by the certificates of a file. Raises FeedError for a file that holds none."""
    if trusted is None:
        return []
    try:
        return [urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=trusted))]
    except (OSError, ValueError) as problem:  # an ssl.SSLError is an OSError: the file holds no certificate
        why = "no certificates in it" if isinstance(problem, ssl.SSLError) else getattr(problem, "strerror", None)
        raise FeedError(f"{trusted}: {why or problem}", "a file in PEM form: --ca authority.pem") from None


def _request(method: str, url: str, headers: Mapping[str, str]) -> urllib.request.Request:
    """Raises FeedError for what is no URL of http or https, and for headers that would not stand on one line."""
    try:
        parts = urllib.parse.urlsplit(url)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        url.encode("ascii")
    except ValueError:
        is_web = False
    if not is_web or any(not character.isprintable() or character == " " for character in url):
        raise FeedError(f"{shown_url(url)} is no http or https address", "--url https://host")
    if any(not (value.isascii() and value.isprintable()) for value in headers.values()):
        raise FeedError("the token holds characters that no header can carry", "set it again, without line breaks")
    told = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "costmeter"}
    return urllib.request.Request(url, method=method, headers={**told, **headers})


def _told(url: str, refusal: urllib.error.HTTPError) -> FeedError:
    """What a status other than 200 means; urllib raises redirects that it does not follow as such."""
    headers = refusal.headers or Message()
    if 300 <= refusal.code < 400:
        if not _may_be_web(headers.get("Location", "")):
            return FeedError(f"{shown_url(url)} redirects to what is no web address", _ANOTHER_HOST, refusal.code)
        if refusal.msg.startswith(urllib.request.HTTPRedirectHandler.inf_msg):
            return FeedError(f"{shown_url(url)} redirects in a circle", "check --url, or try again later", refusal.code)
    return _refused(url, refusal.code, headers.get("Retry-After", ""))


def _beginning(refusal: urllib.error.HTTPError) -> bytes:
    """What was said with a status, as far as it came."""
    try:
        return refusal.read(_MOST_SAID_BYTES)
    except (OSError, http.client.HTTPException, ValueError):
        return b""


def _refused(url: str, status: int, retry_after: str) -> FeedError:
    where = shown_url(url)
    if status in (401, 403):
        return FeedError(f"{where} refuses us (status {status})", "check the token of this feed", status)
    if status == 404:
        return FeedError(f"{where} does not exist (status 404)", "check product, zone or region", status)
    if status == 429:
        wait = f" in {retry_after} s" if retry_after.isascii() and retry_after.isdigit() else " later"
        return FeedError(f"{where} has had too many requests (status 429)", f"try again{wait}", status)
    if status >= 500:
        return FeedError(f"{where} is in trouble (status {status})", "try again later", status)
    return FeedError(f"{where} answers with status {status}, not 200", "check what was asked for", status)


def _late(url: str, seconds: float) -> FeedLate:
    return FeedLate(f"{shown_url(url)} did not answer within {seconds:.3g} s", "try again later")


def _unreachable(url: str, problem: Exception, seconds: float) -> FeedError:
    """Why no answer came: the system's own words, without ours around them."""
    reason = problem.reason if isinstance(problem, urllib.error.URLError) else problem
    if isinstance(reason, TimeoutError):
        return _late(url, seconds)
    if isinstance(reason, ssl.SSLCertVerificationError):
        hint = "check the address, and the certificates that this machine believes: SSL_CERT_FILE=authority.pem"
        return FeedError(f"{shown_url(url)} {UNBELIEVED}: {reason.verify_message}", hint)
    if isinstance(reason, http.client.HTTPException | ValueError):
        return FeedError(f"{shown_url(url)}: not a whole HTTP answer ({type(reason).__name__})", "try again")
    words = (reason.strerror if isinstance(reason, OSError) else None) or type(reason).__name__
    return FeedError(f"{shown_url(url)} cannot be reached: {words}", "check the network, or name a mirror with --url")


class _SameHostOnly(urllib.request.HTTPRedirectHandler):
    """Redirects stay on the same scheme, host and port: a token goes nowhere else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if not _may_be_web(newurl):
            raise FeedError(f"{shown_url(req.full_url)} redirects to what is no web address", _ANOTHER_HOST, code)
        if not same_host(req.full_url, newurl):
            _refuse_redirect(req.full_url, newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]  # HTTPMessage


def _may_be_web(url: str) -> bool:
    """Whether a redirect leads to an address of the web, or says only a path."""
    try:
        return urllib.parse.urlsplit(url).scheme in ("", "http", "https")
    except ValueError:
        return False


def _refuse_redirect(url: str, target: str) -> NoReturn:
    raise FeedError(f"{shown_url(url)} redirects to {shown_url(target)}, another host", _ANOTHER_HOST)
