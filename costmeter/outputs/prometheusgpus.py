"""What the page of a run and the page of a node say in the same way: devices now, prices in force, the meter itself."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache

from costmeter import __version__
from costmeter.meter.activity import STATES, UNHELD
from costmeter.meter.charge import Rates
from costmeter.outputs.nodesnapshot import NodeSnapshot
from costmeter.outputs.prometheustext import Sheet, labels
from costmeter.outputs.ratedates import rate_dates
from costmeter.outputs.snapshot import Snapshot
from costmeter.readings import Missing
from costmeter.units import NANOSECONDS_PER_SECOND, watts_from_energy

Metered = Snapshot | NodeSnapshot
#: No other collector than the driver.
NONE_LOOKED: Mapping[str, int] = {}
#: The labels of each device by its UUID, as text.
Labels = Mapping[str, str]
#: Labels of runs that become labels of `run_info`: what people group by, and no name of which a page is full.
RUN_LABELS = ("experiment", "project", "team")
#: The labels of so many devices are made once and not at every scrape: of a large node, and of another one.
_GPUS_KEPT = 2_048


def gpu_labels(uuids: Iterable[str]) -> dict[str, str]:
    """The labels of every device."""
    return {uuid: _gpu_label(uuid) for uuid in uuids}


@lru_cache(_GPUS_KEPT)
def _gpu_label(uuid: str) -> str:
    return labels(gpu_uuid=uuid)


@lru_cache(_GPUS_KEPT)
def gpu_states(uuid: str) -> tuple[str, ...]:
    """The labels of a device in each of its states; the last is that of a node, in which nobody holds it."""
    return tuple(labels(gpu_uuid=uuid, state=state) for state in (*STATES, UNHELD))


def add_gauges(sheet: Sheet, snapshot: Metered, of: Labels) -> None:
    """Power, its limit, utilization and memory of every device that told them; what is missing is absent."""
    measured = (
        (uuid, i) for uuid, i in snapshot.seen.intervals.items() if i.method is not None and i.end_ns > i.start_ns
    )
    watts = [(of[uuid], watts_from_energy(i.microjoules, i.end_ns - i.start_ns)) for uuid, i in measured if uuid in of]
    sheet.add("gpu_power_watts", watts)
    limits = ((uuid, device.power_limit_watts) for uuid, device in snapshot.part.devices.items())
    known = [(of[uuid], limit) for uuid, limit in limits if not isinstance(limit, Missing)]
    sheet.add("gpu_power_limit_watts", known)
    ratios = ((uuid, interval.utilization_ratio) for uuid, interval in snapshot.seen.intervals.items() if uuid in of)
    sheet.add("gpu_utilization_ratio", [(of[uuid], ratio) for uuid, ratio in ratios if ratio is not None])
    sheet.add("gpu_memory_used_bytes", _memory(snapshot, of))


def _memory(snapshot: Metered, of: Labels) -> list[tuple[str, float]]:
    """What a device last said before it fell silent is not shown."""
    devices, silent = snapshot.part.devices, snapshot.seen.silent
    rows: list[tuple[str, float]] = []
    for uuid, reading in snapshot.seen.slow.items():
        used, board = reading.memory_used_bytes, devices[uuid].board if uuid in devices else uuid
        if not isinstance(used, Missing) and uuid in of and board not in silent:
            rows.append((of[uuid], float(used)))
    return rows


def add_rates(sheet: Sheet, rates: Rates | None, of: Labels) -> None:
    """The prices in force. A GPU whose price nobody knows has none; electricity that nobody pays for has none."""
    if rates is None:
        return
    sums = {hourly: float(sum((price for _, price in hourly), Decimal(0))) for hourly in _hourly(rates)}
    rows = [(of[uuid], sums[each.hourly]) for uuid, each in rates.devices.items() if each.hourly and uuid in of]
    sheet.add("gpu_price_{currency}_per_hour", rows)
    if any(device.pays_electricity for device in rates.devices.values()):
        sheet.add("electricity_price_{currency}_per_kwh", [("", float(rates.electricity_per_kwh))])
    sheet.add("carbon_intensity_grams_per_kwh", [("", float(rates.carbon_grams_per_kwh))])
    sheet.add("pue_ratio", [("", float(rates.pue))])


def _hourly(rates: Rates) -> set[tuple[tuple[str, Decimal], ...]]:
    return {device.hourly for device in rates.devices.values()}


def components(rates: Rates | None) -> set[str]:
    """Every component there can be under these rates, for each to stand at 0 before it is first charged."""
    if rates is None:
        return set()
    hourly = {component for each in _hourly(rates) for component, _ in each}
    pays = any(device.pays_electricity for device in rates.devices.values())
    return hourly | {"electricity"} if pays else hourly


def add_health(
    sheet: Sheet, snapshot: Metered, collectors: Mapping[str, bool], took_ns: Mapping[str, int] = NONE_LOOKED
) -> None:
    """Whether readings come, whether the other collectors work and how long they take, and the journal."""
    source = "simulated" if snapshot.part.header.simulated else "nvml"
    counts = {"ok": snapshot.seen.readings, "failed": snapshot.seen.failures}
    sheet.add("readings", [(labels(source=source, result=result), float(n)) for result, n in counts.items()])
    if snapshot.seen.last_answer_utc_ns is not None:
        at_seconds = snapshot.seen.last_answer_utc_ns / NANOSECONDS_PER_SECOND
        sheet.add("last_reading_timestamp_seconds", [(labels(collector=source), at_seconds)])
    answered = bool(snapshot.seen.intervals) and not snapshot.seen.silent
    worked = {**collectors, source: answered}
    rows = [(labels(collector=name), float(works)) for name, works in sorted(worked.items())]
    sheet.add("collector_success", rows)
    times = {**took_ns, **({} if snapshot.seen.took_ns is None else {source: snapshot.seen.took_ns})}
    named = [(labels(collector=name), ns / NANOSECONDS_PER_SECOND) for name, ns in sorted(times.items())]
    sheet.add("collector_duration_seconds", named)
    sheet.add("journal_writable", [("", float(snapshot.journal_writable))])


def add_facts(sheet: Sheet, snapshot: Metered) -> None:
    """Version and devices."""
    sheet.add_info("build", [labels(version=__version__)])
    sheet.add_info("gpu", [_gpu_facts(uuid, snapshot) for uuid in snapshot.part.devices])


def add_origins(sheet: Sheet, rates: Rates | None) -> None:
    """Where each rate comes from, and of what day it is."""
    if rates is not None:
        sheet.add_info("rates", [labels(setting=name, origin=each.word) for name, each in rates.origins.items()])
        dates = rate_dates(rates.origins)
        sheet.add("rates_timestamp_seconds", [(labels(setting=name), at) for name, at in dates.items()])


def _gpu_facts(uuid: str, snapshot: Metered) -> str:
    device, interval = snapshot.part.devices[uuid], snapshot.seen.intervals.get(uuid)
    method = device.method if interval is None or interval.method is None else interval.method
    source = "none" if isinstance(method, Missing) else method
    return _gpu_info(uuid, device.index, device.name, device.pci_bus_id, source)


@lru_cache(_GPUS_KEPT)
def _gpu_info(uuid: str, index: int, model: str, pci_bus_id: str, energy_source: str) -> str:
    return labels(gpu_uuid=uuid, index=str(index), model=model, pci_bus_id=pci_bus_id, energy_source=energy_source)
