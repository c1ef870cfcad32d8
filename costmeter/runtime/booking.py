"""Booking: what devices say becomes intervals and slots under their rates. What every recorder does, run or node.

Every device is advanced at every tick, by its reading or by silence, so that each nanosecond lies in exactly one
interval. A slot is closed once every device is past its end, and is never revised. Arithmetic only; it never waits.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from costmeter.clock import Anchor, Clock
from costmeter.ledger.record import Devices, Header, RatesChange, SlotEntry
from costmeter.ledger.resume import Earlier
from costmeter.meter.charge import Rates
from costmeter.meter.idletimes import IdleTimes
from costmeter.meter.idleuse import idle_use
from costmeter.meter.interval import Interval, cut, explained
from costmeter.meter.slot import Slot
from costmeter.meter.totals import Totals, totals
from costmeter.outputs.snapshot import Seen
from costmeter.rates.book import Quotation
from costmeter.readings import Device, DriverFacts, Missing, Reading, is_identified
from costmeter.runtime.events import NOT_LISTED, Batch, Ended, Opened, OpenFailed
from costmeter.runtime.hostshare import HostShare
from costmeter.runtime.idling import Idling
from costmeter.runtime.marks import Marks
from costmeter.runtime.slots import Slots
from costmeter.runtime.tally import Tally
from costmeter.units import NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND

#: A device that was last read so many periods and this long ago was not watched meanwhile (the machine slept, or the
#: meter was stopped): what it did then nobody can say, though its counter knows what it drew, and power is not taken to
#: lie between readings so far apart. One call that hangs makes a tick 2 s late, which is still watching.
WATCHED_TICKS, WATCHED_NS = 1, 5 * NANOSECONDS_PER_SECOND // 2
#: The wall clock may be this far off the anchor before the next slot edge takes a new one.
ANCHOR_TOLERANCE_NS = NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Pricing:
    """What a recorder asks about prices: a node's over time, devices to assume without a driver, host power.

    `quotation` takes the devices held and how many GPUs the node has.
    """

    quotation: Callable[[Sequence[Device], int], Quotation]
    assumed: Callable[[], tuple[Device, ...]]
    host_watts: float


class Booking(ABC):
    """Devices being booked into slots. Who inherits it folds the records, says what follows a slot, and hands over."""

    def __init__(self, header: Header, pricing: Pricing, clock: Clock, earlier: Earlier, slots: Slots[Any]) -> None:
        self._header, self._pricing, self._clock, self._earlier = header, pricing, clock, earlier
        self._anchor: Anchor = header.anchor
        self._slots = slots
        self._devices: dict[str, Device] = {}
        self._node_gpus = 0
        self._driver: DriverFacts | None = None
        self._quotation = pricing.quotation((), 0)
        self._can_be_negative = False
        self._rates: Rates | None = None
        self._marks = self._new_marks()
        self._watched_ns = WATCHED_TICKS * header.period_ns + WATCHED_NS
        self._tally = Tally(header.rule, self._watched_ns, self._note)
        self._host = HostShare(header.start_ns, pricing.host_watts)
        self._idling = Idling(self._idle_cost)
        self._intervals: dict[str, Interval] = {}
        self._slow: dict[str, Reading] = {}
        self._last_answer_utc_ns: int | None = None
        self._has_opened = self._has_answered = False
        self._listed: set[str] = set()
        self._until_ns: int | None = None
        self._took_ns: int | None = None
        self._booked_ns = self._last_tick_ns = header.start_ns
        self._rates_minute_utc_ns = 0

    @property
    def anchor(self) -> Anchor:
        """The pair of clocks in force, which a step of the wall clock replaces."""
        return self._anchor

    @property
    def has_opened(self) -> bool:
        """Whether the driver has answered, or refused."""
        return self._has_opened

    @abstractmethod
    def _record(self, record: Any) -> None:
        """Fold one record and keep it for the journal."""

    @abstractmethod
    def _follow(self, following: tuple[Any, ...]) -> None:
        """A slot was recorded: what the slots kept to follow it."""

    @abstractmethod
    def _begins_ns(self) -> int:
        """From when (CLOCK_BOOTTIME) the first devices are counted."""

    @abstractmethod
    def _held_totals(self) -> Totals:
        """What devices did and cost in closed slots while they were held."""

    def _new_marks(self) -> Marks:
        return Marks(self._record, lambda: self._anchor.utc(self._clock.boottime_ns()))

    def _note(self, kind: Any, what: str, uuid: str) -> None:
        self._marks.note(kind, what, uuid)

    def _from_ns(self, at_ns: int) -> int:
        """The instant (CLOCK_BOOTTIME) from which something new may hold: beyond it nothing is booked yet."""
        at_ns = at_ns if self._until_ns is None else min(at_ns, self._until_ns)
        return max(at_ns, self._tally.latest_ns) if self._tally.boards else at_ns

    # What happens to devices

    def _hold(self, opened: Opened) -> None:
        """Hold these devices. Those that were held before and are not listed now stay held: they are paid for."""
        is_first = not self._devices
        version = opened.facts.version if opened.facts else ""
        earlier = self._earlier.boards if version == self._earlier.driver_version else {}
        since_ns = self._tally.hold(opened.devices, self._begins_ns(), earlier)
        held = self._tally.boards
        listed = {device.uuid: device for device in opened.devices if device.board in held}
        if is_first and since_ns:
            self._slots.start_utc_ns = self._anchor.utc(min(since_ns.values()))
        self._tell_of_news(opened, is_first)
        self._has_opened = True
        self._driver = opened.facts
        self._listed = {device.board for device in listed.values()}
        self._devices |= listed
        self._node_gpus = max(opened.node_gpus, self._node_gpus)
        self._quote()
        self._host.node_gpus = self._node_gpus
        start_ns = self._header.start_ns
        late_ns = {uuid: at_ns - self._counted_ns(uuid) for uuid, at_ns in since_ns.items() if at_ns != start_ns}
        self._record(Devices(tuple(self._devices.values()), self._driver, self._node_gpus, late_ns))
        if self._devices:  # so that every series can stand at 0 before the first reading
            edges = self._slots.edges()
            self._see_rates(edges[0] if edges else self._slots.open_edge_utc_ns)

    def _counted_ns(self, uuid: str) -> int:
        """How much of the time of a device that is new is in the file already: of one that was there before."""
        return 0

    def _quote(self) -> None:
        """Ask anew what the devices cost: from the oldest slot on. Prices that once could be negative were so."""
        self._quotation = self._pricing.quotation(tuple(self._devices.values()), self._node_gpus)
        self._can_be_negative = self._can_be_negative or self._quotation.can_be_negative
        self._rates_minute_utc_ns = 0

    def _tell_of_news(self, opened: Opened, is_first: bool) -> None:
        """What an opening changes for who reads the receipt: a driver that is there at last, GPUs that appeared."""
        if opened.facts is not None and not self._has_answered:
            self._has_answered = True
            if self._has_opened:
                self._marks.note("fault", "the NVIDIA driver answers now", "")
        held = self._tally.boards
        nameless = {device.index for device in self._devices.values() if not device.is_identified}
        for device in () if is_first else opened.devices:
            if device.uuid not in self._devices and device.board in held:
                told = "answers now" if device.index in nameless else "appeared"
                self._marks.note("fault", f"{told} ({device.name}); its energy counts from here", device.uuid)

    def _refuse(self, failed: OpenFailed) -> None:
        """There is no driver: what is paid for without one."""
        self._marks.note("fault", failed.error.message, "")
        self._hold(Opened(self._pricing.assumed(), 0, None))

    def _tick(self, batch: Batch) -> None:
        if batch.until_ns is not None:  # a tick under way at the reap may have booked a board beyond it
            self._until_ns = max(batch.until_ns, self._booked_ns)
        if batch.processes is not None:
            self._idling.list(batch.processes, batch.at_ns)
        if batch.cores is not None:
            self._idling.work(dict.fromkeys(self._devices, batch.cores))
        if batch.host is not None:
            for told in self._host.read(batch.host):
                self._marks.note("fault", told, "")
        for board in self._tally.boards:
            said = batch.readings.get(self._tally.listed_as(board))
            if isinstance(said, Reading):
                self._last_answer_utc_ns = self._anchor.utc(said.at_ns)
                booked = self._tally.answers(said, self._last_tick_ns, batch.until_ns is not None)
                if batch.slow and board in self._devices:
                    self._slow[board] = said
                    self._idling.keep(board, said.memory_used_bytes)
            elif said is None and self._just_appeared(board, batch):
                continue  # it will be asked at the next tick
            else:
                booked = self._tally.falls_silent(board, batch.at_ns, self._reason(board, said))
            for interval in booked:
                self._book(interval)
        for uuid, pids in batch.still_held.items():
            names = ", ".join(map(str, pids))
            self._marks.note("fault", f"still held by pid {names} after the command's end", uuid)
        self._last_tick_ns, self._took_ns = batch.at_ns, batch.took_ns
        self._close_slots()

    def _just_appeared(self, board: str, batch: Batch) -> bool:
        """Whether a board that was not asked is one that was listed while this tick was under way."""
        waits_ns = batch.at_ns - self._tally.boards[board]
        is_listed = board in self._listed and is_identified(board)
        return is_listed and batch.until_ns is None and waits_ns <= self._watched_ns

    def _reason(self, board: str, said: Missing | None) -> str | None:
        """Why a board said nothing; None where nobody asked it: no driver opened yet."""
        if said is not None:
            return said.reason
        return None if board in self._listed else NOT_LISTED.reason

    # Intervals into slots

    def _book(self, interval: Interval) -> None:
        uuid = interval.uuid
        if self._until_ns is not None and interval.end_ns > self._until_ns:
            if interval.start_ns >= self._until_ns:
                return  # all of it after the reap: not the run's
            interval, _ = cut(interval, self._until_ns)
        self._booked_ns = max(self._booked_ns, interval.end_ns)
        interval = self._host.shared(interval, self._devices[uuid])
        why = self._idling.see(interval, self._anchor)
        if why is not None:
            interval = explained(interval, why)
        self._intervals[uuid] = interval
        self._slots.book(interval, self._anchor)

    def _idle_cost(self, uuid: str) -> Decimal:
        """What the idle time of a held device has cost so far, credits taken off; before the interval being booked."""
        closed, open_cost = self._held_totals().devices.get(uuid), Decimal(0)
        if self._rates is not None and uuid in self._rates.devices:
            waiting = Slot(0, 0, {uuid: self._slots.held_quantities(uuid)})
            open_cost = idle_use(totals(waiting, self._rates).devices[uuid]).cost
        return open_cost if closed is None else open_cost + idle_use(closed).cost

    def _held_times(self, uuid: str) -> IdleTimes:
        """For how long a device was idle and busy so far, while it was held."""
        closed, waiting = self._held_totals().devices.get(uuid), self._slots.held_quantities(uuid)
        whole = waiting if closed is None else closed.quantities + waiting
        return IdleTimes(whole.idle_nanoseconds, whole.busy_nanoseconds)

    def _close_slots(self) -> None:
        """Close every slot that all devices have left, oldest first, and see that the open one has its rates."""
        if not self._tally.boards:
            return
        reached_utc_ns = self._anchor.utc(self._tally.reached_ns)
        closed = False
        for edge_utc_ns in self._slots.edges():
            self._see_rates(edge_utc_ns)
            if edge_utc_ns > reached_utc_ns:
                break
            self._close(edge_utc_ns, edge_utc_ns)
            closed = True
        if closed:
            self._see_wall_clock()

    def _close(self, edge_utc_ns: int, end_utc_ns: int) -> None:
        self._record(SlotEntry(self._slot(edge_utc_ns, end_utc_ns)))
        self._follow(self._slots.close(edge_utc_ns, end_utc_ns))

    def _slot(self, edge_utc_ns: int, end_utc_ns: int) -> Slot:
        return self._slots.slot(edge_utc_ns, end_utc_ns, self._devices, self._tally.counters, self._tally.standings)

    def _open_slot(self) -> Slot | None:
        """The oldest slot as it stands now; None where none holds anything."""
        edges = self._slots.edges()
        return self._slot(edges[0], min(edges[0], self._now_utc_ns())) if edges else None

    def _now_utc_ns(self) -> int:
        """Up to when anything is booked, which is what a snapshot shows."""
        return self._anchor.utc(self._tally.latest_ns if self._tally.boards else self._clock.boottime_ns())

    def _see_rates(self, edge_utc_ns: int) -> None:
        """Rates hold for a whole minute of a slot: tariffs change on the minute."""
        start_utc_ns = (edge_utc_ns - 1) // NANOSECONDS_PER_MINUTE * NANOSECONDS_PER_MINUTE
        if start_utc_ns == self._rates_minute_utc_ns:
            return
        self._rates_minute_utc_ns = start_utc_ns
        rates = self._quotation.at(start_utc_ns)
        if rates != self._rates:
            self._rates = rates
            self._record(RatesChange(max(start_utc_ns, self._slots.start_utc_ns), rates))

    def _see_wall_clock(self) -> None:
        """Take a new anchor at a slot edge when the wall clock has been stepped."""
        boottime_ns = self._clock.boottime_ns()
        off_ns = self._clock.utc_ns() - self._anchor.utc(boottime_ns)
        if abs(off_ns) <= ANCHOR_TOLERANCE_NS:
            return
        for edge_utc_ns in self._slots.edges():
            self._close(edge_utc_ns, min(edge_utc_ns, self._anchor.utc(self._tally.latest_ns)))
        self._marks.note("clock", f"wall clock was stepped by {off_ns / NANOSECONDS_PER_SECOND:+.3f} s", "")
        self._anchor = replace(self._anchor, utc_ns=self._anchor.utc_ns + off_ns)
        self._slots.step(off_ns)

    def _seen(self) -> Seen:
        """What was last seen of the devices, for those who show it: copies, which no later tick changes."""
        return Seen(
            dict(self._intervals),
            dict(self._slow),
            self._tally.readings,
            self._tally.failures,
            self._last_answer_utc_ns,
            self._tally.resets,
            self._tally.silent,
            self._can_be_negative,
            self._took_ns,
        )

    # The end

    def _book_rest(self, ended: Ended) -> tuple[int, int]:
        """Book what is left up to the end; a tick that was under way then may have read a moment beyond it.

        The instant of the end, as CLOCK_BOOTTIME and in UTC.
        """
        if not self._has_opened:
            self._marks.note("fault", "the NVIDIA driver never answered", "")
            self._hold(Opened(self._pricing.assumed(), 0, None))
        self._until_ns = end_ns = max(ended.at_ns, self._booked_ns)
        for board, booked_ns in self._tally.boards.items():
            if booked_ns < end_ns:
                for interval in self._tally.falls_silent(board, end_ns, None):
                    self._book(interval)
        self._tally.close()
        self._marks.close()
        end_utc_ns = self._anchor.utc(end_ns)
        self._close_slots()
        for edge_utc_ns in self._slots.edges():
            self._see_rates(edge_utc_ns)
            self._close(edge_utc_ns, min(edge_utc_ns, end_utc_ns))
        return end_ns, end_utc_ns
