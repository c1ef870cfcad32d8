"""Totals: charges and quantities summed. They add, have a zero, and every whole is the sum of its parts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from costmeter.meter.activity import State
from costmeter.meter.charge import Amounts, Component, DeviceCharge, Rates, charge
from costmeter.meter.slot import ZERO, Quantities, Slot, summed


@dataclass(frozen=True, slots=True)
class DeviceTotals:
    """Everything one device did and cost. `market_micrograms` stand beside the operational ones, never in their sum."""

    quantities: Quantities = ZERO
    charges: Amounts = field(default_factory=dict)
    credits: Amounts = field(default_factory=dict)
    overhead_microjoules: int = 0
    operational_micrograms: int = 0
    embodied_micrograms: int = 0
    market_micrograms: int = 0

    @property
    def cost(self) -> Decimal:
        """Charges less credits."""
        return sum(self.charges.values(), Decimal(0)) - sum(self.credits.values(), Decimal(0))

    @property
    def facility_microjoules(self) -> int:
        """All energy: GPUs, host and what PUE adds."""
        return self.quantities.microjoules + self.quantities.host_microjoules + self.overhead_microjoules

    @property
    def emitted_micrograms(self) -> int:
        """Operational and embodied emissions."""
        return self.operational_micrograms + self.embodied_micrograms

    def __add__(self, other: "DeviceTotals") -> "DeviceTotals":
        return DeviceTotals(
            self.quantities + other.quantities,
            add_amounts(self.charges, other.charges),
            add_amounts(self.credits, other.credits),
            self.overhead_microjoules + other.overhead_microjoules,
            self.operational_micrograms + other.operational_micrograms,
            self.embodied_micrograms + other.embodied_micrograms,
            self.market_micrograms + other.market_micrograms,
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """Totals of a run, by device. Whole-run figures are folds over the devices and are never kept apart from them."""

    devices: Mapping[str, DeviceTotals] = field(default_factory=dict)

    def __add__(self, other: "Totals") -> "Totals":
        devices = dict(self.devices)
        for uuid, totals in other.devices.items():
            devices[uuid] = devices[uuid] + totals if uuid in devices else totals
        return Totals(devices)

    @property
    def whole(self) -> DeviceTotals:
        """All devices summed."""
        every = self.devices.values()
        return DeviceTotals(
            summed(totals.quantities for totals in every),
            _summed_amounts(totals.charges for totals in every),
            _summed_amounts(totals.credits for totals in every),
            sum(totals.overhead_microjoules for totals in every),
            sum(totals.operational_micrograms for totals in every),
            sum(totals.embodied_micrograms for totals in every),
            sum(totals.market_micrograms for totals in every),
        )


def add_amounts(left: Amounts, right: Amounts) -> Amounts:
    """Sum two tables of money, key by key."""
    if not right:
        return left
    if not left:
        return right
    amounts = dict(left)
    for key, amount in right.items():
        amounts[key] = amounts[key] + amount if key in amounts else amount
    return amounts


def _summed_amounts(tables: Iterable[Amounts]) -> Amounts:
    amounts: dict[tuple[Component, State], Decimal] = {}
    for table in tables:
        for key, amount in table.items():
            amounts[key] = amounts[key] + amount if key in amounts else amount
    return amounts


def net(charges: Amounts, credits: Amounts) -> dict[tuple[Component, State], Decimal]:
    """Charges less credits, key by key."""
    amounts = dict(charges)
    for key, amount in credits.items():
        amounts[key] = amounts.get(key, Decimal(0)) - amount
    return amounts


def by_component(amounts: Amounts) -> dict[Component, Decimal]:
    """Money per component, in the order components first appear."""
    return _grouped((component, amount) for (component, _), amount in amounts.items())


def by_state(amounts: Amounts) -> dict[str, Decimal]:
    """Money per state; all three states always present."""
    states = {"busy": Decimal(0), "idle": Decimal(0), "unknown": Decimal(0)}
    for (_, state), amount in amounts.items():
        states[state] += amount
    return states


def _grouped(pairs: Iterable[tuple[Component, Decimal]]) -> dict[Component, Decimal]:
    grouped: dict[Component, Decimal] = {}
    for key, amount in pairs:
        grouped[key] = grouped.get(key, Decimal(0)) + amount
    return grouped


def totals(slot: Slot, rates: Rates) -> Totals:
    """One slot priced, as totals."""
    charged: dict[str, DeviceCharge] = charge(slot, rates)
    return Totals({uuid: _device(slot.devices[uuid], charged[uuid]) for uuid in slot.devices})


def _device(quantities: Quantities, charged: DeviceCharge) -> DeviceTotals:
    return DeviceTotals(
        quantities,
        charged.charges,
        charged.credits,
        charged.overhead_microjoules,
        charged.operational_micrograms,
        charged.embodied_micrograms,
        charged.market_micrograms,
    )
