"""The use of billing periods: what runs drew and were charged, from slots of journals, one after the other."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.journal import ran_outside, records
from costmeter.ledger.overlap import Sharing, Windows
from costmeter.ledger.query import priced_only
from costmeter.ledger.record import Devices, Header, RatesChange, SlotEntry
from costmeter.meter.charge import Component, DeviceCharge, Rates, charge
from costmeter.meter.period import Period
from costmeter.meter.schedule import Schedule
from costmeter.meter.slot import Slot
from costmeter.rates.commitment import Commitment
from costmeter.rates.committed import Rented, Stretch
from costmeter.readings import Device
from costmeter.units import NANOSECONDS_PER_MINUTE, portion

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class PricedSlot:
    """A slot of a journal, under the rates that precede it."""

    header: Header
    devices: dict[str, Device]
    slot: Slot
    rates: Rates


def priced_slots(path: Path, problems: list[str], elsewhere: Windows | None = None) -> Iterator[PricedSlot]:
    """The slots of one journal, the open one last. What cannot be read is added to `problems`, and the rest is read.

    Devices in a window of `elsewhere` are in none of them: they count from another journal. Raises JournalError where
    nothing can be read.
    """
    header: Header | None = None
    devices: dict[str, Device] = {}
    rates: Rates | None = None
    found: list[str] = []
    sharing = Sharing(elsewhere)
    try:
        for record in records(path, found):
            if isinstance(record, SlotEntry) and header is not None:
                slot, problem = priced_only(sharing.ours(record.slot), rates)
                if problem and problem not in found:
                    found.append(problem)
                if rates is not None:
                    yield PricedSlot(header, devices, slot, rates)
            elif isinstance(record, RatesChange):
                rates = record.rates
            elif isinstance(record, Devices):
                devices = devices | {device.uuid: device for device in record.devices}
            elif isinstance(record, Header):
                header = record
                sharing.time.begins(header.anchor)
    finally:
        problems += [f"{path}: {problem}" for problem in found]


@dataclass(slots=True)
class Use:
    """What runs of one currency used in a billing period, and what their receipts charged for it.

    `drawn` is the energy that was paid as electricity, facility and all, by UTC minute; `electricity` is what it costs
    at the prices of a schedule, where there is one. `rented` is what commitments may stand in place of.
    """

    period: Period
    currency: str
    is_simulated: bool
    runs: set[str] = field(default_factory=set)
    metered: dict[Component, Decimal] = field(default_factory=dict)
    electricity: Decimal = Decimal(0)
    drawn: dict[int, int] = field(default_factory=dict)
    rented: dict[Stretch, Rented] = field(default_factory=dict)
    gpu_nanoseconds: int = 0
    unmeasured_nanoseconds: int = 0

    def add(self, priced: PricedSlot, schedule: Schedule | None, commitments: Sequence[Commitment] = ()) -> None:
        """Count one slot in."""
        slot, rates = priced.slot, priced.rates
        charged = charge(slot, rates)
        self.runs.add(priced.header.run)
        metered = _by_component(charged.values())
        for component, amount in metered.items():
            self.metered[component] = self.metered.get(component, _NOTHING) + amount
        self.electricity += _electricity(slot, rates, metered, schedule)
        paying = [uuid for uuid in slot.devices if rates.devices[uuid].pays_electricity]
        self.gpu_nanoseconds += sum(_gpu_nanoseconds(priced, uuid) for uuid in slot.devices)
        self.unmeasured_nanoseconds += sum(slot.devices[uuid].unknown_energy_nanoseconds for uuid in paying)
        facility_uj = sum(
            slot.devices[uuid].microjoules + slot.devices[uuid].host_microjoules + charged[uuid].overhead_microjoules
            for uuid in paying
        )
        for minute_ns, energy_uj in _minutes(slot, facility_uj):
            self.drawn[minute_ns] = self.drawn.get(minute_ns, 0) + energy_uj
        if commitments and "rental" in metered:
            self._rent(priced, charged, commitments)

    def _rent(self, priced: PricedSlot, charged: Mapping[str, DeviceCharge], commitments: Sequence[Commitment]) -> None:
        """Count the GPUs of a slot in that have a rent and a commitment that is for them, and what the rent was."""
        for uuid, each in charged.items():
            rental = _by_component([each]).get("rental")
            device = priced.devices.get(uuid)
            if rental is None or device is None:
                continue
            fitting = tuple(place for place, each in enumerate(commitments) if each.fits(device))
            stretch = Stretch(priced.slot.start_utc_ns, priced.slot.end_utc_ns, fitting)
            before = self.rented.get(stretch, Rented(0, _NOTHING))
            rented_ns = before.nanoseconds + _gpu_nanoseconds(priced, uuid)
            self.rented[stretch] = Rented(rented_ns, before.rental + rental)


#: A period, a currency, and whether the GPUs were simulated: what is not one of these is never added.
Key = tuple[Period, str, bool]


@dataclass(frozen=True, slots=True)
class Sought:
    """Which use is asked for. `period_of` has the billing period of an instant; None is of no interest.

    `schedule` is the price of a kWh in `currency` that electricity is to be billed at; None leaves it as metered.
    `commitments` are in that currency, too.
    """

    period_of: Callable[[int], Period | None]
    currency: str
    schedule: Schedule | None = None
    commitments: tuple[Commitment, ...] = ()
    only: Period | None = None


@dataclass(slots=True)
class Found:
    """The use of each period, what could not be read, how many journals there are, and why some are not counted."""

    uses: dict[Key, Use] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    journals: int = 0
    refusals: list[str] = field(default_factory=list)


def use_by_period(paths: Sequence[Path], sought: Sought, elsewhere: Mapping[Path, Windows] | None = None) -> Found:
    """What journals hold, by billing period, currency and whether it was simulated.

    What is `elsewhere`, by journal, counts from another one. A journal that says itself that it lies outside `only` is
    not read.
    """
    found = Found(journals=len(paths))
    for path in paths:
        if sought.only and ran_outside(path, sought.only.start_utc_ns, sought.only.end_utc_ns):
            continue
        try:
            for priced in priced_slots(path, found.problems, (elsewhere or {}).get(path)):
                _count(priced, sought, found.uses)
        except JournalError as refusal:
            found.refusals.append(f"{refusal.message}; not counted")
        except (ValueError, OverflowError, OSError) as problem:  # what no calendar has
            found.refusals.append(f"{path}: a slot at no date: {problem}; not counted from there on")
    return found


def _count(priced: PricedSlot, sought: Sought, uses: dict[Key, Use]) -> None:
    """Add a slot to the use of its period."""
    period = sought.period_of(priced.slot.start_utc_ns)
    if period is None:
        return
    key = period, priced.rates.currency, priced.header.simulated
    if key not in uses:
        uses[key] = Use(*key)
    is_ours = priced.rates.currency == sought.currency
    uses[key].add(priced, sought.schedule if is_ours else None, sought.commitments if is_ours else ())


def _by_component(charged: Iterable[DeviceCharge]) -> dict[Component, Decimal]:
    """Charges less credits, of all devices."""
    amounts: dict[Component, Decimal] = {}
    for each in charged:
        for (component, _), amount in each.charges.items():
            amounts[component] = amounts.get(component, _NOTHING) + amount
        for (component, _), amount in each.credits.items():
            amounts[component] = amounts.get(component, _NOTHING) - amount
    return amounts


def _electricity(slot: Slot, rates: Rates, metered: dict[Component, Decimal], schedule: Schedule | None) -> Decimal:
    """A slot's electricity at the price of a schedule; charged anew only where that is another than its own."""
    as_metered = metered.get("electricity", _NOTHING)
    if schedule is None:
        return as_metered
    price = schedule.at(slot.start_utc_ns)
    if price == rates.electricity_per_kwh:
        return as_metered
    return _by_component(charge(slot, replace(rates, electricity_per_kwh=price)).values()).get("electricity", _NOTHING)


