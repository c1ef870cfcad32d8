"""Budgets: an amount of money, whose spending counts against it, and what happens at which share of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from decimal import Decimal
from typing import Literal

from costmeter.meter.period import Period, billing_month, local_date

OnExceed = Literal["warn", "stop"]
#: Whose spending counts: this run's; all runs' of the day or the calendar month; those with the same label `project`,
#: ever, or in the day or month. Days and months are of the settings' time zone.
Per = Literal["run", "day", "month", "project", "project/day", "project/month"]
#: The label by which runs belong together.
PROJECT = "project"
#: The share at which a budget is used up.
WHOLE = Decimal(1)


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

    @property
    def name(self) -> str:
        """What tells it from the other budgets of a run: `80 per run`, `500 per project/month (llm)`."""
        return f"{self.amount:f} per {self.per}" + (f" ({self.project})" if self.project else "")

    @property
    def is_of_project(self) -> bool:
        """Whether only runs of one project count against it."""
        return bool(self.project) or self.per.startswith("project")

    @property
    def shares(self) -> tuple[Decimal, ...]:
        """The shares that are announced, the smallest first; the last is all of it."""
        return (*sorted({share for share in self.warn_at if 0 < share < WHOLE}), WHOLE)

    def share(self, spent: Decimal) -> Decimal:
        """How much of what is usable this is; 1 where nothing is."""
        return spent / self.usable if self.usable > 0 else WHOLE

    def reached(self, spent: Decimal, said: Iterable[Decimal]) -> Decimal | None:
        """The greatest share to announce where so much is spent; None where a share as great was `said` before."""
        most = max(said, default=Decimal(0))
        return max((share for share in self.shares if most < share and share * self.usable <= spent), default=None)

    def window(self, utc_ns: int, zone: tzinfo | None) -> Period | None:
        """The day or month around an instant in which spending counts; None where it counts whenever it was."""
        if self.per not in ("day", "month", "project/day", "project/month"):
            return None
        today = local_date(utc_ns, zone)
        if self.per.endswith("day"):
            return Period(today, today + timedelta(days=1), zone)
        return billing_month(today, 1, zone)


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """A budget and what else counts against it, in this run's currency.

    `elsewhere` is what others have spent, less what of this run's cost lies before the budget's day or month.
    """

    budget: Budget
    elsewhere: Decimal = Decimal(0)

    def spent(self, own: Decimal) -> Decimal:
        """All that counts against it, where this run has cost so much."""
        return self.elsewhere + own


def percent(share: Decimal) -> str:
    """A share in per cent, exactly: 80, 99.5."""
    return f"{(100 * share).normalize():f}"


def said_of(budget: Budget, share: Decimal) -> str:
    """How the mark begins that tells of a share of a budget, so that it is found again."""
    return f"{budget.name}: {percent(share)} % of "


def stop_said_of(budget: Budget) -> str:
    """How the mark begins that tells of a budget that stops its run."""
    return f"{budget.name}: stopping the command"
