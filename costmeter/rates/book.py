"""The book of rates: every schedule of a site, and what they add up to for the GPUs of a node at an instant.

Each figure leaves the book with its origin: `configured` (and where), `list price <month>` (and whose), or `estimated`
(a default that nobody chose, and the setting that replaces it; or a schedule that has no value of its own for the
instant, and why).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from costmeter.meter.charge import CAPITAL, Component, DeviceRates, Origin, Rates
from costmeter.meter.lowest import can_be_negative
from costmeter.meter.schedule import Constant, Schedule
from costmeter.meter.series import OPEN_END
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
    key,
)
from costmeter.readings import Device, Mig


@dataclass(frozen=True, slots=True)
class Sourced:
    """A schedule and where it was written. `dated` is the ISO day or month its figures are of, where somebody says.

    `gpu_key` is the model that a price is of, as the tables call it; empty where it is for any.
    """

    schedule: Schedule
    origin: Origin
    dated: str = ""
    gpu_key: str = ""

    def origin_at(self, utc_ns: int) -> Origin:
        """The origin at an instant: an estimate while the schedule doubts its own figure, which then says why."""
        doubt = self.schedule.doubt(utc_ns)
        return Origin("estimated", f"{doubt}; {self.origin.detail}") if doubt else self.origin


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
            return ((CAPITAL, capital),)
        return ((CAPITAL, capital), ("idle_share", capital * (1 / self.expected_use - 1)))


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
    #: The market-based factor, shown beside `carbon`; None is none.
    market: Sourced | None = None

    def at(self, utc_ns: int, devices: Sequence[Device], node_gpus: int | None = None) -> Rates:
        """Every price that holds at an instant for these GPUs: for callers who ask once.

        `node_gpus` is how many GPUs the node has, for prices per instance; without it the GPUs given are all it has.
        """
        return self.quotation(devices, node_gpus).at(utc_ns)

    def quotation(self, devices: Sequence[Device], node_gpus: int | None = None) -> "Quotation":
        """What these GPUs cost over time, what does not depend on the instant worked out: for the caller to keep."""
        return Quotation(self, tuple(devices), node_gpus or len(devices))

    def without_idle_share(self) -> "Book":
        """The book of a meter that counts what nobody holds itself: nothing is added for it to what somebody holds."""
        plans = (
            plan if plan.owned is None else replace(plan, owned=replace(plan.owned, expected_use=None))
            for plan in self.gpus
        )
        return replace(self, gpus=tuple(plans))

    def unpriced(self, devices: Sequence[Device]) -> list[Device]:
        """The GPUs whose price nobody knows: their time costs nothing in the totals until a price is set."""
        return [device for device in devices if not self.line(device, 1).is_priced]

    def misplaced(self, devices: Sequence[Device]) -> list[tuple[Device, str]]:
        """The GPUs whose price is a list price of another model, and of which. Some rows leave the form factor open."""
        found = []
        for device in devices:
            price = self._plan(device).price
            meant = price.gpu_key if isinstance(price, Sourced) and self._plan(device).owned is None else ""
            own = key(device.name)
            if meant and own and not own.startswith(meant.removesuffix("-unspecified")):
                found.append((device, meant))
        return found

    def _plan(self, device: Device) -> GpuPlan:
        return next((plan for plan in self.gpus if plan.match.fits(device)), LIST_PRICE)

    def line(self, device: Device, node_gpus: int) -> "Line":
        """How one GPU is priced: by the first plan that fits, else at list price."""
        plan = self._plan(device)
        embodied = self.embodied or _published(device)
        if plan.owned is not None:
            return Line(plan.owned.hourly, None, True, plan.owned.origin, embodied, device.mig)
        if isinstance(plan.price, Sourced):
            return Line((), plan.price, False, plan.price.origin, embodied, device.mig)
        hourly, origin = self._rental(plan.price, device, node_gpus)
        return Line(hourly, None, False, origin, embodied, device.mig)

    def power(self, pays: bool) -> Sourced:
        """The configured price of a kWh, else the default for those who pay for it in its currency, else nothing."""
        if self.electricity is not None:
            return self.electricity
        if not pays:
            return Sourced(Constant(Decimal(0)), Origin("estimated", "not charged: rent includes electricity"))
        if self.currency != DEFAULT_CURRENCY:
            missing = f"missing: the default is in {DEFAULT_CURRENCY}, not {self.currency}; set electricity.price"
            return Sourced(Constant(Decimal(0)), Origin("estimated", missing))
        default = f"default {DEFAULT_ELECTRICITY_PER_KWH} {DEFAULT_CURRENCY}/kWh; set electricity.price"
        return Sourced(Constant(DEFAULT_ELECTRICITY_PER_KWH), Origin("estimated", default))

    def _rental(self, price: Instance | None, device: Device, node_gpus: int) -> tuple[Hourly, Origin]:
        if price is not None:
            return (("rental", price.price_per_hour / (price.gpus or node_gpus)),), price.origin
        if self.currency != DEFAULT_CURRENCY:
            reason = f"missing: list prices are in {DEFAULT_CURRENCY}, not {self.currency}"
            return (), Origin("estimated", f"{reason}; set gpu.price")
        listed = default_price(device.name)
        if listed is None:
            return (), Origin("estimated", f'missing: no list price for "{device.name}"; set gpu.price')
        return (("rental", listed.price_usd_per_gpu_hour),), _listed_origin(listed)


@dataclass(frozen=True, slots=True)
class Line:
    """How one kind of GPU is priced: `hourly` always, or as `rent` has it; and its embodied carbon in grams per hour.

    With `mig` both are the board's, of which the instance has its slices.
    """

    hourly: Hourly
    rent: Sourced | None
    pays_electricity: bool
    origin: Origin
    embodied: Sourced
    mig: Mig | None

    @property
    def is_priced(self) -> bool:
        """Whether anybody knows what it costs."""
        return bool(self.hourly) or self.rent is not None

    def at(self, utc_ns: int) -> "_Entry":
        """What holds at an instant, and where it comes from."""
        hourly, price_origin = self.hourly, self.origin
        if self.rent is not None:
            hourly, price_origin = (("rental", self.rent.schedule.at(utc_ns)),), self.rent.origin_at(utc_ns)
        grams, embodied_origin = self.embodied.schedule.at(utc_ns), self.embodied.origin_at(utc_ns)
        if self.mig is not None:
            hourly = tuple((component, _sliced(per_hour, self.mig)) for component, per_hour in hourly)
            grams = _sliced(grams, self.mig)
            price_origin, embodied_origin = (_part_of(o, self.mig) for o in (price_origin, embodied_origin))
        return _Entry(DeviceRates(hourly, self.pays_electricity, grams), price_origin, embodied_origin)


class Quotation:
    """What one set of GPUs costs over time. Made once; `at` then costs what changes, and no more.

    GPUs of one model under one plan share a line, so that a node of 1,024 has as few lines as it has kinds.
    """

    def __init__(self, book: Book, devices: tuple[Device, ...], node_gpus: int) -> None:
        known: dict[tuple[int, str, Mig | None], Line] = {}
        self._line_of: dict[str, Line] = {}
        for device in devices:
            position = next((at for at, plan in enumerate(book.gpus) if plan.match.fits(device)), -1)
            kind = (position, device.name, device.mig)
            if kind not in known:
                known[kind] = book.line(device, node_gpus)
            self._line_of[device.uuid] = known[kind]
        self._lines = list({id(line): line for line in self._line_of.values()}.values())
        self._book = book
        self._power = book.power(any(line.pays_electricity for line in self._lines))
        figures = [self._power, book.pue, book.carbon, *(line.embodied for line in self._lines)]
        figures += [figure for figure in (book.market, *(line.rent for line in self._lines)) if figure is not None]
        changing = (figure.schedule for figure in figures if not isinstance(figure.schedule, Constant))
        self._changing = tuple({id(schedule): schedule for schedule in changing}.values())
        self._last: tuple[tuple[tuple[Decimal, str], ...], Rates] | None = None

    def at(self, utc_ns: int) -> Rates:
        """Every price that holds at an instant; the same object again while nothing changes."""
        state = tuple((schedule.at(utc_ns), schedule.doubt(utc_ns)) for schedule in self._changing)
        last = self._last
        if last is None or last[0] != state:
            last = self._last = (state, self._rates(utc_ns))
        return last[1]

    @property
    def can_be_negative(self) -> bool:
        """Whether anything that is charged has a price below nothing at any time, and so may pay back."""
        if any(per_hour < 0 for line in self._lines for _, per_hour in line.hourly):
            return True
        charged = [line.rent.schedule for line in self._lines if line.rent is not None]
        if any(line.pays_electricity for line in self._lines):
            charged.append(self._power.schedule)
        return any(map(can_be_negative, charged))

    def until(self, utc_ns: int) -> int:
        """An instant up to which, and not including it, every price surely stays; it may be too early."""
        from costmeter.meter.lasting import holds_until  # loads calendars, which a meter may have no use for

        return min((holds_until(schedule, utc_ns) for schedule in self._changing), default=OPEN_END)

    def _rates(self, utc_ns: int) -> Rates:
        book, power = self._book, self._power
        entries = {id(line): line.at(utc_ns) for line in self._lines}
        of = {uuid: entries[id(line)] for uuid, line in self._line_of.items()}
        origins = {
            **_merged("gpu.price", {uuid: entry.price for uuid, entry in of.items()}),
            "electricity.price": power.origin_at(utc_ns),
            "electricity.pue": book.pue.origin_at(utc_ns),
            "carbon.intensity": book.carbon.origin_at(utc_ns),
            **_merged("carbon.embodied", {uuid: entry.embodied for uuid, entry in of.items()}),
            "host.power": book.host,
        }
        if book.market is not None:
            origins["carbon.market"] = book.market.origin_at(utc_ns)
        return Rates(
            book.currency,
            {uuid: entry.rates for uuid, entry in of.items()},
            power.schedule.at(utc_ns),
            book.pue.schedule.at(utc_ns),
            book.carbon.schedule.at(utc_ns),
            origins,
            None if book.market is None else book.market.schedule.at(utc_ns),
        )


@dataclass(frozen=True, slots=True)
class _Entry:
    """One GPU's rates and where its price and its embodied carbon come from."""

    rates: DeviceRates
    price: Origin
    embodied: Origin


