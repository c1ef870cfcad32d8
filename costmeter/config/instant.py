"""Instants as people and programs write them: ISO 8601 to the minute, with `Z` or an offset."""

import re
from datetime import date
from functools import lru_cache
from typing import Final

from costmeter.config.faults import shown
from costmeter.units import NANOSECONDS_PER_SECOND

_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-9]{2}(?:\.[0-9]{1,9})?))?"
    r"(?:(Z)|([+-])([01][0-9]):([0-5][0-9]))?",
    re.ASCII,
)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
#: Nanoseconds since 1970 fit into 64 bits until 2262.
BEYOND_NS: Final = 7_258_118_400 * NANOSECONDS_PER_SECOND  # 2200-01-01T00:00Z


def read_instant(written: str) -> tuple[str, int | None]:
    """What is wrong with a text as an instant, or "" and its nanoseconds since 1970: a whole minute before 2200."""
    match = _INSTANT.fullmatch(written)
    if match is None:
        return f"expected an instant such as 2026-11-22T16:00Z, not {shown(written)}", None
    day, hour, minute, seconds, utc, sign, hours, minutes = match.groups()
    if utc is None and sign is None:
        return f"{shown(written)} has no offset; write Z for UTC, or +01:00", None
    if seconds is not None and seconds.strip("0.") != "":
        return f"{shown(written)} is not on a whole minute", None
    day_ns = midnight_ns(day)
    if day_ns is None:
        return f"{shown(written)} is no day of the calendar", None
    since_s = int(hour) * 3_600 + int(minute) * 60
    if sign is not None:
        offset_s = int(hours) * 3_600 + int(minutes) * 60
        since_s += -offset_s if sign == "+" else offset_s
    utc_ns = day_ns + since_s * NANOSECONDS_PER_SECOND
    if not 0 <= utc_ns < BEYOND_NS:
        return f"{shown(written)} is not between 1970 and 2199", None
    return "", utc_ns


@lru_cache(maxsize=400)
def midnight_ns(day: str) -> int | None:
    """Nanoseconds from 1970 to a day's UTC midnight; None when the calendar has no such day."""
    try:
        return (date.fromisoformat(day).toordinal() - _EPOCH_DAY) * 86_400 * NANOSECONDS_PER_SECOND
    except ValueError:
        return None
