"""Budgets as they were written, made into budgets: which spending each is of, and what is wrong with it."""

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import cast, get_args

from costmeter.config.parse import Value, Values
from costmeter.meter.budget import Budget, OnExceed, Per

_AMOUNT = "budget.amount"
_CURRENCY = re.compile(r"[A-Z]{3}$", re.ASCII)


def spending(written: Values) -> tuple[Per, str]:
    """Whose spending a budget is of, and of which project: `per: month` of a project is `project/month`."""
    per, project = _text(written, "per") or "run", _text(written, "project")
    if project and per in ("day", "month"):
        per = f"project/{per}"
    assert per in get_args(Per)  # the grammar's words
    return cast(Per, per), project


def budgets(
    written: Iterable[Values], everywhere: Values, currency: str, fault: Callable[[Value, str], None]
) -> tuple[tuple[Budget, ...], tuple[str, ...]]:
    """The budgets, and where each was written. Keys `everywhere` go over every one of them.

    One in another currency than the settings' is a fault and left out: nothing is converted.
    """
    made: dict[Budget, str] = {}
    for each in written:
        amount = each[_AMOUNT]
        said = _CURRENCY.search(amount.text)
        if said is not None and said[0] != currency:
            fault(amount, f"budget: {amount.text} is not in {currency}, the currency that is set; nothing is converted")
        else:
            made.setdefault(_budget({**each, **everywhere}), amount.place.brief)
    over = next(iter(everywhere.values()), None)
    if over is not None and not made:
        fault(over, "budget: an amount is missing; add  amount: 500  or the like")
    return tuple(made), tuple(made.values())


def _budget(values: Values) -> Budget:
    per, project = spending(values)
    default = Budget(_number(values, "amount"))
    on_exceed: OnExceed = "stop" if _text(values, "on_exceed") == "stop" else default.on_exceed
    return Budget(default.amount, _warn_at(values, default), on_exceed, per, project, _number(values, "buffer"))


def _warn_at(values: Values, default: Budget) -> tuple[Decimal, ...]:
    value = values.get("budget.warn_at")
    shares = value.item if value is not None and isinstance(value.item, tuple) else default.warn_at
    return tuple(share for share in shares if isinstance(share, Decimal))


def _text(values: Values, key: str) -> str:
    value = values.get(f"budget.{key}")
    return value.text if value is not None else ""


def _number(values: Values, key: str) -> Decimal:
    value = values.get(f"budget.{key}")
    return value.item if value is not None and isinstance(value.item, Decimal) else Decimal(0)
