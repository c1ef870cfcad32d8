"""The counters of every GPU on a metrics page: what was held, by state, and on a node what nobody held."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from costmeter.meter.charge import Amounts
from costmeter.meter.totals import DeviceTotals, by_state
from costmeter.outputs.prometheusgpus import gpu_labels, gpu_states
from costmeter.outputs.prometheusruns import held_seconds
from costmeter.outputs.prometheustext import Rows, Sheet
from costmeter.units import MICROGRAMS_PER_GRAM, MICROJOULES_PER_KWH, NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Lane:
    """One GPU: what was held of it, and what was not. Where nothing can be unheld, as in a run, that is None."""

    held: DeviceTotals
    unheld: DeviceTotals | None = None


def add_lanes(sheet: Sheet, lanes: Mapping[str, Lane], resets: Mapping[str, int], can_be_negative: bool) -> None:
    """Energy, money, time and emissions of every GPU, and how long its energy was not known.

    Credits are there where prices can be negative, so that they stand at 0 before the first.
    """
    of, plain = list(lanes.values()), gpu_labels(lanes).values()
    states = [text for uuid, lane in lanes.items() for text in _states(uuid, lane)]
    sheet.add("gpu_energy_kwh", _flat(states, map(_energy_kwh, of)))
    sheet.add("gpu_cost_{currency}", _flat(states, map(_charges, of)))
    if can_be_negative or any(lane.held.credits or (lane.unheld and lane.unheld.credits) for lane in of):
        sheet.add("gpu_credit_{currency}", _flat(states, map(_credits, of)))
    sheet.add("gpu_time_seconds", _flat(states, map(_seconds, of)))
    sheet.add("gpu_emissions_grams", zip(plain, map(_grams, of), strict=True))
    sheet.add("unmeasured_seconds", zip(plain, map(_unmeasured_seconds, of), strict=True))
    sheet.add("energy_resets", zip(plain, [float(resets.get(uuid, 0)) for uuid in lanes], strict=True))


def _flat(states: Iterable[str], values: Iterable[Iterable[float]]) -> Rows:
    return zip(states, chain.from_iterable(values), strict=True)


def _states(uuid: str, lane: Lane) -> tuple[str, ...]:
    return gpu_states(uuid)[:-1] if lane.unheld is None else gpu_states(uuid)


def _energy_kwh(lane: Lane) -> list[float]:
    held = lane.held.quantities
    energy = [
        held.busy_microjoules / MICROJOULES_PER_KWH,
        held.idle_microjoules / MICROJOULES_PER_KWH,
        held.unknown_microjoules / MICROJOULES_PER_KWH,
    ]
    return energy if lane.unheld is None else [*energy, lane.unheld.quantities.microjoules / MICROJOULES_PER_KWH]


def _seconds(lane: Lane) -> tuple[float, ...]:
    held = held_seconds(lane.held)
    return held if lane.unheld is None else (*held, lane.unheld.quantities.nanoseconds / NANOSECONDS_PER_SECOND)


def _charges(lane: Lane) -> list[float]:
    return _money(lane.held.charges, None if lane.unheld is None else lane.unheld.charges)


def _credits(lane: Lane) -> list[float]:
    return _money(lane.held.credits, None if lane.unheld is None else lane.unheld.credits)


def _money(held: Amounts, unheld: Amounts | None) -> list[float]:
    """Summed as decimals, which no order changes: a float that is one bit less would be a counter that fell."""
    money = [float(amount) for amount in by_state(held).values()]
    return money if unheld is None else [*money, float(sum(unheld.values()))]


def _grams(lane: Lane) -> float:
    unheld = 0 if lane.unheld is None else lane.unheld.emitted_micrograms
    return (lane.held.emitted_micrograms + unheld) / MICROGRAMS_PER_GRAM


def _unmeasured_seconds(lane: Lane) -> float:
    unheld = 0 if lane.unheld is None else lane.unheld.quantities.unmeasured_nanoseconds
    return (lane.held.quantities.unmeasured_nanoseconds + unheld) / NANOSECONDS_PER_SECOND
