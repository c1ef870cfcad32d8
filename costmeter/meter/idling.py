"""Why a held GPU computed nothing: one reason for each stretch of idle time, and what such time came to."""

import re
import unicodedata
from collections.abc import Mapping
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
#: - `evaluation`, `checkpoint`, `start-up`: what the run says that it does, for a while, or that it has just begun.
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

#: What a run says that it does, or that it has just begun: work, in which GPUs compute nothing now and then.
OWN_WORD: frozenset[Reason] = frozenset(("evaluation", "checkpoint", "start-up"))
#: What may be a moment's stall.
STALLS: frozenset[Reason] = frozenset(("waiting-for-data", "waiting-for-peer", "no-process", "unexplained"))

#: The words in the names of phases that say why a GPU computes nothing meanwhile. Who has words of two kinds is in the
#: first of them: `load_batch` waits for data, `load_checkpoint` is start-up, `eval_data` evaluates.
_PHASE_WORDS: tuple[tuple[Reason, str], ...] = (
    ("evaluation", "eval evals evaluate evaluating evaluation val valid validate validating validation"),
    ("evaluation", "evaluator evaluators validator validators sanity test tests testing"),
    ("waiting-for-data", "data dataset datasets dataloader dataloaders dataloading loader loaders"),
    ("waiting-for-data", "fetch fetching prefetch prefetching preprocess preprocessing"),
    ("start-up", "start starting startup setup load loading restore restoring warm warming warmup"),
    ("start-up", "resume resuming restart restarting"),
    ("start-up", "init initialize initializing initialization initialise initialising initialisation"),
    ("start-up", "compile compiling compilation"),
    ("checkpoint", "checkpoint checkpoints checkpointing checkpointer checkpointers ckpt ckpts save saves saving"),
)
PHASE_WORDS: Mapping[Reason, frozenset[str]] = {
    why: frozenset(word for each, words in _PHASE_WORDS if each == why for word in words.split())
    for why, _ in _PHASE_WORDS
}
#: A batch is what a loader gives and what a step trains on: it is waited for only where somebody gets it.
_BATCHES = frozenset(("batch", "batches"))
_GETTING = frozenset(("load", "loading", "get", "getting", "read", "reading", "next", "wait", "waiting"))
_WORD = re.compile("[a-z]+")
#: Where another word begins in `trainEval` and in `NCCLInit`.
_HUMP = re.compile("(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
#: A run's own word explains so much unbroken idleness, and no more: a disk that is gone leaves a job in its checkpoint,
#: or in its start, for ever. Weights are loaded and graphs compiled in minutes, large ones in tens of them.
OWN_WORD_NS = 30 * NANOSECONDS_PER_MINUTE
#: Who spins for longer, and tells of no step meanwhile, waits for nobody that still comes. A collective of ranks that
#: are merely uneven takes seconds, one behind a slow checkpoint or a slow disk a minute.
SPIN_GRACE_NS = 2 * NANOSECONDS_PER_MINUTE
#: The same for who says that it evaluates or saves: ranks spin while one of them writes for all. PyTorch gives up a
#: collective of NCCL after as long (`torch.distributed.init_process_group`, `timeout`).
SAID_SPIN_GRACE_NS = 10 * NANOSECONDS_PER_MINUTE
#: Whose steps are far apart waits longer than these for the next: this many times the longest gap of late, but never
#: longer than any word is believed.
_GAPS = 2
#: Who has told of one step alone may need as long again for the second as for the first, and is given this at least:
#: twice five minutes.
FIRST_GAP_NS = 5 * NANOSECONDS_PER_MINUTE
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

    `phases` are what its holders say they do, empty where one says nothing; `said_ns` is for how long it has computed
    nothing since they first said anything that comes to a reason. `held_ns` is since it has these holders.
    `quiet_ns` is for how long it has been seen to compute nothing: since it computed last, or since somebody watches
    it; `has_computed` is whether it ever did, for these holders. `spun_ns` is for how long it has spun without a step
    told meanwhile, None where it does not spin; `step_ns` since when the last step was told, and `step_gap_ns` the
    longest time between two of the last steps, what stands for it where one alone was told, 0 where none was.
    `processes` are on it, `memory_bytes` in use, and its processes with all that they started use `cores` of the host.
    None: nobody can say.
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
    said_ns: int = 0
    step_gap_ns: int = 0


def reason(facts: Facts) -> Reason:
    """Why a GPU was idle: the first that fits, in the order of docs/idle.md.

    What a run says counts for more than most of what is seen of it, but not for ever.
    """
    said = said_reason(facts.phases) if facts.said_ns < OWN_WORD_NS else None
    is_new = facts.held_ns < START_UP_NS and not facts.has_computed
    if is_new:
        return said or "start-up"
    if facts.spun_ns is not None and facts.spun_ns > _spin_grace_ns(said, facts.step_gap_ns):
        return "hang"
    if facts.processes == 0 and facts.spun_ns is None:  # one that spins has a process, shown or not
        return "no-process"
    if said is not None:
        return said
    if facts.spun_ns is not None:
        return "waiting-for-peer"
    if _is_at_work(facts):
        return "waiting-for-data"
    is_quiet = facts.quiet_ns >= RECENT_NS
    return "memory-held" if is_quiet and _is_occupied(facts) else UNEXPLAINED


def phase_reason(phase: str) -> Reason | None:
    """Why a GPU computes nothing in a phase of this name, by its words; None where they do not say."""
    words = _words(phase)
    is_batch_got = not (_BATCHES.isdisjoint(words) or _GETTING.isdisjoint(words))
    for why, known in PHASE_WORDS.items():
        if not known.isdisjoint(words) or (is_batch_got and why == "waiting-for-data"):
            return why
    return None


def said_reason(phases: tuple[str, ...]) -> Reason | None:
    """What the holders say, where they all say the same."""
    if not phases:
        return None
    first = phase_reason(phases[0])
    return first if first is None or all(phase_reason(phase) == first for phase in phases[1:]) else None


def _words(phase: str) -> list[str]:
    """The words of a name, in small letters: as they stand, and as camel case parts them. Accents do not count."""
    if not phase.isascii():
        phase = "".join(each for each in unicodedata.normalize("NFKD", phase) if not unicodedata.combining(each))
    return _WORD.findall(phase.lower()) + _WORD.findall(_HUMP.sub(" ", phase).lower())


def patience_ns(usual_ns: int, step_gap_ns: int) -> int:
    """How long it may take until the next step: as usual, or longer where the steps before took longer."""
    return max(usual_ns, min(_GAPS * step_gap_ns, OWN_WORD_NS))


def _spin_grace_ns(said: Reason | None, step_gap_ns: int) -> int:
    """How long it may spin: in a start, until that is believed no more; first collectives wait for the last rank."""
    if said == "start-up":
        return OWN_WORD_NS
    return patience_ns(SAID_SPIN_GRACE_NS if said in OWN_WORD else SPIN_GRACE_NS, step_gap_ns)


def _is_at_work(facts: Facts) -> bool:
    has_just_computed = facts.has_computed and facts.quiet_ns < RECENT_NS
    has_just_stepped = facts.step_ns is not None and facts.step_ns < patience_ns(RECENT_NS, facts.step_gap_ns)
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
    """A GPU is idle for a reason: since when (UTC), and what its idle time had cost before the spell began,
    credits taken off.

    A moment of work does not end a spell that goes on after it: a GPU that waits for data works now and then.
    """

    reason: Reason
    since_utc_ns: int
    cost_before: Decimal
