"""What has to be remembered of a held GPU, so that who goes on watching it says what was said before."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from costmeter.meter.holder import Holder, RunKey
from costmeter.meter.idletimes import IdleTimes
from costmeter.meter.idling import IdleSpell


@dataclass(frozen=True, slots=True)
class HolderMemory:
    """What was known of one of several holders: since when he holds it, and what its idle time had cost by then.

    `has_computed`: it did while he was among its holders. He says what he says since `said_from_ns`, None where nobody
    remembers.
    """

    since_ns: int
    idle_cost: Decimal = Decimal(0)
    has_computed: bool = False
    said_from_ns: int | None = None


@dataclass(frozen=True, slots=True)
class IdleMemory:
    """What was known of a held device at `seen_ns`. Instants are CLOCK_BOOTTIME, and mean something in one boot only.

    It is held since `since_ns` and was seen to compute nothing since `quiet_from_ns`, whatever it did before
    (`has_computed`). It has spun since `spins_from_ns`, None where it does not, and its holders say what they say since
    `said_from_ns`, None where nobody remembers. `hides_processes`: it computed while none was listed. `spell` None: it
    is not idle. `runs` are those who held it, where that is not said elsewhere. `holders` has what is known of each of
    them, empty where that is what is known of the device, as it is of a single one; only beside it `spell_from_ns` is
    said, since when it has its spell, as the device keeps time. `before` is for how long it had been idle and busy in
    all when the spell began; None where nobody remembers.
    """

    seen_ns: int
    since_ns: int
    quiet_from_ns: int
    has_computed: bool = False
    spins_from_ns: int | None = None
    said_from_ns: int | None = None
    hides_processes: bool = False
    spell: IdleSpell | None = None
    runs: frozenset[RunKey] = frozenset()
    holders: Mapping[RunKey, HolderMemory] = field(default_factory=dict)
    spell_from_ns: int | None = None
    before: IdleTimes | None = None

    def of(self, run: RunKey) -> HolderMemory | None:
        """What is known of one holder; None where it is not among those who held it."""
        if self.holders:
            return self.holders.get(run)
        if self.runs and run not in self.runs:
            return None
        cost = Decimal(0) if self.spell is None else self.spell.cost_before
        return HolderMemory(self.since_ns, cost, self.has_computed, self.said_from_ns)


def handed_on(
    memory: IdleMemory, before: tuple[Holder, ...], after: tuple[Holder, ...], at_ns: int, idle_cost: Decimal
) -> IdleMemory:
    """What is known of a device that some of its holders keep: of who came, that it was then, and for what cost.

    Of those who say something else now it is not known since when.
    """
    said = {holder.key: holder for holder in before}
    known: dict[RunKey, HolderMemory] = {}
    for holder in after:
        was = memory.of(holder.key) if memory.holders or holder.key in said else None
        if was is None:
            was = HolderMemory(max(at_ns, memory.since_ns), idle_cost)
        elif said.get(holder.key, holder) != holder:
            was = replace(was, said_from_ns=None)
        known[holder.key] = was
    is_one = len(known) == 1 and not memory.holders
    return replace(memory, said_from_ns=None, holders={} if is_one else known)
