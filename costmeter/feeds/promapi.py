"""Asking a Prometheus, or who speaks its HTTP API: values at an instant, samples of a stretch, names of series.

The API is https://prometheus.io/docs/prometheus/latest/querying/api/; VictoriaMetrics, Thanos and Mimir speak it. What
is sent beside the question: user and password of the address, or a token of the environment. None of them is ever in a
message.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from costmeter.errors import CostmeterError, UsageError
from costmeter.feeds.http import UNBELIEVED, Door, FeedError, FeedLate, Limits, shown_url, with_query
from costmeter.feeds.http import address as http_address

TOKEN_VARIABLE, TOKEN_FILE_VARIABLE, TENANT_VARIABLE = "PROMETHEUS_TOKEN", "PROMETHEUS_TOKEN_FILE", "PROMETHEUS_TENANT"
EXAMPLE = "--from prometheus=http://prometheus:9090"
_LIMITS = Limits(request_seconds=60.0, total_seconds=300.0, max_bytes=64_000_000)
_PAGES = ("/graph", "/query", "/vmui", "/api/v1/query", "/api/v1")
#: No counter of a run, no instant and no rate is beyond 10^24 or finer than 10^-24.
_MOST_DIGITS = 24
_MOST_TOKEN_BYTES = 16_384
#: VictoriaMetrics hides what is newer than 30 s unless it is told otherwise; others do not know the word.
_AT_ONCE = {"latency_offset": "1ms"}


LESS_TIME = "ask for less time: --since 24h"
_BUILD = "/api/v1/status/buildinfo"
#: How servers say that a question took too long or came to too much: "query timed out", "would load too many samples",
#: "exceeded the maximum", "cannot select more than -search.maxSamplesPerQuery", "context deadline exceeded".
_TOO_MUCH = re.compile(r"time(d )?-?out|too (many|much|long|large|big)|exceed|more than|limit|deadline", re.IGNORECASE)

#: What Prometheus remarks on a question itself, where Thanos would say which store is missing.
_REMARK = "PromQL "


class TooMuch(CostmeterError):
    """A question that took too long or came to too much: less of it may be answered."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one series was at an instant: `value` as it was written, `at_seconds` since 1970."""

    labels: Mapping[str, str]
    at_seconds: Decimal
    value: Decimal


@dataclass(frozen=True, slots=True)
class Stretch:
    """Every sample of one series in a stretch of time, oldest first: (seconds since 1970, value)."""

    labels: Mapping[str, str]
    points: Sequence[tuple[Decimal, Decimal]]


