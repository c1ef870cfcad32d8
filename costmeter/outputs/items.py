"""Line items in a receipt: what stands beside the metered cost, and the full cost where somebody asked for it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from costmeter.ledger.query import Run
from costmeter.meter.item import BYTE_NANOSECONDS_PER_GB_MONTH, BYTES_PER_GB, NOTHING_THERE, WATCHED, ItemKind
from costmeter.meter.item_totals import ItemTotal, full_cost, item_totals
from costmeter.outputs.figures import plain
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_SECOND

#: What a receipt counts each kind in: its quantity times its price is its cost.
_UNITS: Mapping[ItemKind, tuple[str, int]] = {
    "path": ("GB-month", BYTE_NANOSECONDS_PER_GB_MONTH),
    "gb": ("GB-month", BYTE_NANOSECONDS_PER_GB_MONTH),
    "network": ("GB", BYTES_PER_GB),
    "per_gpu_hour": ("GPU-hour", NANOSECONDS_PER_HOUR),
    "per_hour": ("hour", NANOSECONDS_PER_HOUR),
    "fixed": ("once", 1),
}


def items_of(run: Run) -> tuple[ItemTotal, ...]:
    """Every line item of a run, over all its parts."""
    return item_totals([part.use() for part in run.parts])


def item_rows(totals: Sequence[ItemTotal]) -> list[dict[str, Any]]:
    """Items as the receipt has them."""
    return [_row(total) for total in totals]


def full(metered: Decimal, totals: Sequence[ItemTotal]) -> str:
    """The metered cost with every item whose cost is known."""
    return plain(full_cost(metered, totals))


def _row(total: ItemTotal) -> dict[str, Any]:
    item = total.item
    unit, divisor = _UNITS[item.kind]
    times = float(item.amount) if item.kind == "per_hour" else 1
    return {
        "name": item.name,
        "kind": item.kind,
        "quantity": None if total.quantity is None else total.quantity / divisor * times,
        "unit": unit,
        "seconds": total.nanoseconds / NANOSECONDS_PER_SECOND,
        "direction": item.direction if item.kind == "network" else None,
        "price": plain(item.price),
        "cost": None if total.cost is None else plain(total.cost),
        "provenance": _word(total),
        "origin": item.origin.detail,
        "note": total.note,
    }


def _word(total: ItemTotal) -> str:
    """How the quantity is known: the price is configured always."""
    kind = total.item.kind
    if kind in WATCHED and (total.quantity is None or total.note not in ("", NOTHING_THERE)):
        return "estimated"
    return "configured" if kind in ("gb", "fixed") else "measured"
