"""Electricity Maps: documented payloads from a real server."""

import json

import pytest

from costmeter.feeds import electricitymaps
from costmeter.feeds.http import FeedError
from tests.feeds.servers import always, asked, door, serving

TOKEN = "em-t0ken"


def point(hour: int, grams: object = 302, **others: object) -> dict[str, object]:
    return {
        "zone": "DE",
        "carbonIntensity": grams,
        "datetime": f"2026-11-22T{hour:02}:00:00.000Z",
        "updatedAt": "2026-11-22T13:00:00.000Z",
        "emissionFactorType": "lifecycle",
        "isEstimated": True,
        "estimationMethod": "TIME_SLICER_AVERAGE",
        "temporalGranularity": "hourly",
        **others,
    }


def history(*points: dict[str, object]) -> str:
    return json.dumps({"zone": "DE", "history": points})


def test_the_history_is_read() -> None:
    """Hours of a zone, lifecycle, each with whether it is an estimate; the key goes in a header."""
    with serving(always(history(point(12, 302.5), point(13, isEstimated=False)))) as server:
        answer = electricitymaps.fetch(door(), asked(server, "DE", "history", token=TOKEN))
    assert ("/v3/carbon-intensity/history?zone=DE", TOKEN) == (
        server.requests[0].path,
        server.requests[0].headers["auth-token"],
    )
    assert [("302.5", True), ("302", False)] == [(str(row.value), row.estimated) for row in answer.rows]
    facts = dict(answer.facts)
    assert ("gCO2e/kWh", "lifecycle", "DE") == (answer.unit, facts["scope"], facts["zone"])


def test_the_latest_value_is_a_history_of_one() -> None:
    """`latest` gives one hour."""
    with serving(always(json.dumps(point(12)))) as server:
        answer = electricitymaps.fetch(door(), asked(server, "DE", "latest", token=TOKEN))
    assert "/v3/carbon-intensity/latest?zone=DE" == server.requests[0].path
    assert 1 == len(answer.rows)


def test_quarter_hours_last_a_quarter_of_an_hour() -> None:
    """The granularity that is stated is the length."""
    body = history(point(12, temporalGranularity="15_minutes"))
    with serving(always(body)) as server:
        (row,) = electricitymaps.fetch(door(), asked(server, "DE", "history", token=TOKEN)).rows
    assert row.end_utc_ns == row.start_utc_ns + 15 * 60 * 1_000_000_000


def test_without_a_key_nothing_is_asked() -> None:
    """The key is read from one variable, which the refusal names."""
    with serving(always("{}")) as server, pytest.raises(FeedError) as caught:
        electricitymaps.fetch(door(), asked(server, "DE", "history"))
    assert "ELECTRICITYMAPS_TOKEN" in caught.value.message + caught.value.hint
    assert not server.requests


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(
            history(point(12), point(13, emissionFactorType="direct")), "direct, lifecycle", id="mixed-scopes"
        ),
        pytest.param(history(point(12, emissionFactorType="marginal")), "marginal", id="marginal"),
        pytest.param(history(point(12, -1)), "history[0].carbonIntensity: expected an intensity", id="negative"),
        pytest.param(history(point(12, temporalGranularity="monthly")), "temporalGranularity", id="granularity"),
        pytest.param(history(point(12, None)), "holds no values", id="null"),
        pytest.param('{"zone": "FR", "history": []}', 'zone: expected "DE", found "FR"', id="another-zone"),
    ],
)
def test_what_is_not_as_documented_is_refused(body: str, words: str) -> None:
    """Every mismatch is one refusal that names the feed, and never the key."""
    with serving(always(body)) as server, pytest.raises(FeedError) as caught:
        electricitymaps.fetch(door(), asked(server, "DE", "history", token=TOKEN))
    assert words in caught.value.message
    assert caught.value.message.startswith("electricity-maps: ")
    assert TOKEN not in caught.value.message + caught.value.hint
