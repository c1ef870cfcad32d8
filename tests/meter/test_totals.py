"""Totals: they add in any order, have a zero, and every whole is the sum of its parts."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.totals import DeviceTotals, Totals, by_component, by_state, net, totals
from tests.depth import examples
from tests.samples import MINUTE, SECOND, measured, orders, owned, rates, rates_of, rental, silent, slot, slots


@st.composite
def sums(draw: st.DrawFn) -> Totals:
    """The totals of a slot or two."""
    total = Totals()
    for _ in range(draw(st.integers(1, 2))):
        order = draw(orders())
        total = total + totals(draw(slots(order)), draw(rates_of(order)))
    return total


@examples(15)
@given(sums(), sums(), sums())
def test_totals_add_in_any_order(left: Totals, middle: Totals, right: Totals) -> None:
    """Addition is associative and commutative to the last digit, and has a zero."""
    assert (left + middle) + right == left + (middle + right)
    assert left + middle == middle + left
    assert left == left + Totals() == Totals() + left


@examples(25)
@given(sums())
def test_devices_sum_to_the_run(total: Totals) -> None:
    """Time, energy, money and emissions of the devices are those of the run, exactly."""
    whole, parts = total.whole, list(total.devices.values())
    assert whole.cost == sum(part.cost for part in parts)
    assert whole.quantities.nanoseconds == sum(part.quantities.nanoseconds for part in parts)
    assert whole.quantities.microjoules == sum(part.quantities.microjoules for part in parts)
    assert whole.quantities.host_microjoules == sum(part.quantities.host_microjoules for part in parts)
    assert whole.overhead_microjoules == sum(part.overhead_microjoules for part in parts)
    assert whole.operational_micrograms == sum(part.operational_micrograms for part in parts)
    assert whole.embodied_micrograms == sum(part.embodied_micrograms for part in parts)


@examples(25)
@given(sums())
def test_components_and_states_sum_to_the_cost(total: Totals) -> None:
    """The cost is the sum over components, and the sum over states, of charges less credits."""
    whole = total.whole
    amounts = net(whole.charges, whole.credits)
    assert whole.cost == sum(by_component(amounts).values()) == sum(by_state(amounts).values())


@examples(25)
@given(sums())
def test_charges_and_credits_stay_apart(total: Totals) -> None:
    """However much is summed, nothing is netted: both sides only grow."""
    for device in (*total.devices.values(), total.whole):
        assert all(amount >= 0 for amount in (*device.charges.values(), *device.credits.values()))


def test_a_credit_lowers_the_cost_and_not_the_charges() -> None:
    """A minute bought at $6/h and one paid back at $3/h are 10 cents charged, 5 credited: 5 cents."""
    of = {"a": measured(busy_ns=MINUTE)}
    total = totals(slot(of), rates({"a": rental("6")})) + totals(slot(of), rates({"a": rental("-3")}))
    key = ("rental", "busy")
    assert ({key: Decimal("0.1")}, {key: Decimal("0.05")}) == (total.whole.charges, total.whole.credits)
    assert total.whole.cost == Decimal("0.05")


def test_every_state_is_told_even_when_it_cost_nothing() -> None:
    """A receipt never lacks a state."""
    assert {"busy": Decimal(0), "idle": Decimal(3), "unknown": Decimal(0)} == by_state({("rental", "idle"): Decimal(3)})


def test_components_keep_their_order() -> None:
    """Components come in the order the rates name them, with electricity after."""
    of = rates({"a": owned("0.77")}, electricity_per_kwh=Decimal("0.12"))
    charged = totals(slot({"a": measured(busy_ns=SECOND, busy_uj=10**9)}), of).whole.charges
    assert ["capital", "electricity"] == list(by_component(charged))


def test_a_silent_device_costs_rent() -> None:
    """A minute in which nobody could say is paid like any other, as `unknown`."""
    total = totals(slot({"a": silent(MINUTE)}), rates({"a": rental("6")})).whole
    assert {("rental", "unknown"): Decimal("0.1")} == total.charges
    assert MINUTE == total.quantities.unmeasured_nanoseconds


def test_a_device_that_was_never_booked_is_zero() -> None:
    """No time, no money: the zero of the sum."""
    assert Decimal(0) == DeviceTotals().cost == Totals().whole.cost


@examples(25)
@given(st.data(), orders())
def test_market_based_grams_add_up_beside_the_others(data: st.DataObject, order: tuple[str, ...]) -> None:
    """Devices and minutes sum to the whole, credits included; what they are beside is what it was without them."""
    of = data.draw(rates_of(order))
    minutes = [totals(data.draw(slots(order)), of) for _ in range(2)]
    whole = (minutes[0] + minutes[1]).whole
    parts = [device for minute in minutes for device in minute.devices.values()]
    assert whole.market_micrograms == sum(device.market_micrograms for device in parts)
    assert whole.cost == sum((device.cost for device in parts), Decimal(0))
    assert of.market_grams_per_kwh is not None or whole.market_micrograms == 0
