"""A snapshot as a Prometheus page. Reading it changes nothing: every value is computed from the frozen snapshot."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from costmeter import __version__
from costmeter.meter.activity import STATES
from costmeter.meter.charge import Amounts, Rates
from costmeter.meter.item_totals import item_totals
from costmeter.meter.progress import START_UP
from costmeter.meter.slot import Quantities
from costmeter.meter.totals import DeviceTotals, by_state
from costmeter.outputs.families import FAMILIES
from costmeter.outputs.snapshot import Snapshot
from costmeter.readings import Missing
from costmeter.units import (
    MICROGRAMS_PER_GRAM,
    MICROJOULES_PER_KWH,
    NANOSECONDS_PER_SECOND,
    watts_from_energy,
)

_LABEL_CHARACTERS = 256
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_]")

Rows = Iterable[tuple[tuple[str, ...], float]]


def page(snapshot: Snapshot, accept: str = "") -> tuple[bytes, str]:
    """The metrics page and its content type, in the format the `Accept` header prefers."""
    try:
        encode, content_type = choose_encoder(accept)
    except Exception:  # the library's parser of the header raises whatever it stumbles over
        encode, content_type = choose_encoder("")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(snapshot))
    return encode(registry), content_type


class _Page(Collector):
    """One snapshot's families, in the order of `FAMILIES`. A value that is missing is an absent series."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._header = snapshot.part.header
        self._run = (self._header.run, self._header.host, self._header.meter)
        self._currency = self._header.currency.lower()
        self._totals = snapshot.totals
        self._whole = self._totals.whole

    def collect(self) -> Iterator[Metric]:
        """Every family of the page."""
        yield from self._gpu_counters()
        yield from self._gpu_gauges()
        yield from self._run_counters()
        yield from self._progress()
        yield self._family("run_start_timestamp_seconds", [(self._run, self._started_seconds())])
        yield self._family("run_active", [(self._run, float(self._snapshot.part.footer is None))])
        yield from self._rates()
        yield from self._health()
        yield from self._infos()

    def _family(self, name: str, rows: Rows) -> Metric:
        described = FAMILIES[name]
        full_name = "costmeter_" + name.format(currency=self._currency)
        kind = CounterMetricFamily if described.kind == "counter" else GaugeMetricFamily
        family = kind(full_name, described.help, labels=described.labels)
        for labels, value in rows:
            family.add_metric([_fit(label) for label in labels], value)
        return family

    def _info(self, name: str, rows: Iterable[dict[str, str]]) -> Metric:
        family = InfoMetricFamily(f"costmeter_{name}", FAMILIES[name].help)
        for row in rows:
            family.add_metric([], {name: _fit(value) for name, value in row.items()})
        return family

    def _gpu_counters(self) -> Iterator[Metric]:
        booked = self._totals.devices
        devices = {uuid: booked.get(uuid, DeviceTotals()) for uuid in self._snapshot.part.devices}  # 0 before the first
        yield self._family("gpu_energy_kwh", _by_state(devices.items(), _energy_kwh))
        yield self._family("gpu_cost_{currency}", _by_state(devices.items(), _charges))
        yield self._family("gpu_time_seconds", _by_state(devices.items(), _held_seconds))
        yield self._family("gpu_emissions_grams", [((uuid,), _grams(d)) for uuid, d in devices.items()])
        if any(totals.credits for totals in devices.values()):
            yield self._family("gpu_credit_{currency}", _by_state(devices.items(), _credits))
        rows = [((uuid,), d.quantities.unmeasured_nanoseconds / NANOSECONDS_PER_SECOND) for uuid, d in devices.items()]
        yield self._family("unmeasured_seconds", rows)
        resets = self._snapshot.resets
        yield self._family("energy_resets", [((uuid,), float(resets.get(uuid, 0))) for uuid in devices])

    def _gpu_gauges(self) -> Iterator[Metric]:
        snapshot = self._snapshot
        measured = {uuid: i for uuid, i in snapshot.intervals.items() if i.method is not None and i.end_ns > i.start_ns}
        watts = [((uuid,), watts_from_energy(i.microjoules, i.end_ns - i.start_ns)) for uuid, i in measured.items()]
        yield self._family("gpu_power_watts", watts)
        limits = ((uuid, device.power_limit_watts) for uuid, device in snapshot.part.devices.items())
        known = [((uuid,), limit) for uuid, limit in limits if not isinstance(limit, Missing)]
        yield self._family("gpu_power_limit_watts", known)
        ratios = ((uuid, interval.utilization_ratio) for uuid, interval in snapshot.intervals.items())
        yield self._family("gpu_utilization_ratio", [((uuid,), ratio) for uuid, ratio in ratios if ratio is not None])
        answered = ((uuid, reading) for uuid, reading in snapshot.slow.items() if not self._is_silent(uuid))
        used = ((uuid, reading.memory_used_bytes) for uuid, reading in answered)
        known = [((uuid,), float(memory)) for uuid, memory in used if not isinstance(memory, Missing)]
        yield self._family("gpu_memory_used_bytes", known)

    def _is_silent(self, uuid: str) -> bool:
        """Whether a device's board did not answer when it was last asked."""
        device = self._snapshot.part.devices.get(uuid)
        return (uuid if device is None else device.board) in self._snapshot.silent

    def _run_counters(self) -> Iterator[Metric]:
        whole, rates = self._whole, self._snapshot.part.rates
        parts = {
            "gpu": whole.quantities.microjoules,
            "host": whole.quantities.host_microjoules,
            "overhead": whole.overhead_microjoules,
        }
        rows = [((*self._run, part), uj / MICROJOULES_PER_KWH) for part, uj in parts.items()]
        yield self._family("run_energy_kwh", rows)
        yield self._family("run_cost_{currency}", self._amounts(whole.charges, rates))
        if whole.credits:
            yield self._family("run_credit_{currency}", self._amounts(whole.credits, rates))
        scopes = {"operational": whole.operational_micrograms, "embodied": whole.embodied_micrograms}
        rows = [((*self._run, scope), ug / MICROGRAMS_PER_GRAM) for scope, ug in scopes.items()]
        yield self._family("run_emissions_grams", rows)
        if rates is not None and rates.market_grams_per_kwh is not None:
            grams = whole.market_micrograms / MICROGRAMS_PER_GRAM
            yield self._family("run_market_emissions_grams", [(self._run, grams)])
        if self._snapshot.part.items:
            yield self._family("run_item_cost_{currency}", self._items())
        seconds = zip(STATES, _held_seconds(whole), strict=True)
        yield self._family("run_gpu_time_seconds", [((*self._run, state), value) for state, value in seconds])

    def _progress(self) -> Iterator[Metric]:
        """What the run tells of itself; what it never told is absent."""
        told, snapshot = self._snapshot.furthest, self._snapshot
        if phases := phase_charges(snapshot, self._whole):
            rows = [((*self._run, phase), float(amount)) for phase, amount in phases.items()]
            yield self._family("run_phase_cost_{currency}", rows)
        for name, value in (("run_steps", told.steps), ("run_tokens", told.tokens), ("run_loss", told.loss)):
            if value is not None:
                yield self._family(name, [(self._run, float(value))])
        if told.of_steps and told.steps is not None:
            yield self._family("run_progress_ratio", [(self._run, min(1.0, told.steps / told.of_steps))])
        if (projection := snapshot.projection) is not None:
            yield self._family("run_projected_cost_{currency}", [(self._run, float(projection.total_cost))])
        if budgets := [use.budget for use in snapshot.part.budgets]:
            amounts = {(*self._run, each.per, each.project): float(each.amount) for each in budgets}
            yield self._family("run_budget_{currency}", amounts.items())

    def _items(self) -> Rows:
        """What each item has cost on this host so far; one that nobody could look at is absent."""
        use = replace(
            self._snapshot.part.use(self._snapshot.length_ns), gpu_nanoseconds=self._whole.quantities.nanoseconds
        )
        costs = ((total.item.name, total.cost) for total in item_totals([use]))
        return [((*self._run, name), float(cost)) for name, cost in costs if cost is not None]

    def _amounts(self, amounts: Amounts, rates: Rates | None) -> Rows:
        """Money by component and state; every component there can be stands at 0 before it is first charged."""
        components = {component for component, _ in amounts} | _components(rates)
        for component in sorted(components):
            for state in STATES:
                yield (*self._run, component, state), float(amounts.get((component, state), 0))

    def _rates(self) -> Iterator[Metric]:
        rates = self._snapshot.part.rates
        if rates is None:
            return
        prices = ((uuid, device.hourly) for uuid, device in rates.devices.items() if device.hourly)
        rows = [((uuid,), float(sum((price for _, price in hourly), Decimal(0)))) for uuid, hourly in prices]
        yield self._family("gpu_price_{currency}_per_hour", rows)
        if any(device.pays_electricity for device in rates.devices.values()):
            yield self._family("electricity_price_{currency}_per_kwh", [((), float(rates.electricity_per_kwh))])
        yield self._family("carbon_intensity_grams_per_kwh", [((), float(rates.carbon_grams_per_kwh))])
        yield self._family("pue_ratio", [((), float(rates.pue))])

    def _health(self) -> Iterator[Metric]:
        snapshot, source = self._snapshot, "simulated" if self._header.simulated else "nvml"
        counts = [((source, "ok"), float(snapshot.readings)), ((source, "failed"), float(snapshot.failures))]
        yield self._family("readings", counts)
        if snapshot.last_answer_utc_ns is not None:
            at_seconds = snapshot.last_answer_utc_ns / NANOSECONDS_PER_SECOND
            yield self._family("last_reading_timestamp_seconds", [((source,), at_seconds)])
        yield self._family("collector_success", [((source,), float(snapshot.all_answered))])
        yield self._family("journal_writable", [((), float(snapshot.journal_writable))])

    def _infos(self) -> Iterator[Metric]:
        header, part = self._header, self._snapshot.part
        yield self._info("build", [{"version": __version__}])
        yield self._info("gpu", [_gpu_facts(uuid, self._snapshot) for uuid in part.devices])
        labels = {f"label_{_NOT_IN_A_NAME.sub('_', name)}": value for name, value in header.labels.items()}
        yield self._info("run", [{"run_id": header.run, "host": header.host, "name": header.name} | labels])
        holder = {"run_id": header.run, "source": header.meter}
        yield self._info("gpu_holder", [{"gpu_uuid": uuid} | holder for uuid in part.devices])
        if part.rates is not None:
            origins = part.rates.origins.items()
            yield self._info("rates", [{"setting": name, "origin": origin.word} for name, origin in origins])

    def _started_seconds(self) -> float:
        return self._header.anchor.utc(self._header.start_ns) / NANOSECONDS_PER_SECOND


