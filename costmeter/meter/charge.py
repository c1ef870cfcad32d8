"""Charges: a slot under rates is money per component and state, and grams. The one place integers meet prices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from costmeter.meter.activity import State
from costmeter.meter.slot import Quantities, Slot
from costmeter.units import MICROGRAMS_PER_GRAM, MICROJOULES_PER_KWH, NANOSECONDS_PER_HOUR

#: Charges are quantised to so many digits, so that sums are exact in any order.
QUANTUM_DIGITS = 12
QUANTUM = Decimal(1).scaleb(-QUANTUM_DIGITS)
#: And a cost per hour that depends on power to this: it changes with every reading.
_HOURLY_QUANTUM = Decimal("1e-6")
#: As decimals once and for all: a minute of 1,024 GPUs divides by them 10,000 times.
_NANOSECONDS_PER_HOUR = Decimal(NANOSECONDS_PER_HOUR)
_MICROJOULES_PER_KWH = Decimal(MICROJOULES_PER_KWH)
_MICROGRAMS_PER_GRAM = Decimal(MICROGRAMS_PER_GRAM)

#: Disjoint parts of the money: `rental`, `capital`, `idle_share`, `electricity`.
Component = str
#: The part that only an owned GPU has.
CAPITAL: Component = "capital"
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

    @property
    def is_owned(self) -> bool:
        """Whether its capital is paid for, and no rent."""
        return any(component == CAPITAL for component, _ in self.hourly)


@dataclass(frozen=True, slots=True)
class Rates:
    """Every price that holds at one instant. `origins` names, by dotted setting, where each came from.

    `market_grams_per_kwh` is the market-based factor, shown beside the grid's and never added; None is not configured.
    """

    currency: str
    devices: Mapping[str, DeviceRates]
    electricity_per_kwh: Decimal
    pue: Decimal
    carbon_grams_per_kwh: Decimal
    origins: Mapping[str, Origin] = field(default_factory=dict)
    market_grams_per_kwh: Decimal | None = None


@dataclass(frozen=True, slots=True)
class DeviceCharge:
    """One device's money and emissions over a slot, with the overhead energy booked to it.

    `credits` holds what negative prices paid back, as positive amounts; cost is charges less credits.
    `market_micrograms` are the operational emissions under the market-based factor, 0 without one: another view of the
    same energy, in no sum with the others.
    """

    charges: Amounts
    credits: Amounts
    overhead_microjoules: int
    operational_micrograms: int
    embodied_micrograms: int
    market_micrograms: int = 0


def charge(slot: Slot, rates: Rates) -> dict[str, DeviceCharge]:
    """Price one slot. Pure, exact and independent of how the slot's time was cut into readings.

    ``rental = price/h × h held``; ``overhead = (gpu + host) × (PUE - 1)``; ``electricity = (gpu + host + overhead) kWh
    × price/kWh``; ``operational = (gpu + host + overhead) kWh × g/kWh``, ``market`` the same with the market-based
    factor; ``embodied = g/h × h held``.
    """
    return {uuid: _charge_device(held, rates.devices[uuid], rates) for uuid, held in slot.devices.items()}


def cost_per_hour(rates: Rates | None, uuid: str, energy_microjoules: int, length_ns: int) -> Decimal | None:
    """What a device costs by the hour: its price, and its electricity where that is paid for.

    Power is the mean of `energy_microjoules`, of GPU and host, over `length_ns`; of no length it is not known, and
    costs nothing. None for a device whose price nobody knows.
    """
    device = None if rates is None else rates.devices.get(uuid)
    if rates is None or device is None or not (device.hourly or device.pays_electricity):
        return None
    hourly = sum((price for _, price in device.hourly), Decimal(0))
    if not device.pays_electricity or not length_ns:
        return hourly
    hour_uj = energy_microjoules * _NANOSECONDS_PER_HOUR / length_ns
    electricity = hour_uj / _MICROJOULES_PER_KWH * rates.pue * rates.electricity_per_kwh
    return hourly + electricity.quantize(_HOURLY_QUANTUM)


def _charge_device(held: Quantities, device: DeviceRates, rates: Rates) -> DeviceCharge:
    """Amounts go where their sign belongs, so that neither side ever falls."""
    charges: dict[tuple[Component, State], Decimal] = {}
    credit: dict[tuple[Component, State], Decimal] = {}
    overhead_uj = facility_uj = length_ns = 0
    overhead_share = rates.pue - 1
    for state, state_ns, energy_uj in _by_state(held):
        if not state_ns and not energy_uj:
            continue
        for component, per_hour in device.hourly:
            amount = per_hour * state_ns / _NANOSECONDS_PER_HOUR
            if amount.is_signed():
                _book(charges, credit, (component, state), amount)
            else:
                charges[component, state] = amount.quantize(QUANTUM)
        added_uj = round(energy_uj * overhead_share) if overhead_share else 0
        if device.pays_electricity:
            amount = (energy_uj + added_uj) * rates.electricity_per_kwh / _MICROJOULES_PER_KWH
            if amount.is_signed():
                _book(charges, credit, ("electricity", state), amount)
            else:
                charges["electricity", state] = amount.quantize(QUANTUM)
        overhead_uj += added_uj
        facility_uj += energy_uj + added_uj
        length_ns += state_ns
    return DeviceCharge(
        charges,
        credit,
        overhead_uj,
        _emitted(facility_uj, rates.carbon_grams_per_kwh),
        round(length_ns * device.embodied_grams_per_hour * _MICROGRAMS_PER_GRAM / _NANOSECONDS_PER_HOUR),
        0 if rates.market_grams_per_kwh is None else _emitted(facility_uj, rates.market_grams_per_kwh),
    )


def _book(
    charges: dict[tuple[Component, State], Decimal],
    credit: dict[tuple[Component, State], Decimal],
    key: tuple[Component, State],
    amount: Decimal,
) -> None:
    """Book what is below nothing as a credit; a nothing with a sign (a negative price of no use) is plain nothing."""
    (credit if amount < 0 else charges)[key] = abs(amount).quantize(QUANTUM)


def _emitted(microjoules: int, grams_per_kwh: Decimal) -> int:
    """Micrograms of an energy."""
    return round(microjoules * grams_per_kwh * _MICROGRAMS_PER_GRAM / _MICROJOULES_PER_KWH)


def _by_state(held: Quantities) -> tuple[tuple[State, int, int], ...]:
    """Time, and energy of GPU and host, of each state."""
    return (
        ("busy", held.busy_nanoseconds, held.busy_microjoules + held.busy_host_microjoules),
        ("idle", held.idle_nanoseconds, held.idle_microjoules + held.idle_host_microjoules),
        ("unknown", held.unknown_nanoseconds, held.unknown_microjoules + held.unknown_host_microjoules),
    )
