"""A receipt as Markdown: for a comment on a pull request, or a model card. Its last sentence is made to be quoted."""

import shlex
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from costmeter.outputs.columns import flowing
from costmeter.outputs.figures import duration
from costmeter.outputs.gpus import gpu_names
from costmeter.outputs.heading import ending, headline, span
from costmeter.outputs.idlereasons import idle_lines, tip_lines
from costmeter.outputs.itemlines import UNFOLDED, item_lines
from costmeter.outputs.markdowntext import code, escaped, table
from costmeter.outputs.notelines import note_lines, part_lines
from costmeter.outputs.sourcelines import is_priced, source_lines
from costmeter.outputs.uncounted import uncounted
from costmeter.outputs.unitlines import unit_lines
from costmeter.outputs.where import where_it_went


def markdown(receipt: Mapping[str, Any]) -> str:
    """The receipt of a run, from its JSON alone; newline at the end."""
    blocks = [*_head(receipt), _headline(receipt)]
    if receipt["devices"]:
        blocks.append(_where(receipt))
    blocks.append(_said(receipt))
    blocks.append("Not counted: " + escaped(" ".join(uncounted(receipt))))
    blocks.append(_provenance(receipt))
    blocks.append(escaped(_sentence(receipt)))
    return "\n\n".join(blocks) + "\n"


def _head(receipt: Mapping[str, Any]) -> Iterator[str]:
    run = receipt["run"]
    simulated = " (simulated GPUs)" if receipt["simulated"] else ""
    yield f"### {escaped(run['name'] or run['id'])}{simulated}"
    if run["command"] is not None:
        yield code(shlex.join(run["command"]))
    facts = [ending(run), ", ".join(run["hosts"]), gpu_names(receipt["devices"])]
    facts += [span(run["started_at"], run["ended_at"]), duration(run["seconds"])]
    yield escaped(" · ".join(filter(None, facts)))


def _headline(receipt: Mapping[str, Any]) -> str:
    if receipt["rates"] is None:
        return "**no price**"
    cost, *others = map(escaped, headline(receipt))
    return table(("cost", "energy", "emissions", "GPU time"), [(f"**{cost}**", *others)], frozenset(range(4)))


def _where(receipt: Mapping[str, Any]) -> str:
    where, is_money = where_it_went(receipt), is_priced(receipt)
    rows = []
    for row in where.rows:
        amount = [f"{row.amount:,}"] if is_money else []
        rows.append([escaped(row.name), f"{row.hours:,}", *amount, f"{row.share} %", where.note(row)])
    total = [f"**{where.amount:,}**"] if is_money else []
    rows.append(["**total**", f"**{where.hours:,}**", *total, "", ""])
    head = ["where it went", "GPU-h", *([receipt["currency"]] if is_money else []), "share", ""]
    return table(head, rows, frozenset(range(1, len(head) - 1)))


def _said(receipt: Mapping[str, Any]) -> str:
    """What the terminal says below its table, as a list."""
    lines = chain(
        part_lines(receipt),
        idle_lines(receipt),
        source_lines(receipt),
        item_lines(receipt, UNFOLDED),
        unit_lines(receipt),
        tip_lines(receipt),
        note_lines(receipt, ()),
    )
    said = ""
    for label, words in lines:
        said += f"\n- **{label}** " if label else "<br>"
        said += escaped(flowing(words))
    return said.lstrip("\n")


def _provenance(receipt: Mapping[str, Any]) -> str:
    rows = [
        (escaped(name), escaped(word), escaped(receipt["origins"].get(name, "")))
        for name, word in receipt["provenance"].items()
    ]
    inside = table(("figure", "known as", "because"), rows, frozenset())
    return f"<details><summary>Where every figure comes from</summary>\n\n{inside}\n\n</details>"


def _sentence(receipt: Mapping[str, Any]) -> str:
    """The run in one sentence, for a model card or a paper."""
    run, devices = receipt["run"], receipt["devices"]
    used = f"{where_it_went(receipt).hours:,} GPU-hours on {gpu_names(devices)}" if devices else "no GPU time"
    part = "" if run["part"] is None else f"Part {run['part']} of this"
    said = f"{part or 'This'} run{' (simulated)' if receipt['simulated'] else ''} took {used}"
    if receipt["rates"] is not None:
        cost, energy, carbon, _ = headline(receipt)
        said += f" and cost {cost}" if is_priced(receipt) else ""
        if receipt["energy"]["methods"]:
            word = receipt["provenance"].get("emissions.operational_grams", "estimated")
            said += f"; it used {energy}, and {carbon} ({word} grid intensity) were emitted for it"
    return f"{said}. Metered by costmeter {receipt['meter']['version']} as {run['id']}."
