"""The list of line items as it is written: what stands beside the metered cost, each with one way of being counted."""

import os
from decimal import Decimal

from costmeter.config.faults import shown, shown_node, suggestion
from costmeter.config.grammar import Number
from costmeter.config.number import read_number, wanted
from costmeter.config.yamlfile import Fault, Mapping, Node, Place, Scalar, Sequence
from costmeter.meter.charge import Origin
from costmeter.meter.item import Direction, ItemKind, LineItem

_ZERO = Decimal(0)
#: A cost keeps twelve decimals of 28 digits: with these bounds no run is too long for it.
_MOST_PRICE, _MOST_COUNT, _MOST_AMOUNT = Decimal(10**6), Decimal(10**5), Decimal(10**12)


def _price(what: str, example: str, maximum: Decimal = _MOST_PRICE) -> Number:
    return Number(what, example, minimum=_ZERO, maximum=maximum)


_GB_MONTH = _price("a price per GB and month", "0.023")
#: Of every kind the number that is its price, and the numbers beside it, by key.
_PRICES: dict[ItemKind, tuple[str, Number]] = {
    "path": ("per_gb_month", _GB_MONTH),
    "gb": ("per_gb_month", _GB_MONTH),
    "network": ("per_gb", _price("a price per GB", "0.09")),
    "per_gpu_hour": ("per_gpu_hour", _price("a price per GPU-hour", "0.12")),
    "per_hour": ("per_hour", _price("a price per hour", "85")),
    "fixed": ("fixed", _price("an amount of money", "1200", _MOST_AMOUNT)),
}
_AMOUNTS: dict[ItemKind, tuple[str, Number]] = {
    "gb": ("gb", _price("a number of gigabytes", "500", Decimal(10**9))),
    "per_hour": ("count", _price("how many there are", "2", _MOST_COUNT)),
}
_TEXTS: dict[ItemKind, tuple[str, ...]] = {"path": ("path",), "network": ("network", "interface")}
_DIRECTIONS: tuple[Direction, ...] = ("sent", "received", "both")
_EXAMPLE = "{name: checkpoints, path: ./ckpt, per_gb_month: 0.023}"
_MOST_NAME_CHARACTERS = 60
_MOST_ITEMS = 100


def parse_items(node: Node, name: str = "items") -> tuple[tuple[LineItem, ...], tuple[Fault, ...]]:
    """The items that are right, in the order written, and every fault.

    Paths begin at the folder of the file that names them; of a variable, at the working directory.
    """
    parser = _Parser(name)
    return tuple(parser.items(node)), tuple(parser.faults)


def item_keys() -> tuple[tuple[frozenset[str], dict[str, Number | None]], ...]:
    """Of each way of counting an item, the keys it must have and all it may have beside its name; None is a text."""
    found = []
    for kind, (price_key, price) in _PRICES.items():
        numbers: dict[str, Number | None] = {price_key: price, **dict((_AMOUNTS[kind],) if kind in _AMOUNTS else ())}
        found.append((frozenset((kind, price_key)), {**dict.fromkeys(_TEXTS.get(kind, ())), **numbers}))
    return tuple(found)


