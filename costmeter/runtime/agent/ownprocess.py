"""What this process costs, as its metrics page tells it: from /proc, as Prometheus's own clients do."""

import os
import resource
import threading

from costmeter.clock import Clock
from costmeter.outputs.prometheusprocess import Process
from costmeter.runtime.agent.lock import up_seconds
from costmeter.units import NANOSECONDS_PER_SECOND

#: Statuses that are counted apart, each at 0 before the first; what else is answered is `other`.
_CODES = (200, 401, 403, 404, 500, 503)
_OTHER = "other"


class OwnProcess:
    """This process and what it has answered. Used by several threads."""

    def __init__(self, clock: Clock) -> None:
        lived_seconds = up_seconds(os.getpid(), clock) or 0.0
        self._start_utc_seconds = clock.utc_ns() / NANOSECONDS_PER_SECOND - lived_seconds
        self._answered = {**{str(code): 0 for code in _CODES}, _OTHER: 0}
        self._counting = threading.Lock()
        self._page_seconds: float | None = None

    def count(self, status: int) -> None:
        """One more request was answered so."""
        code = str(status)
        with self._counting:
            self._answered[code if code in self._answered else _OTHER] += 1

    def took(self, seconds: float) -> None:
        """A page was made in so long."""
        self._page_seconds = seconds

    def now(self) -> Process:
        """As it is now; what /proc does not tell is 0."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        with self._counting:
            answered = dict(self._answered)
        cpu_seconds = used.ru_utime + used.ru_stime
        return Process(self._start_utc_seconds, cpu_seconds, _resident(), _open_files(), answered, self._page_seconds)


def _resident() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as told:
            return int(told.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


def _open_files() -> int:
    """But for the one that lists them."""
    try:
        return len(os.listdir("/proc/self/fd")) - 1
    except OSError:
        return 0
