"""The receipt as data: the public JSON contract `costmeter.receipt/1`, folded from a run's journal and nothing else.

Money is text, because binary floats cannot hold it. Joules, grams and seconds are numbers, rendered from integers.
"""

from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from costmeter import __version__
from costmeter.ledger.ending import Ending, Lost, run_ending, run_lost
from costmeter.ledger.query import Part, Run
from costmeter.meter.band import BANDS, band, found
from costmeter.meter.charge import Amounts
from costmeter.meter.projection import Projection
from costmeter.meter.slot import Quantities
from costmeter.meter.totals import DeviceTotals, by_component, by_state, net
from costmeter.outputs.budget import budget_of, budget_rows
from costmeter.outputs.figures import plain
from costmeter.outputs.gpus import shown_order
from costmeter.outputs.identified import identified
from costmeter.outputs.idlereasons import idle_of
from costmeter.outputs.inforce import has_market, rates_in_force
from costmeter.outputs.items import full, item_rows, items_of
from costmeter.outputs.phases import phase_rows, phases_of
from costmeter.outputs.progress import part_number, progress_of
from costmeter.outputs.provenance import origins
from costmeter.outputs.sunk import last_checkpoint_utc_ns, sunk_of
from costmeter.readings import Device, Mig
from costmeter.units import (
    MICROGRAMS_PER_GRAM,
    MICROJOULES_PER_JOULE,
    MICROJOULES_PER_KWH,
    NANOSECONDS_PER_SECOND,
)

SCHEMA = "costmeter.receipt/1"
#: What a run that no meter saw says, among its versions, that it was made from.
_IMPORTED = "imported"


def _nobody(_: Part) -> bool:
    return False


def receipt(
    run: Run,
    is_live: Callable[[Part], bool] = _nobody,
    with_full_cost: bool = False,
    projection: Projection | None = None,
) -> dict[str, Any]:
    """The receipt of a run. `is_live` says which meters still live: a part without an end is then not interrupted.

    Line items stand beside the cost; `with_full_cost` adds them up with it, in a figure of its own. `projection` is
    where a run that still goes on is going to end.

    Its parts are of one currency, because money of two is never added: `Run.by_currency` takes them apart.
    """
    (currency,) = {part.currency for part in run.parts}
    run = identified(run)
    whole = run.totals.whole
    ended, lost = run_ending(run, is_live), run_lost(run, is_live)
    amounts, items, phases = net(whole.charges, whole.credits), items_of(run), phases_of(run)
    total = sum(amounts.values(), Decimal(0))
    return {
        "schema": SCHEMA,
        "simulated": any(part.header.simulated for part in run.parts),
        "currency": currency,
        "run": _run(run, ended),
        "cost": _cost(amounts) | {"phases": {name: plain(use.cost) for name, use in phases.items()}},
        "phases": phase_rows(phases),
        "energy": _energy(whole),
        "emissions": _emissions(whole, has_market(run)),
        **_time(run, whole),
        "devices": _devices(run),
        "progress": progress_of(run, total, projection),
        "sunk": _sunk(run, ended, lost),
        "budget": budget_of(run),
        "budgets": budget_rows(run),
        "items": item_rows(items),
        "full_cost": full(total, items) if with_full_cost else None,
        **_origins(run, whole, lost),
        "rates": rates_in_force(run),
        "meter": _meter(run),
    }


def _cost(amounts: Amounts) -> dict[str, Any]:
    return {
        "total": plain(sum(amounts.values(), Decimal(0))),
        "components": {name: plain(amount) for name, amount in by_component(amounts).items()},
        "states": {name: plain(amount) for name, amount in by_state(amounts).items()},
    }


def _emissions(whole: DeviceTotals, has_market: bool) -> dict[str, Any]:
    return {
        "total_grams": _grams(whole.emitted_micrograms),
        "operational_grams": _grams(whole.operational_micrograms),
        "embodied_grams": _grams(whole.embodied_micrograms),
        "market_grams": _grams(whole.market_micrograms) if has_market else None,
    }


def _time(run: Run, whole: DeviceTotals) -> dict[str, Any]:
    """GPU time by state, and why what was idle of it was."""
    quantities, idle = whole.quantities, idle_of(run, whole)
    return {
        "gpu_seconds": _gpu_seconds(quantities),
        "unmeasured_gpu_seconds": _seconds(quantities.unknown_energy_nanoseconds),
        "idle_reasons": {reason: _seconds(use.nanoseconds) for reason, use in idle.items()},
        "idle_costs": {reason: plain(use.cost) for reason, use in idle.items()},
    }


