"""Scenarios side by side: as data, the public JSON contract `costmeter.what-if/1`, as CSV and as text.

Amounts are exact, as text. `vs` compares with the same runs under their own rates, in the same currency; where that is
nothing, or the currency is another, there is no share.
"""

import csv
import io
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from costmeter.ledger.query import Run
from costmeter.ledger.scenario import Priced, Scenario, waiting
from costmeter.ledger.spread import certainty
from costmeter.meter.charge import Origin
from costmeter.meter.totals import by_component, net
from costmeter.outputs.columns import columns, folded
from costmeter.outputs.figures import duration, gpu_hours, money, plain, quantum, significant
from costmeter.outputs.identified import identified
from costmeter.outputs.provenance import origins
from costmeter.units import (
    MICROGRAMS_PER_GRAM,
    MICROJOULES_PER_JOULE,
    MICROJOULES_PER_KWH,
    NANOSECONDS_PER_SECOND,
)

SCHEMA = "costmeter.what-if/1"
#: What the row of the runs' own rates is called.
AS_RUN = "as run"
_NONE = "–"
_WHAT, _FIGURES = 1, frozenset({2, 3, 4})
_COLUMNS = ("name", "what", "currency", "cost", "difference", "vs_percent", "energy_kwh", "emissions_grams")
#: What a scenario may replace.
_SETTINGS = ("gpu.price", "electricity.", "carbon.")
_ESTIMATED = ("cost.total", "energy.gpu_joules", "energy.overhead_joules", "emissions.operational_grams", "gpu_seconds")


def as_json(names: Sequence[str], own: Sequence[Priced], others: Sequence[Priced]) -> dict[str, Any]:
    """The rows as scripts read them; `own` are those under the runs' own rates, and come first."""
    return {
        "schema": SCHEMA,
        "simulated": _is_simulated(own),
        "runs": list(names),
        "seconds": _length_ns(own) / NANOSECONDS_PER_SECOND,
        "scenarios": [_row(own, each) for each in (*own, *others)],
    }


def _row(own: Sequence[Priced], each: Priced) -> dict[str, Any]:
    whole, is_priced = each.whole, not each.unpriced
    known = _origins(each) if is_priced else {}
    amounts = by_component(net(whole.charges, whole.credits))
    difference, share = _difference(own, each)
    return {
        "name": each.scenario.name,
        "what": what_of(each),
        "currency": each.currency,
        "cost": plain(whole.cost) if is_priced else None,
        "components": {name: plain(amount) for name, amount in amounts.items()},
        "difference": None if difference is None else plain(difference),
        "vs_percent": None if share is None else float(round(share, 4)),
        "energy_joules": whole.facility_microjoules / MICROJOULES_PER_JOULE if each.has_energy else None,
        "energy_kwh": whole.facility_microjoules / MICROJOULES_PER_KWH if each.has_energy else None,
        "emissions_grams": whole.emitted_micrograms / MICROGRAMS_PER_GRAM if each.has_energy else None,
        "gpu_seconds": whole.quantities.nanoseconds / NANOSECONDS_PER_SECOND if is_priced else None,
        "estimate": each.scenario.is_estimate,
        "unpriced": each.unpriced or None,
        "notes": list(each.scenario.notes),
        "provenance": {name: origin.word for name, origin in known.items()},
        "origins": {name: origin.detail for name, origin in known.items()},
    }


