"""The recorder: turns what devices say into intervals, slots and totals of one run. Arithmetic only; it never waits."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from costmeter.clock import Clock, cpu_nanoseconds
from costmeter.ledger.query import Part, begin, fold
from costmeter.ledger.record import Footer, Header, Mark, Record, Subtotal
from costmeter.ledger.resume import NOTHING_EARLIER, Earlier
from costmeter.meter.holder import UNKNOWN_UID, Holder
from costmeter.meter.totals import Totals
from costmeter.outputs.snapshot import Snapshot
from costmeter.runtime.booking import Booking, Pricing
from costmeter.runtime.course import Course
from costmeter.runtime.events import Batch, Ended, Event, Noted, Opened, OpenFailed, Told
from costmeter.runtime.outcome import outcome
from costmeter.runtime.slots import RunSlots, progress_marks

__all__ = ["Post", "Pricing", "Recorder"]

#: After so many slots the journal says what it comes to so far: once an hour, where nothing cuts the minutes.
SLOTS_PER_SUBTOTAL = 60


@dataclass(frozen=True, slots=True)
class Post:
    """What the recorder hands to the writer after each event."""

    records: tuple[Record, ...]
    order: tuple[str, ...]
    snapshot: Snapshot
    last: bool = False


class Recorder(Booking):
    """One run being recorded. `handle` takes one event and hands what came of it to `post`."""

    _slots: RunSlots

    def __init__(
        self,
        header: Header,
        pricing: Pricing,
        clock: Clock,
        post: Callable[[Post], None],
        earlier: Earlier = NOTHING_EARLIER,
    ) -> None:
        super().__init__(header, pricing, clock, earlier, RunSlots(header.anchor.utc(header.start_ns)))
        self._post = post
        self._part: Part = begin(header)
        self._course = Course()
        self._holder = Holder(UNKNOWN_UID, header.run, header.user, "announced")
        self._records: list[Record] = [header]

    @property
    def part(self) -> Part:
        """What has been closed so far, folded."""
        return self._part

    def handle(self, event: Event | Noted) -> None:
        """Take one event, what was seen of line items and budgets, or what the run told of itself."""
        last = False
        if isinstance(event, Batch):
            self._tick(event)
        elif isinstance(event, Opened):
            self._hold(event)
        elif isinstance(event, OpenFailed):
            self._refuse(event)
        elif isinstance(event, Told):
            self._hear(event)
        elif isinstance(event, Ended):
            self._end(event)
            last = True
        else:
            self._record(event)
        self._hand_over(last)

    def _tick(self, batch: Batch) -> None:
        super()._tick(batch)
        if self._course.is_due(batch.at_ns):
            self._course.see(batch.at_ns, self._snapshot().totals.whole.cost)

    def _hear(self, told: Told) -> None:
        """Cut the open slot where the run does something else; where it is booked beyond that already, there."""
        self._course.tell(told)
        self._holder = replace(self._holder, phase=told.phase)
        self._idling.step(self._holder.key, told.progress.steps, told.at_ns)
        self._hold_all(told.at_ns)
        at_utc_ns = self._anchor.utc(self._from_ns(told.at_ns))
        is_metered = self._tally.boards or not self._has_opened
        for mark in self._slots.tell(told, at_utc_ns) if is_metered else progress_marks(told, at_utc_ns):
            self._record(mark)

    def _hold(self, opened: Opened) -> None:
        super()._hold(opened)
        self._hold_all(self._tally.latest_ns if self._intervals else self._header.start_ns)

    def _hold_all(self, at_ns: int) -> None:
        """Every device is the run's, from its spawn on, or from when it appeared."""
        self._idling.hold(dict.fromkeys(self._devices, (self._holder,)), at_ns)

    def _held_totals(self) -> Totals:
        return self._part.totals

    def _begins_ns(self) -> int:
        """A run has paid for its devices since its spawn, however late the driver answers."""
        return self._header.start_ns

    def _follow(self, following: tuple[Mark, ...]) -> None:
        for mark in following:
            self._record(mark)
        if self._slots.closed % SLOTS_PER_SUBTOTAL == 0:
            self._record(Subtotal(self._part.summary))

    def _end(self, ended: Ended) -> None:
        end_ns, end_utc_ns = self._book_rest(ended)
        for mark in self._slots.rest():
            self._record(mark)
        length_ns = end_ns - self._header.start_ns
        self._record(
            Footer(
                end_utc_ns,
                length_ns,
                outcome(ended),
                ended.exit_code,
                ended.signal,
                cpu_nanoseconds(),
                self._tally.readings,
                summary=self._part.summary,
            )
        )

    # Handing over

    def _record(self, record: Record) -> None:
        self._part = fold(self._part, record)
        self._records.append(record)

    def _hand_over(self, last: bool) -> None:
        records, self._records = tuple(self._records), []
        self._post(Post(records, tuple(self._devices), self._snapshot(), last))

    def _snapshot(self) -> Snapshot:
        booked_ns = self._tally.latest_ns if self._tally.boards else self._clock.boottime_ns()
        return Snapshot(
            self._now_utc_ns(),
            self._part,
            self._open_slot(),
            self._seen(),
            length_ns=max(0, booked_ns - self._part.start_ns),
            furthest=self._course.furthest,
            points=self._course.points,
            idle=self._idling.spells,
        )
