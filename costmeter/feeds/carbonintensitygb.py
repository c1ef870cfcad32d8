"""The Carbon Intensity API of Great Britain's grid operator: half-hourly, direct emissions. Keyless, CC BY 4.0."""

from collections.abc import Iterator
from functools import partial

from costmeter.feeds.http import Door, part
from costmeter.feeds.payload import Payload
from costmeter.feeds.series import Answer, Asked, Piece, Row, gather, holes, in_order
from costmeter.units import NANOSECONDS_PER_HOUR, iso_minute

NAME = "carbon-intensity-gb"
#: The server gives at most 14 days at once.
_PIECE_NS = 14 * 24 * NANOSECONDS_PER_HOUR


def fetch(door: Door, asked: Asked) -> Answer:
    """gCO2 per kWh: `actual`, else `forecast`, which is marked as estimated. No words: it is the national figure."""
    rows, missing = gather(_pieces(door, asked))
    ordered = in_order(NAME, rows)
    facts = (
        ("source", "Carbon Intensity API (carbonintensity.org.uk), Great Britain"),
        ("licence", "CC BY 4.0; attribute National Energy System Operator"),
        ("zone", "GB"),
        ("scope", "direct"),
        ("method", "location average, national"),
    )
    return Answer(ordered, "gCO2e/kWh", facts, (*missing, *holes(ordered, asked)))


def _pieces(door: Door, asked: Asked) -> Iterator[Piece]:
    start_ns = asked.from_utc_ns
    while start_ns < asked.to_utc_ns:
        end_ns = min(start_ns + _PIECE_NS, asked.to_utc_ns)
        yield partial(_piece, door, f"{asked.base}/intensity/{part(iso_minute(start_ns))}/{part(iso_minute(end_ns))}")
        start_ns = end_ns


def _piece(door: Door, url: str) -> list[Row]:
    """Neighbouring pieces share the half hour at their edge. A half hour that nobody knows is left out."""
    rows = []
    for one in Payload.parse(NAME, door.get(url).body).at("data").items():
        intensity = one.at("intensity")
        actual, forecast = intensity.optional("actual"), intensity.optional("forecast")
        known = forecast if actual.is_null else actual
        if not known.is_null:
            value = known.decimal()
            if value < 0:
                raise known.wrong("an intensity of 0 or more")
            rows.append(Row(one.at("from").instant_ns(), one.at("to").instant_ns(), value, actual.is_null))
    return rows
