"""Where the journals of a run are: by its id, by a path, or as the newest; and what to type where there is none."""

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from pathlib import Path

from costmeter.clock import RealClock
from costmeter.errors import JournalError
from costmeter.ledger.journal import lines
from costmeter.ledger.line import decode
from costmeter.ledger.record import Header
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_SECOND

#: How the name of every journal ends.
JOURNAL = ".jsonl"
#: What stands for the newest run, unless one has that very id.
LAST = "last"
_WEEK_NS = 7 * 24 * NANOSECONDS_PER_HOUR


def paths_of(state: Path, run: str) -> list[Path]:
    """The journals of a run by its id, by the path of a journal or a folder of them, or of `LAST`, the newest.

    Raises JournalError where there are none, or nobody may look.
    """
    run = meant(state, run)
    given = Path(run)
    is_path = "/" in run or (given.suffix == ".jsonl" and os.path.exists(given))
    place = given if is_path else state / "runs" / run
    try:
        paths = [place] if stat.S_ISREG(os.stat(place).st_mode) else _journals(place)
    except (FileNotFoundError, NotADirectoryError):
        paths = []
    except OSError as refusal:
        raise JournalError(f"{place}: cannot be read: {refusal.strerror}") from refusal
    if not paths:
        raise JournalError(f'no run "{run}" here', _closest(state, run))
    return paths


def meant(state: Path, run: str) -> str:
    """The id of the run that began last for `LAST`, unless one is called so; any other as it is.

    Raises JournalError where there is none.
    """
    if run != LAST or os.path.isdir(state / "runs" / LAST):
        return run
    began = [(_began(headers), headers[0].run == other, other) for other, headers in _headers(state) if headers]
    if not began and run_ids(state):
        raise JournalError(f"no run under {state} can be read", "costmeter report says why")
    if not began:
        raise JournalError(f"no runs recorded under {state}", "costmeter run -- python train.py")
    return max(began)[2]


def _began(headers: Iterable[Header]) -> int:
    return min(header.anchor.utc(header.start_ns) for header in headers)


def _headers(state: Path) -> Iterator[tuple[str, list[Header]]]:
    """Every run with the headers of its journals that can be read."""
    for run in run_ids(state):
        found = (_header(path) for path in _journals(state / "runs" / run))
        yield run, [header for header in found if header is not None]


def _header(path: Path) -> Header | None:
    """The first line of a journal, where it is one."""
    with contextlib.suppress(JournalError, ValueError, KeyError, TypeError, OSError):
        for _, line in lines(path, []):
            header = decode(line)
            return header if isinstance(header, Header) else None
    return None


def run_ids(state: Path) -> list[str]:
    """Ids of all runs recorded under a state directory, newest first. A folder without any journal is no run.

    One that nobody may look into is left out. Raises JournalError where there is no other.
    """
    try:
        with os.scandir(state / "runs") as entries:
            newest_first = sorted(entries, key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
    except FileNotFoundError:
        return []
    except OSError as refusal:
        raise JournalError(f"{state / 'runs'}: cannot be read: {refusal.strerror}") from refusal
    found: list[str] = []
    closed: list[JournalError] = []
    for entry in newest_first:
        try:
            found += [entry.name] if _journals(Path(entry.path)) else []
        except NotADirectoryError:
            continue
        except OSError as refusal:
            closed.append(JournalError(f"{entry.path}: cannot be read: {refusal.strerror}"))
    if closed and not found:
        raise closed[0]
    return found


def _journals(folder: Path) -> list[Path]:
    """The journals in a folder, by name. Raises OSError."""
    return sorted(folder / name for name in os.listdir(folder) if name.endswith(JOURNAL))


def _closest(state: Path, run_id: str) -> str:
    """What to type instead: the run that is called most like it, with its name and start, and where all are."""
    import difflib  # only for who mistyped
    import shlex

    try:
        others = [other for other in run_ids(state) if other != run_id]
    except JournalError as refusal:
        return refusal.message
    headers = dict(_headers(state))
    named = [other for other, of in headers.items() if any(header.name == run_id for header in of)]
    if len(named) == 1:
        return f"did you mean {named[0]}, named {run_id}?"
    if named:
        return f"{len(named):,} runs have that name: costmeter report --name {shlex.quote(run_id)}"
    near = difflib.get_close_matches(run_id, others, 1)
    closest = [f"Closest: {_told(other, headers.get(other, []))}." for other in near]
    return " ".join([*closest, "List: costmeter report"])


def _told(run_id: str, headers: Sequence[Header]) -> str:
    """`r-7f3c2a (sft-llama, Sun 14:03)`, as far as its first journal that can be read says."""
    if not headers:
        return run_id
    began = when(_began(headers[:1]), RealClock().utc_ns(), None)
    return f"{run_id} ({', '.join(filter(None, (headers[0].name, began)))})"


def when(utc_ns: int, now_utc_ns: int, zone: tzinfo | None) -> str:
    """`Sun 14:03` in the last week, else `2026-11-22`; by the clock of a zone, None is the machine's."""
    local = datetime.fromtimestamp(utc_ns // NANOSECONDS_PER_SECOND, zone)
    return f"{local:%a %H:%M}" if 0 <= now_utc_ns - utc_ns < _WEEK_NS else f"{local:%Y-%m-%d}"
