"""Why held devices are idle: what is known of each, the reason of every idle interval, and the spells they add up to.

Arithmetic only. What is seen and told comes from the recorder; the decision itself is `costmeter.meter.idling`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from costmeter.clock import Anchor
from costmeter.meter.activity import SPINNING_ABOVE
from costmeter.meter.holder import HeldBy, Holder, RunKey
from costmeter.meter.idling import (
    RECENT_NS,
    SPIN_GRACE_NS,
    START_UP_NS,
    UNEXPLAINED,
    Facts,
    IdleSpell,
    Reason,
    reason,
)
from costmeter.meter.interval import Interval
from costmeter.readings import Missing
from costmeter.units import NANOSECONDS_PER_SECOND

#: A reason that nothing but news can change.
FOR_EVER_NS = 2**63
#: Who is not idle for longer than this, on end, has gone back to work; a moment of it is none.
WORKS_AGAIN_NS = 15 * NANOSECONDS_PER_SECOND


@dataclass(slots=True)
class _Held:
    """One held device. Instants are CLOCK_BOOTTIME.

    `quiet_from_ns` is since when it was seen to compute nothing, `awake_from_ns` since when it has not been idle on
    end, None while it is. `unlisted_ns` is when it was first listed without a process and has been ever since;
    `hides_processes`: it computed meanwhile, so that whose processes these are is not shown here (another pid
    namespace, say). `why` stands until `stands_until_ns`, unless something is told after `told`.
    """

    holders: tuple[Holder, ...]
    runs: frozenset[RunKey]
    since_ns: int
    quiet_from_ns: int
    has_computed: bool = False
    awake_from_ns: int | None = None
    spins_from_ns: int | None = None
    processes: int | None = None
    unlisted_ns: int | None = None
    hides_processes: bool = False
    spell: IdleSpell | None = None
    why: Reason = UNEXPLAINED
    stands_until_ns: int = 0
    told: int = 0


class Idling:
    """What is known of held devices. `idle_cost` is asked, when a spell begins, what a device's idle time cost so far.

    A device that nobody holds is not known here: nobody's idle time has a reason.
    """

    def __init__(self, idle_cost: Callable[[str], Decimal]) -> None:
        self._idle_cost = idle_cost
        self._held: dict[str, _Held] = {}
        self._steps: dict[RunKey, tuple[int, int]] = {}
        self._memory: dict[str, int] = {}
        self._cores: Mapping[str, float] = {}
        self._told = 0

    # What is told

    def hold(self, holders: HeldBy, at_ns: int) -> None:
        """Devices have these holders from an instant on; one that is not named nobody holds.

        What a holder says that it does makes it no new one.
        """
        self._told += 1
        before, self._held = self._held, {}
        for uuid, found in holders.items():
            if not found:
                continue
            runs = frozenset(holder.key for holder in found)
            known = before.get(uuid)
            if known is None or known.runs != runs:
                known = _Held(found, runs, at_ns, at_ns)
            known.holders = found
            self._held[uuid] = known
        named = {run for held in self._held.values() for run in held.runs}
        self._steps = {run: step for run, step in self._steps.items() if run in named}

    def expect(self, holders: HeldBy, at_ns: int) -> None:
        """Devices had these holders before anybody watched: they are not in their start-up any more."""
        self.hold(holders, at_ns)
        for held in self._held.values():
            held.since_ns = at_ns - START_UP_NS

    def step(self, run: RunKey, steps: int | None, at_ns: int) -> None:
        """A run says how many steps it has made; that it says the same again is no step."""
        if steps is not None and (run not in self._steps or self._steps[run][0] != steps):
            self._told += 1
            self._steps[run] = steps, at_ns

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
        if interval.state != "idle":
            _awake(held, interval)
            return None
        held.awake_from_ns = None
        is_spinning = interval.utilization_ratio is not None and interval.utilization_ratio > SPINNING_ABOVE
        if is_spinning != (held.spins_from_ns is not None):
            held.spins_from_ns = interval.start_ns if is_spinning else None
            held.stands_until_ns = 0
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

    def _decide(self, held: _Held, interval: Interval) -> None:
        """Say why it is idle, and until when that stands: the next instant at which time alone may change it."""
        now_ns = interval.end_ns
        step_ns = max((self._steps[run][1] for run in held.runs if run in self._steps), default=None)
        spins_from_ns = held.spins_from_ns
        if spins_from_ns is not None and step_ns is not None:
            spins_from_ns = max(spins_from_ns, step_ns)
        changes_ns = [held.since_ns + START_UP_NS, held.quiet_from_ns + RECENT_NS]
        changes_ns += [] if spins_from_ns is None else [spins_from_ns + SPIN_GRACE_NS + 1]
        changes_ns += [] if step_ns is None else [step_ns + RECENT_NS]
        held.why = reason(self._facts(held, interval.uuid, now_ns, spins_from_ns, step_ns))
        held.stands_until_ns = min((at_ns for at_ns in changes_ns if at_ns > now_ns), default=FOR_EVER_NS)
        held.told = self._told

    def _facts(
        self, held: _Held, uuid: str, now_ns: int, spins_from_ns: int | None, step_ns: int | None
    ) -> Facts:  # fmt: skip
        return Facts(
            tuple([holder.phase for holder in held.holders]),
            now_ns - held.since_ns,
            now_ns - held.quiet_from_ns,
            held.has_computed,
            None if spins_from_ns is None else max(0, now_ns - spins_from_ns),
            None if step_ns is None else max(0, now_ns - step_ns),
            None if held.hides_processes else held.processes,
            self._memory.get(uuid),
            self._cores.get(uuid),
        )


def _awake(held: _Held, interval: Interval) -> None:
    """It computed, or nobody can say what it did; for long enough on end that ends what was."""
    held.stands_until_ns = 0
    if held.awake_from_ns is None:
        held.awake_from_ns = interval.start_ns
    is_long = interval.end_ns - held.awake_from_ns > WORKS_AGAIN_NS
    if is_long:
        held.spell = None
    if interval.state == "busy":
        held.has_computed, held.quiet_from_ns, held.spins_from_ns = True, interval.end_ns, None
    elif is_long:  # what it did meanwhile nobody knows: it is watched anew
        held.quiet_from_ns, held.spins_from_ns = interval.end_ns, None
