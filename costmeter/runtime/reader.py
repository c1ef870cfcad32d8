"""The reader: the one thread that waits for the driver, so that nothing else has to.

A call into a sick driver can hang for ever and cannot be taken back. When one exceeds two seconds, the thread that is
stuck in it is left behind with its board, and a fresh one goes on with the others.
"""

import random
import threading
from collections.abc import Callable

from costmeter.clock import Anchor, Clock
from costmeter.errors import SourceError, SourceStopped
from costmeter.readings import Device, HostReading, Missing, Reading, Sample, is_identified
from costmeter.runtime.driver import NOTHING_FOUND, Driver, Searched
from costmeter.runtime.events import NO_ANSWER, NOT_LISTED, Batch, Ended, Event, Opened, OpenFailed
from costmeter.runtime.sampling import Sampling
from costmeter.units import NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND

#: A driver call longer than this leaves its thread and its board behind.
STUCK_AFTER_NS = 2 * NANOSECONDS_PER_SECOND
#: Once one call hangs, others that do are not waited for as long: a sick driver seldom hangs alone. Nor at the end.
STUCK_AGAIN_AFTER_NS = NANOSECONDS_PER_SECOND // 2
#: Without news for so long it is looked whether a call hangs; then, and at the end, after the shorter time.
_WATCH_SECONDS, _WATCH_AGAIN_SECONDS = 1.0, 0.25
#: Values that change slowly or cost much (memory; power where it does not come with the counter) are asked this often.
SLOW_EVERY_NS = 15 * NANOSECONDS_PER_SECOND


