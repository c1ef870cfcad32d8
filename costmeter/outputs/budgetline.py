"""What is said of a budget while its run goes on: how much is used, what is left, and for how long that will do."""

from decimal import Decimal

from costmeter.ledger.query import Part
from costmeter.meter.budget import Budget, BudgetUse, percent
from costmeter.meter.charge import Rates
from costmeter.outputs.figures import about, money

#: How the price of a GPU is told that is its model's list price because nobody set one.
_LIST, _UNSET = "list price", "gpu.price"
_CENT = Decimal("0.01")


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


def list_price(part: Part) -> str:
    """`the list price $3.39 per GPU-hour`, where any GPU is charged its model's and nobody chose that; else empty."""
    rates = part.rates
    if rates is None:
        return ""
    found = [uuid for uuid in rates.devices if _is_default(rates, uuid)]
    prices = {sum((price for _, price in rates.devices[uuid].hourly), Decimal(0)) for uuid in found}
    if not prices:
        return ""
    dearest = f"{money(max(prices), rates.currency, _CENT)} per GPU-hour"
    return f"the list price {dearest}" if len(prices) == 1 else f"list prices up to {dearest}"


def _is_default(rates: Rates, uuid: str) -> bool:
    origin = rates.origins.get(f"gpu.price.{uuid}") or rates.origins.get("gpu.price")
    return origin is not None and origin.word.startswith(_LIST) and origin.detail.endswith(_UNSET)


def _lasting(left: Decimal, per_hour: Decimal | None, currency: str) -> str:
    """For how long it will do at the pace of this run alone."""
    if per_hour is None or per_hour <= 0:
        return ""
    return f", at {money(per_hour, currency)}/h {about(float(left / per_hour) * 3_600)}"
