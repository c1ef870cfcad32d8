"""How summaries and budgets are written in a journal: money as text, quantities as integers, what is 0 left out."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any, get_args

from costmeter.ledger.record import Budgets, Place, Saved, Subtotal, Summary
from costmeter.meter.activity import State
from costmeter.meter.budget import Budget, BudgetUse, OnExceed, Per
from costmeter.meter.charge import Amounts
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Quantities
from costmeter.meter.totals import DeviceTotals

_STATES: Mapping[str, State] = {state: state for state in get_args(State)}
_QUANTITIES = tuple(each.name for each in fields(Quantities))
_PARTS = ("overhead_microjoules", "operational_micrograms", "embodied_micrograms", "market_micrograms")


def encode_subtotal(subtotal: Subtotal, _: tuple[str, ...]) -> dict[str, object]:
    """A subtotal as JSON-ready values."""
    return {"type": "subtotal"} | encode_summary(subtotal.summary, subtotal.place)


def decode_subtotal(body: Mapping[str, Any], _: tuple[str, ...]) -> Subtotal:
    """The subtotal that was written. Raises KeyError, TypeError, ValueError or ArithmeticError on anything else."""
    return Subtotal(decode_summary(body), decode_place(body))


def encode_summary(summary: Summary, place: Place | None) -> dict[str, object]:
    """A summary as JSON-ready values, with the place of its line."""
    whole = summary.whole
    body: dict[str, object] = {"slots": summary.slots, "ended_utc_ns": summary.ended_utc_ns}
    body["quantities"] = {name: n for name in _QUANTITIES if (n := getattr(whole.quantities, name))}
    body["charges"], body["credits"] = _encode_amounts(whole.charges), _encode_amounts(whole.credits)
    body |= {name: n for name in _PARTS if (n := getattr(whole, name))}
    body["gpus"] = [list(pair) for pair in summary.gpus]
    if summary.redone:
        body["redone"] = str(summary.redone)
    if summary.saved is not None:
        body["saved"] = [summary.saved.at_utc_ns, str(summary.saved.cost), summary.saved.steps]
    if summary.progress is not None:
        body["progress"] = {name: n for name, n in asdict(summary.progress).items() if n is not None}
    return body if place is None else body | {"place": [place.at, place.devices_at, place.rates_at]}


def decode_summary(body: Mapping[str, Any]) -> Summary:
    """The summary that was written. Raises KeyError, TypeError, ValueError or ArithmeticError on anything else."""
    saved, progress = body.get("saved"), body.get("progress")
    whole = DeviceTotals(
        Quantities(**{name: int(n) for name, n in body["quantities"].items()}),
        _decode_amounts(body["charges"]),
        _decode_amounts(body["credits"]),
        **{name: int(body.get(name, 0)) for name in _PARTS},
    )
    return Summary(
        int(body["slots"]),
        int(body["ended_utc_ns"]),
        whole,
        tuple((str(name), int(count)) for name, count in body["gpus"]),
        Decimal(body.get("redone", "0")),
        None if saved is None else Saved(int(saved[0]), Decimal(saved[1]), saved[2]),
        None if progress is None else Progress(**progress),
    )


def decode_place(body: Mapping[str, Any]) -> Place | None:
    """Where the line stands, if it says so."""
    place = body.get("place")
    return None if place is None else Place(*place)


def encode_budgets(entry: Budgets, _: tuple[str, ...]) -> dict[str, object]:
    """Budgets as JSON-ready values."""
    return {"type": "budgets", "utc_ns": entry.at_utc_ns, "uses": [_encode_use(use) for use in entry.uses]}


def decode_budgets(body: Mapping[str, Any], _: tuple[str, ...]) -> Budgets:
    """The budgets that were written. Raises KeyError, TypeError, ValueError or ArithmeticError on anything else."""
    return Budgets(int(body["utc_ns"]), tuple(_decode_use(use) for use in body["uses"]))


def _encode_use(use: BudgetUse) -> dict[str, object]:
    budget = use.budget
    body: dict[str, object] = {"amount": str(budget.amount), "per": budget.per, "on_exceed": budget.on_exceed}
    body["warn_at"] = [str(share) for share in budget.warn_at]
    if budget.project:
        body["project"] = budget.project
    if budget.buffer:
        body["buffer"] = str(budget.buffer)
    return body | {"elsewhere": str(use.elsewhere)}


def _decode_use(body: Mapping[str, Any]) -> BudgetUse:
    per, on_exceed = body["per"], body["on_exceed"]
    if per not in get_args(Per) or on_exceed not in get_args(OnExceed):
        raise ValueError(f"a budget per {per!r}")
    warn_at = tuple(Decimal(share) for share in body["warn_at"])
    amount, buffer = Decimal(body["amount"]), Decimal(body.get("buffer", "0"))
    budget = Budget(amount, warn_at, on_exceed, per, str(body.get("project", "")), buffer)
    return BudgetUse(budget, Decimal(body["elsewhere"]))


def _encode_amounts(amounts: Amounts) -> dict[str, str]:
    return {f"{component}/{state}": str(amount) for (component, state), amount in amounts.items()}


def _decode_amounts(body: Mapping[str, Any]) -> Amounts:
    amounts: dict[tuple[str, State], Decimal] = {}
    for key, amount in body.items():
        component, _, state = key.rpartition("/")
        amounts[component, _STATES[state]] = Decimal(amount)
    return amounts
