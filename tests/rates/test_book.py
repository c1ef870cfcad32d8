"""The book of rates: what holds for a node's GPUs, and where each figure came from."""

from datetime import timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.calendar import Calendar, Hours, Place, Window
from costmeter.meter.charge import Origin, Rates
from costmeter.meter.schedule import Constant
from costmeter.meter.series import Series
from costmeter.rates.book import Book, GpuPlan, Instance, Owned, Sourced
from costmeter.rates.match import Match
from costmeter.readings import Device, Mig

FILE = Origin("configured", "costmeter.yaml:3")
MINUTE = 60 * 10**9
#: 0.30 from 16:00 to 21:00 UTC, else 0.10.
PEAK = Calendar(
    Place(timezone.utc),
    (
        Window(frozenset(range(7)), (Hours(16 * 60, 21 * 60),), Decimal("0.30")),
        Window(frozenset(range(7)), (Hours(0, 1440),), Decimal("0.10")),
    ),
)
#: 2.00 in the first half hour of 1970, 3.00 in the second.
SPOT = Series((0, 30 * MINUTE), (30 * MINUTE, 60 * MINUTE), (Decimal(2), Decimal(3)))


def device(name: str = "NVIDIA H100 80GB HBM3", index: int = 0) -> Device:
    return Device(f"GPU-{index:04}", index, name, f"0000:{index:02}:00.0", 700.0, "counter")


def sourced(value: str) -> Sourced:
    return Sourced(Constant(Decimal(value)), FILE)


def hourly(rates: Rates, index: int = 0) -> dict[str, Decimal]:
    return dict(rates.devices[f"GPU-{index:04}"].hourly)


H100, A100, STRANGE = device(), device("NVIDIA A100-SXM4-80GB", 1), device("NVIDIA X9000", 2)
#: Bought at 1, for whom electricity comes on top.
OWNED = GpuPlan(owned=Owned(Decimal(1), FILE))


def test_without_settings_a_known_gpu_rents_at_list_price() -> None:
    """No configuration: the list price, its date and seller and the way to replace it; electricity is in the rent."""
    rates = Book().at(0, [H100])
    assert hourly(rates) == {"rental": Decimal("3.39")}
    assert not rates.devices[H100.uuid].pays_electricity
    origin = rates.origins["gpu.price"]
    assert origin.word == "list price 2026-05"
    assert "12 sellers 1.95 to 11.061" in origin.detail
    assert "--price" in origin.detail


def test_without_settings_the_rest_is_estimated_and_says_so() -> None:
    """Grid, PUE, host and embodied carbon have origins that name the setting that replaces them."""
    rates = Book().at(0, [H100])
    assert rates.carbon_grams_per_kwh == Decimal("472.94")
    assert rates.pue == 1
    assert rates.origins["carbon.intensity"] == Origin(
        "estimated", "world average 2024, lifecycle (Ember via CO2.js); set carbon.intensity"
    )
    assert rates.origins["electricity.pue"].detail.startswith("not set: cooling not counted")
    assert "electricity.price" in rates.origins
    assert "host.power" in rates.origins


def test_every_word_of_provenance_is_one_of_four() -> None:
    """Origins are measured, estimated, configured, or a list price of a month."""
    book = Book(gpus=(GpuPlan(Match(name="*A100*"), sourced("1")),), pue=sourced("1.2"))
    for origin in book.at(0, [H100, A100, STRANGE]).origins.values():
        assert origin.word in {"measured", "estimated", "configured"} or origin.word.startswith("list price 2026-")


def test_gpus_that_differ_have_origins_each() -> None:
    """One model shares one origin; several models have one per UUID."""
    assert "gpu.price" in Book().at(0, [H100, device(index=1)]).origins
    mixed = Book().at(0, [H100, A100]).origins
    assert "gpu.price" not in mixed
    assert mixed["gpu.price.GPU-0001"].detail.startswith("A100-80GB-SXM4")


