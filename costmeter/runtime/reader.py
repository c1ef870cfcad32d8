"""The reader: the one thread that waits for the driver, so that nothing else has to.

A call into a sick driver can hang for ever and cannot be taken back. When one exceeds two seconds, the thread that is
stuck in it is left behind with its device, and a fresh one goes on with the others.
"""

import threading
from collections.abc import Callable

from costmeter.clock import Anchor, Clock
from costmeter.errors import SourceError, SourceStopped
from costmeter.readings import Device, Missing, Reading, Source
from costmeter.runtime.events import Batch, Ended, Event, Opened, OpenFailed
from costmeter.units import NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND

#: A driver call longer than this leaves its thread and its device behind.
STUCK_AFTER_NS = 2 * NANOSECONDS_PER_SECOND
#: Once one call hangs, others that do are not waited for as long: a sick driver seldom hangs alone.
STUCK_AGAIN_AFTER_NS = NANOSECONDS_PER_SECOND // 2
#: Values that change slowly or cost much (power beside a counter, memory) are asked for this often.
SLOW_EVERY_NS = 15 * NANOSECONDS_PER_SECOND

NO_ANSWER = Missing("the driver does not answer")


class Reader:
    """Reads all held devices every period, aligned to the UTC second and minute, and posts each tick as a Batch."""

    def __init__(
        self,
        source: Source,
        clock: Clock,
        anchor: Callable[[], Anchor],
        period_ns: int,
        hold: Callable[[tuple[Device, ...]], tuple[Device, ...]],
        post: Callable[[Event], None],
    ) -> None:
        self._source, self._clock, self._anchor = source, clock, anchor
        self._period_ns, self._hold, self._post = period_ns, hold, post
        self._ending = threading.Event()
        self._ended: Ended | None = None
        self.finished = threading.Event()
        self._generation = 0
        self._changing = threading.Lock()
        self._devices: tuple[Device, ...] = ()
        self._stuck: set[str] = set()
        self._asking: tuple[str, int] | None = None
        self._slow_due_ns = 0
        self._has_reopened = False

    def start(self) -> None:
        """Open the driver and begin, in a thread of its own."""
        self._spawn(self._open_and_read)

    def end(self, ended: Ended) -> None:
        """The child was reaped: ask for one last reading; `finished` is set once it has been posted."""
        self._ended = ended
        self._ending.set()

    @property
    def is_waiting(self) -> bool:
        """Whether some call has hung: then `watch` is worth calling more often."""
        return bool(self._stuck)

    def give_up(self, ended: Ended) -> None:
        """The last reading did not come in time: post which devices still owe an answer."""
        with self._changing:
            owing = self._stuck | ({self._asking[0]} if self._asking else set())
        self._post(Batch(ended.at_ns, dict.fromkeys(owing, NO_ANSWER), slow=False, until_ns=ended.at_ns))

    def watch(self) -> None:
        """Leave a thread behind that is stuck in the driver. Called from outside, since a stuck thread cannot."""
        with self._changing:
            asking = self._asking
            patience_ns = STUCK_AGAIN_AFTER_NS if self._stuck else STUCK_AFTER_NS
            if asking is None or self._clock.boottime_ns() - asking[1] < patience_ns:
                return
            self._stuck.add(asking[0])
            self._asking = None
            self._generation += 1
        self._spawn(self._read_for_ever)

    def _spawn(self, work: Callable[[int], None]) -> None:
        threading.Thread(target=work, args=(self._generation,), name="costmeter-reader", daemon=True).start()

    def _open_and_read(self, generation: int) -> None:
        try:
            everything = self._source.open()
            self._devices = self._hold(everything)
            self._post(Opened(self._devices, len(everything), self._source.facts()))
        except SourceError as error:
            self._post(OpenFailed(error))
            self._devices = ()
        except Exception as fault:  # as above all else, time goes on and is booked
            self._post(OpenFailed(SourceStopped(f"the driver could not be opened: {type(fault).__name__}: {fault}")))
            self._devices = ()
        self._read_for_ever(generation)

    def _read_for_ever(self, generation: int) -> None:
        while generation == self._generation:
            last = self._ending.is_set()
            self._read_once(generation, last)
            if generation == self._generation and last:
                self.finished.set()
                return
            self._clock.wait(self._ending, self._next_tick_ns())

    def _next_tick_ns(self) -> int:
        """The next multiple of the period in UTC, or the UTC minute if that comes first."""
        anchor = self._anchor()
        utc_ns = anchor.utc(self._clock.boottime_ns())
        tick_ns = (utc_ns // self._period_ns + 1) * self._period_ns
        minute_ns = (utc_ns // NANOSECONDS_PER_MINUTE + 1) * NANOSECONDS_PER_MINUTE
        return anchor.boottime(min(tick_ns, minute_ns))

    def _read_once(self, generation: int, last: bool) -> None:
        at_ns = self._clock.boottime_ns()
        slow = last or at_ns >= self._slow_due_ns
        self._has_reopened = False
        readings: dict[str, Reading | Missing] = {}
        for device in self._devices:
            uuid = device.uuid
            if uuid in self._stuck:
                readings[uuid] = NO_ANSWER
                continue
            self._asking = (uuid, self._clock.boottime_ns())
            readings[uuid] = self._ask(uuid, slow)
            with self._changing:
                if generation != self._generation:  # this thread was left behind, and its device answers again
                    self._stuck.discard(uuid)
                    return
                self._asking = None
        if slow:
            self._slow_due_ns = at_ns + SLOW_EVERY_NS
        ended = self._ended  # it may have ended while this tick was under way
        if ended is None:
            self._post(Batch(at_ns, readings, slow))
        else:
            held = self._still_held(ended.orphans) if last else {}
            self._post(Batch(at_ns, readings, slow, ended.at_ns, held))

    def _still_held(self, orphans: frozenset[int]) -> dict[str, tuple[int, ...]]:
        """Which devices are held by which of these processes; the driver is asked only when there are any."""
        if not orphans:
            return {}
        held = {device.uuid: self._processes(device.uuid) for device in self._devices if device.uuid not in self._stuck}
        return {uuid: pids for uuid, found in held.items() if (pids := tuple(sorted(orphans.intersection(found))))}

    def _processes(self, uuid: str) -> tuple[int, ...]:
        try:
            found = self._source.processes(uuid)
        except SourceError:
            return ()
        return () if isinstance(found, Missing) else found

    def _ask(self, uuid: str, slow: bool) -> Reading | Missing:
        try:
            return self._source.read(uuid, slow)
        except SourceStopped as error:
            self._reopen()
            return Missing(error.message)
        except SourceError as error:
            return Missing(error.message)
        except (
            Exception
        ) as fault:  # our own, or a driver's answer nobody foresaw: this device, at this tick, and no more
            return Missing(f"reading failed: {type(fault).__name__}: {fault}")

    def _reopen(self) -> None:
        """The driver went away: let go of it and open it again, tried once a tick; readings tell whether it is back."""
        if self._has_reopened:
            return
        self._has_reopened = True
        try:
            self._source.close()
            self._source.open()
        except SourceError:
            return
