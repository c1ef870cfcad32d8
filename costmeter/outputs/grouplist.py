"""Totals of groups of runs: as data, as CSV, and as a person reads them."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from costmeter.ledger.grouping import NONE, Group
from costmeter.ledger.node.runs import UNHELD_GROUP
from costmeter.outputs.columns import columns
from costmeter.outputs.csvtext import csv_text, exact_grams, exact_joules, exact_kwh, exact_seconds, harmless
from costmeter.outputs.figures import carbons, energies, gpu_hours, plain, quantum, rounded
from costmeter.outputs.markdowntext import escaped, table
from costmeter.outputs.runlist import SIMULATED
from costmeter.outputs.style import Style, printable, unadorned
from costmeter.units import (
    MICROGRAMS_PER_GRAM,
    MICROJOULES_PER_JOULE,
    MICROJOULES_PER_KWH,
    NANOSECONDS_PER_SECOND,
)

SCHEMA = "costmeter.groups/1"
_RIGHT = frozenset(range(1, 11))
_COLUMNS = (
    "runs",
    "currency",
    "simulated",
    "cost",
    "idle_cost",
    "redone_cost",
    "energy_kwh",
    "energy_joules",
    "gpu_seconds",
    "idle_gpu_seconds",
    "emissions_grams",
)
#: Of days of a node: what runs held, what users without a run did, and what nobody did.
_HELD = ("runs_cost", "users_cost", "unheld_cost")


def document(groups: Sequence[Group], key: str) -> dict[str, Any]:
    """Groups as data: money is text, and adds up to the receipts exactly; the rest are numbers and truths."""
    return {"schema": SCHEMA, "by": key, "groups": [{key: _word(group) or None} | _facts(group) for group in groups]}


def _word(group: Group) -> str:
    """What a group has in common, as every file has it; nothing where nobody knows."""
    return "" if group.word == NONE else printable(group.word)


def _facts(group: Group) -> dict[str, Any]:
    spent = group.spending
    quantities = spent.whole.quantities
    values = (
        len(group.runs),
        spent.currency,
        spent.simulated,
        plain(spent.cost),
        plain(spent.idle),
        plain(spent.redone),
        spent.microjoules / MICROJOULES_PER_KWH,
        spent.microjoules / MICROJOULES_PER_JOULE,
        quantities.nanoseconds / NANOSECONDS_PER_SECOND,
        quantities.idle_nanoseconds / NANOSECONDS_PER_SECOND,
        spent.micrograms / MICROGRAMS_PER_GRAM,
    )
    return dict(zip(_COLUMNS, values, strict=True)) | dict(zip(_HELD, _held(group), strict=False))


def _held(group: Group) -> list[str]:
    held = group.held
    return [] if held is None else [plain(held.runs), plain(held.users), plain(held.unheld)]


def csv(groups: Sequence[Group], key: str) -> str:
    """One line a group, a line of heads above. Quantities are exact."""
    held = _HELD if any(group.held is not None for group in groups) else ()
    return csv_text([key, *_COLUMNS, *held], map(_cells, groups))


def _cells(group: Group) -> list[str]:
    spent = group.spending
    quantities = spent.whole.quantities
    return [
        harmless(_word(group)),
        str(len(group.runs)),
        spent.currency,
        "true" if spent.simulated else "false",
        plain(spent.cost),
        plain(spent.idle),
        plain(spent.redone),
        exact_kwh(spent.microjoules),
        exact_joules(spent.microjoules),
        exact_seconds(quantities.nanoseconds),
        exact_seconds(quantities.idle_nanoseconds),
        exact_grams(spent.micrograms),
        *_held(group),
    ]


def render(groups: Sequence[Group], key: str, style: Style) -> str:
    """Groups as text, a block for each currency, and for what was simulated."""
    lines: list[str] = []
    for block in _blocks(groups):
        if block[0].spending.simulated:
            lines.append(f"{SIMULATED}:")
        lines += [*columns(list(_table(block, key)), _RIGHT), ""]
    return "\n".join(unadorned(line, style) for line in lines).rstrip("\n") + "\n"


def markdown(groups: Sequence[Group], key: str) -> str:
    """The same as Markdown tables."""
    lines: list[str] = []
    for block in _blocks(groups):
        heads, *rows = _table(block, key)
        if block[0].spending.simulated:
            lines += [f"**{SIMULATED}**", ""]
        lines += [table(heads, [list(map(escaped, row)) for row in rows], frozenset(range(1, len(heads)))), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _blocks(groups: Sequence[Group]) -> list[list[Group]]:
    found: dict[tuple[bool, str], list[Group]] = {}
    for group in groups:
        found.setdefault((group.spending.simulated, group.spending.currency), []).append(group)
    return [found[key] for key in sorted(found)]


def _table(block: list[Group], key: str) -> Iterator[list[str]]:
    """Heads, a row a group, and their sum, all of which add up."""
    currency = block[0].spending.currency
    amounts = [group.spending.cost for group in block]
    costs = rounded(amounts, quantum(sum(amounts, Decimal(0))))
    idle = rounded([group.spending.idle for group in block], quantum(sum(amounts, Decimal(0))))
    used, kwh = energies([group.spending.microjoules / MICROJOULES_PER_KWH for group in block])
    emitted, mass = carbons([group.spending.micrograms / MICROGRAMS_PER_GRAM for group in block])
    hours = gpu_hours(group.spending.whole.quantities.nanoseconds / NANOSECONDS_PER_SECOND for group in block)
    held = _held_columns(block, quantum(sum(amounts, Decimal(0))))
    yield [key.upper(), "RUNS", "GPU-h", currency, f"IDLE {currency}", kwh, f"{mass} CO2e", *held]
    for at, group in enumerate(block):
        waste = "–" if group.word == UNHELD_GROUP and not group.runs else f"{idle[at]:,}"  # nobody's idle spend
        row = [group.word, f"{len(group.runs):,}", f"{hours[at]:,}", f"{costs[at]:,}", waste]
        yield [*row, used[at], emitted[at], *(f"{column[at]:,}" for column in held.values())]
    runs = frozenset().union(*(group.runs for group in block))
    summed = (hours, costs, idle, _numbers(used), _numbers(emitted), *held.values())
    yield ["total", f"{len(runs):,}", *(f"{sum(column, Decimal(0)):,}" for column in summed)]


def _held_columns(block: list[Group], step: Decimal) -> dict[str, Sequence[Decimal]]:
    """What runs held, users without a run, and nobody, by their heads; none of groups that are no days of a node."""
    held = [group.held for group in block if group.held is not None]
    if len(held) < len(block):
        return {}
    return {
        "HELD BY RUNS": rounded([each.runs for each in held], step),
        "BY USERS": rounded([each.users for each in held], step),
        "UNHELD": rounded([each.unheld for each in held], step),
    }


def _numbers(texts: Sequence[str]) -> list[Decimal]:
    return [Decimal(text.replace(",", "")) for text in texts]
