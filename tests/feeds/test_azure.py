"""Azure retail prices: documented payloads from a real server."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from costmeter.feeds import azure
from costmeter.feeds.http import FeedError
from tests.feeds.servers import NOON_NS, Request, Said, always, asked, door, serving

SKU, REGION = "Standard_ND96isr_H100_v5", "eastus"


def item(price: object, **others: object) -> dict[str, Any]:
    return {
        "currencyCode": "USD",
        "retailPrice": price,
        "unitPrice": price,
        "unitOfMeasure": "1 Hour",
        "armRegionName": REGION,
        "armSkuName": SKU,
        "meterName": "ND96isr H100 v5",
        "productName": "Virtual Machines NDsr H100 v5 Series",
        "type": "Consumption",
        **others,
    }


ITEMS = [
    item(98.32),
    item(18.169536, meterName="ND96isr H100 v5 Spot"),
    item(20, meterName="ND96isr H100 v5 Low Priority"),
    item(140, productName="Virtual Machines NDsr H100 v5 Series Windows"),
    item(551221, type="Reservation", reservationTerm="1 Year"),
    item(1026000, type="Reservation", reservationTerm="3 Years"),
    item(90, type="DevTestConsumption"),
    item(1, armSkuName="Standard_ND96is_H100_v5"),
]


def answer_of(kind: str, items: list[dict[str, Any]], gpus: int | None = 8) -> Any:
    with serving(always(json.dumps({"Items": items, "NextPageLink": None}))) as server:
        wanted = replace(asked(server, SKU, REGION, kind), gpus=None if gpus is None else Decimal(gpus))
        return azure.fetch(door(), wanted)


@pytest.mark.parametrize(
    ("kind", "per_gpu_hour"),
    [
        pytest.param("on_demand", "12.29", id="on-demand"),
        pytest.param("spot", "2.271192", id="spot"),
        pytest.param("reserved_1yr", "7.865596461", id="1-year"),
        pytest.param("reserved_3yr", "4.880136986", id="3-years"),
    ],
)
def test_each_kind_is_shared_by_the_gpus(kind: str, per_gpu_hour: str) -> None:
    """98.32 / 8 = 12.29 and 18.169536 / 8 = 2.271192; a reservation is the price of its whole term.

    551,221 / 8,760 h = 62.924771689 an hour, / 8 = 7.865596461; 1,026,000 / 26,280 h = 39.041095890, / 8 = 4.880136986.
    """
    answer = answer_of(kind, ITEMS)
    (row,) = answer.rows
    assert (Decimal(per_gpu_hour), None) == (row.value, row.end_utc_ns)
    assert NOON_NS + 30 * 86_400 * 10**9 == row.start_utc_ns
    assert "USD/h" == answer.unit


def test_the_division_of_a_term_is_told() -> None:
    """What was published stands beside what it was made into, for all kinds."""
    answer = answer_of("reserved_1yr", ITEMS)
    assert "551221 for 1 Year, divided by 8,760 h; shared by 8 GPUs" == dict(answer.facts)["published"]
    assert ["on_demand", "spot", "reserved_1yr", "reserved_3yr"] == [line.split(":")[0] for line in answer.remarks]


def test_pages_are_followed() -> None:
    """NextPageLink is read on the same host; a spot price on the second page is found."""

    def script(request: Request) -> Said:
        if "skip" in request.path:
            return Said(json.dumps({"Items": ITEMS[1:2], "NextPageLink": None}))
        return Said(json.dumps({"Items": ITEMS[:1], "NextPageLink": f"{server.base}/api/retail/prices?$skip=100"}))

    with serving(script) as server:
        answer = azure.fetch(door(), replace(asked(server, SKU, REGION, "spot"), gpus=Decimal(8)))
    assert Decimal("2.271192") == answer.rows[0].value
    assert "armRegionName%20eq%20%27eastus%27" in server.requests[0].path


@pytest.mark.parametrize(
    ("kind", "items", "gpus", "words"),
    [
        pytest.param(
            "spot", ITEMS[:1], 8, "no price spot for Standard_ND96isr_H100_v5 in eastus; there is on_demand", id="kind"
        ),
        pytest.param("spot", [], 8, "there is nothing", id="no-items"),
        pytest.param("on_demand", ITEMS, None, "how many GPUs", id="gpus"),
        pytest.param("on_demand", [item(0)], 8, "unitPrice: expected a price above 0", id="free"),
        pytest.param("on_demand", [item(1, currencyCode="EUR")], 8, "currencyCode: expected USD", id="currency"),
        pytest.param("on_demand", [item(1, unitOfMeasure="1 Month")], 8, "expected 1 Hour", id="unit"),
        pytest.param("on_demand", [item("98")], 8, "Items[0].unitPrice: expected a number", id="text"),
    ],
)
def test_what_is_not_there_or_not_as_documented_is_refused(
    kind: str, items: list[dict[str, Any]], gpus: int | None, words: str
) -> None:
    """Every refusal names the feed and what is wrong."""
    with pytest.raises(FeedError) as caught:
        answer_of(kind, items, gpus)
    assert words in caught.value.message
    assert caught.value.message.startswith("azure: ")


@pytest.mark.parametrize("link", ["http://127.0.0.2:1/x", "{base}{path}"])
def test_pages_of_another_host_or_without_end_are_refused(link: str) -> None:
    """A price list that is not whole is not believed: a cheaper row may be missing."""

    def script(request: Request) -> Said:
        following = link.format(base=server.base, path=request.path)
        return Said(json.dumps({"Items": ITEMS, "NextPageLink": following}))

    with serving(script) as server, pytest.raises(FeedError, match=r"another host|no end"):
        azure.fetch(door(), replace(asked(server, SKU, REGION, "spot"), gpus=Decimal(8)))
