"""A run's budgets as data: how much of each was used when its meter last said, and which of them stopped it."""

from decimal import Decimal
from typing import Any

from costmeter.ledger.query import Part, Run
from costmeter.meter.budget import Budget, BudgetUse, stop_said_of
from costmeter.meter.charge import Rates
from costmeter.outputs.figures import plain


def budget_of(run: Run) -> dict[str, Any] | None:
    """The budget of which the largest share is used; None where none was set, or none of the run's prices is known."""
    rows = budget_rows(run)
    return max(rows, key=lambda row: Decimal(row["share"])) if rows else None


def budget_rows(run: Run) -> list[dict[str, Any]]:
    """Every budget that the run counted against, as its last part has it; empty where none was set.

    Amounts and the share are text, in the currency of that part. `share` and `left` are of what is `usable`, the
    amount less its buffer; `left` is negative beyond it. `elsewhere` is what others had spent, less what this part had
    cost before the budget's day or month began: `spent` is all that counts.
    """
    watched = [part for part in run.parts if part.budgets and part.rates is not None and is_charged(part.rates)]
    if not watched:
        return []
    last = max(watched, key=lambda part: part.ended_utc_ns)
    return [_row(run, last, use) for use in last.budgets]


def is_charged(rates: Rates) -> bool:
    """Whether any GPU has a price at all: without one nothing is spent that a budget could see."""
    return any(device.hourly or device.pays_electricity for device in rates.devices.values())


def _row(run: Run, part: Part, use: BudgetUse) -> dict[str, Any]:
    budget, spent = use.budget, _spent(run, part, use)
    return {
        "amount": plain(budget.amount),
        "per": budget.per,
        "project": budget.project,
        "usable": plain(budget.usable),
        "spent": plain(spent),
        "elsewhere": plain(spent - part.totals.whole.cost),
        "share": plain(round(budget.share(spent), 6)),
        "left": plain(budget.usable - spent),
        "on_exceed": budget.on_exceed,
        "exceeded": spent >= budget.usable,
        "stopped": _has_stopped(run, budget),
    }


def _spent(run: Run, part: Part, use: BudgetUse) -> Decimal:
    """A run's own budget counts the run as it is known now; any other what the last part saw of the others."""
    if use.budget.per == "run":
        parts = [each for each in run.parts if each.currency == part.currency]
        return Run(tuple(parts)).totals.whole.cost if len(parts) > 1 else use.spent(part.totals.whole.cost)
    return use.spent(part.totals.whole.cost)


def _has_stopped(run: Run, budget: Budget) -> bool:
    """Whether this budget ended the run, as a mark of it says."""
    told = stop_said_of(budget)
    return any(mark.kind == "budget" and mark.what.startswith(told) for part in run.parts for mark in part.milestones)
