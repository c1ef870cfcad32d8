"""Who held what when the agent before this one ended: it stands until this one has seen and heard for itself.

After a restart the first look knows nobody: the driver has listed no process yet, the kubelet has not answered, and who
announces a run connects again within seconds. None of that takes a GPU from its holder.
"""

from collections.abc import Callable, Collection, Iterable

from costmeter.attribution.announcement import Announcement
from costmeter.attribution.processes import Identity
from costmeter.ledger.identity import start_ticks
from costmeter.ledger.node.record import RunFacts
from costmeter.meter.holder import UNKNOWN_UID, HeldBy, Holder, RunKey
from costmeter.units import NANOSECONDS_PER_SECOND

#: Who holds a GPU without computing on it has so long to say so again, from its first list of processes on.
GRACE_NS = 10 * NANOSECONDS_PER_SECOND
#: Holders whose processes need not compute: the driver's lists do not say that they are gone.
_CLAIMS = frozenset({"announced", "kubernetes", "slurm"})


class LeftHolders:
    """The holders of an agent before this one, by device; `runs` are the facts of its runs that had not ended."""

    def __init__(self, by_device: HeldBy, runs: Iterable[RunFacts], is_alive: Callable[[Identity], bool]) -> None:
        self._by_device, self._is_alive = by_device, is_alive
        self._roots = {each.key: (each.pid, each.pid_start_ticks) for each in runs if each.pid and each.pid_start_ticks}
        self._listed_ns: dict[str, int] = {}

    def asked_once(self) -> frozenset[str]:
        """The devices on which somebody computed whom nobody could see, until the driver has listed their processes."""
        waiting = {uuid: found for uuid, found in self._by_device.items() if uuid not in self._listed_ns}
        unseen = (uuid for uuid, holders in waiting.items() for each in holders if each.key == (UNKNOWN_UID, ""))
        return frozenset(unseen)

    def listed(self, at_ns: int, refused: Collection[str] = ()) -> None:
        """The driver has listed the processes on the devices, but for those whose list it refused."""
        for uuid in self._by_device:
            if uuid not in refused:
                self._listed_ns.setdefault(uuid, at_ns)

    def still(self, found: HeldBy, runs: Collection[RunKey], now_ns: int) -> HeldBy:
        """Who holds what: who was found, and who was left where nobody was; `runs` are those that were found."""
        over = {uuid for uuid, at_ns in self._listed_ns.items() if now_ns - at_ns >= GRACE_NS}
        self._by_device = {uuid: holders for uuid, holders in self._by_device.items() if uuid not in over}
        left = {
            uuid: kept
            for uuid, holders in self._by_device.items()
            if not self._is_known(uuid, found.get(uuid, ()))
            and (kept := tuple(each for each in holders if self._stays(uuid, each, runs)))
        }
        return {**found, **left}

    def _is_known(self, uuid: str, found: tuple[Holder, ...]) -> bool:
        """Whether who was found on a device is all there is: before its first list, others may compute there."""
        return any(uuid in self._listed_ns or each.source == "announced" for each in found)

    def _stays(self, uuid: str, holder: Holder, runs: Collection[RunKey]) -> bool:
        """A run stays until it is found, here or elsewhere, or its first process has ended; a user until the list."""
        if uuid in self._listed_ns and holder.source not in _CLAIMS:
            return False
        if not holder.run:
            return True
        root = self._roots.get(holder.key)
        return holder.key not in runs and (root is None or self._is_alive(root))


def announced_before(by_device: HeldBy, runs: Iterable[RunFacts]) -> tuple[Announcement, ...]:
    """The runs that were announced to an agent before this one and may go on, as if they had just said so.

    Whoever announced them need not come back: such a run lives as long as its first process. What it held it holds;
    one that held nothing holds what it computes on.
    """
    found = []
    for facts in runs:
        if facts.source != "announced" or (facts.pid and start_ticks(facts.pid) != facts.pid_start_ticks):
            continue
        own = {uuid: each for uuid, holders in by_device.items() for each in holders if each.key == facts.key}
        holder = next(iter(own.values()), None)
        found.append(
            Announcement(
                uid=facts.uid,
                pid=0,
                run=facts.run,
                user=facts.user,
                seen_utc_ns=facts.seen_utc_ns,
                started_utc_ns=facts.started_utc_ns,
                uuids=frozenset(own) or None,
                root_pid=facts.pid,
                root_start_ticks=facts.pid_start_ticks,
                name=facts.name,
                labels=facts.labels,
                phase=holder.phase if holder else "",
                redone=holder is not None and holder.redone,
            )
        )
    return tuple(found)
