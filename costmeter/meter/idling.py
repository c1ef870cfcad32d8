"""Why a held GPU computed nothing: one reason for each stretch of idle time, and what such time came to."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

from costmeter.units import NANOSECONDS_PER_MINUTE

#: Why a GPU that is held is idle.
#:
#: - `no-process`: no process is on it.
#: - `memory-held`: a process holds its memory and has computed nothing for minutes: a notebook, a server without work.
#: - `waiting-for-data`: it computed a moment ago and will again, or its host works for it: the data loader is too slow.
#: - `waiting-for-peer`: it spins at full utilization and hardly any power, as in a collective whose last rank is late.
#: - `evaluation`, `checkpoint`, `start-up`: what the run says that it does, or that it has just begun.
#: - `hang`: it has spun so for minutes, and no step came of it.
#: - `unexplained`: nobody can say.
Reason = Literal[
    "no-process",
    "memory-held",
    "waiting-for-data",
    "waiting-for-peer",
    "evaluation",
    "checkpoint",
    "start-up",
    "hang",
    "unexplained",
]
REASONS: tuple[Reason, ...] = get_args(Reason)
UNEXPLAINED: Reason = "unexplained"

#: How the names of phases begin that say why a GPU computes nothing meanwhile.
_OF_PHASES: tuple[tuple[tuple[str, ...], Reason], ...] = (
    (("eval", "valid", "test"), "evaluation"),
    (("checkpoint", "save", "saving", "ckpt"), "checkpoint"),
    (("start", "init", "load", "warm", "compil"), "start-up"),
    (("data",), "waiting-for-data"),
)
#: Who spins for longer, and tells of no step meanwhile, waits for nobody that still comes. A collective of ranks that
#: are merely uneven takes seconds, one behind a slow checkpoint or a slow disk a minute.
SPIN_GRACE_NS = 2 * NANOSECONDS_PER_MINUTE
#: Imports, weights, compilation: who is new has so long until it computes for the first time.
START_UP_NS = 5 * NANOSECONDS_PER_MINUTE
#: Who has computed, or told of a step, within this time is at work, and waits now.
RECENT_NS = 5 * NANOSECONDS_PER_MINUTE
#: A host that works for a GPU uses this much of a core for it, or more: a loader reads, decodes, augments. An
#: interpreter that waits for its user uses hundredths, a server that polls a few.
WORKING_CORES = 0.5
#: Memory in use on a board without a process is what its driver keeps: a few hundred MiB. More is somebody's.
HELD_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a held GPU at the end of an interval in which it was idle. Lengths of time are nanoseconds.

    `phases` are what its holders say they do, empty where one says nothing. `held_ns` is since it has these holders.
    `quiet_ns` is for how long it has been seen to compute nothing: since it computed last, or since somebody watches
    it; `has_computed` is whether it ever did, for these holders. `spun_ns` is for how long it has spun without a step
    told meanwhile, None where it does not spin; `step_ns` since when the last step was told. `processes` are on it,
    `memory_bytes` in use, and its processes with all that they started use `cores` of the host. None: nobody can say.
    """

    phases: tuple[str, ...] = ()
    held_ns: int = 0
    quiet_ns: int = 0
    has_computed: bool = False
    spun_ns: int | None = None
    step_ns: int | None = None
    processes: int | None = None
    memory_bytes: int | None = None
    cores: float | None = None


def reason(facts: Facts) -> Reason:
    """Why a GPU was idle: the first that fits. What a run says counts for more than what is seen of it."""
    said = _said(facts.phases)
    if said is not None:
        return said
    is_new = facts.held_ns < START_UP_NS and not facts.has_computed
    if is_new:
        return "start-up"
    if facts.spun_ns is not None:
        return "hang" if facts.spun_ns > SPIN_GRACE_NS else "waiting-for-peer"
    if facts.processes == 0:
        return "no-process"
    if _is_at_work(facts):
        return "waiting-for-data"
    is_quiet = facts.quiet_ns >= RECENT_NS
    return "memory-held" if is_quiet and _is_occupied(facts) else UNEXPLAINED


def phase_reason(phase: str) -> Reason | None:
    """Why a GPU computes nothing in a phase of this name; None where the name does not say."""
    name = phase.lower()
    for beginnings, why in _OF_PHASES:
        if name.startswith(beginnings):
            return why
    return None


def _said(phases: tuple[str, ...]) -> Reason | None:
    """What the holders say, where they all say the same."""
    if not phases:
        return None
    first = phase_reason(phases[0])
    return first if first is None or all(phase_reason(phase) == first for phase in phases[1:]) else None


def _is_at_work(facts: Facts) -> bool:
    has_just_computed = facts.has_computed and facts.quiet_ns < RECENT_NS
    has_just_stepped = facts.step_ns is not None and facts.step_ns < RECENT_NS
    return has_just_computed or has_just_stepped or (facts.cores is not None and facts.cores >= WORKING_CORES)


def _is_occupied(facts: Facts) -> bool:
    if facts.processes is not None:
        return facts.processes > 0
    return facts.memory_bytes is not None and facts.memory_bytes >= HELD_BYTES


@dataclass(frozen=True, slots=True)
class IdleUse:
    """What idle time of one reason came to: GPU-nanoseconds, and money charged and paid back meanwhile."""

    nanoseconds: int = 0
    charges: Decimal = Decimal(0)
    credits: Decimal = Decimal(0)

    @property
    def cost(self) -> Decimal:
        """Charges less credits."""
        return self.charges - self.credits

    def __add__(self, other: "IdleUse") -> "IdleUse":
        return IdleUse(self.nanoseconds + other.nanoseconds, self.charges + other.charges, self.credits + other.credits)


@dataclass(frozen=True, slots=True)
class IdleSpell:
    """A GPU is idle for a reason: since when (UTC), and what its idle time had cost before the spell began.

    A moment of work does not end a spell that goes on after it: a GPU that waits for data works now and then.
    """

    reason: Reason
    since_utc_ns: int
    cost_before: Decimal
