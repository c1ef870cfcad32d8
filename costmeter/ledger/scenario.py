"""Scenarios: recorded runs priced again, each under its own rates with something changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.bulk import Refusal, load_each
from costmeter.ledger.copies import identity
from costmeter.ledger.finding import paths_of
from costmeter.ledger.pricing import Prices, PricesFor
from costmeter.ledger.query import Run
from costmeter.ledger.record import Header
from costmeter.ledger.repricing import Change, Changed, OwnRates, Recipe, recipe
from costmeter.ledger.trusted import fold_whole
from costmeter.meter.charge import QUANTUM, Amounts
from costmeter.meter.idleuse import added
from costmeter.meter.idling import IdleUse, Reason
from costmeter.meter.slot import Quantities
from costmeter.meter.totals import DeviceTotals
from costmeter.readings import Device
from costmeter.units import NANOSECONDS_PER_MINUTE, portion

#: How much later a run is taken to have started, by when it did start (UTC nanoseconds): whole minutes.
Shift = Callable[[int], int]
_MINUTES_PER_DAY = 1_440
_WAITING: Reason = "waiting-for-data"


@dataclass(frozen=True, slots=True)
class Interruptions:
    """How often a spot machine is taken away, and what each time costs: work lost and the restart, in minutes."""

    per_day: Decimal
    lost_minutes: Decimal

    @property
    def factor(self) -> Decimal:
        """How much longer the run takes: 1 + interruptions per day × minutes lost to each / 1,440."""
        return 1 + self.per_day * self.lost_minutes / _MINUTES_PER_DAY


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the table. `change` None leaves the run's own rates; `what` is the row's own text.

    `drops_idle` takes away the time in which GPUs were held and idle, `drops_waiting` that of it in which they waited
    for data: of that only time and money are known, and only under the run's own rates. `unpriced` says why there is
    no answer, where that is known beforehand. `notes` stand below the table.
    """

    name: str
    what: str
    change: Change | None = None
    shift: Shift | None = None
    drops_idle: bool = False
    interruptions: Interruptions | None = None
    notes: tuple[str, ...] = ()
    unpriced: str = ""
    drops_waiting: bool = False

    @property
    def is_estimate(self) -> bool:
        """Whether quantities, and not only prices, are other than measured."""
        return self.drops_idle or self.drops_waiting or self.interruptions is not None


