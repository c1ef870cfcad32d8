"""Azure retail prices: what an instance costs in a region now, on demand, as spot or reserved. Keyless."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext

from costmeter.feeds.http import Door, FeedError, same_host, with_query
from costmeter.feeds.payload import Payload
from costmeter.feeds.series import Answer, Asked, Row
from costmeter.units import NANOSECONDS_PER_MINUTE

NAME = "azure"
#: A reservation's price is that of its whole term, under the unit "1 Hour": hours of 365 days a year.
TERM_HOURS = {"1 Year": 8_760, "3 Years": 26_280}
KINDS = ("on_demand", "spot", "reserved_1yr", "reserved_3yr")
_MOST_PAGES = 20
_PLACES = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class _Price:
    """What one kind costs an hour for the whole instance, in USD, and what was published for it."""

    kind: str
    per_hour: Decimal
    published: str


def fetch(door: Door, asked: Asked) -> Answer:
    """USD per GPU-hour from now on. Words: instance (armSkuName), region (armRegionName), kind of `KINDS`."""
    instance, region, kind = asked.words
    if asked.gpus is None:
        raise FeedError(f"{NAME}: how many GPUs has {instance}? The catalogue does not know", "--gpus 8")
    found = _cheapest(_prices(door, asked, instance, region))
    if kind not in found:
        known = ", ".join(found) or "nothing"
        raise FeedError(f"{NAME}: no price {kind} for {instance} in {region}; there is {known}", "check the region")
    with localcontext() as context:
        context.prec = 40
        per_gpu = (found[kind].per_hour / asked.gpus).quantize(_PLACES).normalize()
    start_ns = asked.now_utc_ns // NANOSECONDS_PER_MINUTE * NANOSECONDS_PER_MINUTE
    facts = (
        ("source", f"Azure Retail Prices API, {instance} in {region}, {kind}"),
        ("licence", "facts of Microsoft's public price list"),
        ("published", f"{found[kind].published}; shared by {asked.gpus:f} GPUs"),
    )
    remarks = tuple(f"{one.kind}: {one.per_hour:f} USD per instance-hour ({one.published})" for one in found.values())
    return Answer((Row(start_ns, None, per_gpu),), "USD/h", facts, (), remarks)


def _cheapest(prices: Iterator[_Price]) -> dict[str, _Price]:
    """One price of each kind, in the order of KINDS."""
    found: dict[str, _Price] = {}
    for one in prices:
        if one.kind not in found or one.per_hour < found[one.kind].per_hour:
            found[one.kind] = one
    return {kind: found[kind] for kind in KINDS if kind in found}


def _prices(door: Door, asked: Asked, instance: str, region: str) -> Iterator[_Price]:
    if "'" in instance + region:
        raise FeedError(f"{NAME}: no instance or region has a quote in its name", "Standard_ND96isr_H100_v5 eastus")
    wanted = f"serviceName eq 'Virtual Machines' and armRegionName eq '{region}' and armSkuName eq '{instance}'"
    first = url = with_query(f"{asked.base}/api/retail/prices", {"$filter": wanted})
    for _ in range(_MOST_PAGES):
        answer = Payload.parse(NAME, door.get(url).body)
        for item in answer.at("Items").items():
            yield from _price(item, instance, region)
        following = answer.optional("NextPageLink")
        if following.is_null or not following.text():
            return
        url = following.text()
        if not same_host(first, url):
            raise FeedError(f"{NAME}: the next page is on another host; it was not asked for", "try again")
    raise FeedError(f"{NAME}: the pages have no end", "check the names of instance and region")


def _price(item: Payload, instance: str, region: str) -> Iterator[_Price]:
    """The price of an item, unless it is Windows, Low Priority, a developer's, or another instance's."""
    meter, product = item.at("meterName").text(), item.at("productName").text()
    asked_for = (item.at("armSkuName").text(), item.at("armRegionName").text()) == (instance, region)
    if not asked_for or "Windows" in product or "Low Priority" in meter:
        return
    kind, price = item.at("type").text(), item.at("unitPrice")
    currency, unit = item.optional("currencyCode"), item.optional("unitOfMeasure")
    if not currency.is_null and currency.text() != "USD":
        raise currency.wrong("USD")
    if not unit.is_null and unit.text() != "1 Hour":
        raise unit.wrong("1 Hour")
    amount = price.decimal()
    if amount <= 0:
        raise price.wrong("a price above 0")
    if kind == "Consumption":
        yield _Price("spot" if "Spot" in meter else "on_demand", amount, f"{amount:f} an hour")
    elif kind == "Reservation":
        term = item.at("reservationTerm")
        if term.text() not in TERM_HOURS:
            return  # five years, for machines without GPUs
        hours = TERM_HOURS[term.text()]
        per_hour = (amount / hours).quantize(_PLACES).normalize()
        name = "reserved_1yr" if hours == TERM_HOURS["1 Year"] else "reserved_3yr"
        yield _Price(name, per_hour, f"{amount:f} for {term.text()}, divided by {hours:,} h")
