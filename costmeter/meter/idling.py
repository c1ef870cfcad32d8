"""Why a held GPU computed nothing: one reason for each stretch of idle time, and what such time came to."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

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