@dataclass(frozen=True, slots=True)
class Priced:
    """A scenario's answer in one currency, for the runs (or parts of runs) in it; without one, why."""

    scenario: Scenario
    currency: str
    runs: tuple[Run, ...] = ()
    whole: DeviceTotals = field(default_factory=DeviceTotals)
    unpriced: str = ""

    @property
    def has_energy(self) -> bool:
        """Whether anybody knows its energy, and so its CO2e."""
        return not self.unpriced and not self.scenario.drops_waiting


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is known of a recorded run before its slots are read: its parts in order of their start, by key."""

    name: str
    parts: Mapping[tuple[object, ...], Recipe]

    @property
    def start_utc_ns(self) -> int:
        """When it began."""
        return min(part.start_utc_ns for part in self.parts.values())

    @property
    def currency(self) -> str:
        """What the money of its first part is in."""
        return next(iter(self.parts.values())).currency


def recorded(state: Path, name: str) -> Recorded:
    """A recorded run, by id or path. Raises JournalError when there is none."""
    found: list[Recipe] = []
    refusals: list[JournalError] = []
    for path in paths_of(state, name):
        try:
            found.append(recipe(path))
        except JournalError as refusal:
            refusals.append(refusal)  # whoever prices the run says that this part is not counted
    if not found:
        raise refusals[0]
    found.sort(key=lambda part: part.header.anchor.utc(part.header.start_ns))
    return Recorded(name, {identity(part.header): part for part in found})


def price(state: Path, runs: Sequence[Recorded], scenario: Scenario) -> list[Priced]:
    """What these runs come to in a scenario: one answer for each currency, with the sums over the runs.

    Where one of them cannot be priced so, none is, and the answer says which and why.
    """
    return price_each(state, runs, (scenario,))[0]


def price_each(state: Path, runs: Sequence[Recorded], scenarios: Sequence[Scenario]) -> list[list[Priced]]:
    """The same in one scenario after another, for which every journal is read once.

    Raises JournalError where nothing of a run can be read.
    """
    asked = [scenario for scenario in scenarios if not scenario.unpriced]
    found: list[list[Run | Refusal]] = [[] for _ in asked]
    for each in runs:
        prices = {id(scenario): _prices(each, scenario) for scenario in asked}
        rows = list(dict.fromkeys(prices.values()))  # several may be of the run's own rates
        loaded = load_each(state, each.name, rows, fold_whole) if rows else []
        for answers, scenario in zip(found, asked, strict=True):
            answers.append(loaded[rows.index(prices[id(scenario)])])
    answered = iter(found)
    return [
        [Priced(scenario, runs[0].currency, unpriced=scenario.unpriced)]
        if scenario.unpriced
        else _answers(runs, scenario, next(answered))
        for scenario in scenarios
    ]


def _answers(runs: Sequence[Recorded], scenario: Scenario, found: Sequence[Run | Refusal]) -> list[Priced]:
    """One for each currency, real GPUs and simulated ones apart, or why there is none."""
    alike_runs: dict[tuple[bool, str], list[Run]] = {}
    for each, run in zip(runs, found, strict=True):
        if isinstance(run, Run):
            for alike in run.by_currency():
                part = alike.parts[0]
                alike_runs.setdefault((part.header.simulated, part.currency), []).append(alike)
        elif scenario.change is None and isinstance(run, JournalError):
            raise run
        else:
            return [Priced(scenario, runs[0].currency, unpriced=f"{each.name}: {run}")]
    return [
        Priced(scenario, currency, tuple(of), _whole(of, scenario))
        for (_, currency), of in alike_runs.items()
        if not scenario.drops_waiting or waiting(of).nanoseconds
    ]


def _prices(each: Recorded, scenario: Scenario) -> PricesFor | None:
    """What a scenario prices a run with; None is its own rates."""
    change = scenario.change
    if change is None:
        return None
    floor_utc_ns = each.start_utc_ns - each.start_utc_ns % NANOSECONDS_PER_MINUTE
    shift_ns = scenario.shift(floor_utc_ns) if scenario.shift is not None else 0

    def prices(header: Header, devices: tuple[Device, ...], node_gpus: int) -> Prices:
        part = each.parts.get(identity(header))
        own = OwnRates(()) if part is None else part.rates
        return Changed(own, change.book.quotation(devices, node_gpus), change, shift_ns)

    return prices


def _whole(runs: Sequence[Run], scenario: Scenario) -> DeviceTotals:
    whole = DeviceTotals()
    for run in runs:
        whole = whole + run.totals.whole
    if scenario.drops_idle:
        whole = without_idle(whole)
    if scenario.drops_waiting:
        whole = without(whole, waiting(runs))
    if scenario.interruptions is not None:
        whole = longer(whole, scenario.interruptions.factor)
    return whole


def without_idle(whole: DeviceTotals) -> DeviceTotals:
    """Totals without the idle time: its money and the energy of GPU and host are exact, for they are kept by state.

    Cooling and operational emissions are not: they go by the idle time's share of the energy, the embodied ones by its
    share of the time. How the energy was found is taken to have been alike in all states.
    """
    held = whole.quantities
    idle_uj, idle_host_uj = held.idle_microjoules, held.idle_host_microjoules
    energy_uj, kept_uj = held.microjoules + held.host_microjoules, held.microjoules - idle_uj
    kept_share = (energy_uj - idle_uj - idle_host_uj, energy_uj)
    counter_uj = portion(held.counter_microjoules, kept_uj, held.microjoules)
    power_uj = portion(held.power_microjoules, kept_uj, held.microjoules)
    kept_ns = held.nanoseconds - held.idle_nanoseconds
    return DeviceTotals(
        replace(
            held,
            idle_nanoseconds=0,
            idle_microjoules=0,
            idle_host_microjoules=0,
            counter_microjoules=counter_uj,
            power_microjoules=power_uj,
            estimated_microjoules=kept_uj - counter_uj - power_uj,
            unmeasured_nanoseconds=min(held.unmeasured_nanoseconds, kept_ns),
        ),
        _not_idle(whole.charges),
        _not_idle(whole.credits),
        portion(whole.overhead_microjoules, *kept_share),
        portion(whole.operational_micrograms, *kept_share),
        portion(whole.embodied_micrograms, kept_ns, held.nanoseconds),
        portion(whole.market_micrograms, *kept_share),
    )


def waiting(runs: Sequence[Run]) -> IdleUse:
    """What the idle time came to in which GPUs waited for data."""
    return added({}, (part.idle for run in runs for part in run.parts)).get(_WAITING, IdleUse())


def without(whole: DeviceTotals, use: IdleUse) -> DeviceTotals:
    """Totals without some idle time and its money, exactly; its energy is not known apart, and stays."""
    charges, credits = dict(whole.charges), dict(whole.credits)
    removed, side = (use.cost, credits) if use.cost >= 0 else (-use.cost, charges)
    side[f"{_WAITING} removed", "idle"] = removed
    held = replace(whole.quantities, idle_nanoseconds=whole.quantities.idle_nanoseconds - use.nanoseconds)
    return replace(whole, quantities=held, charges=charges, credits=credits)


def longer(whole: DeviceTotals, factor: Decimal) -> DeviceTotals:
    """Totals of a run that takes so many times as long, everything in proportion."""

    def more(quantity: int) -> int:
        return int((quantity * factor).to_integral_value())

    held = whole.quantities
    return DeviceTotals(
        Quantities(*(more(getattr(held, name)) for name in Quantities.__slots__)),
        {key: (amount * factor).quantize(QUANTUM) for key, amount in whole.charges.items()},
        {key: (amount * factor).quantize(QUANTUM) for key, amount in whole.credits.items()},
        more(whole.overhead_microjoules),
        more(whole.operational_micrograms),
        more(whole.embodied_micrograms),
        more(whole.market_micrograms),
    )


def _not_idle(amounts: Amounts) -> Amounts:
    return {(component, state): amount for (component, state), amount in amounts.items() if state != "idle"}


def devices_of(runs: Sequence[Recorded]) -> tuple[Device, ...]:
    """Every GPU of these runs, once."""
    parts = [part for each in runs for part in each.parts.values()]
    return tuple({device.uuid: device for part in parts for device in part.devices}.values())