def test_a_gpu_nobody_lists_is_unpriced() -> None:
    """An unknown model costs nothing by the hour, its origin says so, and the book can name it."""
    rates = Book().at(0, [H100, STRANGE])
    assert hourly(rates, 2) == {}
    assert rates.origins["gpu.price.GPU-0002"].detail == 'missing: no list price for "NVIDIA X9000"; set gpu.price'
    assert Book().unpriced([H100, STRANGE]) == [STRANGE]


def test_list_prices_serve_no_other_currency() -> None:
    """Nothing is converted: with another currency a GPU is unpriced until its price is set."""
    book = Book(currency="EUR")
    assert book.unpriced([H100]) == [H100]
    assert "not EUR" in book.at(0, [H100]).origins["gpu.price"].detail
    owned = Book(currency="EUR", gpus=(GpuPlan(owned=Owned(Decimal(30000), FILE)),)).at(0, [H100])
    assert owned.electricity_per_kwh == 0
    assert owned.origins["electricity.price"].detail.startswith("missing:")


def test_the_first_plan_that_fits_wins() -> None:
    """Plans are tried in order; a GPU that none fits is at list price."""
    book = Book(
        gpus=(GpuPlan(Match(indexes=frozenset((0,))), sourced("1")), GpuPlan(Match(name="*h100*"), sourced("2")))
    )
    rates = book.at(0, [H100, device(index=5), A100])
    assert [hourly(rates, index)["rental"] for index in (0, 5, 1)] == [Decimal(1), Decimal(2), Decimal("1.69")]


@pytest.mark.parametrize(
    ("gpus", "node_gpus", "expected"),
    [
        pytest.param(None, 8, "6.88", id="shared-by-the-node"),
        pytest.param(None, None, "27.52", id="shared-by-the-gpus-given"),
        pytest.param(4, 8, "13.76", id="shared-by-the-number-named"),
    ],
)
def test_a_price_per_instance_is_shared(gpus: int | None, node_gpus: int | None, expected: str) -> None:
    """55.04 an hour over 8 GPUs is 6.88 each."""
    book = Book(gpus=(GpuPlan(price=Instance(Decimal("55.04"), gpus, FILE)),))
    rates = book.at(0, [H100, A100], node_gpus)
    assert hourly(rates) == {"rental": Decimal(expected)}
    assert rates.origins["gpu.price"] == FILE


def test_an_owned_gpu_costs_capital_and_electricity() -> None:
    """(30,000 - 3,000) / (4 × 8,760) + 30,000 × 0.05 / 8,760 = 0.770548 + 0.171233 = 0.941781 an hour."""
    owned = Owned(Decimal(30000), FILE, Decimal(3000), Decimal(4), Decimal("0.05"))
    rates = Book(gpus=(GpuPlan(owned=owned),)).at(0, [H100])
    assert round(hourly(rates)["capital"], 6) == Decimal("0.941781")
    assert rates.devices[H100.uuid].pays_electricity
    assert rates.electricity_per_kwh == Decimal("0.12")
    assert rates.origins["electricity.price"].word == "estimated"


def test_expected_use_charges_the_idle_share() -> None:
    """At 80 % use a quarter of the capital comes on top: 1 / 0.8 - 1 = 0.25."""
    owned = Owned(Decimal(35040), FILE, expected_use=Decimal("0.8"))
    rates = Book(gpus=(GpuPlan(owned=owned),)).at(0, [H100])
    assert hourly(rates) == {"capital": Decimal(1), "idle_share": Decimal("0.25")}


def test_a_meter_that_counts_what_nobody_holds_charges_no_idle_share() -> None:
    """An agent books the hours in which nobody holds a GPU: its book has capital alone, and rent as it was."""
    owned, rented = Owned(Decimal(35040), FILE, expected_use=Decimal("0.8")), sourced("2.00")
    book = Book(gpus=(GpuPlan(Match(indexes=frozenset({0})), owned=owned), GpuPlan(price=rented)))
    rates = book.without_idle_share().at(0, [H100, A100])
    assert (hourly(rates), hourly(rates, 1)) == ({"capital": Decimal(1)}, {"rental": Decimal("2.00")})
    assert "idle_share" in hourly(book.at(0, [H100, A100]))


