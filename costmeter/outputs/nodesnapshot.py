"""The node's snapshot: everything its agent shows, frozen at one tick. Readers take a reference and need no lock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from costmeter.ledger.node.query import NodePart, fold_node
from costmeter.ledger.record import SlotEntry
from costmeter.meter.holder import RunKey
from costmeter.meter.idletimes import IdleTimes
from costmeter.meter.idling import IdleSpell, Reason
from costmeter.meter.outlook import Outlook
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Slot
from costmeter.outputs.snapshot import NOTHING_SEEN, Seen
from costmeter.units import NANOSECONDS_PER_MINUTE

#: A new run, and a new kind of counter, stands at 0 for so long: longer than Prometheus usually waits for a scrape.
AT_ZERO_NS = NANOSECONDS_PER_MINUTE


@dataclass(frozen=True, slots=True)
class Reload:
    """The last attempt to load the settings anew: whether it succeeded, and when one last did."""

    is_good: bool
    good_utc_ns: int


@dataclass(frozen=True, slots=True)
class NodeSnapshot:
    """The node as of one tick: closed slots folded, the slot still open with its holders, and the last of each device.

    `began_utc_ns` is when this process began. `shown` are the runs that have series, in the order in which they came;
    `hidden` counts those that would have been too many, `refused` those that were too many to be known at all, so that
    what they hold is their user's. `furthest` is the most each run told of its progress, `outlooks` what each said that
    it will cost. `collectors` says of each way of finding holders whether it worked the last time.
    `since_utc_ns` is since when each device is in its state; one that nobody holds is unheld, whatever it does.
    `opened` is since when the UTC day is metered, and what all devices had cost by then. `credits_at_zero` is whether
    prices can be negative since so short a time that what they paid back is shown as 0 still. `idle` has the
    devices that are idle for a reason now, `idle_times` for how much of it they were seen idle, `idle_reasons`
    all reasons that a device has been idle for, and whether what that came to has stood at 0 for long enough. The rest
    is as in `Snapshot`.
    """

    at_utc_ns: int
    began_utc_ns: int
    part: NodePart
    open_slot: Slot | None = None
    seen: Seen = NOTHING_SEEN
    journal_writable: bool = True
    shown: tuple[RunKey, ...] = ()
    hidden: int = 0
    refused: int = 0
    furthest: Mapping[RunKey, Progress] = field(default_factory=dict)
    outlooks: Mapping[RunKey, Outlook] = field(default_factory=dict)
    reload: Reload | None = None
    collectors: Mapping[str, bool] = field(default_factory=dict)
    since_utc_ns: Mapping[str, int] = field(default_factory=dict)
    opened: tuple[int, Decimal] | None = None
    credits_at_zero: bool = False
    idle: Mapping[str, IdleSpell] = field(default_factory=dict)
    idle_reasons: Mapping[str, Mapping[Reason, bool]] = field(default_factory=dict)
    idle_times: Mapping[str, IdleTimes] = field(default_factory=dict)

    @property
    def node(self) -> NodePart:
        """The part with the open slot folded in, priced now: the same sums a report finds later."""
        if self.open_slot is None:
            return self.part
        return fold_node(self.part, SlotEntry(self.open_slot))
