"""Imported runs that hold the same GPUs at the same time: spans of one log that overlap are summed by every report."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.brief import Brief
from costmeter.ledger.bulk import fold_path
from costmeter.ledger.listing import list_runs
from costmeter.ledger.query import Part
from costmeter.readings import Device
from costmeter.runtime.imported import IMPORTED


def counted_twice(state: Path, part: Part) -> Iterator[Path]:
    """Where the other imported runs are that have GPUs of this one while it has them; oldest first.

    Only journals of that very time are read. Without UUIDs GPUs are the same where the host is.
    """
    start_utc_ns = part.header.anchor.utc(part.start_ns)
    for run in list_runs(state):
        if run.id == part.header.run:
            continue
        for other in run.parts:
            ended = other.ending
            is_then = ended.started_utc_ns < part.ended_utc_ns and start_utc_ns < ended.ended_utc_ns
            if is_then and other.header.versions.get(IMPORTED) and _has_some_of(part, other, run.place):
                yield run.place
                break


def _has_some_of(part: Part, other: Brief, place: Path) -> bool:
    try:
        theirs = fold_path(place / other.file if place.is_dir() else place).devices
    except JournalError:
        return False
    if other.header.host == part.header.host:
        return not part.devices.keys().isdisjoint(theirs)
    return not _named(part.devices).isdisjoint(_named(theirs))


def _named(devices: Mapping[str, Device]) -> set[str]:
    return {uuid for uuid in devices if uuid.startswith(("GPU-", "MIG-"))}
