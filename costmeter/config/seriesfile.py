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
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Final, NamedTuple

from costmeter.config.faults import shown, suggestion
from costmeter.config.instant import BEYOND_NS, midnight_ns, read_instant
from costmeter.config.number import decimal
from costmeter.config.seriescolumns import Columns, stretches
from costmeter.config.textfile import text
from costmeter.config.yamlfile import Fault, Place
from costmeter.meter.series import OPEN_END, Series
from costmeter.rates.dated import DatedSeries, normal_unit
from costmeter.units import iso_minute

MAX_SERIES_BYTES = 8_000_000
#: Faults of one file that are printed; a wrong column would be a fault in every row.
MAX_FAULTS = 20
_SCOPES = ("lifecycle", "direct")
_KNOWN = ("source", "licence", "fetched", "scope", "method", "zone", "unit")
_COMMENT = re.compile(rf"#\s*({'|'.join(_KNOWN)})\s*:\s*(\S.*)", re.ASCII)
_FETCHED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9:]+)?)?", re.ASCII)
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
    dated = _Reader(shown_as, form).read_plain(content)
    if dated is not None:
        return dated, ()
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


class _Reader:
    """Reads one text, collecting faults."""

    def __init__(self, shown_as: str, form: SeriesFormat) -> None:
        self.faults: list[Fault] = []
        self._shown_as = shown_as
        self._form = form
        self._facts: dict[str, tuple[str, int]] = {}
        self._columns: Columns | None = None
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
        kept = self._kept(rows)
        if self.faults:
            return None
        starts, ends = tuple(row.start_ns for row in kept), tuple(row.end_ns for row in kept)
        return self._dated(Series(starts, self._ends(starts, ends), _scaled([row.value for row in kept], factor)), unit)

    def read_plain(self, content: str) -> DatedSeries | None:
        """The same of a text whose rows can be read column by column: as `read`, or None."""
        body_at = _below_header(content)
        first_end = content.find("\n", body_at) + 1 or len(content)
        head = content[:first_end]
        # What stands above, and the first row's unit, are read as ever; a quote could reach into the rows.
        if body_at == 0 or '"' in head or len(list(self._rows(head))) != 1 or self._columns is None:
            return None
        found = stretches(content[body_at:], self._columns)
        unit, factor = self._unit()
        if found is None or self.faults:
            return None
        ends = self._ends(found.starts_utc_ns, found.ends_utc_ns)
        return self._dated(Series(found.starts_utc_ns, ends, _scaled(found.values, factor)), unit)

    def _dated(self, series: Series, unit: str) -> DatedSeries:
        """The series with what its file says about it."""
        source, fetched, scope, method = (
            self._facts.get(key, ("", 0))[0] for key in ("source", "fetched", "scope", "method")
        )
        return DatedSeries(series, unit, source, fetched, scope, method)

    def _rows(self, content: str) -> Iterator[_Row]:
        """Every row that can be understood. Quoted cells that span lines are counted at their last line."""
        lines = csv.reader(content.splitlines(keepends=True))
        try:
            for cells in lines:
                if not cells or (len(cells) == 1 and not cells[0].strip()):
                    continue
                if cells[0].startswith("#"):
                    self._comment(",".join(cells), lines.line_num)
                elif self._columns is None:
                    self._columns = self._header([cell.strip() for cell in cells], lines.line_num)
                    if self._columns is None:
                        return
                else:
                    row = self._row(cells, self._columns, lines.line_num)
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

    def _header(self, names: list[str], line: int) -> Columns | None:
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
        end = names.index(form.end_column) if form.end_column in names else None
        time, value = names.index(form.time_column), names.index(form.value_column)
        return Columns(time, value, end, others, len(names))

    def _row(self, cells: list[str], columns: Columns, line: int) -> _Row | None:
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
        known_ns, since_ns = self._midnights.get(cell[:10]), self._clocks.get(cell[10:])
        if known_ns is not None and since_ns is not None and 0 <= known_ns + since_ns < BEYOND_NS:
            return known_ns + since_ns
        problem, instant_ns = read_instant(cell.strip())
        if instant_ns is None:
            self._fault(line, problem)
        elif (day_ns := midnight_ns(cell[:10])) is not None:
            self._midnights[cell[:10]], self._clocks[cell[10:]] = day_ns, instant_ns - day_ns
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

    def _kept(self, rows: list[_Row]) -> list[_Row]:
        """The rows in the order of time, without repetitions."""
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
        return kept

    def _ends(self, starts: tuple[int, ...], written: tuple[int | None, ...]) -> tuple[int, ...]:
        """When each row ends: as written, else after the resolution, else where the next begins."""
        last_ns, has_ends = OPEN_END, self._columns is not None and self._columns.end is not None
        if len(starts) > 1 and not has_ends:
            last_ns = 2 * starts[-1] - starts[-2]
        nexts = (*starts[1:], last_ns)
        if self._form.resolution_ns is not None:
            latest = (*starts[1:], OPEN_END)
            nexts = tuple(min(start + self._form.resolution_ns, end) for start, end in zip(starts, latest, strict=True))
        return tuple([after if end is None else end for end, after in zip(written, nexts, strict=True)])

    def _fault(self, line: int, what: str) -> None:
        self.faults.append(Fault(Place(self._shown_as, line, 1), what))


def _below_header(content: str) -> int:
    """Where the rows of a text begin: below comments and one line more. 0 when there is nothing below."""
    at = 0
    while content.startswith("#", at):
        at = content.find("\n", at) + 1
        if at == 0:
            return 0
    return content.find("\n", at) + 1


def _scaled(values: list[Decimal], factor: Decimal) -> tuple[Decimal, ...]:
    """Values in the normal unit, exactly."""
    return tuple(values) if factor == 1 else tuple([_EXACT.multiply(value, factor) for value in values])
