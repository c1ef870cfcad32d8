"""Watching line items: sizes of paths and traffic, looked at once a minute in threads that nobody waits for.

A path may lie on a file system that hangs, refuses, or holds millions of files: each has a thread of its own, which the
end of the process leaves behind. What a look finds is posted as one `Usage` a minute, and once more at the end.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from costmeter.clock import Clock
from costmeter.ledger.record import Items, Usage
from costmeter.meter.item import NOTHING_THERE, WATCHED, LineItem
from costmeter.meter.item_use import StorageUse, TrafficUse
from costmeter.readings import Missing
from costmeter.sources.host_network import NetworkSource
from costmeter.sources.host_storage import Size, measure
from costmeter.units import NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND

#: How long the end of a run waits for a last look.
LAST_LOOK_NS = 3 * NANOSECONDS_PER_SECOND // 10
#: A look that has not come back after so long is no longer waited for: the last known size is booked meanwhile.
_OVERDUE_NS = 5 * NANOSECONDS_PER_MINUTE // 2
#: So many of the last bookings are kept, to go back to the end of a run that is told a moment after it.
_USES_KEPT = 8
#: A walk rests so long every now and then.
_REST_NS = NANOSECONDS_PER_SECOND // 1_000


class ItemWatch:
    """The watched items of one run. `post` takes the definitions at the start, then what was used."""

    def __init__(
        self, items: Sequence[LineItem], clock: Clock, spawned_ns: int, post: Callable[[Items | Usage], None]
    ) -> None:
        self._items, self._clock, self._post = tuple(items), clock, post
        self._ending, self._lock, self._is_closed = threading.Event(), threading.Lock(), False
        self._ended_ns: int | None = None
        self._paths = [_Path(item, clock, spawned_ns, self._ending) for item in items if item.kind == "path"]
        self._traffic = _Traffic([item for item in items if item.kind == "network"])
        self._counted = threading.Event()

    def start(self) -> None:
        """Name the items, and begin to look. Returns at once."""
        if not self._items:
            return
        self._post(Items(self._items))
        if any(item.kind in WATCHED for item in self._items):
            for path in self._paths:
                threading.Thread(target=path.watch, name="costmeter-path", daemon=True).start()
            threading.Thread(target=self._count_for_ever, name="costmeter-items", daemon=True).start()

    def end(self, ended_ns: int) -> None:
        """The run ended at an instant (CLOCK_BOOTTIME): make the last looks. Returns at once."""
        self._ended_ns = ended_ns
        for path in self._paths:
            path.until_ns = ended_ns
        self._ending.set()

    def close(self) -> None:
        """Wait a moment for the last looks, and post the last use; what did not come back holds its last known size.

        A look that has been out for longer than that moment already would not be back in it, and is not waited for.
        """
        if self._ended_ns is None or not any(item.kind in WATCHED for item in self._items):
            return
        deadline_ns = self._ended_ns + LAST_LOOK_NS
        awaited = [path.done for path in self._paths if not path.is_out_since(self._ended_ns - LAST_LOOK_NS)]
        for done in (self._counted, *awaited):
            self._clock.wait(done, deadline_ns)
        with self._lock:
            self._is_closed = True
            for path in self._paths:
                path.close(self._ended_ns)
            self._post(self._usage())

    def _count_for_ever(self) -> None:
        """Read the counters of the network, and post the use, once a minute and at the end."""
        next_ns = self._clock.boottime_ns()
        while True:
            is_last = self._ending.is_set()
            self._traffic.look()
            if is_last:
                self._counted.set()
                return
            if self._clock.boottime_ns() >= next_ns + NANOSECONDS_PER_MINUTE:
                next_ns = self._clock.boottime_ns()
                self._tell()
            self._clock.wait(self._ending, next_ns + NANOSECONDS_PER_MINUTE)

    def _tell(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            for path in self._paths:
                path.hold(self._clock.boottime_ns())
            self._post(self._usage())

    def _usage(self) -> Usage:
        used, notes = self._traffic.told()
        for path in self._paths:
            byte_ns, note = path.told()
            used |= {} if byte_ns is None else {path.item.name: byte_ns}
            notes |= {path.item.name: note} if note else {}
        return Usage(self._clock.utc_ns(), used, notes)


class _Path:
    """One path that is looked at, in a thread of its own."""

    def __init__(self, item: LineItem, clock: Clock, spawned_ns: int, ending: threading.Event) -> None:
        self.item, self._clock, self._ending = item, clock, ending
        self.until_ns: int | None = None
        self.done = threading.Event()
        self._uses = deque([StorageUse(spawned_ns)], maxlen=_USES_KEPT)
        self._note = "not looked at yet"
        self._lock, self._is_closed = threading.Lock(), False
        self._begun_ns: int | None = None

    def is_out_since(self, at_ns: int) -> bool:
        """Whether a look is under way that had begun before an instant."""
        begun_ns = self._begun_ns
        return begun_ns is not None and begun_ns < at_ns

    @property
    def _use(self) -> StorageUse:
        return self._uses[-1]

    def watch(self) -> None:
        """Look once a minute, and not more than half of the time; once more at the end."""
        while True:
            is_last = self._ending.is_set()
            begun_ns = self._begun_ns = self._clock.boottime_ns()
            found = measure(self.item.path, self._rest)
            now_ns, self._begun_ns = self._clock.boottime_ns(), None
            self._see(found, now_ns)
            if is_last:
                self.done.set()
                return
            self._clock.wait(self._ending, max(begun_ns + NANOSECONDS_PER_MINUTE, 2 * now_ns - begun_ns))

    def hold(self, now_ns: int) -> None:
        """Book the last known size where a look has been out for too long."""
        with self._lock:
            if now_ns - self._use.at_ns > _OVERDUE_NS and self._use.size_bytes is not None:
                self._book(self._use.held(now_ns))
                self._note = "its look has not come back; its last known size holds"

    def close(self, ended_ns: int) -> None:
        """Book the last known size up to the end, and take no more."""
        with self._lock:
            if not self.done.is_set() and self._use.size_bytes is not None:
                self._note = "its last look did not come back in time; the size before it holds"
            elif not self.done.is_set():
                self._note = "it could not be looked at in time"
            while self._use.at_ns > ended_ns and len(self._uses) > 1:
                # Nobody had told yet that the run was over: what that look booked beyond the end is not the run's.
                size_bytes = self._uses.pop().size_bytes
                if size_bytes is not None and self._use.at_ns <= ended_ns:
                    self._book(self._use.looked(ended_ns, size_bytes))
            self._book(self._use.held(ended_ns))
            self._is_closed = True

    def told(self) -> tuple[int | None, str]:
        """Byte-nanoseconds so far, None where nothing is known, and what is to be said of them."""
        with self._lock:
            return self._use.byte_nanoseconds, self._note

    def _see(self, found: Size | Missing, now_ns: int) -> None:
        with self._lock:
            if self._is_closed:
                return
            at_ns = now_ns if self.until_ns is None else min(now_ns, self.until_ns)
            if isinstance(found, Missing):
                is_known = self._use.size_bytes is not None
                self._note = f"{found.reason}; its last known size holds" if is_known else found.reason
                self._book(self._use.held(at_ns))
            else:
                self._book(self._use.looked(at_ns, found.size_bytes))
                self._note = remark(found)

    def _book(self, use: StorageUse) -> None:
        if use.at_ns == self._use.at_ns:
            self._uses.pop()
        self._uses.append(use)

    def _rest(self) -> bool:
        """Rest a moment; at the end there is no time for it, and once all is counted no reason to go on."""
        self._clock.wait(self._ending, self._clock.boottime_ns() + _REST_NS)
        return not self._is_closed


def remark(found: Size) -> str:
    """What is to be said of a look; nothing of an ordinary one."""
    if not found.exists:
        return NOTHING_THERE
    entries = "1 file or folder" if found.unread == 1 else f"{found.unread:,} files or folders"
    return f"{entries} in it could not be read" if found.unread else ""


class _Traffic:
    """The network items: one reading of the counters serves them all."""

    def __init__(self, items: Sequence[LineItem]) -> None:
        self._source, self._lock = NetworkSource(), threading.Lock()
        self._uses = {item.name: TrafficUse() for item in items}
        self._items, self._refusal = items, "not looked at yet"

    def look(self) -> None:
        """Read the counters, where any item needs them."""
        if not self._items:
            return
        counted = self._source.read()
        with self._lock:
            if isinstance(counted, Missing):
                self._refusal = counted.reason
                return
            self._refusal = ""
            for item in self._items:
                chosen = self._source.chosen(counted, item.interface)
                self._uses[item.name] = self._uses[item.name].looked(chosen)

    def told(self) -> tuple[dict[str, int], dict[str, str]]:
        """Bytes by item, for those that ever met an interface, and what is to be said of them."""
        used: dict[str, int] = {}
        notes: dict[str, str] = {}
        with self._lock:
            for item in self._items:
                use = self._uses[item.name]
                if use.last:
                    sent, received = use.sent_bytes, use.received_bytes
                    used[item.name] = {"sent": sent, "received": received, "both": sent + received}[item.direction]
                elif not self._refusal:
                    notes[item.name] = f'no interface fits "{item.interface}"' if item.interface else "no interface"
                if self._refusal:
                    notes[item.name] = self._refusal
        return used, notes
