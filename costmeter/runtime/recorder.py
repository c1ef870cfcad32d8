"""The recorder: turns what devices say into intervals, slots and totals. Arithmetic only; it never waits.

Every device is advanced at every tick, by its reading or by silence, so that each nanosecond from spawn to reap lies in
exactly one interval. A slot is closed once every device is past its end, and is never revised.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from costmeter.clock import Anchor, Clock, cpu_nanoseconds
from costmeter.ledger.query import Part, begin, fold
from costmeter.ledger.record import Devices, Footer, Header, Mark, MarkKind, RatesChange, Record, SlotEntry
from costmeter.meter.charge import Rates
from costmeter.meter.interval import Interval, between, cut, head, silence
from costmeter.meter.slot import Slot, next_edge
from costmeter.outputs.snapshot import Snapshot
from costmeter.readings import Device, Missing, Reading
from costmeter.runtime.events import Batch, Ended, Event, Opened, OpenFailed
from costmeter.runtime.minutes import Minutes
from costmeter.runtime.outcome import outcome
from costmeter.units import NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND, microjoules_from_power, watts_from_energy

#: A device that was last read longer ago than so many periods and this long was not watched meanwhile (the machine
#: slept, or the meter was stopped): what it did then nobody can say, though its counter knows what it drew.
LATE_TICKS, LATE_NS = 3, 5 * NANOSECONDS_PER_SECOND
#: Faults written to one journal; what happens to a device after so many of them is in its quantities.
MARKS_WRITTEN = 2_000
#: The wall clock may be this far off the anchor before the next slot edge takes a new one.
ANCHOR_TOLERANCE_NS = NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Post:
    """What the recorder hands to the writer after each event."""

    records: tuple[Record, ...]
    order: tuple[str, ...]
    snapshot: Snapshot
    last: bool = False


@dataclass(frozen=True, slots=True)
class Pricing:
    """What the recorder asks about prices: rates at an instant, devices to assume without a driver, host power."""

    rates_at: Callable[[int, Sequence[Device], int], Rates]
    assumed: Callable[[], tuple[Device, ...]]
    host_watts: float


class Recorder:
    """One run being recorded. `handle` takes one event and hands what came of it to `post`."""

    def __init__(self, header: Header, pricing: Pricing, clock: Clock, post: Callable[[Post], None]) -> None:
        self._header, self._pricing, self._clock, self._post = header, pricing, clock, post
        self._anchor: Anchor = header.anchor
        self._part: Part = begin(header)
        self._devices: dict[str, Device] = {}
        self._node_gpus = 0
        self._host_watts = 0.0
        self._booked_ns: dict[str, int] = {}
        self._good: dict[str, Reading] = {}
        self._silent: dict[str, str] = {}
        self._intervals: dict[str, Interval] = {}
        self._slow: dict[str, Reading] = {}
        self._resets: dict[str, int] = {}
        self._minutes = Minutes()
        self._readings = self._failures = 0
        self._last_answer_utc_ns: int | None = None
        self._longest_tick_ns = LATE_TICKS * header.period_ns + LATE_NS
        self._slots_closed = self._marks = 0
        self._has_opened = False
        self._until_ns: int | None = None
        self._rates_edge_utc_ns = 0
        self._slot_start_utc_ns = header.anchor.utc(header.start_ns)
        self._records: list[Record] = [header]

    @property
    def anchor(self) -> Anchor:
        """The pair of clocks in force, which a step of the wall clock replaces."""
        return self._anchor

    @property
    def has_opened(self) -> bool:
        """Whether the driver has answered, or refused."""
        return self._has_opened

    @property
    def part(self) -> Part:
        """What has been closed so far, folded."""
        return self._part

    def handle(self, event: Event) -> None:
        """Take one event."""
        last = False
        if isinstance(event, Batch):
            self._tick(event)
        elif isinstance(event, Opened):
            self._hold(event)
        elif isinstance(event, OpenFailed):
            self._note("fault", event.error.message, "")
            self._hold(Opened(self._pricing.assumed(), 0, None))
        else:
            self._end(event)
            last = True
        self._hand_over(last)

    # What happens to devices

    def _hold(self, opened: Opened) -> None:
        self._has_opened = True
        self._devices = {device.uuid: device for device in opened.devices}
        self._node_gpus = opened.node_gpus
        self._host_watts = self._pricing.host_watts if opened.node_gpus else 0.0
        self._booked_ns = dict.fromkeys(self._devices, self._header.start_ns)
        self._record(Devices(opened.devices, opened.facts, opened.node_gpus))
        if self._devices:  # so that every series can stand at 0 before the first reading
            self._see_rates(next_edge(self._slot_start_utc_ns))

    def _tick(self, batch: Batch) -> None:
        self._until_ns = batch.until_ns
        for uuid, device in self._devices.items():
            said = batch.readings.get(uuid)
            if isinstance(said, Reading):
                self._answers(said, device, batch.slow)
            else:
                self._book(silence(uuid, self._booked_ns[uuid], max(batch.at_ns, self._booked_ns[uuid])))
                if said is not None:  # None: a device assumed without a driver, which nobody asked
                    self._falls_silent(uuid, said.reason)
        for uuid, pids in batch.still_held.items():
            names = ", ".join(map(str, pids))
            self._note("fault", f"still held by pid {names} after the command's end", uuid)
        self._close_slots()

    def _answers(self, said: Reading, device: Device, slow: bool) -> None:
        uuid = said.uuid
        booked = self._interval(said, device)
        if uuid in self._good and booked.end_ns - booked.start_ns > self._longest_tick_ns:
            self._note("gap", f"nothing was read for {(booked.end_ns - booked.start_ns) / 1e9:.0f} s", uuid)
            booked = replace(booked, state="unknown", utilization_ratio=None)
        self._readings += 1
        self._last_answer_utc_ns = self._anchor.utc(said.at_ns)
        self._book(booked)
        self._good[uuid] = said
        if slow:
            self._slow[uuid] = said
        if uuid in self._silent:
            self._note("fault", f"answers again (was: {self._silent.pop(uuid)})", uuid)

    def _interval(self, said: Reading, device: Device) -> Interval:
        uuid = device.uuid
        good = self._good.get(uuid)
        if good is None:
            return head(said, device, self._header.rule, self._booked_ns[uuid])
        then, now = good.energy_microjoules, said.energy_microjoules
        if not isinstance(then, Missing) and not isinstance(now, Missing) and now < then:
            self._resets[uuid] = self._resets.get(uuid, 0) + 1
            self._note("fault", "energy counter was reset", uuid)
            good = replace(good, power_watts=_mean_watts(self._intervals[uuid]))
        return between(good, said, device, self._header.rule, self._booked_ns[uuid])

    def _falls_silent(self, uuid: str, reason: str) -> None:
        self._failures += 1
        if self._silent.get(uuid) != reason:
            self._silent[uuid] = reason
            self._note("fault", reason, uuid)

    def _note(self, kind: MarkKind, what: str, uuid: str) -> None:
        self._marks += 1
        if self._marks > MARKS_WRITTEN and kind == "fault":
            return  # a device that flaps at every tick must not fill the disk
        self._record(Mark(self._anchor.utc(self._clock.boottime_ns()), kind, what, uuid))

    # Intervals into slots

    def _book(self, interval: Interval) -> None:
        uuid = interval.uuid
        if self._until_ns is not None and interval.end_ns > self._until_ns:
            if interval.start_ns >= self._until_ns:
                return  # all of it after the reap: not the run's
            interval, _ = cut(interval, self._until_ns)
        if self._host_watts:
            interval = replace(interval, host_microjoules=self._host_share_uj(interval))
        self._intervals[uuid] = interval
        self._booked_ns[uuid] = interval.end_ns
        self._minutes.book(interval, self._anchor)

    def _host_share_uj(self, interval: Interval) -> int:
        """One GPU's share of the host over an interval. Telescopes from the spawn, so that cutting changes no sum."""
        watts = self._host_watts / self._node_gpus
        up_to_end = microjoules_from_power(watts, interval.end_ns - self._header.start_ns)
        return up_to_end - microjoules_from_power(watts, interval.start_ns - self._header.start_ns)

    def _close_slots(self) -> None:
        """Close every minute that all devices have left, oldest first, and see that the open one has its rates."""
        if not self._booked_ns:
            return
        reached_utc_ns = self._anchor.utc(min(self._booked_ns.values()))
        closed = False
        for edge_utc_ns in self._minutes.edges():
            self._see_rates(edge_utc_ns)
            if edge_utc_ns > reached_utc_ns:
                break
            self._close(edge_utc_ns, edge_utc_ns)
            closed = True
        if closed:
            self._see_wall_clock()

    def _close(self, edge_utc_ns: int, end_utc_ns: int) -> None:
        slot = self._slot(edge_utc_ns, end_utc_ns)
        self._minutes.drop(edge_utc_ns)
        self._record(SlotEntry(slot))
        self._slots_closed += 1
        self._slot_start_utc_ns = end_utc_ns

    def _slot(self, edge_utc_ns: int, end_utc_ns: int) -> Slot:
        return Slot(
            self._slot_start_utc_ns,
            end_utc_ns,
            self._minutes.held(edge_utc_ns, self._devices),
            {
                uuid: good.energy_microjoules
                for uuid, good in self._good.items()
                if not isinstance(good.energy_microjoules, Missing)
            },
            self._slots_closed,
        )

    def _see_rates(self, edge_utc_ns: int) -> None:
        """Rates hold for a whole minute of a slot: tariffs change on the minute."""
        if edge_utc_ns == self._rates_edge_utc_ns:
            return
        self._rates_edge_utc_ns = edge_utc_ns
        start_utc_ns = edge_utc_ns - NANOSECONDS_PER_MINUTE
        rates = self._pricing.rates_at(start_utc_ns, tuple(self._devices.values()), self._node_gpus)
        if rates != self._part.rates:
            self._record(RatesChange(max(start_utc_ns, self._slot_start_utc_ns), rates))

    def _see_wall_clock(self) -> None:
        """Take a new anchor at a slot edge when the wall clock has been stepped."""
        boottime_ns = self._clock.boottime_ns()
        off_ns = self._clock.utc_ns() - self._anchor.utc(boottime_ns)
        if abs(off_ns) <= ANCHOR_TOLERANCE_NS:
            return
        for edge_utc_ns in self._minutes.edges():
            self._close(edge_utc_ns, self._anchor.utc(max(self._booked_ns.values())))
        self._note("clock", f"wall clock was stepped by {off_ns / NANOSECONDS_PER_SECOND:+.3f} s", "")
        self._anchor = replace(self._anchor, utc_ns=self._anchor.utc_ns + off_ns)
        self._slot_start_utc_ns += off_ns

    # The end

    def _end(self, ended: Ended) -> None:
        """Book what is left up to the reap; a tick that was under way then may have read a moment beyond it."""
        if not self._has_opened:
            self._note("fault", "the NVIDIA driver never answered", "")
            self._hold(Opened(self._pricing.assumed(), 0, None))
        end_ns = max(ended.at_ns, max(self._booked_ns.values(), default=0))
        for uuid, booked_ns in self._booked_ns.items():
            if booked_ns < end_ns:
                self._book(silence(uuid, booked_ns, end_ns))
        end_utc_ns = self._anchor.utc(end_ns)
        self._close_slots()
        for edge_utc_ns in self._minutes.edges():
            self._see_rates(edge_utc_ns)
            self._close(edge_utc_ns, min(edge_utc_ns, end_utc_ns))
        length_ns = end_ns - self._header.start_ns
        self._record(
            Footer(
                end_utc_ns,
                length_ns,
                outcome(ended),
                ended.exit_code,
                ended.signal,
                cpu_nanoseconds(),
                self._readings,
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
        now_utc_ns = self._anchor.utc(max(self._booked_ns.values(), default=self._clock.boottime_ns()))
        open_slot = None
        if edges := self._minutes.edges():
            open_slot = self._slot(edges[0], min(edges[0], now_utc_ns))
        return Snapshot(
            now_utc_ns,
            self._part,
            open_slot,
            dict(self._intervals),
            dict(self._slow),
            self._readings,
            self._failures,
            self._last_answer_utc_ns,
            dict(self._resets),
            frozenset(self._silent),
        )


def _mean_watts(interval: Interval) -> float | Missing:
    """What a device drew last, for the moment in which its counter cannot tell."""
    if interval.method is None:
        return Missing("energy was unmeasured")
    return watts_from_energy(interval.microjoules, interval.end_ns - interval.start_ns)
