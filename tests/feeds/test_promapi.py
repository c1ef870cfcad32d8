"""The HTTP API of Prometheus: what comes in exactly, what hostile answers are told as, and where secrets go."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costmeter.errors import CostmeterError, UsageError
from costmeter.feeds.http import Limits
from costmeter.feeds.promapi import LESS_TIME, Prometheus, any_of, quoted
from tests.feeds.servers import Request, Said, always, serving

SECRET = "s3cret-t0ken"
QUICK = Limits(request_seconds=2.0, total_seconds=4.0, max_bytes=100_000)


def answer(kind: str, *result: object) -> str:
    """A whole answer of Prometheus."""
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": list(result)}})


def one(value: object, at: object = 1_795_348_800.123) -> dict[str, Any]:
    """A series of an instant."""
    return {"metric": {"__name__": "x", "run_id": "r-1"}, "value": [at, value]}


def asking(base: str, limits: Limits = QUICK, **environ: str) -> Prometheus:
    """A server of loopback, asked with this environment."""
    return Prometheus(base, environ, limits=limits)


def refusal(said: Said | None, limits: Limits = QUICK, **environ: str) -> str:
    """What is said of this answer, with what to type; no secret stands in it."""
    with serving(lambda request: said) as server, pytest.raises(CostmeterError) as caught:
        asking(server.base, limits, **environ).values("x")
    told = f"{caught.value.message} | {caught.value.hint}"
    assert SECRET not in told
    assert caught.value.hint
    return told


def test_values_come_exactly_as_they_were_written() -> None:
    """0.1 stays 0.1 and 16 digits stay: no float stands between the server's text and money."""
    result = answer("vector", one("0.1"), one("1234567890.123456"), one("1e-07"))
    with serving(always(result)) as server:
        found = asking(server.base).values("x", 1_795_348_800)
    assert [Decimal("0.1"), Decimal("1234567890.123456"), Decimal("1e-07")] == [each.value for each in found]
    assert (Decimal("1795348800.123"), "r-1") == (found[0].at_seconds, found[0].labels["run_id"])
    assert "time=1795348800" in server.requests[0].path


def test_samples_of_a_stretch_come_in_order() -> None:
    """Each with its instant."""
    stretch = {"metric": {"a": "b"}, "values": [[1, "2"], [3.5, "4"]]}
    with serving(always(answer("matrix", stretch))) as server:
        (found,) = asking(server.base).samples("x[1h]", 4)
    assert [(Decimal(1), Decimal(2)), (Decimal("3.5"), Decimal(4))] == list(found.points)


