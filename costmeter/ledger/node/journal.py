"""The journals of a node: where they are, what each comes to, and where the counters of a new agent begin.

`node/<host>.<date>.<part>.jsonl`, one or more a UTC day. Every one opens with where the counters stood, so the newest
says all that a restarted agent needs. What it goes on from is no less than the last value that anybody was shown, or
it is nothing: a total that is restored a dollar low would be counted again as a whole.
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.headerline import decode_header
from costmeter.ledger.identity import is_alive
from costmeter.ledger.journal import safe_name
from costmeter.ledger.line import unseal
from costmeter.ledger.lines import LONGEST_LINE, opened
from costmeter.ledger.node.beyond import Shown, marker_paths, shown_by
from costmeter.ledger.node.bulk import Stretch, read_node
from costmeter.ledger.node.query import NodePart, begin_node, fold_node, opening, retired
from costmeter.ledger.node.record import Line, Opening, RunAccount, RunSeen
from costmeter.ledger.reading import has_whole_open
from costmeter.ledger.record import Header
from costmeter.ledger.resume import NOTHING_EARLIER, Earlier, earlier
from costmeter.meter.holder import Holder
from costmeter.meter.idlememory import IdleMemory
from costmeter.meter.idling import RECENT_NS
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_MINUTE

#: Where the journals of nodes are, under the directory of state.
NODE = "node"
#: Journals of a node are kept for so long.
KEPT_NS = 400 * 24 * NANOSECONDS_PER_HOUR
#: How many old ones go at once: a clock that is years ahead for a moment must not cost all that was recorded.
REMOVED_AT_ONCE = 8
#: A run that ended is shown for so long.
SHOWN_AFTER_END_NS = 15 * NANOSECONDS_PER_MINUTE
#: A run that comes back so long after its end began anew for everybody: an agent lets go of it within two minutes.
FORGOTTEN_AFTER_END_NS = SHOWN_AFTER_END_NS + 2 * NANOSECONDS_PER_MINUTE
_NAME = re.compile(r"(.+)\.([0-9]{4}-[0-9]{2}-[0-9]{2})\.([1-9][0-9]*)\.jsonl")
#: A line that was cut off where the agent died was shown to nobody.
_TORN = "last line torn, dropped"


@dataclass(frozen=True, slots=True)
class Restored:
    """Where the counters of an agent begin: what the one before it left, or nothing, and then `why_zero`.

    `holders` are those who held devices when it ended, as far as they may still do so, and `idle` is what was known of
    devices' idleness, with whose they were: a run whose first process is gone may be found on them again by others.
    """

    opening: Opening
    earlier: Earlier = NOTHING_EARLIER
    holders: Mapping[str, tuple[Holder, ...]] = field(default_factory=dict)
    why_zero: str = ""
    idle: Mapping[str, IdleMemory] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Read:
    """A journal that was read: what it comes to, and the opening in it; None where it never got so far."""

    path: Path
    part: NodePart
    opening: Opening | None

    @property
    def lengths_ns(self) -> dict[str, int]:
        """How much of each device's time is in this journal itself."""
        before = self.opening or Opening(0)
        lengths_ns = {uuid: each.quantities.nanoseconds for uuid, each in self.part.totals.devices.items()}
        for totals in (before.held, before.unheld):
            for uuid, each in totals.devices.items():
                lengths_ns[uuid] = lengths_ns.get(uuid, 0) - each.quantities.nanoseconds
        return lengths_ns


def node_folder(state: Path) -> Path:
    """Where the journals of nodes are under a directory of state."""
    return state / NODE


def stem(host: str, date: str) -> str:
    """How the names of a host's journals of a day begin; `date` is as in 2026-11-22."""
    return f"{safe_name(host)}.{date}"


