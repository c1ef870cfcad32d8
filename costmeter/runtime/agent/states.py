"""Since when each device of a node is in its state: idle for four hours is another matter than for a second."""

from collections.abc import Mapping

from costmeter.clock import Anchor
from costmeter.meter.activity import UNHELD
from costmeter.meter.holder import HeldBy
from costmeter.meter.interval import Interval


class NodeStates:
    """Follows the last interval of each device. A change of holder alone breaks no row."""

    def __init__(self) -> None:
        self._states: dict[str, tuple[str, int]] = {}

    @property
    def since_utc_ns(self) -> dict[str, int]:
        """By device, when the first interval of its present state began."""
        return {uuid: since_utc_ns for uuid, (_, since_utc_ns) in self._states.items()}

    def see(self, intervals: Mapping[str, Interval], holders: HeldBy, anchor: Anchor) -> None:
        """Take the last interval of every device, and who holds them."""
        for uuid, interval in intervals.items():
            state = interval.state if holders.get(uuid) else UNHELD
            if uuid not in self._states or self._states[uuid][0] != state:
                self._states[uuid] = state, anchor.utc(interval.start_ns)
        if len(self._states) > len(intervals):
            self._states = {uuid: self._states[uuid] for uuid in intervals}
