"""The slots that are being filled: intervals cut at every UTC minute and wherever else is asked, summed per device."""

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping

from costmeter.clock import Anchor
from costmeter.meter.idling import REASONS, Reason
from costmeter.meter.interval import Interval, cut
from costmeter.meter.slot import ZERO, Quantities, next_edge, plus


class Minutes:
    """Quantities by the slot they lie in, each slot named by its end (UTC nanoseconds): a minute's, or a cut in it.

    Beside them, how long devices were idle in it for each reason.
    """

    def __init__(self) -> None:
        self._filling: dict[int, dict[str, Quantities]] = {}
        self._idle: dict[int, dict[str, dict[Reason, int]]] = {}
        self._cuts: list[int] = []

    def cut(self, at_utc_ns: int) -> None:
        """End a slot at an instant, beyond which nothing may have been booked yet."""
        edge_utc_ns = self.edge_after(at_utc_ns - 1)
        if edge_utc_ns == at_utc_ns:
            return
        if edge_utc_ns in self._filling:
            self._filling[at_utc_ns] = self._filling.pop(edge_utc_ns)
        if edge_utc_ns in self._idle:
            self._idle[at_utc_ns] = self._idle.pop(edge_utc_ns)
        insort(self._cuts, at_utc_ns)

    def edge_after(self, utc_ns: int) -> int:
        """The end of the slot that an instant lies in, or begins."""
        minute_utc_ns = next_edge(utc_ns)
        if not self._cuts:
            return minute_utc_ns
        place = bisect_right(self._cuts, utc_ns)
        return min(minute_utc_ns, self._cuts[place]) if place < len(self._cuts) else minute_utc_ns

    def book(self, interval: Interval, anchor: Anchor, open_edge_utc_ns: int = 0) -> None:
        """Add an interval, cut wherever it crosses an edge; what lies in closed slots goes to the open one."""
        edge_utc_ns = max(open_edge_utc_ns, self.edge_after(anchor.utc(interval.start_ns)))
        while anchor.utc(interval.end_ns) > edge_utc_ns:
            piece, interval = cut(interval, anchor.boottime(edge_utc_ns))
            self._add(edge_utc_ns, piece)
            edge_utc_ns = self.edge_after(edge_utc_ns)
        self._add(edge_utc_ns, interval)

    def edges(self) -> list[int]:
        """The ends of all slots that hold anything, oldest first."""
        return sorted(self._filling)

    def held(self, edge_utc_ns: int, uuids: Iterable[str]) -> Mapping[str, Quantities]:
        """What these devices did in a slot, so far."""
        slot = self._filling[edge_utc_ns]
        return {uuid: slot.get(uuid, ZERO) for uuid in uuids}

    def reasons(self, edge_utc_ns: int) -> dict[str, Reason]:
        """Why devices were idle in a slot: for each that was, the reason of most of it, and of two the first named."""
        idle = self._idle.get(edge_utc_ns, {})
        return {uuid: _most(found) for uuid, found in idle.items()}

    @property
    def uuids(self) -> frozenset[str]:
        """The devices of which any slot holds something."""
        return frozenset(uuid for slot in self._filling.values() for uuid in slot)

    def drop(self, edge_utc_ns: int) -> None:
        """Forget a slot that has been closed."""
        del self._filling[edge_utc_ns]
        self._idle.pop(edge_utc_ns, None)
        del self._cuts[: bisect_right(self._cuts, edge_utc_ns)]

    def step(self, nanoseconds: int) -> None:
        """Follow the wall clock, which was stepped, with the cuts that are still ahead."""
        self._cuts = [at_utc_ns + nanoseconds for at_utc_ns in self._cuts]

    def _add(self, edge_utc_ns: int, piece: Interval) -> None:
        slot = self._filling.setdefault(edge_utc_ns, {})
        slot[piece.uuid] = plus(slot.get(piece.uuid, ZERO), piece)
        if piece.reason is not None and piece.end_ns > piece.start_ns:
            idle = self._idle.setdefault(edge_utc_ns, {}).setdefault(piece.uuid, {})
            idle[piece.reason] = idle.get(piece.reason, 0) + piece.end_ns - piece.start_ns


def _most(idle: Mapping[Reason, int]) -> Reason:
    return min(idle, key=lambda why: (-idle[why], REASONS.index(why)))