class Reader:
    """Reads all held boards every period, aligned to the UTC second and minute, and posts each tick as a Batch.

    `hold` picks the held devices of all there are; `host` reads the host's counters, where they count. Who
    `lists_processes` is told with every slow tick which processes the driver lists on each device; `cores` then says
    how much of the host the run uses.

    One thread reads at a time: that of the latest generation. Every other was left behind in a call, and learns so when
    the call returns; all it does then is to say that its board answers again. What threads share (the generation, which
    call is under way, which boards are stuck, what the tick under way has read) changes under one lock, and so does
    posting a tick: a thread that was left behind or given up on posts none.
    """

    def __init__(
        self,
        source: Searched,
        clock: Clock,
        anchor: Callable[[], Anchor],
        period_ns: int,
        hold: Callable[[tuple[Device, ...]], tuple[Device, ...]],
        post: Callable[[Event], None],
        host: Callable[[], HostReading | Missing] | None = None,
        chance: Callable[[], float] = random.random,
        lists_processes: bool = False,
        cores: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._source, self._clock, self._anchor = source, clock, anchor
        self._period_ns, self._hold, self._post, self._host = period_ns, hold, post, host
        self._driver, self._sampling = Driver(source, clock), Sampling(period_ns, chance)
        self._lists_processes, self._cores = lists_processes, cores
        self._found = NOTHING_FOUND
        self._devices: tuple[Device, ...] = ()
        self._unlisted: frozenset[Device] = frozenset()
        self._slow_due_ns = 0
        self._ending = threading.Event()
        self._ended: Ended | None = None
        self.finished = threading.Event()
        self._changing = threading.RLock()
        self._generation = 0
        self._asking: tuple[str, int] | None = None
        self._stuck: set[str] = set()
        self._said: dict[str, Reading | Missing] = {}

    def start(self) -> None:
        """Open the driver and begin, in a thread of its own."""
        self._spawn(self._open_and_read, self._generation)

    def end(self, ended: Ended) -> None:
        """The child was reaped: ask for one last reading; `finished` is set once it has been posted."""
        self._ended = ended
        self._ending.set()

    @property
    def watch_seconds(self) -> float:
        """After so long without news `watch` is worth a call."""
        return _WATCH_AGAIN_SECONDS if self._is_impatient else _WATCH_SECONDS

    @property
    def _is_impatient(self) -> bool:
        """Whether some call has hung, or none may last long any more."""
        return bool(self._stuck) or self._ending.is_set()

    def give_up(self, ended: Ended) -> None:
        """The last reading did not come in time: post what there is of it, and which boards still owe an answer."""
        with self._changing:
            self._generation += 1
            owing = self._stuck | ({self._asking[0]} if self._asking else set())
            said = self._completed(self._said) | dict.fromkeys(owing, NO_ANSWER)
            self._post(Batch(ended.at_ns, said, slow=False, until_ns=ended.at_ns))

    def watch(self) -> None:
        """Leave a thread behind that is stuck in the driver. Called from outside, since a stuck thread cannot."""
        with self._changing:
            patience_ns = STUCK_AGAIN_AFTER_NS if self._is_impatient else STUCK_AFTER_NS
            if self._asking is None or self._clock.boottime_ns() - self._asking[1] < patience_ns:
                return
            self._stuck.add(self._asking[0])
            self._asking = None
            self._generation += 1
            generation = self._generation
        self._spawn(self._read_for_ever, generation)

    def _spawn(self, work: Callable[[int], None], generation: int) -> None:
        threading.Thread(target=work, args=(generation,), name="costmeter-reader", daemon=True).start()

    # Threads

    def _open_and_read(self, generation: int) -> None:
        self._host_reading()  # the host's energy counts from here on
        error = self._driver.open()
        if error is not None:
            self._post(OpenFailed(error))
        self._read_for_ever(generation)

    def _read_for_ever(self, generation: int) -> None:
        while True:
            self._hold_found(generation)
            last = self._ending.is_set()
            if not self._read_once(generation, last):
                return
            if last:
                self.finished.set()
                return
            self._driver.look_after()
            if not self._wait(generation, self._next_tick_ns()):
                return

    def _begin(self, board: str) -> None:
        """A call begins that may hang."""
        self._asking = (board, self._clock.boottime_ns())

    def _answered(self, board: str, generation: int) -> bool:
        """Whether this thread may go on; one that was left behind learns here that its board answers again."""
        with self._changing:
            if generation != self._generation:
                self._stuck.discard(board)
                return False
            self._asking = None
            return True

    def _next_tick_ns(self) -> int:
        """The next multiple of the period in UTC, or the UTC minute if that comes first."""
        anchor = self._anchor()
        utc_ns = anchor.utc(self._clock.boottime_ns())
        tick_ns = (utc_ns // self._period_ns + 1) * self._period_ns
        minute_ns = (utc_ns // NANOSECONDS_PER_MINUTE + 1) * NANOSECONDS_PER_MINUTE
        return anchor.boottime(min(tick_ns, minute_ns))

    def _wait(self, generation: int, until_ns: int) -> bool:
        """Wait for the next tick, and read power meanwhile where that is all there is. False when left behind.

        Neither the tick nor the end waits for more than one of these calls.
        """
        while True:
            at_ns, boards = self._sampling.next(self._clock.boottime_ns(), until_ns)
            if self._clock.wait(self._ending, at_ns) or not boards:
                return True
            for board in boards:
                if self._ending.is_set() or self._clock.boottime_ns() >= until_ns:
                    return True
                if board not in self._stuck and self._driver.refusal is None:
                    self._begin(board)
                    sample = self._sampled(board)
                    if not self._answered(board, generation):
                        return False
                    self._sampling.keep(board, sample)

    # Readings

    def _hold_found(self, generation: int) -> None:
        """Hold what the driver shows, and post it where that is news.

        What was held and is listed no more stays held; an unidentified GPU does so until another one has its index.
        """
        found = self._driver.found
        if found is self._found:
            return
        held, boards = self._hold(found.devices), {device.board for device in found.devices}
        indexes = {device.index for device in found.devices}
        before = self._unlisted.union(self._devices)
        with self._changing:
            if generation != self._generation:
                return
            self._found, self._devices = found, held
            self._unlisted = frozenset(
                device for device in before if device.board not in boards and not _is_named(device, indexes)
            )
            self._sampling.hold(held)
            self._post(Opened(held, len(boards), found.facts))

    def _read_once(self, generation: int, last: bool) -> bool:
        """One tick of all held boards. False when this thread was left behind in it."""
        at_ns = self._clock.boottime_ns()
        slow = last or at_ns >= self._slow_due_ns
        self._said = readings = dict[str, Reading | Missing]()
        readings |= dict.fromkeys((device.board for device in self._unlisted), NOT_LISTED)
        for board in dict.fromkeys(device.board for device in self._devices):
            silent = self._driver.refusal or (NO_ANSWER if board in self._stuck else None)
            if silent is not None:
                readings[board] = silent
                continue
            self._begin(board)
            said = self._ask(board, slow)
            if not self._answered(board, generation):
                return False
            if isinstance(said, SourceStopped):
                said = Missing(said.message)
                self._driver.stopped(said)
            readings[board] = said
        if slow:
            self._slow_due_ns = at_ns + SLOW_EVERY_NS
        host, ended = self._host_reading(), self._ended  # it may have ended while this tick was under way
        held = self._still_held(ended.orphans, generation) if ended is not None and last else {}
        listed = self._all_processes(generation) if slow and self._lists_processes and ended is None else None
        cores = self._cores() if slow and ended is None else None
        until_ns = None if ended is None else ended.at_ns
        with self._changing:
            if generation != self._generation:
                return False
            self._said = {}
            took_ns = self._clock.boottime_ns() - at_ns
            completed = self._completed(readings)
            self._post(Batch(at_ns, completed, slow, until_ns, held, host, listed, took_ns, cores))
        return True

    def _completed(self, readings: dict[str, Reading | Missing]) -> dict[str, Reading | Missing]:
        """These readings with the power readings since the tick before."""
        return {board: self._sampling.complete_or_drop(board, said) for board, said in readings.items()}

    def _host_reading(self) -> HostReading | Missing | None:
        return None if self._host is None else self._host()

    def _still_held(self, orphans: frozenset[int], generation: int) -> dict[str, tuple[int, ...]]:
        """Which devices are held by which of these processes; the driver is asked only when there are any."""
        held: dict[str, tuple[int, ...]] = {}
        for uuid, listed in (self._all_processes(generation) if orphans else {}).items():
            found = orphans.intersection(() if isinstance(listed, Missing) else listed)
            if found:
                held[uuid] = tuple(sorted(found))
        return held

    def _all_processes(self, generation: int) -> dict[str, tuple[int, ...] | Missing]:
        """Which processes the driver lists on each device; it ends early where this thread is left behind."""
        listed: dict[str, tuple[int, ...] | Missing] = {}
        for device in self._devices:
            silent = self._driver.refusal or (NO_ANSWER if device.board in self._stuck else None)
            if silent is not None:
                listed[device.uuid] = silent
                continue
            self._begin(device.board)
            listed[device.uuid] = self._processes(device.uuid)
            if not self._answered(device.board, generation):
                break
        return listed

    def _processes(self, uuid: str) -> tuple[int, ...] | Missing:
        try:
            return self._source.processes(uuid)
        except Exception as fault:  # who is on a device is no reason to lose a tick
            return Missing(f"processes not listed: {type(fault).__name__}: {fault}")

    def _ask(self, board: str, slow: bool) -> Reading | Missing | SourceStopped:
        try:
            return self._source.read(board, slow)
        except SourceStopped as error:
            return error
        except SourceError as error:
            return Missing(error.message)
        except (
            Exception
        ) as fault:  # our own, or a driver's answer nobody foresaw: this device, at this tick, and no more
            return Missing(f"reading failed: {type(fault).__name__}: {fault}")

    def _sampled(self, board: str) -> Sample:
        try:
            return self._source.sample(board)
        except Exception as fault:  # the next reading says what is wrong
            return Sample(self._clock.boottime_ns(), Missing(str(fault)))


def _is_named(device: Device, indexes: set[int]) -> bool:
    """Whether a GPU that nobody could identify now has a name: another one has its index."""
    return not is_identified(device.board) and device.index in indexes
