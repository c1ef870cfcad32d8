"""What is answered to whom: a few paths, a password where one is set, and pages that are made once for all who ask."""

import asyncio
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from costmeter.clock import Clock
from costmeter.config.webconfig import OPEN, WebConfig, WebSettings
from costmeter.config.webgrammar import RateLimit
from costmeter.outputs.httpauth import Door
from costmeter.outputs.httporigin import is_of_another_site, is_own_name
from costmeter.outputs.prometheustext import OPENMETRICS, prefers_openmetrics
from costmeter.outputs.worker import Busy, Worker
from costmeter.units import NANOSECONDS_PER_SECOND

Page = Callable[[str], tuple[bytes, str]]

TEXT, HTML, JSON = "text/plain; charset=utf-8", "text/html; charset=utf-8", "application/json"
#: Pages that are asked for and not yet made; more are refused.
MOST_PAGES = 64
#: Shorter pages fit into one packet as they are.
_WORTH_PACKING_BYTES = 1_400
_LEVEL = 1
_READ, _WRITE = ("GET", "HEAD"), ("POST", "PUT")
#: Anybody on the machine may ask for the settings to be loaded anew, which costs reading them: so often.
RELOADS = RateLimit(1.0, 10)


def _yes() -> bool:
    return True


def _nothing(status: int) -> None:
    """Nobody counts."""


@dataclass(frozen=True, slots=True)
class Site:
    """What a server shows. All but `healthy`, `ready` and `state` are called in a thread of its own, one at a time.

    `metrics` is the page for an Accept header, and its type; `landing` is HTML and `node` JSON. `reload` loads the
    settings anew for who is named to it and returns what is wrong with them. `state` is what pages are made of: as long
    as it returns the same object, a page that was made is given out again. Without `node` or `reload` their paths are
    not there. `answered` is told the status of every answer, in the server's thread.
    """

    metrics: Page
    landing: Callable[[], bytes]
    node: Callable[[], bytes] | None = None
    healthy: Callable[[], bool] = _yes
    ready: Callable[[], bool] = _yes
    reload: Callable[[str], str | None] | None = None
    state: Callable[[], object] | None = None
    answered: Callable[[int], None] = _nothing


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. The names of headers are in lower case; of several with one name the first counts.

    `peer` is the address that asks; `is_local` says that it asks where only this machine gets.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    peer: str = ""
    is_local: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, with the headers that not every answer has."""

    status: HTTPStatus
    kind: str = TEXT
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


_NEEDS_PASSWORD = Answer(
    HTTPStatus.UNAUTHORIZED,
    body=b"a user name and a password are needed\n",
    headers=(("WWW-Authenticate", 'Basic realm="costmeter", charset="UTF-8"'),),
)
_OTHER_NAME = Answer(
    HTTPStatus.FORBIDDEN,
    body=b"this machine's metrics are not served under that name; ask for localhost or an address,\n"
    b"or set a password or TLS: --web.config.file FILE\n",
)
_NOT_NOW = Answer(HTTPStatus.SERVICE_UNAVAILABLE, body=b"not now\n")


class Pages:
    """Answers requests. Used by one event loop."""

    def __init__(self, site: Site, web: WebConfig | None, clock: Clock) -> None:
        self._site, self._web, self._clock = site, web, clock
        self._door, self._bucket, self._reloads = Door(), _Bucket(clock), _Bucket(clock)
        self._pages, self._files = Worker("costmeter-pages", MOST_PAGES), Worker("costmeter-web", MOST_PAGES)
        self._state: object = None
        self._made: dict[tuple[str, str, bool], asyncio.Task[Answer]] = {}

    @property
    def settings(self) -> WebSettings:
        """What holds for clients now."""
        return OPEN if self._web is None else self._web.settings

    @property
    def _is_guarded(self) -> bool:
        return self.settings.context is not None or bool(self.settings.users)

    def count(self, answer: Answer) -> None:
        """One more answer is given."""
        self._site.answered(answer.status.value)

    async def refresh(self) -> None:
        """Look whether the web configuration changed, if it is time to; nobody else waits meanwhile."""
        if self._web is not None and self._web.is_due:
            try:
                await self._files.do(self._web.look)
            except Busy:
                return

    async def answer(self, asked: Asked) -> Answer:
        """The answer to a request, whatever it is."""
        settings = self.settings
        if asked.is_local and not self._is_guarded and not is_own_name(asked.headers.get("host", "")):
            return _OTHER_NAME
        if not self._bucket.gives(settings.rate_limit):
            return _later(HTTPStatus.TOO_MANY_REQUESTS, settings.rate_limit)
        try:
            if settings.users and not await self._door.admits(settings.users, asked.headers.get("authorization", "")):
                return _NEEDS_PASSWORD
            return await self._of_path(asked)
        except Busy:
            return _later(HTTPStatus.SERVICE_UNAVAILABLE)
        except Exception as failure:  # a fault of ours is told to who asked, and not on a terminal
            return _failed(failure)

    async def _of_path(self, asked: Asked) -> Answer:
        site, path = self._site, asked.path.partition("?")[0]
        if path == "/-/reload" and site.reload is not None:
            return await self._reload(asked, site.reload)
        node = site.node
        pages: dict[str, Page] = {"/metrics": site.metrics}
        pages["/"] = lambda _: (site.landing(), HTML)
        if node is not None:
            pages["/api/v1/node"] = lambda _: (node(), JSON)
        checks = {"/-/healthy": site.healthy, "/-/ready": site.ready}
        if path not in pages and path not in checks:
            return Answer(HTTPStatus.NOT_FOUND, body=b"not found; try /metrics\n")
        if asked.method not in _READ:
            return _not_allowed(_READ)
        if path in pages and not site.ready():
            return _NOT_NOW
        if path in pages:
            return await self._page(path, pages[path], asked)
        return Answer(HTTPStatus.OK, body=b"ok\n") if checks[path]() else _NOT_NOW

    async def _page(self, path: str, page: Page, asked: Asked) -> Answer:
        """A page, made once for all who ask for it in one form while the state is the same."""
        accept = _format(asked.headers.get("accept", "")) if path == "/metrics" else ""
        is_packed = takes_gzip(asked.headers.get("accept-encoding", ""))
        if self._site.state is None:
            return await self._pages.do(lambda: _made(page, accept, is_packed))
        state = self._site.state()
        if state is not self._state:
            self._state = state
            self._made.clear()
        key = path, accept, is_packed
        if key not in self._made:
            self._made[key] = asyncio.ensure_future(self._pages.do(lambda: _made(page, accept, is_packed)))
        try:
            return await asyncio.shield(self._made[key])
        except Busy:  # it was not made; who asks next finds room, perhaps
            self._made.pop(key, None)
            raise

    async def _reload(self, asked: Asked, reload: Callable[[str], str | None]) -> Answer:
        if asked.method not in _WRITE:
            return _not_allowed(_WRITE)
        if is_of_another_site(asked.headers, is_guarded=self._is_guarded):
            return Answer(HTTPStatus.FORBIDDEN, body=b"no page of another site may ask for this\n")
        if not self._reloads.gives(RELOADS):
            return _later(HTTPStatus.TOO_MANY_REQUESTS, RELOADS)
        wrong = await self._files.do(lambda: reload(f"{asked.method} from {asked.peer}"))
        if wrong:
            text = f"the settings are as they were: {wrong}\n".encode("utf-8", "replace")
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, body=text)
        return Answer(HTTPStatus.OK, body=b"reloaded\n")


class _Bucket:
    """Tokens for requests: one more per interval, so many at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limit: RateLimit | None = None
        self._tokens, self._at_ns = 0.0, 0

    def gives(self, limit: RateLimit | None) -> bool:
        """Whether one more request may be answered now; without a limit always."""
        if limit is None:
            return True
        now_ns = self._clock.boottime_ns()
        if limit != self._limit:
            self._limit, self._tokens, self._at_ns = limit, float(limit.burst), now_ns
        more = (now_ns - self._at_ns) / NANOSECONDS_PER_SECOND / limit.interval_seconds
        self._tokens, self._at_ns = min(float(limit.burst), self._tokens + more), now_ns
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _format(accept: str) -> str:
    """One of the few formats that there are, whatever clients make up: pages are kept by it."""
    return OPENMETRICS if prefers_openmetrics(accept) else ""


