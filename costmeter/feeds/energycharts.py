"""energy-charts.info of Fraunhofer ISE: day-ahead prices of a bidding zone. Keyless, CC BY 4.0."""

from collections.abc import Iterator

from costmeter.feeds.http import Door, FeedError, with_query
from costmeter.feeds.payload import Payload
from costmeter.feeds.series import Answer, Asked, Row, holes, in_order, lasting
from costmeter.units import iso_minute

NAME = "energy-charts"


def fetch(door: Door, asked: Asked) -> Answer:
    """EUR per MWh without taxes, as published; hours until September 2025, quarter hours since. Word: the zone."""
    zone = asked.words[0]
    # Dates are of the zone's own days, both included: a day of UTC lies within the two local ones it touches.
    span = {"start": iso_minute(asked.from_utc_ns)[:10], "end": iso_minute(asked.to_utc_ns)[:10]}
    answer = Payload.parse(NAME, door.get(with_query(f"{asked.base}/price", {"bzn": zone, **span})).body)
    unit = answer.at("unit")
    if unit.text().replace(" ", "").casefold() != "eur/mwh":
        raise unit.wrong("EUR / MWh")
    ordered = in_order(NAME, _rows(answer))
    licence = answer.optional("license_info")
    facts = (
        ("source", f"energy-charts.info (Fraunhofer ISE), day-ahead market of {zone}"),
        ("licence", "CC BY 4.0" if licence.is_null else f"CC BY 4.0; {licence.text()}"),
        ("zone", zone),
    )
    return Answer(ordered, "EUR/MWh", facts, holes(ordered, asked))


def _rows(answer: Payload) -> Iterator[Row]:
    """A price that is null, not known yet, is left out; its instant still says how long its neighbours last."""
    starts = [one.epoch_ns(1) for one in answer.at("unix_seconds").items()]
    prices = list(answer.at("price").items())
    if len(starts) != len(prices):
        raise FeedError(f"{NAME}: {len(starts)} instants and {len(prices)} prices in one answer", "try again")
    if starts != sorted(set(starts)):
        raise FeedError(f"{NAME}: unix_seconds does not ascend", "try again")
    for start_ns, end_ns, price in zip(starts, lasting(starts), prices, strict=True):
        if not price.is_null:
            yield Row(start_ns, end_ns, price.decimal())
