"""JSON answers, read with exact numbers: every mismatch is a FeedError that names the feed and the JSON path."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation

from costmeter.config.instant import read_instant
from costmeter.feeds.http import FeedError
from costmeter.units import NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
#: No price and no carbon intensity is beyond this, or finer than this many places.
_MOST_DIGITS, _MOST_PLACES = 9, 18
#: Milliseconds since 1970 have 13 digits until the year 2286.
_MOST_EPOCH_DIGITS = 13
_FIRST_YEAR, _LAST_YEAR = 1990, 2200
_SHOWN_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Payload:
    """A JSON value, and where it stands in the answer of which feed."""

    feed: str
    path: str
    value: object

    @classmethod
    def parse(cls, feed: str, body: bytes) -> "Payload":
        """The answer as a whole. Numbers stay exact; what is no JSON is a FeedError."""
        try:
            value = json.loads(
                body.decode("utf-8-sig"), parse_float=Decimal, parse_int=Decimal, parse_constant=_no_number
            )
        except (ValueError, RecursionError, InvalidOperation):
            begin = body[:_SHOWN_CHARACTERS].decode("utf-8", "replace")
            shown = "".join(character if character.isprintable() else " " for character in begin)
            raise FeedError(f'{feed}: the answer is no JSON; it begins "{shown}"', "check --url") from None
        return cls(feed, "", value)

    @property
    def is_null(self) -> bool:
        """Whether nothing stands there."""
        return self.value is None

    def at(self, key: str) -> "Payload":
        """The value under a key that must be there."""
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        if key not in self.value:
            raise FeedError(f"{self.feed}: the answer has no {self._under(key)}", self._hint)
        return self._child(key)

    def optional(self, key: str) -> "Payload":
        """The value under a key; null where there is no such key."""
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return self._child(key)

    def items(self) -> Iterator["Payload"]:
        """The members of a list."""
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        for position, value in enumerate(self.value):
            yield Payload(self.feed, f"{self.path}[{position}]", value)

    def text(self) -> str:
        """A text of sensible length on one line."""
        if not isinstance(self.value, str) or len(self.value) > 1000 or not self.value.isprintable():
            raise self.wrong("a short text")
        return self.value

    def decimal(self) -> Decimal:
        """A number that a price or an intensity can be."""
        if not isinstance(self.value, Decimal) or self.value.adjusted() > _MOST_DIGITS:
            raise self.wrong("a number")
        exponent = self.value.as_tuple().exponent
        if not isinstance(exponent, int) or exponent < -_MOST_PLACES:
            raise self.wrong(f"a number of at most {_MOST_PLACES} places")
        return self.value

    def epoch_ns(self, per_second: int) -> int:
        """An instant in whole minutes from a count since 1970, of `per_second` to the second; UTC nanoseconds."""
        value = self.value
        if not isinstance(value, Decimal) or value.adjusted() > _MOST_EPOCH_DIGITS or value != int(value):
            raise self.wrong("seconds or milliseconds since 1970")
        return self._minute(int(value) * (NANOSECONDS_PER_SECOND // per_second))

    def instant_ns(self) -> int:
        """An ISO 8601 instant with its offset, in whole minutes; UTC nanoseconds."""
        try:
            return self._minute(instant_ns(self.text()))
        except ValueError:
            raise self.wrong("an instant on a whole minute, such as 2026-11-22T14:00:00Z") from None

    def wrong(self, expected: str) -> FeedError:
        """What stands there is not what was expected."""
        shown = str(self.value) if isinstance(self.value, Decimal) else json.dumps(self.value, default=str)
        cut = shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"
        place = self.path or "the answer"
        return FeedError(f"{self.feed}: {place}: expected {expected}, found {cut}", self._hint)

    @property
    def _hint(self) -> str:
        return "check what was asked for; the server may have changed its format"

    def _under(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _child(self, key: str) -> "Payload":
        assert isinstance(self.value, dict)
        return Payload(self.feed, self._under(key), self.value.get(key))

    def _minute(self, utc_ns: int) -> int:
        year = (_EPOCH + timedelta(microseconds=utc_ns // 1000)).year if abs(utc_ns) < 10**19 else 0
        if utc_ns % NANOSECONDS_PER_MINUTE or not _FIRST_YEAR <= year < _LAST_YEAR:
            raise self.wrong("an instant on a whole minute")
        return utc_ns


def instant_ns(text: str) -> int:
    """UTC nanoseconds of an ISO 8601 instant with offset or Z, on a whole minute. Raises ValueError."""
    problem, utc_ns = read_instant(text)
    if utc_ns is None:
        raise ValueError(problem)
    return utc_ns


def _no_number(word: str) -> object:
    raise ValueError(word)
