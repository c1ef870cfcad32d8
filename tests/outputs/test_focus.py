"""Runs as FOCUS: what the specification wants of every row, that rows add up, and where prices come from."""

import csv
import io
import json
import re
from dataclasses import replace
from datetime import timezone
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.clock import Anchor
from costmeter.ledger.charged import accounts
from costmeter.ledger.days import Days, days_of
from costmeter.ledger.listing import listing
from costmeter.ledger.record import Header, Items, RatesChange, Record, SlotEntry
from costmeter.meter.charge import Origin, Rates
from costmeter.meter.item import LineItem
from costmeter.outputs.focus import focus_csv
from tests.ledger.written import write
from tests.outputs.test_runlist import OWNED, RENTED, ended, receipts_of, run
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    CONFIGURED,
    HOUR,
    JOULE,
    MINUTE,
    devices,
    footer,
    header,
    held,
    measured,
    owned,
    rates,
    rental,
    slot,
    uuids,
)

#: What FOCUS 1.2 wants in every file, and what may not be empty in it.
MANDATORY = re.findall(
    r"\w+",
    """BilledCost BillingAccountId BillingAccountName BillingCurrency BillingPeriodStart BillingPeriodEnd ChargeCategory
    ChargeClass ChargeDescription ChargePeriodStart ChargePeriodEnd ContractedCost EffectiveCost InvoiceIssuerName
    ListCost PricingQuantity PricingUnit ProviderName PublisherName ServiceCategory ServiceName""",
)
SERVICE_CATEGORIES = {"Compute", "Other", "Storage", "Networking"}
ITEMS = Items(
    (LineItem("people", "per_hour", Decimal(85), CONFIGURED), LineItem("data", "fixed", Decimal(7), CONFIGURED))
)


def written(
    state: Path, name: str, after_ns: int = 0, minutes: int = 60, of: Rates = RENTED, **changes: object
) -> None:
    """One run that ended well, on disk."""
    first, records = ended(run(name, after_ns, minutes, of, **changes))
    write(state / "runs" / first.run, first, records)


