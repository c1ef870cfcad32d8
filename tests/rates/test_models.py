"""GPU models by the names people type: found, told when there are several, never another model."""

from decimal import Decimal

import pytest

from costmeter.rates.models import find, models
from costmeter.rates.prices import rows


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("h100", "H100-80GB-SXM5"),
        ("H100 SXM", "H100-80GB-SXM5"),
        ("H100 SXM5 80GB", "H100-80GB-SXM5"),
        ("NVIDIA H100 80GB HBM3", "H100-80GB-SXM5"),
        ("h100-pcie", "H100-80GB-PCIe"),
        ("h100 nvl", "H100-NVL-94GB"),
        ("a100", "A100-80GB-SXM4"),
        ("a100-80gb", "A100-80GB-SXM4"),
        ("a100-40gb", "A100-40GB-SXM4"),
        ("A100-SXM4-40GB", "A100-40GB-SXM4"),
        ("a100 80gb pcie", "A100-80GB-PCIe"),
        ("v100", "V100-16GB-SXM2"),
        ("h200", "H200-141GB-SXM5"),
        ("b200", "B200"),
        ("a10", "A10"),
        ("l4", "L4"),
        ("t4", "T4"),
        ("4090", "RTX-4090"),
        ("rtx4090", "RTX-4090"),
        ("RTX 4090", "RTX-4090"),
        ("GeForce RTX 4090 D", "RTX-4090-D"),
        ("Tesla T4", "T4"),
        ("rtx 6000 ada", "RTX-6000-Ada"),
        ("a6000", "RTX-A6000"),
    ],
)
def test_a_short_name_is_the_model_people_mean(name: str, key: str) -> None:
    """Short names, keys and the driver's names lead to one model."""
    assert key == find(name).model.key


def test_the_others_a_name_fits_are_told() -> None:
    """Of several boards the common one is taken, and the others are named."""
    found = find("h100")
    assert {"H100-80GB-PCIe", "H100-NVL-94GB", "H100-96GB-SXM5"} == set(found.others)
    assert () == find("b200").others


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("rtx", "fits", id="a-whole-family"),
        pytest.param("rtx6000", "Quadro-RTX-6000, ", id="two-boards-of-one-number"),
        pytest.param("h1000", "near it: ", id="a-slip"),
        pytest.param("tpu v4", "no GPU model", id="not-one-of-these"),
        pytest.param("", "no GPU model", id="nothing"),
        pytest.param("gpu", "no GPU model", id="only-a-vendor's-word"),
    ],
)
def test_a_name_that_is_none_or_several_is_refused(name: str, said: str) -> None:
    """The refusal lists what the name fits, or what is nearest."""
    with pytest.raises(LookupError, match=said):
        find(name)


@pytest.mark.parametrize("model", models(), ids=lambda model: str(model.key))
def test_every_model_is_found_by_its_key_and_the_drivers_names(model: object) -> None:
    """No key and no name of the driver leads to another model, and the figures are plausible."""
    found = next(each for each in models() if each is model)
    assert all(find(name).model is found for name in (found.key, *found.aliases))
    assert found.tdp_watts is None or 30 <= found.tdp_watts <= 2_000
    assert found.dense_tflops is None or 1 <= found.dense_tflops <= 5_000
    assert found.dense_tflops is None or found.tflops_basis
    low, high = found.price_low_usd, found.price_high_usd
    assert (low is None) == (high is None)
    assert low is None or high is None or 0 < low <= high


def test_figures_of_the_h100_are_of_its_data_sheet() -> None:
    """NVIDIA H100 SXM5: 700 W, 989.4 dense TFLOPS in BF16 (data sheet: 1,979 with sparsity)."""
    h100 = find("h100").model
    assert (Decimal(700), Decimal("989.4"), "tensor bf16") == (h100.tdp_watts, h100.dense_tflops, h100.tflops_basis)
    assert Decimal(32_500) == h100.price_middle_usd


def test_a_power_is_known_for_every_model() -> None:
    """What a model draws at full load is what a meter estimates with; the K80 is two GPUs of 150 W."""
    assert all(model.tdp_watts for model in models())
    assert Decimal(150) == find("k80").model.tdp_watts


def test_the_tables_know_the_same_boards_by_the_same_names() -> None:
    """A key has the same names of the driver wherever it stands: no board takes another's power or price."""
    boards, known, priced = (
        {row["gpu_key"]: row["nvml_names"] for row in rows(table)}
        for table in ("boards.csv", "gpu_models.csv", "default_prices.csv")
    )
    assert boards == known
    assert priced == {key: known.get(key) for key in priced}


@pytest.mark.parametrize(
    ("name", "watts"),
    [
        pytest.param("Tesla V100-SXM3-32GB-H", 450, id="of-a-dgx-2h"),
        pytest.param("Tesla V100-SXM3-32GB", 350, id="of-a-dgx-2"),
        pytest.param("NVIDIA RTX PRO 4500 Blackwell Server Edition", 165, id="server-edition"),
        pytest.param("rtx pro 4500", 200, id="workstation-card"),
    ],
)
def test_boards_of_nearly_one_name_have_their_own_power(name: str, watts: int) -> None:
    """The figures of data/boards.csv, of the very board that the driver names."""
    assert Decimal(watts) == find(name).model.tdp_watts
