"""The CSV that `nvidia-smi --query-gpu=… --format=csv` writes: its columns, its lines, its words for what is missing.

The format is the tool's own (`nvidia-smi --help-query-gpu`, driver 580): a header with units in brackets unless
`noheader`, fields divided by a comma and a blank, units behind values unless `nounits`, `[N/A]`, `[Not Supported]` and
the like for what a board does not tell. Timestamps are local time without a zone, `2026/11/22 14:03:12.345`.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo

from costmeter.readings import Missing
from costmeter.units import NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND

#: Our names, and what `--query-gpu` calls them; the first that a log has is taken.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "timestamp": ("timestamp",),
    "index": ("index",),
    "uuid": ("uuid", "gpu_uuid"),
    "name": ("name", "gpu_name"),
    "bus": ("pci.bus_id", "gpu_bus_id"),
    "power": ("power.draw", "power.draw.average", "power.draw.instant"),
    "utilization": ("utilization.gpu",),
    "limit": ("power.limit", "enforced.power.limit"),
    "memory": ("memory.used",),
}
#: What costmeter asks people to log.
QUERY = "timestamp,index,uuid,name,pci.bus_id,power.draw,utilization.gpu,power.limit,memory.used"
_TIMESTAMP = re.compile(
    r"([0-9]{4})[/-]([0-9]{2})[/-]([0-9]{2})[ T]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?", re.ASCII
)
_NUMBER = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)(?: ?(W|mW|%|MiB|MB|GiB))?", re.ASCII)
_UNIT = re.compile(r"\s*\[[^]]*\]$")
_MONITOR = re.compile(r"#\s*(?:gpu|Idx|Date)\b")
_BYTES = {None: 2**20, "MiB": 2**20, "MB": 10**6, "GiB": 2**30}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LEAST_FIELDS = 2
_TO_THE_MILLISECOND = len("2026/11/22 14:03:12.345")
_NANOSECONDS_PER_MILLISECOND = 1_000_000
#: So many different texts of a column are kept with what they say; a log repeats itself.
_KEPT = 10_000
#: Boards draw more than their limit for moments, and none draws twice as much. The largest limit of a card that is sold
#: is 1,400 W (GB300), so where the log tells no limit this is beyond what any draws.
_LIMITS_DRAWN, _MOST_WATTS = 2, 3_000


class BadLine(ValueError):
    """A line that says nothing usable, and why."""


class NotThisFormat(ValueError):
    """A file that is something else altogether, and what to log instead."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one line says of one GPU. `index` None and empty texts are columns that the log does not have."""

    utc_ns: int
    index: int | None
    uuid: str
    name: str
    bus: str
    power_watts: float | Missing
    utilization_ratio: float | Missing
    limit_watts: float | Missing
    memory_used_bytes: int | Missing

    @property
    def identity(self) -> str:
        """What tells this GPU from the others of the log."""
        return self.uuid or self.bus or f"index-{self.index or 0}"

    @property
    def is_nameless(self) -> bool:
        """Whether nothing tells this GPU from others: they would all look like one."""
        return self.index is None and not self.uuid and not self.bus


def columns(text: str) -> dict[str, int] | None:
    """Where our fields are in a header line, or in what `--query-gpu` was given; None for a line that is no header."""
    names = [_UNIT.sub("", field.strip()) for field in text.strip().split(",")]
    found = {
        ours: names.index(theirs[0])
        for ours, known in FIELDS.items()
        if (theirs := [name for name in known if name in names])
    }
    return found if "timestamp" in found else None


def unmet(found: Mapping[str, int]) -> str:
    """What a log with these columns lacks to be metered; empty when it has enough."""
    if "power" not in found and "utilization" not in found:
        return "it has neither power.draw nor utilization.gpu"
    return ""


class Reader:
    """Lines into what they say. `zone` is where the log was written; None is this machine's."""

    def __init__(self, found: Mapping[str, int] | None, zone: tzinfo | None) -> None:
        self._columns = dict(found) if found else None
        self._last_place = max(found.values()) if found else 0
        self._instants = _Instants(zone)
        self._power = _Quantity("power", _watts)
        self._utilization = _Quantity("utilization", lambda value, _: min(1.0, value / 100))
        self._limit = _Quantity("limit", _watts)
        self._memory = _Quantity("memory", lambda value, unit: value * _BYTES.get(unit, 2**20))

    @property
    def has_columns(self) -> bool:
        """Whether it is known by now what stands where."""
        return self._columns is not None

    @property
    def time_place(self) -> int:
        """In which field, from 1, the time is; 1 while nobody knows."""
        return 1 if self._columns is None else self._columns["timestamp"] + 1

    def line(self, text: str) -> Line | None:
        """What a line says; None for an empty one and for a header, which holds for what follows.

        Raises BadLine, and NotThisFormat for the tables of `nvidia-smi dmon` and `pmon`.
        """
        text = text.strip()
        if not text:
            return None
        if text[0] == "#" and _MONITOR.match(text):
            raise NotThisFormat("this is a table of nvidia-smi dmon or pmon, which is not read")
        if self._columns is None or "timestamp" in text:
            found = columns(text)
            if found is not None:
                self._columns, self._last_place = found, max(found.values())
                return None
        if self._columns is None:
            raise BadLine("no header yet")
        fields = text.split(",")
        if len(fields) < _LEAST_FIELDS or len(fields) <= self._last_place:
            raise BadLine(f"{len(fields)} fields where {self._last_place + 1} are needed")
        return self._read([field.strip() for field in fields], self._columns)

    def _read(self, fields: Sequence[str], at: Mapping[str, int]) -> Line:
        index = at.get("index")
        if index is not None and not fields[index].isdecimal():
            raise BadLine(f'index "{fields[index][:20]}" is no number')
        power, limit = self._power.of(fields, at), self._limit.of(fields, at)
        _check_power(power, limit)
        memory = self._memory.of(fields, at)
        return Line(
            self._instants.utc_ns(fields[at["timestamp"]]),
            None if index is None else int(fields[index]),
            _word(fields, at, "uuid"),
            _word(fields, at, "name"),
            _word(fields, at, "bus"),
            power,
            self._utilization.of(fields, at),
            limit,
            memory if isinstance(memory, Missing) else round(memory),
        )


