"""Bills as a person reads them: rendered from the JSON of `costmeter.bill/1` and nothing else."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from costmeter.outputs.figures import SHOWN_FROM_SECONDS, duration, energy, money, quantum, rounded, significant
from costmeter.outputs.style import MINIMUM_WIDTH, Style, unadorned
from costmeter.outputs.terminal import wrapped

_RUNS_SHOWN = 5
_PROBLEMS_SHOWN = 5
#: What an adjustment is, for people; the tariff's own name of the charge stands after it.
_WORDS = {
    "adjustment:prices": "prices of the tariff, not of the runs' time",
    "adjustment:averaging": "site's average kWh, not the runs' own",
    "adjustment:tiers": "tiers",
    "adjustment:fixed": "fixed",
    "adjustment:demand": "demand",
    "adjustment:commitment": "commitment, less the rental it covers",
}

#: A label, an amount, and what there is to say of it.
Row = tuple[str, Decimal, str]


def render(document: Mapping[str, Any], style: Style) -> str:
    """All bills, newline at the end."""
    width = max(style.width, MINIMUM_WIDTH)
    lines: list[str] = []
    for bill in document["bills"]:
        lines += [*_block(bill, document, style, width), ""]
    if not document["bills"]:
        what = "nothing that can be read" if document["journals"]["not_counted"] else "nothing"
        lines += [f"{what} ran in this period, and no tariff or commitment is set", ""]
    about = [("Journal", problem) for problem in document["problems"][:_PROBLEMS_SHOWN]]
    more = len(document["problems"]) - _PROBLEMS_SHOWN
    if more > 0:
        about.append(("", f"and {more:,} more; see: costmeter report --bill --json"))
    if document["simulated_runs_left_out"]:
        count = len(document["simulated_runs_left_out"])
        about.append(("Note", f"{_counted(count, 'run')} on simulated GPUs left out: nobody pays for them"))
    lines += [unadorned(line, style) for line in wrapped(about, width)]
    return "\n".join(lines).rstrip("\n") + "\n"


def not_counted(document: Mapping[str, Any]) -> str:
    """That journals are missing from the totals; empty where none is."""
    missing, found = document["journals"]["not_counted"], document["journals"]["found"]
    return f"{missing:,} of {_counted(found, 'journal')} not counted" if missing else ""


def _block(bill: Mapping[str, Any], document: Mapping[str, Any], style: Style, width: int) -> Iterator[str]:
    period, total = bill["period"], Decimal(bill["total"])
    left = "── costmeter bill " + ("(simulated GPUs) " if document["simulated"] else "")
    right = f" {period['from']} to {period['to']} ──"
    yield unadorned(left + "─" * max(2, width - len(left) - len(right)) + right, style)
    hours = significant(bill["gpu_seconds"] / 3600)
    is_in_rent = bill["metered"].get("rental") and not bill["electricity_kwh"]
    drawn = "electricity is in the rent" if is_in_rent else f"{energy(bill['electricity_kwh'])} of electricity"
    facts = [_counted(len(bill["runs"]), "run"), f"{hours} GPU-h", drawn]
    facts.append(f"days of {'this machine' if period['zone'] == 'local' else period['zone']}")
    yield unadorned(" " + " · ".join(facts), style)
    yield ""
    headline = unadorned(f"   {money(total, bill['currency'])}", style)
    yield f"\x1b[1m{headline}\x1b[0m" if style.color else headline
    if said := not_counted(document):
        yield f"   Warning: {said}"
    yield ""
    yield from (unadorned(line, style) for line in _table(bill, total))
    yield from (unadorned(line, style) for line in wrapped(_about(bill, document), width))


def _table(bill: Mapping[str, Any], total: Decimal) -> Iterator[str]:
    """What adds up to the total, in a column that does."""
    rows = list(_rows(bill))
    step = quantum(total)
    shown = rounded([amount for _, amount, _ in rows], step)
    labels = max([len(label) for label, _, _ in rows] + [len("total")])
    amounts = max(len(f"{amount:,}") for amount in (*shown, sum(shown), Decimal(1_000)))
    yield f" {'What':<{labels}}  {bill['currency']:>{amounts}}"
    for (label, _, note), amount in zip(rows, shown, strict=True):
        yield f" {label:<{labels}}  {amount:>{amounts},}" + (f"   {note}" if note else "")
    yield f" {'total':<{labels}}  {sum(shown, Decimal(0)).quantize(step):>{amounts},}"


def _rows(bill: Mapping[str, Any]) -> Iterator[Row]:
    for name, amount in bill["metered"].items():
        yield f"{name}, as metered", Decimal(amount), ""
    for each in bill["adjustments"]:
        amount = Decimal(each["amount"])
        if amount or (each.get("at") and bill["runs"]):
            charge = f" {each['charge']}" if each["charge"] else ""
            yield _WORDS[each["name"]] + charge, amount, _peak(each)


def _peak(adjustment: Mapping[str, Any]) -> str:
    if not adjustment.get("at_local"):
        return ""
    at = datetime.fromisoformat(adjustment["at_local"])
    return f"{significant(float(adjustment['kilowatts']))} kW, {at.day} {at:%b %H:%M}"


def _about(bill: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where the figures come from, and what they are not."""
    if bill["tariffs"]:
        yield "Tariff", ", ".join(bill["tariffs"])
        yield "Share", _attribution(document)
    if bill["commitment"] and bill["commitment"]["gpu_hours"]:
        paid = bill["commitment"]
        yield (
            "Commit",
            f"{money(Decimal(paid['cost']), bill['currency'])} for {significant(paid['gpu_hours'])} GPU-h, of which "
            f"{significant(paid['covered_gpu_hours'])} were used; covers "
            f"{money(Decimal(paid['covered_rental']), bill['currency'])} of the metered rental",
        )
    if bill["unmeasured_gpu_seconds"] >= SHOWN_FROM_SECONDS:
        lost = duration(bill["unmeasured_gpu_seconds"])
        yield "Note", f"energy of {lost} of GPU time is not known and not in the bill"
    for name, amount in bill["not_billed"].items():
        yield "Beside", f"{name} {money(Decimal(amount), bill['currency'])}: a cost of the runs, but on no bill"
    for note in bill["notes"]:
        yield "Note", note
    if bill["runs"]:
        more = len(bill["runs"]) - _RUNS_SHOWN
        yield "Runs", ", ".join(bill["runs"][:_RUNS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _attribution(document: Mapping[str, Any]) -> str:
    """How the runs' part of the site's bill was found: a choice, and not a measurement."""
    base = Decimal(document["base_kilowatts"])
    if not base:
        return "the whole bill of a site that uses nothing else; --base-kw says what it uses without the runs"
    over = f"a constant base load of {base:f} kW"
    if document["attribution"] == "marginal":
        return f"marginal, a choice: the site's bill with the runs over {over}, less its bill without them"
    return f"average, a choice: the runs' share, by kWh, of the site's bill with {over}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
