"""How a run ended: one answer for all its parts and hosts, and what had not been saved by then.

Of each host the last part says how it ended, for a run that was queued anew goes on where the one before it stopped.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from costmeter.clock import RealClock
from costmeter.ledger.identity import boot_id, host_name, start_ticks
from costmeter.ledger.query import Part, Run
from costmeter.ledger.record import Footer, Header, Outcome, Saved
from costmeter.units import NANOSECONDS_PER_MINUTE

#: Outcomes from worst to best.
WORST_FIRST: tuple[Outcome, ...] = (
    "failed",
    "stopped by budget",
    "preempted",
    "cancelled",
    "interrupted",
    "unknown",
    "running",
    "ok",
)
#: What another host's meter wrote last may be so old, or by its clock so far ahead, until it counts as gone.
SILENT_NS = 2 * NANOSECONDS_PER_MINUTE
#: Outcomes after which nothing is lost, or nobody can say yet.
NOTHING_LOST: tuple[Outcome, ...] = ("ok", "running", "unknown")


@dataclass(frozen=True, slots=True)
class Ending:
    """When something began and ended, how long it took, and how it came out. One of code and signal is None, or both.

    `length_ns` is of a clock that nobody sets, where one meter saw it all; else what lies between the two instants.
    """

    started_utc_ns: int
    ended_utc_ns: int
    length_ns: int
    outcome: Outcome
    exit_code: int | None = None
    signal: int | None = None

    @property
    def clock_was_set(self) -> bool:
        """Whether the wall clock was set by a minute or more in all: slots may lie outside of the two instants."""
        return abs(self.ended_utc_ns - self.started_utc_ns - self.length_ns) >= NANOSECONDS_PER_MINUTE


def lives(header: Header) -> bool:
    """Whether the meter that wrote this header is still at work, on this machine."""
    return header.boot_id == _this_boot() and start_ticks(header.pid) == header.pid_start_ticks


def goes_on(header: Header, ended_utc_ns: int) -> bool:
    """Whether the meter that booked up to that instant, and wrote no footer, is still at work, here or elsewhere.

    On this machine its process says so. Nobody sees another host's processes from here: its meter writes its open slot
    at every tick, so it goes on until it has been silent for `SILENT_NS`. What counts is the time in the record, not
    that of the file, which is new on every copy.
    """
    if lives(header):
        return True
    return header.host != host_name() and abs(RealClock().utc_ns() - ended_utc_ns) <= SILENT_NS


def part_goes_on(part: Part) -> bool:
    """Whether the meter of a part is still at work."""
    return part.footer is None and goes_on(part.header, part.ended_utc_ns)


@cache
def _this_boot() -> str:
    """A list asks thousands of times; a process sees one boot."""
    return boot_id()


def part_ending(part: Part, is_live: bool) -> Ending:
    """How one part ended; without a footer it was interrupted, unless its meter is at work."""
    started_utc_ns = part.header.anchor.utc(part.start_ns)
    return ending(part.footer, started_utc_ns, part.ended_utc_ns, part.length_ns, is_live)


def ending(footer: Footer | None, started_utc_ns: int, ended_utc_ns: int, length_ns: int, is_live: bool) -> Ending:
    """The same from what a part's journal says."""
    if footer is None:
        return Ending(started_utc_ns, ended_utc_ns, length_ns, "running" if is_live else "interrupted")
    return Ending(started_utc_ns, ended_utc_ns, length_ns, footer.outcome, footer.exit_code, footer.signal)


def run_ending(run: Run, is_live: Callable[[Part], bool] = part_goes_on) -> Ending:
    """How a run ended."""
    return together([(part.header.host, part_ending(part, is_live(part))) for part in run.parts])


def together(parts: Sequence[tuple[str, Ending]]) -> Ending:
    """The ending of a run from those of its parts, in order of their start, each with its host.

    From the first start to the last end; the outcome is the worst of the hosts', the exit code the first, by the time
    of their ends, that is not 0, and where there is none a signal.
    """
    if len(parts) == 1:
        return parts[0][1]
    started_utc_ns = min(each.started_utc_ns for _, each in parts)
    ended_utc_ns = max(each.ended_utc_ns for _, each in parts)
    lasts = sorted(dict(parts).values(), key=lambda each: each.ended_utc_ns)
    worst = min(lasts, key=lambda each: WORST_FIRST.index(each.outcome))
    failed = [each for each in lasts if each.exit_code] or [each for each in lasts if each.signal is not None]
    said = (failed or [worst])[0]
    # No shorter than the longest part: the wall clock may have been set back meanwhile.
    length_ns = max(ended_utc_ns - started_utc_ns, *(each.length_ns for _, each in parts))
    return Ending(started_utc_ns, ended_utc_ns, length_ns, worst.outcome, said.exit_code, said.signal)


@dataclass(frozen=True, slots=True)
class Lost:
    """What was paid since the last checkpoint of a run that came to nothing, and how long that was."""

    cost: Decimal
    nanoseconds: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """What matters of a part for what it lost: where it ran, its ending, its cost, its last checkpoint."""

    host: str
    ending: Ending
    cost: Decimal
    saved: Saved | None


def run_lost(run: Run, is_live: Callable[[Part], bool] = part_goes_on) -> Lost | None:
    """What a run lost; of parts in one currency."""
    return lost(
        [
            Stretch(part.header.host, part_ending(part, is_live(part)), part.totals.whole.cost, part.saved)
            for part in run.parts
        ]
    )


def lost(parts: Sequence[Stretch]) -> Lost | None:
    """What the parts of a run lost at its end; None where it lost nothing, or told of no checkpoint.

    Of every host whose last part came to nothing: all since its last checkpoint, in whichever part that was. What an
    earlier part lost and a later one did again is work redone, and no part of this.
    """
    found: list[Lost] = []
    for host in dict.fromkeys(part.host for part in parts):
        own = [part for part in parts if part.host == host]
        if own[-1].ending.outcome in NOTHING_LOST:
            continue
        cost, nanoseconds = Decimal(0), 0
        for part in reversed(own):
            if part.saved is not None:
                cost += part.cost - part.saved.cost
                nanoseconds += max(0, part.ending.ended_utc_ns - part.saved.at_utc_ns)
                found.append(Lost(cost, nanoseconds))
                break
            cost, nanoseconds = cost + part.cost, nanoseconds + part.ending.length_ns
    if not found:
        return None
    return Lost(sum((each.cost for each in found), Decimal(0)), max(each.nanoseconds for each in found))