def test_the_end_of_a_series_is_no_sample() -> None:
    """VictoriaMetrics shows it as NaN among samples; anything else that is no number is a wrong answer."""
    with serving(always(answer("matrix", {"metric": {}, "values": [[1, "2"], [2, "NaN"], [3, "4"]]}))) as server:
        (found,) = asking(server.base).samples("x[1h]", 4)
    assert [2, 4] == [value for _, value in found.points]
    for value in ("+Inf", "nan?", ""):
        wrong = answer("matrix", {"metric": {}, "values": [[1, value]]})
        with serving(always(wrong)) as server, pytest.raises(CostmeterError, match="is not a number"):
            asking(server.base).samples("x[1h]", 4)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        pytest.param({}, (), id="whole"),
        pytest.param({"warnings": ["store gpu-eu unreachable\x1b"]}, ("store gpu-eu unreachable ",), id="thanos"),
        pytest.param({"warnings": ["PromQL info: metric might not be a counter"]}, (), id="a-remark-on-the-query"),
        pytest.param({"isPartial": True}, ("the answer is partial",), id="victoria-metrics"),
        pytest.param({"isPartial": False, "warnings": None}, (), id="said-to-be-whole"),
    ],
)
def test_a_partial_answer_is_remembered(more: dict[str, Any], told: tuple[str, ...]) -> None:
    """Once, however often it is said, whatever is asked afterwards."""
    bodies = [{**json.loads(answer("vector")), **more}, {**json.loads(answer("vector")), **more}]
    bodies += [json.loads(answer("vector"))]
    with serving(lambda request: Said(json.dumps(bodies.pop(0)))) as server:
        asked = asking(server.base)
        for _ in range(3):
            asked.values("x")
    assert told == asked.partial


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        pytest.param(
            400,
            {"status": "error", "error": "parse\x1b error"},
            "refuses the question: parse  error | which server",
            id="400",
        ),
        pytest.param(422, {"status": "error", "error": "too many samples"}, "(status 422): too many samples", id="422"),
        pytest.param(
            422,
            {"status": "error", "error": "found duplicate series for the match group"},
            "could not work that out (status 422): found duplicate series for the match group | which server and",
            id="422-of-no-amount",
        ),
        pytest.param(
            400,
            {"status": "error", "error": "exceeded maximum resolution"},
            f"resolution | {LESS_TIME}",
            id="400-amount",
        ),
        pytest.param(
            503, {"status": "error", "errorType": "timeout", "error": "gone"}, f"gone | {LESS_TIME}", id="503-timeout"
        ),
        pytest.param(
            429, {"status": "error", "error": "over limit"}, "(status 429): over limit | try again later", id="429"
        ),
        pytest.param(
            500, {"status": "error", "error": "store s1 is down"}, "500): store s1 is down | try again later", id="500"
        ),
        pytest.param(
            404, {"status": "error", "error": "no tenant"}, "has no /api/v1/query: no tenant | is it", id="404"
        ),
        pytest.param(400, {"error": 5}, "does not understand us (status 400) | where it speaks TLS", id="not-its-form"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(status: int, said: dict[str, Any], words: str) -> None:
    """Where it comes in the form of the API; never with what would move a terminal."""
    assert words in refusal(Said(json.dumps(said), status))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param("<html>", "is no Prometheus", id="a-page"),
        pytest.param("[]", "is no Prometheus", id="a-list"),
        pytest.param("{}", "is no Prometheus", id="nothing"),
        pytest.param("[" * 50_000, "is no Prometheus", id="deep"),
        pytest.param(
            '{"status": "error", "error": "too many\\u001b[31m"}', "refuses the question: too many [31m", id="error"
        ),
        pytest.param('{"status": "error"}', "refuses the question, and does not say why", id="error-without-a-word"),
        pytest.param('{"status": "success"}', "data of the answer", id="no-data"),
        pytest.param(answer("matrix"), "is not a vector", id="another-kind"),
        pytest.param(answer("vector", 5), "metric of the answer is not labels", id="no-series"),
        pytest.param(answer("vector", {"metric": {"a": 1}, "value": [1, "2"]}), "is not labels", id="label-number"),
        pytest.param(answer("vector", {"metric": {}, "value": [1]}), "an instant and a value", id="half-a-sample"),
        pytest.param(answer("vector", {"metric": {}}), "an instant and a value", id="no-sample"),
        pytest.param(answer("vector", one(5)), "an instant and a value", id="value-no-text"),
        pytest.param(answer("vector", one("NaN")), "is not a number", id="nan"),
        pytest.param(answer("vector", one("+Inf")), "is not a number", id="infinite"),
        pytest.param(answer("vector", one("1e999999")), "is not a number", id="huge"),
        pytest.param(answer("vector", one("1", "soon")), "is not a number", id="instant-no-number"),
        pytest.param(answer("vector", *[one("1")] * 2_000), "more than 100000 bytes", id="too-long"),
    ],
)
def test_what_is_no_answer_is_told(body: str, words: str) -> None:
    """Anything but the promised shape is one sentence with its place, never a traceback."""
    assert words in refusal(Said(body))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        pytest.param(401, "it wants credentials (status 401) | --from prometheus=https://USER:PASSWORD@HOST", id="401"),
        pytest.param(404, "has no /api/v1/query | is it behind a path?", id="404"),
        pytest.param(422, "too much (status 422) | ask for less time: --since 24h", id="422"),
        pytest.param(503, "in trouble (status 503) | try again later", id="503"),
        pytest.param(400, "does not understand us (status 400) | where it speaks TLS", id="400"),
        pytest.param(413, "too much (status 413) | ask for less time: --since 24h", id="413"),
        pytest.param(429, "too many requests (status 429) | try again later", id="429"),
        pytest.param(500, "in trouble (status 500) | try again later", id="500"),
        pytest.param(504, "in trouble (status 504) | try again later", id="504"),
        pytest.param(405, "status 405, not 200 | is that its address?", id="405"),
    ],
)
def test_each_status_has_its_words(status: int, words: str) -> None:
    """A refusal says what to type next."""
    assert words in refusal(Said("no", status))


