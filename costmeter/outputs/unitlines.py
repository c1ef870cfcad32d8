"""The lines of a receipt that say what came of the money: unit costs, sunk cost, budgets, and what is still to go."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from costmeter.outputs.figures import about, gpu_hours, money, quantum, roughly
from costmeter.outputs.sourcelines import Labelled, is_priced

_MILLION, _THOUSAND = 1_000_000, 1_000
#: What is said of a run that came to no good end, where it told of no checkpoint.
_WENT_INTO = {
    "failed": "went into a run that failed",
    "cancelled": "went into a run that was cancelled",
    "preempted": "went into a run that was preempted",
    "stopped by budget": "went into a run that its budget stopped",
}


def unit_lines(receipt: Mapping[str, Any]) -> Iterator[Labelled]:
    """What came of the money; nothing where nobody knows the price."""
    if not is_priced(receipt):
        return
    units = " · ".join(unit_costs(receipt))
    if units:
        yield "Units", units
    yield from _sunk(receipt)
    label = "Budget"
    for budget in receipt["budgets"]:
        yield label, budget_text(budget, receipt["currency"], Decimal(receipt["cost"]["total"]))
        label = ""
    if receipt["progress"]["projected"] is not None:
        yield "To go", to_go(receipt)


def unit_costs(receipt: Mapping[str, Any]) -> Iterator[str]:
    """What steps and tokens cost, each in a number of them that has a price people can read, and where they began.

    A million that cost less than a millionth of the currency is a count that nobody made, and is left out.
    """
    progress, currency = receipt["progress"], receipt["currency"]
    if progress["cost_per_step"] is not None:
        cost = Decimal(progress["cost_per_step"])
        count, name = next(
            ((count, name) for count, name in _STEPS if abs(cost * count) >= Decimal("0.01")), _STEPS[-1]
        )
        if abs(cost * count) >= _LEAST:
            began = f" (from step {progress['from_steps']:,} on)" if progress["from_steps"] else ""
            yield f"{_told(cost * count, currency)} per {name}{began}"
    if progress["cost_per_million_tokens"] is not None:
        cost = Decimal(progress["cost_per_million_tokens"])
        if abs(cost) >= _LEAST:
            yield f"{_told(cost, currency)} per M tokens"


_LEAST = Decimal("0.000001")
_STEPS = ((1, "step"), (_THOUSAND, "1,000 steps"), (_MILLION, "M steps"))


def _told(amount: Decimal, currency: str) -> str:
    """An amount in cents, or, below one of the currency, in three digits of it."""
    return money(amount, currency) if abs(amount) >= 1 else money(amount, currency, roughly(amount, 3))


def _sunk(receipt: Mapping[str, Any]) -> Iterator[Labelled]:
    sunk, outcome, currency = receipt["sunk"], receipt["run"]["outcome"], receipt["currency"]
    total = money(Decimal(sunk["total"]), currency)
    if sunk["lost_since_checkpoint"] is not None:
        lost = money(Decimal(sunk["lost_since_checkpoint"]), currency, quantum(Decimal(sunk["total"])))
        yield "Sunk", f"{total}, of which {lost} since the last checkpoint ({about(sunk['lost_seconds'])})"
    elif outcome in _WENT_INTO:
        yield "Sunk", f"{total} {_WENT_INTO[outcome]}"
    if sunk["redone_gpu_seconds"]:
        (hours,) = gpu_hours([sunk["redone_gpu_seconds"]])
        redone = money(Decimal(sunk["redone"]), currency)
        yield "Redone", f"{redone} ({hours:,} GPU-h) of work done twice after a restart"


def budget_text(budget: Mapping[str, Any], currency: str, own: Decimal | None = None) -> str:
    """`79.7 % of $80.00 used, $16.22 left`: of what is usable of a budget.

    `own` is what the receipt is of; where more than that counts, it says whose.
    """
    usable, left = Decimal(budget["usable"]), Decimal(budget["left"])
    whose, _, period = budget["per"].rpartition("/")
    per = f" per {period}" if period in ("day", "month") else ""
    if "project" in (whose, period):
        per += f" (project {budget['project']})" if budget["project"] else " (its project)"
    kept_back = Decimal(budget["amount"]) - usable
    text = f"{100 * Decimal(budget['share']):.1f} % of {money(usable, currency)}{per} used"
    if own is not None and Decimal(budget["spent"]) > own:
        text += " by all parts of this run" if budget["per"] == "run" else " by this run and others"
    text += f", {money(left, currency)} left" if left >= 0 else f", {money(-left, currency)} over"
    text += f"; a buffer of {money(kept_back, currency)} is kept back" if kept_back else ""
    return f"{text}; the run was stopped" if budget["stopped"] else text


def to_go(receipt: Mapping[str, Any]) -> str:
    """`about $23 more, 2 h 10 m (between $21 and $27)`: what a run that goes on still costs and takes."""
    projected, currency = receipt["progress"]["projected"], receipt["currency"]
    spent = Decimal(receipt["cost"]["total"])
    more = [Decimal(projected[name]) - spent for name in ("total_cost", "total_cost_low", "total_cost_high")]
    middle, low, high = (money(amount, currency, roughly(amount, 2)) for amount in more)
    return f"about {middle} more, {about(projected['seconds_left'])} (between {low} and {high})"
