"""The table of scenarios: data that keeps its contract, and text that people read."""

import csv
import io
import json
from dataclasses import replace
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from costmeter.ledger.alternatives import without_waiting
from costmeter.ledger.record import SlotEntry
from costmeter.ledger.repricing import Change
from costmeter.ledger.scenario import Interruptions, Priced, Scenario, price, recorded
from costmeter.meter.charge import Origin, Rates
from costmeter.meter.schedule import Constant
from costmeter.outputs.whatif import AS_RUN, SCHEMA, as_csv, as_json, as_text
from costmeter.rates.book import Book, GpuPlan, Sourced
from tests.ledger.recorded import minutes, write
from tests.samples import CONFIGURED, KWH, devices, measured, rates, rental, uuids

TWO = devices(2)
RENTED = rates(
    {uuid: rental("2.40") for uuid in uuids(TWO)},
    carbon_grams_per_kwh=Decimal(400),
    origins={"gpu.price": CONFIGURED, "carbon.intensity": Origin("estimated", "world average")},
)
EACH = measured(45 * 10**9, 3 * KWH // 100, 15 * 10**9, KWH // 100)
SPOT = Book(gpus=(GpuPlan(price=Sourced(Constant(Decimal("1.20")), Origin("configured", "--spot"))),))
SCENARIOS = (
    Scenario("spot", "spot, $1.20/GPU-h", Change(SPOT, frozenset({"gpu"}))),
    Scenario("lost", "", None, interruptions=Interruptions(Decimal(4), Decimal(36)), notes=("lost: an estimate",)),
    Scenario("idle", "idle GPU time removed", drops_idle=True),
    Scenario("never", "no table", unpriced="nobody knows"),
)

Rows = tuple[list[Priced], list[Priced]]


def rows(state: Path, *unders: Rates) -> Rows:
    """A run of ten minutes for each of these rates, and every scenario of it."""
    runs = [write(state, minutes(TWO, EACH, [under] * 10, f"r-{at}")) for at, under in enumerate(unders)]
    found = [recorded(state, run) for run in runs]
    others = [answer for each in SCENARIOS for answer in price(state, found, each)]
    return price(state, found, Scenario(AS_RUN, "")), others


def test_the_json_keeps_its_contract(tmp_path: Path) -> None:
    """Money is exact text, shares are of the runs' own cost, and what has no answer says why."""
    schema: dict[str, Any] = json.loads(files("costmeter.outputs").joinpath("whatif.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    made = json.loads(json.dumps(as_json(["r-0"], *rows(tmp_path, RENTED))))

    Draft202012Validator(schema).validate(made)
    assert SCHEMA == schema["$id"] == made["schema"]
    by_name = {row["name"]: row for row in made["scenarios"]}
    assert [Decimal(by_name[name]["cost"]) for name in (AS_RUN, "spot", "lost", "idle")] == [
        Decimal("0.80"), Decimal("0.40"), Decimal("0.88"), Decimal("0.60"),
    ]  # fmt: skip
    assert [by_name[name]["vs_percent"] for name in (AS_RUN, "spot", "lost", "idle")] == [0, -50, 10, -25]
    assert by_name["never"]["unpriced"] == "nobody knows"
    assert by_name["never"]["cost"] is None
    assert by_name[AS_RUN]["provenance"]["cost.total"] == "configured"
    assert by_name["lost"]["provenance"]["cost.total"] == "estimated"
    assert by_name[AS_RUN]["what"] == "rental, $2.40/GPU-h"


def test_the_text_is_a_table_with_its_sources(tmp_path: Path) -> None:
    """Ten minutes at $0.80: each row with its share, and below the table where the prices come from."""
    assert "\n".join(as_text(*rows(tmp_path, RENTED), 80)) == (
        "Same 10 m 00 s of samples, priced again\n"
        "                                  USD     vs      CO2e\n"
        "as run  rental, $2.40/GPU-h    0.8000      –  0.320 kg\n"
        "spot    spot, $1.20/GPU-h      0.4000  −50 %  0.320 kg\n"
        "lost    rental, $2.40/GPU-h    0.8800  +10 %  0.352 kg\n"
        "idle    idle GPU time removed  0.6000  −25 %  0.240 kg\n"
        "never   no table                    –      –         –\n"
        "\n"
        " as run: configured, costmeter.yaml:3; estimated, world average\n"
        " spot: configured, --spot\n"
        " lost: an estimate\n"
        " never: not priced: nobody knows"
    )


def test_what_has_no_room_goes_on_below(tmp_path: Path) -> None:
    """A row's text is folded at blanks in its own column; its figures stand once, beside its first line."""
    own, _ = rows(tmp_path, RENTED)
    long = [replace(own[0], scenario=Scenario("owned", "bought GPUs over four years, electricity on top", None))]

    assert as_text(own, long, 55)[1:6] == [
        "                                  USD   vs      CO2e",
        "as run  rental, $2.40/GPU-h    0.8000    –  0.320 kg",
        "owned   bought GPUs over four  0.8000  0 %  0.320 kg",
        "        years, electricity on",
        "        top",
    ]


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_no_width_is_too_narrow(width: int, tmp_path: Path) -> None:
    """On any terminal every row keeps its figures."""
    text = "\n".join(as_text(*rows(tmp_path, RENTED), width))
    assert all(figure in text for figure in ("0.8000", "0.4000", "−50 %", "nobody"))


def test_the_csv_is_the_table(tmp_path: Path) -> None:
    """One line for each row, with the exact amounts of the JSON and nothing where there is no answer."""
    own, others = rows(tmp_path, RENTED)
    read = list(csv.DictReader(io.StringIO(as_csv(own, others))))
    data = as_json([], own, others)["scenarios"]

    assert [row["cost"] for row in read] == [row["cost"] or "" for row in data]
    assert [row["name"] for row in read] == [row["name"] for row in data]


def test_a_run_that_waited_has_a_row_of_money_alone(tmp_path: Path) -> None:
    """15 s of each of ten minutes on two GPUs at $2.40/h: 300 s are 0.0833 GPU-h and $0.20 of $0.80."""
    lines = minutes(TWO, EACH, [RENTED] * 10)
    waited = [
        replace(line, slot=replace(line.slot, reasons=dict.fromkeys(line.slot.devices, "waiting-for-data")))
        if isinstance(line, SlotEntry)
        else line
        for line in lines
    ]
    run = [recorded(tmp_path, write(tmp_path, waited))]
    own, others = price(tmp_path, run, Scenario(AS_RUN, "")), price(tmp_path, run, without_waiting())

    schema = json.loads(files("costmeter.outputs").joinpath("whatif.schema.json").read_text())
    made = as_json(["r-0"], own, others)
    Draft202012Validator(schema).validate(made)
    row = made["scenarios"][1]
    assert (Decimal(row["cost"]), Decimal(row["difference"]), row["vs_percent"]) == (
        Decimal("0.60"),
        -Decimal("0.20"),
        -25,
    )
    assert Decimal(row["cost"]) == sum(map(Decimal, row["components"].values()))
    assert [row[name] for name in ("energy_joules", "energy_kwh", "emissions_grams")] == [None] * 3
    assert row["gpu_seconds"] == 900
    assert not [name for name in row["provenance"] if name.startswith(("energy.", "emissions."))]
    (line,) = [line for line in as_text(own, others, 80) if line.startswith("no waiting  ")]
    assert "no waiting 0.0833 GPU-h of waiting for data removed 0.6000 −25 % –" == " ".join(line.split())


def test_currencies_stand_apart(tmp_path: Path) -> None:
    """Runs in two currencies are two rows, each compared with its own; no sum is over both."""
    own, others = rows(tmp_path, RENTED, replace(RENTED, currency="EUR"))
    data = as_json(["r-0", "r-1"], own, others)["scenarios"]

    assert [(row["name"], row["currency"], Decimal(row["cost"])) for row in data[:2]] == [
        (AS_RUN, "USD", Decimal("0.80")),
        (AS_RUN, "EUR", Decimal("0.80")),
    ]
    idle = [row for row in data if row["name"] == "idle"]
    assert [row["vs_percent"] for row in idle] == [-25, -25]
    assert "€0.8000" in "\n".join(as_text(own, others, 80))


def test_all_prices_in_another_currency_are_compared_with_nothing(tmp_path: Path) -> None:
    """A configuration in euros is a row of its own, and has no share of dollars."""
    own, _ = rows(tmp_path, RENTED)
    book = replace(SPOT, currency="EUR")
    abroad = price(tmp_path, [recorded(tmp_path, "r-0")], Scenario("abroad", "", Change(book, is_everything=True)))

    row = as_json([], own, abroad)["scenarios"][1]
    assert (row["currency"], row["cost"], row["difference"], row["vs_percent"]) == ("EUR", "0.400000000000", None, None)
