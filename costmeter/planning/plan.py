"""A plan: what was asked for, completed by settings and by what is known of the GPU; every figure with its origin."""

from dataclasses import dataclass, field, replace
from decimal import Decimal

from costmeter.config.settings import Settings
from costmeter.errors import UsageError
from costmeter.meter.charge import Origin, Rates
from costmeter.planning.average import averaged
from costmeter.planning.estimate import (
    BreakEven,
    Estimate,
    Power,
    UnitPrices,
    Work,
    break_even,
    estimate,
    node_gpus,
    training_flops,
    work,
)
from costmeter.planning.request import Request, complaints
from costmeter.rates.book import LIST_PRICE, Book, GpuPlan, Instance, Owned, Sourced
from costmeter.rates.models import GpuModel, Meant, find
from costmeter.rates.prices import DEFAULT_CURRENCY, DEFAULT_ELECTRICITY_PER_KWH
from costmeter.readings import Device, Missing

#: Share of the power limit that a training run draws on average, where nobody says.
ASSUMED_LOAD = Decimal("0.85")
#: Share of the peak arithmetic that a training run achieves, where nobody says: Llama 3 405B reports 0.38 to 0.43.
ASSUMED_MFU = Decimal("0.40")
#: Share of the hours in which a bought GPU is busy, for rent or buy.
BUSY_SHARE = Decimal("0.7")
ASKED = "given"


