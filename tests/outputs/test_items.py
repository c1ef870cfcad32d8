"""Line items, prices that moved and the market-based factor, in the receipt and on the metrics page."""

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.query import Run, fold_all
from costmeter.ledger.record import Items, Record, Usage
from costmeter.meter.item import BYTES_PER_GB, LineItem
from costmeter.outputs.itemlines import item_lines
from costmeter.outputs.prometheus import page
from costmeter.outputs.receipt import receipt
from costmeter.outputs.snapshot import Snapshot
from costmeter.outputs.style import Style
from costmeter.outputs.terminal import render
from tests.depth import examples
from tests.outputs import runs
from tests.samples import BEGAN_UTC_NS, HOUR, SECOND, device, header, held, measured, prices, rates_from_start, rental

LENGTH_NS = 11_527 * SECOND


def rows(run: Run) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in receipt(run)["items"]}


@pytest.mark.parametrize(
    ("name", "cost", "word", "unit"),
    [
        pytest.param("checkpoints", "0.00125095", "measured", "GB-month", id="watched-path"),
        pytest.param("scratch", "0.21931126", "configured", "GB-month", id="constant"),
        pytest.param("traffic", "0.27900000", "measured", "GB", id="network"),
        pytest.param("licences", "3.07386667", "measured", "GPU-hour", id="licences"),
        pytest.param("people", "136.08263889", "measured", "hour", id="people"),
        pytest.param("data labelling", "1200.00000000", "configured", "once", id="fixed"),
    ],
)
def test_items_of_the_worked_example(name: str, cost: str, word: str, unit: str) -> None:
    """Each cost is that of the docstring of `runs.beside`, and a quantity times its price is the cost."""
    row = rows(runs.beside())[name]
    assert (Decimal(cost), word, unit) == (
        Decimal(row["cost"]).quantize(Decimal("1e-8")),
        row["provenance"],
        row["unit"],
    )
    assert float(row["cost"]) == pytest.approx(row["quantity"] * float(row["price"]))


def test_items_stand_beside_the_cost() -> None:
    """The total, its components and their states are those of the run without items."""
    with_items, without = receipt(runs.beside()), receipt(runs.healthy())
    assert with_items["cost"] == without["cost"]
    assert ([], None) == (without["items"], without["full_cost"])
    assert with_items["full_cost"] is None


def test_the_full_cost_is_added_where_it_is_asked_for() -> None:
    """The full cost is the total and every item whose cost is known, to the last digit."""
    of = receipt(runs.beside(), with_full_cost=True)
    known = [Decimal(row["cost"]) for row in of["items"] if row["cost"] is not None]
    assert Decimal(of["cost"]["total"]) + sum(known) == Decimal(of["full_cost"])
    assert Decimal("1403.44") == Decimal(of["full_cost"]).quantize(Decimal("0.01"))


def test_an_item_that_nobody_saw_is_not_free() -> None:
    """A path that could not be looked at has no cost, and a note; it is missing, and not 0."""
    row = rows(runs.beside())["archive"]
    assert (None, None, "estimated") == (row["quantity"], row["cost"], row["provenance"])
    assert "it could not be looked at in time" == row["note"]


def test_a_size_that_was_held_is_an_estimate() -> None:
    """What was not looked at to the end is not called measured."""
    (part,) = runs.beside().parts
    stale = replace(runs.USED, notes={"checkpoints": "its last look did not come back in time"})
    assert "estimated" == rows(Run((fold_all(part, [stale]),)))["checkpoints"]["provenance"]


amounts = st.lists(prices, min_size=1, max_size=6)


@examples(40)
@given(amounts, st.integers(60, 120))
def test_the_column_of_items_adds_up(fixed: list[Decimal], width: int) -> None:
    """The amounts shown are those of the sum shown, and no line is wider than it may be."""
    items = tuple(LineItem(f"item {place}", "fixed", price, runs.PLACE) for place, price in enumerate(fixed))
    (part,) = runs.healthy().parts
    lines = list(item_lines(receipt(Run((fold_all(part, [Items(items)]),))), width))
    shown = [Decimal(re.findall(r"\$([\d,.]+)", text)[-1].replace(",", "")) for _, text in lines]
    assert all(len(text) <= width for _, text in lines)
    assert ["Beside", *[""] * (len(lines) - 1)] == [label for label, _ in lines]
    if len(items) > 1:
        assert shown[-1] == sum(shown[:-1])


