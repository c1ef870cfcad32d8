"""How summaries and budgets are written in a journal: money as text, quantities as integers, what is 0 left out."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from decimal import Decimal
from functools import lru_cache
from typing import Any, get_args

from costmeter.ledger import kinds
from costmeter.ledger.record import Budgets, Place, Saved, Subtotal, Summary
from costmeter.ledger.slotline import reason_of
from costmeter.meter.activity import State
from costmeter.meter.budget import Budget, BudgetUse, OnExceed, Per
from costmeter.meter.charge import Amounts
from costmeter.meter.idleuse import IdleUses, added
from costmeter.meter.idling import IdleUse
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Quantities
from costmeter.meter.totals import DeviceTotals

_STATES: Mapping[str, State] = {state: state for state in get_args(State)}
_QUANTITIES = tuple(each.name for each in fields(Quantities))
_NOTHING = Decimal(0)
_LINE = kinds.maybe(kinds.count)
_INTEGERS = {int}
_PLACE = kinds.row(kinds.count, _LINE, _LINE, kinds.count)
_PLACE_OF_BEFORE = kinds.row(kinds.count, _LINE, _LINE)
_PARTS = ("overhead_microjoules", "operational_micrograms", "embodied_micrograms", "market_micrograms")
_TOLD: kinds.Shape = dict.fromkeys(Progress.__slots__, kinds.whole) | {"loss": kinds.finite}
#: Of which kind the values of a progress are, and whether they are.
TOLD = kinds.shaped(_TOLD)
#: Of which kind the values of what devices did and cost are.
WHOLE: kinds.Shape = dict.fromkeys(_PARTS, kinds.total) | {
    "quantities": kinds.table(kinds.total),
    "charges": kinds.table(kinds.money),
    "credits": kinds.table(kinds.money),
}
#: Of which kind idle time by reason is: nanoseconds, charges and credits.
IDLE = kinds.table(kinds.row(kinds.total, kinds.money, kinds.money))
_SUMMARY: kinds.Shape = dict(WHOLE) | {
    "slots": kinds.count,
    "ended_utc_ns": kinds.instant,
    "gpus": kinds.each(kinds.row(kinds.text, kinds.count)),
    "redone": kinds.money,
    "saved": kinds.maybe(kinds.row(kinds.instant, kinds.money, kinds.maybe(kinds.whole))),
    "progress": kinds.maybe(TOLD),
    "idle": IDLE,
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
    body: dict[str, object] = {"slots": summary.slots, "ended_utc_ns": summary.ended_utc_ns}
    body |= encode_whole(summary.whole)
    body["gpus"] = [list(pair) for pair in summary.gpus]
    if summary.redone:
        body["redone"] = str(summary.redone)
    if summary.saved is not None:
        body["saved"] = [summary.saved.at_utc_ns, str(summary.saved.cost), summary.saved.steps]
    if summary.progress is not None:
        body["progress"] = encode_told(summary.progress)
    return body if place is None else body | {"place": _encode_place(place)}


def decode_summary(body: Mapping[str, Any]) -> Summary:
    """The summary that was written. Raises KeyError, TypeError, ValueError or ArithmeticError on anything else."""
    kinds.expect(body, _SUMMARY)
    saved, progress = body.get("saved"), body.get("progress")
    return Summary(
        body["slots"],
        body["ended_utc_ns"],
        decode_whole(body),
        tuple(map(tuple, body["gpus"])),
        Decimal(body["redone"]) if "redone" in body else _NOTHING,
        None if saved is None else Saved(saved[0], Decimal(saved[1]), saved[2]),
        None if progress is None else Progress(**progress),
        decode_idle(body.get("idle", {})),
    )


def encode_whole(whole: DeviceTotals) -> dict[str, object]:
    """What devices did and cost as JSON-ready values."""
    body: dict[str, object] = {"quantities": {n: each for n in _QUANTITIES if (each := getattr(whole.quantities, n))}}
    body["charges"], body["credits"] = _encode_amounts(whole.charges), _encode_amounts(whole.credits)
    return body | {name: n for name in _PARTS if (n := getattr(whole, name))}


def decode_whole(body: Mapping[str, Any]) -> DeviceTotals:
    """What was written, of values that are of its kinds. Raises KeyError, TypeError or ArithmeticError otherwise."""
    return DeviceTotals(
        Quantities(**body["quantities"]),
        _decode_amounts(body["charges"]),
        _decode_amounts(body["credits"]),
        *[body.get(name, 0) for name in _PARTS],
    )


def encode_idle(uses: IdleUses) -> dict[str, object]:
    """Idle time by reason as JSON-ready values."""
    return {reason: [use.nanoseconds, str(use.charges), str(use.credits)] for reason, use in uses.items()}


def decode_idle(body: Mapping[str, Any]) -> IdleUses:
    """What was written, of values that are of its kinds; what a newer meter gave another reason is unexplained."""
    each = ({reason_of(word): IdleUse(ns, Decimal(paid), Decimal(back))} for word, (ns, paid, back) in body.items())
    return added({}, each)


def encode_told(progress: Progress) -> dict[str, object]:
    """How far a run has come, as JSON-ready values."""
    return {name: n for name, n in asdict(progress).items() if n is not None}


def decode_place(body: Mapping[str, Any]) -> Place | None:
    """Where the line stands, if it says so. Raises TypeError or ValueError where it garbles that."""
    place = body.get("place")
    if place is None:
        return None
    if not (_is_plain(place) or _PLACE(place) or _PLACE_OF_BEFORE(place)):
        raise ValueError("place")
    return Place(*place)


def _is_plain(place: object) -> bool:
    """Whether a place says all that it can, as nearly all do."""
    if type(place) is not list or len(place) != len(Place.__slots__) or set(map(type, place)) != _INTEGERS:
        return False
    return bool(min(place) >= 0 and max(place) < kinds.WIDEST)


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
    return {_amount_key(key): Decimal(amount) for key, amount in body.items()}


@lru_cache(maxsize=256)
def _amount_key(text: str) -> tuple[str, State]:
    """What a key of amounts stands for; the same few stand in every journal."""
    component, _, state = text.rpartition("/")
    return component, _STATES[state]
