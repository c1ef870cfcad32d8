"""Charges: a slot under rates is money per component and state, and grams. The one place integers meet prices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from costmeter.meter.activity import STATES, State
from costmeter.meter.slot import Quantities, Slot
from costmeter.units import MICROGRAMS_PER_GRAM, MICROJOULES_PER_KWH, NANOSECONDS_PER_HOUR, shares

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
    """One device's money and emissions over a slot, with the host and overhead energy booked to it.

    `credits` holds what negative prices paid back, as positive amounts; cost is charges less credits.
    """

    charges: Amounts
    credits: Amounts
    host_microjoules: int
    overhead_microjoules: int
    operational_micrograms: int
    embodied_micrograms: int


def charge(slot: Slot, rates: Rates) -> dict[str, DeviceCharge]:
    """Price one slot. Pure, exact and independent of how the slot's time was cut into readings.

    ``rental = price/h × h held``; ``overhead = (gpu + host) × (PUE - 1)``; ``electricity = (gpu + host + overhead) kWh
    × price/kWh``; ``operational = (gpu + host + overhead) kWh × g/kWh``; ``embodied = g/h × h held``.
    """
    hosts_uj = shares(slot.host_microjoules, [quantities.nanoseconds for quantities in slot.devices.values()])
    return {
        uuid: _charge_device(quantities, host_uj, rates.devices[uuid], rates)
        for (uuid, quantities), host_uj in zip(slot.devices.items(), hosts_uj, strict=True)
    }


def _charge_device(quantities: Quantities, host_uj: int, device: DeviceRates, rates: Rates) -> DeviceCharge:
    charges: dict[tuple[Component, State], Decimal] = {}
    credit: dict[tuple[Component, State], Decimal] = {}
    held_ns, overhead_uj = quantities.nanoseconds, 0
    states_ns = (quantities.busy_nanoseconds, quantities.idle_nanoseconds, quantities.unknown_nanoseconds)
    states_uj = (quantities.busy_microjoules, quantities.idle_microjoules, quantities.unknown_microjoules)
    for state, state_ns, gpu_uj, state_host_uj in zip(
        STATES, states_ns, states_uj, shares(host_uj, states_ns), strict=True
    ):
        energy_uj = gpu_uj + state_host_uj
        if not state_ns and not energy_uj:
            continue
        for component, per_hour in device.hourly:
            _book(charges, credit, (component, state), per_hour * state_ns / NANOSECONDS_PER_HOUR)
        added_uj = round(energy_uj * (rates.pue - 1)) if rates.pue != 1 else 0
        overhead_uj += added_uj
        if device.pays_electricity:
            amount = (energy_uj + added_uj) * rates.electricity_per_kwh / MICROJOULES_PER_KWH
            _book(charges, credit, ("electricity", state), amount)
    facility_uj = quantities.microjoules + host_uj + overhead_uj
    return DeviceCharge(
        charges,
        credit,
        host_uj,
        overhead_uj,
        round(facility_uj * rates.carbon_grams_per_kwh * MICROGRAMS_PER_GRAM / MICROJOULES_PER_KWH),
        round(held_ns * device.embodied_grams_per_hour * MICROGRAMS_PER_GRAM / NANOSECONDS_PER_HOUR),
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