def test_a_configured_electricity_price_replaces_the_default() -> None:
    """What was configured holds, and its origin is the line."""
    book = Book(gpus=(GpuPlan(owned=Owned(Decimal(1), FILE)),), electricity=sourced("-0.02"))
    rates = book.at(0, [H100])
    assert (rates.electricity_per_kwh, rates.origins["electricity.price"]) == (Decimal("-0.02"), FILE)


def test_embodied_carbon_is_by_model_or_as_configured() -> None:
    """By model where a figure is published, zero and said to be missing elsewhere, or the configured grams."""
    rates = Book().at(0, [H100, STRANGE])
    assert round(rates.devices[H100.uuid].embodied_grams_per_hour, 2) == Decimal("4.68")
    assert rates.devices[STRANGE.uuid].embodied_grams_per_hour == 0
    assert rates.origins["carbon.embodied.GPU-0002"].detail.startswith("missing: no published figure")
    assert Book(embodied=sourced("7")).at(0, [STRANGE]).devices[STRANGE.uuid].embodied_grams_per_hour == 7


def test_rates_change_with_their_schedules_and_only_then() -> None:
    """Each minute of two days: the price is the schedule's, and between two edges it is the same object again."""
    book = Book(gpus=(GpuPlan(owned=Owned(Decimal(1), FILE)),), electricity=Sourced(PEAK, FILE))
    quotation = book.quotation([H100])
    seen = [quotation.at(minute * MINUTE) for minute in range(2 * 1440)]
    for minute, rates in enumerate(seen):
        peak = 16 * 60 <= minute % 1440 < 21 * 60
        assert rates.electricity_per_kwh == Decimal("0.30" if peak else "0.10")
    assert 5 == len({id(rates) for rates in seen})


def test_constant_rates_are_one_object() -> None:
    """Where nothing changes, a month of minutes asks for nothing but the same rates."""
    quotation = Book().quotation([H100], 8)
    assert 1 == len({id(quotation.at(minute * MINUTE)) for minute in range(1440)})


@pytest.mark.parametrize(
    ("expected", "book"),
    [
        pytest.param(False, Book(), id="list-price"),
        pytest.param(False, Book(electricity=sourced("-0.10")), id="rent-includes-electricity"),
        pytest.param(True, Book(gpus=(OWNED,), electricity=sourced("-0.10")), id="electricity"),
        pytest.param(False, Book(gpus=(OWNED,), electricity=Sourced(PEAK, FILE)), id="a-calendar"),
        pytest.param(True, Book(gpus=(GpuPlan(price=sourced("-1")),)), id="rent"),
        pytest.param(False, Book(gpus=(GpuPlan(price=Sourced(SPOT, FILE)),)), id="spot"),
        pytest.param(True, Book(gpus=(GpuPlan(price=Instance(Decimal(-8), 8, FILE)),)), id="a-machine"),
        pytest.param(False, Book(carbon=sourced("-1"), pue=sourced("1.2")), id="nothing-that-is-charged"),
    ],
)
def test_whether_a_price_can_be_negative(expected: bool, book: Book) -> None:
    """Of what these GPUs are charged, at any time; what is no price, or not theirs, does not count."""
    assert expected is book.quotation([H100]).can_be_negative
    assert not book.quotation([]).can_be_negative


def test_a_book_remembers_nothing() -> None:
    """A frozen book is the same after any question: nothing in it is kept from one caller to the next."""
    book = Book(electricity=Sourced(PEAK, FILE))
    before = repr(book)
    first = book.at(0, [H100])
    book.at(20 * 60 * MINUTE, [A100], 8)
    assert (before, first) == (repr(book), book.at(0, [H100]))


