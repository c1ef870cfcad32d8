"""Between which values prices moved, and the least certain word on each setting."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.spread import Span, Spread
from costmeter.meter.charge import Origin, Rates
from tests.depth import examples
from tests.samples import devices, owned, rates, rates_of, rental, uuids

ORDER = uuids(devices(2))
PAID = rates({ORDER[0]: owned("0.77"), ORDER[1]: rental("2.49")}, electricity_per_kwh=Decimal("0.10"))


def seen(*of: Rates) -> Spread:
    spread = Spread()
    for each in of:
        spread = spread.seen(each)
    return spread


def test_a_spread_is_from_the_lowest_to_the_highest() -> None:
    """Electricity, each GPU's price and the grid have their own spans."""
    dear = replace(PAID, electricity_per_kwh=Decimal("-0.02"), carbon_grams_per_kwh=Decimal(90))
    spread = seen(PAID, dear, replace(PAID, devices={**PAID.devices, ORDER[1]: rental("1.99")}))
    assert Span(Decimal("-0.02"), Decimal("0.10")) == spread.electricity
    assert Span(Decimal(0), Decimal(90)) == spread.carbon
    assert {ORDER[0]: Span(Decimal("0.77"), Decimal("0.77")), ORDER[1]: Span(Decimal("1.99"), Decimal("2.49"))} == dict(
        spread.gpus
    )


def test_electricity_that_nobody_pays_has_no_span() -> None:
    """A rented GPU's rent includes it, whatever its price."""
    assert seen(rates({ORDER[0]: rental()}, electricity_per_kwh=Decimal(9))).electricity is None


def test_the_least_certain_word_stays() -> None:
    """A series that ended and was followed by another leaves an estimate behind."""
    sure, guess = Origin("configured", "prices.csv"), Origin("estimated", "the series ends 2026-11-22T00:00Z")
    before, meanwhile, after = (replace(PAID, origins={"electricity.price": each}) for each in (sure, guess, sure))
    assert guess == seen(before, meanwhile, after).origins["electricity.price"]
    assert sure == seen(before, after).origins["electricity.price"]


@examples(30)
@given(st.lists(rates_of(ORDER), min_size=1, max_size=5))
def test_spreads_join_as_they_are_seen(of: list[Rates]) -> None:
    """Spans of parts put together are those of the whole, wherever it is cut."""
    for cut in range(len(of) + 1):
        joined, whole = seen(*of[:cut]) | seen(*of[cut:]), seen(*of)
        assert (whole.electricity, whole.carbon, whole.gpus) == (joined.electricity, joined.carbon, joined.gpus)
        assert {name: each.word for name, each in whole.origins.items()}.keys() == joined.origins.keys()
