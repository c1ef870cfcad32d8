"""Patience with a busy driver: what fails and may pass is asked again for a while, and what is still owed is kept."""

import threading
from collections.abc import Callable
from typing import Any

from costmeter.clock import RealClock
from costmeter.errors import DeviceGone, SourceStopped
from costmeter.readings import Missing
from costmeter.sources.nvml_failures import asked, failure_of
from costmeter.units import NANOSECONDS_PER_SECOND

#: So long one board's probe asks again, in all: trouble that is shorter is never seen.
PATIENCE_SECONDS = 1.5
#: The pauses before a call is made again, each twice the one before.
_FIRST_PAUSE_NS, _LONGEST_PAUSE_NS = NANOSECONDS_PER_SECOND // 100, NANOSECONDS_PER_SECOND // 10


class Patience:
    """One look at one board. Its pauses are in real time, whatever clock the readings have. For one thread."""

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self._left_ns = round(seconds * NANOSECONDS_PER_SECOND)
        self._clock, self._never = RealClock(), threading.Event()
        self._owed: set[str] = set()

    @property
    def owed(self) -> frozenset[str]:
        """What was asked for by name, and failed in a way that may pass."""
        return frozenset(self._owed)

    def ask(self, call: Callable[[], Any], owed: str | None = None) -> Any:
        """What it returns or is Missing for, made again while it fails with what passes and patience lasts.

        Where it fails with what may pass, now or after a reset, the board still owes what `owed` names.
        """
        value, pause_ns = tolerant(call), _FIRST_PAUSE_NS
        while _kind(value) == "passing" and self._left_ns >= pause_ns:
            began_ns = self._clock.boottime_ns()
            self._clock.wait(self._never, began_ns + pause_ns)
            value = tolerant(call)
            self._left_ns -= self._clock.boottime_ns() - began_ns  # a call that times out takes its time, too
            pause_ns = min(2 * pause_ns, _LONGEST_PAUSE_NS)
        if owed is not None and may_pass(value):
            self._owed.add(owed)
        return value


def may_pass(value: object) -> bool:
    """Whether this is missing for a reason that may pass: of the call, the board or the driver."""
    return _kind(value) in ("passing", "gone", "stopped")


def tolerant(call: Callable[[], Any]) -> Any:
    """A value beside which a dead device is only a Missing: the others open, and its next reading says it is gone."""
    try:
        return asked(call)
    except (DeviceGone, SourceStopped) as error:
        return Missing(error.message)
    except Exception as fault:  # a driver's answer that cannot even be taken: text that is none, numbers of no type
        return Missing(f"the driver's answer cannot be used ({type(fault).__name__})")


def _kind(value: object) -> str | None:
    found = failure_of(value) if isinstance(value, Missing) else None
    return None if found is None else found.kind
