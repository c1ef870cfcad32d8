"""Two meters of one run on one host: which of them a device's time counts from while both were there.

A wrapper counts before an agent, and of two alike the one that was there first. What the other metered meanwhile is its
own record, and no second cost. Both are compared by the clock of the boot that they share, for each may have followed a
wall clock that was set meanwhile at another slot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from costmeter.ledger.boottime import BootTime
from costmeter.ledger.query import Part
from costmeter.ledger.record import Header
from costmeter.meter.share import share
from costmeter.meter.slot import Slot

#: When (CLOCK_BOOTTIME) others meter a device whose time is not to be counted again: from, and to before.
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
                    windows[uuid] = (*windows.get(uuid, ()), _window(parts[before], uuid))
        found[place] = windows
    return found


class Sharing:
    """The slots of one journal, in order, less what counts from another part."""

    def __init__(self, elsewhere: Windows | None) -> None:
        self._elsewhere = elsewhere or {}
        self.time = BootTime()

    def ours(self, slot: Slot) -> Slot:
        """The next slot less the time of its devices that counts from another part; the slot itself where none does."""
        began_ns = self.time.takes(slot.number, slot.start_utc_ns, slot.end_utc_ns - slot.start_utc_ns)
        return ours(slot, began_ns, self._elsewhere) if self._elsewhere else slot

    def may_share(self, first: int, starts_utc_ns: Sequence[int], lengths_ns: Sequence[int]) -> bool:
        """Whether one of the next slots, numbered one after the other from `first`, may have time in a window."""
        if not self._elsewhere:
            return False
        began_ns = self.time.began_ns(first, starts_utc_ns[0])
        ended_ns = began_ns + sum(lengths_ns)
        return any(since < ended_ns and began_ns < until for each in self._elsewhere.values() for since, until in each)


def ours(slot: Slot, began_ns: int, elsewhere: Windows) -> Slot:
    """A slot, begun at an instant of CLOCK_BOOTTIME, less the time of its devices that counts from another part.

    Of a device that another meter had for a part of the slot, the rest of it counts, as if all of it had been alike.
    """
    length_ns, devices = slot.end_utc_ns - slot.start_utc_ns, dict(slot.devices)
    span = began_ns, began_ns + length_ns
    theirs_ns = {uuid: _covered(span, windows) for uuid, windows in elsewhere.items() if uuid in devices}
    if not any(theirs_ns.values()):
        return slot
    for uuid, nanoseconds in theirs_ns.items():
        if nanoseconds >= length_ns:
            del devices[uuid]
        elif nanoseconds:
            devices[uuid] = share(devices[uuid], length_ns - nanoseconds, length_ns)
    return replace(slot, devices=devices)


def _covered(span: tuple[int, int], windows: Sequence[tuple[int, int]]) -> int:
    """How much of a span lies in windows, once each."""
    covered_ns, (upto_ns, ended_ns) = 0, span
    for since, until in sorted(windows):
        start_ns, end_ns = max(since, upto_ns), min(until, ended_ns)
        if start_ns < end_ns:
            covered_ns, upto_ns = covered_ns + end_ns - start_ns, end_ns
    return covered_ns


def meeting(meters: Sequence[tuple[Header, int]]) -> list[int]:
    """The places of those that may have run at the same time as another, each told by its header and its end.

    Ends are CLOCK_BOOTTIME. Nobody else can have had a device of theirs twice.
    """
    by_boot: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for place, (header, end_ns) in enumerate(meters):
        by_boot.setdefault((header.host, header.boot_id), []).append((header.start_ns, end_ns, place))
    found: set[int] = set()
    for spans in by_boot.values():
        latest_ns, latest = 0, -1
        for start_ns, end_ns, place in sorted(spans):
            if latest >= 0 and start_ns < latest_ns:
                found |= {latest, place}
            if latest < 0 or end_ns > latest_ns:
                latest_ns, latest = end_ns, place
    return sorted(found)


def _rank(part: Part, place: int) -> tuple[bool, int, int]:
    return part.header.meter != "wrapper", part.header.start_ns, place


def _met(part: Part, other: Part) -> bool:
    """Whether their meters ran at the same time, by the clock of the boot that they share. A restart is no meeting."""
    here, there = part.header, other.header
    if (here.host, here.boot_id) != (there.host, there.boot_id):
        return False
    return here.start_ns < _end_ns(other) and there.start_ns < _end_ns(part)


def _end_ns(part: Part) -> int:
    """When a part's meter had ended: its footer says how long it lasted, and its slots where there is none."""
    if part.footer is None and part.last_ns is not None:
        return part.last_ns
    return part.start_ns + part.length_ns


def _window(other: Part, uuid: str) -> tuple[int, int]:
    """When the other had a device."""
    return other.since_ns.get(uuid, other.header.start_ns), _end_ns(other)
