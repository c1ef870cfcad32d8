"""The node's recorder: what all its devices do, who holds them, and every run's share. Arithmetic only; it never waits.

A slot has the same holders from its start to its end: it is cut wherever a device changes hands. At UTC midnight the
journal's file ends with a footer and the next one opens with where the counters stand; and so it does where the rule of
idleness or the labels change, which stand at its head.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from costmeter.clock import Clock, cpu_nanoseconds
from costmeter.ledger.node.query import NodePart, begin_node, fold_node, opening, retired, without
from costmeter.ledger.node.record import Holders, NodeRecord, Opening
from costmeter.ledger.node.stints import STINTS_KEPT, Stints
from costmeter.ledger.record import Devices, Footer, Header, Outcome, RatesChange, Record
from costmeter.ledger.resume import FILLED_NS, NOTHING_EARLIER, Earlier
from costmeter.meter.division import with_rest
from costmeter.meter.holder import HeldBy
from costmeter.meter.idlememory import IdleMemory
from costmeter.meter.totals import Totals
from costmeter.outputs.nodesnapshot import NodeSnapshot, Reload
from costmeter.runtime.agent.day import day, of_day
from costmeter.runtime.agent.events import AtWork, Held, NodeEvent, Reloaded, Repriced, RunGone, RunTold
from costmeter.runtime.agent.idlenotes import IdleNotes
from costmeter.runtime.agent.idleseries import IdleSeries
from costmeter.runtime.agent.newcredits import NewCredits
from costmeter.runtime.agent.post import NodePost
from costmeter.runtime.agent.runs import NodeRuns
from costmeter.runtime.agent.slots import Following, NodeSlots
from costmeter.runtime.agent.states import NodeStates
from costmeter.runtime.booking import Booking, Pricing
from costmeter.runtime.events import Batch, Ended, Opened, OpenFailed
from costmeter.units import NANOSECONDS_PER_MINUTE

#: A run that ended stays in memory, and on the page, for so long.
KEPT_AFTER_END_NS = 15 * NANOSECONDS_PER_MINUTE


class NodeRecorder(Booking):
    """One node being recorded. `handle` takes one event and hands what came of it to `post`.

    `opened` says where the counters stood when the agent before this one ended, `earlier` where it stopped with each
    board, `holders` who held them in between and `idle` what was known of their idleness. At most `max_runs` runs that
    live are shown; `turned_away` counts those that could not even announce themselves.
    """

    _slots: NodeSlots

    def __init__(
        self,
        header: Header,
        pricing: Pricing,
        clock: Clock,
        post: Callable[[NodePost], None],
        earlier: Earlier = NOTHING_EARLIER,
        opened: Opening | None = None,
        holders: HeldBy | None = None,
        max_runs: int = 100,
        turned_away: Callable[[], int] = lambda: 0,
        idle: Mapping[str, IdleMemory] | None = None,
    ) -> None:
        start_utc_ns = header.anchor.utc(header.start_ns)
        super().__init__(header, pricing, clock, earlier, NodeSlots(start_utc_ns, holders or {}))
        self._post, self._turned_away = post, turned_away
        self._began_utc_ns = start_utc_ns
        self._part: NodePart = begin_node(header)
        self._records: list[Record | NodeRecord] = [header]
        self._stints = Stints(STINTS_KEPT)
        self._stints.take(header)
        self._begins = of_day(opened or Opening(start_utc_ns), start_utc_ns)
        self._record(self._begins)
        self._new_credits = NewCredits(bool(self._part.totals.whole.credits))
        self._states = NodeStates()
        self._idle_series, self._idle_notes = IdleSeries(self._begins), IdleNotes(self._idling, self._held_times, idle)
        self._idling.expect(holders or {}, header.start_ns, idle)
        if holders:
            self._record(Holders(start_utc_ns, holders))
            for noted in self._idle_notes.again(self._clock.boottime_ns(), start_utc_ns, self._intervals):
                self._record(noted)
        self._runs = NodeRuns(self._part, max_runs, header.start_ns)
        self._reload = Reload(True, start_utc_ns)
        self._collectors: Mapping[str, bool] = {}
        self._day = day(start_utc_ns)
        self._readings_before = self._cpu_before_ns = 0
        self._retired_utc_ns = start_utc_ns

    @property
    def part(self) -> NodePart:
        """What has been closed since the file began, and where its counters stood then, folded."""
        return self._part

    def handle(self, event: NodeEvent) -> None:
        """Take one event."""
        if isinstance(event, Batch):
            self._tick(event)
        elif isinstance(event, Opened):
            self._hold(event)
        elif isinstance(event, OpenFailed):
            self._refuse(event)
        elif isinstance(event, Held):
            self._hear(event)
        elif isinstance(event, RunGone):
            self._let_go(event)
        elif isinstance(event, RunTold):
            self._runs.tell(event)
            self._idling.step(event.key, event.progress.steps, event.at_ns)
        elif isinstance(event, AtWork):
            self._idling.work(event.cores)
        elif isinstance(event, Repriced):
            self._reprice(event)
        elif isinstance(event, Reloaded):
            self._note_reload(event)
        else:
            self._end(event)
        self._hand_over(isinstance(event, Ended))

    # Who holds what

    def _tick(self, batch: Batch) -> None:
        super()._tick(batch)
        if (again := self._runs.again(batch.at_ns)) is not None:  # said too often to be written at once
            self._hear(again)
        elif batch.slow and self._runs.latest is not None:  # said before there was a device, or too often to be heard
            self._change_hands(self._fitting(batch.at_ns), batch.at_ns)
        self._states.see(self._intervals, self._slots.holders, self._anchor)
        for noted in self._idle_notes.due(batch.at_ns, self._anchor.utc(batch.at_ns), self._intervals):
            self._follow(self._slots.follow(noted))
        self._tidy(batch.at_ns)

    def _hear(self, held: Held) -> None:
        """Cut the open slot where a device changes hands; where it is booked beyond that already, there."""
        self._collectors = held.collectors
        news = self._runs.hear(held, self._part.accounts)
        self._part = without(self._part, self._runs.forgotten)
        if self._tally.boards:  # else who held them before keeps them until they are read: see `_tick`
            since_ns = held.at_ns if held.since_ns is None else held.since_ns
            self._change_hands(self._fitting(held.at_ns), since_ns)
        for seen in news(self._anchor.utc(held.at_ns)):
            self._follow(self._slots.follow(seen))

    def _let_go(self, gone: RunGone) -> None:
        """A run holds nothing from its end on, and its end is told after all that it held."""
        if (missed := self._runs.missed(gone, self._anchor, self._devices, self._slots.holders)) is not None:
            self._hear(missed)
        at_ns = self._from_ns(gone.at_ns)
        ended = self._runs.end(gone, self._anchor.utc(at_ns))
        if ended is None:
            return
        left = {
            uuid: rest
            for uuid, holders in self._slots.holders.items()
            if (rest := tuple(holder for holder in holders if holder.key != gone.key))
        }
        self._change_hands(left, gone.at_ns)
        self._follow(self._slots.follow(ended))

    def _fitting(self, at_ns: int) -> HeldBy:
        return self._runs.fitting(self._slots.holders, len(self._devices), at_ns)

    def _change_hands(self, holders: HeldBy, at_ns: int) -> None:
        from_ns = self._from_ns(at_ns)
        self._idling.hold(holders, from_ns)
        self._follow(self._slots.hold(holders, self._anchor.utc(from_ns)))

    def _tidy(self, at_ns: int) -> None:
        """Once a minute: let go of runs that ended, and end those of which nobody has heard for long."""
        now_utc_ns = self._anchor.utc(at_ns)
        if now_utc_ns - self._retired_utc_ns < NANOSECONDS_PER_MINUTE:
            return
        self._retired_utc_ns = now_utc_ns
        if now_utc_ns - self._began_utc_ns > FILLED_NS:
            self._earlier = NOTHING_EARLIER  # a board that appears only now was not metered before
        for gone in self._runs.unheard(self._part.accounts, at_ns):
            self._let_go(gone)
        self._part = retired(self._part, now_utc_ns - KEPT_AFTER_END_NS, self._runs.live)
        self._runs.tidy(self._part.accounts, at_ns)

    # Settings

    def _reprice(self, repriced: Repriced) -> None:
        """What was loaded anew holds from that instant on: the open slot ends there, under its own prices.

        A state is decided at a reading for all the time since the one before: by the new rule from the next one on.
        """
        self._tally.judge(repriced.rule)
        is_booking = bool(self._tally.boards)
        at_utc_ns = self._anchor.utc(self._from_ns(repriced.at_ns)) if is_booking else self._slots.start_utc_ns
        self._follow(self._slots.reprice(repriced, at_utc_ns))

    def _take(self, repriced: Repriced) -> None:
        self._pricing = repriced.pricing
        self._host.draw(repriced.pricing.host_watts)
        self._quote()
        header = replace(self._header, rule=repriced.rule, labels=repriced.labels)
        if header != self._header:
            self._header = header
            self._rotate()

    def _note_reload(self, reloaded: Reloaded) -> None:
        good_utc_ns = self._anchor.utc(reloaded.at_ns) if reloaded.is_good else self._reload.good_utc_ns
        self._reload = Reload(reloaded.is_good, good_utc_ns)

    # Devices

    def _hold(self, opened: Opened) -> None:
        """All of every board is the node's: what no MIG instance has of it is a device that nobody holds."""
        super()._hold(replace(opened, devices=with_rest(opened.devices)))
        self._day = min(self._day, day(self._slots.start_utc_ns))  # a gap that is filled may begin before midnight

    def _counted_ns(self, uuid: str) -> int:
        def length_ns(*each: Totals) -> int:
            return sum(totals.devices[uuid].quantities.nanoseconds for totals in each if uuid in totals.devices)

        closed_ns = length_ns(self._part.held, self._part.unheld) - length_ns(self._begins.held, self._begins.unheld)
        return closed_ns + self._slots.waiting_ns(uuid)

    # Slots and files

    def _held_totals(self) -> Totals:
        return self._part.held

    def _begins_ns(self) -> int:
        """A device of the node counts from when there is a driver: before that nobody says that it is there."""
        return self._last_tick_ns

    def _follow(self, following: tuple[Following, ...]) -> None:
        for each in following:
            if isinstance(each, Repriced):
                self._take(each)
            else:
                self._record(each)
        self._see_day()

    def _see_wall_clock(self) -> None:
        super()._see_wall_clock()
        self._see_day()

    def _see_day(self) -> None:
        """Begin another file when the slots have come to another day.

        What is filled from before midnight is a file of its own. A clock that is set back over it stays in the file.
        """
        today = day(self._slots.start_utc_ns)
        if today > self._day or today < self._day - 1:
            self._rotate()

    def _rotate(self) -> None:
        """End the file where the slots have come to, and begin another with where the counters stand."""
        self._marks.close()
        self._marks = self._new_marks()
        start_utc_ns = self._slots.start_utc_ns
        before, self._day = self._day, day(start_utc_ns)
        start_ns = max(self._header.start_ns, self._anchor.boottime(start_utc_ns))
        self._foot(start_ns, self._part.ended_utc_ns, "running")
        self._begins = of_day(opening(self._part, start_utc_ns), start_utc_ns, is_new=before != self._day)
        self._header = replace(self._header, start_ns=start_ns, anchor=self._anchor)
        self._slots.closed = 0
        self._part = begin_node(self._header)
        self._records.append(self._header)
        self._stints = Stints(STINTS_KEPT)
        self._stints.take(self._header)
        self._record(self._begins)
        self._let_devices_go()
        self._record(Devices(tuple(self._devices.values()), self._driver, self._node_gpus, self._since_ns()))
        if self._rates is not None:
            self._record(RatesChange(start_utc_ns, self._rates))
        for seen in self._runs.seen(self._part.accounts, start_utc_ns):
            self._record(seen)
        if self._slots.open_holders:
            self._record(Holders(start_utc_ns, self._slots.open_holders))
            for noted in self._idle_notes.again(self._clock.boottime_ns(), start_utc_ns, self._intervals):
                self._record(noted)

    def _let_devices_go(self) -> None:
        """Forget devices that are none any more, such as instances of a board that was divided anew."""
        kept = self._tally.devices | self._slots.filled
        if not kept.issuperset(self._devices):
            self._devices = {uuid: device for uuid, device in self._devices.items() if uuid in kept}
            self._intervals = {uuid: last for uuid, last in self._intervals.items() if uuid in kept}
            self._quote()
            self._rates = self._quotation.at(self._slots.start_utc_ns)

    def _since_ns(self) -> dict[str, int]:
        """From when devices are counted in this file, where that is not its beginning: after a step of the clock."""
        booked = self._tally.boards
        since_ns = {
            uuid: booked[device.board] - self._slots.waiting_ns(uuid)
            for uuid, device in self._devices.items()
            if device.board in booked
        }
        return {uuid: at_ns for uuid, at_ns in since_ns.items() if at_ns != self._header.start_ns}

    def _end(self, ended: Ended) -> None:
        """The agent stops: it ends well, and the runs go on without it."""
        end_ns, end_utc_ns = self._book_rest(ended)
        for each in self._slots.rest():
            if not isinstance(each, Repriced):
                self._record(each)
        self._foot(end_ns, end_utc_ns, "ok")

    def _foot(self, end_ns: int, end_utc_ns: int, outcome: Outcome) -> None:
        summary = None if self._stints.is_short else self._stints.summary()
        self._records += self._stints.stints()
        readings, cpu_ns = self._tally.readings, cpu_nanoseconds()
        length_ns, used_ns = end_ns - self._header.start_ns, cpu_ns - self._cpu_before_ns
        readings_here = readings - self._readings_before
        end = Footer(end_utc_ns, length_ns, outcome, None, None, used_ns, readings_here, summary=summary)
        self._record(end)
        self._readings_before, self._cpu_before_ns = readings, cpu_ns

    # Handing over

    def _record(self, record: Record | NodeRecord) -> None:
        self._part = fold_node(self._part, record)
        self._stints.take(record)
        self._records.append(record)

    def _hand_over(self, last: bool) -> None:
        now_ns, now_utc_ns = self._clock.boottime_ns(), self._now_utc_ns()
        if not last:
            self._idle_series.see(self._part.idle, self._idling.spells, now_ns)
            runs = self._runs.risen(self._part.accounts, now_ns, now_utc_ns)
            reasons = self._idle_series.risen(now_utc_ns)
            for risen in list[NodeRecord]((*runs, *reasons)):
                self._record(risen)
        records, self._records = tuple(self._records), []
        self._post(NodePost(records, tuple(self._devices), self._snapshot(), last))

    def _snapshot(self) -> NodeSnapshot:
        runs, now_utc_ns = self._runs, self._now_utc_ns()
        return NodeSnapshot(
            now_utc_ns,
            self._began_utc_ns,
            self._part,
            self._open_slot(),
            self._seen(),
            shown=runs.shown(self._part.accounts, self._clock.boottime_ns()),
            hidden=runs.hidden,
            refused=runs.refused + self._turned_away(),
            furthest=runs.furthest,
            outlooks=runs.outlooks,
            reload=self._reload,
            collectors=self._collectors,
            since_utc_ns=self._states.since_utc_ns,
            opened=self._part.today,
            credits_at_zero=self._new_credits.are_at_zero(self._can_be_negative, self._clock.boottime_ns()),
            idle=self._idling.spells,
            idle_reasons=self._idle_series.given,
            idle_times=self._idle_notes.times(self._intervals),
        )
