"""The lines of a receipt for what a run costs beside its GPUs: one per item, with amounts that add up."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from costmeter.outputs.figures import duration, money, price_of, quantum, rounded, significant
from costmeter.outputs.sourcelines import Labelled

_HOURS_PER_MONTH, _SECONDS_PER_HOUR = 730, 3_600
#: What the words after an amount may take: two blanks and `configured`.
_WORD_WIDTH = 12
#: A width for those that fold no lines.
UNFOLDED = 200


def item_lines(receipt: Mapping[str, Any], width: int) -> Iterator[Labelled]:
    """One line per item, their sum, what is to be known of them, and the full cost where it was asked for.

    `width` is what a line has beside its label.
    """
    items, currency = receipt["items"], receipt["currency"]
    known = [Decimal(item["cost"]) for item in items if item["cost"] is not None]
    step = quantum(sum(known, Decimal(0)))
    amounts = iter(rounded(known, step))
    shown = [money(next(amounts), currency, step) if item["cost"] is not None else "not known" for item in items]
    total = money(sum(known, Decimal(0)), currency, step)
    longest = max(map(len, (*shown, total)), default=0)
    label = "Beside"
    for item, amount in zip(items, shown, strict=True):
        yield label, _row(f"{item['name']}: {_quantity(item, receipt)}", amount, longest, item["provenance"], width)
        label = ""
    if len(known) > 1:
        yield "", _row("all of them", total, longest, "", width)
    for item in items:
        if item["note"]:
            yield "", f"{item['name']}: {item['note']}"
    if receipt["full_cost"] is not None:
        yield "Full", _full(receipt)


def _row(left: str, amount: str, longest: int, word: str, width: int) -> str:
    room = width - longest - _WORD_WIDTH - 1
    left = left if len(left) <= room else left[: room - 1] + "…"
    return f"{left:<{room}} {amount:>{longest}}  {word}".rstrip()


def _quantity(item: Mapping[str, Any], receipt: Mapping[str, Any]) -> str:
    """How much of an item there was, as people say it."""
    quantity, kind = item["quantity"], item["kind"]
    if kind in ("path", "gb"):
        if quantity is None:
            return "size"
        seconds = item["seconds"]
        mean_gb = quantity * _HOURS_PER_MONTH * _SECONDS_PER_HOUR / seconds if seconds else 0.0
        return f"{_size(mean_gb)} for {duration(seconds)}"
    if kind == "network":
        way = {"both": "sent and received"}.get(item["direction"], item["direction"])
        return f"traffic {way}" if quantity is None else f"{_size(quantity)} {way}"
    price = price_of(item["price"], receipt["currency"])
    if kind == "fixed":
        return "once"
    return f"{significant(quantity)} {'GPU-h' if kind == 'per_gpu_hour' else 'h'} × {price}"


def _size(gigabytes: float) -> str:
    """A size in the unit it is read in, of 1,000 each."""
    for factor, unit in ((1, "GB"), (1e3, "MB"), (1e6, "kB")):
        if gigabytes * factor >= 1:
            return f"{significant(gigabytes * factor)} {unit}"
    return f"{gigabytes * 1e9:.0f} B" if gigabytes else "0 GB"


def _full(receipt: Mapping[str, Any]) -> str:
    text = f"{money(Decimal(receipt['full_cost']), receipt['currency'])} with items"
    unknown = [item["name"] for item in receipt["items"] if item["cost"] is None]
    return f"{text}, without {', '.join(unknown)}, whose cost is not known" if unknown else text
