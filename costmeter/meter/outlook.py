"""What a run is expected to cost, and what it may: as its own meter says, for who has no such knowledge of it."""

from dataclasses import dataclass
from decimal import Decimal

from costmeter.meter.budget import Per


@dataclass(frozen=True, slots=True)
class Allowed:
    """An amount that a run counts against, whose spending does, and of which project; empty: of none."""

    amount: Decimal
    per: Per = "run"
    project: str = ""


@dataclass(frozen=True, slots=True)
class Outlook:
    """All in one currency. `projected_cost` is the whole cost at its last step, None where that is not known."""

    currency: str = ""
    projected_cost: Decimal | None = None
    budgets: tuple[Allowed, ...] = ()


UNKNOWN_OUTLOOK = Outlook()
