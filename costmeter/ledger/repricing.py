"""A run's own rates with some of them replaced: what a scenario prices the recorded quantities with.

A journal keeps rates as values, without the schedules they came from. So a scenario takes the journal's own rates at
each instant and replaces in them what it names, and nothing else: what is not named stays as it was, to the last digit.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from costmeter.errors import JournalError
from costmeter.ledger.line import decode
from costmeter.ledger.lines import line_blocks
from costmeter.ledger.pricing import Unpriceable
from costmeter.ledger.ratesline import Origins, fingerprint
from costmeter.ledger.reading import NOT_OURS
from costmeter.ledger.record import Devices, Header, RatesChange
from costmeter.meter.charge import DeviceRates, Origin, Rates
from costmeter.meter.series import OPEN_END
from costmeter.rates.book import Book, Quotation
from costmeter.readings import Device
from costmeter.units import NANOSECONDS_PER_MINUTE

#: What a scenario may replace of a run's own rates. `gpu` is what its GPUs cost per hour, and whether they pay for
#: power.
Setting = Literal["gpu", "electricity", "pue", "carbon", "embodied"]
#: The origins that go with each.
_ORIGINS: Mapping[Setting, tuple[str, ...]] = {
    "gpu": ("gpu.price",),
    "electricity": ("electricity.price",),
    "pue": ("electricity.pue",),
    "carbon": ("carbon.intensity", "carbon.market"),
    "embodied": ("carbon.embodied",),
}
#: Lines with anything else are not even decoded.
_WANTED = re.compile(b'{"type":"(?:header|devices|rates)"')


@dataclass(frozen=True, slots=True)
class Change:
    """What a scenario replaces: those settings that it names, by what its book says of them; or every price."""

    book: Book = field(default_factory=Book)
    replaced: frozenset[Setting] = frozenset()
    is_everything: bool = False

    @property
    def has_money(self) -> bool:
        """Whether a price is replaced, and not only what is emitted or cooled."""
        return self.is_everything or bool(self.replaced & {"gpu", "electricity"})


class OwnRates:
    """The rates that one part was recorded under, by instant. Before the first the first hold."""

    def __init__(self, changes: Iterable[RatesChange]) -> None:
        by_minute: dict[int, Rates] = {}
        for change in changes:  # one that came later in the same minute knew more GPUs
            by_minute[change.at_utc_ns - change.at_utc_ns % NANOSECONDS_PER_MINUTE] = change.rates
        self._starts_utc_ns = sorted(by_minute)
        self._rates = [by_minute[start] for start in self._starts_utc_ns]

    @property
    def is_empty(self) -> bool:
        """Whether the journal has no readable rates at all."""
        return not self._rates

    def at(self, utc_ns: int) -> Rates:
        """The rates that hold at an instant; the identical object while they hold."""
        return self._rates[max(0, bisect_right(self._starts_utc_ns, utc_ns) - 1)]

    def until(self, utc_ns: int) -> int:
        """An instant up to which, and not including it, they surely hold."""
        after = bisect_right(self._starts_utc_ns, utc_ns)
        return self._starts_utc_ns[after] if after < len(self._starts_utc_ns) else OPEN_END


class Changed:
    """Own rates with a change over them. `shift_ns` is how much later the run is taken to have been.

    Own rates are always those of the recorded instant: nobody knows which others the journal would have.
    """

    def __init__(self, own: OwnRates, quotation: Quotation, change: Change, shift_ns: int = 0) -> None:
        self._own, self._quotation, self._change, self._shift_ns = own, quotation, change, shift_ns
        self._last: tuple[Rates | None, Rates, Rates] | None = None

    def at(self, utc_ns: int) -> Rates:
        """The rates of the scenario; the identical object while nothing changes."""
        own = None if self._own.is_empty else self._own.at(utc_ns)
        other = self._quotation.at(utc_ns + self._shift_ns)
        last = self._last
        if last is None or last[0] is not own or last[1] is not other:
            last = self._last = (own, other, _over(own, other, self._change))
        return last[2]

    def until(self, utc_ns: int) -> int:
        """An instant up to which, and not including it, neither the own nor the other rates change; maybe too early."""
        return min(self._own.until(utc_ns), self._quotation.until(utc_ns + self._shift_ns) - self._shift_ns)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one journal says of how its slots are priced: all of it but them.

    `node_gpus` are the numbers of GPUs that the node was ever known to have, which share the price of a machine.
    """

    header: Header
    devices: tuple[Device, ...]
    start_utc_ns: int
    currency: str
    rates: OwnRates
    node_gpus: frozenset[int] = frozenset()


