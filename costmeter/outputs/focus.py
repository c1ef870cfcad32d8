"""Runs as FOCUS 1.2 (FinOps Open Cost and Usage Specification): what finance tools read beside the clouds' own bills.

One row for each part of a run, GPU model and UTC day, owned GPUs and rented ones apart, another for the electricity
where that is paid on top, and one for each line item on the day the run ended. What is rented is billed as it costs; of
owned GPUs nothing is billed, and their capital is the effective cost of the day. So the effective costs of all rows
that are no line item add up to the receipts, exactly.

The names that 1.3 gives to providers stand beside those of 1.2, which it deprecates. Columns of our own begin with x_.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from costmeter.ledger.charged import Account
from costmeter.ledger.cutting import Piece
from costmeter.ledger.query import Part, Run
from costmeter.meter.charge import CAPITAL
from costmeter.meter.totals import DeviceTotals, by_component, by_state, net
from costmeter.outputs.csvtext import NANO, billionths, csv_text, exact_grams, exact_kwh, harmless
from costmeter.outputs.figures import plain
from costmeter.outputs.items import item_rows, items_of
from costmeter.outputs.pricefacts import PriceFacts, price_facts
from costmeter.outputs.style import printable
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
    "SkuPriceDetails",
    "SubAccountId",
    "SubAccountName",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "Tags",
    "x_FocusVersion",
    "x_RunId",
    "x_RunName",
    "x_Outcome",
    "x_User",
    "x_EnergyKWh",
    "x_CO2eKg",
    "x_GpuUtilization",
    "x_IdleCost",
    "x_LineItem",
    "x_PUE",
    "x_CarbonMethod",
    "x_Simulated",
)
_UNIT_PRICE = Decimal("1e-12")
_GRAMS_PER_KILOGRAM = 1_000
_UNKNOWN = "unknown"
#: Whom the rows are billed to where no label `account` says.
_ACCOUNT = "default"
_COMPUTE = ("Compute", "Other (Compute)")
_OTHER = ("Other", "Other (Other)")
#: What line items are for those who read bills, by kind.
_SERVICES = {
    "path": ("Storage", "Other (Storage)"),
    "gb": ("Storage", "Other (Storage)"),
    "network": ("Networking", "Other (Networking)"),
    "per_gpu_hour": _COMPUTE,
}


@dataclass(frozen=True, slots=True)
class _Charge:
    """What one row charges for: so much of a unit, what it cost, and what of that somebody sends a bill for.

    `price` is that of one unit while it was charged for; None where that changed, so that the mean has to do.
    """

    what: str
    unit: str
    quantity: Decimal
    price: Decimal | None
    cost: Decimal
    billed: Decimal
    service: tuple[str, str, str]
    provider: str
    pricing: str
    sku: str
    sku_price: str


def focus_csv(accounts: Iterable[Account]) -> str:
    """Runs as FOCUS rows."""
    rows = (row for account in accounts for row in _rows(account))
    return csv_text(COLUMNS, ([row.get(name, "") for name in COLUMNS] for row in rows))


def _rows(account: Account) -> Iterator[Mapping[str, str]]:
    for charged in account.charged:
        for piece in charged.pieces:
            yield from _metered(account, charged.part, piece)
    if account.last_day:
        yield from _items(account)


def _metered(account: Account, part: Part, piece: Piece) -> Iterator[Mapping[str, str]]:
    """The GPUs of one model on one day, and their electricity."""
    model, day, currency, whole, _ = piece
    facts = price_facts(part, model, CAPITAL in by_component(net(whole.charges, whole.credits)))
    common = _common(account, day, currency) | _resource(part, facts) | {"x_PUE": facts.pue}
    for place, charge in enumerate(_charges(whole, model or "GPU", facts, part.header.labels)):
        row = common | _priced(charge) | _service(charge)
        if place == 0:  # on one row only, so that sums over rows are true
            row |= _measured(whole) | _listed(facts)
        yield row


def _charges(whole: DeviceTotals, model: str, facts: PriceFacts, labels: Mapping[str, str]) -> Iterator[_Charge]:
    """The GPUs, and their electricity where there is a charge for it."""
    components = by_component(net(whole.charges, whole.credits))
    electricity = components.pop("electricity", None)
    owned = sum((components.get(name, Decimal(0)) for name in (CAPITAL, "idle_share")), Decimal(0))
    cost = sum(components.values(), Decimal(0))
    hours = billionths(whole.quantities.nanoseconds, NANOSECONDS_PER_HOUR)
    is_owned = CAPITAL in components
    seller = facts.provider or labels.get("provider", "") or "GPU rental"
    provider, pricing = ("on-premises", "Other") if is_owned else (seller, facts.category)
    what = f"{model}, {'owned: capital' if is_owned else 'rented'}, by the GPU-hour held"
    service = (*_COMPUTE, "costmeter on-prem GPU" if is_owned else "costmeter rented GPU")
    price_id = facts.key or f"{model}/GPU-Hours"
    yield _Charge(
        what, "GPU-Hours", hours, facts.per_hour, cost, cost - owned, service, provider, pricing, model, price_id
    )
    if electricity is not None:
        kwh = billionths(whole.facility_microjoules, MICROJOULES_PER_KWH)
        what, service = f"electricity of {model}, host and cooling included", (*_OTHER, "costmeter electricity")
        pricing = "Standard" if facts.per_kwh is not None else "Dynamic"
        amounts = (kwh, facts.per_kwh, electricity, electricity)
        names = ("electricity supplier", pricing, "electricity", "electricity/kWh")
        yield _Charge(what, "kWh", *amounts, service, *names)


def _items(account: Account) -> Iterator[Mapping[str, str]]:
    """What stands beside the metered cost, as far as its cost is known."""
    run, parts = account.run, tuple(charged.part for charged in account.charged)
    for item in item_rows(items_of(Run(parts))):
        if item["cost"] is not None:
            charge = _item_charge(item)
            told = {"x_LineItem": item["name"], "ResourceId": run.id, "ResourceName": run.id, "ResourceType": "Run"}
            common = _common(account, account.last_day, parts[0].currency)
            yield common | _priced(charge) | _service(charge) | {key: harmless(of) for key, of in told.items()}


def _item_charge(item: Mapping[str, Any]) -> _Charge:
    cost, quantity = Decimal(item["cost"]), Decimal(repr(item["quantity"] or 0)).quantize(NANO)
    service = (*_SERVICES.get(item["kind"], _OTHER), "costmeter line item")
    name, unit = item["name"], item["unit"]
    return _Charge(
        f"line item: {name}", unit, quantity, Decimal(item["price"]), cost, cost, service, _UNKNOWN, "Standard", name,
        f"{name}/{unit}",
    )  # fmt: skip


def _common(of: Account, day: str, currency: str) -> dict[str, str]:
    """What all rows of a run and day share."""
    run = of.run
    first = date.fromisoformat(day)
    month = first.replace(day=1)
    labels = run.header.labels
    account, project = harmless(labels.get("account") or _ACCOUNT), harmless(labels.get("project", ""))
    tags = {printable(key): printable(value) for key, value in (dict(labels) | {"run_id": run.id}).items()}
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
        "SubAccountId": project,
        "SubAccountName": project,
        "Tags": json.dumps(tags, ensure_ascii=False, sort_keys=True),
        "x_FocusVersion": VERSION,
        "x_RunId": harmless(run.id),
        "x_RunName": harmless(run.header.name),
        "x_Outcome": run.ending.outcome,
        "x_User": harmless(run.header.user),
        "x_Simulated": "true" if run.simulated else "false",
    }


def _resource(part: Part, facts: PriceFacts) -> dict[str, str]:
    """The GPU where there is one, else the node that has them."""
    node = harmless(part.header.host or _UNKNOWN)
    gpu = facts.uuids[0] if len(facts.uuids) == 1 else node
    return {"ResourceId": harmless(gpu), "ResourceName": node, "ResourceType": "GPU"}


def _listed(facts: PriceFacts) -> dict[str, str]:
    """Where and when the price was found in a list."""
    details = json.dumps({"x_snapshot_date": facts.snapshot}) if facts.snapshot else ""
    region = harmless(facts.region)
    return {"RegionId": region, "RegionName": region, "SkuPriceDetails": details}


def _priced(charge: _Charge) -> dict[str, str]:
    """Quantity and money."""
    price = charge.price
    if price is None:
        price = (charge.cost / charge.quantity).quantize(_UNIT_PRICE) if charge.quantity else Decimal(0)
    cost, unit_price, quantity = plain(charge.cost), plain(price), plain(charge.quantity)
    return {
        "BilledCost": plain(charge.billed),
        "EffectiveCost": cost,
        "ListCost": cost,
        "ContractedCost": cost,
        "ListUnitPrice": unit_price,
        "ContractedUnitPrice": unit_price,
        "PricingQuantity": quantity,
        "ConsumedQuantity": quantity,
        "PricingUnit": charge.unit,
        "ConsumedUnit": charge.unit,
        "PricingCategory": charge.pricing,
    }


def _service(charge: _Charge) -> dict[str, str]:
    category, subcategory, name = charge.service
    whose = ("InvoiceIssuerName", "ProviderName", "PublisherName", "ServiceProviderName", "HostProviderName")
    return dict.fromkeys(whose, harmless(charge.provider)) | {
        "ChargeDescription": harmless(charge.what),
        "ServiceCategory": category,
        "ServiceSubcategory": subcategory,
        "ServiceName": name,
        "SkuId": harmless(charge.sku),
        "SkuMeter": charge.unit,
        "SkuPriceId": harmless(charge.sku_price),
    }


def _measured(whole: DeviceTotals) -> dict[str, str]:
    quantities = whole.quantities
    utilization = quantities.mean_utilization
    return {
        "x_EnergyKWh": exact_kwh(whole.facility_microjoules),
        "x_CO2eKg": plain(Decimal(exact_grams(whole.emitted_micrograms)) / _GRAMS_PER_KILOGRAM),
        "x_CarbonMethod": "location-based",
        "x_GpuUtilization": "" if utilization is None else f"{utilization:.4f}",
        "x_IdleCost": plain(by_state(net(whole.charges, whole.credits))["idle"]),
    }


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"
