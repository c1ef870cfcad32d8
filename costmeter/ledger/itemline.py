"""How line items and their use are written in a journal. A reader that knows neither line goes on without them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, get_args

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
    used, notes = dict(body["used"]), dict(body.get("notes", {}))
    if not all(type(quantity) is int and quantity >= 0 for quantity in used.values()):
        raise ValueError("a quantity that is no whole number")
    if not all(isinstance(note, str) for note in notes.values()):
        raise ValueError("a note that is no text")
    return Usage(int(body["utc_ns"]), used, notes)


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
    kind, direction = body["kind"], body.get("direction", "both")
    if kind not in get_args(ItemKind) or direction not in get_args(Direction):
        raise ValueError(f"an item of kind {kind!r}")
    origin, amount = Origin(*body["origin"]), Decimal(body.get("amount", "1"))
    path, interface = body.get("path", ""), body.get("interface", "")
    return LineItem(body["name"], kind, Decimal(body["price"]), origin, amount, path, direction, interface)
