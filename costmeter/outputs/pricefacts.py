"""What is known of the price that a part of a run was charged at: the price itself, whose it is, and what kind."""

import re
from dataclasses import dataclass
from decimal import Decimal

from costmeter.ledger.query import Part
from costmeter.ledger.spread import Span
from costmeter.meter.charge import Origin
from costmeter.outputs.figures import plain

#: The key of a catalogue's row and the kind of its price, as an origin tells them: `aws/p5.48xlarge/us-east-1 spot (`.
_KEY = re.compile(r"(?:^|; )(?:\d+/\d+ of )?([\w.-]+/[^;]+)/([^/;]*) (on_demand|spot|reserved_\w+) \(")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_LIST_PRICE = "list price "
_CATEGORIES = {"on_demand": "Standard", "spot": "Dynamic"}


@dataclass(frozen=True, slots=True)
class PriceFacts:
    """Prices are per hour and per kWh; None where they changed. What nobody knows is empty."""

    per_hour: Decimal | None
    per_kwh: Decimal | None
    pue: str
    category: str
    provider: str = ""
    region: str = ""
    key: str = ""
    snapshot: str = ""
    uuids: tuple[str, ...] = ()


def price_facts(part: Part, model: str, is_owned: bool) -> PriceFacts:
    """Of the GPUs of one model that are owned, or of those that are rented."""
    spread, rates = part.spread, part.rates
    of_model = tuple(uuid for uuid, gpu in part.devices.items() if gpu.name == model)
    devices = {} if rates is None else rates.devices
    # Where a GPU was bought or sold meanwhile, the last price knows nothing of the time before.
    uuids = tuple(uuid for uuid in of_model if uuid in devices and devices[uuid].is_owned == is_owned) or of_model
    spans = {spread.gpus[uuid] for uuid in uuids if uuid in spread.gpus}
    per_hour = _only(next(iter(spans))) if len(spans) == 1 else None
    origins = {origin for uuid in uuids if (origin := _origin(part, uuid)) is not None}
    origin = next(iter(origins)) if len(origins) == 1 else Origin("", "")
    per_kwh = None if spread.electricity is None else _only(spread.electricity)
    provider, region, key, kind = _seller(origin)
    moved = any(span.low != span.high for span in spans) or ("series " in origin.detail and "spot" in origin.detail)
    category = _CATEGORIES.get(kind, "Committed" if kind else "Dynamic" if moved else "Standard")
    pue = "" if rates is None else plain(rates.pue)
    return PriceFacts(per_hour, per_kwh, pue, category, provider, region, key, _snapshot(origin), uuids)


def _only(span: Span) -> Decimal | None:
    return span.low if span.low == span.high else None


def _origin(part: Part, uuid: str) -> Origin | None:
    if part.rates is None or uuid not in part.rates.devices:
        return None
    return part.rates.origins.get(f"gpu.price.{uuid}", part.rates.origins.get("gpu.price"))


def _seller(origin: Origin) -> tuple[str, str, str, str]:
    """Provider, region, key and kind of a price of the catalogue; the list price of a model names no seller."""
    found = _KEY.search(origin.detail)
    if found is None or not origin.word.startswith(_LIST_PRICE):
        return "", "", "", ""
    instance, region, kind = found.groups()
    provider = instance.partition("/")[0]
    return provider, "" if region == "*" else region, f"{instance}/{region}/{kind}", kind


def _snapshot(origin: Origin) -> str:
    """The day, or else the month, that a list price is of."""
    if not origin.word.startswith(_LIST_PRICE):
        return ""
    month = origin.word[len(_LIST_PRICE) :]
    return next((day for day in _DAY.findall(origin.detail) if day.startswith(month)), month)