def _published(device: Device) -> Sourced:
    """The embodied carbon that is published for a model."""
    figure = embodied(device.name)
    if figure is None:
        missing = f'missing: no published figure for "{device.name}"; set carbon.embodied in g/h'
        return Sourced(Constant(Decimal(0)), Origin("estimated", missing))
    spread = f"{figure.kilograms} kg over {EMBODIED_LIFE_YEARS} years ({figure.source})"
    return Sourced(Constant(figure.grams_per_hour), Origin("estimated", spread))


def _sliced(whole: Decimal, mig: Mig) -> Decimal:
    """A MIG instance's part of what its board costs: by its slices, to 1e-12 of the unit."""
    return (whole * mig.width / mig.slices).quantize(_FINEST)


#: A charge is kept to this part of its currency.
_FINEST = Decimal("1e-12")


def _part_of(origin: Origin, mig: Mig) -> Origin:
    return Origin(origin.word, f"{mig.width}/{mig.slices} of {origin.detail}")


def _listed_origin(listed: DefaultPrice) -> Origin:
    others = f"{listed.sellers} sellers {listed.low} to {listed.high} {DEFAULT_CURRENCY}"
    sellers = "the only seller known" if listed.sellers == 1 else others
    detail = f"{listed.gpu_key} at {listed.seller}, {sellers}; set yours: --price or gpu.price"
    return Origin(f"list price {listed.month}", detail)


def _merged(name: str, origins: Mapping[str, Origin]) -> dict[str, Origin]:
    """One origin under the setting's name where all GPUs share it, else one per GPU with its UUID after the name."""
    if len({id(origin): origin for origin in origins.values()}) == 1 or len(set(origins.values())) == 1:
        return {name: next(iter(origins.values()))}
    return {f"{name}.{uuid}": origin for uuid, origin in origins.items()}
