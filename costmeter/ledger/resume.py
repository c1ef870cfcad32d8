"""What a meter that died left behind, for the one that goes on with the same run: the gap between them is the run's.

A meter killed by SIGKILL leaves a journal without a footer. When the same run is metered again on the same host and
boot, its GPUs stayed held in between, and their counters went on counting. So the gap is filled from the counters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from costmeter.errors import JournalError
from costmeter.ledger.identity import is_alive
from costmeter.ledger.journal import safe_name
from costmeter.ledger.query import Part
from costmeter.ledger.record import Header
from costmeter.meter.standing import Standing
from costmeter.readings import Device, DriverFacts
from costmeter.units import NANOSECONDS_PER_MINUTE

#: A gap longer than this is not filled: a job that was queued anew had its GPUs used by others meanwhile.
FILLED_NS = 15 * NANOSECONDS_PER_MINUTE


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a meter had stopped with a board: up to when it had booked time, and how its counter stood.

    A board without a counter (None) loses the energy of the gap, and not its rent.
    """

    booked_ns: int
    standing: Standing | None


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the meter before left, by board, under the driver it had; nothing when there is no gap to fill."""

    driver_version: str = ""
    boards: Mapping[str, Resume] = field(default_factory=dict)


NOTHING_EARLIER = Earlier()


class Left(Protocol):
    """A journal, folded: the part of a run or of a node."""

    @property
    def header(self) -> Header: ...
    @property
    def driver(self) -> DriverFacts | None: ...
    @property
    def devices(self) -> Mapping[str, Device]: ...
    @property
    def since_ns(self) -> Mapping[str, int]: ...
    @property
    def counters_microjoules(self) -> Mapping[str, int]: ...
    @property
    def standings(self) -> Mapping[str, Standing]: ...


def left_behind(folder: Path, host: str, boot_id: str, now_ns: int) -> Earlier:
    """What the last meter of the run in this folder left on this host, if it died here since the machine booted.

    `now_ns` is CLOCK_BOOTTIME. A meter that was killed before it had booked anything left nothing, and the one before
    it counts. Nothing is left by a meter that ended with a footer, that still lives, or whose end is too long ago. A
    journal that cannot be read leaves nothing, and is reported when it is read for a report.
    """
    parts = [part for path in sorted(folder.glob(f"{safe_name(host)}.*.jsonl")) if (part := _folded(path)) is not None]
    here = [part for part in parts if part.header.boot_id == boot_id and part.header.host == host]
    if any(_lives(part) for part in here):
        return NOTHING_EARLIER
    told = [part for part in here if part.footer is not None or part.totals.devices]
    last = max(told, key=lambda part: part.header.start_ns, default=None)
    if last is None or last.footer is not None:
        return NOTHING_EARLIER
    return earlier(last, {uuid: each.quantities.nanoseconds for uuid, each in last.totals.devices.items()}, now_ns)


def earlier(last: Left, lengths_ns: Mapping[str, int], now_ns: int) -> Earlier:
    """What a journal says of its boards; `lengths_ns` is how much of each device's time it has."""
    if last.driver is None:
        return NOTHING_EARLIER
    boards: dict[str, Resume] = {}
    for uuid, device in last.devices.items():
        upto_ns = booked_ns(last, uuid, lengths_ns)
        known = boards.get(device.board)
        if known is not None and upto_ns < known.booked_ns:  # an instance that is none any more
            continue
        if device.is_identified and 0 <= now_ns - upto_ns <= FILLED_NS:
            boards[device.board] = Resume(upto_ns, _standing(last, uuid, upto_ns))
    return Earlier(last.driver.version, boards)


def booked_ns(part: Left, uuid: str, lengths_ns: Mapping[str, int]) -> int:
    """The instant up to which a device's time is booked: it is counted without holes from where it began."""
    return part.since_ns.get(uuid, part.header.start_ns) + lengths_ns.get(uuid, 0)


def _standing(part: Left, uuid: str, booked_ns: int) -> Standing | None:
    counter_uj = part.counters_microjoules.get(uuid)
    plain = None if counter_uj is None else Standing(counter_uj, booked_ns)
    return part.standings.get(uuid, plain)


def _lives(part: Part) -> bool:
    header = part.header
    return part.footer is None and is_alive(header.pid, header.pid_start_ticks, header.boot_id)


def _folded(path: Path) -> Part | None:
    from costmeter.ledger.bulk import fold_path  # its reader of JSON is loaded only where there is something to read

    try:
        return fold_path(path)
    except JournalError:
        return None
    except Exception:  # what nobody thought of in an old journal is no reason not to meter a new run
        return None
