"""aWATTar: documented payloads from a real server."""

from decimal import Decimal

import pytest

from costmeter.feeds import awattar
from costmeter.feeds.http import FeedError
from tests.feeds.servers import NOON_S, always, asked, door, serving

MS, HOUR_MS = NOON_S * 1000, 3_600_000


def market(*hours: tuple[int, str], unit: str = "Eur/MWh") -> str:
    data = ", ".join(
        f'{{"start_timestamp": {start}, "end_timestamp": {start + HOUR_MS}, "marketprice": {price}, "unit": "{unit}"}}'
        for start, price in hours
    )
    return f'{{"object": "list", "data": [{data}], "url": "/at/v1/marketdata"}}'


def test_hours_are_read_as_published() -> None:
    """Milliseconds since 1970 and EUR per MWh; the prices of 2024's two extremes in Germany come through exact."""
    with serving(always(market((MS, "-135.45"), (MS + HOUR_MS, "2096.81")))) as server:
        answer = awattar.fetch(door(), asked(server, "de"))
    assert [Decimal("-135.45"), Decimal("2096.81")] == [row.value for row in answer.rows]
    assert ("EUR/MWh", MS * 1_000_000, ()) == (answer.unit, answer.rows[0].start_utc_ns, answer.missing)
    assert f"/v1/marketdata?start={MS}&end={MS + 24 * HOUR_MS}" == server.requests[0].path


def test_a_missing_hour_is_told() -> None:
    """A hole between two hours is named."""
    with serving(always(market((MS, "1"), (MS + 2 * HOUR_MS, "2")))) as server:
        answer = awattar.fetch(door(), asked(server, "de"))
    assert ("no values from 2026-11-22T13:00Z to 2026-11-22T14:00Z",) == answer.missing


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(market((MS, "1"), unit="ct/kWh"), 'data[0].unit: expected Eur/MWh, found "ct/kWh"', id="unit"),
        pytest.param(market((MS + 1, "1")), "data[0].start_timestamp: expected an instant on a whole minute", id="odd"),
        pytest.param(market((10**20, "1")), "data[0].start_timestamp: expected seconds or milliseconds", id="too-late"),
        pytest.param(market((MS, "null")), "data[0].marketprice: expected a number, found null", id="null"),
        pytest.param(market((MS, "1"), (MS + HOUR_MS // 2, "2")), "overlaps the next", id="overlap"),
        pytest.param('{"data": []}', "holds no values", id="empty"),
    ],
)
def test_what_is_not_as_documented_is_refused(body: str, words: str) -> None:
    """Every mismatch is one refusal that names the feed and the JSON path."""
    with serving(always(body)) as server, pytest.raises(FeedError) as caught:
        awattar.fetch(door(), asked(server, "de"))
    assert words in caught.value.message
    assert caught.value.message.startswith("awattar: ")
