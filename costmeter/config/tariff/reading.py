"""Single values of a tariff file, each checked where it stands. Numbers are exact decimals."""

import re
from collections.abc import Collection, Iterable
from datetime import date
from decimal import Context, Decimal
from typing import Final

from costmeter.config.day import read_day
from costmeter.config.faults import shown, shown_node, suggestion
from costmeter.config.grammar import Number
from costmeter.config.number import read_number
from costmeter.config.yamlfile import Fault, Mapping, Node, Scalar, Sequence

#: Prices, factors and taxes have at most 36 digits each: their products and sums are exact at this precision.
EXACT: Final = Context(prec=200)
#: A leap year, in which every month-day is a date.
_LEAP_YEAR = 2024
_MONTH_DAY = re.compile(r"([0-9]{2})-([0-9]{2})", re.ASCII)


def says_nothing(node: Node | None) -> bool:
    """Whether a value is absent, empty or null."""
    return node is None or (isinstance(node, Scalar) and not node.quoted and node.text in ("", "null", "~"))


class Reader:
    """Reads values and takes note of every fault."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def fault(self, node: Node, what: str) -> None:
        """Note that something is wrong at a node."""
        self.faults.append(Fault(node.place, what))

    def keys(self, node: Node, known: Collection[str], what: str) -> dict[str, Node]:
        """The keys of a mapping that say something. Unknown ones are faults; so is what is no mapping."""
        if not isinstance(node, Mapping):
            expected = f"expected {what}: keys such as {', '.join(list(known)[:4])}"
            self.fault(node, f"{expected}; not {shown_node(node)}")
            return {}
        found: dict[str, Node] = {}
        for key, value in node.entries:
            if key.text not in known:
                self.fault(key, f"unknown key {shown(key.text)} in {what}{suggestion(key.text, known)}")
            elif not says_nothing(value):
                found[key.text] = value
        return found

    def items(self, node: Node, what: str) -> tuple[Node, ...]:
        """The items of a list."""
        if isinstance(node, Sequence):
            return node.items
        self.fault(node, f"expected a list of {what}, not {shown_node(node)}")
        return ()

    def number(self, node: Node, number: Number) -> Decimal | None:
        """A number within its bounds."""
        return read_number(number, node, self.fault)

    def text(self, node: Node, what: str) -> str:
        """A text on one line; empty, and a fault, where there is none."""
        if isinstance(node, Scalar):
            return " ".join(node.text.split())
        self.fault(node, f"expected {what}, not {shown_node(node)}")
        return ""

    def word(self, node: Node, words: Iterable[str]) -> str | None:
        """One of a few words."""
        known = list(words)
        if isinstance(node, Scalar) and node.text in known:
            return node.text
        hint = suggestion(node.text, known) if isinstance(node, Scalar) and len(known) > 4 else ""
        expected = " or ".join(known) if len(known) <= 4 else "a name"
        self.fault(node, f"expected {expected}, not {shown_node(node)}{hint}")
        return None

    def date(self, node: Node) -> date | None:
        """A day such as 2026-03-01."""
        return read_day(node, self.fault)

    def month_day(self, node: Node) -> int | None:
        """A month and day such as 06-01, as month × 100 + day."""
        match = _MONTH_DAY.fullmatch(node.text) if isinstance(node, Scalar) else None
        if match is not None:
            try:
                found = date(_LEAP_YEAR, int(match[1]), int(match[2]))
                return found.month * 100 + found.day
            except ValueError:
                pass
        self.fault(node, f"expected a month and day such as 06-01, not {shown_node(node)}")
        return None
