"""The receipt as data: the public JSON contract `costmeter.receipt/1`, folded from a run's journal and nothing else.

Money is text, because binary floats cannot hold it. Joules, grams and seconds are numbers, rendered from integers.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from costmeter import __version__
from costmeter.ledger.query import Part, Run
from costmeter.meter.band import BANDS, SENSOR_GAIN, band, found
from costmeter.meter.charge import Origin, Rates
from costmeter.meter.totals import DeviceTotals, by_component, by_state, net
from costmeter.outputs.gpus import shown_order
from costmeter.outputs.identified import identified
from costmeter.readings import Device, Mig
from costmeter.units import (
    MICROGRAMS_PER_GRAM,
    MICROJOULES_PER_JOULE,
    MICROJOULES_PER_KWH,
    NANOSECONDS_PER_SECOND,
)

SCHEMA = "costmeter.receipt/1"

#: Outcomes from worst to best; a run over several parts has the worst of its parts' last.
_WORST_FIRST = ("failed", "stopped by budget", "preempted", "cancelled", "interrupted", "running", "ok")


def receipt(run: Run, running: bool = False) -> dict[str, Any]:
    """The receipt of a run. `running` says that its meter still lives, so the last part is not interrupted.

    Its parts are of one currency, because money of two is never added: `Run.by_currency` takes them apart.
    """
    (currency,) = {part.currency for part in run.parts}
    run = identified(run)
    whole = run.totals.whole
    origins = sorted(_origins(run, whole).items())
    amounts = net(whole.charges, whole.credits)
    quantities = whole.quantities
    return {
        "schema": SCHEMA,
        "simulated": any(part.header.simulated for part in run.parts),
        "currency": currency,
        "run": _run(run, running),
        "cost": {
            "total": plain(sum(amounts.values(), Decimal(0))),
            "components": {name: plain(amount) for name, amount in by_component(amounts).items()},
            "states": {name: plain(amount) for name, amount in by_state(amounts).items()},
            "phases": {},
        },
        "energy": _energy(whole),
        "emissions": {
            "total_grams": _grams(whole.operational_micrograms + whole.embodied_micrograms),
            "operational_grams": _grams(whole.operational_micrograms),
            "embodied_grams": _grams(whole.embodied_micrograms),
        },
        "gpu_seconds": {
            "busy": _seconds(quantities.busy_nanoseconds),
            "idle": _seconds(quantities.idle_nanoseconds),
            "unknown": _seconds(quantities.unknown_nanoseconds),
        },
        "unmeasured_gpu_seconds": _seconds(quantities.unknown_energy_nanoseconds),
        "idle_reasons": {},
        "devices": _devices(run),
        "progress": {"steps": None, "tokens": None, "cost_per_step": None, "cost_per_million_tokens": None},
        "budget": None,
        "provenance": {name: origin.word for name, origin in origins},
        "origins": {name: origin.detail for name, origin in origins},
        "rates": _rates(run),
        "meter": _meter(run),
    }


def _run(run: Run, running: bool) -> dict[str, Any]:
    first, last = run.parts[0], run.parts[-1]
    header = first.header
    started_ns = min(part.header.anchor.utc(_start_ns(part)) for part in run.parts)
    ended_ns = max(part.ended_utc_ns for part in run.parts)
    footer = _worst(run, running).footer
    length_ns = ended_ns - started_ns
    if last.footer and len(run.parts) == 1:  # no clock was set meanwhile that this could see
        length_ns = last.footer.length_ns + header.start_ns - _start_ns(last)
    return {
        "id": header.run,
        "name": header.name,
        "labels": dict(header.labels),
        "command": None if header.command is None else list(header.command),
        "outcome": _outcome(_worst(run, running), running),
        "exit_code": footer.exit_code if footer else None,
        "signal": footer.signal if footer else None,
        "started_at": timestamp(started_ns),
        "ended_at": timestamp(ended_ns),
        "seconds": _seconds(length_ns),
        "hosts": list(dict.fromkeys(part.header.host for part in run.parts)),
    }


def _start_ns(part: Part) -> int:
    """From when a part counts: its spawn, or earlier where it went on from a meter that was killed."""
    return min([part.header.start_ns, *part.since_ns.values()])


def _worst(run: Run, running: bool) -> Part:
    """The part that says how the run ended: of every host's last, the first of the worst."""
    lasts = {part.header.host: part for part in run.parts}
    return min(lasts.values(), key=lambda part: _WORST_FIRST.index(_outcome(part, running)))


