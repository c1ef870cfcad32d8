"""One held device as its idleness is watched: what is known of it and of each of its holders, and what changes that.

Arithmetic only. Instants are CLOCK_BOOTTIME unless a name says otherwise.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal

from costmeter.ledger.resume import FILLED_NS
from costmeter.meter.holder import Holder, RunKey
from costmeter.meter.idlememory import HolderMemory, IdleMemory
from costmeter.meter.idling import FIRST_GAP_NS, START_UP_NS, UNEXPLAINED, IdleSpell, Reason, phase_reason
from costmeter.meter.interval import Interval
from costmeter.units import NANOSECONDS_PER_SECOND

#: Who is not idle for longer than this, on end, has gone back to work; a moment of it is none.
WORKS_AGAIN_NS = 15 * NANOSECONDS_PER_SECOND
#: Who computes for so long on end makes a step, told or not, and does not hang: a kernel that spins never does.
STEP_NS = 3 * NANOSECONDS_PER_SECOND
#: Of whom nobody could say for longer than this, on end, what he did, is watched anew. It is how long an agent may be
#: gone: what one that goes on remembers, one that never went remembers too.
FORGOTTEN_NS = FILLED_NS
#: Who has spun but for moments, that together are less than this part of the time, has spun all along.
_REST_PART = 8
#: How far the last steps of a run are apart is known by so many of them.
_GAPS_KEPT = 4


@dataclass(frozen=True, slots=True)
class Steps:
    """How many steps a run has made, when the last was told, and the times between the last ones.

    `first_gap_ns` stands for these while one step alone was told.
    """

    count: int
    at_ns: int
    first_gap_ns: int
    gaps_ns: tuple[int, ...] = ()

    @property
    def gap_ns(self) -> int:
        """The longest time between two of the last steps."""
        return max(self.gaps_ns, default=self.first_gap_ns)

    def next(self, count: int, at_ns: int) -> "Steps":
        """After one more, or several."""
        return Steps(count, at_ns, self.first_gap_ns, (*self.gaps_ns[1 - _GAPS_KEPT :], at_ns - self.at_ns))


@dataclass(frozen=True, slots=True)
class Voice:
    """One holder of a device: since when it holds it, and what the device's idle time had cost by then.

    What its word comes to, and since when it has said anything that comes to a reason while the device computed
    nothing, None where it never did. `has_computed`: the device did, while it was among its holders.
    """

    since_ns: int
    idle_cost: Decimal = Decimal(0)
    says: Reason | None = None
    says_from_ns: int | None = None
    has_computed: bool = False


@dataclass(slots=True)
class HeldDevice:
    """One held device.

    `quiet_from_ns` is since when it was seen to compute nothing, `awake_from_ns` since when it has computed on end,
    None while it does not, `silent_from_ns` the same of nobody's being able to say; `is_working`: it computes, and
    there is nothing that this may still end. `spins_from_ns` is since when it has spun but for moments, `calm_ns` how
    long these were in all, and `calm_from_ns` since when it has not spun on end, None while it spins. `unlisted_ns` is
    when it was first listed without a process and has been ever since; `hides_processes`: it computed meanwhile, so
    that whose processes these are is not shown here (another pid namespace, say). `spell_from_ns` is since when it has
    its spell; `left` says since when, and after what cost, the spell is of those that others left behind. `why` stands
    until `stands_until_ns`, unless something is told after `told`.
    """

    holders: tuple[Holder, ...]
    quiet_from_ns: int
    began_ns: int
    voices: dict[RunKey, Voice] = field(default_factory=dict)
    awake_from_ns: int | None = None
    silent_from_ns: int | None = None
    is_working: bool = False
    spins_from_ns: int | None = None
    calm_ns: int = 0
    calm_from_ns: int | None = 0
    processes: int | None = None
    unlisted_ns: int | None = None
    hides_processes: bool = False
    spell: IdleSpell | None = None
    spell_from_ns: int = 0
    left: tuple[int, Decimal] | None = None
    why: Reason = UNEXPLAINED
    stands_until_ns: int = 0
    told: int = 0
    expected_ns: int = 0

    @property
    def since_ns(self) -> int:
        """Since when its oldest holder holds it: it is new where all of them are."""
        return min(voice.since_ns for voice in self.voices.values())

    @property
    def has_computed(self) -> bool:
        """Whether it ever computed for any of its holders."""
        return any(voice.has_computed for voice in self.voices.values())

    @property
    def word_from_ns(self) -> int | None:
        """Since when all of its holders say something; None where none ever did."""
        said_ns = [voice.says_from_ns for voice in self.voices.values() if voice.says_from_ns is not None]
        return max(said_ns, default=None)

    @property
    def said_from_ns(self) -> int:
        """Since when all of its holders say something, and it has computed nothing."""
        return max(self.quiet_from_ns, self.word_from_ns or 0)


# What is told


def take_hands(held: HeldDevice, found: tuple[Holder, ...], at_ns: int, idle_cost: Decimal) -> None:
    """It has these holders from an instant on, at which its idle time had cost so much.

    Who comes changes nothing that is known of it; nor does who goes, while anybody stays who was there from the
    beginning.
    """
    before, was_since_ns = held.voices, held.since_ns if held.voices else at_ns
    held.holders = found
    held.voices = {
        holder.key: _voice(before.get(holder.key) or Voice(at_ns, idle_cost), holder, at_ns, held.quiet_from_ns)
        for holder in found
    }
    if not before.keys() >= held.voices.keys():
        held.is_working = False  # that it computes is news of who came
    if held.since_ns > was_since_ns:
        _leave(held)


def _voice(before: Voice, holder: Holder, at_ns: int, quiet_from_ns: int) -> Voice:
    """What a holder says now. It is believed from its first word on for which the device computed nothing."""
    says, from_ns = phase_reason(holder.phase), before.says_from_ns
    if says == before.says:
        return before
    if says is not None and (from_ns is None or from_ns < quiet_from_ns):
        from_ns = at_ns
    return replace(before, says=says, says_from_ns=from_ns)


def _leave(held: HeldDevice) -> None:
    """Its oldest holders went: nothing is known of it from before the oldest one that stays, nor is its spell older."""
    since_ns = held.since_ns
    held.quiet_from_ns = max(held.quiet_from_ns, since_ns)
    held.hides_processes, held.stands_until_ns = False, 0
    if held.unlisted_ns is not None:
        held.unlisted_ns = max(held.unlisted_ns, since_ns)
    if held.spins_from_ns is not None:
        held.spins_from_ns = max(held.spins_from_ns, since_ns)
    if (held.spell is not None or held.left is not None) and held.spell_from_ns < since_ns:
        oldest = min(held.voices.values(), key=_since_ns)
        held.spell, held.spell_from_ns, held.left = None, since_ns, (since_ns, oldest.idle_cost)
        held.why = UNEXPLAINED


def _since_ns(voice: Voice) -> int:
    return voice.since_ns


def remember(held: HeldDevice, memory: IdleMemory | None, at_ns: int, idle_cost: Decimal) -> None:
    """Go on with what was known of a device; what it did in the gap before `at_ns` nobody knows.

    Each holder goes on with its own; one that is not remembered came now, when its idle time had cost so much. A device
    of which nothing is known is not in its start-up any more.
    """
    if memory is None:
        held.voices = {run: replace(each, since_ns=at_ns - START_UP_NS) for run, each in held.voices.items()}
        return
    held.voices = {run: _reminded(each, memory.of(run), idle_cost) for run, each in held.voices.items()}
    held.quiet_from_ns, held.hides_processes, held.expected_ns = memory.quiet_from_ns, memory.hides_processes, at_ns
    held.spell = memory.spell
    held.spell_from_ns = memory.since_ns if memory.spell_from_ns is None else memory.spell_from_ns
    if memory.spell is not None:
        held.why = memory.spell.reason
    if memory.spins_from_ns is not None:
        held.spins_from_ns, held.calm_from_ns = memory.spins_from_ns, None
    if held.since_ns > memory.since_ns:
        _leave(held)


def _reminded(voice: Voice, known: HolderMemory | None, idle_cost: Decimal) -> Voice:
    if known is None:
        return replace(voice, idle_cost=idle_cost)
    says_from_ns = voice.says_from_ns if known.said_from_ns is None else known.said_from_ns
    return Voice(known.since_ns, known.idle_cost, voice.says, says_from_ns, known.has_computed)


def first_steps(run: RunKey, count: int, at_ns: int, devices: list[HeldDevice], is_expected: bool) -> Steps:
    """A run tells of a step for the first time, on devices that it holds: it may need as long again for the next.

    One that was held before the agent began told of others already: by what its devices did last, and if one of them
    hung then, it hangs.
    """
    if not is_expected:
        since_ns = min((held.voices[run].since_ns for held in devices), default=at_ns)
        return Steps(count, at_ns, max(FIRST_GAP_NS, at_ns - since_ns))
    quiet_ns = max((held.quiet_from_ns for held in devices), default=at_ns)
    has_hung = any(held.why == "hang" for held in devices)
    return Steps(count, min(at_ns, quiet_ns), 0 if has_hung else FIRST_GAP_NS)


# What is seen


def spin(held: HeldDevice, interval: Interval) -> None:
    """It spins."""
    if held.calm_from_ns is not None:
        held.calm_from_ns, held.stands_until_ns = None, 0
    if held.spins_from_ns is None:
        held.spins_from_ns, held.calm_ns = interval.start_ns, 0


def calm(held: HeldDevice, interval: Interval) -> None:
    """It does not spin. For long enough that ends what was; so do many moments, as of uneven ranks between steps."""
    if held.calm_from_ns is None:
        held.calm_from_ns, held.stands_until_ns = interval.start_ns, 0
    if held.spins_from_ns is None:
        return
    held.calm_ns += interval.end_ns - interval.start_ns
    is_often = held.calm_ns > WORKS_AGAIN_NS and _REST_PART * held.calm_ns > interval.end_ns - held.spins_from_ns
    if is_often or interval.end_ns - held.calm_from_ns > WORKS_AGAIN_NS:
        held.spins_from_ns, held.stands_until_ns = None, 0


def awake(held: HeldDevice, interval: Interval) -> None:
    """It computed: for a few seconds on end that is a step, and for long enough it ends what was."""
    held.stands_until_ns, held.silent_from_ns = 0, None
    calm(held, interval)
    if held.awake_from_ns is None:
        held.awake_from_ns = interval.start_ns
    worked_ns = interval.end_ns - held.awake_from_ns
    if worked_ns >= STEP_NS:
        held.spins_from_ns = None
    if worked_ns > WORKS_AGAIN_NS:
        held.spell = held.left = None
    if not all(voice.has_computed for voice in held.voices.values()):
        held.voices = {run: replace(voice, has_computed=True) for run, voice in held.voices.items()}
    held.quiet_from_ns = interval.end_ns
    held.is_working = held.spell is None and held.left is None and held.spins_from_ns is None


def silent(held: HeldDevice, interval: Interval, stepped_ns: int | None) -> None:
    """Nobody can say what it did: nothing that is known of it grows older meanwhile, until it is forgotten.

    `stepped_ns` is when the last step was told, None where none was.
    """
    end_ns, length_ns = interval.end_ns, interval.end_ns - interval.start_ns
    held.is_working, held.stands_until_ns = False, 0
    if held.silent_from_ns is None:
        held.silent_from_ns = interval.start_ns
    if end_ns - held.silent_from_ns > FORGOTTEN_NS:
        _forget(held, end_ns)
        return

    def later(at_ns: int | None) -> int | None:
        return None if at_ns is None else max(at_ns, min(at_ns + length_ns, end_ns))

    if held.spins_from_ns is not None:
        held.spins_from_ns = later(max(held.spins_from_ns, stepped_ns or 0))
    held.quiet_from_ns = max(held.quiet_from_ns, min(held.quiet_from_ns + length_ns, end_ns))
    held.unlisted_ns, held.calm_from_ns = later(held.unlisted_ns), later(held.calm_from_ns)
    held.awake_from_ns = later(held.awake_from_ns)
    held.voices = {
        run: voice if voice.says_from_ns is None else replace(voice, says_from_ns=later(voice.says_from_ns))
        for run, voice in held.voices.items()
    }


def _forget(held: HeldDevice, at_ns: int) -> None:
    """What it did meanwhile nobody knows: it is watched anew."""
    held.spell = held.left = held.spins_from_ns = held.awake_from_ns = None
    held.quiet_from_ns = at_ns
    if held.unlisted_ns is not None:
        held.unlisted_ns = at_ns
