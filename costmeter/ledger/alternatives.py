"""What a run is compared with unasked: spot, bought GPUs, a cleaner grid, no idle time, no waiting for data.

Every price is from the tables of `rates/data/`, and says so. What they cannot price is left out, with the reason.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from statistics import median

from costmeter.ledger.repricing import Change
from costmeter.ledger.scenario import Recorded, Scenario, devices_of
from costmeter.meter.charge import Origin
from costmeter.meter.schedule import Constant
from costmeter.rates import catalog, grid, models
from costmeter.rates.book import Book, GpuPlan, Owned, Sourced
from costmeter.rates.match import Match
from costmeter.rates.prices import DEFAULT_CURRENCY, key
from costmeter.readings import Device

#: A bought GPU is written off over so many years, of which somebody holds it for this share.
LIFE_YEARS, EXPECTED_USE = Decimal(4), Decimal("0.7")
_NO_CARD = "no purchase price of this model in the table"
_NO_SPOT = "no spot price of this model in the catalogue"


def alternatives(runs: Sequence[Recorded]) -> tuple[Scenario, ...]:
    """The rows below `as run`, in order."""
    devices = devices_of(runs)
    currency = runs[0].currency
    return (
        _of_models("spot", devices, currency, _spot_plan, ", no interruption"),
        _of_models("owned", devices, currency, _owned_plan, ", electricity on top"),
        _elsewhere(),
        without_idle_time(),
        without_waiting(),
    )


def without_idle_time() -> Scenario:
    """The run without the time in which its GPUs were held and idle."""
    note = "no idle: some idle time may be needed; CO2e and cooling by its share of the energy"
    return Scenario("no idle", "idle GPU time removed", drops_idle=True, notes=(note,))


def without_waiting() -> Scenario:
    """The run without the idle time in which its GPUs waited for data; no row of a run that never did."""
    note = "no waiting: money is exact; what the GPUs would have drawn instead, and so CO2e, nobody knows"
    return Scenario("no waiting", "waiting for data removed", drops_waiting=True, notes=(note,))


#: A plan for one model, and what it is in a few words; or why there is none.
_Plan = tuple[GpuPlan, str] | str


def _of_models(
    name: str, devices: Sequence[Device], currency: str, plan: Callable[[Device], _Plan], beside: str
) -> Scenario:
    """A scenario in which every model is paid for by a plan of its own."""
    if currency != DEFAULT_CURRENCY:
        why = f"the tables are in {DEFAULT_CURRENCY}, the run in {currency}; name a price: --{name}"
        return Scenario(name, "table prices", unpriced=why)
    found: dict[str, _Plan] = {device.name: plan(device) for device in devices}
    missing = [f"{name}: {why}" for name, why in found.items() if isinstance(why, str)]
    if missing or not found:
        why = "; ".join(missing) or "no GPU is known"
        return Scenario(name, "table prices", unpriced=f"{why}; name a price: --{name}")
    plans = {name: each for name, each in found.items() if not isinstance(each, str)}
    texts = list(dict.fromkeys(text for _, text in plans.values()))
    book = Book(currency, tuple(each for each, _ in plans.values()))
    what = (texts[0] if len(texts) == 1 else "by model, see below") + beside
    return Scenario(name, what, Change(book, frozenset({"gpu"})))


def _spot_plan(device: Device) -> _Plan:
    """The median over sellers of each seller's median over regions; no marketplaces, no GPU alone, no slices."""
    own = key(device.name)
    offers = [offer for offer in catalog.offers() if own and offer.gpu_key == own and _is_spot(offer)]
    by_seller: dict[str, list[Decimal]] = {}
    for offer in offers:
        by_seller.setdefault(offer.provider, []).append(offer.spot or Decimal(0))
    if not by_seller:
        return _NO_SPOT
    sellers = sorted(median(prices) for prices in by_seller.values())
    price = Decimal(median(sellers)).quantize(Decimal("0.0001")).normalize()
    prices = [price for seller in by_seller.values() for price in seller]
    newest = max(offer.dated("spot") for offer in offers)[:7]
    detail = (
        f"{own} spot, median of {len(sellers)} seller{'s' if len(sellers) > 1 else ''} in the catalogue, "
        f"{min(prices):.2f} to {max(prices):.2f} {catalog.CURRENCY} by region; spot prices change by the hour"
    )
    rent = Sourced(Constant(price), Origin(f"list price {newest}", detail), newest, own)
    return GpuPlan(_only(device), rent), f"${price:,.2f}/GPU-h"


def _is_spot(offer: catalog.Offer) -> bool:
    if offer.spot is None or offer.gpus < 1 or offer.provider in catalog.MARKETPLACES or catalog.is_gpu_alone(offer):
        return False
    return offer.on_demand is None or offer.spot < offer.on_demand


def _owned_plan(device: Device) -> _Plan:
    try:
        model = models.find(device.name.partition(" MIG ")[0]).model
    except LookupError:
        return _NO_CARD
    middle = model.price_middle_usd
    if middle is None:
        return _NO_CARD
    detail = (
        f"{model.key}, middle of {model.price_low_usd:,} to {model.price_high_usd:,} {DEFAULT_CURRENCY} "
        f"({model.price_basis}), over {LIFE_YEARS} years at {EXPECTED_USE * 100:.0f} % use"
    )
    bought = Owned(middle, Origin("estimated", detail), life_years=LIFE_YEARS, expected_use=EXPECTED_USE)
    return GpuPlan(
        _only(device), None, bought
    ), f"${middle:,.0f}/GPU over {LIFE_YEARS} y at {EXPECTED_USE * 100:.0f} % use"


def _only(device: Device) -> Match:
    """Fits GPUs of this very name, whatever characters of patterns are in it."""
    escaped = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in device.name)
    return Match(name=escaped)


def _elsewhere() -> Scenario:
    """The cleanest cloud region of the yearly national figures: of one source and scope with the default's."""
    regions = [factor for factor in grid.factors() if factor.kind == "cloud_region" and factor.source == "C1"]
    cleanest = min(regions, key=lambda factor: (factor.grams_per_kwh, factor.code))
    origin = Origin("estimated", f"bundled table, grid of {cleanest.described}")
    book = Book(carbon=Sourced(Constant(cleanest.grams_per_kwh), origin, str(cleanest.year)))
    what = f"grid of {cleanest.grams_per_kwh.normalize():f} g/kWh ({cleanest.name}), same price"
    return Scenario("elsewhere", what, Change(book, frozenset({"carbon"})))
