"""The rows of a plain CSV read column by column: a year of half hours in a fraction of the time that rows take.

Only for text that leaves nothing to decide: as many cells in every line, no quotes, instants and numbers without
blanks, stretches in the order of time (or all of it backwards). Everything else, and every fault, is for whoever reads
row by row. What is read here is what would be read there, to the last digit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import add, ge, gt, itemgetter
from typing import Final

from costmeter.config.instant import BEYOND_NS, read_instant
from costmeter.config.number import decimals
from costmeter.units import NANOSECONDS_PER_SECOND

#: Longer lines are read row by row, where a cell may be too long.
_MAX_LINE: Final = 10_000
#: The two parts of an instant in a cell.
_DAY, _CLOCK = itemgetter(slice(10)), itemgetter(slice(10, None))
#: Any day: what a clock time and its offset add to a midnight is the same on each.
_SOME_DAY: Final = "2026-01-01"
_SOME_MIDNIGHT_NS: Final = 1_767_225_600 * NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a row of `count` cells things stand; None is nowhere. `others` are the unit, the scope, the method."""

    time: int
    value: int
    end: int | None
    others: tuple[tuple[str, int], ...]
    count: int


@dataclass(frozen=True, slots=True)
class Stretches:
    """Starts, ascending, ends as far as they are written, and the values as they are written."""

    starts_utc_ns: tuple[int, ...]
    ends_utc_ns: tuple[int | None, ...]
    values: list[Decimal]


def stretches(body: str, columns: Columns) -> Stretches | None:
    """All rows below a header; None where they are not that plain, or not right."""
    cells = _cells(body, columns.count)
    if cells is None or any(len(set(cells[position])) > 1 for _, position in columns.others):
        return None
    if cells[columns.time][0] > cells[columns.time][-1]:  # newest first, as many APIs give it
        cells = [column[::-1] for column in cells]
    starts = _instants(cells[columns.time])
    values = decimals(cells[columns.value])
    if starts is None or values is None or any(map(ge, starts, starts[1:])):
        return None
    ends = _ends(cells[columns.end], cells[columns.time], starts) if columns.end is not None else (None,) * len(starts)
    return None if ends is None else Stretches(starts, ends, values)


def _cells(body: str, count: int) -> list[list[str]] | None:
    """The columns of a text in which only commas and line feeds divide, with so many cells in each line."""
    rows = body.removesuffix("\n")
    lines = rows.split("\n")
    inline = ",".join(lines)
    if not inline.isascii() or not inline.isprintable() or '"' in inline or "\n#" in f"\n{rows}":
        return None
    if {line.count(",") for line in lines} != {count - 1} or max(map(len, lines)) > _MAX_LINE:
        return None
    flat = inline.split(",")
    return [flat[position::count] for position in range(count)]


def _instants(cells: Sequence[str]) -> tuple[int, ...] | None:
    """Nanoseconds since 1970. A year has 365 days, and a day 48 half hours: each is read once and then known."""
    days, clocks = list(map(_DAY, cells)), list(map(_CLOCK, cells))
    midnights, sinces = {}, {}
    for day in set(days):
        if (midnight_ns := read_instant(f"{day}T00:00Z")[1]) is None:
            return None
        midnights[day] = midnight_ns
    for clock in set(clocks):
        if (at_ns := read_instant(f"{_SOME_DAY}{clock}")[1]) is None:
            return None
        sinces[clock] = at_ns - _SOME_MIDNIGHT_NS
    instants = tuple(map(add, map(midnights.__getitem__, days), map(sinces.__getitem__, clocks)))
    return instants if min(instants) >= 0 and max(instants) < BEYOND_NS else None


def _ends(written: list[str], starting: list[str], starts: tuple[int, ...]) -> tuple[int | None, ...] | None:
    """Where rows end, none written or only the last one's not; None where it is otherwise, or no row could end."""
    if not any(written):
        return (None,) * len(written)
    is_open = not written[-1]
    if written[: len(written) - 1] == starting[1:]:  # the usual: each ends where the next begins
        last = () if is_open else _instants(written[-1:])
        ends = None if last is None else starts[1:] + last
    else:
        ends = _instants(written[:-1] if is_open else written)
    if ends is None or any(map(ge, starts, ends)) or any(map(gt, ends, starts[1:])):
        return None
    return (*ends, None) if is_open else ends
