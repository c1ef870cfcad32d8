"""Where every figure of a receipt comes from: measured, estimated, configured or list price, and what more is known."""

from collections.abc import Mapping, Sequence

from costmeter.ledger.ending import Lost
from costmeter.ledger.query import Run
from costmeter.ledger.spread import certainty
from costmeter.meter.band import SENSOR_GAIN, band, found
from costmeter.meter.charge import Origin, Rates
from costmeter.meter.totals import DeviceTotals
from costmeter.outputs.idlereasons import idle_origins
from costmeter.outputs.inforce import all_rates, charging, in_force
from costmeter.outputs.sunk import TOLD_BY_JOB, sunk_origins


def origins(run: Run, whole: DeviceTotals, lost: Lost | None = None) -> Mapping[str, Origin]:
    """Where every figure comes from: settings by their own names, figures by their place in this receipt.

    `lost` is what the run cost since its last checkpoint, where it told of one.
    """
    rates = all_rates(run)
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
    return origins | _told(run) | idle_origins(run) | sunk_origins(run, lost)


def _told(run: Run) -> dict[str, Origin]:
    """What rests on the word of the job: phases, progress, and the unit costs that follow from it."""
    origins = {}
    if any(part.phases for part in run.parts):
        origins["cost.phases"] = Origin("measured", f"phases {TOLD_BY_JOB}")
    if any(part.progress for part in run.parts):
        origins["progress"] = Origin("measured", TOLD_BY_JOB)
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
        asked = (charging(rates) or rates) if name == "electricity.price" else rates
        said = list(dict.fromkeys(each.origins[name] for each in asked if name in each.origins))
        if said and not name.startswith(_SETTINGS_OF_GPUS):
            details = " / ".join(dict.fromkeys(origin.detail for origin in said))
            origins[name] = said[0] if len(said) == 1 else _least_certain(said, f"differs by part: {details}")
    for setting in _SETTINGS_OF_GPUS:
        origins |= _by_gpu(setting, in_force(rates))
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
    return Origin(min(origins, key=certainty).word, detail)


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
