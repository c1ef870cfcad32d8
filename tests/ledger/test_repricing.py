"""Own rates with some replaced: what is named changes, and nothing else by a digit."""

import tempfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from costmeter.errors import JournalError
from costmeter.ledger.bulk import load_run
from costmeter.ledger.pricing import Unpriceable
from costmeter.ledger.record import RatesChange
from costmeter.ledger.repricing import Change, Changed, OwnRates, Setting, recipe
from costmeter.ledger.scenario import Scenario, price, recorded
from costmeter.meter.charge import Origin, Rates
from costmeter.meter.schedule import Constant
from costmeter.meter.series import OPEN_END
from costmeter.rates.book import Book, GpuPlan, Owned, Sourced
from tests.depth import examples
from tests.ledger.recorded import minutes, write
from tests.samples import BEGAN_UTC_NS, CONFIGURED, MINUTE, devices, measured, rates, recordings, rental, uuids

TWO = devices(2)
SCENARIO = Origin("configured", "--flag")
OWN = rates(
    {uuid: rental("2.49", "4.7") for uuid in uuids(TWO)},
    electricity_per_kwh=Decimal("0.31"),
    pue=Decimal("1.2"),
    carbon_grams_per_kwh=Decimal(380),
    market_grams_per_kwh=Decimal(500),
    origins=dict.fromkeys(
        ("gpu.price", "electricity.price", "electricity.pue", "carbon.intensity", "carbon.market"), CONFIGURED
    ),
)


def sourced(value: str) -> Sourced:
    return Sourced(Constant(Decimal(value)), SCENARIO)


#: Everything that a scenario may say, all at once; which of it counts is another matter.
BOOK = Book(
    gpus=(GpuPlan(price=sourced("1.99")),),
    electricity=sourced("0.5"),
    pue=sourced("1.5"),
    carbon=sourced("25"),
    embodied=sourced("9"),
)


def under(own: Rates, change: Change) -> Rates:
    """The rates of a change where the run's own were always these."""
    return Changed(OwnRates([RatesChange(BEGAN_UTC_NS, own)]), change.book.quotation(TWO, 2), change).at(BEGAN_UTC_NS)


@pytest.mark.parametrize(
    ("setting", "fields", "origins"),
    [
        ("electricity", {"electricity_per_kwh": Decimal("0.5")}, {"electricity.price"}),
        ("pue", {"pue": Decimal("1.5")}, {"electricity.pue"}),
        ("carbon", {"carbon_grams_per_kwh": Decimal(25), "market_grams_per_kwh": None}, {"carbon.intensity"}),
        ("gpu", {"devices": {uuid: rental("1.99", "4.7") for uuid in uuids(TWO)}}, {"gpu.price"}),
        ("embodied", {"devices": {uuid: rental("2.49", "9") for uuid in uuids(TWO)}}, set()),
    ],
)
def test_only_what_is_named_is_replaced(setting: Setting, fields: dict[str, object], origins: set[str]) -> None:
    """A replaced setting has the scenario's value and origin; every other field is the journal's own."""
    changed = under(OWN, Change(BOOK, frozenset({setting})))

    assert replace(OWN, **fields, origins={}) == replace(changed, origins={})  # type: ignore[arg-type]  # any field
    assert origins <= {name for name, origin in changed.origins.items() if origin == SCENARIO}
    kept = {name for name, origin in changed.origins.items() if origin == CONFIGURED}
    assert kept == OWN.origins.keys() - origins - ({"carbon.market"} if setting == "carbon" else set())


def test_nothing_replaced_is_the_journals_own_word() -> None:
    """Without a change the rates are equal to the journal's, origins included."""
    assert under(OWN, Change(BOOK)) == OWN


@pytest.mark.parametrize(
    ("electricity", "expected"),
    [
        pytest.param(CONFIGURED, "0.31", id="configured-then"),
        pytest.param(Origin("estimated", "not charged: rent includes electricity"), "0.12", id="never-asked"),
    ],
)
def test_bought_gpus_pay_the_price_of_power_that_was_set(electricity: Origin, expected: str) -> None:
    """A scenario of bought GPUs has the run's electricity price where one was set, else the default of the book."""
    own = replace(OWN, origins={**OWN.origins, "electricity.price": electricity})
    bought = Book(gpus=(GpuPlan(owned=Owned(Decimal(30_000), SCENARIO)),))

    changed = under(own, Change(bought, frozenset({"gpu"})))

    assert changed.electricity_per_kwh == Decimal(expected)
    assert all(device.pays_electricity for device in changed.devices.values())


@pytest.mark.parametrize(("setting", "is_refused"), [("gpu", True), ("electricity", True), ("pue", False)])
def test_money_of_another_currency_is_not_mixed_in(setting: Setting, is_refused: bool) -> None:
    """A price in another currency than the run's has no answer; what is no money goes with any."""
    change = Change(replace(BOOK, currency="EUR"), frozenset({setting}))
    if is_refused:
        with pytest.raises(Unpriceable, match="priced in USD, and the scenario's prices are in EUR"):
            under(OWN, change)
    else:
        assert under(OWN, change).currency == "USD"


def test_without_readable_rates_only_a_whole_book_prices() -> None:
    """Where a journal lost its rates, a scenario that leaves some as they were says why it cannot."""
    nothing = OwnRates([])
    whole = Changed(nothing, BOOK.quotation(TWO, 2), Change(BOOK, is_everything=True))

    assert whole.at(BEGAN_UTC_NS).pue == Decimal("1.5")
    with pytest.raises(Unpriceable, match="no readable prices"):
        Changed(nothing, BOOK.quotation(TWO, 2), Change(BOOK, frozenset({"pue"}))).at(BEGAN_UTC_NS)


def test_own_rates_hold_from_their_minute_on(tmp_path: Path) -> None:
    """Rates are found by instant as they were written, the first before all others, the same object while they hold."""
    later = replace(OWN, electricity_per_kwh=Decimal("0.09"))
    write(tmp_path, minutes(TWO, measured(MINUTE), [OWN, OWN, later]))

    found = recipe(next(tmp_path.glob("runs/*/*.jsonl"))).rates

    at = [found.at(BEGAN_UTC_NS + minute * MINUTE) for minute in (-1, 0, 1, 2, 99)]
    assert at == [OWN, OWN, OWN, later, later]
    assert at[0] is at[2]
    until = [found.until(BEGAN_UTC_NS + minute * MINUTE) for minute in (-1, 0, 1, 2)]
    assert until == [BEGAN_UTC_NS, BEGAN_UTC_NS + 2 * MINUTE, BEGAN_UTC_NS + 2 * MINUTE, OPEN_END]


@pytest.mark.parametrize("content", [None, b"", b"nonsense\n"], ids=["missing", "empty", "no-journal"])
def test_what_is_no_journal_is_refused(content: bytes | None, tmp_path: Path) -> None:
    """A file without a readable header is a JournalError, and no traceback."""
    path = tmp_path / "x.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(JournalError, match=r"x\.jsonl"):
        recipe(path)


@examples(25)
@given(recordings())
def test_repricing_under_its_own_rates_is_the_receipt(recorded_run: tuple[tuple[str, ...], list[Any]]) -> None:
    """Law 5: whatever was recorded, priced again with nothing replaced, is the same to the last digit."""
    _, lines = recorded_run
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        run = write(state, lines)
        again = price(state, [recorded(state, run)], Scenario("again", "", Change(Book())))

        receipt = load_run(state, run).totals
        assert receipt == sum((each.totals for one in again for each in one.runs), start=type(receipt)())