def rows_of(state: Path, days: Days | None = None) -> list[dict[str, str]]:
    """All runs as FOCUS."""
    day_of = days_of(timezone.utc)
    every = (account for each in listing(state).runs for account in accounts(each, day_of, days or Days()))
    return list(csv.DictReader(io.StringIO(focus_csv(every))))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rented run with line items, one over midnight on owned GPUs, one in euros, one simulated."""
    folder = tmp_path_factory.mktemp("focus")
    first, records = ended(run("=rented", 0, 60, user="maya", labels={"project": "llm", "account": "lab-7"}))
    write(folder / "runs" / "r-rented", first, [records[0], ITEMS, *records[1:]])
    written(folder, "night", 9 * HOUR + 30 * MINUTE, 90, OWNED)
    written(folder, "euros", 5 * HOUR, 20, replace(RENTED, currency="EUR"))
    written(folder, "toy", 6 * HOUR, 5, simulated=True)
    return folder


def test_every_row_has_what_the_specification_wants(state: Path) -> None:
    """Mandatory columns are there and full (ChargeClass is null in all that is no correction); periods fit."""
    for row in rows_of(state):
        assert [] == [name for name in MANDATORY if not row[name] and name != "ChargeClass"]
        assert ("", "Usage", "Usage-Based") == (row["ChargeClass"], row["ChargeCategory"], row["ChargeFrequency"])
        assert row["ServiceCategory"] in SERVICE_CATEGORIES
        assert row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["ChargePeriodEnd"] <= row["BillingPeriodEnd"]
        assert "run_id" in json.loads(row["Tags"])
        assert "1.2" == row["x_FocusVersion"]
        assert all(name.startswith("x_") or name[0].isupper() for name in row)


def test_rows_add_up_to_the_receipts(state: Path) -> None:
    """Effective costs are the receipts; billed is all but the capital of owned GPUs: 1.5 h at $0.77 + $0.33."""
    sums: dict[tuple[str, bool], Decimal] = {}
    not_billed = Decimal(0)
    for row in rows_of(state):
        if not row["x_LineItem"]:
            key = row["BillingCurrency"], row["x_Simulated"] == "true"
            sums[key] = sums.get(key, Decimal(0)) + Decimal(row["EffectiveCost"])
            not_billed += Decimal(row["EffectiveCost"]) - Decimal(row["BilledCost"])
    assert receipts_of(state) == sums
    assert Decimal("1.65") == not_billed.quantize(Decimal("1e-9"))


def test_line_items_have_rows_of_their_own(state: Path) -> None:
    """An hour of somebody at $85, and $7 once, on the day the run ended; and on no other."""
    found = {row["x_LineItem"]: row for row in rows_of(state) if row["x_LineItem"]}
    assert {"people": Decimal(85), "data": Decimal(7)} == {
        name: Decimal(row["BilledCost"]) for name, row in found.items()
    }
    assert {"2026-11-22T00:00:00Z"} == {row["ChargePeriodStart"] for row in found.values()}
    assert [] == [row for row in rows_of(state, Days("2026-11-23")) if row["x_LineItem"]]


def test_a_row_says_who_pays_and_what_it_is(state: Path) -> None:
    """The account is a label and not the user; a GPU is known by its UUID, electricity by its own SKU."""
    rows = rows_of(state)
    first = next(row for row in rows if row["x_RunId"] == "r-=rented")
    assert ("lab-7", "llm", "maya") == (first["BillingAccountId"], first["SubAccountId"], first["x_User"])
    assert first["ResourceId"].startswith("GPU-")
    assert ("gpu01", "'=rented") == (first["ResourceName"], first["x_RunName"])
    power = next(row for row in rows if row["PricingUnit"] == "kWh")
    assert ("electricity", "default") == (power["SkuId"], power["BillingAccountId"])
    assert (Decimal("0.17"), "1.3") == (Decimal(power["ListUnitPrice"]), power["x_PUE"])


def test_a_unit_price_is_the_rate_in_force(state: Path) -> None:
    """$2.40 and $1.20 an hour, not what rounded hours make of it; where a price changed, the mean of the day."""
    told = {row["ListUnitPrice"] for row in rows_of(state) if row["PricingUnit"] == "GPU-Hours"}
    assert {"2.40", "1.20", "0.77", "0.33"} == told


def test_where_a_price_moved_the_mean_stands(tmp_path: Path) -> None:
    """Half an hour at $2.40 and half at $1.20 is $1.80 an hour, and dynamic."""
    first, records = ended(run("moved", 0, 60))
    cheaper = replace(RENTED, devices={uuid: replace(gpu, hourly=(("rental", Decimal("1.20")),))
                                       for uuid, gpu in RENTED.devices.items()})  # fmt: skip
    middle = len(records) // 2 + 1
    changed: list[Record] = [*records[:middle], RatesChange(BEGAN_UTC_NS + 30 * MINUTE, cheaper), *records[middle:]]
    write(tmp_path / "runs" / first.run, first, changed)
    moved = next(row for row in rows_of(tmp_path) if "H100" in row["SkuId"])
    assert (Decimal("1.8"), "Dynamic") == (Decimal(moved["ListUnitPrice"]), moved["PricingCategory"])


@pytest.mark.parametrize(
    ("detail", "provider", "region", "category", "key"),
    [
        pytest.param(
            "aws/p4d.24xlarge/us-east-1 spot (GitHub x); spot price of 2024-08-09: it changes by the hour, c.yaml:3",
            "aws", "us-east-1", "Dynamic", "aws/p4d.24xlarge/us-east-1/spot", id="spot",
        ),
        pytest.param(
            "3/7 of gcp/accelerator:p4/asia-southeast1 reserved_1yr (GitHub x), costmeter.yaml:3",
            "gcp", "asia-southeast1", "Committed", "gcp/accelerator:p4/asia-southeast1/reserved_1yr", id="committed",
        ),
        pytest.param(
            "salad/rtx-3060/* on_demand (GitHub x); marketplace: the cheapest offer of one day, costmeter.yaml:3",
            "salad", "", "Standard", "salad/rtx-3060/*/on_demand", id="anywhere",
        ),
        pytest.param(
            "H100-80GB-SXM5 at digitalocean, 12 sellers 1.95 to 11.061 USD; set yours: --price or gpu.price",
            "GPU rental", "", "Standard", "NVIDIA H100 80GB HBM3/GPU-Hours", id="of-the-model",
        ),
    ],
)  # fmt: skip
def test_the_catalogue_names_provider_region_and_kind(
    tmp_path: Path, detail: str, provider: str, region: str, category: str, key: str
) -> None:
    """A price of the catalogue says whose it is; the list price of a model is that of nobody who sent a bill."""
    of = replace(RENTED, origins={"gpu.price": Origin("list price 2024-08", detail)})
    written(tmp_path, "listed", of=of)
    row = next(row for row in rows_of(tmp_path) if "H100" in row["SkuId"])
    assert {provider} == {row[name] for name in ("ProviderName", "PublisherName", "InvoiceIssuerName")}
    assert (region, category, key) == (row["RegionId"], row["PricingCategory"], row["SkuPriceId"])
    snapshot = "2024-08-09" if "2024-08-09" in detail else "2024-08"
    assert {"x_snapshot_date": snapshot} == json.loads(row["SkuPriceDetails"])


def mixed(minutes: int = 60) -> tuple[Header, list[Record]]:
    """A run of two H100s, the first owned ($0.77 an hour and its electricity), the second rented ($2.40 an hour)."""
    both = devices(2)
    of = rates(dict(zip(uuids(both), (owned("0.77"), rental("2.40")), strict=True)), electricity_per_kwh=Decimal("0.2"))
    each = dict.fromkeys(uuids(both), measured(MINUTE, 60_000 * JOULE))
    slots = [SlotEntry(slot(each, minute)) for minute in range(minutes)]
    first = header(run="r-mixed", anchor=Anchor(BEGAN_NS, BEGAN_UTC_NS))
    return first, [held(both), RatesChange(BEGAN_UTC_NS, of), *slots, footer(minutes * MINUTE)]


def test_owned_and_rented_gpus_of_one_model_are_rows_of_their_own(tmp_path: Path) -> None:
    """By hand, for an hour: $0.77 of capital that nobody bills, 1 kWh of electricity at $0.20, and $2.40 of rent."""
    first, records = mixed()
    write(tmp_path / "runs" / first.run, first, records)
    rows = rows_of(tmp_path)
    found = {
        (row["PricingUnit"], row["PricingCategory"], row["ProviderName"]): (
            *(
                round(Decimal(row[name]), 9)
                for name in ("EffectiveCost", "BilledCost", "ListUnitPrice", "PricingQuantity")
            ),
            row["ServiceName"].split()[1],
        )
        for row in rows
    }
    assert found == {
        ("GPU-Hours", "Other", "on-premises"): (Decimal("0.77"), 0, Decimal("0.77"), 1, "on-prem"),
        ("GPU-Hours", "Standard", "GPU rental"): (Decimal("2.4"), Decimal("2.4"), Decimal("2.4"), 1, "rented"),
        ("kWh", "Standard", "electricity supplier"): (Decimal("0.2"), Decimal("0.2"), Decimal("0.2"), 1, "electricity"),
    }
    assert {*uuids(devices(2))} == {row["ResourceId"] for row in rows}
    assert receipts_of(tmp_path) == {("USD", False): sum(Decimal(row["EffectiveCost"]) for row in rows)}


def test_signs_that_are_none_are_shown_as_such(tmp_path: Path) -> None:
    """Escape sequences and marks that turn the direction of writing reach nobody's screen, not in tags either."""
    written(tmp_path, "odd", user="ma\u202eya", labels={"project": "\x1b[31mred\x85"})
    row = rows_of(tmp_path)[0]
    assert ("ma?ya", "?[31mred?") == (row["x_User"], row["SubAccountId"])
    assert "?[31mred?" == json.loads(row["Tags"])["project"]
    assert all(cell.isprintable() for cell in row.values())
