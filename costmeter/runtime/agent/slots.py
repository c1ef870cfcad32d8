"""The open slots of a node: cut wherever a device changes hands, and where settings are loaded anew."""

from collections.abc import Mapping
from dataclasses import replace

from costmeter.ledger.node.record import Holders, NodeRecord
from costmeter.meter.holder import HeldBy, RunKey
from costmeter.meter.idling import START_UP_NS, UNEXPLAINED, Reason
from costmeter.runtime.agent.events import Repriced
from costmeter.runtime.slots import STRETCHES_KEPT, Slots, Stretch

#: What may follow a slot: a record, or settings that hold from there on.
Following = NodeRecord | Repriced


class NodeSlots(Slots[Following]):
    """The slots of one node. Its devices have `holders` from the start on."""

    def __init__(self, start_utc_ns: int, holders: HeldBy) -> None:
        super().__init__(start_utc_ns)
        self._stretches = [Stretch(start_utc_ns, holders=holders)]
        #: Who was there before is not new.
        self._came_utc_ns: Mapping[str, Mapping[RunKey, int]] = _came({}, holders, start_utc_ns - START_UP_NS)

    @property
    def holders(self) -> HeldBy:
        """Who holds which device by the last word."""
        return self._stretches[-1].holders

    @property
    def open_holders(self) -> HeldBy:
        """Who holds which device in the oldest slot."""
        return self._stretches[0].holders

    def hold(self, holders: HeldBy, at_utc_ns: int) -> tuple[Following, ...]:
        """Devices have these holders from an instant on, beyond which nothing is booked; what to record at once."""
        last = self._stretches[-1]
        if holders == last.holders:
            return ()
        at_utc_ns = max(at_utc_ns, last.from_utc_ns, self.start_utc_ns)
        change = Holders(at_utc_ns, holders)
        if at_utc_ns <= self.start_utc_ns:
            self._stretches = [Stretch(self.start_utc_ns, holders=holders)]
            self._see_who_came()
            return (change,)
        is_waiting = len(self._stretches) > 1
        if is_waiting and (at_utc_ns == last.from_utc_ns or len(self._stretches) >= STRETCHES_KEPT):
            said = tuple(record for record in last.begins if not isinstance(record, Holders))
            change = replace(change, at_utc_ns=last.from_utc_ns)
            self._stretches[-1] = replace(last, holders=holders, begins=(*said, change))
            return ()
        self._begin(Stretch(at_utc_ns, holders=holders, begins=(change,)))
        return ()

    def follow(self, record: NodeRecord) -> tuple[Following, ...]:
        """Something comes after all that is held now; it is handed back where nothing waits for a slot's end."""
        if len(self._stretches) == 1:
            return (record,)
        last = self._stretches[-1]
        self._stretches[-1] = replace(last, begins=(*last.begins, record))
        return ()

    def reprice(self, repriced: Repriced, at_utc_ns: int) -> tuple[Following, ...]:
        """Settings hold from an instant on, beyond which nothing is booked; handed back where they hold at once."""
        last = self._stretches[-1]
        at_utc_ns = max(at_utc_ns, last.from_utc_ns)
        if at_utc_ns <= self.start_utc_ns:
            return (repriced,)
        if at_utc_ns == last.from_utc_ns or len(self._stretches) >= STRETCHES_KEPT:
            self._stretches[-1] = replace(last, begins=(*last.begins, repriced))
            return ()
        self._begin(Stretch(at_utc_ns, holders=last.holders, begins=(repriced,)))
        return ()

    def close(self, edge_utc_ns: int, end_utc_ns: int) -> tuple[Following, ...]:
        """As of any slots; and see who holds the devices in the next one."""
        following = super().close(edge_utc_ns, end_utc_ns)
        self._see_who_came()
        return following

    def step(self, nanoseconds: int) -> None:
        """Follow the wall clock, which was stepped."""
        super().step(nanoseconds)
        self._came_utc_ns = {
            uuid: {run: at_utc_ns + nanoseconds for run, at_utc_ns in runs.items()}
            for uuid, runs in self._came_utc_ns.items()
        }

    def _see_who_came(self) -> None:
        doing = self._stretches[0]
        self._came_utc_ns = _came(self._came_utc_ns, doing.holders, doing.from_utc_ns)

    def _unasked(self, uuid: str, at_utc_ns: int) -> Reason:
        """A run that was told late has just begun; of who was there for longer nobody knows."""
        is_new = all(at_utc_ns - came_utc_ns < START_UP_NS for came_utc_ns in self._came_utc_ns.get(uuid, {}).values())
        return "start-up" if is_new else UNEXPLAINED

    def _is_held(self, uuid: str, doing: Stretch[Following]) -> bool:
        return bool(doing.holders.get(uuid))

    def _begin(self, stretch: Stretch[Following]) -> None:
        self._stretches.append(stretch)
        self._minutes.cut(stretch.from_utc_ns)


def _came(before: Mapping[str, Mapping[RunKey, int]], now: HeldBy, at_utc_ns: int) -> dict[str, dict[RunKey, int]]:
    """Since when each holder holds each device, who was there `before` or came at an instant."""
    return {
        uuid: {each.key: before.get(uuid, {}).get(each.key, at_utc_ns) for each in holders}
        for uuid, holders in now.items()
    }
