"""Dated series as CSV files: merged with what a file already holds, and whole or untouched whatever happens.

The format is the one that `costmeter.config.seriesfile` reads: facts as `# key: value` lines, a header, and a row for
each stretch. The line `# feed:` says of what a file is; nothing else is ever merged into it.
"""

import contextlib
import os
import stat
import tempfile
from bisect import bisect_right
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from costmeter.config.textfile import content, reason
from costmeter.errors import CostmeterError
from costmeter.feeds.http import FeedError
from costmeter.feeds.payload import instant_ns
from costmeter.feeds.series import Answer, Row
from costmeter.units import iso_minute

#: As much as the reader takes.
MAX_BYTES = 8_000_000
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
        text = content(path, MAX_BYTES).decode("utf-8")
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

    A new price without an end that is the same as the last one known adds nothing.
    """
    if len(new) == 1 and new[0].end_utc_ns is None and old and _says_same(old[-1], new[0]):
        return Merged(old, 0, 0, len(old))
    known = {row.start_utc_ns: row for row in old}
    same = sum(known.get(row.start_utc_ns) == row for row in new)
    changed = sum(row.start_utc_ns in known for row in new) - same
    starts = [row.start_utc_ns for row in new]
    kept = [row for row in old if not _is_covered(row, new, starts)]
    rows = sorted([*kept, *new], key=lambda row: row.start_utc_ns)
    replaced = len(old) - len(kept) - same
    return Merged(_cut(rows), len(new) - same - changed, replaced, len(kept) + same)


def _says_same(last: Row, new: Row) -> bool:
    return last.end_utc_ns is None and last.value == new.value and last.start_utc_ns <= new.start_utc_ns


def _is_covered(row: Row, new: tuple[Row, ...], starts: list[int]) -> bool:
    """Whether a row starts with, or inside, one of the new ones."""
    position = bisect_right(starts, row.start_utc_ns) - 1
    if position < 0:
        return False
    end_ns = new[position].end_utc_ns
    return starts[position] == row.start_utc_ns or (end_ns is not None and row.start_utc_ns < end_ns)


def _cut(rows: list[Row]) -> tuple[Row, ...]:
    """No row reaches into the next; only the last may be without an end."""
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


def write(path: str, written: str, shown_as: str) -> None:
    """Replace a file by renaming a finished one over it: a kill or a full disk leaves the old one whole.

    Links are followed, and the mode of the old file stays. Raises CostmeterError.
    """
    target = os.path.realpath(path)
    temporary = ""
    try:
        mode = _mode(target)
        descriptor, temporary = tempfile.mkstemp(".tmp", f".{os.path.basename(target)}.", os.path.dirname(target))
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(written)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except (OSError, ValueError) as problem:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise CostmeterError(f"{shown_as} was not written: {reason(problem)}", "-o /another/folder/file.csv") from None


def _mode(target: str) -> int:
    """The mode of the file that will be replaced, or of a new one. Raises ValueError for what is no file."""
    try:
        facts = os.stat(target)
    except FileNotFoundError:
        mask = os.umask(0o022)
        os.umask(mask)
        return 0o666 & ~mask
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError("not a regular file")
    return stat.S_IMODE(facts.st_mode)
