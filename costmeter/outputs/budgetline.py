"""What is said of a budget while its run goes on: how much is used, what is left, and for how long that will do."""

from decimal import Decimal

from costmeter.meter.budget import Budget, BudgetUse, percent
from costmeter.outputs.figures import about, money


def reached_line(use: BudgetUse, share: Decimal, own: Decimal, per_hour: Decimal | None, currency: str) -> str:
    """`80 % of $80.00 used ($64.03), $15.97 left, at $19.92/h 48 m`.

    `own` is this run's part of it, `per_hour` what the run costs by now, None where nobody knows yet.
    """
    budget, spent = use.budget, use.spent(own)
    elsewhere = spent - own
    others = f", {money(elsewhere, currency)} of it not by this meter" if elsewhere > 0 else ""
    used = f"{percent(share)} % of {amount_of(budget, currency)} used ({money(spent, currency)}{others})"
    left = budget.usable - spent
    if left <= 0:
        return used
    return f"{used}, {money(left, currency)} left{_lasting(left, per_hour, currency)}"


def amount_of(budget: Budget, currency: str) -> str:
    """`$80.00`, `$500.00 per month (llm)`, `$72.00 ($80.00 less 10 % kept back) per day`."""
    kept = f" ({money(budget.amount, currency)} less {percent(budget.buffer)} % kept back)" if budget.buffer else ""
    per = "" if budget.per == "run" else f" per {budget.per}"
    return f"{money(budget.usable, currency)}{kept}{per}" + (f" ({budget.project})" if budget.project else "")


def _lasting(left: Decimal, per_hour: Decimal | None, currency: str) -> str:
    """For how long it will do at the pace of this run alone."""
    if per_hour is None or per_hour <= 0:
        return ""
    return f", at {money(per_hour, currency)}/h {about(float(left / per_hour) * 3_600)}"
