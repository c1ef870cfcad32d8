"""Documents checked against the grammar: values by dotted name, and every fault at once.

A faulty value is left out and the rest is used; whether a fault warns or refuses is the caller's affair.
"""

import re
from dataclasses import dataclass, field
from decimal import Decimal

from costmeter.config.faults import shown, shown_node, suggestion
from costmeter.config.flags import split_budget
from costmeter.config.grammar import ROOT, Key, Labels, LineItems, Price, Section
from costmeter.config.itemlist import parse_items
from costmeter.config.values import MAX_TEXT_CHARACTERS, Item, ValueParser, is_empty
from costmeter.config.yamlfile import Fault, Mapping, Node, Place, Scalar, Sequence

#: As `--label` has it: a name that can be a metric's label.
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
#: What price sheets have at the top, and settings never; what both have.
_OF_TARIFFS, _OF_BOTH = ("energy", "plans", "series"), ("currency", "timezone")


@dataclass(frozen=True, slots=True)
class Value:
    """One value that fits the grammar, the text people know it by, and where it was written."""

    item: Item
    text: str
    place: Place


Values = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of settings: values by dotted name, and its list of `gpu` blocks (None when it has no list).

    `budgets` are its budgets, each with an amount (None when it has none, empty when it says that there be none);
    keys of budgets without an amount are among the values, and hold for every budget.
    """

    values: Values = field(default_factory=dict)
    blocks: tuple[Values, ...] | None = None
    faults: tuple[Fault, ...] = ()
    budgets: tuple[Values, ...] | None = None


def parse(root: Node | None) -> Layer:
    """A whole document as a layer; None is an empty one."""
    if root is None:
        return Layer()
    sheet = _tariff_key(root)
    if sheet is not None:
        # The currency and the timezone of a price sheet would be taken for settings.
        use = f"use it as  electricity: {{price: {{tariff: {root.place.source}}}}}"
        return Layer(faults=(Fault(sheet.place, f"{sheet.text}: this is a tariff file, not settings; {use}"),))
    parser = _Parser()
    values: Values = {}
    parser.section(ROOT, root, "", values)
    return Layer(values, parser.blocks, tuple(parser.values.faults), parser.budgets)


def text(node: Node) -> str:
    """A value on one line, as flow YAML without quotes: for people, not for a parser."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Sequence):
        return f"[{', '.join(map(text, node.items))}]"
    return f"{{{', '.join(f'{key.text}: {text(value)}' for key, value in node.entries)}}}"


