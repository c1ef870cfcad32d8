"""Of what day the rates in force are, where they say so: list prices, and series that were fetched."""

import re
from collections.abc import Mapping
from datetime import datetime, timezone

from costmeter.meter.charge import Origin

#: How origins say it: `list price 2026-11`, `(…, fetched 2026-11-22)`; a month, a day or an instant, in UTC.
_LISTED = re.compile(r"list price (\d{4}-\d\d(?:-\d\d)?)")
_FETCHED = re.compile(r"\bfetched (\d{4}-\d\d(?:-\d\d)?(?:T[0-9:.]+(?:Z|[+-]\d\d:\d\d)?)?)")


def rate_dates(origins: Mapping[str, Origin]) -> dict[str, float]:
    """Unix time by setting, of those whose origin has a date: a month is its first day.

    Where GPUs differ, what is theirs (`gpu.price.<uuid>`) is one setting, and its oldest date counts.
    """
    found: dict[str, float] = {}
    for name, origin in origins.items():
        at_seconds = _dated(origin)
        if at_seconds is not None:
            setting = ".".join(name.split(".", 2)[:2])
            found[setting] = min(at_seconds, found.get(setting, at_seconds))
    return found


def _dated(origin: Origin) -> float | None:
    said = _LISTED.fullmatch(origin.word) or _FETCHED.search(origin.detail)
    if said is None:
        return None
    text = said[1] if len(said[1]) > len("2026-11") else f"{said[1]}-01"
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:  # the 31st of some months: whoever wrote the file
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=timezone.utc)).timestamp()
