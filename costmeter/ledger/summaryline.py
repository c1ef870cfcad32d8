"""How summaries and budgets are written in a journal: money as text, quantities as integers, what is 0 left out."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any, get_args

from costmeter.ledger import kinds
from costmeter.ledger.record import Budgets, Place, Saved, Subtotal, Summary
from costmeter.meter.activity import State
from costmeter.meter.budget import Budget, BudgetUse, OnExceed, Per
from costmeter.meter.charge import Amounts
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Quantities
from costmeter.meter.totals import DeviceTotals

_STATES: Mapping[str, State] = {state: state for state in get_args(State)}
_QUANTITIES = tuple(each.name for each in fields(Quantities))
_LINE = kinds.maybe(kinds.count)
_PLACE = {
    "place": kinds.either(
        kinds.row(kinds.count, _LINE, _LINE),
        kinds.row(kinds.count, _LINE, _LINE, kinds.count),
        lambda place: place is None,
    )
}
_PARTS = ("overhead_microjoules", "operational_micrograms", "embodied_micrograms", "market_micrograms")
_TOLD: kinds.Shape = dict.fromkeys(Progress.__slots__, kinds.whole) | {"loss": kinds.finite}
_SUMMARY: kinds.Shape = dict.fromkeys(_PARTS, kinds.total) | {
    "slots": kinds.count,
    "ended_utc_ns": kinds.instant,
    "quantities": kinds.table(kinds.total),
    "charges": kinds.table(kinds.money),
    "credits": kinds.table(kinds.money),
    "gpus": kinds.each(kinds.row(kinds.text, kinds.count)),
    "redone": kinds.money,
    "saved": kinds.maybe(kinds.row(kinds.instant, kinds.money, kinds.maybe(kinds.whole))),
    "progress": kinds.maybe(kinds.shaped(_TOLD)),
}
_BUDGETS = {"utc_ns": kinds.instant, "uses": kinds.each(kinds.table(lambda _: True))}
_USE: kinds.Shape = {
    "amount": kinds.money,
    "per": kinds.word(get_args(Per)),
    "on_exceed": kinds.word(get_args(OnExceed)),
    "warn_at": kinds.each(kinds.money),
    "project": kinds.text,
    "buffer": kinds.money,
    "elsewhere": kinds.money,
}


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
    return body if place is None else body | {"place": _encode_place(place)}


def decode_summary(body: Mapping[str, Any]) -> Summary:
    """The summary that was written. Raises KeyError, TypeError, ValueError or ArithmeticError on anything else."""
    kinds.expect(body, _SUMMARY)
    saved, progress = body.get("saved"), body.get("progress")
    whole = DeviceTotals(
        Quantities(**body["quantities"]),
        _decode_amounts(body["charges"]),
        _decode_amounts(body["credits"]),
        **{name: body.get(name, 0) for name in _PARTS},
    )
    return Summary(
        body["slots"],
        body["ended_utc_ns"],
        whole,
        tuple((name, count) for name, count in body["gpus"]),
        Decimal(body.get("redone", "0")),
        None if saved is None else Saved(saved[0], Decimal(saved[1]), saved[2]),
        None if progress is None else Progress(**progress),
    )


def decode_place(body: Mapping[str, Any]) -> Place | None:
    """Where the line stands, if it says so. Raises TypeError or ValueError where it garbles that."""
    kinds.expect(body, _PLACE)
    place = body.get("place")
    return None if place is None else Place(*place)


def _encode_place(place: Place) -> list[int | None]:
    """Its bytes, and the checksum of what precedes where there is one."""
    told = [place.at, place.devices_at, place.rates_at]
    return told if place.crc is None else [*told, place.crc]


def encode_budgets(entry: Budgets, _: tuple[str, ...]) -> dict[str, object]:
    """Budgets as JSON-ready values."""
    return {"type": "budgets", "utc_ns": entry.at_utc_ns, "uses": [_encode_use(use) for use in entry.uses]}


def decode_budgets(body: Mapping[str, Any], _: tuple[str, ...]) -> Budgets:
    """The budgets that were written. Raises KeyError, TypeError, ValueError or ArithmeticError on anything else."""
    kinds.expect(body, _BUDGETS)
    return Budgets(body["utc_ns"], tuple(_decode_use(use) for use in body["uses"]))


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
    kinds.expect(body, _USE)
    per, on_exceed = body["per"], body["on_exceed"]
    warn_at = tuple(Decimal(share) for share in body["warn_at"])
    amount, buffer = Decimal(body["amount"]), Decimal(body.get("buffer", "0"))
    budget = Budget(amount, warn_at, on_exceed, per, body.get("project", ""), buffer)
    return BudgetUse(budget, Decimal(body["elsewhere"]))


def _encode_amounts(amounts: Amounts) -> dict[str, str]:
    return {f"{component}/{state}": str(amount) for (component, state), amount in amounts.items()}


def _decode_amounts(body: Mapping[str, Any]) -> Amounts:
    amounts: dict[tuple[str, State], Decimal] = {}
    for key, amount in body.items():
        component, _, state = key.rpartition("/")
        amounts[component, _STATES[state]] = Decimal(amount)
    return amounts