class _Instants:
    """Local timestamps as UTC. A clock that goes back within the hour that comes twice is in its second pass."""

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone
        self._minutes: dict[tuple[str, int], int] = {}
        self._last_local = ""
        self._fold = 0
        self._last_second, self._second_ns = "", 0

    def utc_ns(self, text: str) -> int:
        """Nanoseconds since 1970. Raises BadLine for what is no timestamp."""
        if len(text) == _TO_THE_MILLISECOND and text.startswith(self._last_second) and self._last_second:
            milliseconds = text[20:]  # of the second that the line before was in, as most are
            if text[19] == "." and milliseconds.isascii() and milliseconds.isdecimal():
                return self._second_ns + int(milliseconds) * _NANOSECONDS_PER_MILLISECOND
        match = _TIMESTAMP.fullmatch(text)
        if match is None:
            raise BadLine(f'"{text[:40]}" is no timestamp such as 2026/11/22 14:03:12.345')
        local = text[:16]
        if local != self._last_local:
            if local < self._last_local and self._is_ambiguous(match):
                self._fold = 1
            elif self._fold and not self._is_ambiguous(match):
                self._fold = 0
            self._last_local = local
        key = (local, self._fold)
        minute_ns = self._minutes.get(key)
        if minute_ns is None:
            if len(self._minutes) > 100:
                self._minutes.clear()
            minute_ns = self._minutes[key] = self._minute_ns(match, self._fold)
        seconds = int(match[6])
        if seconds > 59:
            raise BadLine(f'"{text[:40]}" is no timestamp such as 2026/11/22 14:03:12.345')
        fraction_ns = int((match[7] or "0").ljust(9, "0"))
        self._last_second, self._second_ns = text[:19], minute_ns + seconds * NANOSECONDS_PER_SECOND
        return self._second_ns + fraction_ns

    def _is_ambiguous(self, match: re.Match[str]) -> bool:
        return self._minute_ns(match, 0) != self._minute_ns(match, 1)

    def _minute_ns(self, match: re.Match[str], fold: int) -> int:
        try:
            year, month, day, hour, minute = (int(part) for part in match.groups()[:5])
            shown = datetime(year, month, day, hour, minute, fold=fold)
            aware = shown.astimezone() if self._zone is None else shown.replace(tzinfo=self._zone)
            minutes = (aware - _EPOCH) // timedelta(minutes=1)
        except (ValueError, OverflowError, OSError):
            raise BadLine(f'"{match[0][:40]}" is no time of the calendar') from None
        return minutes * NANOSECONDS_PER_MINUTE


def _check_power(power: float | Missing, limit: float | Missing) -> None:
    """Raise BadLine for a power that no board draws: it would be paid for."""
    if isinstance(power, Missing):
        return
    if not isinstance(limit, Missing) and limit > 0:
        if power > _LIMITS_DRAWN * limit:
            raise BadLine(f"power.draw of {power:,.0f} W: more than twice the limit, {limit:,.0f} W")
    elif power > _MOST_WATTS:
        raise BadLine(f"power.draw of {power:,.0f} W: no GPU draws more than {_MOST_WATTS:,} W")


def _word(fields: Sequence[str], at: Mapping[str, int], name: str) -> str:
    place = at.get(name)
    return "" if place is None or fields[place].startswith("[") else fields[place]


class _Quantity:
    """A column of numbers in our unit; what stands in brackets, or is not in the log, is missing with that reason."""

    def __init__(self, name: str, convert: Callable[[float, str | None], float]) -> None:
        self._name, self._theirs, self._convert = name, FIELDS[name][0], convert
        self._absent = Missing(f"{self._theirs} is not in the log")
        self._known: dict[str, float | Missing] = {}

    def of(self, fields: Sequence[str], at: Mapping[str, int]) -> float | Missing:
        """What a line says of it. Raises BadLine for what is neither a number nor a word of the tool's."""
        place = at.get(self._name)
        if place is None:
            return self._absent
        text = fields[place]
        said = self._known.get(text)
        if said is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            said = self._known[text] = self._read(text)
        return said

    def _read(self, text: str) -> float | Missing:
        match = _NUMBER.fullmatch(text)
        if match is None:
            if text.startswith("[") or text in ("N/A", "", "Not Supported", "ERR!"):
                return Missing(f"{self._theirs}: nvidia-smi said {text.strip('[]') or 'nothing'}")
            raise BadLine(f'{self._theirs} "{text[:20]}" is no number')
        value = float(match[1])
        if value < 0 or not math.isfinite(value):
            raise BadLine(f'{self._theirs} "{text[:20]}" is below nothing')
        return self._convert(value, match[2])


def _watts(value: float, unit: str | None) -> float:
    return value / 1_000 if unit == "mW" else value
