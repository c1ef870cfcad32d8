"""Dated series as CSV files: their text, and what a file already holds merged with what came.

The format is the one that `costmeter.config.seriesfile` reads: facts as `# key: value` lines, a header, and a row for
each stretch. The line `# feed:` says of what a file is; nothing else is ever merged into it.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from costmeter.config.seriesfile import MAX_SERIES_BYTES
from costmeter.config.textfile import content, reason
from costmeter.feeds.http import FeedError
from costmeter.feeds.payload import instant_ns
from costmeter.feeds.series import Answer, Row
from costmeter.units import iso_minute

#: After every instant there is.
_NO_END = 2**63
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
    """History stays, and what came now wins: rows that start inside a new stretch go, one that reaches in is cut.

    A new row without an end covers all that starts after it: later prices that were known are withdrawn. What was
    measured is not replaced by an estimate. A new price without an end that is the last one known adds nothing.
    """
    if len(new) == 1 and new[0].end_utc_ns is None and old and _says_same(old[-1], new[0]):
        return Merged(old, 0, 0, len(old))
    # What stays measured is what the new values that are no estimates leave of it.
    firm = tuple(row for row in new if not row.estimated)
    measured = _measured(_over(_kept(old, firm), firm))
    new = tuple(piece for row in new for piece in (_unmeasured(row, measured) if row.estimated else (row,)))
    known = {row.start_utc_ns: row for row in old}
    same = sum(known.get(row.start_utc_ns) == row for row in new)
    changed = sum(row.start_utc_ns in known for row in new) - same
    kept = _kept(old, new)
    replaced = len(old) - len(kept) - same
    return Merged(_over(kept, new), len(new) - same - changed, replaced, len(kept) + same)


def _says_same(last: Row, new: Row) -> bool:
    return last.end_utc_ns is None and last.value == new.value and last.start_utc_ns <= new.start_utc_ns


def _measured(rows: tuple[Row, ...]) -> list[tuple[int, int]]:
    """The stretches that somebody measured, ascending."""
    following = [row.start_utc_ns for row in rows[1:]]
    return [
        (row.start_utc_ns, next_ns if row.end_utc_ns is None else row.end_utc_ns)
        for row, next_ns in zip(rows, [*following, _NO_END], strict=False)
        if row.estimated is False
    ]


def _unmeasured(row: Row, measured: list[tuple[int, int]]) -> Iterator[Row]:
    """The pieces of an estimate that lie outside what was measured."""
    start_ns, row_ends_ns = row.start_utc_ns, _NO_END if row.end_utc_ns is None else row.end_utc_ns
    position = max(0, bisect_right(measured, (start_ns, _NO_END)) - 1)
    for begin_ns, end_ns in measured[position:]:
        if begin_ns >= row_ends_ns:
            break
        if start_ns < begin_ns:
            yield replace(row, start_utc_ns=start_ns, end_utc_ns=begin_ns)
        start_ns = max(start_ns, end_ns)
    if start_ns < row_ends_ns:
        yield replace(row, start_utc_ns=start_ns)


def _kept(old: tuple[Row, ...], new: tuple[Row, ...]) -> tuple[Row, ...]:
    starts = [row.start_utc_ns for row in new]
    return tuple(row for row in old if not _is_covered(row, new, starts))


def _is_covered(row: Row, new: tuple[Row, ...], starts: list[int]) -> bool:
    """Whether a row starts with, or inside, one of the new ones; one without an end reaches to the next new one."""
    position = bisect_right(starts, row.start_utc_ns) - 1
    if position < 0:
        return False
    end_ns = new[position].end_utc_ns
    return starts[position] == row.start_utc_ns or end_ns is None or row.start_utc_ns < end_ns


def _over(kept: tuple[Row, ...], new: tuple[Row, ...]) -> tuple[Row, ...]:
    """Both in order: no row reaches into the next, and only the last may be without an end."""
    rows = sorted([*kept, *new], key=lambda row: row.start_utc_ns)
    ends = [after.start_utc_ns for after in rows[1:]]
    return tuple(
        replace(row, end_utc_ns=next_ns) if row.end_utc_ns is None or row.end_utc_ns > next_ns else row
        for row, next_ns in zip(rows, ends, strict=False)
    ) + tuple(rows[-1:])


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
