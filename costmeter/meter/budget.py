"""Budgets: an amount of money, whose spending counts against it, and what happens at which share of it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

OnExceed = Literal["warn", "stop"]
#: Whose spending counts: this run's; all runs' of the day or the calendar month; those with the same label `project`,
#: ever, or in the day or month. Days and months are of the settings' time zone.
Per = Literal["run", "day", "month", "project", "project/day", "project/month"]


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount in the settings' currency, the shares of it that are announced, and what happens beyond it.

    `buffer` is the share of the amount that is kept back: what is announced and stopped at is `usable`.
    """

    amount: Decimal
    warn_at: tuple[Decimal, ...] = (Decimal("0.5"), Decimal("0.8"))
    on_exceed: OnExceed = "warn"
    per: Per = "run"
    project: str = ""
    buffer: Decimal = Decimal(0)

    @property
    def usable(self) -> Decimal:
        """The amount less its buffer."""
        return self.amount * (1 - self.buffer)


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """A budget and what other runs have spent of it, in this run's currency."""

    budget: Budget
    elsewhere: Decimal = Decimal(0)

    def spent(self, own: Decimal) -> Decimal:
        """All that counts against it, where this run has cost so much."""
        return self.elsewhere + own
