"""The only room that asks what time it is.

Lengths come from CLOCK_BOOTTIME, which goes on while the machine sleeps and never steps. Tariff hours come from the
wall clock, read once into an `Anchor` and carried forward by boot time, so that a wall clock that steps does not
tear the record.
"""

import threading
import time
from dataclasses import dataclass
from typing import Protocol

from costmeter.units import NANOSECONDS_PER_SECOND

#: Wall clocks are read from 1970 to before the year 9999: a day, a month or a time zone further on is still a date.
LATEST_UTC_NS = 253_370_764_800 * NANOSECONDS_PER_SECOND


class Clock(Protocol):
    """What the recording loop needs of time."""

    def boottime_ns(self) -> int:
        """Nanoseconds since boot, counting sleep."""
        ...

    def utc_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC, as the machine's wall clock has it now."""
        ...

    def wait(self, event: threading.Event, until_boottime_ns: int) -> bool:
        """Sleep until the instant or the event, whichever is first; True when the event is set."""
        ...


class RealClock:
    """The machine's own clocks."""

    def boottime_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def utc_ns(self) -> int:
        return time.time_ns()

    def wait(self, event: threading.Event, until_boottime_ns: int) -> bool:
        remaining_ns = until_boottime_ns - self.boottime_ns()
        return event.wait(max(0, remaining_ns) / NANOSECONDS_PER_SECOND)


class ManualClock:
    """A clock that moves only when told, so that a month of tariff takes milliseconds."""

    def __init__(self, utc_ns: int, boottime_ns: int = 0) -> None:
        self._utc_ns = utc_ns
        self._boottime_ns = boottime_ns

    def boottime_ns(self) -> int:
        return self._boottime_ns

    def utc_ns(self) -> int:
        return self._utc_ns

    def wait(self, event: threading.Event, until_boottime_ns: int) -> bool:
        """Jump to the instant at once, unless the event is set already."""
        if not event.is_set():
            self.advance(max(0, until_boottime_ns - self._boottime_ns))
        return event.is_set()

    def advance(self, nanoseconds: int) -> None:
        """Let time pass on both clocks."""
        self._boottime_ns += nanoseconds
        self._utc_ns += nanoseconds

    def step_wall(self, nanoseconds: int) -> None:
        """Step the wall clock alone, as an administrator or NTP would."""
        self._utc_ns += nanoseconds


@dataclass(frozen=True, slots=True)
class Anchor:
    """One pair of simultaneous instants; turns boot time into UTC and back."""

    boottime_ns: int
    utc_ns: int

    def utc(self, boottime_ns: int) -> int:
        """UTC nanoseconds of a boot-time instant."""
        return self.utc_ns + boottime_ns - self.boottime_ns

    def boottime(self, utc_ns: int) -> int:
        """Boot-time nanoseconds of a UTC instant."""
        return self.boottime_ns + utc_ns - self.utc_ns


def anchor(clock: Clock) -> Anchor:
    """Read both clocks as close together as can be."""
    return Anchor(clock.boottime_ns(), clock.utc_ns())


def cpu_nanoseconds() -> int:
    """CPU time this process has used, user and system: the meter's own overhead."""
    return time.process_time_ns()
