"""aWATTar: hourly day-ahead prices of Germany and Austria. Keyless."""

from collections.abc import Iterator

from costmeter.feeds.http import Door, with_query
from costmeter.feeds.payload import Payload
from costmeter.feeds.series import Answer, Asked, Row, holes, in_order

NAME = "awattar"
_NANOSECONDS_PER_MILLISECOND = 1_000_000


def fetch(door: Door, asked: Asked) -> Answer:
    """EUR per MWh without taxes, as published. The word, `de` or `at`, chose the server."""
    span = {
        "start": str(asked.from_utc_ns // _NANOSECONDS_PER_MILLISECOND),
        "end": str(asked.to_utc_ns // _NANOSECONDS_PER_MILLISECOND),
    }
    answer = Payload.parse(NAME, door.get(with_query(f"{asked.base}/v1/marketdata", span)).body)
    ordered = in_order(NAME, _rows(answer))
    facts = (
        ("source", f"aWATTar {asked.words[0].upper()}, day-ahead market"),
        ("licence", "fair use; see www.awattar.de/services/api"),
    )
    return Answer(ordered, "EUR/MWh", facts, holes(ordered, asked))


def _rows(answer: Payload) -> Iterator[Row]:
    for one in answer.at("data").items():
        unit = one.at("unit")
        if unit.text().casefold() != "eur/mwh":
            raise unit.wrong("Eur/MWh")
        start_ns, end_ns = one.at("start_timestamp").epoch_ns(1000), one.at("end_timestamp").epoch_ns(1000)
        yield Row(start_ns, end_ns, one.at("marketprice").decimal())
