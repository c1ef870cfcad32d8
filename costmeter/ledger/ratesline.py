"""How rates are written in a journal: every price in every line, and words that were said before by their fingerprint.

A price may change every minute, so the size of this line matters. GPUs that cost the same are written once. Where each
figure comes from is most of the text and changes least: a line spells it out, and later ones of the file name it. No
price is ever told by difference from another line, so a damaged line costs no other line its prices.
"""

import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

from costmeter.ledger.kinds import Shape, count, each, either, expect, instant, maybe, price, row, table, text, truth
from costmeter.ledger.record import RatesChange
from costmeter.meter.charge import DeviceRates, Origin, Rates

#: The origins of rates, by dotted setting.
Origins = Mapping[str, Origin]

#: What stands for origins that only a damaged line spelled out.
LOST: Origins = dict.fromkeys(
    ("gpu.price", "electricity.price", "electricity.pue", "carbon.intensity", "carbon.embodied", "host.power"),
    Origin("estimated", "where it comes from stood in a damaged line of the journal"),
)


def fingerprint(origins: Origins) -> str:
    """Eight digits that later lines name these origins by: CRC-32 of their JSON."""
    return f"{zlib.crc32(json.dumps(_pairs(origins)).encode()):08x}"


def encode_rates(change: RatesChange, order: Sequence[str], told: Collection[str] = ()) -> dict[str, object]:
    """Rates as JSON-ready values. `told` are the fingerprints that the file spells out already."""
    rates = change.rates
    kinds, places = _kinds([_encode_device(rates.devices[uuid]) for uuid in order])
    body: dict[str, object] = {
        "type": "rates",
        "utc_ns": change.at_utc_ns,
        "currency": rates.currency,
        "devices": kinds,
        "electricity_per_kwh": str(rates.electricity_per_kwh),
        "pue": str(rates.pue),
        "carbon_grams_per_kwh": str(rates.carbon_grams_per_kwh),
        "origins": said if (said := fingerprint(rates.origins)) in told else _pairs(rates.origins),
    }
    if len(kinds) == 1 < len(order):
        body["device_count"] = len(order)
    elif len(kinds) < len(order):
        body["device_kinds"] = places
    if rates.market_grams_per_kwh is not None:
        body["market_grams_per_kwh"] = str(rates.market_grams_per_kwh)
    return body if change.number is None else body | {"n": change.number}


def decode_rates(body: Mapping[str, Any], order: Sequence[str], told: Mapping[str, Origins]) -> RatesChange:
    """The rates that were written. `told` is what earlier lines spelled out.

    Raises KeyError, TypeError, ValueError, IndexError or ArithmeticError on anything else.
    """
    expect(body, _SHAPE)
    items = body["devices"]
    if "device_kinds" in body:
        items = [items[place] for place in body["device_kinds"]]
    if "device_count" in body:
        if len(items) != 1 or body["device_count"] != len(order):
            raise ValueError("device_count")
        items = items * len(order)
    market, origins = body.get("market_grams_per_kwh"), body["origins"]
    rates = Rates(
        body["currency"],
        {uuid: _decode_device(item) for uuid, item in zip(order, items, strict=True)},
        Decimal(body["electricity_per_kwh"]),
        Decimal(body["pue"]),
        Decimal(body["carbon_grams_per_kwh"]),
        told.get(origins, LOST) if isinstance(origins, str) else {n: Origin(*pair) for n, pair in origins.items()},
        None if market is None else Decimal(market),
    )
    return RatesChange(body["utc_ns"], rates, decode_number(body, "n"))


def decode_number(body: Mapping[str, Any], key: str) -> int | None:
    """The number of rates, where there is one. Raises ValueError for anything else."""
    number = body.get(key)
    if number is not None and type(number) is not int:
        raise ValueError(f"{key} is no number")
    return number


def _pairs(origins: Origins) -> dict[str, list[str]]:
    return {name: [origin.word, origin.detail] for name, origin in origins.items()}


def _kinds(devices: list[dict[str, object]]) -> tuple[list[dict[str, object]], list[int]]:
    """Equal devices once, in the order of their first, and for each device which of these it is."""
    kinds: list[dict[str, object]] = []
    for device in devices:
        if device not in kinds:
            kinds.append(device)
    return kinds, [kinds.index(device) for device in devices]


def _encode_device(rates: DeviceRates) -> dict[str, object]:
    return {
        "hourly": {component: str(per_hour) for component, per_hour in rates.hourly},
        "pays_electricity": rates.pays_electricity,
        "embodied_grams_per_hour": str(rates.embodied_grams_per_hour),
    }


_SHAPE: Shape = {
    "utc_ns": instant,
    "currency": text,
    "devices": each(table(lambda _: True)),
    "device_kinds": each(count),
    "device_count": count,
    "electricity_per_kwh": price,
    "pue": price,
    "carbon_grams_per_kwh": price,
    "market_grams_per_kwh": maybe(price),
    "origins": either(text, table(row(text, text))),
    "n": maybe(count),
}
_DEVICE: Shape = {"hourly": table(price), "pays_electricity": truth, "embodied_grams_per_hour": price}


def _decode_device(item: Mapping[str, Any]) -> DeviceRates:
    expect(item, _DEVICE)
    return DeviceRates(
        tuple((component, Decimal(per_hour)) for component, per_hour in item["hourly"].items()),
        item["pays_electricity"],
        Decimal(item["embodied_grams_per_hour"]),
    )
