"""Defaults per GPU model: found by any name a driver gives, sane, dated, and sourced."""

import csv
from decimal import Decimal

import pytest

from costmeter.rates.prices import DATA, WORLD_GRAMS_PER_KWH, default_price, embodied


def rows(filename: str) -> list[dict[str, str]]:
    with (DATA / filename).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(line for line in lines if not line.startswith("#")))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        pytest.param("NVIDIA H100 80GB HBM3", "H100-80GB-SXM5", id="current-name"),
        pytest.param("NVIDIA A100-SXM4-80GB", "A100-80GB-SXM4", id="a100"),
        pytest.param("A100-SXM4-80GB", "A100-80GB-SXM4", id="old-driver-without-vendor"),
        pytest.param("Tesla T4", "T4", id="tesla"),
        pytest.param("NVIDIA T4", "T4", id="alias"),
        pytest.param("T4", "T4", id="bare"),
        pytest.param("NVIDIA Tesla V100-SXM2-16GB", "V100-16GB-SXM2", id="vendor-and-tesla"),
        pytest.param("nvidia h200", "H200-141GB-SXM5", id="case"),
        pytest.param("GeForce RTX 4090", "RTX-4090", id="geforce-without-vendor"),
        pytest.param("NVIDIA A100-SXM4-80GB MIG 3g.40gb", "A100-80GB-SXM4", id="mig-instance"),
        pytest.param("A100-SXM4-40GB MIG 1c.3g.20gb", "A100-40GB-SXM4", id="mig-instance-of-an-old-driver"),
    ],
)
def test_a_price_is_found_by_every_name_of_a_model(name: str, key: str) -> None:
    """Names of current and older drivers lead to the same model."""
    price = default_price(name)
    assert price is not None
    assert key == price.gpu_key


@pytest.mark.parametrize("name", ["NVIDIA RTX 6000 Ada", "", "H100", "Radeon", "NVIDIA H100 80GB HBM3 X"])
def test_an_unknown_model_has_no_price(name: str) -> None:
    """A name that is not in the table is nobody's price, however near it is."""
    assert default_price(name) is None


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        pytest.param("NVIDIA H100 80GB HBM3", "2", "5", id="h100"),
        pytest.param("NVIDIA A100-SXM4-80GB", "1.2", "3", id="a100-80"),
        pytest.param("NVIDIA H200", "3", "6", id="h200"),
        pytest.param("NVIDIA B200", "4", "8", id="b200"),
        pytest.param("NVIDIA L4", "0.3", "1", id="l4"),
        pytest.param("Tesla T4", "0.3", "1", id="t4"),
        pytest.param("NVIDIA A10", "0.7", "2", id="a10"),
    ],
)
def test_well_known_prices_are_sane(name: str, low: str, high: str) -> None:
    """The default of a common GPU is near what people pay for one."""
    price = default_price(name)
    assert price is not None
    assert Decimal(low) <= price.price_usd_per_gpu_hour <= Decimal(high)


def test_every_price_lies_in_its_range_and_is_dated() -> None:
    """Each row has a positive price between its cheapest and dearest seller, a month, a seller and a source."""
    for row in rows("default_prices.csv"):
        price = default_price(row["nvml_names"].split("|")[0])
        assert price is not None
        assert 0 < price.low <= price.price_usd_per_gpu_hour <= price.high
        assert price.month.startswith("2026-")
        assert price.seller
        assert price.source.startswith("S")
        assert (price.sellers == 1) <= (price.low == price.high)


def test_no_marketplace_sets_a_price() -> None:
    """No default is the cheapest offer of one day."""
    assert {row["seller"] for row in rows("default_prices.csv")}.isdisjoint({"vast", "akash", "salad", "tensordock"})


def test_both_tables_name_the_models_alike() -> None:
    """A model has the same NVML names in both tables, and no name leads to two models."""
    models = {row["gpu_key"]: row["nvml_names"] for row in rows("gpu_models.csv")}
    assert all(models[row["gpu_key"]] == row["nvml_names"] for row in rows("default_prices.csv"))
    names = [name for listed in models.values() for name in listed.split("|")]
    assert len(names) == len(set(names))


def test_embodied_carbon_is_spread_over_four_powered_years() -> None:
    """H100: 164 kg × 1000 / (4 × 8,760 h) = 4.680 g per hour."""
    figure = embodied("NVIDIA H100 80GB HBM3")
    assert figure is not None
    assert round(figure.grams_per_hour, 3) == Decimal("4.680")
    assert "NVIDIA" in figure.source


def test_a_mig_instance_has_the_figures_of_its_board() -> None:
    """Embodied carbon is found for an instance as for its board; its slices' share is taken elsewhere."""
    figure = embodied("NVIDIA H100 80GB HBM3 MIG 1g.10gb")
    assert figure is not None
    assert figure == embodied("NVIDIA H100 80GB HBM3")


def test_unknown_embodied_carbon_is_none() -> None:
    """A model without a published figure has none, not zero."""
    assert embodied("NVIDIA L4") is None


@pytest.mark.parametrize("filename", ["default_prices.csv", "gpu_models.csv", "boards.csv"])
def test_tables_say_where_they_are_from(filename: str) -> None:
    """Each table opens with comments that name its sources."""
    text = (DATA / filename).read_text(encoding="utf-8")
    assert text.startswith("#")
    assert "Source" in text


def test_the_world_grid_is_embers_of_2024() -> None:
    """The default intensity is the lifecycle world average of 2024."""
    assert Decimal("472.94") == WORLD_GRAMS_PER_KWH