def _gpu_nanoseconds(priced: PricedSlot, uuid: str) -> int:
    """How long a GPU was held; of a MIG instance, its slices' part."""
    held_ns = priced.slot.devices[uuid].nanoseconds
    device = priced.devices.get(uuid)
    return held_ns if device is None or device.mig is None else held_ns * device.mig.width // device.mig.slices


def _minute(utc_ns: int) -> int:
    return utc_ns - utc_ns % NANOSECONDS_PER_MINUTE


def _minutes(slot: Slot, energy_uj: int) -> Iterator[tuple[int, int]]:
    """The energy of a slot by UTC minute: all in one, unless the record of it is longer; then evenly, and telescoping.

    Nothing is yielded for a slot without energy.
    """
    length_ns, before_uj = slot.end_utc_ns - slot.start_utc_ns, 0
    minute_ns = _minute(slot.start_utc_ns)
    while before_uj < energy_uj:
        passed_ns = min(minute_ns + NANOSECONDS_PER_MINUTE, slot.end_utc_ns) - slot.start_utc_ns
        upto_uj = portion(energy_uj, passed_ns, length_ns)
        yield minute_ns, upto_uj - before_uj
        before_uj, minute_ns = upto_uj, minute_ns + NANOSECONDS_PER_MINUTE
