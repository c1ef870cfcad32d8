"""A journal's file as lines: whole ones with their numbers, up to where another journal begins in it."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from costmeter.errors import JournalError
from costmeter.ledger.line import unseal

Pattern = re.Pattern[bytes]
#: No line of a journal is longer: the devices of 1,024 GPUs are less than a tenth of it.
LONGEST_LINE = 4 * 2**20
_HEADER = b'{"type":"header"'
#: Bytes read at once, ever more: many read a header and no further.
_FIRST_BLOCK, _LARGEST_BLOCK = 2**13, 2**18
#: What is said where two parts were joined to one file.
ANOTHER = "line {} begins another journal; what follows is not counted"


def lines(path: Path, problems: list[str]) -> Iterator[tuple[int, bytes]]:
    """Every whole line and its number. Raises JournalError for a file that cannot be read or is no journal."""
    return (told for first, block in line_blocks(path, problems) for told in enumerate(block, first))


def placed_lines(path: Path, problems: list[str]) -> Iterator[tuple[int, int, bytes]]:
    """Every whole line, without its end, its number, and at which byte it begins. Raises JournalError as `lines`."""
    at = 0
    for first, block, _ in _blocks(path, problems):
        for number, line in enumerate(block, first):
            yield number, at, line.rstrip(b"\r")
            at += len(line) + 1


def line_blocks(path: Path, problems: list[str], of: Pattern | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """The same many at a time: the number of a line, and it and those that follow, without their ends.

    Line ends may be those of another system. Where only lines `of` a pattern are wanted, a stretch without any may be
    passed over. Raises JournalError as `lines`.
    """
    for first, block, has_returns in _blocks(path, problems, of):
        yield first, [line.rstrip(b"\r") for line in block] if has_returns else block


def _blocks(path: Path, problems: list[str], of: Pattern | None = None) -> Iterator[tuple[int, list[bytes], bool]]:
    """Whole lines up to their newlines, the number of the first of them, and whether there are other line ends."""
    header: bytes | None = None
    first, rest, size = 1, b"", _FIRST_BLOCK
    try:
        with opened(path) as file:
            while read := file.read(size):
                size = min(2 * size, _LARGEST_BLOCK)
                whole = rest + read
                if of is not None and 0 <= whole.find(b"\n") < LONGEST_LINE and of.search(whole) is None:
                    first += whole.count(b"\n")
                    rest = whole[whole.rfind(b"\n") + 1 :]
                    continue
                *block, rest = whole.split(b"\n")
                if len(block[0] if block else rest) >= LONGEST_LINE:
                    raise JournalError(f"{path}: line {first} is longer than any that a meter writes")
                ours, header = _ours(block, header) if _HEADER in whole else (len(block), header)
                if ours:
                    yield first, block[:ours], b"\r" in whole
                first += ours
                if ours < len(block):
                    problems.append(ANOTHER.format(first))
                    return
    except OSError as refusal:
        raise JournalError(f"{path}: cannot be read: {refusal.strerror}") from refusal
    if rest:
        problems.append("last line torn, dropped")


def _ours(block: Sequence[bytes], header: bytes | None) -> tuple[int, bytes | None]:
    """How many of these lines come before one that begins another journal, and the header of this one."""
    for place, line in enumerate(block):
        if line.startswith(_HEADER):
            whole = line.rstrip(b"\r")
            if _is_intact(whole):
                if header is not None and whole != header:
                    return place, header
                header = whole
    return len(block), header


def opened(path: Path) -> BinaryIO:
    """A file that ends: no pipe, no device, which are a JournalError. Raises OSError when it cannot be opened."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise JournalError(f"{path}: cannot be read: not a file")
    return os.fdopen(file, "rb")


def _is_intact(line: bytes) -> bool:
    try:
        unseal(line)
    except ValueError:
        return False
    return True
