"""The book of rates: every schedule of a site, and what they add up to for the GPUs of a node at an instant.

Each figure leaves the book with its origin: `configured` (and where), `list price <month>` (and whose), or `estimated`
(a default that nobody chose, and the setting that replaces it).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from costmeter.meter.charge import Component, DeviceRates, Origin, Rates
from costmeter.meter.schedule import Constant, Schedule
from costmeter.rates.match import EVERY_GPU, Match
from costmeter.rates.prices import (
    DEFAULT_CURRENCY,
    DEFAULT_ELECTRICITY_PER_KWH,
    EMBODIED_LIFE_YEARS,
    HOURS_PER_YEAR,
    WORLD_GRAMS_PER_KWH,
    WORLD_GRID,
    DefaultPrice,
    default_price,
    embodied,
)
from costmeter.readings import Device, Mig


@dataclass(frozen=True, slots=True)
class Sourced:
    """A schedule and where it was written."""

    schedule: Schedule
    origin: Origin


@dataclass(frozen=True, slots=True)
class Instance:
    """A price for a whole machine, shared by its GPUs: the `gpus` named, else those of the node."""

    price_per_hour: Decimal
    gpus: int | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class Owned:
    """A bought GPU: straight line from purchase to residual over its life, per powered hour, busy or not."""

    purchase: Decimal
    origin: Origin
    residual: Decimal = Decimal(0)
    life_years: Decimal = Decimal(4)
    maintenance_per_year: Decimal = Decimal(0)
    expected_use: Decimal | None = None

    @property
    def capital_per_hour(self) -> Decimal:
        """(purchase - residual) / (life years × 8,760) + purchase × maintenance per year / 8,760."""
        straight_line = (self.purchase - self.residual) / (self.life_years * HOURS_PER_YEAR)
        return straight_line + self.purchase * self.maintenance_per_year / HOURS_PER_YEAR

    @property
    def hourly(self) -> "Hourly":
        """Capital, and with an expected use the share of the hours in which nobody will hold the GPU."""
        capital = self.capital_per_hour
        if self.expected_use is None:
            return (("capital", capital),)
        return (("capital", capital), ("idle_share", capital * (1 / self.expected_use - 1)))


@dataclass(frozen=True, slots=True)
class GpuPlan:
    """How the GPUs that fit are paid for. `owned` None means rented; `price` None means at list price."""

    match: Match = EVERY_GPU
    price: Sourced | Instance | None = None
    owned: Owned | None = None


#: What one GPU costs per hour held, by component.
Hourly = tuple[tuple[Component, Decimal], ...]

LIST_PRICE = GpuPlan()
PUE_NOT_SET = Sourced(Constant(Decimal(1)), Origin("estimated", "not set: cooling not counted; set electricity.pue"))
WORLD_AVERAGE = Sourced(Constant(WORLD_GRAMS_PER_KWH), Origin("estimated", f"{WORLD_GRID}; set carbon.intensity"))
HOST_NOT_SET = Origin("estimated", "missing: the host's power is not measured; set host.power in watts")


@dataclass(frozen=True, slots=True)
class Book:
    """Every schedule of a site. The book of no settings at all is `Book()`."""

    currency: str = DEFAULT_CURRENCY
    gpus: tuple[GpuPlan, ...] = ()
    electricity: Sourced | None = None
    pue: Sourced = PUE_NOT_SET
    carbon: Sourced = WORLD_AVERAGE
    #: Grams per GPU-hour; None is the published figure of each model.
    embodied: Sourced | None = None
    host: Origin = HOST_NOT_SET

    def at(self, utc_ns: int, devices: Sequence[Device], node_gpus: int | None = None) -> Rates:
        """Every price that holds at an instant for these GPUs.

        `node_gpus` is how many GPUs the node has, for prices per instance; without it the GPUs given are all it has.
        """
        entries = {device.uuid: self._entry(device, utc_ns, node_gpus or len(devices)) for device in devices}
        pays = any(entry.rates.pays_electricity for entry in entries.values())
        electricity = self._electricity(pays)
        origins = {
            **_merged("gpu.price", {uuid: e.price for uuid, e in entries.items()}),
            "electricity.price": electricity.origin,
            "electricity.pue": self.pue.origin,
            "carbon.intensity": self.carbon.origin,
            **_merged("carbon.embodied", {uuid: e.embodied for uuid, e in entries.items()}),
            "host.power": self.host,
        }
        return Rates(
            self.currency,
            {uuid: entry.rates for uuid, entry in entries.items()},
            electricity.schedule.at(utc_ns),
            self.pue.schedule.at(utc_ns),
            self.carbon.schedule.at(utc_ns),
            origins,
        )

    def unpriced(self, devices: Sequence[Device]) -> list[Device]:
        """The GPUs whose price nobody knows: their time costs nothing in the totals until a price is set."""
        return [device for device in devices if not self._entry(device, 0, 1).rates.hourly]

    def _entry(self, device: Device, utc_ns: int, node_gpus: int) -> "_Entry":
        plan = next((plan for plan in self.gpus if plan.match.fits(device)), LIST_PRICE)
        grams_per_hour, embodied_origin = self._embodied(device, utc_ns)
        if plan.owned is not None:
            hourly, price_origin = plan.owned.hourly, plan.owned.origin
        else:
            hourly, price_origin = self._rental(plan.price, device, utc_ns, node_gpus)
        if device.mig is not None:
            hourly = tuple((component, _sliced(per_hour, device.mig)) for component, per_hour in hourly)
            grams_per_hour = _sliced(grams_per_hour, device.mig)
            price_origin, embodied_origin = (_part_of(o, device.mig) for o in (price_origin, embodied_origin))
        return _Entry(DeviceRates(hourly, plan.owned is not None, grams_per_hour), price_origin, embodied_origin)

    def _rental(
        self, price: Sourced | Instance | None, device: Device, utc_ns: int, node_gpus: int
    ) -> tuple[Hourly, Origin]:
        if isinstance(price, Instance):
            return (("rental", price.price_per_hour / (price.gpus or node_gpus)),), price.origin
        if price is not None:
            return (("rental", price.schedule.at(utc_ns)),), price.origin
        if self.currency != DEFAULT_CURRENCY:
            reason = f"missing: list prices are in {DEFAULT_CURRENCY}, not {self.currency}"
            return (), Origin("estimated", f"{reason}; set gpu.price")
        listed = default_price(device.name)
        if listed is None:
            return (), Origin("estimated", f'missing: no list price for "{device.name}"; set gpu.price')
        return (("rental", listed.price_usd_per_gpu_hour),), _listed_origin(listed)

    def _electricity(self, pays: bool) -> Sourced:
        """The configured price, else the default for those who pay for electricity in its currency, else nothing."""
        if self.electricity is not None:
            return self.electricity
        if not pays:
            return Sourced(Constant(Decimal(0)), Origin("estimated", "not charged: rent includes electricity"))
        if self.currency != DEFAULT_CURRENCY:
            missing = f"missing: the default is in {DEFAULT_CURRENCY}, not {self.currency}; set electricity.price"
            return Sourced(Constant(Decimal(0)), Origin("estimated", missing))
        default = f"default {DEFAULT_ELECTRICITY_PER_KWH} {DEFAULT_CURRENCY}/kWh; set electricity.price"
        return Sourced(Constant(DEFAULT_ELECTRICITY_PER_KWH), Origin("estimated", default))

    def _embodied(self, device: Device, utc_ns: int) -> tuple[Decimal, Origin]:
        if self.embodied is not None:
            return self.embodied.schedule.at(utc_ns), self.embodied.origin
        figure = embodied(device.name)
        if figure is None:
            missing = f'missing: no published figure for "{device.name}"; set carbon.embodied in g/h'
            return Decimal(0), Origin("estimated", missing)
        spread = f"{figure.kilograms} kg over {EMBODIED_LIFE_YEARS} years ({figure.source})"
        return figure.grams_per_hour, Origin("estimated", spread)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One GPU's rates and where its price and its embodied carbon come from."""

    rates: DeviceRates
    price: Origin
    embodied: Origin


def _sliced(whole: Decimal, mig: Mig) -> Decimal:
    """A MIG instance's part of what its board costs: by its slices, to 1e-12 of the unit."""
    return (whole * mig.width / mig.slices).quantize(_FINEST)


#: A charge is kept to this part of its currency.
_FINEST = Decimal("1e-12")


def _part_of(origin: Origin, mig: Mig) -> Origin:
    return Origin(origin.word, f"{mig.width}/{mig.slices} of {origin.detail}")


def _listed_origin(listed: DefaultPrice) -> Origin:
    sellers = "1 seller" if listed.sellers == 1 else f"{listed.sellers} sellers {listed.low} to {listed.high}"
    detail = f"{listed.gpu_key} at {listed.seller}, {sellers} {DEFAULT_CURRENCY}; set yours: --price or gpu.price"
    return Origin(f"list price {listed.month}", detail)


def _merged(name: str, origins: Mapping[str, Origin]) -> dict[str, Origin]:
    """One origin under the setting's name where all GPUs share it, else one per GPU with its UUID after the name."""
    if len(set(origins.values())) == 1:
        return {name: next(iter(origins.values()))}
    return {f"{name}.{uuid}": origin for uuid, origin in origins.items()}