def recipe(path: Path) -> Recipe:
    """The recipe of a journal; slots are not read. Damaged lines are passed over.

    Raises JournalError where there is no readable header.
    """
    header: Header | None = None
    devices: dict[str, Device] = {}
    starts_ns: list[int] = []
    node_gpus: set[int] = set()
    order: tuple[str, ...] = ()
    told: dict[str, Origins] = {}
    changes: list[RatesChange] = []
    for line in _lines(path):
        try:
            record = decode(line, order, told)
        except ValueError:
            continue
        except JournalError as refusal:
            raise JournalError(f"{path}: {refusal.message}", refusal.hint) from refusal
        if isinstance(record, Header):
            header = header or record
        elif isinstance(record, Devices):
            order = tuple(device.uuid for device in record.devices)
            devices |= {device.uuid: device for device in record.devices}
            starts_ns += record.since_ns.values()
            node_gpus.add(record.node_gpus)
        elif isinstance(record, RatesChange):
            told[fingerprint(record.rates.origins)] = record.rates.origins
            changes.append(record)
    if header is None:
        raise JournalError(f"{path}: no readable header line", NOT_OURS)
    start_utc_ns = header.anchor.utc(min([header.start_ns, *starts_ns]))
    currency = changes[-1].rates.currency if changes else header.currency
    rates = OwnRates(changes)
    return Recipe(header, tuple(devices.values()), start_utc_ns, currency, rates, frozenset(node_gpus))


def _lines(path: Path) -> Iterable[bytes]:
    """The whole lines of a journal that may be wanted. Raises JournalError for what is no file."""
    for _, block in line_blocks(path, [], _WANTED):
        yield from [line for line in block if _WANTED.match(line)]


def _over(own: Rates | None, other: Rates, change: Change) -> Rates:
    """Own rates with what is replaced, and the origins that belong to it."""
    if own is None:
        if not change.is_everything:
            raise Unpriceable("its journal has no readable prices that the scenario could leave as they were")
        return other
    if change.has_money and not change.is_everything and own.currency != other.currency:
        raise Unpriceable(f"it was priced in {own.currency}, and the scenario's prices are in {other.currency}")
    if change.is_everything:
        return replace(other, origins={**other.origins, **_named(own.origins, ("host.power",))})
    replaced: set[Setting] = set(change.replaced)
    devices = {uuid: _device(mine, other.devices.get(uuid), replaced) for uuid, mine in own.devices.items()}
    if "gpu" in replaced and _needs_power(own, devices):
        replaced.add("electricity")
    taken = tuple(name for setting in replaced for name in _ORIGINS[setting])
    kept = {name: origin for name, origin in own.origins.items() if not _named({name: origin}, taken)}
    return Rates(
        own.currency,
        devices,
        other.electricity_per_kwh if "electricity" in replaced else own.electricity_per_kwh,
        other.pue if "pue" in replaced else own.pue,
        other.carbon_grams_per_kwh if "carbon" in replaced else own.carbon_grams_per_kwh,
        kept | _named(other.origins, taken),
        # A market-based factor stands beside its own grid only.
        other.market_grams_per_kwh if "carbon" in replaced else own.market_grams_per_kwh,
    )


def _needs_power(own: Rates, devices: Mapping[str, DeviceRates]) -> bool:
    """Whether GPUs now pay for electricity whose price the run never asked for."""
    paid = any(rates.pays_electricity for rates in own.devices.values())
    origin = own.origins.get("electricity.price")
    is_known = paid or (origin is not None and origin.word == "configured")
    return any(rates.pays_electricity for rates in devices.values()) and not is_known


def _device(own: DeviceRates, other: DeviceRates | None, replaced: set[Setting]) -> DeviceRates:
    if other is None:
        return own
    priced = other if "gpu" in replaced else own
    grams = (other if "embodied" in replaced else own).embodied_grams_per_hour
    return DeviceRates(priced.hourly, priced.pays_electricity, grams)


def _named(origins: Mapping[str, Origin], names: tuple[str, ...]) -> dict[str, Origin]:
    """The origins of these settings, be they one for all GPUs or one for each."""
    return {
        name: origin
        for name, origin in origins.items()
        if any(name == setting or name.startswith(f"{setting}.") for setting in names)
    }
