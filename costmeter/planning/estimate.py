"""What a run comes to, from how long it holds how many GPUs. Pure Decimal arithmetic; every figure is in the arguments.

Everything is proportional to GPU-hours: twice the GPUs for half the time cost the same, to the last digit.
"""

from dataclasses import dataclass
from decimal import Decimal

from costmeter.meter.charge import Component

SECONDS_PER_HOUR = 3_600
HOURS_PER_YEAR = 8_760
FLOPS_PER_TFLOP = Decimal("1e12")
WATTS_PER_KW = 1_000
#: GPUs of one machine: what a host's power is shared by when a run has more of them.
GPUS_PER_NODE = 8
#: Multiplications and additions per parameter and token, forward and backward (Kaplan et al. 2020, section 2.1).
FLOPS_PER_PARAMETER_AND_TOKEN = 6


@dataclass(frozen=True, slots=True)
class Work:
    """How much computing a run is. `gpus`, `hours` (of wall clock) and `flops` are None where nobody said enough."""

    gpu_hours: Decimal
    gpus: int | None = None
    hours: Decimal | None = None
    flops: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Power:
    """What one GPU draws from the facility: `(gpu_watts × load + host_watts) × pue`.

    `host_watts` is its share of the machine around it.
    """

    gpu_watts: Decimal
    load: Decimal = Decimal(1)
    host_watts: Decimal = Decimal(0)
    pue: Decimal = Decimal(1)

    @property
    def facility_kw(self) -> Decimal:
        """Kilowatts per GPU, cooling included."""
        return (self.gpu_watts * self.load + self.host_watts) * self.pue / WATTS_PER_KW


def node_gpus(gpus: int | None) -> int:
    """How many GPUs share a machine: those of the run, at most 8; 8 where nobody said how many it has."""
    return min(gpus or GPUS_PER_NODE, GPUS_PER_NODE)


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """What a GPU-hour and a kWh come to. `hourly` None is a GPU whose price nobody knows.

    Where `pays_electricity` is False the rent includes it: energy is shown, and not charged.
    """

    hourly: tuple[tuple[Component, Decimal], ...] | None
    pays_electricity: bool = False
    electricity_per_kwh: Decimal = Decimal(0)
    carbon_grams_per_kwh: Decimal = Decimal(0)
    embodied_grams_per_hour: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """One run, or several. `components` are disjoint parts of the cost. None is not known.

    `emissions_grams` is operational; `embodied_grams`, the carbon of making the GPUs, is no part of it.
    """

    gpu_hours: Decimal
    components: tuple[tuple[Component, Decimal], ...] | None
    energy_kwh: Decimal | None
    emissions_grams: Decimal | None
    embodied_grams: Decimal | None

    @property
    def cost(self) -> Decimal | None:
        """The sum of the components."""
        return None if self.components is None else sum((amount for _, amount in self.components), Decimal(0))


def work(
    gpus: int | None = None,
    hours: Decimal | None = None,
    gpu_hours: Decimal | None = None,
    flops: Decimal | None = None,
    tflops: Decimal | None = None,
) -> Work:
    """The work of a run from exactly one of `hours` (with `gpus`), `gpu_hours` and `flops` (with `tflops`).

    `tflops` is what one GPU achieves; with hours it tells the FLOPs. Raises ValueError when too little is said.
    """
    if flops is not None and tflops is not None:
        gpu_hours = flops / (tflops * FLOPS_PER_TFLOP * SECONDS_PER_HOUR)
    elif hours is not None and gpus is not None:
        gpu_hours = gpus * hours
    if gpu_hours is None:
        raise ValueError("work is hours and GPUs, or GPU-hours, or FLOPs and the TFLOPS of one GPU")
    if hours is None and gpus is not None:
        hours = gpu_hours / gpus
    if flops is None and tflops is not None:
        flops = gpu_hours * tflops * FLOPS_PER_TFLOP * SECONDS_PER_HOUR
    return Work(gpu_hours, gpus, hours, flops)


def training_flops(params: Decimal, tokens: Decimal) -> Decimal:
    """6 × parameters × tokens: training of a dense transformer, each token seen once per epoch counted."""
    return FLOPS_PER_PARAMETER_AND_TOKEN * params * tokens


def estimate(gpu_hours: Decimal, power: Power | None, prices: UnitPrices) -> Estimate:
    """Money, energy and carbon of so many GPU-hours. Without `power` there is no energy, nor what is made of it."""
    energy_kwh = None if power is None else gpu_hours * power.facility_kw
    embodied = prices.embodied_grams_per_hour
    return Estimate(
        gpu_hours,
        _components(gpu_hours, energy_kwh, prices),
        energy_kwh,
        None if energy_kwh is None else energy_kwh * prices.carbon_grams_per_kwh,
        None if embodied is None else gpu_hours * embodied,
    )


def _components(
    gpu_hours: Decimal, energy_kwh: Decimal | None, prices: UnitPrices
) -> tuple[tuple[Component, Decimal], ...] | None:
    if prices.hourly is None or (prices.pays_electricity and energy_kwh is None):
        return None
    held = tuple((component, gpu_hours * per_hour) for component, per_hour in prices.hourly)
    if not prices.pays_electricity or energy_kwh is None:
        return held
    return (*held, ("electricity", energy_kwh * prices.electricity_per_kwh))


@dataclass(frozen=True, slots=True)
class BreakEven:
    """When a bought GPU has cost as little as a rented one: after so many busy hours of it."""

    purchase: Decimal
    busy_hours: Decimal

    @property
    def months_nonstop(self) -> Decimal:
        """In months of 730 hours, busy all the time."""
        return self.busy_hours * 12 / HOURS_PER_YEAR

    def years_at(self, use: Decimal) -> Decimal:
        """In years, busy for this share of the hours."""
        return self.busy_hours / (HOURS_PER_YEAR * use)


def break_even(purchase: Decimal, rent_per_hour: Decimal, electricity_per_hour: Decimal) -> BreakEven | None:
    """purchase / (rent - electricity), per GPU. None where the electricity alone costs as much as the rent."""
    saved_per_hour = rent_per_hour - electricity_per_hour
    return BreakEven(purchase, purchase / saved_per_hour) if saved_per_hour > 0 else None
