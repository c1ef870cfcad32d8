"""Why held devices are idle: what is known of each, the reason of every idle interval, and the spells they add up to.

Arithmetic only. What is seen and told comes from the recorder; the decision itself is `costmeter.meter.idling`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal

from costmeter.clock import Anchor
from costmeter.meter.activity import SPINNING_ABOVE
from costmeter.meter.holder import HeldBy, RunKey
from costmeter.meter.idlememory import HolderMemory, IdleMemory
from costmeter.meter.idling import (
    OWN_WORD_NS,
    RECENT_NS,
    SAID_SPIN_GRACE_NS,
    SPIN_GRACE_NS,
    START_UP_NS,
    Facts,
    IdleSpell,
    Reason,
    patience_ns,
    reason,
)
from costmeter.meter.interval import Interval
from costmeter.readings import Missing
from costmeter.runtime.idleheld import (
    HeldDevice,
    Steps,
    awake,
    calm,
    first_steps,
    remember,
    silent,
    spin,
    take_hands,
)
from costmeter.units import NANOSECONDS_PER_MINUTE

#: A reason that nothing but news can change.
FOR_EVER_NS = 2**63
#: Since when a device is watched for these holders (CLOCK_BOOTTIME), its spell, whether it spins, and whether it has
#: computed nothing for long.
Standing = tuple[int, IdleSpell | None, bool, bool]
#: Who held a device before an agent was started anew, and is found on it again within this time, is the same.
FOUND_AGAIN_NS = NANOSECONDS_PER_MINUTE


class Idling:
    """What is known of held devices. `idle_cost` is asked, when a spell begins, what a device's idle time cost so far.

    A device that nobody holds is not known here: nobody's idle time has a reason.
    """

    def __init__(self, idle_cost: Callable[[str], Decimal]) -> None:
        self._idle_cost = idle_cost
        self._held: dict[str, HeldDevice] = {}
        self._steps: dict[RunKey, Steps] = {}
        self._memory: dict[str, int] = {}
        self._cores: Mapping[str, float] = {}
        self._told = 0
        self._expected: frozenset[RunKey] = frozenset()
        self._lost: dict[str, IdleMemory] = {}
        self._lost_until_ns = 0

    # What is told

    def hold(self, holders: HeldBy, at_ns: int) -> None:
        """Devices have these holders from an instant on; one that is not named nobody holds.

        What a holder says that it does makes it no new one. What is known of a device is known for those who hold it
        together; those who stay when all who came before them went begin with themselves.
        """
        self._told += 1
        before, self._held = self._held, {}
        for uuid, found in holders.items():
            if not found:
                continue
            known = before.get(uuid)
            keys = {holder.key for holder in found}
            is_new = known is None or known.voices.keys().isdisjoint(keys)
            if known is None or is_new:
                known = HeldDevice(found, at_ns, at_ns)
            is_joined = not keys <= known.voices.keys() and bool(known.voices)
            take_hands(known, found, at_ns, self._idle_cost(uuid) if is_joined else Decimal(0))
            self._held[uuid] = known
            if is_new:
                self._find_again(uuid, known, at_ns)
        named = {run for held in self._held.values() for run in held.voices}
        self._steps = {run: steps for run, steps in self._steps.items() if run in named}

    def expect(self, holders: HeldBy, at_ns: int, known: Mapping[str, IdleMemory] | None = None) -> None:
        """Devices had these holders before, and this was `known` of them: it goes on, and so do their spells.

        What was known of others waits for a while for those whose it was.
        """
        self.hold(holders, at_ns)
        self._lost = {uuid: memory for uuid, memory in (known or {}).items() if uuid not in self._held}
        self._lost_until_ns = at_ns + FOUND_AGAIN_NS
        for uuid, held in self._held.items():
            remember(held, None if known is None else known.get(uuid), at_ns, self._idle_cost(uuid))
        self._expected |= {run for held in self._held.values() for run in held.voices}

    def _find_again(self, uuid: str, held: HeldDevice, at_ns: int) -> None:
        """A run whose first process had ended holds a device by others, as it did before: it is no new one.

        Once somebody holds it, it waits for nobody any more.
        """
        memory = self._lost.pop(uuid, None)
        if memory is not None and at_ns < self._lost_until_ns and not memory.runs.isdisjoint(held.voices):
            remember(held, memory, at_ns, self._idle_cost(uuid))
            self._expected |= memory.runs & held.voices.keys()

    def step(self, run: RunKey, steps: int | None, at_ns: int) -> None:
        """A run says how many steps it has made; that it says the same again is no step."""
        before = self._steps.get(run)
        if steps is None or (before is not None and before.count == steps):
            return
        self._told += 1
        if before is not None:
            self._steps[run] = before.next(steps, at_ns)
            return
        devices = [held for held in self._held.values() if run in held.voices]
        self._steps[run] = first_steps(run, steps, at_ns, devices, run in self._expected)

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
        if interval.state == "busy":
            awake(held, interval)
            return None
        if interval.state == "unknown":
            steps = self._last_steps(held)
            silent(held, interval, None if steps is None else steps.at_ns)
            return None
        held.awake_from_ns, held.silent_from_ns, held.is_working = None, None, False
        is_spinning = interval.utilization_ratio is not None and interval.utilization_ratio > SPINNING_ABOVE
        if is_spinning:
            spin(held, interval)
        else:
            calm(held, interval)
        if interval.end_ns >= held.stands_until_ns or held.told != self._told:
            self._decide(held, interval)
        why = held.why
        if held.spell is None:
            if held.left is None:
                held.left = max(interval.start_ns, held.since_ns), self._idle_cost(interval.uuid)
            (held.spell_from_ns, cost_before), held.left = held.left, None
            held.spell = IdleSpell(why, anchor.utc(held.spell_from_ns), cost_before)
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
            steps = self._last_steps(held)
            spins_from_ns = spins_from_ns if steps is None else max(spins_from_ns, steps.at_ns)
        known = held.quiet_from_ns, held.has_computed, spins_from_ns, held.word_from_ns, held.hides_processes
        memory = IdleMemory(at_ns, held.since_ns, *known, held.spell)
        if len(held.voices) == 1:
            return memory
        holders = {
            run: HolderMemory(voice.since_ns, voice.idle_cost, voice.has_computed, voice.says_from_ns)
            for run, voice in held.voices.items()
        }
        return replace(memory, holders=holders, spell_from_ns=held.spell_from_ns if held.spell else None)

    def _last_steps(self, held: HeldDevice) -> Steps | None:
        """What the holder told that told of a step last."""
        return max((self._steps[run] for run in held.voices if run in self._steps), key=_told_ns, default=None)

    def _decide(self, held: HeldDevice, interval: Interval) -> None:
        """Say why it is idle, and until when that stands: the next instant at which time alone may change it."""
        now_ns = interval.end_ns
        steps = self._last_steps(held)
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

    def _facts(self, held: HeldDevice, uuid: str, now_ns: int, spins_from_ns: int | None, steps: Steps | None) -> Facts:
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
            0 if steps is None else steps.gap_ns,
        )


def _told_ns(steps: Steps) -> int:
    return steps.at_ns
