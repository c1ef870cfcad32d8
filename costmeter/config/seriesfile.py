"""Dated series in files: what `costmeter prices fetch` writes, and any CSV with an instant and a value in each row.

::

    # source: where it is from
    start_utc,end_utc,value,unit
    2026-01-01T00:00Z,2026-01-01T00:30Z,0.2031,GBP/kWh

Comment lines say `# key: value`; the keys are source, licence, fetched, scope, method, zone and unit. Rows may stand in
any order, for APIs give the newest first. Instants carry `Z` or an offset, so the hour that happens twice in autumn is
two hours.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from costmeter.config.faults import shown, suggestion
from costmeter.config.number import decimal
from costmeter.config.textfile import text
from costmeter.config.yamlfile import Fault, Place
from costmeter.meter.series import OPEN_END, Series
from costmeter.rates.dated import DatedSeries, normal_unit
from costmeter.units import NANOSECONDS_PER_SECOND, iso_minute

MAX_SERIES_BYTES = 8_000_000
#: Faults of one file that are printed; a wrong column would be a fault in every row.
MAX_FAULTS = 20
_SCOPES = ("lifecycle", "direct")
_KNOWN = ("source", "licence", "fetched", "scope", "method", "zone", "unit")
_COMMENT = re.compile(rf"#\s*({'|'.join(_KNOWN)})\s*:\s*(\S.*)", re.ASCII)
_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-9]{2}(?:\.[0-9]{1,9})?))?"
    r"(?:(Z)|([+-])([01][0-9]):([0-5][0-9]))?",
    re.ASCII,
)
_FETCHED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9:]+)?)?", re.ASCII)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
#: Nanoseconds since 1970 fit into 64 bits until 2262.
_BEYOND_S: Final = 7_258_118_400  # 2200-01-01T00:00Z
#: Moving the point of a number rounds nothing at this precision: no number here has more digits.
_EXACT: Final = Context(prec=80)


@dataclass(frozen=True, slots=True)
class SeriesFormat:
    """How a CSV names what it holds. `currency` is the one that bare cents are of.

    Without an end a row lasts `resolution_ns`, but not beyond the next row; without that, until the next row. The last
    row is then open in a file that has a column of ends, else it is as long as the one before.
    """

    time_column: str = "start_utc"
    end_column: str = "end_utc"
    value_column: str = "value"
    unit: str | None = None
    resolution_ns: int | None = None
    currency: str = ""


OUR_FORMAT: Final = SeriesFormat()


def read_series(
    path: str, shown_as: str, form: SeriesFormat = OUR_FORMAT
) -> tuple[DatedSeries | None, tuple[Fault, ...]]:
    """The series of a file, in a normal unit; None and every fault when there is one. Faults name file and line."""
    content, faults = text(path, shown_as, MAX_SERIES_BYTES)
    if faults:
        return None, faults
    return parse_series(content, shown_as, form)


def parse_series(
    content: str, shown_as: str, form: SeriesFormat = OUR_FORMAT
) -> tuple[DatedSeries | None, tuple[Fault, ...]]:
    """The series that a text is, as `read_series`."""
    reader = _Reader(shown_as, form)
    dated = reader.read(content)
    found = reader.faults
    if len(found) > MAX_FAULTS:
        more = Fault(found[MAX_FAULTS].place, f"and {len(found) - MAX_FAULTS} more faults from here on")
        found = [*found[:MAX_FAULTS], more]
    return (None if found else dated), tuple(found)


class _Row(NamedTuple):
    """One row: instants in nanoseconds, and the line it stands on. The end is None where none is written.

    A tuple, because a year of half hours has 17,520 of them and a tuple is made in a third of the time.
    """

    start_ns: int
    end_ns: int | None
    value: Decimal
    line: int


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where in a row things stand; None is nowhere."""

    time: int
    value: int
    end: int | None
    others: tuple[tuple[str, int], ...]