def node_paths(folder: Path, host: str | None = None) -> list[Path]:
    """The journals of nodes in a folder, or of one node, by host, day and part; none where there is no folder.

    Raises OSError where nobody may look.
    """
    try:
        found = [(match, path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    except FileNotFoundError:
        return []
    name = None if host is None else safe_name(host)
    ours = [(match[1], match[2], int(match[3]), path) for match, path in found if name in (None, match[1])]
    return [path for *_, path in sorted(ours)]


def fold_node_path(path: Path) -> NodePart:
    """A journal of a node folded, its opening and the open slot included.

    Raises JournalError when there is no readable header, or a schema of a newer costmeter.
    """
    return _read(path).part


def _read(path: Path) -> _Read:
    problems: list[str] = []
    folding = read_node(path, problems, _Folding)
    assert folding.part is not None  # a header is first, or it was no journal
    part = replace(folding.part, problems=(*problems, *folding.part.problems))
    return _Read(path, part, folding.opening)


class _Folding:
    """A journal while it is folded."""

    def __init__(self) -> None:
        self.part: NodePart | None = None
        self.opening: Opening | None = None

    def take(self, told: Line | Stretch) -> None:
        """What comes next in it."""
        if self.part is None:
            assert isinstance(told, Header)  # a scan promises it
            self.part = begin_node(told)
            return
        if isinstance(told, Opening):
            self.opening = told
        if isinstance(told, RunSeen):
            self.part = retired(self.part, told.at_utc_ns - FORGOTTEN_AFTER_END_NS)
        self.part = fold_node(self.part, told)


# Where counters begin


def restored(folder: Path, header: Header, runtime: Path | None = None) -> Restored:
    """Where the counters of a new agent begin, of which this is the first header; `runtime` is where its socket is.

    They go on from the newest journal of its host since the machine booted. They begin at nothing where there is none,
    where what it says is not all that was shown, where it counts other money or other GPUs, and where another agent
    still writes it. An agent that stopped orderly was stopped for a moment, as for an upgrade: its gap is filled too.
    """
    at_utc_ns = header.anchor.utc(header.start_ns)
    zero = Opening(at_utc_ns)
    shown = shown_by(marker_paths(folder, header.host, runtime), header.boot_id)
    if shown.beyond or shown.unreadable:
        beyond = "values were shown that no disk took"
        return Restored(zero, why_zero="; ".join(shown.unreadable) or beyond)
    try:
        newest = _newest(folder, header, shown)
    except (JournalError, OSError) as refusal:
        return Restored(zero, why_zero=str(refusal))
    if isinstance(newest, str):
        return Restored(zero, why_zero=newest)
    last, standing = newest
    begins = opening(retired(last.part, at_utc_ns - SHOWN_AFTER_END_NS), at_utc_ns)
    left = earlier(standing.part, standing.lengths_ns, header.start_ns)
    holders = _still_holding(last.part, header.boot_id)
    return Restored(begins, left, holders, idle=_remembered(last.part, left))


def _newest(folder: Path, of: Header, shown: Shown) -> tuple[_Read, _Read] | str:
    """The journal that counters go on from, and the last that says where the devices' own counters stood; or why none.

    A journal whose opening was never written says nothing: nobody was shown anything of it.
    """
    headers = _headers(node_paths(folder, of.host), of.host, of.boot_id)
    ours = [path for _, path in headers]
    if missing := shown.journals - {path.name for path in ours}:
        return f"{folder / min(missing)} is gone, or cannot be read"
    last: _Read | None = None
    for header, path in reversed(headers):
        if last is None and is_alive(header.pid, header.pid_start_ticks, of.boot_id):
            return f"another agent writes {path} (pid {header.pid})"
        read = _read(path)
        if read.opening is None and not read.part.slots and path.name not in shown.journals:
            continue
        faults = [problem for problem in read.part.problems if problem != _TORN]
        had_open = path.name in shown.opened if shown.journals else read.part.slots > 0
        if last is None and had_open and (lost := _lost_open(read)):
            faults.append(lost)
        if last is not None and (faults or read.opening is None):
            break
        if faults or read.opening is None:
            return f"{path}: {faults[0] if faults else 'where its counters began is lost'}"
        if (header.simulated, header.currency) != (of.simulated, of.currency):
            return (last, last) if last else f"{path} counts {_counted(header)}, this agent {_counted(of)}"
        last = last or read
        if read.part.slots:  # a file that has just begun knows no counters yet
            return last, read
    return "no journal of this boot" if last is None else (last, last)


def _lost_open(read: _Read) -> str:
    """What is wrong with the file of the open slot that was shown; empty where nothing is.

    Markers say whether there was one; where they are gone, closed slots are taken to have had one after them. Of its
    two halves the later may be the one that is damaged, so both have to be whole, but for one that was never written.
    """
    if read.part.footer is not None:
        return ""
    if has_whole_open(read.path, tuple(read.part.devices)):
        return ""
    return f"{read.path.with_suffix('.open').name}, the slot that was open, is gone or damaged"


def _counted(header: Header) -> str:
    """What an agent counts: no total has two currencies in it, and nobody pays for simulated GPUs."""
    return f"{header.currency} of {'simulated' if header.simulated else 'real'} GPUs"


def _headers(paths: Sequence[Path], host: str, boot_id: str) -> list[tuple[Header, Path]]:
    """The journals of this host and boot, in the order in which they began.

    Raises JournalError where one that may be the newest cannot be read.
    """
    found: list[tuple[Header, Path]] = []
    unread: list[tuple[Path, Exception]] = []
    for path in paths:
        try:
            header = _header(path)
        except (JournalError, OSError, ValueError, KeyError, TypeError) as problem:
            unread.append((path, problem))
            continue
        if header is not None and (header.host, header.boot_id, header.meter) == (host, boot_id, "agent"):
            found.append((header, path))
    found.sort(key=lambda each: (each[0].start_ns, paths.index(each[1])))
    newest_ns = found[-1][1].stat().st_mtime_ns if found else 0
    for path, why in unread:
        if path.stat().st_mtime_ns >= newest_ns:
            raise JournalError(str(why) if str(path) in str(why) else f"{path}: {why}")
    return found


def _header(path: Path) -> Header | None:
    """The first line of a journal; None where it was never written whole. Raises OSError or ValueError and the like."""
    with opened(path) as file:
        line = file.readline(LONGEST_LINE)
    return decode_header(unseal(line)) if line.endswith(b"\n") else None


def _still_holding(part: NodePart, boot_id: str) -> dict[str, tuple[Holder, ...]]:
    """Who held devices at the end and may still do so: runs that have not ended, as far as anybody can see."""
    gone = {key for key, account in part.accounts.items() if _is_gone(account, boot_id)}
    return {
        uuid: kept
        for uuid, holders in part.holders.items()
        if (kept := tuple(holder for holder in holders if not holder.run or holder.key not in gone))
    }


def _remembered(part: NodePart, left: Earlier) -> dict[str, IdleMemory]:
    """What was known of the idleness of devices whose holders have not ended, and whose gap is filled: a short one.

    Who was at work a moment before that was written was so until the end: that a device computes is written nowhere.
    """
    found: dict[str, IdleMemory] = {}
    over = {key for key, account in part.accounts.items() if account.ended is not None}
    for uuid, noted in part.noted.items():
        stopped = left.boards.get(part.devices[uuid].board) if uuid in part.devices else None
        runs = frozenset(holder.key for holder in part.holders.get(uuid, ())) - over
        if stopped is None or not runs:
            continue
        known = noted.memory
        is_at_work = known.has_computed and known.seen_ns - known.quiet_from_ns < RECENT_NS
        quiet_ns = max(known.quiet_from_ns, stopped.booked_ns) if is_at_work else known.quiet_from_ns
        holders = known.holders
        if is_at_work and known.spell is None:
            holders = {run: replace(each, has_computed=True) for run, each in holders.items()}
        found[uuid] = replace(known, quiet_from_ns=quiet_ns, runs=runs, holders=holders)
    return found


def _is_gone(account: RunAccount, boot_id: str) -> bool:
    """Whether a run is over as far as anybody can see: of a process whose start is not known nobody can."""
    facts = account.facts
    is_known = facts.pid > 0 and facts.pid_start_ticks > 0
    has_died = is_known and not is_alive(facts.pid, facts.pid_start_ticks, boot_id)
    return account.ended is not None or has_died


# Old ones


def remove_old(folder: Path, host: str, now_utc_ns: int) -> list[Path]:
    """Remove the oldest journals of a host, those that ended more than 400 days ago; what was removed.

    Never a file that no agent of this host wrote, and few at a time. Raises OSError.
    """
    removed: list[Path] = []
    for path in node_paths(folder, host):
        if len(removed) == REMOVED_AT_ONCE:
            break
        if path.stat().st_mtime_ns > now_utc_ns - KEPT_NS:
            continue
        with contextlib.suppress(JournalError, ValueError, KeyError, TypeError):
            header = _header(path)
            if header is not None and header.meter == "agent" and header.host == host:
                path.unlink()
                path.with_suffix(".open").unlink(missing_ok=True)
                removed.append(path)
    return removed
