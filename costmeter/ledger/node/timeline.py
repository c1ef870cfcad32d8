"""What a run that an agent saw did over time: its share of the slots of its nodes, as a wrapper's own are drawn."""

from collections.abc import Iterator
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.node.bulk import Stretch, read_node
from costmeter.ledger.node.run import Kept, paths_naming, whose
from costmeter.ledger.record import Header, RatesChange, SlotEntry
from costmeter.ledger.timeline import POINTS, Timeline, timeline_of
from costmeter.meter.charge import Rates
from costmeter.meter.holding import by_holder
from costmeter.meter.slot import Slot


def node_timeline(state: Path, run: str, points: int = POINTS) -> Timeline:
    """The steps of a run that `node_run` finds, at most `points` of them; what cannot be read is left out.

    Money is in the currency of each journal: draw a run of one currency. What checkpoints it had no agent keeps.
    """
    uid, name = whose(run)
    try:
        paths = paths_naming(state, name)
    except OSError:
        return Timeline()
    return timeline_of((share for path in paths for share in _shares(path, uid, name)), points)


def _shares(path: Path, uid: int | None, run: str) -> Iterator[tuple[str, Slot, Rates | None]]:
    """A run's share of each slot of a file, with the host and the rates in force."""
    try:
        told = read_node(path, [], lambda: Kept(run)).told
    except (JournalError, OSError):
        return
    host, rates = "", None
    for each in told:
        if isinstance(each, Header):
            host = each.host
        elif isinstance(each, RatesChange):
            rates = each.rates
        elif isinstance(each, SlotEntry | Stretch):
            for entry in each.entries() if isinstance(each, Stretch) else (each,):
                for holder, own in by_holder(entry.slot).items():
                    if holder is not None and holder.run == run and uid in (None, holder.uid):
                        yield host, own, rates
