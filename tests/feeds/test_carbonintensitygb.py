"""The Carbon Intensity API of Great Britain: documented payloads from a real server."""

import json
import re
from datetime import datetime, timedelta

import pytest

from costmeter.feeds import carbonintensitygb
from costmeter.feeds.http import FeedError
from tests.feeds.servers import Request, Said, always, asked, door, serving


def half_hour(start: str, forecast: int | None, actual: int | None) -> dict[str, object]:
    begin = datetime.fromisoformat(start.replace("Z", "+00:00"))
    return {
        "from": start,
        "to": f"{begin + timedelta(minutes=30):%Y-%m-%dT%H:%MZ}",
        "intensity": {"forecast": forecast, "actual": actual, "index": "moderate"},
    }


def data(*half_hours: dict[str, object]) -> str:
    return json.dumps({"data": half_hours})


def test_what_was_measured_goes_before_the_forecast() -> None:
    """`actual` where there is one, else `forecast` and marked; a half hour with neither is a hole."""
    body = data(
        half_hour("2026-11-22T12:00Z", 266, 263),
        half_hour("2026-11-22T12:30Z", 270, None),
        half_hour("2026-11-22T13:00Z", None, None),
        half_hour("2026-11-22T13:30Z", 280, 0),
    )
    with serving(always(body)) as server:
        answer = carbonintensitygb.fetch(door(), asked(server))
    assert [("263", False), ("270", True), ("0", False)] == [(str(row.value), row.estimated) for row in answer.rows]
    assert ("no values from 2026-11-22T13:00Z to 2026-11-22T13:30Z",) == answer.missing
    assert ("direct", "gCO2e/kWh") == (dict(answer.facts)["scope"], answer.unit)


def test_long_spans_are_asked_in_pieces_of_14_days() -> None:
    """The server gives 14 days at once; the half hour at an edge comes twice and is one."""

    def script(request: Request) -> Said:
        found = re.fullmatch(r"/intensity/(.*)/(.*)", request.path)
        assert found is not None
        return Said(data(half_hour(found[1], 200, 200), half_hour(found[2], 200, 200)))

    with serving(script) as server:
        answer = carbonintensitygb.fetch(door(), asked(server, days=30))
    assert [
        "/intensity/2026-11-22T12:00Z/2026-12-06T12:00Z",
        "/intensity/2026-12-06T12:00Z/2026-12-20T12:00Z",
        "/intensity/2026-12-20T12:00Z/2026-12-22T12:00Z",
    ] == [request.path for request in server.requests]
    assert 4 == len(answer.rows)


def test_a_piece_that_fails_leaves_a_hole_and_the_others() -> None:
    """The second of three pieces is in trouble: the first and the third are kept, and what is missing is told."""

    def script(request: Request) -> Said:
        if request.path.startswith("/intensity/2026-12-06"):
            return Said("down", 503)
        return Said(data(half_hour(request.path.split("/")[2], 200, 200)))

    with serving(script) as server:
        answer = carbonintensitygb.fetch(door(), asked(server, days=30))
    assert 2 == len(answer.rows)
    assert "status 503" in answer.missing[0]
    assert "no values from 2026-11-22T12:30Z to 2026-12-20T12:00Z" == answer.missing[1]


def test_when_no_piece_comes_the_first_reason_is_raised() -> None:
    """A server that is down altogether is a refusal."""
    with serving(always("", 500)) as server, pytest.raises(FeedError, match="status 500"):
        carbonintensitygb.fetch(door(), asked(server, days=30))


def test_a_server_that_is_silent_is_not_asked_again() -> None:
    """Two more pieces are not waited for when the first was not answered."""
    with serving(lambda request: None) as server, pytest.raises(FeedError, match="did not answer"):
        carbonintensitygb.fetch(door(seconds=0.2), asked(server, days=30))
    assert 1 == len(server.requests)


def test_a_negative_intensity_is_refused() -> None:
    """No grid takes CO2 out of the air."""
    body = data(half_hour("2026-11-22T12:00Z", 1, -5))
    with serving(always(body)) as server, pytest.raises(FeedError, match=r"actual: expected an intensity of 0 or more"):
        carbonintensitygb.fetch(door(), asked(server))
