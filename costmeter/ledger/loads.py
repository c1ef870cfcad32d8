"""What runs used and were charged, by billing period: slots of journals, one after the other, and never all at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.journal import open_slot
from costmeter.ledger.line import decode
from costmeter.ledger.query import UNPRICED, load_run, run_ids
from costmeter.ledger.record import Devices, Header, RatesChange, Record, SlotEntry
from costmeter.meter.charge import Component, DeviceCharge, Rates, charge
from costmeter.meter.period import Period
from costmeter.meter.schedule import Schedule
from costmeter.meter.slot import Slot
from costmeter.rates.committed import Rented
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


def journal_paths(state: Path, runs: Sequence[str]) -> list[Path]:
    """The journals of the runs named (ids, journals, folders of them), or of all runs. Raises JournalError."""
    found: list[Path] = []
    for run_id in runs or run_ids(state):
        given = Path(run_id)
        is_path = "/" in run_id or (given.suffix == ".jsonl" and given.exists())
        folder = given if is_path else state / "runs" / run_id
        paths = [folder] if folder.is_file() else sorted(folder.glob("*.jsonl"))
        if not paths:
            load_run(state, run_id)  # it says why, and which run is near
        found += paths
    return list(dict.fromkeys(found))


def priced_slots(path: Path, problems: list[str]) -> Iterator[PricedSlot]:
    """The slots of one journal, the open one last. What cannot be read is added to `problems`, and the rest is read."""
    header: Header | None = None
    devices: dict[str, Device] = {}
    rates: Rates | None = None
    for record in _records(path, problems):
        if isinstance(record, Header):
            header = record
        elif isinstance(record, Devices):
            devices = devices | {device.uuid: device for device in record.devices}
        elif isinstance(record, RatesChange):
            rates = record.rates
        elif isinstance(record, SlotEntry) and header is not None:
            if rates is not None:
                yield PricedSlot(header, devices, record.slot, rates)
            elif (said := f"{path}: {UNPRICED}") not in problems:
                problems.append(said)


def _records(path: Path, problems: list[str]) -> Iterator[Record]:
    """The records of a journal in order; it needs a readable header, as everywhere."""
    order: tuple[str, ...] = ()
    closed: set[int] = set()
    is_first = True
    try:
        for place, line in _lines(path, problems):
            try:
                record = decode(line, order)
            except ValueError as problem:
                problems.append(f"{place}: unreadable, skipped: {problem}")
                continue
            if record is None:
                continue
            if is_first and not isinstance(record, Header):
                break
            is_first = False
            if isinstance(record, Devices):
                order = tuple(device.uuid for device in record.devices)
            elif isinstance(record, SlotEntry):
                closed.add(record.slot.number)
            yield record
    except JournalError as refusal:
        problems.append(f"{path}: {refusal.message}; not counted")
        return
    if is_first:
        problems.append(f"{path}: no readable header line; not counted")
        return
    yield from open_slot(path, closed, order)


def _lines(path: Path, problems: list[str]) -> Iterator[tuple[str, bytes]]:
    """Every whole line and its place. Raises JournalError for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield f"{path}:{number}", line[:-1]
                else:
                    problems.append(f"{path}: last line torn, dropped")
    except OSError as refusal:
        raise JournalError(f"cannot be read: {refusal.strerror}") from refusal


@dataclass(slots=True)
class Use:
    """What runs of one currency used in a billing period, and what their receipts charged for it.

    `load` is the energy that was paid as electricity, facility and all, by UTC minute; `electricity` is what it costs
    at the prices of a schedule, where there is one. `rented` is by UTC minute.
    """

    period: Period
    currency: str
    is_simulated: bool
    runs: set[str] = field(default_factory=set)
    metered: dict[Component, Decimal] = field(default_factory=dict)
    electricity: Decimal = Decimal(0)
    load: dict[int, int] = field(default_factory=dict)
    rented: dict[int, Rented] = field(default_factory=dict)
    gpu_nanoseconds: int = 0
    unmeasured_nanoseconds: int = 0

    def add(self, priced: PricedSlot, schedule: Schedule | None) -> None:
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
            self.load[minute_ns] = self.load.get(minute_ns, 0) + energy_uj
        if "rental" in metered:
            self._rent(priced, charged, metered["rental"])

    def _rent(self, priced: PricedSlot, charged: Mapping[str, DeviceCharge], rental: Decimal) -> None:
        """Count the GPUs of a slot in that have a rent, and what it was."""
        rented = (uuid for uuid, each in charged.items() if any(key[0] == "rental" for key in each.charges))
        minute_ns = _minute(priced.slot.start_utc_ns)
        before = self.rented.get(minute_ns, Rented(0, _NOTHING))
        rented_ns = sum(_gpu_nanoseconds(priced, uuid) for uuid in rented)
        self.rented[minute_ns] = Rented(before.nanoseconds + rented_ns, before.rental + rental)


#: A period, a currency, and whether the GPUs were simulated: what is not one of these is never added.
Key = tuple[Period, str, bool]


def use_by_period(
    paths: Sequence[Path],
    period_of: Callable[[int], Period | None],
    schedule: Schedule | None,
    currency: str,
    problems: list[str],
) -> dict[Key, Use]:
    """What journals hold, by billing period (None: of no interest), currency and whether it was simulated.

    `schedule` is the price of a kWh in `currency` that electricity is to be billed at; None leaves it as metered.
    """
    found: dict[Key, Use] = {}
    for path in paths:
        for priced in priced_slots(path, problems):
            period = period_of(priced.slot.start_utc_ns)
            if period is None:
                continue
            key = period, priced.rates.currency, priced.header.simulated
            if key not in found:
                found[key] = Use(*key)
            found[key].add(priced, schedule if priced.rates.currency == currency else None)
    return found


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