def _origins(run: Run, whole: DeviceTotals, lost: Lost | None) -> dict[str, Any]:
    """Where every figure comes from, in a word and in detail."""
    known = sorted(origins(run, whole, lost).items())
    return {
        "provenance": {name: origin.word for name, origin in known},
        "origins": {name: origin.detail for name, origin in known},
    }


def _gpu_seconds(quantities: Quantities) -> dict[str, float]:
    return {
        "busy": _seconds(quantities.busy_nanoseconds),
        "idle": _seconds(quantities.idle_nanoseconds),
        "unknown": _seconds(quantities.unknown_nanoseconds),
    }


def _run(run: Run, ended: Ending) -> dict[str, Any]:
    header = run.parts[0].header
    return {
        "id": header.run,
        "part": part_number(run),
        "imported": header.versions.get(_IMPORTED),
        "name": header.name,
        "labels": dict(header.labels),
        "command": None if header.command is None else list(header.command),
        "outcome": ended.outcome,
        "exit_code": ended.exit_code,
        "signal": ended.signal,
        "started_at": timestamp(ended.started_utc_ns),
        "ended_at": timestamp(ended.ended_utc_ns),
        "seconds": _seconds(ended.length_ns),
        "hosts": list(dict.fromkeys(part.header.host for part in run.parts)),
    }


def _sunk(run: Run, ended: Ending, lost: Lost | None) -> dict[str, Any]:
    saved_utc_ns = last_checkpoint_utc_ns(run)
    saved_at = None if saved_utc_ns is None else timestamp(saved_utc_ns)
    return sunk_of(run, ended.outcome, lost) | {"last_checkpoint_at": saved_at}


def _energy(whole: DeviceTotals) -> dict[str, Any]:
    quantities = whole.quantities
    total_uj = whole.facility_microjoules
    by_method = found(quantities)
    return {
        "total_joules": _joules(total_uj),
        "gpu_joules": _joules(quantities.microjoules),
        "host_joules": _joules(quantities.host_microjoules),
        "overhead_joules": _joules(whole.overhead_microjoules),
        "total_kwh": total_uj / MICROJOULES_PER_KWH,
        "methods": {method: _joules(uj) for method, uj in by_method.items()},
        "bands": {method: BANDS[method] for method in by_method},
        "band": band(quantities),
    }


def _devices(run: Run) -> list[dict[str, Any]]:
    known: dict[str, Device] = {}
    for part in run.parts:
        known |= part.devices
    booked = run.totals.devices
    return [_device(each, booked.get(each.uuid, DeviceTotals())) for each in sorted(known.values(), key=shown_order)]


def _device(device: Device, totals: DeviceTotals) -> dict[str, Any]:
    quantities = totals.quantities
    by_method = found(quantities)
    return {
        "uuid": device.uuid,
        "index": device.index,
        "name": device.name,
        "scope": device.scope,
        "mig": None if device.mig is None else _slices(device.mig),
        "joules": _joules(quantities.microjoules),
        "method": max(by_method, key=lambda method: by_method[method], default=None),
        "seconds": _seconds(quantities.nanoseconds),
        "unmeasured_seconds": _seconds(quantities.unknown_energy_nanoseconds),
        "mean_utilization": quantities.mean_utilization,
        "cost": plain(totals.cost),
    }


def _slices(mig: Mig) -> dict[str, Any]:
    return {"board": mig.board, "slices": mig.width, "of": mig.slices, "split": mig.split}


def _meter(run: Run) -> dict[str, Any]:
    footers = [part.footer for part in run.parts if part.footer]
    faults = [
        {"at": timestamp(mark.at_utc_ns), "kind": mark.kind, "device": mark.device or None, "what": mark.what}
        for part in run.parts
        for mark in part.marks
    ]
    return {
        "version": __version__,
        "kind": "agent" if all(part.header.meter == "agent" for part in run.parts) else "wrapper",
        "cpu_seconds": _seconds(sum(footer.cpu_ns for footer in footers)),
        "readings": sum(footer.readings for footer in footers),
        "faults": faults,
        "faults_dropped": sum(part.marks_dropped for part in run.parts),
        "journal_problems": [problem for part in run.parts for problem in (*part.problems, *part.remarks)],
    }


def timestamp(utc_ns: int) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(utc_ns // NANOSECONDS_PER_SECOND, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{utc_ns // 1_000_000 % 1000:03d}Z"


def _seconds(nanoseconds: int) -> float:
    return nanoseconds / NANOSECONDS_PER_SECOND


def _joules(microjoules: int) -> float:
    return microjoules / MICROJOULES_PER_JOULE


def _grams(micrograms: int) -> float:
    return micrograms / MICROGRAMS_PER_GRAM
