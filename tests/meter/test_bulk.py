"""Charging in bulk: the sum of what `charge` says slot by slot, to the last digit, whatever the prices."""

from collections.abc import Sequence
from dataclasses import fields
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from costmeter.meter.bulk import Columns, device_totals
from costmeter.meter.charge import DeviceRates, Rates
from costmeter.meter.slot import Quantities
from costmeter.meter.totals import DeviceTotals, totals
from tests.samples import HOUR, KWH, MINUTE, decimals, measured, owned, quantities, rates, rates_of, rental, slot

GPU = "GPU-0"
#: Prices as a division leaves them: 30,000 / (4 × 8,760) has 28 digits.
long_prices = st.decimals(0, 100, places=25) | st.integers(1, 10**6).map(lambda dollars: Decimal(dollars) / 35_040)


def columns(did: Sequence[Quantities]) -> Columns:
    """Slots as lists by field; a field that is nothing throughout is left out."""
    names = [each.name for each in fields(Quantities)]
    found = {name: [getattr(each, name) for each in did] for name in names}
    return {name: values for name, values in found.items() if any(values)}


def one_by_one(did: Sequence[Quantities], under: Rates) -> DeviceTotals:
    """The slow path: every slot priced alone, and added."""
    whole = DeviceTotals()
    for number, held in enumerate(did):
        whole = whole + totals(slot({GPU: held}, number), under).devices[GPU]
    return whole


def in_bulk(did: Sequence[Quantities], under: Rates) -> DeviceTotals | None:
    return device_totals(columns(did), len(did), under.devices[GPU], under)


def assert_same(did: Sequence[Quantities], under: Rates) -> None:
    """Equal, and the money's keys in the same order: a receipt lists components as they first appear."""
    slow, fast = one_by_one(did, under), in_bulk(did, under)
    assert fast == slow
    assert fast is not None
    assert (list(fast.charges), list(fast.credits)) == (list(slow.charges), list(slow.credits))


@given(st.lists(quantities() | st.just(Quantities()), min_size=1, max_size=6), rates_of((GPU,)))
def test_bulk_is_the_sum_of_charges(did: list[Quantities], under: Rates) -> None:
    """Any quantities, under prices of either sign: charges, credits, overhead and emissions."""
    assert_same(did, under)


@given(
    st.lists(quantities(), min_size=1, max_size=4),
    rates_of((GPU,), long_prices) | rates_of((GPU,), decimals),
    st.data(),
)
def test_prices_of_many_digits_are_charged_the_same(did: list[Quantities], under: Rates, data: st.DataObject) -> None:
    """28 digits of capital per hour, or a price nobody would ask: where integers cannot tell, Decimals do."""
    assert_same(did, under)


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(0, 9))
@example(1, 1, 0)
def test_ties_go_to_the_even_digit(half: int, count: int, step: int) -> None:
    """At 1.8 an hour a nanosecond costs 1.8 / 3.6e12 = 0.5e-12: half a QUANTUM, which is rounded to the even one."""
    did = [measured(busy_ns=half + turn * step) for turn in range(count)]
    assert_same(did, rates({GPU: rental("1.8")}))
    assert_same(did, rates({GPU: rental("1.8")}, pue=Decimal("1.5")))


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_ties_of_energy_go_to_the_even_digit(energies: list[int]) -> None:
    """At PUE 1.5 every odd energy has half a microjoule of overhead; at 1.8 a kWh and 1.8 t they tie, too."""
    did = [measured(busy_uj=energy, busy_ns=MINUTE) for energy in energies]
    changes = {"pue": Decimal("1.5"), "electricity_per_kwh": Decimal("1.8")}
    grams = {"carbon_grams_per_kwh": Decimal("5400000"), "market_grams_per_kwh": Decimal("1800000")}
    assert_same(did, rates({GPU: owned("0.5", "30.05")}, **changes, **grams))


def test_a_day_by_hand() -> None:
    """An owned GPU for 2 h at $0.50 and 1.5 kWh × PUE 1.2 at $0.20: $1.00 capital + 1.8 kWh × $0.20 = $0.36; 400 g/kWh
    of 1.8 kWh = 720 g."""
    did = [measured(HOUR, KWH), measured(HOUR, KWH // 2)]
    under = rates(
        {GPU: owned("0.50")},
        electricity_per_kwh=Decimal("0.20"),
        pue=Decimal("1.2"),
        carbon_grams_per_kwh=Decimal(400),
    )
    found = in_bulk(did, under)
    assert found is not None
    assert {("capital", "busy"): Decimal("1.00"), ("electricity", "busy"): Decimal("0.36")} == found.charges
    assert (3 * KWH // 10, 720 * 10**6) == (found.overhead_microjoules, found.operational_micrograms)


@pytest.mark.parametrize(
    ("did", "device", "changes"),
    [
        pytest.param(measured(-1), rental(), {}, id="time-below-nothing"),
        pytest.param(measured(MINUTE, -1), rental(), {}, id="energy-below-nothing"),
        pytest.param(measured(MINUTE), rental(), {"pue": Decimal("0.9")}, id="pue-below-one"),
        pytest.param(measured(MINUTE), rental("NaN"), {}, id="no-number"),
        pytest.param(measured(MINUTE), rental(), {"carbon_grams_per_kwh": Decimal("Infinity")}, id="no-end"),
    ],
)
def test_what_no_meter_writes_is_left_to_the_slow_path(
    did: Quantities, device: DeviceRates, changes: dict[str, Decimal]
) -> None:
    """Signs that are wrong, or figures that are none: nothing is told, rather than something else."""
    assert in_bulk([did], rates({GPU: device}, **changes)) is None
