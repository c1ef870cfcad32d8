"""What `when` is told of time, and of whose money: deadlines and starts as instants, the currency of a price file."""

import os
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from costmeter.config.seriesfile import read_series
from costmeter.config.tariff import read_tariffs
from costmeter.errors import UsageError
from costmeter.rates.dated import GRAMS_PER_KWH
from costmeter.units import NANOSECONDS_PER_SECOND

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(
    r"(?:(?P<day>[a-z]{3})[a-z]*,?\s+)?(?P<hour>[01]?[0-9]|2[0-3]):(?P<minute>[0-5][0-9])", re.IGNORECASE
)
_FIRST_YEAR, _LAST_YEAR = 1980, 2200
_SHORT_OFFSET = re.compile(r"([+-][0-9]{2})$")


def currency_of(files: Sequence[str], folder: str) -> str | None:
    """The currency of a tariff (.yaml) or of a dated series (.csv); None where none can be read from the first file."""
    path = os.path.join(folder, files[0])
    if files[0].casefold().endswith((".yaml", ".yml")):
        tariffs, _ = read_tariffs(path, files[0])
        return tariffs[0].currency if tariffs else None
    dated, _ = read_series(path, files[0]) if files[0].casefold().endswith(".csv") else (None, ())
    return dated.unit.partition("/")[0] if dated is not None and dated.unit != GRAMS_PER_KWH else None


def instant(text: str, after_ns: int, zone: tzinfo | None, flag: str) -> int:
    """An ISO time, or the next `09:00` or `Mon 09:00` after an instant, as UTC nanoseconds.

    Without an offset it is the time of the zone, None being the machine's. Raises UsageError for everything else.
    """
    clock = _CLOCK.fullmatch(text.strip())
    if clock is not None:
        return _next(clock, text, after_ns, zone, flag)
    iso = _SHORT_OFFSET.sub(r"\1:00", text.strip()) if "T" in text.upper() else text.strip()
    try:
        shown = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", iso))
        if not _FIRST_YEAR <= shown.year < _LAST_YEAR:
            raise ValueError("no year of any price series")
    except ValueError:
        example = "a time such as 2026-11-23T09:00, 09:00 or Mon 09:00"
        raise UsageError(f'{flag} "{text}": expected {example}') from None
    return _utc_ns(shown, zone)


def _next(clock: re.Match[str], text: str, after_ns: int, zone: tzinfo | None, flag: str) -> int:
    today = local(after_ns, zone).date()
    day = clock["day"]
    if day is not None and day.casefold() not in _DAYS:
        raise UsageError(f'{flag} "{text}": no such day; the days are {", ".join(_DAYS)}')
    for ahead in range(9):
        date = today + timedelta(days=ahead)
        if day is not None and date.weekday() != _DAYS.index(day.casefold()):
            continue
        found_ns = _utc_ns(datetime(date.year, date.month, date.day, int(clock["hour"]), int(clock["minute"])), zone)
        if found_ns > after_ns:
            return found_ns
    raise UsageError(f'{flag} "{text}": no such time in the coming week')


def _utc_ns(shown: datetime, zone: tzinfo | None) -> int:
    if shown.tzinfo is None and zone is not None:
        shown = shown.replace(tzinfo=zone)
    return int(shown.timestamp()) * NANOSECONDS_PER_SECOND


def local(utc_ns: int, zone: tzinfo | None) -> datetime:
    """What the wall clock of a zone shows at an instant; None is the machine's."""
    return datetime.fromtimestamp(utc_ns // NANOSECONDS_PER_SECOND, zone).astimezone(zone)


def is_ambiguous(utc_ns: int, zone: tzinfo | None) -> bool:
    """Whether the wall clock shows this time twice, as in the night of autumn."""
    shown = local(utc_ns, zone).replace(tzinfo=None)
    both = [shown.replace(fold=fold) for fold in (0, 1)]
    offsets = {(time.astimezone() if zone is None else time.replace(tzinfo=zone)).utcoffset() for time in both}
    return len(offsets) > 1
