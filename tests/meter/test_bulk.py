"""Charging in bulk: the sum of what `charge` says slot by slot, to the last digit, whatever the prices."""

from collections.abc import Sequence
from dataclasses import fields, replace
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from costmeter.meter.bulk import Block
from costmeter.meter.charge import DeviceRates, Rates
from costmeter.meter.slot import Quantities
from costmeter.meter.tally import Tally, charged
from costmeter.meter.totals import DeviceTotals, Totals, totals
from tests.samples import HOUR, KWH, MINUTE, decimals, measured, owned, quantities, rates, rates_of, rental, slot

GPU = "GPU-0"
#: Prices as a division leaves them: 30,000 / (4 × 8,760) has 28 digits.
long_prices = st.decimals(0, 100, places=25) | st.integers(1, 10**6).map(lambda dollars: Decimal(dollars) / 35_040)


def block(did: Sequence[Sequence[Quantities]]) -> Block:
    """Slots of devices as lists by field; a field that is nothing throughout is left out, and equal values stand once
    for all devices."""
    count = len(did[0])
    found: dict[str, list[int]] = {}
    for name in (each.name for each in fields(Quantities)):
        rows = [[getattr(each, name) for each in row] for row in did]
        alike = all(row.count(row[0]) == count for row in rows)
        values = [row[0] for row in rows] if alike else [value for row in rows for value in row]
        if any(values):
            found[name] = values
    return Block(found, range(len(did)), count)


def one_by_one(did: Sequence[Sequence[Quantities]], under: Rates) -> list[DeviceTotals]:
    """The slow path: every slot priced alone, and added."""
    order = list(under.devices)
    whole = Totals(dict.fromkeys(order, DeviceTotals()))
    for number, row in enumerate(did):
        whole = whole + totals(slot(dict(zip(order, row, strict=True)), number), under)
    return list(whole.devices.values())


def in_bulk(did: Sequence[Sequence[Quantities]], under: Rates) -> list[DeviceTotals] | None:
    tally, whole = Tally(len(did[0])), block(did)
    devices = list(under.devices.values())
    found, again = charged(whole, devices, under), charged(whole, devices, under)  # again from what it remembers
    assert found == again
    if found is None:
        return None
    tally.add([(whole, found)])
    return tally.totals()


def assert_same(did: Sequence[Quantities] | Sequence[Sequence[Quantities]], under: Rates) -> None:
    """Equal, and the money's keys in the same order: a receipt lists components as they first appear."""
    rows = [row if isinstance(row, Sequence) else [row] for row in did]
    slow, fast = one_by_one(rows, under), in_bulk(rows, under)
    assert fast == slow
    for quick, each in zip(fast, slow, strict=True):
        assert (list(quick.charges), list(quick.credits)) == (list(each.charges), list(each.credits))


def rows_of(devices: int) -> st.SearchStrategy[list[list[Quantities]]]:
    row = st.lists(quantities() | st.just(Quantities()), min_size=devices, max_size=devices)
    return st.lists(row | quantities().map(lambda each: [each] * devices), min_size=1, max_size=5)


@given(st.lists(quantities() | st.just(Quantities()), min_size=1, max_size=6), rates_of((GPU,)))
def test_bulk_is_the_sum_of_charges(did: list[Quantities], under: Rates) -> None:
    """Any quantities, under prices of either sign: charges, credits, overhead and emissions."""
    assert_same(did, under)


@given(st.integers(1, 3).flatmap(rows_of), st.data())
def test_several_devices_are_each_their_own_sum(did: list[list[Quantities]], data: st.DataObject) -> None:
    """Under rates of their own or alike: nothing of one GPU gets to another."""
    uuids = tuple(f"GPU-{place}" for place in range(len(did[0])))
    under = data.draw(rates_of(uuids))
    if data.draw(st.booleans()):
        under = replace(under, devices=dict.fromkeys(uuids, under.devices[GPU]))
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
    (found,) = in_bulk([[each] for each in did], under) or [DeviceTotals()]
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
    assert in_bulk([[did]], rates({GPU: device}, **changes)) is None
