"""The state a process has with the simulated driver: initialised or not, which devices it knows, and until when."""

import threading
from collections.abc import Callable

from costmeter.sources.simulated.codes import DRIVER_NOT_LOADED, SUCCESS, UNINITIALIZED
from costmeter.sources.simulated.scenario import Fault

_NEVER_NS = -1
_NO_END_NS = 2**63


class Session:
    """Counts nvmlInit and nvmlShutdown. A session that a driver reload ended stays dead until it is opened anew.

    `listed_at` says which devices the driver lists at an instant; a session keeps those of the instant it was opened.
    """

    def __init__(
        self,
        node_faults: tuple[Fault, ...],
        now_ns: Callable[[], int],
        listed_at: Callable[[int], tuple[int, ...]],
    ) -> None:
        self._faults = node_faults
        self._now_ns = now_ns
        self._listed_at = listed_at
        self._count = 0
        self._lock = threading.Lock()
        #: Calls answer before this instant; hot paths read it directly.
        self.good_until_ns = _NEVER_NS
        #: The devices by their place in the scenario, in the driver's order.
        self.listed: tuple[int, ...] = ()

    def init(self, *_: object) -> int:
        """nvmlInit in all its spellings."""
        now_ns = self._now_ns()
        for fault in self._faults:
            if fault.start_ns <= now_ns < fault.end_ns:
                return fault.code or DRIVER_NOT_LOADED
        with self._lock:
            if self._count == 0:
                self.listed = self._listed_at(now_ns)
                self.good_until_ns = min((f.start_ns for f in self._faults if f.start_ns > now_ns), default=_NO_END_NS)
            self._count += 1
        return SUCCESS

    def shutdown(self) -> int:
        """nvmlShutdown: the last one closes the session."""
        with self._lock:
            if self._count == 0:
                return UNINITIALIZED
            self._count -= 1
            if self._count == 0:
                self.good_until_ns = _NEVER_NS
        return SUCCESS