def phase_charges(snapshot: Snapshot, whole: DeviceTotals) -> dict[str, Decimal]:
    """Charges by phase, which sum to the `whole` run's; empty before the run told of any.

    What lies before that is its start-up.
    """
    phases = {phase: _charged(totals) for phase, totals in snapshot.part.phases.items()}
    if snapshot.open_slot is not None and (phase := snapshot.open_slot.phase):
        is_open = _charged(whole) - _charged(snapshot.part.totals.whole)
        phases[phase] = phases.get(phase, Decimal(0)) + is_open
    if not phases:
        return {}
    before = _charged(whole) - sum(phases.values(), Decimal(0))
    return {START_UP: before} | phases if START_UP not in phases else phases | {START_UP: phases[START_UP] + before}


def _charged(totals: DeviceTotals) -> Decimal:
    return sum(totals.charges.values(), Decimal(0))


def _fit(value: str) -> str:
    """A label value that every parser takes: valid UTF-8 (a name may come from bytes that are not), and not endless."""
    return value[:_LABEL_CHARACTERS].encode("utf-8", "replace").decode("utf-8")


def _by_state(
    devices: Iterable[tuple[str, DeviceTotals]], values: Callable[[DeviceTotals], tuple[float, float, float]]
) -> Rows:
    for uuid, totals in devices:
        for state, value in zip(STATES, values(totals), strict=True):
            yield (uuid, state), value


