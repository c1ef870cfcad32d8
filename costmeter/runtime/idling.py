"""Why held devices are idle: what is known of each, the reason of every idle interval, and the spells they add up to.

Arithmetic only. What is seen and told comes from the recorder; the decision itself is `costmeter.meter.idling`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from costmeter.clock import Anchor
from costmeter.meter.activity import SPINNING_ABOVE
from costmeter.meter.holder import HeldBy, Holder, RunKey
from costmeter.meter.idlememory import IdleMemory
from costmeter.meter.idling import (
    OWN_WORD_NS,
    RECENT_NS,
    SAID_SPIN_GRACE_NS,
    SPIN_GRACE_NS,
    START_UP_NS,
    UNEXPLAINED,
    Facts,
    IdleSpell,
    Reason,
    patience_ns,
    phase_reason,
    reason,
)
from costmeter.meter.interval import Interval
from costmeter.readings import Missing
from costmeter.units import NANOSECONDS_PER_SECOND

#: A reason that nothing but news can change.
FOR_EVER_NS = 2**63
#: Who is not idle for longer than this, on end, has gone back to work; a moment of it is none.
WORKS_AGAIN_NS = 15 * NANOSECONDS_PER_SECOND
#: Since when a device is watched for these holders (CLOCK_BOOTTIME), its spell, whether it spins, and whether it has
#: computed nothing for long.
Standing = tuple[int, IdleSpell | None, bool, bool]
#: Who has spun but for moments, that together are less than this part of the time, has spun all along.
_REST_PART = 8
#: How far the last steps of a run are apart is known by so many of them.
_GAPS_KEPT = 4


@dataclass(frozen=True, slots=True)
class _Steps:
    """How many steps a run has made, when the last was told (CLOCK_BOOTTIME), and the times between the last ones."""

    count: int
    at_ns: int
    gaps_ns: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Voice:
    """One holder of a device: since when it holds it, and since when its word comes to this reason. CLOCK_BOOTTIME."""

    since_ns: int
    says: Reason | None
    says_from_ns: int


@dataclass(slots=True)
class _Held:
    """One held device. Instants are CLOCK_BOOTTIME.

    `quiet_from_ns` is since when it was seen to compute nothing, `awake_from_ns` since when it has not been idle on
    end, None while it is; `is_working`: it computes, and there is nothing that this may still end. `spins_from_ns` is
    since when it has spun but for moments, `calm_ns` how long these were in all, and `calm_from_ns` since when it has
    not spun on end, None while it spins. `unlisted_ns` is when it was first listed without a process and has been ever
    since; `hides_processes`: it computed meanwhile, so that whose processes these are is not shown here (another pid
    namespace, say). `why` stands until `stands_until_ns`, unless something is told after `told`.
    """

    holders: tuple[Holder, ...]
    voices: dict[RunKey, _Voice]
    quiet_from_ns: int
    has_computed: bool = False
    awake_from_ns: int | None = None
    is_working: bool = False
    spins_from_ns: int | None = None
    calm_ns: int = 0
    calm_from_ns: int | None = 0
    processes: int | None = None
    unlisted_ns: int | None = None
    hides_processes: bool = False
    spell: IdleSpell | None = None
    why: Reason = UNEXPLAINED
    stands_until_ns: int = 0
    told: int = 0
    expected_ns: int = 0
    began_ns: int = 0

    @property
    def since_ns(self) -> int:
        """Since when its oldest holder holds it: it is new where all of them are."""
        return min(voice.since_ns for voice in self.voices.values())

    @property
    def said_from_ns(self) -> int:
        """Since when all of its holders say what they say, and it has computed nothing."""
        return max(self.quiet_from_ns, max(voice.says_from_ns for voice in self.voices.values()))


class Idling:
    """What is known of held devices. `idle_cost` is asked, when a spell begins, what a device's idle time cost so far.

    A device that nobody holds is not known here: nobody's idle time has a reason.
    """

    def __init__(self, idle_cost: Callable[[str], Decimal]) -> None:
        self._idle_cost = idle_cost
        self._held: dict[str, _Held] = {}
        self._steps: dict[RunKey, _Steps] = {}
        self._memory: dict[str, int] = {}
        self._cores: Mapping[str, float] = {}
        self._told = 0
        self._expected: frozenset[RunKey] = frozenset()

    # What is told

    def hold(self, holders: HeldBy, at_ns: int) -> None:
        """Devices have these holders from an instant on; one that is not named nobody holds.

        What a holder says that it does makes it no new one, and who comes to a device that is held, or leaves others
        on it, changes nothing that is known of it.
        """
        self._told += 1
        before, self._held = self._held, {}
        for uuid, found in holders.items():
            if not found:
                continue
            known = before.get(uuid)
            if known is None or known.voices.keys().isdisjoint({holder.key for holder in found}):
                known = _Held(found, {}, at_ns, began_ns=at_ns)
            known.holders = found
            known.voices = {holder.key: _voice(known.voices.get(holder.key), holder, at_ns) for holder in found}
            self._held[uuid] = known
        named = {run for held in self._held.values() for run in held.voices}
        self._steps = {run: steps for run, steps in self._steps.items() if run in named}

    def expect(self, holders: HeldBy, at_ns: int, known: Mapping[str, IdleMemory] | None = None) -> None:
        """Devices had these holders before, and this was `known` of them: it goes on, and so do their spells.

        Those of which nothing is known are not in their start-up any more.
        """
        self.hold(holders, at_ns)
        for uuid, held in self._held.items():
            memory = None if known is None else known.get(uuid)
            since_ns = at_ns - START_UP_NS if memory is None else memory.since_ns
            held.voices = {run: replace(each, since_ns=since_ns) for run, each in held.voices.items()}
            if memory is not None:
                _remember(held, memory, at_ns)
        self._expected |= {run for held in self._held.values() for run in held.voices}

    def step(self, run: RunKey, steps: int | None, at_ns: int) -> None:
        """A run says how many steps it has made; that it says the same again is no step."""
        before = self._steps.get(run)
        if steps is None or (before is not None and before.count == steps):
            return
        self._told += 1
        if before is None and run in self._expected:  # told before, by what its devices did last
            quiet_ns = (held.quiet_from_ns for held in self._held.values() if run in held.voices)
            at_ns = min(at_ns, max(quiet_ns, default=at_ns))
        gaps_ns = () if before is None else (*before.gaps_ns[1 - _GAPS_KEPT :], at_ns - before.at_ns)
        self._steps[run] = _Steps(steps, at_ns, gaps_ns)

    def list(self, processes: Mapping[str, tuple[int, ...] | Missing], at_ns: int) -> None:
        """What the driver lists on every device. Where it does not say, nobody knows."""
        self._told += 1
        for uuid, held in self._held.items():
            pids = processes.get(uuid)
            held.processes = None if pids is None or isinstance(pids, Missing) else len(pids)
            if held.processes != 0:
                held.unlisted_ns, held.hides_processes = None, held.hides_processes and not held.processes
                continue
            if held.unlisted_ns is None:
                held.unlisted_ns = at_ns
            elif held.has_computed and held.quiet_from_ns > held.unlisted_ns:
                held.hides_processes = True

    def work(self, cores: Mapping[str, float]) -> None:
        """How many of the host's cores the processes on each device use, with all that they started."""
        self._told += 1
        self._cores = cores

    def keep(self, uuid: str, memory_bytes: int | Missing) -> None:
        """How much of a device's memory is in use."""
        self._told += 1
        if isinstance(memory_bytes, Missing):
            self._memory.pop(uuid, None)
        else:
            self._memory[uuid] = memory_bytes

    # What is seen

    def see(self, interval: Interval, anchor: Anchor) -> Reason | None:
        """Take the next interval of a device: why it was idle; None where it was not, or nobody holds it."""
        held = self._held.get(interval.uuid)
        if held is None:
            return None
        if held.is_working and interval.state == "busy":
            held.quiet_from_ns = interval.end_ns
            return None
        if interval.state == "unknown" and interval.start_ns < held.expected_ns:
            return None  # the gap before it was watched again: nothing speaks against what was known before it
        if interval.state != "idle":
            _awake(held, interval)
            return None
        held.awake_from_ns, held.is_working = None, False
        is_spinning = interval.utilization_ratio is not None and interval.utilization_ratio > SPINNING_ABOVE
        if is_spinning:
            _spin(held, interval)
        else:
            _calm(held, interval)
        if interval.end_ns >= held.stands_until_ns or held.told != self._told:
            self._decide(held, interval)
        why = held.why
        if held.spell is None:
            since_utc_ns = anchor.utc(max(interval.start_ns, held.since_ns))
            held.spell = IdleSpell(why, since_utc_ns, self._idle_cost(interval.uuid))
        elif held.spell.reason != why:
            held.spell = IdleSpell(why, held.spell.since_utc_ns, held.spell.cost_before)
        return why

    @property
    def spells(self) -> dict[str, IdleSpell]:
        """The devices that are idle for a reason now."""
        return {uuid: held.spell for uuid, held in self._held.items() if held.spell is not None}

    def standing(self, at_ns: int) -> dict[str, Standing]:
        """What is told again of each device as soon as it is another: its spell, and what its reason rests on."""
        return {
            uuid: (held.began_ns, held.spell, held.spins_from_ns is not None, at_ns - held.quiet_from_ns >= RECENT_NS)
            for uuid, held in self._held.items()
        }

    def memory(self, uuid: str, at_ns: int) -> IdleMemory:
        """What is known of a device that is held, for who goes on watching it. Raises KeyError for another."""
        held = self._held[uuid]
        spins_from_ns = held.spins_from_ns
        if spins_from_ns is not None:
            told_ns = [self._steps[run].at_ns for run in held.voices if run in self._steps]
            spins_from_ns = max([spins_from_ns, *told_ns])
        said_ns = max(voice.says_from_ns for voice in held.voices.values())
        known = held.quiet_from_ns, held.has_computed, spins_from_ns, said_ns, held.hides_processes, held.spell
        return IdleMemory(at_ns, held.since_ns, *known)

    def _decide(self, held: _Held, interval: Interval) -> None:
        """Say why it is idle, and until when that stands: the next instant at which time alone may change it."""
        now_ns = interval.end_ns
        steps = max((self._steps[run] for run in held.voices if run in self._steps), key=_told_ns, default=None)
        # A moment of rest is no end of a hang: but between two turns of waiting for a peer it waits for something else.
        spins_from_ns = held.spins_from_ns if held.calm_from_ns is None or held.why == "hang" else None
        if spins_from_ns is not None and steps is not None:
            spins_from_ns = max(spins_from_ns, steps.at_ns)
        facts = self._facts(held, interval.uuid, now_ns, spins_from_ns, steps)
        changes_ns = [held.since_ns + START_UP_NS, held.quiet_from_ns + RECENT_NS, held.said_from_ns + OWN_WORD_NS]
        if spins_from_ns is not None:
            graces_ns = [patience_ns(usual_ns, facts.step_gap_ns) for usual_ns in (SPIN_GRACE_NS, SAID_SPIN_GRACE_NS)]
            changes_ns += [spins_from_ns + grace_ns + 1 for grace_ns in (*graces_ns, OWN_WORD_NS)]
        if steps is not None:
            changes_ns.append(steps.at_ns + patience_ns(RECENT_NS, facts.step_gap_ns))
        held.why = reason(facts)
        held.stands_until_ns = min((at_ns for at_ns in changes_ns if at_ns > now_ns), default=FOR_EVER_NS)
        held.told = self._told

    def _facts(self, held: _Held, uuid: str, now_ns: int, spins_from_ns: int | None, steps: _Steps | None) -> Facts:
        return Facts(
            tuple([holder.phase for holder in held.holders]),
            now_ns - held.since_ns,
            now_ns - held.quiet_from_ns,
            held.has_computed,
            None if spins_from_ns is None else max(0, now_ns - spins_from_ns),
            None if steps is None else max(0, now_ns - steps.at_ns),
            None if held.hides_processes else held.processes,
            self._memory.get(uuid),
            self._cores.get(uuid),
            max(0, now_ns - held.said_from_ns),
            0 if steps is None else max(steps.gaps_ns, default=0),
        )


