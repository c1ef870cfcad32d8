"""The tables of the HTML receipt: where it went, what it rests on, the GPUs, and every figure's provenance."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import chain
from typing import Any

from costmeter.outputs.columns import flowing
from costmeter.outputs.figures import duration, energy, money, quantum, rounded
from costmeter.outputs.gpus import without_maker
from costmeter.outputs.idlereasons import idle_lines, tip_lines
from costmeter.outputs.itemlines import UNFOLDED, item_lines
from costmeter.outputs.markup import Markup, element
from costmeter.outputs.notelines import meter_lines, note_lines, part_lines
from costmeter.outputs.sourcelines import Labelled, is_priced, source_lines
from costmeter.outputs.svg import letter
from costmeter.outputs.unitlines import unit_lines
from costmeter.outputs.where import Where


def where_table(receipt: Mapping[str, Any], where: Where, kinds: list[str]) -> Markup:
    """Rows that add up, each with the colour and letter that it has in the charts."""
    is_money = is_priced(receipt)
    head = ["", "GPU-hours", *([receipt["currency"]] if is_money else []), "share", ""]
    rows = [
        element(
            "tr",
            element("th", _swatch(place, kind), row.name, scope="row"),
            element("td", f"{row.hours:,}"),
            element("td", f"{row.amount:,}") if is_money else Markup(""),
            element("td", f"{row.share} %"),
            element("td", where.note(row, ", still paid for"), class_="note"),
        )
        for place, (row, kind) in enumerate(zip(where.rows, kinds, strict=True))
    ]
    total = [element("th", "total", scope="row"), element("td", f"{where.hours:,}")]
    total += [element("td", f"{where.amount:,}")] if is_money else []
    last = element("tr", *total, element("td", "100 %"), element("td", ""), class_="total")
    return table(f"Where it went, by {where.by}", head, [*rows, last])


def table(caption: str, head: list[str], rows: list[Markup]) -> Markup:
    """A table with a caption for those who cannot see it."""
    cells = [element("th", name, scope="col") for name in head]
    return element(
        "table", element("caption", caption), element("thead", element("tr", *cells)), element("tbody", *rows)
    )


def _swatch(place: int, kind: str) -> Markup:
    square = element("rect", width="16", height="16", rx="3", class_=kind)
    name = element("text", letter(place), x="8", y="12", class_="key")
    return element(
        "svg", square, name, viewBox="0 0 16 16", width="16", height="16", aria_hidden="true", class_="swatch"
    )


def said(receipt: Mapping[str, Any]) -> Markup:
    """What the terminal says below its table, as a list of terms."""
    lines = chain(
        part_lines(receipt),
        idle_lines(receipt),
        source_lines(receipt),
        item_lines(receipt, UNFOLDED),
        unit_lines(receipt),
        tip_lines(receipt),
        note_lines(receipt, ()),
        meter_lines(receipt, ""),
    )
    terms = []
    for label, texts in _grouped(lines):
        terms.append(element("dt", label))
        terms.append(element("dd", *(element("div", flowing(each)) for each in texts)))
    return element("dl", *terms, class_="said")


def _grouped(lines: Iterator[Labelled]) -> Iterator[tuple[str, list[str]]]:
    """Lines under the label that they go on with."""
    label, texts = "", list[str]()
    for name, words in lines:
        if name and name != label:
            if texts:
                yield label, texts
            label, texts = name, []
        texts.append(words)
    if texts:
        yield label, texts


def gpu_table(receipt: Mapping[str, Any]) -> Markup:
    """One row per GPU, amounts that add up to the total."""
    devices, is_money = receipt["devices"], is_priced(receipt)
    step = quantum(Decimal(receipt["cost"]["total"]))
    amounts = rounded([Decimal(device["cost"]) for device in devices], step)
    head = ["GPU", "", "held", "utilization", "energy", "found by", *(["cost"] if is_money else [])]
    rows = [
        element(
            "tr",
            element("th", str(device["index"]), scope="row"),
            element("td", without_maker(device["name"]), class_="note"),
            element("td", duration(device["seconds"])),
            element("td", _percent(device["mean_utilization"])),
            element("td", energy(device["joules"] / 3.6e6) if device["method"] else "not known"),
            element("td", device["method"] or "–"),
            element("td", money(amount, receipt["currency"], step)) if is_money else Markup(""),
        )
        for device, amount in zip(devices, amounts, strict=True)
    ]
    return table("The GPUs of the run", head, rows)


def _percent(ratio: float | None) -> str:
    return "not known" if ratio is None else f"{100 * ratio:.0f} %"


def provenance_table(receipt: Mapping[str, Any]) -> Markup:
    """Every figure and setting by its dotted name, how it is known, and what more there is to say."""
    rows = [
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", word, class_="note"),
            element("td", receipt["origins"].get(name, ""), class_="note"),
        )
        for name, word in receipt["provenance"].items()
    ]
    return table("Provenance", ["figure", "known as", "because"], rows)
