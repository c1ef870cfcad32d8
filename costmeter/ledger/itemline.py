"""How line items and their use are written in a journal. A reader that knows neither line goes on without them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, get_args

from costmeter.ledger import kinds
from costmeter.ledger.record import Items, Usage
from costmeter.meter.charge import Origin
from costmeter.meter.item import Direction, ItemKind, LineItem


def encode_items(entry: Items, _: tuple[str, ...]) -> dict[str, object]:
    """The items as JSON-ready values."""
    return {"type": "items", "items": [_encode_item(item) for item in entry.items]}


def decode_items(body: Mapping[str, Any], _: tuple[str, ...]) -> Items:
    """The items that were written. Raises KeyError, TypeError, ValueError or ArithmeticError on anything else."""
    return Items(tuple(_decode_item(item) for item in body["items"]))


def encode_usage(usage: Usage, _: tuple[str, ...]) -> dict[str, object]:
    """The use as JSON-ready values; notes only where there are some."""
    body: dict[str, object] = {"type": "usage", "utc_ns": usage.at_utc_ns, "used": dict(usage.used)}
    return body | {"notes": dict(usage.notes)} if usage.notes else body


def decode_usage(body: Mapping[str, Any], _: tuple[str, ...]) -> Usage:
    """The use that was written. Raises KeyError, TypeError or ValueError on anything else."""
    kinds.expect(body, _USAGE)
    return Usage(body["utc_ns"], body["used"], body.get("notes", {}))


_USAGE = {"utc_ns": kinds.instant, "used": kinds.table(kinds.sum_of_counts), "notes": kinds.table(kinds.text)}
_ITEM: kinds.Shape = {
    "name": kinds.text,
    "kind": kinds.word(get_args(ItemKind)),
    "price": kinds.price,
    "amount": kinds.money,
    "path": kinds.text,
    "direction": kinds.word(get_args(Direction)),
    "interface": kinds.text,
    "origin": kinds.row(kinds.text, kinds.text),
}


def _encode_item(item: LineItem) -> dict[str, object]:
    body: dict[str, object] = {"name": item.name, "kind": item.kind, "price": str(item.price)}
    if item.kind in ("gb", "per_hour"):
        body["amount"] = str(item.amount)
    if item.kind == "path":
        body["path"] = item.path
    if item.kind == "network":
        body |= {"direction": item.direction, "interface": item.interface}
    return body | {"origin": [item.origin.word, item.origin.detail]}


def _decode_item(body: Mapping[str, Any]) -> LineItem:
    kinds.expect(body, _ITEM)
    kind, direction = body["kind"], body.get("direction", "both")
    origin, amount = Origin(*body["origin"]), Decimal(body.get("amount", "1"))
    path, interface = body.get("path", ""), body.get("interface", "")
    return LineItem(body["name"], kind, Decimal(body["price"]), origin, amount, path, direction, interface)