class _Reader:
    """Reads one text, collecting faults."""

    def __init__(self, shown_as: str, form: SeriesFormat) -> None:
        self.faults: list[Fault] = []
        self._shown_as = shown_as
        self._form = form
        self._facts: dict[str, tuple[str, int]] = {}
        self._has_ends = False
        self._latest: dict[str, str] = {}
        self._midnights: dict[str, int] = {}
        self._clocks: dict[str, int] = {}

    def read(self, content: str) -> DatedSeries | None:
        """The whole text; what it returns counts only when there is no fault."""
        rows = list(self._rows(content))
        if not rows:
            if not self.faults:
                self._fault(max(1, content.count("\n")), "no rows; a series has at least one")
            return None
        unit, factor = self._unit()
        series = self._series(rows, factor)
        if self.faults or series is None:
            return None
        source, fetched, scope, method = (
            self._facts.get(key, ("", 0))[0] for key in ("source", "fetched", "scope", "method")
        )
        return DatedSeries(series, unit, source, fetched, scope, method)

    def _rows(self, content: str) -> Iterator[_Row]:
        """Every row that can be understood. Quoted cells that span lines are counted at their last line."""
        columns: _Columns | None = None
        lines = csv.reader(content.splitlines(keepends=True))
        try:
            for cells in lines:
                if not cells or (len(cells) == 1 and not cells[0].strip()):
                    continue
                if cells[0].startswith("#"):
                    self._comment(",".join(cells), lines.line_num)
                elif columns is None:
                    columns = self._header([cell.strip() for cell in cells], lines.line_num)
                    if columns is None:
                        return
                else:
                    row = self._row(cells, columns, lines.line_num)
                    if row is not None:
                        yield row
        except csv.Error as problem:
            self._fault(max(1, lines.line_num), f"not CSV: {problem}")

    def _comment(self, line: str, number: int) -> None:
        match = _COMMENT.match(line)
        if match is None:
            return
        key, value = match[1], match[2].strip()
        if key == "fetched" and not _FETCHED.fullmatch(value):
            self._fault(number, f"fetched: expected a date such as 2026-11-22T16:05Z, not {shown(value)}")
        self._fact(key, value, number)

    def _fact(self, key: str, value: str, line: int) -> None:
        """Something that holds for the whole file; said twice, it must be the same."""
        said, first_line = self._facts.setdefault(key, (value, line))
        if key == "scope" and value not in _SCOPES and line == first_line:
            self._fault(line, f"scope: expected lifecycle or direct, not {shown(value)}")
        if said != value and key in ("unit", "scope", "method"):
            before = f"{shown(said)} on line {first_line}"
            self._fault(line, f"{key} {shown(value)}, but {before}; one series has one {key}")

    def _header(self, names: list[str], line: int) -> _Columns | None:
        form, before = self._form, len(self.faults)
        wanted = [form.time_column, form.value_column]
        if form.end_column in names or form.end_column != OUR_FORMAT.end_column:
            wanted.append(form.end_column)
        if len(names) == 1:
            self._fault(line, f"expected a header such as start_utc,end_utc,value,unit, not {shown(names[0])}")
            return None
        for name in wanted:
            if name not in names:
                self._fault(line, f"no column {shown(name)} in the header{suggestion(name, names)}")
            elif names.count(name) > 1:
                self._fault(line, f"column {shown(name)} stands twice in the header")
        if len(self.faults) > before:
            return None
        others = tuple((name, names.index(name)) for name in ("unit", "scope", "method") if name in names)
        self._has_ends = form.end_column in names
        end = names.index(form.end_column) if self._has_ends else None
        return _Columns(names.index(form.time_column), names.index(form.value_column), end, others)

    def _row(self, cells: list[str], columns: _Columns, line: int) -> _Row | None:
        try:
            start, written = cells[columns.time], cells[columns.value]
            end = cells[columns.end] if columns.end is not None else ""
        except IndexError:
            self._fault(line, f"{len(cells)} cells; the header has more")
            return None
        for key, position in columns.others:
            said = cells[position] if position < len(cells) else ""
            if self._latest.get(key) != said:
                self._latest[key] = said
                self._fact(key, said.strip(), line)
        start_ns = self._instant(start, line)
        end_ns = self._instant(end, line) if end.strip() else None
        value = decimal(written)
        if value is None:
            value = self._number(written.strip(), line)
        if start_ns is None or value is None or (end_ns is None and end.strip()):
            return None
        if end_ns is not None and end_ns <= start_ns:
            self._fault(line, f"ends {end.strip()}, which is not after its start {start.strip()}")
            return None
        return _Row(start_ns, end_ns, value, line)

    def _number(self, written: str, line: int) -> Decimal | None:
        value = decimal(written)
        if value is None:
            hint = "" if written else "; leave out the row of a value that nobody knows"
            self._fault(line, f"expected a number such as 0.2031, not {shown(written)}{hint}")
        return value

    def _instant(self, cell: str, line: int) -> int | None:
        """Nanoseconds of an instant. A year has 365 days and 48 half hours: each is read once and then known."""
        midnight_ns, since_ns = self._midnights.get(cell[:10]), self._clocks.get(cell[10:])
        if midnight_ns is not None and since_ns is not None:
            return midnight_ns + since_ns
        problem, instant_ns = _read_instant(cell.strip())
        if instant_ns is None:
            self._fault(line, problem)
            return None
        midnight_s = _midnight_s(cell[:10])
        if midnight_s is not None:
            self._midnights[cell[:10]] = midnight_s * NANOSECONDS_PER_SECOND
            self._clocks[cell[10:]] = instant_ns - midnight_s * NANOSECONDS_PER_SECOND
        return instant_ns

    def _unit(self) -> tuple[str, Decimal]:
        """The normal unit and the factor towards it; a fault when nobody says, or says something else."""
        written, line = self._facts.get("unit", (self._form.unit or "", 1))
        if not written:
            self._fault(1, "no unit; add a first line such as  # unit: GBP/kWh")
            return "", Decimal(1)
        try:
            found = normal_unit(written, self._form.currency)
            if self._form.unit and normal_unit(self._form.unit, self._form.currency) != found:
                self._fault(line, f"unit {shown(written)}, but {shown(self._form.unit)} was expected")
            return found
        except ValueError as problem:
            self._fault(line, str(problem))
            return "", Decimal(1)

    def _series(self, rows: list[_Row], factor: Decimal) -> Series | None:
        """The rows in the order of time, without repetitions, each with an end."""
        rows.sort(key=lambda row: (row.start_ns, row.line))
        kept: list[_Row] = []
        for row in rows:
            before = kept[-1] if kept else None
            if before is not None and before.start_ns == row.start_ns:
                if (before.value, before.end_ns) != (row.value, row.end_ns):
                    self._fault(row.line, f"{iso_minute(row.start_ns)} again, otherwise than on line {before.line}")
                continue
            if before is not None and before.end_ns is not None and before.end_ns > row.start_ns:
                self._fault(row.line, f"overlaps line {before.line}, which ends {iso_minute(before.end_ns)}")
            kept.append(row)
        if self.faults:
            return None
        starts = tuple(row.start_ns for row in kept)
        scaled = tuple(row.value for row in kept)
        if factor != 1:
            scaled = tuple(_EXACT.multiply(value, factor) for value in scaled)
        return Series(starts, self._ends(kept), scaled)

    def _ends(self, rows: Sequence[_Row]) -> tuple[int, ...]:
        """When each row ends: as written, else after the resolution, else where the next begins."""
        last = len(rows) - 1
        ends = []
        for position, row in enumerate(rows):
            next_ns = rows[position + 1].start_ns if position < last else OPEN_END
            if row.end_ns is not None:
                ends.append(row.end_ns)
            elif self._form.resolution_ns is not None:
                ends.append(min(row.start_ns + self._form.resolution_ns, next_ns))
            elif position < last or self._has_ends or position == 0:
                ends.append(next_ns)
            else:
                ends.append(row.start_ns + row.start_ns - rows[position - 1].start_ns)
        return tuple(ends)

    def _fault(self, line: int, what: str) -> None:
        self.faults.append(Fault(Place(self._shown_as, line, 1), what))