class Prometheus:
    """One server, by the address that was typed after `prometheus=`.

    `partial` says, after any question, what was missing from answers so far: nothing where all stores answered. Figures
    are "at least" then. Thanos and Mimir say it in `warnings`, VictoriaMetrics in `isPartial`.
    """

    def __init__(
        self,
        typed: str,
        environ: Mapping[str, str],
        trusted: str | None = None,
        limits: Limits = _LIMITS,
        less: str = LESS_TIME,
    ) -> None:
        """`less` is what a person can type where a question was too much.

        Raises UsageError for what is no address, and where a password or token would be sent in the clear.
        """
        found = http_address(typed)
        if found is None:
            shown = typed.rpartition("@")[2]  # no password is repeated
            raise UsageError(f'--from: "{shown}" is no http or https address', EXAMPLE)
        base = found.base
        for page in _PAGES:
            base = base.removesuffix(page)
        self._base, self._trusted, self._limits = base, trusted, limits
        self._less = less
        self._is_proxied = not found.is_here
        self._headers = {**_token(environ), **found.headers}
        if self._headers and not found.is_here and base.startswith("http://"):
            what = "a password" if found.headers else f"the token of {TOKEN_VARIABLE}"
            raise UsageError(f"{what} is not sent to {shown_url(base)} in the clear", "--from prometheus=https://…")
        if tenant := environ.get(TENANT_VARIABLE):
            self._headers["X-Scope-OrgID"] = tenant
        self._door: Door | None = None
        self.partial: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """Its address for people: without password."""
        return shown_url(self._base)

    def names(self, selector: str, start_seconds: int, end_seconds: int) -> list[str]:
        """The names of series that a selector finds in a stretch of time. Raises CostmeterError as all questions do."""
        query = {"match[]": selector, "start": str(start_seconds), "end": str(end_seconds)}
        data = self._ask("/api/v1/label/__name__/values", query)
        if not isinstance(data, list) or not all(isinstance(name, str) for name in data):
            raise self._wrong("data", "a list of names")
        return sorted(data)

    def values(self, query: str, at_seconds: int | Decimal | None = None) -> list[Sample]:
        """What a query comes to at an instant, by default now. Raises CostmeterError."""
        return [
            Sample(labels, *self._point(place, found.get("value")))
            for place, labels, found in self._result(query, at_seconds, "vector")
        ]

    def samples(self, selector: str, at_seconds: int) -> list[Stretch]:
        """Every sample that a range selector (`name[1h]`) finds before an instant. Raises CostmeterError.

        VictoriaMetrics shows the ends of series among them, as NaN (its "staleness markers"): these are left out, as
        Prometheus leaves them out.
        """
        found = []
        for place, labels, each in self._result(selector, at_seconds, "matrix"):
            points = each.get("values")
            if not isinstance(points, list):
                raise self._wrong(f"{place}.values", "a list of samples")
            found.append(Stretch(labels, [self._point(place, point) for point in points if not _is_nan(point)]))
        return found

    def _result(
        self, query: str, at_seconds: int | Decimal | None, kind: str
    ) -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
        asked = {"query": query, **_AT_ONCE, **({} if at_seconds is None else {"time": str(at_seconds)})}
        data = self._ask("/api/v1/query", asked)
        if not isinstance(data, dict) or data.get("resultType") != kind or not isinstance(data.get("result"), list):
            raise self._wrong("data", f"a {kind}")
        for place, each in enumerate(data["result"]):
            labels = each.get("metric") if isinstance(each, dict) else None
            if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
                raise self._wrong(f"data.result[{place}].metric", "labels")
            yield f"data.result[{place}]", labels, each

    def _point(self, place: str, point: object) -> tuple[Decimal, Decimal]:
        if not isinstance(point, list) or len(point) != 2 or not isinstance(point[1], str):
            raise self._wrong(f"{place}.value", "an instant and a value")
        return self._number(place, point[0]), self._number(place, point[1])

    def _number(self, place: str, told: object) -> Decimal:
        try:
            value = Decimal(told) if isinstance(told, Decimal | int | str) else Decimal("NaN")
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite() or (value and abs(value.adjusted()) > _MOST_DIGITS):
            raise self._wrong(f"{place}.value", "a number")
        return value

    def _ask(self, path: str, query: Mapping[str, str]) -> object:
        """The `data` of a whole answer."""
        if self._door is None:
            self._door = Door(self._limits, self._is_proxied, trusted=self._trusted)
        try:
            body = self._door.get(with_query(self._base + path, query), self._headers).body
        except FeedError as refusal:
            raise self._told(refusal, path) from None
        try:
            answer = json.loads(body, parse_float=Decimal)
        except (ValueError, RecursionError, InvalidOperation):
            answer = None
        if not isinstance(answer, dict) or "status" not in answer:
            raise CostmeterError(f"{self.where} answers, but is no Prometheus", f"its own address: {EXAMPLE}")
        if answer["status"] != "success":
            raise self._refused(_words(answer))
        self._note(answer)
        return answer.get("data")

    def _note(self, answer: Mapping[str, Any]) -> None:
        """Remember what an answer says is missing from it."""
        warnings = answer.get("warnings")
        said = [_printable(each) for each in warnings if isinstance(each, str)] if isinstance(warnings, list) else []
        said = [each for each in said if not each.startswith(_REMARK)]
        if answer.get("isPartial") is True:
            said.append("the answer is partial")
        self.partial = tuple(dict.fromkeys((*self.partial, *said)))

    def _refused(self, said: "_Words") -> CostmeterError:
        message = f"{self.where} refuses the question{said.after() or ', and does not say why'}"
        return TooMuch(message, self._less) if said.is_too_much else CostmeterError(message, self._unasked)

    @property
    def _unasked(self) -> str:
        """What to type where a question is not understood: less of it would not be either."""
        return f"which server and version is it? curl {self.where}{_BUILD}"

    def _wrong(self, place: str, expected: str) -> CostmeterError:
        return CostmeterError(f"{self.where}: {place} of the answer is not {expected}", "is it a Prometheus? open it")

    def _told(self, refusal: FeedError, path: str) -> CostmeterError:
        """A refusal in the server's words, where it has any; its hint is of what it was refused for."""
        status, where, said = refusal.status, self.where, _words_of(refusal.body)
        if isinstance(refusal, FeedLate):
            return TooMuch(f"{where} did not answer within {self._limits.request_seconds:.3g} s", self._less)
        if status in (401, 403):
            how = f"--from prometheus=https://USER:PASSWORD@HOST, or a token: {TOKEN_VARIABLE} or {TOKEN_FILE_VARIABLE}"
            why = "these credentials are refused" if "Authorization" in self._headers else "it wants credentials"
            return CostmeterError(f"{where}: {why} (status {status}){said.after()}", how)
        if status == 404:
            hint = f"is it behind a path? {EXAMPLE}/path"
            return CostmeterError(f"{where} answers, but has no {path}{said.after()}", hint)
        if status in (413, 422) or (status is not None and status >= 500 and said.is_too_much):
            return self._too_much(status, said)
        if status == 400 and said.error:
            return self._refused(said)
        if status == 400 and where.startswith("http://"):
            hint = f"where it speaks TLS: --from prometheus=https://{where.partition('://')[2]} --ca authority.pem"
            return CostmeterError(f"{where} does not understand us (status 400)", hint)
        if refusal.has_no_tls:
            rest = where.partition("://")[2]
            return CostmeterError(f"{where} serves plain http, without TLS", f"--from prometheus=http://{rest}")
        message = refusal.message.replace(path, "") + said.after()
        if UNBELIEVED in message:
            return CostmeterError(message, "its authority's certificate: --ca authority.pem")
        if status is None and "more than" in message:
            return TooMuch(message, self._less)
        if status is not None and (status == 429 or status >= 500):
            # Of a gateway that gave up (503, 504) less may come through: a smaller question may be tried instead.
            return (TooMuch if status in (503, 504) else CostmeterError)(message, refusal.hint)
        return CostmeterError(message, f"is that its address? {EXAMPLE}")

    def _too_much(self, status: int, said: "_Words") -> CostmeterError:
        """Also of 422 without a word; other words than of too much are of what no smaller question mends."""
        if said.error and not said.is_too_much and status == 422:
            return CostmeterError(f"{self.where} could not work that out (status 422){said.after()}", self._unasked)
        message = f"{self.where} could not work that out, or it was too much (status {status}){said.after()}"
        return TooMuch(message, self._less)


