"""What a run's meter tells the agent of what the run will cost and may cost: now and then, and only what is new."""

from collections.abc import Callable

from costmeter.meter.outlook import UNKNOWN_OUTLOOK, Outlook
from costmeter.outputs.snapshot import Snapshot
from costmeter.units import NANOSECONDS_PER_SECOND

#: A projection is worked out this often at most: it is drawn, and no bill.
EVERY_NS = 5 * NANOSECONDS_PER_SECOND


class Foretelling:
    """Looks at snapshots of one run; `tell` is given every outlook that is another one, and returns at once."""

    def __init__(self, tell: Callable[[Outlook], None]) -> None:
        self._tell, self._told, self._due_ns = tell, UNKNOWN_OUTLOOK, 0

    def see(self, snapshot: Snapshot) -> None:
        """Look at one. Whatever goes wrong here is nothing to the meter."""
        if snapshot.length_ns < self._due_ns:
            return
        self._due_ns = snapshot.length_ns + EVERY_NS
        try:
            outlook = snapshot.outlook
        except (ArithmeticError, LookupError, ValueError):
            return
        if outlook != self._told:
            self._told = outlook
            self._tell(outlook)
