"""Charges: a slot under rates is money per component and state, and grams. The one place integers meet prices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from costmeter.meter.activity import State
from costmeter.meter.slot import Quantities, Slot
from costmeter.units import MICROGRAMS_PER_GRAM, MICROJOULES_PER_KWH, NANOSECONDS_PER_HOUR

#: Charges are quantised to this, so that sums are exact in any order.
QUANTUM = Decimal("1e-12")

#: Disjoint parts of the money: `rental`, `capital`, `idle_share`, `electricity`.
Component = str
Amounts = Mapping[tuple[Component, State], Decimal]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a figure comes from: measured, estimated, configured or `list price <date>`; `detail` says more."""

    word: str
    detail: str


@dataclass(frozen=True, slots=True)
class DeviceRates:
    """What one GPU costs per hour held, by component, and whether its electricity is paid on top.

    Rent includes electricity: then `pays_electricity` is False and energy is shown, not charged. An empty `hourly`
    is a GPU whose price nobody knows.
    """

    hourly: tuple[tuple[Component, Decimal], ...]
    pays_electricity: bool
    embodied_grams_per_hour: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Rates:
    """Every price that holds at one instant. `origins` names, by dotted setting, where each came from."""

    currency: str
    devices: Mapping[str, DeviceRates]
    electricity_per_kwh: Decimal
    pue: Decimal
    carbon_grams_per_kwh: Decimal
    origins: Mapping[str, Origin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceCharge:
    """One device's money and emissions over a slot, with the overhead energy booked to it.

    `credits` holds what negative prices paid back, as positive amounts; cost is charges less credits.
    """

    charges: Amounts
    credits: Amounts
    overhead_microjoules: int
    operational_micrograms: int
    embodied_micrograms: int


def charge(slot: Slot, rates: Rates) -> dict[str, DeviceCharge]:
    """Price one slot. Pure, exact and independent of how the slot's time was cut into readings.

    ``rental = price/h × h held``; ``overhead = (gpu + host) × (PUE - 1)``; ``electricity = (gpu + host + overhead) kWh
    × price/kWh``; ``operational = (gpu + host + overhead) kWh × g/kWh``; ``embodied = g/h × h held``.
    """
    return {uuid: _charge_device(held, rates.devices[uuid], rates) for uuid, held in slot.devices.items()}


def _charge_device(held: Quantities, device: DeviceRates, rates: Rates) -> DeviceCharge:
    charges: dict[tuple[Component, State], Decimal] = {}
    credit: dict[tuple[Component, State], Decimal] = {}
    overhead_uj = 0
    for state, state_ns, energy_uj in _by_state(held):
        if not state_ns and not energy_uj:
            continue
        for component, per_hour in device.hourly:
            _book(charges, credit, (component, state), per_hour * state_ns / NANOSECONDS_PER_HOUR)
        added_uj = round(energy_uj * (rates.pue - 1)) if rates.pue != 1 else 0
        overhead_uj += added_uj
        if device.pays_electricity:
            amount = (energy_uj + added_uj) * rates.electricity_per_kwh / MICROJOULES_PER_KWH
            _book(charges, credit, ("electricity", state), amount)
    facility_uj = held.microjoules + held.host_microjoules + overhead_uj
    return DeviceCharge(
        charges,
        credit,
        overhead_uj,
        round(facility_uj * rates.carbon_grams_per_kwh * MICROGRAMS_PER_GRAM / MICROJOULES_PER_KWH),
        round(held.nanoseconds * device.embodied_grams_per_hour * MICROGRAMS_PER_GRAM / NANOSECONDS_PER_HOUR),
    )


def _by_state(held: Quantities) -> tuple[tuple[State, int, int], ...]:
    """Time, and energy of GPU and host, of each state."""
    return (
        ("busy", held.busy_nanoseconds, held.busy_microjoules + held.busy_host_microjoules),
        ("idle", held.idle_nanoseconds, held.idle_microjoules + held.idle_host_microjoules),
        ("unknown", held.unknown_nanoseconds, held.unknown_microjoules + held.unknown_host_microjoules),
    )


def _book(
    charges: dict[tuple[Component, State], Decimal],
    credit: dict[tuple[Component, State], Decimal],
    key: tuple[Component, State],
    amount: Decimal,
) -> None:
    """Put an amount where its sign belongs, so that neither side ever falls."""
    if amount >= 0:
        charges[key] = amount.quantize(QUANTUM)
    else:
        credit[key] = (-amount).quantize(QUANTUM)