def _outcome(part: Part, running: bool) -> str:
    if part.footer is None:
        return "running" if running else "interrupted"
    return part.footer.outcome


def _energy(whole: DeviceTotals) -> dict[str, Any]:
    quantities = whole.quantities
    gpu_uj = quantities.microjoules
    total_uj = gpu_uj + whole.quantities.host_microjoules + whole.overhead_microjoules
    by_method = found(quantities)
    return {
        "total_joules": _joules(total_uj),
        "gpu_joules": _joules(gpu_uj),
        "host_joules": _joules(whole.quantities.host_microjoules),
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


def _origins(run: Run, whole: DeviceTotals) -> Mapping[str, Origin]:
    """Where every figure comes from: settings by their own names, figures by their place in this receipt."""
    rates = _all_rates(run)
    if not rates:
        return {"cost.total": Origin("estimated", f"nothing was metered: {_why_nothing(run)}")}
    origins = _settings(rates)
    quantities = whole.quantities
    is_measured = quantities.counter_microjoules + quantities.power_microjoules > 0
    origins["gpu_seconds"] = Origin("measured", "time held, spawn to exit")
    origins["energy.gpu_joules"] = Origin("measured" if is_measured else "estimated", _method_detail(whole))
    for figure, setting in _FIGURE_OF_SETTING.items():
        of_devices = [origin for name, origin in origins.items() if name.startswith(f"{setting}.")]
        if setting in origins:
            origins[figure] = origins[setting]
        elif of_devices:
            origins[figure] = _least_certain(of_devices, f"differs by GPU, see {setting}.<uuid>")
    return origins


def _why_nothing(run: Run) -> str:
    """Why no part of a run has rates."""
    if any(part.devices for part in run.parts):
        return "its journal has no readable rates"
    node_gpus = {part.header.host: part.node_gpus for part in run.parts if part.node_gpus}
    if node_gpus:
        whose, count = "node's" if len(node_gpus) == 1 else "nodes'", sum(node_gpus.values())
        return f"the run held none of the {whose} {count} GPU{'' if count == 1 else 's'}"
    faults = (mark.what for part in run.parts for mark in part.marks if mark.kind == "fault")
    return next(faults, "no GPU was found")


def _settings(rates: Sequence[Rates]) -> dict[str, Origin]:
    """Where every setting comes from, over all parts: by GPU where GPUs differ, and said so where parts do."""
    origins: dict[str, Origin] = {}
    for name in dict.fromkeys(name for each in rates for name in each.origins):
        asked = (_charging(rates) or rates) if name == "electricity.price" else rates
        said = list(dict.fromkeys(each.origins[name] for each in asked if name in each.origins))
        if said and not name.startswith(_SETTINGS_OF_GPUS):
            details = " / ".join(dict.fromkeys(origin.detail for origin in said))
            origins[name] = said[0] if len(said) == 1 else _least_certain(said, f"differs by part: {details}")
    for setting in _SETTINGS_OF_GPUS:
        origins |= _by_gpu(setting, _in_force(rates))
    return origins


def _by_gpu(setting: str, in_force: Mapping[str, Rates]) -> dict[str, Origin]:
    """One origin under the setting's name where all GPUs share it, else one per GPU with its UUID after the name."""
    found = {uuid: each.origins.get(f"{setting}.{uuid}", each.origins.get(setting)) for uuid, each in in_force.items()}
    distinct = set(found.values())
    return {
        setting if len(distinct) == 1 else f"{setting}.{uuid}": origin
        for uuid, origin in found.items()
        if origin is not None
    }


def _least_certain(origins: Sequence[Origin], detail: str) -> Origin:
    """One origin for a figure that several make: none of its parts is less certain than it says."""
    return Origin(min((origin.word for origin in origins), key=lambda word: _LEAST_CERTAIN_FIRST.get(word, 1)), detail)


#: A list price, whose word carries a date, comes between.
_LEAST_CERTAIN_FIRST = {"estimated": 0, "configured": 2, "measured": 3}
#: What each GPU may have of its own.
_SETTINGS_OF_GPUS = ("gpu.price", "carbon.embodied")
_FIGURE_OF_SETTING = {
    "cost.total": "gpu.price",
    "energy.host_joules": "host.power",
    "energy.overhead_joules": "electricity.pue",
    "emissions.operational_grams": "carbon.intensity",
    "emissions.embodied_grams": "carbon.embodied",
}


def _method_detail(whole: DeviceTotals) -> str:
    """How the GPUs' energy was found, and by how much it may be off: by the method, and by the sensor on top."""
    by_method, within = found(whole.quantities), band(whole.quantities)
    if within is None:
        return "no energy was read"
    total_uj = sum(by_method.values())
    shown = {method: uj / total_uj for method, uj in by_method.items() if uj / total_uj >= _SHOWN_FROM}
    names = [f"{method} {100 * share:.1f} %" for method, share in shown.items()]
    how = next(iter(shown)) if len(shown) == 1 else f"{', '.join(names)}:"
    if how == "estimated":
        return f"±{_percent(within)} %"
    return f"{how} ±{_percent(within)} %, sensor ±{_percent(SENSOR_GAIN)} % on top"


#: A method with less of the energy would read as 0.0 %.
_SHOWN_FROM = 0.0005


def _percent(share: float) -> str:
    """Two digits of a percentage: 1, 1.7, 23."""
    return f"{100 * share:.2g}"


def _rates(run: Run) -> dict[str, Any] | None:
    """The rates last in force for each GPU of any part, so that a receipt says what it was priced with."""
    rates = _all_rates(run)
    if not rates:
        return None
    devices = {uuid: each.devices[uuid] for uuid, each in _in_force(rates).items()}
    last = rates[-1]
    return {
        "gpu_per_hour": {
            uuid: {component: plain(per_hour) for component, per_hour in device.hourly}
            for uuid, device in devices.items()
        },
        "electricity_per_kwh": plain((_charging(rates) or rates)[-1].electricity_per_kwh),
        "electricity_charged": any(device.pays_electricity for device in devices.values()),
        "pue": plain(last.pue),
        "carbon_grams_per_kwh": plain(last.carbon_grams_per_kwh),
        "changed_during_run": any(part.prices_changed for part in run.parts) or _differ(rates),
    }


def _all_rates(run: Run) -> list[Rates]:
    """The last rates of every part that has any, in order of the parts."""
    return [part.rates for part in run.parts if part.rates is not None]


def _in_force(rates: Sequence[Rates]) -> dict[str, Rates]:
    """For each GPU the last rates that price it; where none does, the last that name it."""
    chosen: dict[str, Rates] = {}
    for each in rates:
        for uuid, device in each.devices.items():
            if device.hourly or uuid not in chosen or not chosen[uuid].devices[uuid].hourly:
                chosen[uuid] = each
    return chosen


def _charging(rates: Sequence[Rates]) -> list[Rates]:
    """The rates under which electricity is paid for; in all others its price charges nothing."""
    return [each for each in rates if any(device.pays_electricity for device in each.devices.values())]


def _differ(rates: Sequence[Rates]) -> bool:
    """Whether parts were priced differently: one GPU, or what all GPUs share."""
    of_gpus = {(uuid, gpu.hourly, gpu.pays_electricity) for each in rates for uuid, gpu in each.devices.items()}
    shared = {(each.pue, each.carbon_grams_per_kwh) for each in rates}
    electricity = {each.electricity_per_kwh for each in _charging(rates)}
    return len(of_gpus) > len(_in_force(rates)) or len(shared) > 1 or len(electricity) > 1


def _meter(run: Run) -> dict[str, Any]:
    footers = [part.footer for part in run.parts if part.footer]
    faults = [
        {"at": timestamp(mark.at_utc_ns), "device": mark.device or None, "what": mark.what}
        for part in run.parts
        for mark in part.marks
    ]
    return {
        "version": __version__,
        "cpu_seconds": _seconds(sum(footer.cpu_ns for footer in footers)),
        "readings": sum(footer.readings for footer in footers),
        "faults": faults,
        "faults_dropped": sum(part.marks_dropped for part in run.parts),
        "journal_problems": [problem for part in run.parts for problem in part.problems],
    }


def plain(amount: Decimal) -> str:
    """A decimal as text without an exponent, which few other programs read."""
    return format(amount, "f")


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