@dataclass(frozen=True, slots=True)
class Assumption:
    """One figure the estimate rests on, with its unit, and where it comes from."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Plan:
    """One run, `runs` of them, and these with a reserve. `break_even` is per GPU; `no_break_even` says why it is
    None."""

    currency: str
    work: Work
    power: Power | None
    runs: int
    buffer: Decimal
    one_run: Estimate
    assumptions: tuple[Assumption, ...]
    break_even: BreakEven | None
    no_break_even: str

    @property
    def all_runs(self) -> Estimate:
        """Every run, without the reserve."""
        return scaled(self.one_run, Decimal(self.runs))

    @property
    def with_buffer(self) -> Estimate:
        """Every run and the reserve."""
        return scaled(self.one_run, self.runs * (1 + self.buffer))


def scaled(one: Estimate, factor: Decimal) -> Estimate:
    """So many times an estimate."""
    components = one.components
    return Estimate(
        one.gpu_hours * factor,
        None if components is None else tuple((name, amount * factor) for name, amount in components),
        *(None if x is None else x * factor for x in (one.energy_kwh, one.emissions_grams, one.embodied_grams)),
    )


def plan(request: Request, settings: Settings, utc_ns: int) -> Plan:
    """The plan of a request under settings, for a run that starts at or after an instant.

    Raises UsageError, with every complaint and what to type, when the request is wrong, contradicts itself or leaves
    too little to go by.
    """
    wrong = complaints(request)
    if wrong:
        raise UsageError("\n".join(wrong), "costmeter estimate --help")
    return _Planner(request, settings, utc_ns).plan()


@dataclass(slots=True)
class _Planner:
    request: Request
    settings: Settings
    utc_ns: int
    assumptions: list[Assumption] = field(default_factory=list)

    def plan(self) -> Plan:
        meant = self._meant()
        model = meant.model if meant else None
        done = self._work(model)
        device = planned(model.nvml_name if model else "")
        machine = sharers(self.settings.book, device, done.gpus)
        rates = self.settings.book.at(self.utc_ns, (device,), machine)
        prices = self._prices(rates, device)
        power = self._power(model, machine)
        self._carbon(rates, prices)
        even, why_not = self._break_even(model, prices, power)
        one = estimate(done.gpu_hours, power, prices)
        request = self.request
        return Plan(
            rates.currency, done, power, request.runs, request.buffer, one, tuple(self.assumptions), even, why_not
        )

    def _assume(self, name: str, value: str, origin: Origin | str) -> None:
        text = origin if isinstance(origin, str) else told(origin)
        self.assumptions.append(Assumption(name, value, text))

    def _meant(self) -> Meant | None:
        if self.request.gpu is None:
            return None
        try:
            meant = find(self.request.gpu)
        except LookupError as error:
            raise UsageError(f"--gpu: {error.args[0]}", "costmeter estimate --gpu h100 --count 8 --hours 12") from None
        others = f"; it fits {', '.join(meant.others)} too" if meant.others else ""
        self._assume("GPU", meant.model.key, f"{ASKED} as {self.request.gpu}{others}")
        return meant

    def _work(self, model: GpuModel | None) -> Work:
        request = self.request
        tflops = request.tflops or self._achieved(model)
        flops, count = request.flops, request.count
        if request.params is not None and request.tokens is not None:
            flops = training_flops(request.params, request.tokens)
            self._assume("FLOPs", f"{flops:.3g}".replace("e+", "e"), "6 × parameters × tokens")
        if request.hours is not None and count is None:
            count = 1
            self._assume("GPUs", "1", "assumed; set --count")
        return work(count, request.hours, request.gpu_hours, flops, tflops)

    def _achieved(self, model: GpuModel | None) -> Decimal | None:
        """TFLOPS of one GPU by its peak and MFU, where FLOPs are to become hours or hours FLOPs."""
        request = self.request
        wants = request.flops is not None or request.params is not None
        if request.mfu is None and not wants:
            return None
        if model is None or model.dense_tflops is None:
            whose = f"of {model.key}" if model else "without --gpu"
            raise UsageError(f"the peak TFLOPS {whose} are not known", "give what one GPU achieves: --tflops 400")
        mfu = request.mfu or ASSUMED_MFU
        tflops = model.dense_tflops * mfu
        peak = f"{shown(model.dense_tflops)} TFLOPS ({model.tflops_basis}, dense) of {model.key}"
        self._assume("MFU", percent(mfu), ASKED if request.mfu else "assumed; set --mfu or --tflops")
        self._assume("achieved", f"{shown(tflops)} TFLOPS per GPU", f"{percent(mfu)} of {peak}")
        return tflops

    def _power(self, model: GpuModel | None, sharers: int) -> Power | None:
        request = self.request
        watts, origin = request.watts, ASKED
        if watts is None and model is not None:
            watts, origin = model.tdp_watts, f"power limit of {model.key}"
        if watts is None:
            self._assume("power", "not known", "missing: set --watts, so that there is energy and carbon")
            return None
        load = request.load or (ASSUMED_LOAD if request.watts is None else Decimal(1))
        self._assume("GPU power", f"{shown(watts)} W", origin)
        if request.load or load != 1:
            self._assume("load", percent(load), ASKED if request.load else "assumed; set --load or --watts")
        pue, pue_origin = averaged(self.settings.book.pue, self.utc_ns)
        power = Power(watts, load, self._host_watts(sharers), pue)
        self._assume("PUE", shown(pue), pue_origin)
        return power

    def _host_watts(self, sharers: int) -> Decimal:
        """The host's power per GPU: as given for a machine, shared by so many GPUs."""
        given, settings = self.request.host_watts, self.settings
        watts = settings.host.watts if given is None else given
        if watts is None:
            self._assume("host power", "not counted", "set --host-watts or host.power in watts")
            return Decimal(0)
        origin = ASKED if given is not None else settings.book.host
        self._assume("host power", f"{shown(watts)} W for each {f'{sharers} GPUs' if sharers > 1 else 'GPU'}", origin)
        return watts / sharers

    def _prices(self, rates: Rates, device: Device) -> UnitPrices:
        held, book = rates.devices[device.uuid], self.settings.book
        hourly, origin = held.hourly, rates.origins["gpu.price"]
        rented, paid = rented_by(book, device), paid_by(book, device)
        if rented is not None:
            price, origin = averaged(rented, self.utc_ns)
            hourly = (("rental", price),)
        if paid.owned is not None:
            self._bought(paid.owned)
        if not hourly:
            reason = "missing: no GPU was named; set --gpu or --price" if not device.name else origin.detail
            self._assume("GPU price", "not known", reason)
        for component, per_hour in hourly:
            name = "GPU price" if component == "rental" else component.replace("_", " ")
            self._assume(name, f"{shown(per_hour)} {rates.currency}/GPU-h", origin)
        for others, why in passed_over(book, device):
            self._assume("other prices", others, f"not used: {why}")
        per_kwh = self._electricity(rates, held.pays_electricity)
        grams, _ = averaged(book.carbon, self.utc_ns)
        has_embodied = not rates.origins["carbon.embodied"].detail.startswith("missing")
        embodied = held.embodied_grams_per_hour if has_embodied else None
        return UnitPrices(hourly or None, held.pays_electricity, per_kwh, grams, embodied)

    def _bought(self, owned: Owned) -> None:
        """What the capital is made of, beside the purchase, by the settings that say so."""
        currency = self.settings.book.currency
        self._assume("purchase", f"{shown(owned.purchase)} {currency} per GPU", owned.origin)
        if owned.residual:
            self._assume("residual value", f"{shown(owned.residual)} {currency}", "the setting gpu.owned.residual")
        self._assume("life", f"{shown(owned.life_years)} years", "the setting gpu.owned.life_years")
        if owned.maintenance_per_year:
            yearly = f"{percent(owned.maintenance_per_year)} of the purchase a year"
            self._assume("maintenance", yearly, "the setting gpu.owned.maintenance_per_year")
        if owned.expected_use is not None:
            used = f"{percent(owned.expected_use)} of the hours"
            self._assume("expected use", used, "the setting gpu.owned.expected_use")

    def _electricity(self, rates: Rates, pays: bool) -> Decimal:
        """The price of a kWh; for rented GPUs only what it would be, were they owned."""
        origin, configured = rates.origins["electricity.price"], self.settings.book.electricity
        if configured is not None:
            price, origin = averaged(configured, self.utc_ns)
        else:
            price = rates.electricity_per_kwh
            if not pays and rates.currency == DEFAULT_CURRENCY:
                price, origin = DEFAULT_ELECTRICITY_PER_KWH, Origin("estimated", "default; set --electricity")
        if not pays:
            self._assume("rent", "includes electricity", "energy is shown, and not added to the cost")
        if pays or price:
            name = "electricity" if pays else "electricity, if owned"
            self._assume(name, f"{shown(price)} {rates.currency}/kWh", origin)
        return price

    def _carbon(self, rates: Rates, prices: UnitPrices) -> None:
        _, origin = averaged(self.settings.book.carbon, self.utc_ns)
        self._assume("carbon", f"{shown(prices.carbon_grams_per_kwh)} g/kWh", origin)
        if prices.embodied_grams_per_hour:
            per_hour = Decimal(f"{prices.embodied_grams_per_hour:.3g}")
            text = f"{shown(per_hour)} g/GPU-h, beside the emissions"
            self._assume("embodied carbon", text, rates.origins["carbon.embodied"])

    def _break_even(
        self, model: GpuModel | None, prices: UnitPrices, power: Power | None
    ) -> tuple[BreakEven | None, str]:
        """Rent or buy, per GPU, at the price it is rented for here."""
        rent = dict(prices.hourly or ()).get("rental")
        if prices.pays_electricity:
            return None, ""
        if rent is None or power is None:
            return None, f"the {'rent' if rent is None else 'power'} is not known"
        purchase, origin = self.request.purchase, ASKED
        currency = self.settings.book.currency
        if purchase is None and model is not None and currency == DEFAULT_CURRENCY:
            purchase = model.price_middle_usd
            basis = f"{model.price_low_usd} to {model.price_high_usd} USD: {model.price_basis}"
            origin = f"middle of {basis}; set --purchase"
        if purchase is None:
            return None, "what a GPU costs to buy is not known; set --purchase"
        self._assume("purchase", f"{shown(purchase)} {currency} per GPU", origin)
        even = break_even(purchase, rent, power.facility_kw * prices.electricity_per_kwh)
        return even, "" if even else "never: electricity alone costs as much as the rent"


