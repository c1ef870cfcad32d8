"""energy-charts.info: documented payloads from a real server."""

from decimal import Decimal

import pytest

from costmeter.feeds import energycharts
from costmeter.feeds.http import FeedError
from tests.feeds.servers import NOON_S, always, asked, door, serving

HOUR, QUARTER = 3600, 900


def prices(seconds: list[int], values: list[str], unit: str = "EUR / MWh") -> str:
    return (
        f'{{"license_info": "CC BY 4.0 from Bundesnetzagentur | SMARD.de", "unix_seconds": {seconds},'
        f' "price": [{", ".join(values)}], "unit": "{unit}", "deprecated": false}}'
    )


def minutes(body: str) -> list[int]:
    """How many minutes each row of the answer lasts."""
    with serving(always(body)) as server:
        rows = energycharts.fetch(door(), asked(server, "DE-LU")).rows
    return [(row.end_utc_ns - row.start_utc_ns) // 60_000_000_000 for row in rows if row.end_utc_ns is not None]


def test_prices_are_read_as_published() -> None:
    """The zone and the dates are asked for; the licence the server states is carried along."""
    with serving(always(prices([NOON_S, NOON_S + HOUR], ["2.16", "-0.01"]))) as server:
        answer = energycharts.fetch(door(), asked(server, "DE-LU"))
    assert "/price?bzn=DE-LU&start=2026-11-22&end=2026-11-23" == server.requests[0].path
    assert [Decimal("2.16"), Decimal("-0.01")] == [row.value for row in answer.rows]
    assert "CC BY 4.0; CC BY 4.0 from Bundesnetzagentur | SMARD.de" == dict(answer.facts)["licence"]
    assert ("EUR/MWh", ()) == (answer.unit, answer.missing)


@pytest.mark.parametrize(
    ("steps", "lengths"),
    [
        pytest.param([0], [60], id="one-hour"),
        pytest.param([0, 60, 120], [60, 60, 60], id="hours"),
        pytest.param([0, 15, 30, 45], [15, 15, 15, 15], id="quarters"),
        pytest.param([0, 15, 45, 60], [15, 15, 15, 15], id="a-quarter-is-missing"),
        pytest.param([0, 60, 120, 135, 150], [60, 60, 15, 15, 15], id="quarters-after-hours"),
        pytest.param([0, 60, 240], [60, 60, 60], id="hours-are-missing"),
    ],
)
def test_a_start_lasts_as_long_as_its_neighbours(steps: list[int], lengths: list[int]) -> None:
    """Only starts are published: hours stay hours and quarters quarters where one is missing or they change."""
    assert lengths == minutes(prices([NOON_S + step * 60 for step in steps], ["1"] * len(steps)))


@pytest.mark.parametrize(
    ("begin_s", "hours"),
    [pytest.param(1_774_738_800, 23, id="spring"), pytest.param(1_792_879_200, 25, id="autumn")],
)
def test_days_of_23_and_25_hours_are_whole(begin_s: int, hours: int) -> None:
    """A Berlin day of the clock change has 23 or 25 hours of UTC, each of 60 minutes.

    29 March 2026 begins 2026-03-28T23:00Z = 1,774,738,800; 25 October begins 2026-10-24T22:00Z = 1,792,879,200.
    """
    body = prices([begin_s + hour * HOUR for hour in range(hours)], [str(hour) for hour in range(hours)])
    assert [60] * hours == minutes(body)


def test_a_price_that_is_not_known_is_a_hole() -> None:
    """null is left out and told, and its neighbour does not last longer for it."""
    with serving(always(prices([NOON_S, NOON_S + HOUR, NOON_S + 2 * HOUR], ["1", "null", "3"]))) as server:
        answer = energycharts.fetch(door(), asked(server, "DE-LU"))
    assert [1, 3] == [row.value for row in answer.rows]
    assert ("no values from 2026-11-22T13:00Z to 2026-11-22T14:00Z",) == answer.missing


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(prices([NOON_S], ["1", "2"]), "1 instants and 2 prices", id="lengths"),
        pytest.param(prices([NOON_S, NOON_S], ["1", "2"]), "does not ascend", id="twice"),
        pytest.param(prices([NOON_S], ["1"], unit="EUR / kWh"), "unit: expected EUR / MWh", id="unit"),
        pytest.param(prices([NOON_S], ["true"]), "price[0]: expected a number", id="bool"),
        pytest.param(prices([], []), "holds no values", id="empty"),
    ],
)
def test_what_is_not_as_documented_is_refused(body: str, words: str) -> None:
    """Every mismatch is one refusal that names the feed."""
    with serving(always(body)) as server, pytest.raises(FeedError) as caught:
        energycharts.fetch(door(), asked(server, "DE-LU"))
    assert words in caught.value.message
    assert caught.value.message.startswith("energy-charts: ")
