"""Two meters of one run on one host: which of them a device's time counts from while both were there.

A wrapper counts before an agent, and of two alike the one that was there first. What the other metered meanwhile is its
own record, and no second cost.
"""

from collections.abc import Mapping, Sequence

from costmeter.ledger.query import Part

#: When (UTC) others meter a device whose time is not to be counted again: from, and to before.
Windows = Mapping[str, tuple[tuple[int, int], ...]]


def metered_elsewhere(parts: Sequence[Part]) -> list[Windows]:
    """For each part, the time of its devices that counts from another part."""
    ranks = sorted(range(len(parts)), key=lambda place: _rank(parts[place], place))
    found: list[Windows] = [{} for _ in parts]
    for turn, place in enumerate(ranks):
        windows: dict[str, tuple[tuple[int, int], ...]] = {}
        for before in ranks[:turn]:
            if _met(parts[place], parts[before]):
                for uuid in parts[place].devices.keys() & parts[before].devices.keys():
                    windows[uuid] = (*windows.get(uuid, ()), _window(parts[place], parts[before], uuid))
        found[place] = windows
    return found


def _rank(part: Part, place: int) -> tuple[bool, int, int]:
    return part.header.meter != "wrapper", part.header.start_ns, place


def _met(part: Part, other: Part) -> bool:
    """Whether their meters ran at the same time, by the clock of the boot that they share. A restart is no meeting."""
    here, there = part.header, other.header
    if (here.host, here.boot_id) != (there.host, there.boot_id):
        return False
    return here.start_ns < _end_ns(other) and there.start_ns < _end_ns(part)


def _end_ns(part: Part) -> int:
    return part.start_ns + part.length_ns


def _window(part: Part, other: Part, uuid: str) -> tuple[int, int]:
    """When the other had a device, on this part's wall clock."""
    utc = part.header.anchor.utc
    return utc(other.since_ns.get(uuid, other.header.start_ns)), utc(_end_ns(other))