@dataclass(frozen=True, slots=True)
class _Words:
    """What a server said of a refusal, for a terminal: its kind and its text; empty where it said none."""

    kind: str = ""
    error: str = ""

    @property
    def is_too_much(self) -> bool:
        """Whether less of it would be answered, as far as words tell."""
        return self.kind == "timeout" or bool(_TOO_MUCH.search(self.error))

    def after(self) -> str:
        """For the end of a message."""
        return f": {self.error}" if self.error else ""


def quoted(text: str) -> str:
    """A string of PromQL, whose escapes are Go's: two halves of a character, as JSON has them, are none."""
    return json.dumps(text, ensure_ascii=False)


def any_of(texts: Iterable[str]) -> str:
    """What a label is to match (`=~`) to be one of these."""
    return quoted("|".join(map(re.escape, texts)))


def _is_nan(point: object) -> bool:
    return isinstance(point, list) and len(point) == 2 and point[1] == "NaN"


def _printable(text: str) -> str:
    """The beginning of what a server said, for a terminal."""
    return "".join(each if each.isprintable() else " " for each in text[:200])


def _words_of(body: bytes) -> _Words:
    """What stands in the API's own form of a refusal; nothing where it is not in that form."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return _Words()
    return _words(answer) if isinstance(answer, dict) and answer.get("status") == "error" else _Words()


def _words(answer: Mapping[str, Any]) -> _Words:
    kind, error = answer.get("errorType"), answer.get("error")
    return _Words(kind if isinstance(kind, str) else "", _printable(error).strip() if isinstance(error, str) else "")


def _token(environ: Mapping[str, str]) -> dict[str, str]:
    """The header of a token that the environment holds, or names a file of. Raises UsageError for a file that fails."""
    token, path = environ.get(TOKEN_VARIABLE, ""), environ.get(TOKEN_FILE_VARIABLE, "")
    if not token and path:
        try:
            with open(path, "rb") as file:
                token = file.read(_MOST_TOKEN_BYTES).decode("ascii").strip()
        except (OSError, ValueError) as problem:
            why = getattr(problem, "strerror", None) or "no token in it"
            raise UsageError(f"{TOKEN_FILE_VARIABLE}={path}: {why}", f"{TOKEN_VARIABLE}=… instead") from None
    return {"Authorization": f"Bearer {token}"} if token else {}