def takes_gzip(accept_encoding: str) -> bool:
    """Whether a client says that it takes gzip; q=0 says that it does not."""
    for entry in accept_encoding.lower().split(","):
        coding, _, quality = entry.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _made(page: Page, accept: str, is_packed: bool) -> Answer:
    """A page as an answer. One that cannot be made is an answer too, the same for all who asked."""
    try:
        body, kind = page(accept)
    except Exception as failure:
        return _failed(failure)
    headers = (("Vary", "Accept, Accept-Encoding"),)
    if not is_packed or len(body) < _WORTH_PACKING_BYTES:
        return Answer(HTTPStatus.OK, kind, body, headers)
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return Answer(HTTPStatus.OK, kind, packer.compress(body) + packer.flush(), (*headers, ("Content-Encoding", "gzip")))


def _failed(failure: Exception) -> Answer:
    text = f"{type(failure).__name__}: {failure}\n".encode("utf-8", "replace")
    return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, body=text)


def _later(status: HTTPStatus, limit: RateLimit | None = None) -> Answer:
    seconds = 1 if limit is None else math.ceil(limit.interval_seconds)
    headers = (("Retry-After", str(seconds)),)
    return Answer(status, body=b"too many requests at once; try again later\n", headers=headers)


def _not_allowed(methods: tuple[str, ...]) -> Answer:
    text = f"only {' and '.join(methods)} here\n".encode()
    return Answer(HTTPStatus.METHOD_NOT_ALLOWED, body=text, headers=(("Allow", ", ".join(methods)),))
