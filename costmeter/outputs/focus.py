"""Runs as FOCUS 1.2 (FinOps Open Cost and Usage Specification): what finance tools read beside the clouds' own bills.

One row for each run, GPU model and UTC day, and another for the electricity where that is paid on top. What is rented
is billed as it costs; of owned GPUs nothing is billed, and their capital is the effective cost of the day. So the
effective costs of all rows add up to the receipts, exactly.

The names that 1.3 gives to providers stand beside those of 1.2, which it deprecates. Columns of our own begin with x_.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from costmeter.ledger.grouping import Piece
from costmeter.ledger.listing import Listed
from costmeter.meter.totals import DeviceTotals, by_component, net
from costmeter.outputs.figures import plain
from costmeter.outputs.runcsv import csv_text, exact_grams, exact_kwh, harmless
from costmeter.units import MICROJOULES_PER_KWH, NANOSECONDS_PER_HOUR

#: The version whose columns these are.
VERSION = "1.2"
#: Those that every row has; then those of resources, prices and regions, empty where nothing is known.
COLUMNS = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ProviderName",
    "PublisherName",
    "ServiceProviderName",
    "HostProviderName",
    "ServiceCategory",
    "ServiceSubcategory",
    "ServiceName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "RegionId",
    "RegionName",
    "AvailabilityZone",
    "SkuId",
    "SkuPriceId",
    "SkuMeter",
    "SubAccountId",
    "SubAccountName",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "Tags",
    "x_RunId",
    "x_RunName",
    "x_Outcome",
    "x_User",
    "x_EnergyKWh",
    "x_CO2eKg",
    "x_GpuUtilization",
    "x_IdleCost",
    "x_Simulated",
)
_UNIT_PRICE = Decimal("1e-12")
_NANO = Decimal("1e-9")
_GRAMS_PER_KILOGRAM = 1_000
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class _Charge:
    """What one row charges for: so much of a unit, what it cost, and what of that somebody sends a bill for."""

    what: str
    unit: str
    quantity: Decimal
    cost: Decimal
    billed: Decimal
    category: str
    subcategory: str
    service: str
    provider: str
    pricing: str


def focus_csv(cut: Iterable[tuple[Listed, Iterable[Piece]]]) -> str:
    """Runs, each cut by GPU model and UTC day, as FOCUS rows."""
    rows = (row for run, pieces in cut for piece in pieces for row in _rows(run, piece))
    return csv_text(COLUMNS, ([row.get(name, "") for name in COLUMNS] for row in rows))


def _rows(run: Listed, piece: Piece) -> Iterator[Mapping[str, str]]:
    model, day, currency, whole, _ = piece
    energy_is_told = False
    for charged in _charges(whole, model or "GPU"):
        row = _common(run, day, currency, model) | _priced(charged) | _service(charged, model)
        if not energy_is_told:  # on one row only, so that sums over rows are true
            row |= _measured(whole)
            energy_is_told = True
        yield row


def _charges(whole: DeviceTotals, model: str) -> Iterator[_Charge]:
    """The GPUs, and their electricity where there is a charge for it."""
    components = by_component(net(whole.charges, whole.credits))
    electricity = components.pop("electricity", None)
    owned = sum((components.get(name, Decimal(0)) for name in ("capital", "idle_share")), Decimal(0))
    cost = sum(components.values(), Decimal(0))
    hours = (Decimal(whole.quantities.nanoseconds) / NANOSECONDS_PER_HOUR).quantize(_NANO)
    is_owned = "capital" in components
    provider, pricing = ("on-premises", "Other") if is_owned else ("GPU rental", "Standard")
    what = f"{model}, {'owned: capital' if is_owned else 'rented'}, by the GPU-hour held"
    service = ("Compute", "Other (Compute)", "costmeter on-prem GPU" if is_owned else "costmeter rented GPU")
    yield _Charge(what, "GPU-Hours", hours, cost, cost - owned, *service, provider, pricing)
    if electricity is not None:
        quantities = whole.quantities
        drawn_uj = quantities.microjoules + quantities.host_microjoules + whole.overhead_microjoules
        kwh = (Decimal(drawn_uj) / MICROJOULES_PER_KWH).quantize(_NANO)
        what = f"electricity of {model}, host and cooling included"
        service = ("Other", "Other (Other)", "costmeter electricity")
        yield _Charge(what, "kWh", kwh, electricity, electricity, *service, "electricity supplier", "Standard")


def _common(run: Listed, day: str, currency: str, model: str) -> dict[str, str]:
    """What all rows of a run, model and day share."""
    first = date.fromisoformat(day)
    month = first.replace(day=1)
    account = harmless(run.header.user or run.hosts[0] or _UNKNOWN)
    tags = dict(run.header.labels) | {"run_id": run.id}
    return {
        "BillingAccountId": account,
        "BillingAccountName": account,
        "BillingCurrency": currency,
        "BillingPeriodStart": _midnight(month),
        "BillingPeriodEnd": _midnight((month + timedelta(days=31)).replace(day=1)),
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _midnight(first),
        "ChargePeriodEnd": _midnight(first + timedelta(days=1)),
        "ResourceId": harmless(f"{run.id}/{run.hosts[0]}"),
        "ResourceName": harmless(" ".join(run.hosts)),
        "ResourceType": "GPU",
        "SkuId": harmless(model or "GPU"),
        "Tags": json.dumps(tags, ensure_ascii=False, sort_keys=True),
        "x_RunId": harmless(run.id),
        "x_RunName": harmless(run.header.name),
        "x_Outcome": run.ending.outcome,
        "x_User": harmless(run.header.user),
        "x_Simulated": "true" if run.simulated else "false",
    }


def _priced(charged: _Charge) -> dict[str, str]:
    """Quantity and money. The unit price is the mean of the day."""
    unit_price = (charged.cost / charged.quantity).quantize(_UNIT_PRICE) if charged.quantity else Decimal(0)
    cost, price, quantity = plain(charged.cost), plain(unit_price), plain(charged.quantity)
    return {
        "BilledCost": plain(charged.billed),
        "EffectiveCost": cost,
        "ListCost": cost,
        "ContractedCost": cost,
        "ListUnitPrice": price,
        "ContractedUnitPrice": price,
        "PricingQuantity": quantity,
        "ConsumedQuantity": quantity,
        "PricingUnit": charged.unit,
        "ConsumedUnit": charged.unit,
        "PricingCategory": charged.pricing,
    }


def _service(charged: _Charge, model: str) -> dict[str, str]:
    return {
        "ChargeDescription": harmless(charged.what),
        "InvoiceIssuerName": charged.provider,
        "ProviderName": charged.provider,
        "PublisherName": charged.provider,
        "ServiceProviderName": charged.provider,
        "HostProviderName": charged.provider,
        "ServiceCategory": charged.category,
        "ServiceSubcategory": charged.subcategory,
        "ServiceName": charged.service,
        "SkuMeter": charged.unit,
        "SkuPriceId": harmless(f"{model or 'GPU'}/{charged.unit}"),
    }


def _measured(whole: DeviceTotals) -> dict[str, str]:
    quantities = whole.quantities
    energy_uj = quantities.microjoules + quantities.host_microjoules + whole.overhead_microjoules
    emitted_ug = whole.operational_micrograms + whole.embodied_micrograms
    idle = sum((paid for (_, state), paid in net(whole.charges, whole.credits).items() if state == "idle"), Decimal(0))
    utilization = quantities.mean_utilization
    return {
        "x_EnergyKWh": exact_kwh(energy_uj),
        "x_CO2eKg": plain(Decimal(exact_grams(emitted_ug)) / _GRAMS_PER_KILOGRAM),
        "x_GpuUtilization": "" if utilization is None else f"{utilization:.4f}",
        "x_IdleCost": plain(idle),
    }


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"