def _energy_kwh(totals: DeviceTotals) -> tuple[float, float, float]:
    held: Quantities = totals.quantities
    return (
        held.busy_microjoules / MICROJOULES_PER_KWH,
        held.idle_microjoules / MICROJOULES_PER_KWH,
        held.unknown_microjoules / MICROJOULES_PER_KWH,
    )


def _held_seconds(totals: DeviceTotals) -> tuple[float, float, float]:
    held = totals.quantities
    return (
        held.busy_nanoseconds / NANOSECONDS_PER_SECOND,
        held.idle_nanoseconds / NANOSECONDS_PER_SECOND,
        held.unknown_nanoseconds / NANOSECONDS_PER_SECOND,
    )


def _charges(totals: DeviceTotals) -> tuple[float, float, float]:
    return _per_state(totals.charges)


def _credits(totals: DeviceTotals) -> tuple[float, float, float]:
    return _per_state(totals.credits)


def _per_state(amounts: Amounts) -> tuple[float, float, float]:
    states = by_state(amounts)
    return float(states["busy"]), float(states["idle"]), float(states["unknown"])


def _grams(totals: DeviceTotals) -> float:
    return (totals.operational_micrograms + totals.embodied_micrograms) / MICROGRAMS_PER_GRAM


def _components(rates: Rates | None) -> set[str]:
    if rates is None:
        return set()
    hourly = {component for device in rates.devices.values() for component, _ in device.hourly}
    pays = any(device.pays_electricity for device in rates.devices.values())
    return hourly | {"electricity"} if pays else hourly


def _gpu_facts(uuid: str, snapshot: Snapshot) -> dict[str, str]:
    device, interval = snapshot.part.devices[uuid], snapshot.intervals.get(uuid)
    method = device.method if interval is None or interval.method is None else interval.method
    return {
        "gpu_uuid": uuid,
        "index": str(device.index),
        "model": device.name,
        "pci_bus_id": device.pci_bus_id,
        "energy_source": "none" if isinstance(method, Missing) else method,
    }
