"""Line items: what a quantity of each kind costs, and what a part of a run used."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.charge import Origin
from costmeter.meter.item import BYTE_NANOSECONDS_PER_GB_MONTH, LineItem, PartUse
from tests.samples import CONFIGURED, HOUR, SECOND, prices

GB = 10**9
MONTH = 730 * HOUR


def item(kind: str, price: str = "1", **more: object) -> LineItem:
    """An item of a kind."""
    return LineItem("x", kind, Decimal(price), CONFIGURED, **more)  # type: ignore[arg-type]


def use(*items: LineItem, **more: object) -> PartUse:
    """An hour on eight GPUs."""
    return PartUse("gpu01", 0, HOUR, 8 * HOUR, items, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expected", "of", "quantity"),
    [
        # S3 Standard: $0.023 per GB-month. 1 TB for a month of 730 h is 1,000 × 0.023 = $23.
        pytest.param("23", item("path", "0.023"), 1_000 * GB * MONTH, id="a-terabyte-for-a-month"),
        # 12.4 GB for 3 h 12 min 7 s: 12.4 × 11,527 / 2,628,000 × 0.023 = 0.0012509514…
        pytest.param("0.001250951", item("path", "0.023"), 124 * GB // 10 * 11_527 * SECOND, id="the-worked-example"),
        pytest.param("50", item("gb", "0.10", amount=Decimal(500)), 500 * GB * MONTH, id="500-gb-for-a-month"),
        # Egress at $0.09 per GB: 1.5 TB is $135.
        pytest.param("135", item("network", "0.09"), 1_500 * GB, id="egress"),
        pytest.param("0.96", item("per_gpu_hour", "0.12"), 8 * HOUR, id="licences-of-eight-gpus-for-an-hour"),
        pytest.param("170", item("per_hour", "85", amount=Decimal(2)), HOUR, id="two-people-for-an-hour"),
        pytest.param("1200", item("fixed", "1200"), 1, id="once"),
        pytest.param("0", item("network", "0.09"), 0, id="nothing"),
    ],
)
def test_a_quantity_costs_what_it_costs(expected: str, of: LineItem, quantity: int) -> None:
    """Prices are per GB (1e9 bytes) and month (730 h), per GB, per GPU-hour, per hour, or an amount."""
    assert Decimal(expected) == of.cost(quantity).quantize(Decimal("1e-9"))


@pytest.mark.parametrize(
    ("expected", "of"),
    [
        pytest.param(500 * GB * HOUR, item("gb", amount=Decimal(500)), id="constant-size"),
        pytest.param(8 * HOUR, item("per_gpu_hour"), id="gpu-time"),
        pytest.param(HOUR, item("per_hour", amount=Decimal(3)), id="time-whatever-the-count"),
        pytest.param(1, item("fixed"), id="once"),
        pytest.param(7, item("path", path="/ckpt"), id="what-was-seen"),
        pytest.param(None, LineItem("other", "network", Decimal(1), CONFIGURED), id="never-seen"),
    ],
)
def test_a_part_uses_an_item(expected: int | None, of: LineItem) -> None:
    """What is watched is what was seen, and nothing where nobody looked; the rest follows from time and GPUs."""
    assert expected == use(of, used={"x": 7}).quantity(of)


@given(prices, st.integers(0, 10**24), st.integers(0, 10**24))
def test_more_never_costs_less(price: Decimal, quantity: int, more: int) -> None:
    """What an item has cost never falls, so that it can be a counter."""
    of = LineItem("x", "path", price, Origin("configured", "x"))
    assert of.cost(quantity) <= of.cost(quantity + more)


def test_a_gb_month_is_a_gigabyte_for_730_hours() -> None:
    """A month of storage is a twelfth of a year of 8,760 h, and a gigabyte is decimal."""
    assert 10**9 * 730 * 3_600 * 10**9 == BYTE_NANOSECONDS_PER_GB_MONTH
