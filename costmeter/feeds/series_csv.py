"""Dated series as CSV files: their text, and what a file already holds merged with what came.

The format is the one that `costmeter.config.seriesfile` reads: facts as `# key: value` lines, a header, and a row for
each stretch. The line `# feed:` says of what a file is; nothing else is ever merged into it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from itertools import chain

from costmeter.config.seriesfile import MAX_SERIES_BYTES
from costmeter.config.textfile import content, reason
from costmeter.feeds.http import FeedError
from costmeter.feeds.payload import instant_ns
from costmeter.feeds.series import Answer, Row
from costmeter.units import iso_minute

#: After every instant there is: the year 9999 is past 2**63 ns.
_NO_END = 2**70
_COLUMNS = ("start_utc", "end_utc", "value", "unit", "estimated")
_HEADER = ",".join(_COLUMNS)
_ESTIMATED = {None: "", False: "no", True: "yes"}
_WORDS = {word: estimated for estimated, word in _ESTIMATED.items()}


@dataclass(frozen=True, slots=True)
class Merged:
    """All rows of a file to be, oldest first, and how many of them are new, changed, or were there before."""

    rows: tuple[Row, ...]
    added: int
    replaced: int
    kept: int


def read(path: str, feed: str, unit: str, shown_as: str) -> tuple[Row, ...]:
    """The rows of a file that this feed wrote; none where there is no file yet.

    Raises FeedError, with the line, for a file of another feed, place or unit, and for what this room has not written.
    """
    try:
        text = content(path, MAX_SERIES_BYTES).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except UnicodeDecodeError:
        raise FeedError(f"{shown_as} is not UTF-8 text, so it was left as it is", "-o another.csv") from None
    except (OSError, ValueError) as problem:
        raise FeedError(f"{shown_as} cannot be read: {reason(problem)}", "-o another.csv") from None
    lines = text.splitlines()
    comments = [line for line in lines if line.startswith("#")]
    fed = next((line[len("# feed:") :].strip() for line in comments if line.startswith("# feed:")), "")
    if fed != feed:
        of = f"is of {fed}" if fed else "was not written by costmeter prices fetch"
        raise FeedError(f"{shown_as} {of}, not of {feed}; it was left as it is", "-o another.csv")
    body = [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    if not body or body[0][1] != _HEADER:
        raise FeedError(f"{shown_as} has other columns than {_HEADER}; it was left as it is", "-o another.csv")
    return tuple(_row(line, unit, f"{shown_as}:{number}") for number, line in body[1:])


def _row(line: str, unit: str, place: str) -> Row:
    cells = line.split(",")
    if len(cells) == len(_COLUMNS) and cells[3] != unit:
        raise FeedError(f"{place}: the unit is {cells[3]}, not {unit}; the file was left as it is", "-o another.csv")
    try:
        start, end, value, _, estimated = cells
        return Row(instant_ns(start), instant_ns(end) if end else None, _number(value), _WORDS[estimated])
    except (ValueError, KeyError, OverflowError):
        raise FeedError(f"{place}: not a row of {_HEADER}; the file was left as it is", "mend or move it") from None


def _number(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None
    if not value.is_finite():
        raise ValueError(text)
    return value


def merge(old: tuple[Row, ...], new: tuple[Row, ...]) -> Merged:
    """History stays, and what came now wins: each known row is cut by the new ones, and what lies outside them stays.

    A new row without an end covers all up to the next new one, or all that is later: prices that were known are
    withdrawn. What was measured is not replaced by an estimate. A new price without an end that is the last one known
    adds nothing. A row of which a piece is left is kept, one of which nothing is left is replaced.
    """
    known, came = _laid_out(old), _laid_out(new)
    if len(came) == 1 and came[0].end_utc_ns is None and known and _says_same(known[-1], came[0]):
        return Merged(known, 0, 0, len(known))
    # What stays measured is what the new values that are no estimates leave of it.
    firm = tuple(row for row in came if not row.estimated)
    measured = tuple(chain.from_iterable(_outside(tuple(row for row in known if row.estimated is False), firm)))
    estimates = chain.from_iterable(_outside(tuple(row for row in came if row.estimated), measured))
    came = _laid_out((*firm, *estimates))
    left = _outside(known, came)
    gone = {row.start_utc_ns: row for row, pieces in zip(known, left, strict=True) if not pieces}
    same = sum(gone.get(row.start_utc_ns) == row for row in came)
    added = sum(row.start_utc_ns not in gone for row in came)
    kept = len(known) - len(gone) + same
    return Merged(_laid_out((*chain.from_iterable(left), *came)), added, len(old) - kept, kept)


def _says_same(last: Row, new: Row) -> bool:
    is_open = last.end_utc_ns is None and last.start_utc_ns <= new.start_utc_ns
    return is_open and (last.value, last.estimated) == (new.value, new.estimated)


def _laid_out(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Oldest first: no row reaches into the next, none is empty, and only the last may be without an end."""
    rows = tuple(sorted(rows, key=_start_ns))
    ends = [*map(_start_ns, rows[1:]), _NO_END]
    cut = (replace(row, end_utc_ns=end) if _end_ns(row) > end else row for row, end in zip(rows, ends, strict=False))
    return tuple(row for row in cut if row.start_utc_ns < _end_ns(row))


def _outside(rows: tuple[Row, ...], others: tuple[Row, ...]) -> list[tuple[Row, ...]]:
    """For each row the pieces of it that lie in none of the others. Both are laid out."""
    starts = [*map(_start_ns, others)]
    # The last that begins no later may reach into the row.
    first = [max(0, bisect_right(starts, row.start_utc_ns) - 1) for row in rows]
    beyond = [bisect_left(starts, _end_ns(row)) for row in rows]
    return [tuple(_pieces(row, others[i:j])) for row, i, j in zip(rows, first, beyond, strict=True)]


def _pieces(row: Row, others: tuple[Row, ...]) -> Iterator[Row]:
    start_ns = row.start_utc_ns
    for other in others:
        if start_ns < other.start_utc_ns:
            yield replace(row, start_utc_ns=start_ns, end_utc_ns=other.start_utc_ns)
        start_ns = max(start_ns, _end_ns(other))
    if start_ns < _end_ns(row):
        yield replace(row, start_utc_ns=start_ns)


def _start_ns(row: Row) -> int:
    return row.start_utc_ns


def _end_ns(row: Row) -> int:
    return _NO_END if row.end_utc_ns is None else row.end_utc_ns


def text(rows: tuple[Row, ...], answer: Answer, feed: str, fetched_utc_ns: int) -> str:
    """The whole file: facts, header, rows."""
    facts = [("feed", feed), *answer.facts, ("fetched", iso_minute(fetched_utc_ns))]
    lines = [f"# {key}: {value}" for key, value in facts]
    lines.append(_HEADER)
    lines += [
        f"{iso_minute(row.start_utc_ns)},{iso_minute(row.end_utc_ns) if row.end_utc_ns is not None else ''},"
        f"{row.value:f},{answer.unit},{_ESTIMATED[row.estimated]}"
        for row in rows
    ]
    return "\n".join(lines) + "\n"