def _remember(held: _Held, memory: IdleMemory, at_ns: int) -> None:
    """Go on with what was known of a device; what it did in the gap before `at_ns` nobody knows."""
    held.quiet_from_ns, held.has_computed = memory.quiet_from_ns, memory.has_computed
    held.hides_processes, held.spell, held.expected_ns = memory.hides_processes, memory.spell, at_ns
    if memory.said_from_ns is not None:
        said_ns = memory.said_from_ns
        held.voices = {run: replace(each, says_from_ns=said_ns) for run, each in held.voices.items()}
    if memory.spell is not None:
        held.why = memory.spell.reason
    if memory.spins_from_ns is not None:
        held.spins_from_ns, held.calm_from_ns = memory.spins_from_ns, None


def _told_ns(steps: _Steps) -> int:
    return steps.at_ns


def _voice(before: _Voice | None, holder: Holder, at_ns: int) -> _Voice:
    """What a holder says now; it says so from now on, where it said something else before."""
    says = phase_reason(holder.phase)
    if before is not None and before.says == says:
        return before
    return _Voice(at_ns if before is None else before.since_ns, says, at_ns)


def _spin(held: _Held, interval: Interval) -> None:
    if held.calm_from_ns is not None:
        held.calm_from_ns, held.stands_until_ns = None, 0
    if held.spins_from_ns is None:
        held.spins_from_ns, held.calm_ns = interval.start_ns, 0


