"""The driver as a whole: opened, opened anew after it went away, and searched for boards that did not say who they are.

Each of these may hang for ever, and lasts longer than a reading. After the first opening each has a thread of its own:
the reader gives it a moment and goes on without it, so that neither time nor the boards that answer wait for it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from costmeter.clock import Clock
from costmeter.errors import SourceError, SourceStopped
from costmeter.readings import Device, DriverFacts, Missing, Source
from costmeter.units import NANOSECONDS_PER_SECOND

#: A driver that was never there, and what boards still owe, is looked for again after these pauses: the first soon,
#: each further one twice as long, up to the longest.
FIRST_PAUSE_NS, LONGEST_PAUSE_NS = NANOSECONDS_PER_SECOND, 30 * NANOSECONDS_PER_SECOND
#: So long the reader waits for an opening or a search; a driver that is well needs less.
_MOMENT_SECONDS = 0.5


class Searched(Source, Protocol):
    """A source that knows whether another look at it may find more."""

    @property
    def is_settled(self) -> bool:
        """Whether `seek` has nothing to look for. Asks no driver."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """What a driver showed when it was last opened or searched."""

    devices: tuple[Device, ...] = ()
    facts: DriverFacts | None = None


NOTHING_FOUND = Found()


class Driver:
    """One source: whether it can be read, and what is there to be read. Used by one thread at a time."""

    def __init__(self, source: Searched, clock: Clock) -> None:
        self._source, self._clock = source, clock
        self._work: threading.Thread | None = None
        self._due_ns, self._pause_ns = 0, FIRST_PAUSE_NS
        #: What it shows; the same object until something changed.
        self.found = NOTHING_FOUND
        #: Why no board can be asked now; None while the driver is open.
        self.refusal: Missing | None = Missing("the driver is not open")

    def open(self) -> SourceError | None:
        """Open it in the caller's thread; why it did not open, if it did not."""
        error = self._open()
        if error is not None:
            self._pause()
        return error

    def _open(self) -> SourceError | None:
        try:
            self._see(self._source.open())
        except SourceError as error:
            return self._refused(error)
        except Exception as fault:  # as above all else, time goes on and is booked
            return self._refused(SourceStopped(f"the driver could not be opened: {type(fault).__name__}: {fault}"))
        self._pause_ns = FIRST_PAUSE_NS
        self._pause()
        self.refusal = None
        return None

    def stopped(self, why: Missing) -> None:
        """A board was asked and the driver was gone: until it is opened anew, this is why nothing is known."""
        self.refusal = why

    def look_after(self) -> None:
        """Once a tick: open it anew where it went away, and look now and then for what is not there. Takes a moment."""
        work = self._due_work()
        if work is None or (self._work is not None and self._work.is_alive()):
            return
        self._pause()
        self._work = threading.Thread(target=work, name="costmeter-driver", daemon=True)
        self._work.start()
        self._work.join(_MOMENT_SECONDS)

    def _due_work(self) -> Callable[[], object] | None:
        devices, is_due = self.found.devices, self._clock.boottime_ns() >= self._due_ns
        if self.refusal is not None:
            return self._open_anew if devices or is_due else None
        return self._seek if is_due and not self._source.is_settled else None

    def _open_anew(self) -> None:
        why = self.refusal
        self._source.close()
        if self._open() is not None and self.found.devices:
            self.refusal = why  # why it went away says more than that it is not back yet

    def _seek(self) -> None:
        try:
            self._see(self._source.seek())
        except Exception:  # the boards that are known are read as before, and say it when the driver is gone
            return

    def _pause(self) -> None:
        self._due_ns = self._clock.boottime_ns() + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, LONGEST_PAUSE_NS)

    def _see(self, devices: tuple[Device, ...]) -> None:
        found = Found(devices, self._source.facts())
        if found != self.found:
            self.found = found

    def _refused(self, error: SourceError) -> SourceError:
        self.refusal = Missing(error.message)
        return error