def test_other_gpus_are_other_rates() -> None:
    """What was worked out for one set of GPUs serves no other set, and no other size of the node."""
    book = Book(gpus=(GpuPlan(price=Instance(Decimal(8), None, FILE)),))
    assert [hourly(book.at(0, [H100], 8)), hourly(book.at(0, [H100], 4)), hourly(book.at(0, [H100]))] == [
        {"rental": Decimal(1)},
        {"rental": Decimal(2)},
        {"rental": Decimal(8)},
    ]
    assert set(book.at(0, [A100], 8).devices) == {A100.uuid}


def test_a_doubted_value_is_an_estimate_for_as_long_as_it_is_doubted() -> None:
    """A spot series that has ended is held, and says so; inside it the origin is the configured one."""
    book = Book(gpus=(GpuPlan(price=Sourced(SPOT, FILE)),))
    within, beyond = book.at(59 * MINUTE, [H100]), book.at(60 * MINUTE, [H100])
    assert (hourly(within), within.origins["gpu.price"]) == ({"rental": Decimal(3)}, FILE)
    held = Origin("estimated", "the series ends 1970-01-01T01:00Z; its last value is held; costmeter.yaml:3")
    assert (hourly(beyond), beyond.origins["gpu.price"]) == ({"rental": Decimal(3)}, held)
    assert book.at(0, [H100]).origins["gpu.price"] == FILE


def test_a_mig_instance_pays_its_slices_of_a_changing_price() -> None:
    """3 of 7 slices of 2.00 and of 3.00 an hour, to 1e-12."""
    slices = Mig("GPU-0000", 0, 1, 0, 0, 3, 7)
    part = Device("MIG-0", 0, "NVIDIA A100-SXM4-80GB MIG 3g.40gb", "", 400.0, "counter", slices)
    book = Book(gpus=(GpuPlan(price=Sourced(SPOT, FILE)),))
    at = [dict(book.at(minute * MINUTE, [part]).devices["MIG-0"].hourly)["rental"] for minute in (0, 30)]
    assert at == [Decimal("0.857142857143"), Decimal("1.285714285714")]
    assert book.at(0, [part]).origins["gpu.price"].detail == "3/7 of costmeter.yaml:3"


def test_a_market_based_factor_has_an_origin_where_there_is_one() -> None:
    """None without a setting; else its grams and where they were written, beside the grid's."""
    assert (Book().at(0, [H100]).market_grams_per_kwh, "carbon.market" in Book().at(0, [H100]).origins) == (None, False)
    rates = Book(market=sourced("724.56")).at(0, [H100])
    assert (rates.market_grams_per_kwh, rates.origins["carbon.market"]) == (Decimal("724.56"), FILE)


def test_no_gpus_have_rates_too() -> None:
    """A node without a GPU has grid and electricity, and no device."""
    rates = Book().at(0, [])
    assert rates.devices == {}
    assert rates.carbon_grams_per_kwh == Decimal("472.94")


@given(
    purchase=st.decimals(1, 10**6, places=2),
    residual_share=st.decimals(0, 1, places=3),
    life=st.decimals("0.5", 20, places=1),
)
def test_capital_over_the_whole_life_is_purchase_less_residual(
    purchase: Decimal, residual_share: Decimal, life: Decimal
) -> None:
    """Charged for every hour of its life, a GPU pays back exactly what it lost in value."""
    owned = Owned(purchase, FILE, purchase * residual_share, life)
    paid = owned.capital_per_hour * life * 8760
    assert abs(paid - purchase * (1 - residual_share)) < Decimal("1e-12")


@given(st.decimals("0.01", 1, places=2), st.decimals(1, 10**6, places=2))
def test_capital_with_idle_share_is_the_price_of_a_used_hour(use: Decimal, purchase: Decimal) -> None:
    """Capital plus idle share is capital divided by the expected use."""
    owned = Owned(purchase, FILE, expected_use=use)
    assert abs(sum(amount for _, amount in owned.hourly) - owned.capital_per_hour / use) < Decimal("1e-15")