class _Parser:
    """Walks a document beside the grammar."""

    def __init__(self) -> None:
        self.values = ValueParser()
        self.blocks: tuple[Values, ...] | None = None
        self.budgets: tuple[Values, ...] | None = None

    def section(self, section: Section, node: Node, name: str, values: Values) -> None:
        """Every key of a section; unknown ones are faults."""
        if not isinstance(node, Mapping):
            if not is_empty(node):
                expected = f"expected keys ({', '.join(section.keys)})"
                self.values.fault(node.place, name, f"{expected}, not {shown_node(node)}")
            return
        before = ""
        for key, value in node.entries:
            entry = section.keys.get(key.text)
            inner = f"{name}.{key.text}" if name else key.text
            if entry is None and before in values and key.text.isdecimal() and is_empty(value):
                # `price: 2,10` in braces is `price: 2` and a key `10`: a mistyped price must not become another.
                del values[before]
                self.values.fault(key.place, before, f"a number with a comma? Write it with a point: .{key.text}")
            elif entry is None:
                where = f" in {name}" if name else ""
                hint = _form_hint(section, key.text) or suggestion(key.text, section.keys)
                self.values.fault(key.place, "", f"unknown key {shown(key.text)}{where}{hint}")
            elif isinstance(entry, Key):
                self._key(entry, value, inner, values)
            elif entry.short and not is_empty(value):
                self._budgets(entry, value, inner, values)
            elif entry.repeated and _is_list(value):
                self.blocks = tuple(self._blocks(entry, value, inner))
            else:
                self.section(entry, value, inner, values)
            before = inner

    def _blocks(self, section: Section, node: Node, name: str) -> list[Values]:
        """A list of blocks. One whose match is faulty is left out: without its match it would fit every GPU."""
        blocks: list[Values] = []
        for block in node.items if isinstance(node, Sequence) else (node,):
            if blocks and not any(key.startswith(f"{name}.match") for key in blocks[-1]):
                self.values.fault(block.place, name, "the block before this one fits every GPU, so this is never used")
            found: Values = {}
            before = len(self.values.faults)
            self.section(section, block, name, found)
            if not any(f"{name}.match" in fault.what for fault in self.values.faults[before:]):
                blocks.append(found)
        return blocks

    def _budgets(self, section: Section, node: Node, name: str, values: Values) -> None:
        """One budget or several. A faulty one is left out whole: without one of its keys it would be another."""
        found: list[Values] = []
        for entry in node.items if isinstance(node, Sequence) else (node,):
            budget: Values = {}
            before = len(self.values.faults)
            if isinstance(entry, Scalar):
                budget = self._short_budget(entry, name)
            else:
                self.section(section, entry, name, budget)
            if len(self.values.faults) > before:
                continue
            if f"{name}.amount" in budget:
                found.append(budget)
            elif isinstance(node, Sequence):
                self.values.fault(entry.place, name, "an amount is missing; add  amount: 500  or the like")
            else:
                values.update(budget)
        if found or (isinstance(node, Sequence) and not node.items):
            self.budgets = tuple(found)

    def _short_budget(self, node: Scalar, name: str) -> Values:
        """`80`, `80 USD` or `80/day`: the currency is checked when it is known which one is set."""
        said = split_budget(node.text)
        if said is None:
            expected = "expected keys, or an amount such as 80, 80 USD or 80/day"
            self.values.fault(node.place, name, f"{expected}, not {shown_node(node)}")
            return {}
        amount, currency, per = said
        found: Values = {f"{name}.amount": Value(Decimal(amount), f"{amount} {currency}".strip(), node.place)}
        return found | ({f"{name}.per": Value(per, per, node.place)} if per else {})

    def _key(self, key: Key, node: Node, name: str, values: Values) -> None:
        if isinstance(key.kind, Labels):
            self._labels(node, name, values)
        elif isinstance(key.kind, LineItems) and not is_empty(node):
            items, faults = parse_items(node, name)
            self.values.faults.extend(faults)
            values[name] = Value(items, text(node), node.place)
        elif not is_empty(node):
            item = self.values.item(key.kind, node, name)
            if item is not None:
                values[name] = Value(item, text(node), node.place)

    def _labels(self, node: Node, name: str, values: Values) -> None:
        if not isinstance(node, Mapping):
            if not is_empty(node):
                self.values.fault(node.place, name, f"expected names and texts, not {shown_node(node)}")
            return
        for key, value in node.entries:
            if not _LABEL.fullmatch(key.text):
                self.values.fault(
                    key.place, name, f"{shown(key.text)} is no name: letters, digits and _, a letter first"
                )
            elif not isinstance(value, Scalar):
                self.values.fault(value.place, f"{name}.{key.text}", f"expected a text, not {shown_node(value)}")
            elif len(value.text) > MAX_TEXT_CHARACTERS or not value.text.isprintable():
                limit = f"expected one line of at most {MAX_TEXT_CHARACTERS} characters"
                self.values.fault(value.place, f"{name}.{key.text}", limit)
            elif not is_empty(value):
                values[f"{name}.{key.text}"] = Value(value.text, value.text, value.place)


def _tariff_key(root: Node) -> Scalar | None:
    """The key by which a document is a price sheet; None for settings, also where such a key has strayed into them."""
    keys = [key for key, _ in root.entries] if isinstance(root, Mapping) else []
    if any(key.text in ROOT.keys and key.text not in _OF_BOTH for key in keys):
        return None
    return next((key for key in keys if key.text in _OF_TARIFFS), None)


def _form_hint(section: Section, word: str) -> str:
    """Where a word belongs that is a form of one of the keys: `{tariff: …}` is a price."""
    for name, entry in section.keys.items():
        if isinstance(entry, Key) and isinstance(entry.kind, Price) and word in entry.kind.forms:
            return f". Write it as  {name}: {{{word}: …}}"
    return ""


def _is_list(node: Node) -> bool:
    """Whether a repeated section is given as a list: also one block that says which GPUs it is for."""
    return isinstance(node, Sequence) or (
        isinstance(node, Mapping) and any(key.text == "match" for key, _ in node.entries)
    )
