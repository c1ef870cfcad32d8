"""The arithmetic of an estimate: proportional, exact, and its parts are its whole."""

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from costmeter.planning.estimate import Power, UnitPrices, break_even, estimate, training_flops, work

AMOUNT = st.decimals(min_value="0.01", max_value=10**5, places=2)
COUNT = st.integers(min_value=1, max_value=20_000)


def prices(price: Decimal, *, owned: bool = False) -> UnitPrices:
    """A price per GPU-hour, and where the GPUs are owned a price per kWh on top."""
    component = "capital" if owned else "rental"
    return UnitPrices(((component, price),), owned, Decimal("0.12"), Decimal(380), Decimal("4.68"))


@given(COUNT, AMOUNT, AMOUNT, st.booleans())
def test_twice_the_gpus_for_half_the_time_cost_the_same(
    count: int, hours: Decimal, price: Decimal, owned: bool
) -> None:
    """GPU-hours decide: money, energy and carbon are equal to the last digit."""
    once, twice = work(count, hours), work(2 * count, hours / 2)
    power, paid = Power(Decimal(700), Decimal("0.85"), Decimal("112.5"), Decimal("1.2")), prices(price, owned=owned)
    assert estimate(once.gpu_hours, power, paid) == estimate(twice.gpu_hours, power, paid)


@given(AMOUNT, AMOUNT, AMOUNT, st.booleans())
def test_more_hours_never_cost_less(fewer: Decimal, more: Decimal, price: Decimal, owned: bool) -> None:
    """Cost, energy and emissions rise with GPU-hours."""
    assume(fewer < more)
    short, long = (estimate(hours, Power(Decimal(700)), prices(price, owned=owned)) for hours in (fewer, more))
    assert short.cost is not None and long.cost is not None  # noqa: PT018 (for the type checker)
    assert short.cost < long.cost
    assert short.energy_kwh is not None and long.energy_kwh is not None  # noqa: PT018 (for the type checker)
    assert short.energy_kwh < long.energy_kwh


@given(AMOUNT, AMOUNT)
def test_components_add_up_to_the_cost(hours: Decimal, price: Decimal) -> None:
    """Capital and electricity are disjoint, and together are the cost."""
    one = estimate(hours, Power(Decimal(700)), prices(price, owned=True))
    parts = dict(one.components or ())
    assert {"capital", "electricity"} == set(parts)
    assert one.cost == parts["capital"] + parts["electricity"]


def test_rent_includes_electricity() -> None:
    """Energy of rented GPUs is known and not charged: 10 h × 2.00 = 20.00."""
    one = estimate(Decimal(10), Power(Decimal(700)), prices(Decimal(2)))
    assert (Decimal(20), Decimal(7)) == (one.cost, one.energy_kwh)


def test_the_facility_power_of_the_page_is_reproduced() -> None:
    """(8 × 700 W × 85 % + 900 W) × PUE 1.2 is 6.792 kW: 4,760 + 900 = 5,660 W; × 1.2."""
    per_gpu = Power(Decimal(700), Decimal("0.85"), Decimal(900) / 8, Decimal("1.2")).facility_kw
    assert Decimal("6.792") == per_gpu * 8


def test_rent_or_buy_by_hand() -> None:
    """30,000 / (2.49 - 0.849 kW × 0.12) = 30,000 / 2.38812 = 12,562.2 h: 17.2 months of 730 h, 2.05 years at 70 %."""
    even = break_even(Decimal(30_000), Decimal("2.49"), Decimal("0.849") * Decimal("0.12"))
    assert even is not None
    assert (Decimal("12562.2"), Decimal("17.2")) == (round(even.busy_hours, 1), round(even.months_nonstop, 1))
    assert Decimal("2.05") == round(even.years_at(Decimal("0.7")), 2)


def test_buying_never_pays_where_electricity_costs_the_rent() -> None:
    """A rent no higher than the electricity has no break-even, rather than a negative one."""
    assert break_even(Decimal(30_000), Decimal("0.10"), Decimal("0.10")) is None


def test_what_is_not_known_is_none_and_not_nothing() -> None:
    """Without power there is no energy, no emissions, and for owned GPUs no cost; without price no cost."""
    unpowered = estimate(Decimal(10), None, prices(Decimal(2), owned=True))
    assert (None, None, None) == (unpowered.cost, unpowered.energy_kwh, unpowered.emissions_grams)
    assert estimate(Decimal(10), Power(Decimal(700)), UnitPrices(None)).cost is None


@given(COUNT, AMOUNT, AMOUNT)
def test_flops_and_hours_are_one_another(count: int, hours: Decimal, tflops: Decimal) -> None:
    """FLOPs made of hours lead back to these hours, to 20 digits."""
    there = work(count, hours, tflops=tflops)
    back = work(count, flops=there.flops, tflops=tflops)
    assert back.hours is not None
    assert abs(back.hours - hours) < Decimal("1e-15") * hours


def test_work_needs_enough_to_go_by() -> None:
    """Hours of nobody's GPUs, and FLOPs at no speed, are no work."""
    with pytest.raises(ValueError, match="work is hours and GPUs"):
        work(hours=Decimal(3))
    with pytest.raises(ValueError, match="work is hours and GPUs"):
        work(flops=Decimal("1e20"))


def test_training_is_six_operations_per_parameter_and_token() -> None:
    """A billion parameters on a billion tokens: 6e18."""
    assert Decimal("6e18") == training_flops(Decimal("1e9"), Decimal("1e9"))
