"""Of what kind the values of a line are: the checksum says that they are as they were written, not that a meter did.

A line with a text for a number, or an instant of no calendar, is unreadable as a whole. So nobody who works with
records has to expect one, and a journal that somebody edited spoils no list of a thousand others.
"""

import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

from costmeter.clock import LATEST_UTC_NS

#: Whether a value as JSON has it is of one kind.
Kind = Callable[[Any], bool]
#: The keys of an object, and of which kind their values are.
Shape = Mapping[str, Kind]

#: Beyond this, a strict reader of JSON has no integers.
WIDEST = 2**64
#: What a part, or the use of an item, comes to in the smallest units there are: a petabyte for 30 years is less.
_GREATEST_SUM = 10**33
_MOST_MONEY = Decimal(10**15)
_MOST_PRICE = Decimal(10**9)  # no plain one below is more
#: Where the point of a decimal may be: further out it is no figure, and fills the memory where it is written out.
_EXPONENTS = range(-100, 20)
#: As all are that a meter writes.
_PLAIN_DECIMAL = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,28})?").fullmatch
_TEXT_ALONE = frozenset((str,))


def expect(body: Any, shape: Shape) -> None:
    """Raises ValueError with the keys whose values are of another kind. A key that is not there is not looked at."""
    if type(body) is not dict:
        raise ValueError("an object")
    asked, wrong = shape.get, None
    for key, value in body.items():  # a list of thousands of journals asks half a million times
        is_right = asked(key)
        if is_right is not None and not is_right(value):
            wrong = key if wrong is None else f"{wrong}, {key}"
    if wrong is not None:
        raise ValueError(wrong)


def text(value: Any) -> bool:
    """Any text."""
    return type(value) is str


def truth(value: Any) -> bool:
    """True or false."""
    return type(value) is bool


def number(value: Any) -> bool:
    """A finite number; no text, no truth."""
    return type(value) in (int, float) and abs(value) < WIDEST


def finite(value: Any) -> bool:
    """Any number but those that are none, and those without end."""
    return type(value) is int or (type(value) is float and isfinite(value))


def whole(value: Any) -> bool:
    """An integer, also below 0."""
    return type(value) is int and abs(value) < WIDEST


def count(value: Any) -> bool:
    """An integer from 0 on; a length in nanoseconds is one, and an instant since the machine booted."""
    return type(value) is int and 0 <= value < WIDEST


def total(value: Any) -> bool:
    """A sum of many integers, also below 0."""
    return type(value) is int and abs(value) <= _GREATEST_SUM


def sum_of_counts(value: Any) -> bool:
    """A sum of many integers from 0 on."""
    return type(value) is int and 0 <= value <= _GREATEST_SUM


def instant(value: Any) -> bool:
    """Nanoseconds since 1970 UTC, up to where calendars end."""
    return type(value) is int and 0 <= value < LATEST_UTC_NS


def price(value: Any) -> bool:
    """Text of a decimal that something may cost, or weigh, by the hour or the kWh."""
    return type(value) is str and (_PLAIN_DECIMAL(value) is not None or _is_decimal(value, _MOST_PRICE))


def money(value: Any) -> bool:
    """Text of a decimal that much may come to."""
    return type(value) is str and (_PLAIN_DECIMAL(value) is not None or _is_decimal(value, _MOST_MONEY))


def maybe(kind: Kind) -> Kind:
    """A value of that kind, or null."""
    return lambda value: value is None or kind(value)


def each(kind: Kind) -> Kind:
    """A list of such values."""
    return lambda value: type(value) is list and all(map(kind, value))


def row(*kinds: Kind) -> Kind:
    """A list of just these, one after the other."""

    def is_row(value: Any) -> bool:
        if type(value) is not list or len(value) != len(kinds):
            return False
        return not [part for kind, part in zip(kinds, value, strict=True) if not kind(part)]

    return is_row


def table(kind: Kind) -> Kind:
    """An object of any keys with such values."""
    if kind is text:
        return lambda value: type(value) is dict and _TEXT_ALONE.issuperset(map(type, value.values()))
    return lambda value: type(value) is dict and all(map(kind, value.values()))


def shaped(shape: Shape) -> Kind:
    """An object with these keys, each of its kind; none need be there."""
    kinds = tuple(shape.items())

    def is_shaped(value: Any) -> bool:
        return type(value) is dict and not [key for key, kind in kinds if key in value and not kind(value[key])]

    return is_shaped


def either(*kinds: Kind) -> Kind:
    """A value of one of these kinds."""
    return lambda value: any(kind(value) for kind in kinds)


def word(words: Collection[str]) -> Kind:
    """One of these words."""
    return lambda value: type(value) is str and value in words


def _is_decimal(value: str, most: Decimal) -> bool:
    """Of a text that is not as a meter writes its decimals."""
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return False
    return amount.is_finite() and abs(amount) <= most and amount.as_tuple().exponent in _EXPONENTS
