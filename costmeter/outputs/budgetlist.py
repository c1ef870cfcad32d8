"""The budgets in force, with what is spent of each by now: for people and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from costmeter.ledger.spent import Spent
from costmeter.meter.budget import Budget
from costmeter.meter.period import Period
from costmeter.outputs.budgetline import amount_of
from costmeter.outputs.columns import columns
from costmeter.outputs.figures import money, plain
from costmeter.outputs.style import MINIMUM_WIDTH, Style, unadorned

_HEAD = ("BUDGET", "SPENT", "LEFT", "SHARE", "RUNS", "BEYOND IT", "SET IN")
_RIGHT = frozenset((1, 2, 3, 4))
#: The columns that are cut where a line is too long, and how much of each stays: where it was set, of which the end
#: says most, the budget, the runs.
_SET_IN = 6
_CUT = {_SET_IN: 18, 0: 12, 4: 12}


@dataclass(frozen=True, slots=True)
class InForce:
    """A budget, what runs have spent of it, and where it was set. `run` is the run that a budget of single runs is
    shown for, its latest; empty where there is none.
    """

    budget: Budget
    currency: str
    period: Period | None
    spent: Spent
    set_in: str
    run: str = ""


def as_json(budgets: Sequence[InForce]) -> list[dict[str, Any]]:
    """Every budget as data; money as text."""
    return [_object(each) for each in budgets]


def as_text(budgets: Sequence[InForce], style: Style) -> list[str]:
    """A table, one line for each, as far as it goes no wider than the terminal: where it is set is cut first, then
    the budget's name, then the run's. Figures never are.
    """
    if not budgets:
        return ["no budget is set.  Set one: costmeter budget set 500/month"]
    rows = [_HEAD, *map(_line, budgets)]
    for column, least in _CUT.items():
        too_long = max(map(len, columns(rows, _RIGHT))) - max(style.width, MINIMUM_WIDTH)
        if too_long > 0:
            room = max(least, max(len(row[column]) for row in rows) - too_long)
            rows = [
                (*row[:column], _shortened(row[column], room, style.cut, column == _SET_IN), *row[column + 1 :])
                for row in rows
            ]
    return [unadorned(line, style) for line in columns(rows, _RIGHT)]


def _shortened(text: str, room: int, cut: str, is_end: bool) -> str:
    """A text without its end, or, of a path, without its beginning."""
    if len(text) <= room:
        return text
    kept = room - len(cut)
    return cut + text[-kept:] if is_end else text[:kept] + cut


def _object(each: InForce) -> dict[str, Any]:
    budget, spent, period = each.budget, each.spent, each.period
    return {
        "amount": plain(budget.amount),
        "currency": each.currency,
        "per": budget.per,
        "project": budget.project,
        "run": each.run or None,
        "from": None if period is None else period.first.isoformat(),
        "to": None if period is None else period.end.isoformat(),
        "buffer": plain(budget.buffer),
        "usable": plain(budget.usable),
        "warn_at": [plain(share) for share in budget.warn_at],
        "on_exceed": budget.on_exceed,
        "spent": plain(spent.amount),
        "left": plain(budget.usable - spent.amount),
        "share": plain(round(budget.share(spent.amount), 6)),
        "runs": spent.runs,
        "set_in": each.set_in,
    }


def _line(each: InForce) -> tuple[str, ...]:
    budget, spent, currency = each.budget, each.spent.amount, each.currency
    named = amount_of(budget, currency) + (" per run" if budget.per == "run" else "")
    if budget.per == "run" and not each.run:
        return (named, "", "", "", "0", budget.on_exceed, each.set_in)
    share = f"{round(100 * budget.share(spent), 1)} %"
    runs = f"{each.run} alone" if budget.per == "run" else str(each.spent.runs)
    left = money(budget.usable - spent, currency)
    return (named, money(spent, currency), left, share, runs, budget.on_exceed, each.set_in)
