"""Which runs a node knows, and how much each may make it remember: what others tell us must not fill memory or disk."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from costmeter.meter.holder import HeldBy, Holder, RunKey
from costmeter.runtime.agent.room import room
from costmeter.units import NANOSECONDS_PER_SECOND

#: Names of phases a run may have; what it calls by further ones is in this one.
PHASES_KEPT, OTHER_PHASE = 64, "other"
#: Every change of phase ends a slot, which is a line on disk. A run may change as often as it likes so many times, and
#: then once in so long; what it says faster is heard when its time has come.
CHANGES_AT_ONCE, CHANGE_EVERY_NS = 20, 6 * NANOSECONDS_PER_SECOND


@dataclass(slots=True)
class _Manners:
    """How one run has behaved: the phases it named, the one in force, and the time it has saved for changes."""

    at_ns: int
    phase: str
    redone: bool
    names: set[str] = field(default_factory=set)
    saved_ns: int = CHANGES_AT_ONCE * CHANGE_EVERY_NS

    def heard(self, holder: Holder, at_ns: int) -> Holder:
        """The holder with the phase that holds now: what it says, or what it said before where it changes too fast."""
        phase = holder.phase if holder.phase in self.names or len(self.names) < PHASES_KEPT else OTHER_PHASE
        if (phase, holder.redone) != (self.phase, self.redone):
            elapsed_ns, self.at_ns = at_ns - self.at_ns, at_ns
            self.saved_ns = min(CHANGES_AT_ONCE * CHANGE_EVERY_NS, self.saved_ns + elapsed_ns)
            if self.saved_ns >= CHANGE_EVERY_NS:
                self.saved_ns -= CHANGE_EVERY_NS
                self.phase, self.redone = phase, holder.redone
                self.names.add(phase)
        return replace(holder, phase=self.phase, redone=self.redone)


class Admission:
    """Fits what was found to what the node can keep. `refused` counts runs that were too many, each once."""

    def __init__(self) -> None:
        self._manners: dict[RunKey, _Manners] = {}
        self._refused: frozenset[RunKey] = frozenset()
        self.refused = 0

    def admitted(
        self, asked: Collection[RunKey], live: Collection[RunKey], ended: Collection[RunKey]
    ) -> tuple[frozenset[RunKey], frozenset[RunKey]]:
        """Which of these runs have an account or get one, and whose accounts of those that ended make room for them."""
        known = {*live, *ended}
        staying = [key for key in ended if key not in asked]
        admitted, forgotten = room((key for key in asked if key not in known), [*known.difference(staying)], staying)
        refused = frozenset(asked) - known - admitted
        self.refused += len(refused - self._refused)
        self._refused = refused
        return frozenset(asked) - refused, forgotten

    def fit(self, holders: HeldBy, admitted: Collection[RunKey], at_ns: int) -> dict[str, tuple[Holder, ...]]:
        """Who holds which device, with the phases that hold; what a refused run holds is its user's."""
        fitting = {uuid: tuple(self._each(each, admitted, at_ns)) for uuid, each in holders.items() if each}
        self._manners = {key: manners for key, manners in self._manners.items() if key in admitted}
        return fitting

    def _each(self, holders: tuple[Holder, ...], admitted: Collection[RunKey], at_ns: int) -> Iterator[Holder]:
        """The holders of one device, each run or user once."""
        seen: set[RunKey] = set()
        for holder in holders:
            known = not holder.run or holder.key in admitted
            fitting = self._heard(holder, at_ns) if known else holder.without_run()
            if fitting.key not in seen:
                seen.add(fitting.key)
                yield fitting

    def _heard(self, holder: Holder, at_ns: int) -> Holder:
        if not (holder.run and (holder.phase or holder.redone or holder.key in self._manners)):
            return holder
        manners = self._manners.get(holder.key)
        if manners is None:
            manners = self._manners[holder.key] = _Manners(at_ns, "", False)
        return manners.heard(holder, at_ns)
