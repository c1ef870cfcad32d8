"""Single values checked against the kinds of the grammar: a node goes in, a typed value or a fault comes out."""

import re
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal

from costmeter.config.faults import shown, shown_node, suggestion
from costmeter.config.grammar import Choice, Currency, Kind, Number, Numbers, Pattern, Price, Zone
from costmeter.config.number import complaint, decimal, wanted
from costmeter.config.windows import WindowParser, Windows
from costmeter.config.yamlfile import Fault, Mapping, Node, Place, Scalar, Sequence
from costmeter.config.zones import nearest, zone

_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_INDEXES = re.compile(r"[0-9]{1,4}(?:-[0-9]{1,4})?(?:\s*,\s*[0-9]{1,4}(?:-[0-9]{1,4})?)*", re.ASCII)
_GPU_COUNT = Number("a number of GPUs", "8", minimum=Decimal(1), maximum=Decimal(1_024))
#: Ways to give a value that the design names and this version cannot do.
_LATER = ("catalog", "tariff", "zone", "series", "seasons", "energy", "tiers", "demand")
_LATER_FILES = {".csv": "a dated series (CSV)", ".yaml": "a tariff file", ".yml": "a tariff file"}


@dataclass(frozen=True, slots=True)
class PerInstance:
    """A price for a whole machine per hour; `gpus` None shares it over the node's GPUs."""

    price_per_hour: Decimal
    gpus: int | None


#: Everything one setting can be. Strings are words, patterns and labels; a frozenset holds GPU indexes.
Item = Decimal | str | tzinfo | Windows | PerInstance | tuple[Decimal, ...] | frozenset[int]


def is_empty(node: Node) -> bool:
    """Whether a key was written without a value: it is not set."""
    return isinstance(node, Scalar) and not node.text and not node.quoted


class ItemParser:
    """Reads values, collecting faults."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def item(self, kind: Kind, node: Node, name: str) -> Item | None:
        """The value of a setting; None with a fault."""
        if isinstance(kind, Price):
            return self._price(kind, node, name)
        if isinstance(kind, Number):
            return self._number(kind, node, name)
        if isinstance(kind, Numbers):
            return self._numbers(kind, node, name)
        if not isinstance(node, Scalar):
            self.fault(node.place, name, f"expected one word, not {shown_node(node)}")
            return None
        return self._word(kind, node, name)

    def fault(self, place: Place, name: str, what: str) -> None:
        """Note what is wrong with a setting."""
        self.faults.append(Fault(place, f"{name}: {what}" if name else what))

    def _word(self, kind: Kind, node: Scalar, name: str) -> Item | None:
        if isinstance(kind, Zone):
            return self._zone(node, name)
        if isinstance(kind, Currency):
            return self._currency(node, name)
        if isinstance(kind, Pattern):
            return self._indexes(node, name) if kind.indexes else node.text
        words = kind.words if isinstance(kind, Choice) else ()
        if node.text in words:
            return node.text
        hint = suggestion(node.text, words)
        self.fault(node.place, name, f"expected {' or '.join(words)}, not {shown(node.text)}{hint}")
        return None

    def _currency(self, node: Scalar, name: str) -> str | None:
        if _CURRENCY.fullmatch(node.text):
            return node.text
        hint = suggestion(node.text, (node.text.upper(),)) if _CURRENCY.fullmatch(node.text.upper()) else ""
        self.fault(node.place, name, f"expected three capital letters such as USD, not {shown(node.text)}{hint}")
        return None

    def _zone(self, node: Scalar, name: str) -> tzinfo | None:
        found = zone(node.text)
        if found is None:
            known = f"no time zone {shown(node.text)}{nearest(node.text)}"
            self.fault(node.place, name, known if known.endswith("?") else f"{known}. Write one such as Europe/Berlin")
        return found

    def _indexes(self, node: Scalar, name: str) -> frozenset[int] | None:
        if not _INDEXES.fullmatch(node.text):
            self.fault(node.place, name, f"expected GPU numbers such as 0-3,6, not {shown(node.text)}")
            return None
        numbers: set[int] = set()
        for part in node.text.split(","):
            first, _, last = part.partition("-")
            numbers.update(range(int(first), int(last or first) + 1))
        return frozenset(numbers)

    def _number(self, kind: Number, node: Node, name: str) -> Decimal | str | None:
        if self._is_for_later(node, name):
            return None
        if not isinstance(node, Scalar):
            self.fault(node.place, name, f"expected {wanted(kind)}, not {shown_node(node)}")
            return None
        if node.text in kind.words:
            return node.text
        problem = complaint(kind, node.text)
        if problem is not None:
            self.fault(node.place, name, problem)
            return None
        return decimal(node.text)

    def _numbers(self, kind: Numbers, node: Node, name: str) -> tuple[Decimal, ...] | None:
        if not isinstance(node, Sequence):
            self.fault(node.place, name, f"expected a list such as {kind.example}, not {shown_node(node)}")
            return None
        items = [self._number(kind.each, item, name) for item in node.items]
        numbers = {item for item in items if isinstance(item, Decimal)}
        return None if None in items else tuple(sorted(numbers))

    def _price(self, kind: Price, node: Node, name: str) -> Item | None:
        if not isinstance(node, Mapping) or self._is_for_later(node, name):
            return None if isinstance(node, Mapping) else self._number(kind.number, node, name)
        found = {key.text: value for key, value in node.entries}
        per_instance = kind.per_instance and "windows" not in found
        known = ("per_instance_hour", "gpus") if per_instance else ("windows", "timezone")
        strangers = [key for key, _ in node.entries if key.text not in known]
        for key in strangers:
            self.fault(key.place, name, f"unknown key {shown(key.text)}{suggestion(key.text, known)}")
        if strangers or known[0] not in found:
            if not strangers:
                self.fault(node.place, name, f"{known[0]} is missing")
            return None
        return self._instance(found, name) if per_instance else self._windows(found, kind, name)

    def _instance(self, found: dict[str, Node], name: str) -> PerInstance | None:
        whole = Number("a price per hour of the machine", "55.04", minimum=Decimal(0))
        price = self._number(whole, found["per_instance_hour"], f"{name}.per_instance_hour")
        gpus = self._number(_GPU_COUNT, found["gpus"], f"{name}.gpus") if "gpus" in found else Decimal(0)
        if not isinstance(price, Decimal) or not isinstance(gpus, Decimal):
            return None
        if gpus != int(gpus):
            self.fault(found["gpus"].place, f"{name}.gpus", "a number of GPUs is whole")
            return None
        return PerInstance(price, int(gpus) or None)

    def _windows(self, found: dict[str, Node], kind: Price, name: str) -> Windows | None:
        parser = WindowParser(name, kind.key, kind.number)
        windows = parser.parse(found["windows"])
        self.faults.extend(parser.faults)
        node = found.get("timezone")
        if node is None or is_empty(node):
            return Windows(windows, None) if windows else None
        local = self.item(Zone(), node, f"{name}.timezone")
        return Windows(windows, local) if windows and isinstance(local, tzinfo) else None

    def _is_for_later(self, node: Node, name: str) -> bool:
        """Whether this is a way of giving the value that this version cannot do; notes the fault."""
        if isinstance(node, Mapping):
            keys = [key.text for key, _ in node.entries if key.text in _LATER]
            what = f"{{{keys[0]}: …}}" if keys else ""
        else:
            text = node.text if isinstance(node, Scalar) else ""
            what = next((words for ending, words in _LATER_FILES.items() if text.endswith(ending)), "")
        if what:
            self.fault(node.place, name, f"{what} is not supported by this version")
        return bool(what)
