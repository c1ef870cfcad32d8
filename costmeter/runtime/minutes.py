"""The UTC minutes that are being filled: intervals cut at every minute's edge and summed per device."""

from collections.abc import Iterable, Mapping

from costmeter.clock import Anchor
from costmeter.meter.interval import Interval, cut
from costmeter.meter.slot import ZERO, Quantities, next_edge, plus
from costmeter.units import NANOSECONDS_PER_MINUTE


class Minutes:
    """Quantities by the minute they lie in, each minute named by its end (UTC nanoseconds)."""

    def __init__(self) -> None:
        self._filling: dict[int, dict[str, Quantities]] = {}

    def book(self, interval: Interval, anchor: Anchor, open_edge_utc_ns: int = 0) -> None:
        """Add an interval, cut wherever it crosses a minute; what lies in closed minutes goes to the open one."""
        edge_utc_ns = max(open_edge_utc_ns, next_edge(anchor.utc(interval.start_ns)))
        while anchor.utc(interval.end_ns) > edge_utc_ns:
            piece, interval = cut(interval, anchor.boottime(edge_utc_ns))
            self._add(edge_utc_ns, piece)
            edge_utc_ns += NANOSECONDS_PER_MINUTE
        self._add(edge_utc_ns, interval)

    def edges(self) -> list[int]:
        """The ends of all minutes that hold anything, oldest first."""
        return sorted(self._filling)

    def held(self, edge_utc_ns: int, uuids: Iterable[str]) -> Mapping[str, Quantities]:
        """What these devices did in a minute, so far."""
        minute = self._filling[edge_utc_ns]
        return {uuid: minute.get(uuid, ZERO) for uuid in uuids}

    def drop(self, edge_utc_ns: int) -> None:
        """Forget a minute that has been closed."""
        del self._filling[edge_utc_ns]

    def _add(self, edge_utc_ns: int, piece: Interval) -> None:
        minute = self._filling.setdefault(edge_utc_ns, {})
        minute[piece.uuid] = plus(minute.get(piece.uuid, ZERO), piece)
