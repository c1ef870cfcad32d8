"""What `when` is told, read: tariffs and series from files, zones, deadlines. What is wrong is a UsageError."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from costmeter.config.seriesfile import read_series
from costmeter.config.tariff import read_tariffs, succession
from costmeter.config.yamlfile import Fault
from costmeter.errors import UsageError
from costmeter.meter.schedule import Constant, Schedule
from costmeter.meter.tariff import Tariff
from costmeter.planning.numbers import number
from costmeter.rates.dated import GRAMS_PER_KWH, DatedSeries
from costmeter.rates.grid import zone as grid_zone
from costmeter.units import NANOSECONDS_PER_SECOND

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(
    r"(?:(?P<day>[a-z]{3})[a-z]*,?\s+)?(?P<hour>[01]?[0-9]|2[0-3]):(?P<minute>[0-5][0-9])", re.IGNORECASE
)
_FIRST_YEAR, _LAST_YEAR = 1980, 2200
_SHORT_OFFSET = re.compile(r"([+-][0-9]{2})$")


@dataclass(frozen=True, slots=True)
class Priced:
    """A price or an emission factor over time, the unit its values are in, and what it is, in words."""

    schedule: Schedule
    unit: str
    words: str

    @property
    def currency(self) -> str:
        """The currency of a price: "GBP" of "GBP/kWh"."""
        return self.unit.partition("/")[0]


def electricity(files: Sequence[str], plan: str | None, folder: str) -> Priced:
    """The price of a kWh by a series (.csv), or by tariff files: the price sheets of one tariff, or the plan named."""
    if len(files) == 1 and files[0].endswith(".csv"):
        dated = _series(files[0], folder, "--tariff")
        if not dated.unit.endswith("/kWh") or dated.unit == GRAMS_PER_KWH:
            raise UsageError(f"--tariff {files[0]}: a price of electricity is in money per kWh, not in {dated.unit}")
        return Priced(dated.series, dated.unit, f"{files[0]}{_of(dated.source)}")
    tariffs = [tariff for file in files for tariff in _tariffs(file, folder)]
    ids = list(dict.fromkeys(tariff.id for tariff in tariffs))
    if plan is not None and plan not in ids:
        raise UsageError(f'--plan "{plan}": the tariffs there are {", ".join(ids)}')
    chosen = [tariff for tariff in tariffs if plan in (None, tariff.id)]
    if plan is None and len(files) == 1 and len(ids) > 1:
        raise UsageError(f"--tariff {files[0]} holds several plans; name one: --plan {' or --plan '.join(ids)}")
    try:
        schedule = succession(chosen)
    except ValueError as error:
        raise UsageError(f"--tariff: {error}") from None
    return Priced(schedule, f"{chosen[0].currency}/kWh", f"tariff {chosen[0].id}")


def carbon(text: str, folder: str) -> Priced:
    """Grams of CO2e per kWh: a number, a series (.csv), or a zone of the bundled table."""
    if text.endswith(".csv"):
        dated = _series(text, folder, "--carbon")
        if dated.unit != GRAMS_PER_KWH:
            raise UsageError(f"--carbon {text}: an emission factor is in {GRAMS_PER_KWH}, not in {dated.unit}")
        kind = f", {dated.scope}" if dated.scope else ""
        return Priced(dated.series, GRAMS_PER_KWH, f"{text}{kind}{_of(dated.source)}")
    grams = number(text)
    if grams is not None:
        return Priced(Constant(grams), GRAMS_PER_KWH, f"{text} g/kWh")
    try:
        factor = grid_zone(text)
    except LookupError as error:
        raise UsageError(
            f"--carbon: {error.args[0]}", "a number such as 380, a zone such as DE, or a FILE.csv"
        ) from None
    return Priced(Constant(factor.grams_per_kwh), GRAMS_PER_KWH, factor.described)


def _tariffs(file: str, folder: str) -> tuple[Tariff, ...]:
    tariffs, faults = read_tariffs(os.path.join(folder, file), file)
    _refuse("--tariff", faults)
    return tariffs


def _series(file: str, folder: str, flag: str) -> DatedSeries:
    dated, faults = read_series(os.path.join(folder, file), file)
    _refuse(flag, faults)
    if dated is None:
        raise UsageError(f"{flag} {file}: there is no value in it")
    return dated


def _refuse(flag: str, faults: Sequence[Fault]) -> None:
    if faults:
        raise UsageError("\n".join([f"{flag} cannot be read:", *map(str, faults)]))


def _of(source: str) -> str:
    return f" ({source})" if source else ""


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
