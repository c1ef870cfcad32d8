"""Single values checked against the kinds of the grammar: a node goes in, a typed value or a fault comes out."""

import re
from datetime import date, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from costmeter.config.day import read_day
from costmeter.config.faults import shown, shown_node, suggestion
from costmeter.config.grammar import (
    FILE_FORMS,
    Choice,
    Currency,
    Date,
    Kind,
    Number,
    Numbers,
    Pattern,
    Price,
    Text,
    Zone,
)
from costmeter.config.number import read_number
from costmeter.config.yamlfile import Fault, Mapping, Node, Place, Scalar, Sequence
from costmeter.config.zones import nearest, zone
from costmeter.meter.item import LineItem

if TYPE_CHECKING:  # catalogue, zones, calendars: loaded where a setting is one of them, for most are plain numbers
    from costmeter.config.forms import Figure

MAX_TEXT_CHARACTERS = 200
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_INDEXES = re.compile(r"[0-9]{1,4}(?:-[0-9]{1,4})?(?:\s*,\s*[0-9]{1,4}(?:-[0-9]{1,4})?)*", re.ASCII)

#: Everything one setting can be. Strings are words, patterns and labels; a frozenset holds GPU indexes.
Item: TypeAlias = "Decimal | str | tzinfo | date | Figure | tuple[Decimal, ...] | frozenset[int] | tuple[LineItem, ...]"


def is_empty(node: Node) -> bool:
    """Whether a key was written without a value: it is not set."""
    return isinstance(node, Scalar) and not node.text and not node.quoted


class ValueParser:
    """Reads values, collecting faults."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def item(self, kind: Kind, node: Node, name: str) -> "Item | None":
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

    def _word(self, kind: Kind, node: Scalar, name: str) -> "Item | None":
        if isinstance(kind, Zone):
            return self._zone(node, name)
        if isinstance(kind, Currency):
            return self._currency(node, name)
        if isinstance(kind, Date):
            return read_day(node, lambda at, what: self.fault(at.place, name, what))
        if isinstance(kind, Text):
            return self._line(node, name)
        if isinstance(kind, Pattern):
            return self._indexes(node, name) if kind.indexes else node.text
        words = kind.words if isinstance(kind, Choice) else ()
        if node.text in words:
            return node.text
        hint = suggestion(node.text, words)
        self.fault(node.place, name, f"expected {' or '.join(words)}, not {shown(node.text)}{hint}")
        return None

    def _line(self, node: Scalar, name: str) -> str | None:
        if len(node.text) <= MAX_TEXT_CHARACTERS and node.text.isprintable():
            return node.text
        self.fault(node.place, name, f"expected one line of at most {MAX_TEXT_CHARACTERS} characters")
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
        if isinstance(node, Scalar) and node.text in kind.words:
            return node.text
        return read_number(kind, node, lambda at, what: self.fault(at.place, name, what))

    def _numbers(self, kind: Numbers, node: Node, name: str) -> tuple[Decimal, ...] | None:
        if not isinstance(node, Sequence):
            self.fault(node.place, name, f"expected a list such as {kind.example}, not {shown_node(node)}")
            return None
        items = [self._number(kind.each, item, name) for item in node.items]
        numbers = {item for item in items if isinstance(item, Decimal)}
        return None if None in items else tuple(sorted(numbers))

    def _price(self, kind: Price, node: Node, name: str) -> "Item | None":
        """A number, or one of the forms of the setting."""
        text = node.text.casefold() if isinstance(node, Scalar) else ""
        if not isinstance(node, Mapping) and not text.endswith(tuple(FILE_FORMS)):
            return self._number(kind.number, node, name)
        from costmeter.config.forms import FormParser

        parser = FormParser(kind, name)
        figure = parser.parse(node)
        self.faults.extend(parser.faults)
        return figure