def _read_instant(written: str) -> tuple[str, int | None]:
    """What is wrong with a text as an instant, or its nanoseconds."""
    match = _INSTANT.fullmatch(written)
    if match is None:
        return f"expected an instant such as 2026-11-22T16:00Z, not {shown(written)}", None
    day, hour, minute, seconds, utc, sign, hours, minutes = match.groups()
    if utc is None and sign is None:
        return f"{shown(written)} has no offset; write Z for UTC, or +01:00", None
    if seconds is not None and seconds.strip("0.") != "":
        return f"{shown(written)} is not on a whole minute", None
    midnight_s = _midnight_s(day)
    if midnight_s is None:
        return f"{shown(written)} is no day of the calendar", None
    utc_s = midnight_s + int(hour) * 3_600 + int(minute) * 60
    if sign is not None:
        offset_s = int(hours) * 3_600 + int(minutes) * 60
        utc_s += -offset_s if sign == "+" else offset_s
    if not 0 <= utc_s < _BEYOND_S:
        return f"{shown(written)} is not between 1970 and 2199", None
    return "", utc_s * NANOSECONDS_PER_SECOND


@lru_cache(maxsize=400)
def _midnight_s(day: str) -> int | None:
    """Seconds of a day's UTC midnight since 1970; None when the calendar has no such day."""
    try:
        return (date.fromisoformat(day).toordinal() - _EPOCH_DAY) * 86_400
    except ValueError:
        return None