class _Parser:
    """Reads a list of items, collecting faults; a faulty item is left out."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.faults: list[Fault] = []

    def items(self, node: Node) -> list[LineItem]:
        if not isinstance(node, Sequence):
            self._fault(node.place, f"expected a list such as [{_EXAMPLE}], not {shown_node(node)}")
            return []
        found: list[LineItem] = []
        for entry in node.items[:_MOST_ITEMS]:
            item = self._item(entry)
            if item is not None and any(item.name == other.name for other in found):
                self._fault(entry.place, f"there is an item {shown(item.name)} already; give this one its own name")
            elif item is not None:
                found.append(item)
        if len(node.items) > _MOST_ITEMS:
            self._fault(node.items[_MOST_ITEMS].place, f"more than {_MOST_ITEMS} items; the rest is left out")
        return found

    def _item(self, node: Node) -> LineItem | None:
        if not isinstance(node, Mapping):
            self._fault(node.place, f"expected an item such as {_EXAMPLE}, not {shown_node(node)}")
            return None
        before = len(self.faults)
        found = {key.text: value for key, value in node.entries}
        kinds = [kind for kind in _PRICES if kind in found]
        name = self._text(found["name"], "name") if "name" in found else None
        if "name" not in found:
            self._fault(node.place, f"an item needs a name, such as {_EXAMPLE}")
        if len(kinds) != 1:
            self._count_kinds(node, kinds)
            return None
        (kind,) = kinds
        self._refuse_strangers(node, kind)
        item = self._of_kind(kind, found, node.place, name or "")
        return item if len(self.faults) == before else None

    def _count_kinds(self, node: Mapping, kinds: list[ItemKind]) -> None:
        if kinds:
            self._fault(node.place, f"an item is counted in one way, not by {' and '.join(kinds)}; make two items")
            return
        known = ("name", *_PRICES, *(price for price, _ in _PRICES.values()), "count", "interface")
        for key, _ in node.entries:
            if key.text not in known:
                hint = suggestion(key.text, tuple(dict.fromkeys(known)))
                self._fault(key.place, f"unknown key {shown(key.text)}{hint}")
        self._fault(node.place, f"an item needs one of {', '.join(_PRICES)}")

    def _refuse_strangers(self, node: Mapping, kind: ItemKind) -> None:
        amount = (_AMOUNTS[kind][0],) if kind in _AMOUNTS else ()
        known = tuple(dict.fromkeys(("name", *_TEXTS.get(kind, ()), *amount, _PRICES[kind][0])))
        for key, _ in node.entries:
            if key.text not in known:
                self._fault(key.place, f"unknown key {shown(key.text)} of an item with {kind}{_meant(key.text, known)}")

    def _of_kind(self, kind: ItemKind, found: dict[str, Node], place: Place, name: str) -> LineItem:
        price_key, number = _PRICES[kind]
        price = self._number(number, found, price_key, place)
        amount = Decimal(1)
        if kind in _AMOUNTS and _AMOUNTS[kind][0] in found:
            amount = self._number(_AMOUNTS[kind][1], found, _AMOUNTS[kind][0], place)
        path = self._path(found["path"]) if kind == "path" else ""
        direction = self._direction(found["network"]) if kind == "network" else "both"
        interface = self._text(found["interface"], "interface") if "interface" in found and kind == "network" else ""
        origin = Origin("configured", place.brief)
        return LineItem(name, kind, price, origin, amount, path, direction, interface or "")

    def _number(self, number: Number, found: dict[str, Node], key: str, place: Place) -> Decimal:
        """The number under a key; 0 with a fault where it is none, or missing."""
        node = found.get(key)
        if node is None:
            self._fault(place, f"{key} is missing: {wanted(number)}")
            return _ZERO
        return read_number(number, node, lambda at, what: self._fault(at.place, f"{key}: {what}")) or _ZERO

    def _text(self, node: Node, key: str) -> str | None:
        if isinstance(node, Scalar) and node.text.isprintable() and 0 < len(node.text) <= _MOST_NAME_CHARACTERS:
            return node.text
        what = shown_node(node) if isinstance(node, Scalar) and node.text else "nothing"
        limit = f"expected one line of at most {_MOST_NAME_CHARACTERS} characters"
        self._fault(node.place, f"{key}: {limit}, not {what if isinstance(node, Scalar) else shown_node(node)}")
        return None

    def _path(self, node: Node) -> str:
        if not isinstance(node, Scalar) or not node.text or "\0" in node.text:
            what = shown_node(node) if not isinstance(node, Scalar) or node.text else "nothing"
            self._fault(node.place, f"path: expected a file or folder such as ./ckpt, not {what}")
            return ""
        return os.path.normpath(os.path.join(os.path.dirname(node.place.source), os.path.expanduser(node.text)))

    def _direction(self, node: Node) -> Direction:
        for direction in _DIRECTIONS:
            if isinstance(node, Scalar) and node.text == direction:
                return direction
        hint = suggestion(node.text, _DIRECTIONS) if isinstance(node, Scalar) else ""
        self._fault(node.place, f"network: expected {' or '.join(_DIRECTIONS)}, not {shown_node(node)}{hint}")
        return "both"

    def _fault(self, place: Place, what: str) -> None:
        self.faults.append(Fault(place, f"{self._name}: {what}"))


def _meant(word: str, known: tuple[str, ...]) -> str:
    return suggestion(word, known) or f". Known here: {', '.join(known)}"
