"""Numbers as people write them in a plan: `175B`, `3.14e23`, `1.4T`, `15%`, `14.8d`. Exact, bounded, or refused."""

import re
from decimal import Decimal

#: At most 24 digits and a two-digit exponent: nothing anybody computes is longer, and `1e999999` would fill the memory.
_NUMBER = r"(?P<number>(?:[0-9]{1,24}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:e[+-]?[0-9]{1,2})?)"
_SCALED = re.compile(rf"{_NUMBER}\s?(?P<scale>[kmbt]?)", re.ASCII | re.IGNORECASE)
_SHARE = re.compile(rf"{_NUMBER}\s?(?P<percent>%?)", re.ASCII | re.IGNORECASE)
_HOURS = re.compile(rf"{_NUMBER}\s?(?P<unit>h|d|)", re.ASCII | re.IGNORECASE)
_GPUS = re.compile(r"(?:(?P<count>[0-9]{1,7})\s?[x×]\s?)?(?P<name>.*\S)", re.ASCII | re.IGNORECASE | re.DOTALL)
_SCALES = {"": 0, "k": 3, "m": 6, "b": 9, "t": 12}
_HOURS_PER = {"": 1, "h": 1, "d": 24}


def number(text: str) -> Decimal | None:
    """`300e9`, `175B` (billions), `1.4T` (trillions), `7M`, `10k`, in any case; None for what is no such number."""
    match = _SCALED.fullmatch(text.strip())
    return None if match is None else Decimal(match["number"]).scaleb(_SCALES[match["scale"].casefold()])


def share(text: str) -> Decimal | None:
    """`0.15` or `15%`, as a share of one; None for what is neither."""
    match = _SHARE.fullmatch(text.strip())
    return None if match is None else Decimal(match["number"]).scaleb(-2 if match["percent"] else 0)


def hours(text: str) -> Decimal | None:
    """`12`, `12h` or `14.8d` (days), in hours; None for what is no length of time."""
    match = _HOURS.fullmatch(text.strip())
    return None if match is None else Decimal(match["number"]) * _HOURS_PER[match["unit"].casefold()]


def gpus(text: str) -> tuple[int | None, str]:
    """`8xH100` as a count and a name; the name alone has no count."""
    match = _GPUS.fullmatch(text.strip())
    if match is None:
        return None, ""
    return (int(match["count"]) if match["count"] else None), match["name"]


def whole(text: str) -> int | None:
    """`8`, `10k` or `2e3`, as a whole number; None for a fraction and for what is no number."""
    value = number(text)
    return int(value) if value is not None and value == value.to_integral_value() and value < 1_000_000_000 else None
