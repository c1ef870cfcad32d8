"""Octopus Energy (Great Britain): the unit rates of a product's tariff, half-hourly for Agile. Keyless."""

from collections.abc import Iterator

from costmeter.feeds.http import Door, FeedError, part, same_host, with_query
from costmeter.feeds.payload import Payload
from costmeter.feeds.series import Answer, Asked, Piece, Row, gather, holes, in_order
from costmeter.units import iso_minute

NAME = "octopus"
_MOST_PAGES = 100


def fetch(door: Door, asked: Asked) -> Answer:
    """Pence per kWh with VAT (`value_inc_vat`), as published. Words: product and tariff code."""
    product, tariff = asked.words
    path = f"/v1/products/{part(product)}/electricity-tariffs/{part(tariff)}/standard-unit-rates/"
    span = {"period_from": iso_minute(asked.from_utc_ns), "period_to": iso_minute(asked.to_utc_ns)}
    rows, missing = gather(_pages(door, with_query(asked.base + path, {**span, "page_size": "1500"})))
    ordered = in_order(NAME, rows)
    facts = (("source", f"Octopus Energy, {product}, {tariff}, with VAT"), ("licence", "facts of the retailer's API"))
    return Answer(ordered, "GBp/kWh", facts, (*missing, *holes(ordered, asked)))


def _pages(door: Door, first: str) -> Iterator[Piece]:
    """One piece a page: the next address is known only when a page has come."""
    waiting, seen = [first], set[str]()

    def page() -> list[Row]:
        url = waiting.pop()
        _check_page(first, url, seen)
        seen.add(url)
        answer = Payload.parse(NAME, door.get(url).body)
        rows = list(_rows(answer))
        following = answer.optional("next")
        if not following.is_null:
            waiting.append(following.text())
        return rows

    while waiting:
        yield page


def _check_page(first: str, url: str, seen: set[str]) -> None:
    """Raises FeedError for a page that is not asked for."""
    if not same_host(first, url):
        raise FeedError(f"{NAME}: the next page is on another host; it was not asked for", "try again, or less time")
    if url in seen or len(seen) >= _MOST_PAGES:
        raise FeedError(f"{NAME}: the pages have no end", "ask for less time with --from and --to")


def _rows(answer: Payload) -> Iterator[Row]:
    for one in answer.at("results").items():
        paid_by = one.optional("payment_method")
        if not paid_by.is_null and paid_by.text() == "NON_DIRECT_DEBIT":
            continue  # the same half hours again, at the price of those who pay otherwise
        ends = one.optional("valid_to")
        end_ns = None if ends.is_null else ends.instant_ns()
        yield Row(one.at("valid_from").instant_ns(), end_ns, one.at("value_inc_vat").decimal())
