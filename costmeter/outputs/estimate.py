"""Plans of a run as data, the public JSON contract `costmeter.estimate/1`, and as text."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from costmeter.outputs.columns import columns, folded
from costmeter.outputs.figures import carbon, energy, money, significant
from costmeter.planning.estimate import Estimate
from costmeter.planning.plan import BUSY_SHARE, Plan

SCHEMA = "costmeter.estimate/1"
_LONGEST_IN_HOURS = 48
_FIGURES = frozenset({1, 2, 3})


def as_json(planned: Plan) -> dict[str, Any]:
    """The plan as scripts read it: the figures of one run, then of all runs, then with the reserve. Money is text."""
    work, power, even = planned.work, planned.power, planned.break_even
    return {
        "schema": SCHEMA,
        **_figures(planned.one_run),
        "currency": planned.currency,
        "hours": _float(work.hours),
        "flops": _float(work.flops),
        "gpus": work.gpus,
        "power_kw": _float(power.facility_kw * work.gpus if power and work.gpus else None),
        "runs": planned.runs,
        "buffer": float(planned.buffer),
        "all_runs": _figures(planned.all_runs),
        "with_buffer": _figures(planned.with_buffer),
        "break_even": None
        if even is None
        else {
            "purchase_per_gpu": f"{even.purchase:f}",
            "busy_hours": float(even.busy_hours),
            "months_nonstop": float(even.months_nonstop),
            "years_at_70_percent_use": float(even.years_at(BUSY_SHARE)),
        },
        "assumptions": [{"name": one.name, "value": one.value, "origin": one.origin} for one in planned.assumptions],
    }


def _figures(estimate: Estimate) -> dict[str, Any]:
    components = estimate.components
    return {
        "cost": None if estimate.cost is None else _amount(estimate.cost),
        "components": None if components is None else {name: _amount(amount) for name, amount in components},
        "energy_kwh": _float(estimate.energy_kwh),
        "emissions_grams": _float(estimate.emissions_grams),
        "embodied_grams": _float(estimate.embodied_grams),
        "gpu_hours": float(estimate.gpu_hours),
    }


def _amount(amount: Decimal) -> str:
    """Money as text, to 1e-12 of its currency as everywhere."""
    text = f"{amount:.12f}".rstrip("0")
    return text.rstrip(".") if "." in text else text


def _float(number: Decimal | None) -> float | None:
    return None if number is None else float(number)


def as_text(planned: Plan, width: int) -> list[str]:
    """The plan as people read it, in lines of this width where its table allows it."""
    one = planned.one_run
    rows = [_row("one run", one, planned.currency, _length(planned))]
    if planned.runs > 1:
        rows.append(_row(f"{planned.runs} runs", planned.all_runs, planned.currency))
    if planned.buffer:
        rows.append(_row(f"+ {float(planned.buffer * 100):g} % buffer", planned.with_buffer, planned.currency))
    lines = columns(rows, _FIGURES)
    if one.embodied_grams:
        shown = carbon(float(one.embodied_grams))
        lines += folded("Making the GPUs: ", f"{shown} more for one run, spread over their life.", width)
    lines += (line for text in _rent_or_buy(planned) for line in folded("Buy instead? ", text, width))
    names = max(len(each.name) for each in planned.assumptions)
    lines.append("Assumed:")
    for each in planned.assumptions:
        lines += folded(f"  {each.name:<{names}}  ", f"{each.value} – {each.origin}", width)
    return lines


def _row(name: str, estimate: Estimate, currency: str, after: str = "") -> tuple[str, ...]:
    cost = "not known" if estimate.cost is None else money(estimate.cost, currency)
    kwh = "no energy" if estimate.energy_kwh is None else energy(float(estimate.energy_kwh))
    grams = "" if estimate.emissions_grams is None else carbon(float(estimate.emissions_grams))
    return name, cost, kwh, grams, after


def _length(planned: Plan) -> str:
    """How long one run takes, or how many GPU-hours where nobody said on how many GPUs."""
    work = planned.work
    if work.hours is None or work.gpus is None:
        return f"{significant(float(work.gpu_hours), 4)} GPU-h"
    hours = float(work.hours)
    shown = f"{significant(hours)} h" if hours < _LONGEST_IN_HOURS else f"{significant(hours / 24)} days"
    return f"{shown} on {work.gpus:,} GPU{'s' if work.gpus > 1 else ''}"


def _rent_or_buy(planned: Plan) -> Iterator[str]:
    even = planned.break_even
    if even is None:
        if planned.no_break_even:
            yield f"{planned.no_break_even}."
        return
    price = money(even.purchase, planned.currency, Decimal(1))
    bought = f"{planned.work.gpus} × {price} is" if planned.work.gpus else f"{price} a GPU is"
    months, years = float(even.months_nonstop), float(even.years_at(BUSY_SHARE))
    yield (
        f"{bought} even after {even.busy_hours:,.0f} busy hours: {significant(months, 2)} months nonstop, "
        f"{significant(years, 2)} years at {BUSY_SHARE:.0%} use.".replace("%", " %")
    )