def test_refused_credentials_are_told_apart_from_missing_ones() -> None:
    """A token was sent, and is not shown."""
    assert "these credentials are refused (status 403)" in refusal(Said("", 403), PROMETHEUS_TOKEN=SECRET)


def test_silence_is_given_up_on() -> None:
    """With the seconds that were waited."""
    assert "did not answer within 0.2 s" in refusal(None, Limits(request_seconds=0.2, total_seconds=1.0))


def test_nobody_there_is_told() -> None:
    """With the system's words, and its address without the path of the API."""
    with serving(always("")) as server:
        base = server.base
    with pytest.raises(CostmeterError, match=f"^{re.escape(base)} cannot be reached: Connection refused$"):
        asking(base).values("x")


def test_a_token_goes_with_every_question(tmp_path: Path) -> None:
    """From the environment, or from the file that it names; a tenant likewise, and a password of the address wins."""
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    with serving(always(answer("vector"))) as server:
        asking(server.base, PROMETHEUS_TOKEN=SECRET, PROMETHEUS_TENANT="lab").values("x")
        asking(server.base, PROMETHEUS_TOKEN_FILE=str(file)).values("x")
        asking(server.base.replace("//", "//me:you@"), PROMETHEUS_TOKEN=SECRET).values("x")
    sent: list[Request] = server.requests
    assert [f"Bearer {SECRET}"] * 2 == [each.headers["authorization"] for each in sent[:2]]
    assert "lab" == sent[0].headers["x-scope-orgid"]
    assert "Basic bWU6eW91" == sent[2].headers["authorization"]  # printf me:you | base64


@pytest.mark.parametrize(
    ("typed", "environ", "words"),
    [
        pytest.param("", {}, "is no http or https address", id="empty"),
        pytest.param("ftp://host", {}, "is no http or https address", id="scheme"),
        pytest.param(f"http://me:{SECRET}@", {}, "is no http or https address", id="no-host"),
        pytest.param(f"http://me:{SECRET}@prom:9090", {}, "a password is not sent to http://prom:9090", id="password"),
        pytest.param(
            "prom:9090", {"PROMETHEUS_TOKEN": SECRET}, "the token of PROMETHEUS_TOKEN is not sent", id="token"
        ),
        pytest.param("prom:9090", {"PROMETHEUS_TOKEN_FILE": "/nowhere"}, "/nowhere: No such file", id="token-file"),
    ],
)
def test_what_cannot_be_asked_is_refused_at_once(typed: str, environ: dict[str, str], words: str) -> None:
    """No address, or a secret that would go over the wire in the clear; the secret is not repeated."""
    with pytest.raises(UsageError) as caught:
        Prometheus(typed, environ)
    assert words in caught.value.message
    assert SECRET not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("path", ["", "/", "/graph", "/query", "/api/v1", "/api/v1/query"])
def test_an_address_may_be_that_of_a_page(path: str) -> None:
    """What people copy from their browser is the server all the same."""
    with serving(always(answer("vector"))) as server:
        asking(f"{server.base}/prom{path}").values("x")
    assert server.requests[0].path.startswith("/prom/api/v1/query?query=x")


def test_names_are_names(tmp_path: Path) -> None:
    """A list of texts, and nothing else."""
    with serving(always('{"status": "success", "data": ["b", "a"]}')) as server:
        assert ["a", "b"] == asking(server.base).names("{}", 0, 1)
    with serving(always('{"status": "success", "data": [1]}')) as server, pytest.raises(CostmeterError, match="names"):
        asking(server.base).names("{}", 0, 1)


def test_a_string_of_promql_is_one_that_go_reads() -> None:
    """Go takes no half of a surrogate pair for a character (its spec, "Rune literals"): each is written as it is."""
    assert '"r-\\"\U0001f680\\\\"' == quoted('r-"\U0001f680\\')
    assert '"a\\\\.b|\u00e9"' == any_of(["a.b", "\u00e9"])
