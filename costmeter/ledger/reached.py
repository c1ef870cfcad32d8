"""How far the earlier parts of a run got: what a part that begins with fewer steps is to do again."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from costmeter.clock import Clock
from costmeter.errors import JournalError
from costmeter.ledger.ending import SILENT_NS, lives
from costmeter.ledger.line import decode, unseal
from costmeter.ledger.record import Header
from costmeter.ledger.slotline import take_progress

#: Of a long journal the end is read: days of slots. Where it went back before that and died, the loss is told too low.
_TAIL_BYTES = 4 * 2**20
_STEPS = re.compile(rb'"steps":(\d{1,19})')


def steps_reached(folder: Path, host: str, clock: Clock) -> int | None:
    """The most steps that a part which has ended told of, on any host; None where none did, or nothing can be read.

    Parts that are being written, by other hosts of this run or by this very meter, are not earlier.
    """
    reached: int | None = None
    paths: list[Path] = []
    with contextlib.suppress(OSError):
        paths = sorted(folder.glob("*.jsonl"))
    for path in paths:
        with contextlib.suppress(OSError, ValueError, JournalError):
            if _has_ended(path, host, clock):
                for line in _lines(path):
                    steps = _steps(line, reached)
                    reached = reached if steps is None else steps
    return reached


def _has_ended(path: Path, host: str, clock: Clock) -> bool:
    """Whether a part's meter is gone: by its footer, by its pid on this host, elsewhere by how long it was silent."""
    if _tail(path).rstrip(b"\n").rpartition(b"\n")[2].startswith(b'{"type":"footer"'):
        return True
    with path.open("rb") as file:
        header = decode(file.readline(_TAIL_BYTES))
    if isinstance(header, Header) and header.host == host:
        return not lives(header)
    times_ns = [each.stat().st_mtime_ns for each in (path, path.with_suffix(".open")) if each.exists()]
    return clock.utc_ns() - max(times_ns) > SILENT_NS


def _lines(path: Path) -> Iterator[bytes]:
    """The lines that may tell of steps, the latest first: most of the others tell of fewer, and need no second look."""
    with contextlib.suppress(OSError):
        halves = path.with_suffix(".open").read_bytes()
        middle = len(halves) // 2
        yield from (half.partition(b"\n")[0] for half in (halves[:middle], halves[middle:]))
    yield from reversed(_tail(path).split(b"\n"))


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read(_TAIL_BYTES)


def _steps(line: bytes, most: int | None) -> int | None:
    """The steps a slot's line tells, where they are more than `most` and the line is whole."""
    found = _STEPS.search(line)
    if found is None or (most is not None and int(found[1]) <= most):
        return None
    with contextlib.suppress(ValueError, KeyError, TypeError):
        body = unseal(line)
        if body.get("type") in ("slot", "open"):
            _, _, progress = take_progress(body)
            return None if progress is None else progress.steps
    return None
