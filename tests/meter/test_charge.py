"""Charges: a slot under rates, by hand and by law."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.charge import QUANTUM, DeviceCharge, DeviceRates, Rates, charge, cost_per_hour
from costmeter.meter.interval import Interval, cut
from costmeter.meter.slot import ZERO, Quantities, Slot, plus
from tests.depth import examples
from tests.samples import (
    HOUR,
    JOULE,
    KWH,
    MINUTE,
    SECOND,
    devices,
    measured,
    orders,
    owned,
    prices,
    quantities,
    rates,
    rates_of,
    rental,
    signed_prices,
    silent,
    slot,
    slots,
    uuids,
)

ONE = "GPU-0"


@st.composite
def priced(draw: st.DrawFn, of: st.SearchStrategy[Decimal] = signed_prices) -> tuple[Slot, Rates]:
    """A slot and the rates of its devices."""
    order = draw(orders())
    return draw(slots(order)), draw(rates_of(order, of))


def priced_alone(of: Quantities, **changes: Decimal) -> DeviceCharge:
    """One owned GPU without capital cost: what is left is electricity and carbon."""
    return charge(slot({ONE: of}), rates({ONE: owned("0")}, **changes))[ONE]


# Known answers


def test_eight_gpus_for_an_hour() -> None:
    """8 GPUs × 60 minutes × $2.49/h = $19.92, idle or not: 6 h of it busy and 2 h idle are $14.94 and $4.98."""
    held = uuids(devices(8))
    minute = slot({uuid: measured(busy_ns=45 * SECOND, idle_ns=15 * SECOND) for uuid in held})
    charged = charge(minute, rates({uuid: rental() for uuid in held}))
    amounts = [amount for device in charged.values() for amount in device.charges.items()]
    assert Decimal("19.92") == 60 * sum(amount for _, amount in amounts)
    assert Decimal("14.94") == 60 * sum(amount for (_, state), amount in amounts if state == "busy")
    assert Decimal("4.98") == 60 * sum(amount for (_, state), amount in amounts if state == "idle")


def test_electricity_of_a_minute_at_700_watts() -> None:
    """700 W × 60 s = 42 kJ; PUE 1.2 adds 8.4 kJ; 50.4 kJ / 3.6 MJ/kWh × $0.12/kWh = $0.00168."""
    busy = measured(busy_ns=MINUTE, busy_uj=42_000 * JOULE)
    charged = priced_alone(busy, electricity_per_kwh=Decimal("0.12"), pue=Decimal("1.2"))
    assert Decimal("0.00168") == charged.charges["electricity", "busy"]
    assert 8_400 * JOULE == charged.overhead_microjoules


def test_carbon_of_a_days_work() -> None:
    """(15.68 kWh GPU + 2.88 kWh host) × PUE 1.2 = 22.272 kWh; × 380 g/kWh = 8,463.36 g; cooling is 3.712 kWh."""
    busy = measured(busy_ns=HOUR, busy_uj=15_680 * KWH // 1_000)
    busy = replace(busy, busy_host_microjoules=2_880 * KWH // 1_000)
    changes = {"pue": Decimal("1.2"), "carbon_grams_per_kwh": Decimal(380)}
    charged = priced_alone(busy, **changes)
    assert 3_712 * KWH // 1_000 == charged.overhead_microjoules
    assert 8_463_360_000 == charged.operational_micrograms


def test_market_based_carbon_stands_beside_the_grids() -> None:
    """10 kWh × PUE 1.2 = 12 kWh: at 380 g/kWh of the grid 4,560 g, at 724.56 g/kWh of the residual mix 8,694.72 g."""
    busy = measured(busy_ns=HOUR, busy_uj=10 * KWH)
    grid = {"pue": Decimal("1.2"), "carbon_grams_per_kwh": Decimal(380)}
    charged = priced_alone(busy, **grid, market_grams_per_kwh=Decimal("724.56"))
    assert (4_560_000_000, 8_694_720_000) == (charged.operational_micrograms, charged.market_micrograms)
    assert replace(charged, market_micrograms=0) == priced_alone(busy, **grid)


@pytest.mark.parametrize(
    ("device", "energy_microjoules", "length_ns", "expected"),
    [
        pytest.param(rental(), 700 * JOULE, SECOND, "2.49", id="rent-includes-electricity"),
        pytest.param(owned("0.77"), 700 * JOULE, SECOND, "0.8708", id="bought"),
        pytest.param(owned("0.77"), 7_000 * JOULE, 10 * SECOND, "0.8708", id="over-ten-seconds"),
        pytest.param(owned("0.77"), 0, 0, "0.77", id="power-is-not-known"),
        pytest.param(DeviceRates((), False), 700 * JOULE, SECOND, None, id="no-price"),
    ],
)
def test_what_a_gpu_costs_by_the_hour(
    device: DeviceRates, energy_microjoules: int, length_ns: int, expected: str | None
) -> None:
    """0.7 kW × PUE 1.2 × $0.12/kWh = $0.1008/h beside the price of a bought GPU; one without a price costs nothing."""
    priced = rates({ONE: device}, electricity_per_kwh=Decimal("0.12"), pue=Decimal("1.2"))
    amount = None if expected is None else Decimal(expected)
    assert amount == cost_per_hour(priced, ONE, energy_microjoules, length_ns)
    assert cost_per_hour(None, ONE, energy_microjoules, length_ns) is None
    assert cost_per_hour(priced, "GPU-of-nobody", energy_microjoules, length_ns) is None


def test_a_bought_gpu_costs_its_straight_line() -> None:
    """($30,000 - $3,000) / (4 × 8,760 h) = $0.770547945205…: an hour is that, quantised to 1e-12."""
    capital = Decimal(27_000) / (4 * 8_760)
    charged = charge(slot({ONE: measured(busy_ns=HOUR)}), rates({ONE: owned(str(capital))}))[ONE]
    assert Decimal("0.770547945205") == charged.charges["capital", "busy"]


def test_embodied_carbon_goes_by_time_held() -> None:
    """30 minutes at 2.5 g/h are 1.25 g, of silence too."""
    charged = charge(slot({ONE: silent(HOUR // 2)}), rates({ONE: rental(embodied="2.5")}))[ONE]
    assert (0, 1_250_000) == (charged.operational_micrograms, charged.embodied_micrograms)


def test_the_worked_example_of_a_receipt() -> None:
    """8 GPUs × 3 h 12 min 7 s (11,527 s) × $2.49/h = 25.6156 GPU-h × $2.49 = $63.782733333…"""
    held = uuids(devices(8))
    whole = slot({uuid: measured(busy_ns=11_527 * SECOND) for uuid in held})
    charged = charge(whole, rates({uuid: rental() for uuid in held}))
    total = sum((device.charges["rental", "busy"] for device in charged.values()), Decimal(0))
    assert Decimal("63.782733") == total.quantize(Decimal("0.000001"))


def test_rent_includes_electricity() -> None:
    """Energy of a rented GPU is shown and booked as carbon, and costs nothing more."""
    busy = measured(busy_ns=HOUR, busy_uj=KWH)
    changes = {"electricity_per_kwh": Decimal(1), "carbon_grams_per_kwh": Decimal(400)}
    charged = charge(slot({ONE: busy}), rates({ONE: rental("2")}, **changes))[ONE]
    assert {("rental", "busy"): Decimal(2)} == charged.charges
    assert 400_000_000 == charged.operational_micrograms


def test_a_negative_price_is_a_credit() -> None:
    """1 kWh at -$0.05/kWh pays back 5 cents: a positive credit, and no charge."""
    charged = priced_alone(measured(busy_ns=HOUR, busy_uj=KWH), electricity_per_kwh=Decimal("-0.05"))
    assert {("electricity", "busy"): Decimal("0.05")} == charged.credits
    assert ("electricity", "busy") not in charged.charges


def test_host_energy_is_paid_in_the_state_it_was_used_in() -> None:
    """Of 90 J of host, the 30 J used while the GPU was idle are paid as idle: at 3.6 million/kWh, 1 per joule, 30."""
    half = replace(measured(busy_ns=SECOND, idle_ns=SECOND), busy_host_microjoules=60 * JOULE)
    charged = priced_alone(replace(half, idle_host_microjoules=30 * JOULE), electricity_per_kwh=Decimal(3_600_000))
    assert Decimal(60) == charged.charges["electricity", "busy"]
    assert Decimal(30) == charged.charges["electricity", "idle"]


def test_energy_at_an_instant_is_charged() -> None:
    """A counter difference that falls on no time at all is paid for like any other."""
    charged = priced_alone(measured(busy_ns=0, busy_uj=KWH), electricity_per_kwh=Decimal("0.12"), pue=Decimal(2))
    assert Decimal("0.24") == charged.charges["electricity", "busy"]


# Laws


@examples(30)
@given(priced())
def test_electricity_is_paid_on_all_energy_of_the_facility(of: tuple[Slot, Rates]) -> None:
    """Charges less credits for electricity are (GPU + host + overhead) × price, to the quantum of each state."""
    held, under = of
    for uuid, charged in charge(held, under).items():
        facility_uj = (
            held.devices[uuid].microjoules + held.devices[uuid].host_microjoules + charged.overhead_microjoules
        )
        paid = _booked(charged, "electricity")
        due = facility_uj * under.electricity_per_kwh / KWH if under.devices[uuid].pays_electricity else Decimal(0)
        assert abs(paid - due) <= 3 * QUANTUM


@examples(30)
@given(priced())
def test_overhead_is_what_pue_adds(of: tuple[Slot, Rates]) -> None:
    """Overhead is (PUE - 1) × (GPU + host), within half a microjoule per state."""
    held, under = of
    for uuid, charged in charge(held, under).items():
        energy_uj = _drawn_uj(held.devices[uuid])
        assert abs(energy_uj * (under.pue - 1) - charged.overhead_microjoules) <= Decimal("1.5")


@examples(30)
@given(priced())
def test_time_is_paid_once_per_component(of: tuple[Slot, Rates]) -> None:
    """Each hourly component is price × time held, whatever the GPU did in it."""
    held, under = of
    for uuid, charged in charge(held, under).items():
        for component, per_hour in under.devices[uuid].hourly:
            due = per_hour * held.devices[uuid].nanoseconds / HOUR
            assert abs(_booked(charged, component) - due) <= 3 * QUANTUM


@examples(30)
@given(priced())
def test_carbon_is_counted_on_all_energy_of_the_facility(of: tuple[Slot, Rates]) -> None:
    """Operational emissions are (GPU + host + overhead) × g/kWh, within half a microgram."""
    held, under = of
    for uuid, charged in charge(held, under).items():
        facility_uj = (
            held.devices[uuid].microjoules + held.devices[uuid].host_microjoules + charged.overhead_microjoules
        )
        due = facility_uj * under.carbon_grams_per_kwh * 10**6 / KWH
        assert abs(due - charged.operational_micrograms) <= Decimal("0.5")


@examples(30)
@given(priced())
def test_charges_and_credits_are_never_negative_and_never_mix(of: tuple[Slot, Rates]) -> None:
    """Every amount is positive or zero, of the quantum, and on one side only."""
    for charged in charge(*of).values():
        amounts = [*charged.charges.values(), *charged.credits.values()]
        assert all(amount >= 0 and amount == amount.quantize(QUANTUM) for amount in amounts)
        assert not charged.charges.keys() & charged.credits.keys()


@examples(30)
@given(priced(of=prices), st.data())
def test_the_charge_of_a_growing_slot_never_falls(of: tuple[Slot, Rates], data: st.DataObject) -> None:
    """Whatever is added to the quantities of an open slot, no charge, no energy and no emission becomes less."""
    held, under = of
    grown = replace(held, devices={uuid: each + data.draw(quantities()) for uuid, each in held.devices.items()})
    before, after = charge(held, under), charge(grown, under)
    for uuid, charged in before.items():
        assert all(amount <= after[uuid].charges[key] for key, amount in charged.charges.items())
        assert charged.overhead_microjoules <= after[uuid].overhead_microjoules
        assert charged.operational_micrograms <= after[uuid].operational_micrograms
        assert charged.embodied_micrograms <= after[uuid].embodied_micrograms


@given(orders(max_size=1), st.lists(st.floats(0, 1), max_size=10), st.data())
def test_how_time_was_cut_into_readings_is_not_priced(
    order: tuple[str, ...], places: list[float], data: st.DataObject
) -> None:
    """The same minute read once or many times costs the same: charges follow from the slot's sums alone."""
    under = data.draw(rates_of(order))
    whole = Interval(ONE, 0, MINUTE, "busy", 40_000 * JOULE, "counter", 1.0)
    edges_ns = [0, *sorted(round(place * MINUTE) for place in places), MINUTE]
    total, rest = ZERO, whole
    for start_ns, end_ns in pairwise(edges_ns):
        if start_ns < end_ns:
            piece, rest = cut(rest, end_ns)
            total = plus(total, piece)
    often, once = (charge(slot({order[0]: of}), under) for of in (total, plus(ZERO, whole)))
    assert once == often