def as_csv(own: Sequence[Priced], others: Sequence[Priced]) -> str:
    """One line for each row, with a header; empty where there is no answer."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, (*_COLUMNS, "unpriced"), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(own, each) for each in (*own, *others))
    return lines.getvalue()


def as_text(own: Sequence[Priced], others: Sequence[Priced], width: int) -> list[str]:
    """The table as people read it, and below it what stands behind the rows, in lines of this width."""
    rows = [*own, *others]
    currencies = {each.currency for each in rows if not each.unpriced}
    is_one = len(currencies) == 1
    costs = [each.whole.cost for each in rows if not each.unpriced]
    step = quantum(min((abs(cost) for cost in costs if cost), default=Decimal(1)))
    is_heavy = any(each.whole.emitted_micrograms >= 100 * MICROGRAMS_PER_GRAM for each in rows)
    table = [("", "", next(iter(currencies)) if is_one else "cost", "vs", "CO2e")]
    for each in rows:
        amount = _amount(each, step, is_one)
        table.append((each.scenario.name, what_of(each), amount, _versus(own, each), _co2(each, is_heavy)))
    notes = [note for each in rows for note in (*_priced_by(own, each), *each.scenario.notes)]
    notes += [f"{each.scenario.name}: not priced: {each.unpriced}" for each in rows if each.unpriced]
    below = [line for note in dict.fromkeys(notes) for line in folded(" ", note, width)]
    return [_title(own), *columns(_narrowed(table, width), _FIGURES), "", *below]


def _title(own: Sequence[Priced]) -> str:
    runs = sum(len(each.runs) for each in own)
    samples = f"{duration(_length_ns(own) / NANOSECONDS_PER_SECOND)} of samples"
    samples += " of simulated GPUs" if _is_simulated(own) else ""
    return f"Same {samples}, priced again" if runs == 1 else f"Same {runs} runs, {samples}, priced again"


def _narrowed(table: Sequence[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """Rows in which what a scenario changes goes on below itself where the line has no room for it."""
    others = sum(max(len(row[at]) for row in table) + len("  ") for at in range(len(table[0])) if at != _WHAT)
    found: list[tuple[str, ...]] = []
    for row in table:
        first, *more = folded("", row[_WHAT], width - others)
        found.append((*row[:_WHAT], first, *row[_WHAT + 1 :]))
        found += [("", line, *("" for _ in row[_WHAT + 1 :])) for line in more]
    return found


def _amount(each: Priced, step: Decimal, is_alone: bool) -> str:
    """The cost; with its currency where the table has several."""
    if each.unpriced:
        return _NONE
    if not is_alone:
        return money(each.whole.cost, each.currency, step)
    return f"{each.whole.cost.quantize(step, ROUND_HALF_EVEN):,}".replace("-", "−")


def _versus(own: Sequence[Priced], each: Priced) -> str:
    _, share = _difference(own, each)
    if share is None or any(each is one for one in own):
        return _NONE
    whole = share.quantize(Decimal(1), ROUND_HALF_EVEN)
    return f"{'−' if whole < 0 else '+' if whole > 0 else ''}{abs(whole)} %"


def _co2(each: Priced, is_heavy: bool) -> str:
    """Emissions in the one unit of the table."""
    if not each.has_energy:
        return _NONE
    grams = each.whole.emitted_micrograms / MICROGRAMS_PER_GRAM
    return f"{significant(grams / 1_000)} kg" if is_heavy else f"{significant(grams)} g"


def what_of(each: Priced) -> str:
    """The row's own text; of runs under their own rates what they paid: one price, or the lowest and the highest."""
    if each.scenario.drops_waiting:
        (hours,) = gpu_hours([waiting(each.runs).nanoseconds / NANOSECONDS_PER_SECOND])
        return f"{hours:,} GPU-h of {each.scenario.what}"
    if each.scenario.what:
        return each.scenario.what
    parts = [part for run in each.runs for part in run.parts]
    paid = {
        (tuple(component for component, _ in device.hourly), device.pays_electricity)
        for part in parts
        for rates in (part.first_rates, part.rates)
        if rates is not None
        for device in rates.devices.values()
    }
    if len(paid) != 1:
        return "its own prices"
    components, pays = next(iter(paid))
    spans = [span for part in parts for span in part.spread.gpus.values()]
    if not components or not spans:
        return "no price was known"
    low, high = (money(price, each.currency) for price in (min(s.low for s in spans), max(s.high for s in spans)))
    per_hour = low if low == high else f"{low} … {high}"
    how = "rental" if "rental" in components else "owned"
    return f"{how}, {per_hour}/GPU-h" + (" and electricity" if pays else "")


def _priced_by(own: Sequence[Priced], each: Priced) -> list[str]:
    """Where the prices of a row come from; of a scenario those that it replaced."""
    if each.unpriced:
        return []
    known = _origins(each)
    if any(each is one for one in own):
        said = [known[name] for name in ("cost.total", "carbon.intensity") if name in known]
    else:
        base = next((_origins(one) for one in own if one.currency == each.currency), {})
        names = [name for name in known if name.startswith(_SETTINGS) and known[name] != base.get(name)]
        said = list(dict.fromkeys(known[name] for name in names))
    text = "; ".join(f"{origin.word}, {origin.detail}" for origin in said)
    return [f"{each.scenario.name}: {text}"] if text else []


def _difference(own: Sequence[Priced], each: Priced) -> tuple[Decimal | None, Decimal | None]:
    """How much more a scenario costs than the runs did, and in percent of that."""
    base = next((one for one in own if one.currency == each.currency), None)
    if base is None or base.unpriced or each.unpriced:
        return None, None
    difference, cost = each.whole.cost - base.whole.cost, base.whole.cost
    return difference, difference * 100 / cost if cost > 0 else None


def _origins(each: Priced) -> dict[str, Origin]:
    """Where every figure comes from: over several runs the least certain; estimates where time itself is other."""
    found: dict[str, Origin] = {}
    for run in map(identified, each.runs):
        for name, origin in origins(run, run.totals.whole).items():
            if name not in found or certainty(origin) < certainty(found[name]):
                found[name] = origin
    if each.scenario.is_estimate:
        origin = Origin("estimated", _why_estimated(each.scenario))
        found |= {name: origin for name in _ESTIMATED if name in found}
    if not each.has_energy:
        found = {name: origin for name, origin in found.items() if not name.startswith(("energy.", "emissions."))}
    return dict(sorted(found.items()))


def _why_estimated(scenario: Scenario) -> str:
    if scenario.drops_waiting:
        return "not as measured: waiting for data removed"
    return "not as measured: idle time removed" if scenario.drops_idle else "longer by the interruptions"


def _is_simulated(own: Sequence[Priced]) -> bool:
    return any(part.header.simulated for each in own for run in each.runs for part in run.parts)


def _length_ns(own: Sequence[Priced]) -> int:
    return sum(_run_ns(run) for each in own for run in each.runs)


def _run_ns(run: Run) -> int:
    """From the first part's start to the last one's end; of a single part as long as it says it was."""
    if len(run.parts) == 1:
        return run.parts[0].length_ns
    starts = (part.header.anchor.utc(part.start_ns) for part in run.parts)
    return max(part.ended_utc_ns for part in run.parts) - min(starts)