@pytest.mark.parametrize(
    ("expected", "item", "used"),
    [
        pytest.param("x: 0 GB for", LineItem("x", "path", Decimal(1), runs.PLACE), 0, id="nothing"),
        pytest.param("x: 250 MB for", LineItem("x", "path", Decimal(1), runs.PLACE), BYTES_PER_GB // 4, id="megabytes"),
        pytest.param("x: 7.00 kB for", LineItem("x", "path", Decimal(1), runs.PLACE), 7_000, id="kilobytes"),
        pytest.param("x: 12 B for", LineItem("x", "path", Decimal(1), runs.PLACE), 12, id="bytes"),
    ],
)
def test_a_size_is_told_in_its_unit(expected: str, item: LineItem, used: int) -> None:
    """Mean sizes in GB, MB, kB or bytes."""
    (part,) = runs.healthy().parts
    run = Run((fold_all(part, [Items((item,)), Usage(BEGAN_UTC_NS, {"x": used * LENGTH_NS})]),))
    assert expected in render(receipt(run), Style())


# Prices that moved


def test_electricity_is_told_as_it_was_paid() -> None:
    """$1.60 for 13 kWh is $0.123077 on average, between $0.10 and $0.40; the last price alone would mislead."""
    of = receipt(runs.moving())["rates"]
    assert ("0.123077", "0.10", "0.40", "0.40") == tuple(
        of[f"electricity_per_kwh{which}"] for which in ("_mean", "_low", "_high", "")
    )
    assert ("100", "400") == (of["carbon_grams_per_kwh_low"], of["carbon_grams_per_kwh_high"])


def test_an_hour_of_guessing_makes_the_total_a_guess() -> None:
    """A tariff that was not valid for a part of the run makes its electricity estimated, though it is valid now."""
    of = receipt(runs.moving())
    assert "estimated" == of["provenance"]["electricity.price"]
    assert of["origins"]["electricity.price"].startswith("part of the time: valid until")


def test_a_gpu_price_that_moved_is_told_with_its_range() -> None:
    """Two hours of spot at $2 and one at $5 are $3 on average, of $2 to $5."""
    gpu = device(0)
    under = replace(runs.RENTED, devices={gpu.uuid: rental("2")})
    change = rates_from_start(replace(under, devices={gpu.uuid: rental("5")}))
    records: list[Record] = [
        held([gpu]),
        rates_from_start(under),
        runs.entry({gpu.uuid: measured(2 * HOUR)}, 2 * HOUR),
        change,
        runs.entry({gpu.uuid: measured(HOUR)}, HOUR),
    ]
    of = receipt(Run((runs.part(header(), *records),)))
    assert {gpu.uuid: {"mean": "3.000000", "low": "2", "high": "5"}} == of["rates"]["gpu_per_hour_spans"]
    assert "× $3.00 on average ($2.00 to $5.00) rental" in render(of, Style(120))


def test_gpus_of_one_price_that_moved_share_a_line() -> None:
    """Read microseconds apart, no two GPUs have the same mean; their one line has the mean over all their hours."""
    gpus = [device(index) for index in range(8)]
    under = replace(runs.RENTED, devices={gpu.uuid: rental("2") for gpu in gpus})
    after = replace(under, devices={gpu.uuid: rental("5") for gpu in gpus})
    lengths = [2 * HOUR + 1_000_000 * gpu.index for gpu in gpus]
    records: list[Record] = [
        held(gpus),
        rates_from_start(under),
        runs.entry({gpu.uuid: measured(length) for gpu, length in zip(gpus, lengths, strict=True)}, 2 * HOUR),
        rates_from_start(after),
        runs.entry({gpu.uuid: measured(HOUR) for gpu in gpus}, HOUR),
    ]
    text = render(receipt(Run((runs.part(header(), *records),))), Style(120))
    assert 1 == text.count("on average")
    assert "24.00 GPU-h × $3.00 on average ($2.00 to $5.00) rental" in text


def test_prices_that_stood_have_no_range() -> None:
    """Nothing is averaged where nothing moved, and rent pays for no electricity."""
    of = receipt(runs.healthy())["rates"]
    assert {} == of["gpu_per_hour_spans"]
    assert (None, None, None) == tuple(of[f"electricity_per_kwh_{which}"] for which in ("mean", "low", "high"))


# Market-based emissions


def test_market_based_emissions_stand_beside() -> None:
    """13 kWh × 20 g/kWh = 260 g, in no total; without such a factor there are none."""
    emissions = receipt(runs.moving())["emissions"]
    assert 260.0 == emissions["market_grams"]
    assert emissions["total_grams"] == emissions["operational_grams"] + emissions["embodied_grams"] == 4_900.0
    assert receipt(runs.healthy())["emissions"]["market_grams"] is None


# GPUs without a price


def test_gpus_without_a_price_are_named_in_the_headline() -> None:
    """A total that leaves out two GPUs says so where it stands."""
    assert "$14.94, without 2 of 8 GPUs" in render(receipt(runs.unpriced()), Style())


# The metrics page


def lines(snapshot: Snapshot) -> dict[str, float]:
    text = page(snapshot)[0].decode()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[:1] != "#"}


def test_items_and_market_based_emissions_are_exposed() -> None:
    """Each item has a counter of its own, in no sum of costs; one that nobody saw has none."""
    (part,) = runs.beside().parts
    of = lines(Snapshot(BEGAN_UTC_NS + LENGTH_NS, part, length_ns=LENGTH_NS))
    costs = {row["name"]: float(row["cost"]) for row in receipt(runs.beside())["items"] if row["cost"] is not None}
    name = 'costmeter_run_item_cost_usd_total{host="gpu01",meter="wrapper",run_id="r-0123456789ab",item="%s"}'
    assert costs == {item: pytest.approx(of[name % item]) for item in costs}
    assert name % "archive" not in of


def test_market_based_emissions_are_no_scope() -> None:
    """They have a family of their own: a sum over scopes stays the emissions of the run."""
    (part,) = runs.moving().parts
    of = lines(Snapshot(BEGAN_UTC_NS, part))
    assert [260.0] == [value for name, value in of.items() if "run_market" in name]
    assert 4_900.0 == sum(value for name, value in of.items() if name.startswith("costmeter_run_emissions"))