@examples(30)
@given(priced())
def test_how_energy_was_found_is_not_priced(of: tuple[Slot, Rates]) -> None:
    """Method, utilization and counters are told beside the money and never change it."""
    held, under = of
    told = {
        uuid: replace(each, counter_microjoules=0, power_microjoules=each.microjoules, observed_nanoseconds=0)
        for uuid, each in held.devices.items()
    }
    assert charge(held, under) == charge(replace(held, devices=told, counters_microjoules={}), under)


@pytest.mark.parametrize("uuid", [pytest.param(uuid, id=f"GPU-{place}") for place, uuid in enumerate("abc")])
def test_devices_are_priced_apart(uuid: str) -> None:
    """Without a host to share, a device costs in company what it costs alone."""
    of = {"a": measured(busy_ns=MINUTE, busy_uj=KWH), "b": silent(MINUTE), "c": measured(idle_ns=MINUTE, idle_uj=7)}
    under = rates(
        {"a": rental(), "b": owned("0.77"), "c": owned("1.5", embodied="2")},
        electricity_per_kwh=Decimal("0.12"),
        carbon_grams_per_kwh=Decimal(380),
    )
    assert charge(slot({uuid: of[uuid]}), under)[uuid] == charge(slot(of), under)[uuid]


def _booked(charged: DeviceCharge, component: str) -> Decimal:
    """Charges less credits of one component."""
    charges = sum((amount for (name, _), amount in charged.charges.items() if name == component), Decimal(0))
    return charges - sum((amount for (name, _), amount in charged.credits.items() if name == component), Decimal(0))


def _drawn_uj(held: Quantities) -> int:
    """Energy of the GPU and of its share of the host."""
    return held.microjoules + held.host_microjoules
