"""Numbers as people write them: plain decimals within bounds, exact, with a word on what was probably meant."""

import re
from collections.abc import Sequence
from decimal import Decimal

from costmeter.config.faults import NoteFault, meant, shown, shown_node
from costmeter.config.grammar import Number
from costmeter.config.yamlfile import Node, Scalar

#: Digits, at most one point, and an exponent of at most two digits: `1e999999999` would fill the memory.
_PLAIN = re.compile(r"[+-]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][+-]?[0-9])?", re.ASCII)
_PERCENT = re.compile(r"[0-9]{1,3}(?:\.[0-9]+)?\s?%", re.ASCII)
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?", re.ASCII)
_CURRENCY = re.compile(r" ?[A-Z]{3}$", re.ASCII)
_COMMA = re.compile(r"[0-9]+,[0-9]+", re.ASCII)


def decimal(text: str) -> Decimal | None:
    """The number a text stands for; None when it is not a plain number (NaN, Infinity and units are not)."""
    return Decimal(text) if _PLAIN.fullmatch(text) else None


def decimals(texts: Sequence[str]) -> list[Decimal] | None:
    """The numbers that texts stand for; None when one of them is not a plain number. For thousands at a time."""
    return list(map(Decimal, texts)) if all(map(_PLAIN.fullmatch, texts)) else None


def complaint(number: Number, text: str) -> str | None:
    """What is wrong with a text as this kind of number; None when nothing is. Without the place and the name."""
    value = _value(number, text)
    if value is None:
        return f"expected {wanted(number)}, not {shown(text)}{_hint(text)}"
    if number.minimum is not None and value < number.minimum:
        return f"{number.what} is at least {number.minimum}, not {text}"
    if number.above is not None and value <= number.above:
        return f"{number.what} is more than {number.above}, not {text}"
    if number.below is not None and value >= number.below:
        return f"{number.what} is less than {number.below}, not {text}"
    if number.maximum is not None and value > number.maximum:
        return f"{number.what} is at most {number.maximum}, not {text}"
    if number.whole and value != int(value):
        return f"{number.what} is whole, not {text}"
    return None


def read_number(number: Number, node: Node, fault: NoteFault) -> Decimal | None:
    """The number at a node; None, with a fault, where there is none. Words that may stand in its place are none."""
    if not isinstance(node, Scalar):
        fault(node, f"expected {wanted(number)}, not {shown_node(node)}")
        return None
    problem = complaint(number, node.text)
    if problem is not None:
        fault(node, problem)
        return None
    return _value(number, node.text)


def _value(number: Number, text: str) -> Decimal | None:
    """The number a text stands for; where per cents or a currency beside it are allowed, also with them."""
    if number.percent and _PERCENT.fullmatch(text):
        return Decimal(text.rstrip("% ")) / 100
    return decimal(_CURRENCY.sub("", text) if number.currency else text)


def wanted(number: Number) -> str:
    """What may stand there, after "expected"."""
    words = "".join(f"{word}, " for word in number.words)
    return f"{words}{'or ' if words else ''}{number.what} such as {number.example}"


def _hint(text: str) -> str:
    if _PERCENT.fullmatch(text):
        share = Decimal(text.rstrip("% ")) / 100
        return meant(f"{share.normalize():f}")
    if _THOUSANDS.fullmatch(text):  # 30,000 is thirty thousand to whoever writes it so, and thirty to nobody
        return meant(text.replace(",", ""))
    if _COMMA.fullmatch(text):
        return meant(text.replace(",", "."))
    return ""
