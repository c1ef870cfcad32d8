"""Line items over a whole run: which parts add, and which count once.

A part is one meter process: one of a run's hosts, or one try of a run that was queued anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from costmeter.meter.item import LineItem, PartUse


@dataclass(frozen=True, slots=True)
class ItemTotal:
    """One item of a run: how much of it, over which time, and for how much money.

    `quantity` is in the unit of the item's kind; None, and a cost of None, where nobody could look: `note` says why.
    """

    item: LineItem
    quantity: int | None
    cost: Decimal | None
    nanoseconds: int
    note: str = ""


def item_totals(parts: Sequence[PartUse]) -> tuple[ItemTotal, ...]:
    """Every item of any part, in the order written; the last part's word on price and amount holds where parts differ.

    Network and licences add over all parts. A watched path adds over the parts of a host, and of several hosts the
    largest counts, because they see one shared folder. What is paid by time counts the time in which any part was
    metered, once; a fixed amount counts once.
    """
    items = {(item.name, item.kind): item for part in parts for item in part.items}
    return tuple(_total(item, [part for part in parts if _has(part, item)]) for item in items.values())


def full_cost(metered: Decimal, totals: Iterable[ItemTotal]) -> Decimal:
    """The metered cost and every item whose cost is known."""
    return metered + sum((total.cost for total in totals if total.cost is not None), Decimal(0))


def _has(part: PartUse, item: LineItem) -> bool:
    return any((other.name, other.kind) == (item.name, item.kind) for other in part.items)


def _total(item: LineItem, parts: Sequence[PartUse]) -> ItemTotal:
    covered_ns = _covered_ns(parts)
    note = "; ".join(dict.fromkeys(part.notes[item.name] for part in parts if item.name in part.notes))
    if item.kind == "path":
        return _largest_host(item, parts, note)
    if item.kind in ("network", "per_gpu_hour"):
        seen = [quantity for part in parts if (quantity := part.quantity(item)) is not None]
        quantity = sum(seen) if seen else None
    else:
        once = PartUse("", 0, covered_ns, 0, (item,))
        quantity = once.quantity(item)
    return ItemTotal(item, quantity, None if quantity is None else item.cost(quantity), covered_ns, note)


def _largest_host(item: LineItem, parts: Sequence[PartUse], note: str) -> ItemTotal:
    """The host that saw most of a path, its parts added."""
    best: tuple[int, list[PartUse]] | None = None
    for host in dict.fromkeys(part.host for part in parts):
        mine = [part for part in parts if part.host == host and item.name in part.used]
        byte_ns = sum(part.used[item.name] for part in mine)
        if mine and (best is None or byte_ns > best[0]):
            best = byte_ns, mine
    if best is None:
        return ItemTotal(item, None, None, _covered_ns(parts), note)
    return ItemTotal(item, best[0], item.cost(best[0]), _covered_ns(best[1]), note)


def _covered_ns(parts: Sequence[PartUse]) -> int:
    """The time that lies in any part: hosts side by side count once, the wait between two tries not at all."""
    covered_ns, reached_ns = 0, 0
    for part in sorted(parts, key=lambda each: each.start_utc_ns):
        start_ns, end_ns = max(part.start_utc_ns, reached_ns), part.start_utc_ns + part.length_ns
        covered_ns += max(0, end_ns - start_ns)
        reached_ns = max(reached_ns, end_ns)
    return covered_ns