def _calm(held: _Held, interval: Interval) -> None:
    """It does not spin. For long enough that ends what was; so do many moments, as of uneven ranks between steps."""
    if held.calm_from_ns is None:
        held.calm_from_ns, held.stands_until_ns = interval.start_ns, 0
    if held.spins_from_ns is None:
        return
    held.calm_ns += interval.end_ns - interval.start_ns
    is_often = held.calm_ns > WORKS_AGAIN_NS and _REST_PART * held.calm_ns > interval.end_ns - held.spins_from_ns
    if is_often or interval.end_ns - held.calm_from_ns > WORKS_AGAIN_NS:
        held.spins_from_ns, held.stands_until_ns = None, 0


def _awake(held: _Held, interval: Interval) -> None:
    """It computed, or nobody can say what it did; for long enough on end that ends what was."""
    held.stands_until_ns = 0
    _calm(held, interval)
    if held.awake_from_ns is None:
        held.awake_from_ns = interval.start_ns
    is_long = interval.end_ns - held.awake_from_ns > WORKS_AGAIN_NS
    if is_long:
        held.spell = None
    if interval.state == "busy":
        held.has_computed, held.quiet_from_ns = True, interval.end_ns
        held.is_working = held.spell is None and held.spins_from_ns is None
    elif is_long:  # what it did meanwhile nobody knows: it is watched anew
        held.quiet_from_ns = interval.end_ns