def planned(nvml_name: str) -> Device:
    """A GPU of this name that is not there yet: settings by name are for it, and none by UUID or index."""
    why = Missing("planned")
    return Device("planned", -1, nvml_name, "", why, why)


def paid_by(book: Book, device: Device) -> GpuPlan:
    """How a GPU is paid for: by the first block that fits it, else at list price."""
    return next((paid for paid in book.gpus if paid.match.fits(device)), LIST_PRICE)


def sharers(book: Book, device: Device, count: int | None) -> int:
    """How many GPUs share a machine: as many as its price says, else those of the run, at most 8."""
    price = paid_by(book, device).price
    return (price.gpus if isinstance(price, Instance) else None) or node_gpus(count)


def rented_by(book: Book, device: Device) -> Sourced | None:
    """The schedule a GPU is rented under, where a price is set for it and it is no price for a whole machine."""
    paid = paid_by(book, device)
    return paid.price if paid.owned is None and isinstance(paid.price, Sourced) else None


def passed_over(book: Book, device: Device) -> list[tuple[str, str]]:
    """What blocks go by that would price a planned GPU otherwise, if they could be for it, and why they are not."""
    paid = paid_by(book, device)
    before = book.gpus[: book.gpus.index(paid)] if paid in book.gpus else book.gpus
    others = [other for other in before if (other.price, other.owned) != (paid.price, paid.owned)]
    unnamed = [other for other in others if not device.name and other.match.name is not None]
    rest = [other for other in others if other not in unnamed]
    placed = [other for other in rest if replace(other.match, uuid=None, indexes=None).fits(device)]
    why = [("by index or UUID", "they are for GPUs that are there")] if placed else []
    return [*why, ("by name", "no GPU was named; set --gpu")] if unnamed else why


def told(origin: Origin) -> str:
    """An origin in words: `configured: costmeter.yaml:3`."""
    return f"{origin.word}: {origin.detail}"


def shown(number: Decimal) -> str:
    """To a millionth of the unit, without an exponent or zeros at the end."""
    text = f"{round(number, 6):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: Decimal) -> str:
    return f"{shown(share * 100)} %"
