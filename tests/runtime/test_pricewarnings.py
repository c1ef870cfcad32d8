"""What is said of prices that are missing, and of list prices that are another model's."""

from dataclasses import replace
from pathlib import Path

import pytest

from costmeter.rates.prices import key
from costmeter.readings import Device
from costmeter.runtime.pricewarnings import price_warnings
from tests.config.writing import H100, Site

A100 = replace(H100, uuid="GPU-a", index=8, name="NVIDIA A100-SXM4-40GB")
NODE = [*(replace(H100, uuid=f"GPU-{index}", index=index) for index in range(8)), A100]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("gpu: {price: 2.49}", [], id="a-price-for-all"),
        pytest.param("", [], id="list-prices"),
        pytest.param(
            "currency: GBP",
            [
                'no price for "NVIDIA H100 80GB HBM3" (GPU 0-7): list prices are in USD, not GBP. '
                "Set one: --price P, or in costmeter.yaml:  gpu: {price: P}",
                'no price for "NVIDIA A100-SXM4-40GB" (GPU 8): list prices are in USD, not GBP. '
                "Set one: --price P, or in costmeter.yaml:  gpu: {price: P}",
            ],
            id="another-currency",
        ),
        pytest.param(
            "gpu: {price: {catalog: aws/p4d.24xlarge/us-east-1/spot}}",
            [
                'the catalogue price is of A100-40GB-SXM4, and GPU 0-7 is "NVIDIA H100 80GB HBM3". '
                "Find its own: costmeter prices list"
            ],
            id="a-row-of-another-model",
        ),
    ],
)
def test_each_model_is_told_of_once(text: str, expected: list[str], tmp_path: Path) -> None:
    """GPUs of one model share a warning; a catalogue row is for the model it names, and for no other."""
    site = Site(tmp_path)
    site.write(site.project, text)
    settings = site.load().settings
    said = price_warnings(settings.book, NODE, settings.book.at(0, NODE))
    assert expected == [str(warning) for warning in said]


@pytest.mark.parametrize(
    ("device", "expected"),
    [pytest.param(H100, "H100-80GB-SXM5"), pytest.param(replace(H100, name="NVIDIA Nobody"), "")],
)
def test_a_model_has_one_key(device: Device, expected: str) -> None:
    """The tables' name of a model is found by the driver's; a model that they do not have has none."""
    assert expected == key(device.name)
