"""Typed access to a parsed scenario file, collecting every fault with the place it was written at.

A loader hands over nested dict, list and str, or the nodes of `config.yamlfile`, which also know their lines.
"""

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from costmeter.config import yamlfile
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND

DURATIONS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": NANOSECONDS_PER_SECOND,
    "min": NANOSECONDS_PER_MINUTE,
    "h": NANOSECONDS_PER_HOUR,
    "d": 24 * NANOSECONDS_PER_HOUR,
}
POWERS = {"mW": 1, "W": 1_000, "kW": 1_000_000}
SIZES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "GB": 10**9}
ENERGIES = {"mJ": 1, "J": 1_000, "kJ": 1_000_000, "MJ": 1_000_000_000}
PERCENT = {"%": 1}
PERCENT_IN_PPM = {"%": 10_000}

_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_QUANTITY = re.compile(r"(?P<number>[0-9]{1,15}(\.[0-9]{1,15})?) ?(?P<unit>[A-Za-z]+|%)")


@dataclass(frozen=True, slots=True)
class Faults:
    """Every fault found so far in one file."""

    filename: str
    lines: list[str] = field(default_factory=list)


class Field:
    """One value of the file: a block, a list or a word; reading it as something it is not notes a fault."""

    def __init__(self, node: object, path: str, faults: Faults) -> None:
        self.path = path
        self._node = node
        self._faults = faults
        self._used: set[str] = set()

    def fault(self, what: str) -> None:
        """Note that this value cannot be used, and why."""
        place = getattr(self._node, "place", None)
        where = place.brief if isinstance(place, yamlfile.Place) else self._faults.filename
        self._faults.lines.append(f"{where}: {self.path}: {what}" if self.path else f"{where}: {what}")

    def _entries(self) -> dict[str, object]:
        if isinstance(self._node, yamlfile.Mapping):
            return {key.text: value for key, value in self._node.entries}
        return {str(key): value for key, value in self._node.items()} if isinstance(self._node, dict) else {}

    def is_block(self) -> bool:
        return isinstance(self._node, (dict, yamlfile.Mapping))

    def is_list(self) -> bool:
        return isinstance(self._node, (list, yamlfile.Sequence))

    def get(self, key: str) -> "Field | None":
        """The value under a key of a block; None when the key is not there."""
        self._used.add(key)
        entries = self._entries()
        if key not in entries:
            return None
        return Field(entries[key], f"{self.path}.{key}" if self.path else key, self._faults)

    def need(self, key: str) -> "Field | None":
        """The value under a key that must be there."""
        value = self.get(key)
        if value is None:
            self.fault(f"`{key}` is missing; add it")
        return value

    def done(self) -> None:
        """Note every key that nobody asked for."""
        if not self.is_block():
            self.fault("expected a block of `key: value` lines")
        for key in self._entries():
            if key not in self._used:
                self.fault(f"unknown key `{key}`{nearest(key, self._used)}")

    def keys(self) -> Iterator[str]:
        """The keys of a block of free names."""
        for key in self._entries():
            self._used.add(key)
            yield key

    def items(self) -> list["Field"]:
        """The values of a list."""
        if isinstance(self._node, yamlfile.Sequence):
            values: list[object] = list(self._node.items)
        elif isinstance(self._node, list):
            values = self._node
        else:
            self.fault("expected a list")
            return []
        return [Field(value, f"{self.path}[{position}]", self._faults) for position, value in enumerate(values)]

    def text(self) -> str:
        """The value as a word."""
        if isinstance(self._node, yamlfile.Scalar):
            return self._node.text
        if isinstance(self._node, str):
            return self._node
        self.fault("expected one value")
        return ""

    def choice(self, words: Collection[str]) -> str | None:
        """The value, when it is one of these words."""
        word = self.text()
        if word in words:
            return word
        self.fault(f"`{word}` is not one of {', '.join(sorted(words))}{nearest(word, words)}")
        return None

    def flag(self) -> bool:
        return self.choice(("yes", "no")) == "yes"

    def whole(self, low: int, high: int) -> int:
        """The value as a whole number within bounds."""
        word = self.text()
        if word.isascii() and word.isdigit() and low <= int(word) <= high:
            return int(word)
        self.fault(f"`{word}` is not a whole number from {low} to {high}")
        return low

    def thousandths(self, high: int) -> int:
        """The value as a number from 0 to `high`, in thousandths."""
        word = self.text()
        if _NUMBER.fullmatch(word) and Fraction(word) <= high and (Fraction(word) * 1_000).denominator == 1:
            return (Fraction(word) * 1_000).numerator
        self.fault(f"`{word}` is not a number from 0 to {high:,} with at most three decimals")
        return 0

    def quantity(self, units: dict[str, int], low: int, example: str) -> int:
        """The value as a number with a unit, in the smallest unit; at least `low` of it."""
        written = _QUANTITY.fullmatch(self.text())
        if written is None or written["unit"] not in units:
            self.fault(f"`{self.text()}` is not a number with a unit ({', '.join(units)}); write it like `{example}`")
            return low
        value = Fraction(written["number"]) * units[written["unit"]]
        if value.denominator != 1:
            self.fault(f"`{self.text()}` is finer than can be kept")
            return low
        if value < low:
            self.fault(f"`{self.text()}` is too small")
            return low
        return value.numerator

    def duration(self, low_ns: int = 1) -> int:
        return self.quantity(DURATIONS, low_ns, "90 s")

    def milliwatts(self, low: int = 0) -> int:
        return self.quantity(POWERS, low, "620 W")

    def bytes(self) -> int:
        return self.quantity(SIZES, 0, "80 GiB")

    def percent(self) -> int:
        """The value as whole percent from 0 to 100."""
        value = self.quantity(PERCENT, 0, "98 %")
        if value > 100:
            self.fault(f"`{self.text()}` is above 100 %")
        return min(value, 100)


def nearest(word: str, known: Collection[str]) -> str:
    """A suggestion to put behind a fault, or nothing."""
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean `{close[0]}`?" if close else ""
