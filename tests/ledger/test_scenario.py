"""Scenarios over recorded runs: known answers worked out by hand."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.alternatives import alternatives, without_idle_time, without_waiting
from costmeter.ledger.query import begin, fold_all
from costmeter.ledger.record import Header, Record, SlotEntry
from costmeter.ledger.repricing import Change
from costmeter.ledger.scenario import Interruptions, Scenario, longer, price, recorded, without_idle
from costmeter.meter.charge import Origin, Rates
from costmeter.meter.idling import Reason
from costmeter.meter.schedule import Constant
from costmeter.meter.series import OPEN_END, Series
from costmeter.meter.totals import DeviceTotals, totals
from costmeter.rates.book import Book, Sourced
from tests.ledger.recorded import minutes, write
from tests.samples import (
    BEGAN_UTC_NS,
    HOUR,
    KWH,
    MINUTE,
    devices,
    footer,
    measured,
    owned,
    quantities,
    rates,
    rental,
    slot,
    uuids,
)

TWO = devices(2)
RENTED = rates({uuid: rental("2.40") for uuid in uuids(TWO)}, carbon_grams_per_kwh=Decimal(400))
OWNED = rates({uuid: owned("0.60") for uuid in uuids(TWO)}, electricity_per_kwh=Decimal("0.10"))
#: A minute of both GPUs: 45 s busy with 0.03 kWh each, 15 s idle with 0.01 kWh each.
BUSY_AND_IDLE = measured(45 * 10**9, 3 * KWH // 100, 15 * 10**9, KWH // 100)


def answer(state: Path, runs: list[str], scenario: Scenario) -> DeviceTotals:
    """The one answer of a scenario."""
    (found,) = price(state, [recorded(state, run) for run in runs], scenario)
    assert not found.unpriced
    return found.whole


def test_idle_time_goes_with_its_money_and_energy(tmp_path: Path) -> None:
    """Two GPUs, ten minutes at $2.40/h: 2 × 10/60 × 2.40 = $0.80; a quarter of it idle, so $0.60 without.

    Energy 2 × 10 × 0.04 = 0.8 kWh, of it 0.6 busy; at 400 g/kWh that is 320 g and 240 g.
    """
    run = write(tmp_path, minutes(TWO, BUSY_AND_IDLE, [RENTED] * 10))

    whole, kept = (answer(tmp_path, [run], each) for each in (Scenario("as run", ""), without_idle_time()))

    assert (whole.cost, kept.cost) == (Decimal("0.80"), Decimal("0.60"))
    assert (whole.quantities.microjoules, kept.quantities.microjoules) == (8 * KWH // 10, 6 * KWH // 10)
    assert (whole.operational_micrograms, kept.operational_micrograms) == (320_000_000, 240_000_000)
    assert kept.quantities.idle_nanoseconds == 0


@given(quantities())
def test_without_idle_time_the_laws_still_hold(held: object) -> None:
    """States and methods still have one sum, and money is that of the busy and unknown states, exactly."""
    under = rates({"GPU-0": rental("2.40")}, pue=Decimal("1.3"), carbon_grams_per_kwh=Decimal(100))
    whole = totals(slot({"GPU-0": held}), under).whole  # type: ignore[dict-item]  # drawn quantities

    kept = without_idle(whole)

    by_method = kept.quantities.counter_microjoules + kept.quantities.power_microjoules
    assert kept.quantities.microjoules == by_method + kept.quantities.estimated_microjoules
    assert kept.cost == sum(amount for (_, state), amount in whole.charges.items() if state != "idle")
    assert 0 <= kept.overhead_microjoules <= whole.overhead_microjoules


@pytest.mark.parametrize(
    ("saved", "lines"),
    [
        pytest.param("0.10", (1, 0, 0), id="one-minute-of-it"),
        pytest.param("0.30", (1, 1, 1), id="every-minute"),
    ],
)
@pytest.mark.parametrize("is_vouched_for", [False, True], ids=["read-through", "by-its-footer"])
def test_waiting_goes_with_its_money(tmp_path: Path, saved: str, lines: tuple[int, ...], is_vouched_for: bool) -> None:
    """Two GPUs at $12/h, idle for 15 s of each of three minutes: 2 × 15 s × $12/h = $0.10 a minute that waited."""
    dear = rates({uuid: rental("12") for uuid in uuids(TWO)})
    why: list[Reason | None] = ["waiting-for-data" if is_waiting else None for is_waiting in lines]
    records = [_because(record, why) for record in minutes(TWO, BUSY_AND_IDLE, [dear] * 3)]
    if is_vouched_for:
        first, *rest = records
        assert isinstance(first, Header)
        summary = fold_all(begin(first), rest).summary
        records[-1] = replace(footer(3 * MINUTE), summary=summary)
    run = write(tmp_path, records)

    whole, kept = (answer(tmp_path, [run], each) for each in (Scenario("as run", ""), without_waiting()))

    assert whole.cost - kept.cost == Decimal(saved)
    assert whole.quantities.nanoseconds - kept.quantities.nanoseconds == 2 * sum(lines) * 15 * 10**9


@pytest.mark.parametrize("why", [None, "checkpoint"])
def test_a_run_that_never_waited_has_no_such_row(tmp_path: Path, why: Reason | None) -> None:
    """Idle time for another reason, or for none that is known, is not waiting for data."""
    records = [_because(record, [why] * 3) for record in minutes(TWO, BUSY_AND_IDLE, [RENTED] * 3)]
    run = write(tmp_path, records)
    assert price(tmp_path, [recorded(tmp_path, run)], without_waiting()) == []


def _because(record: Record, why: list[Reason | None]) -> Record:
    """A slot with why its GPUs were idle; any other record as it is."""
    if not isinstance(record, SlotEntry) or (word := why[record.slot.number]) is None:
        return record
    return replace(record, slot=replace(record.slot, reasons=dict.fromkeys(record.slot.devices, word)))


def test_interruptions_lengthen_the_run(tmp_path: Path) -> None:
    """Four a day that cost 36 minutes each: 1 + 4 × 36 / 1,440 = 1.1, so $0.80 becomes $0.88."""
    run = write(tmp_path, minutes(TWO, BUSY_AND_IDLE, [RENTED] * 10))
    lost = Interruptions(Decimal(4), Decimal(36))

    assert lost.factor == Decimal("1.1")
    assert answer(tmp_path, [run], Scenario("spot", "", interruptions=lost)).cost == Decimal("0.88")


@given(st.decimals(1, 3, places=3), quantities())
def test_longer_keeps_every_part(factor: Decimal, held: object) -> None:
    """A run that is longer by a factor is so in every amount; by 1 it is itself."""
    under = rates({"GPU-0": rental("2.40")}, pue=Decimal("1.3"), carbon_grams_per_kwh=Decimal(100))
    whole = totals(slot({"GPU-0": held}), under).whole  # type: ignore[dict-item]  # drawn quantities

    assert longer(whole, Decimal(1)) == whole
    assert abs(longer(whole, factor).cost - whole.cost * factor) <= Decimal("1e-11")


@pytest.mark.parametrize(("by_ns", "expected"), [(0, "0.28"), (HOUR, "0.52")], ids=["as-it-was", "an-hour-later"])
def test_a_shifted_run_pays_the_hour_it_would_have_had(by_ns: int, expected: str, tmp_path: Path) -> None:
    """0.8 kWh at $0.10 and capital of 2 × 10/60 × 0.60 = $0.20: $0.28; an hour later a kWh costs $0.40: $0.52."""
    run = write(tmp_path, minutes(TWO, BUSY_AND_IDLE, [OWNED] * 10))
    starts = (BEGAN_UTC_NS - HOUR, BEGAN_UTC_NS + HOUR)
    series = Series(starts, (starts[1], OPEN_END), (Decimal("0.10"), Decimal("0.40")))
    book = Book(electricity=Sourced(series, Origin("configured", "series")))
    later = Scenario("later", "", Change(book, frozenset({"electricity"})), lambda start_utc_ns: by_ns)

    assert answer(tmp_path, [run], later).cost == Decimal(expected)


def test_several_runs_are_summed_and_currencies_are_not(tmp_path: Path) -> None:
    """Two runs in dollars are one answer with their sum; one in euros is an answer of its own."""
    runs = [
        write(tmp_path, minutes(TWO, BUSY_AND_IDLE, [under] * 10, name))
        for name, under in (("a", RENTED), ("b", RENTED), ("c", replace(RENTED, currency="EUR")))
    ]
    found = price(tmp_path, [recorded(tmp_path, run) for run in runs], Scenario("as run", ""))

    assert {each.currency: each.whole.cost for each in found} == {"USD": Decimal("1.60"), "EUR": Decimal("0.80")}


def test_a_scenario_without_an_answer_says_why(tmp_path: Path) -> None:
    """Rates in another currency than the scenario's are no traceback: the answer names the run and the reason."""
    run = write(tmp_path, minutes(TWO, BUSY_AND_IDLE, [replace(RENTED, currency="EUR")]))
    book = Book(electricity=Sourced(Constant(Decimal(1)), Origin("configured", "")))
    change = Change(book, frozenset({"electricity"}))

    (found,) = price(tmp_path, [recorded(tmp_path, run)], Scenario("x", "", change))

    assert found.unpriced == f"{run}: it was priced in EUR, and the scenario's prices are in USD"


# What a run is compared with unasked


def alternatives_of(state: Path, under: Rates, name: str) -> dict[str, Scenario]:
    of = devices(1) if not name else (replace(devices(1)[0], name=name),)
    run = write(state, minutes(of, BUSY_AND_IDLE, [replace(under, devices={uuids(of)[0]: rental("2.40")})]))
    return {each.name: each for each in alternatives([recorded(state, run)])}


def test_the_bundled_alternatives_price_a_known_model(tmp_path: Path) -> None:
    """For an H100 every row has an answer; bought GPUs cost capital, idle share and power, a grid no money."""
    found = alternatives_of(tmp_path, RENTED, "")
    run = ["r-0123456789ab"]

    assert list(found) == ["spot", "owned", "elsewhere", "no idle", "no waiting"]
    assert not [each.unpriced for each in found.values() if each.unpriced]
    assert {component for component, _ in answer(tmp_path, run, found["owned"]).charges} == {
        "capital", "idle_share", "electricity",
    }  # fmt: skip
    as_run, elsewhere = answer(tmp_path, run, Scenario("as run", "")), answer(tmp_path, run, found["elsewhere"])
    assert as_run.charges == elsewhere.charges
    assert elsewhere.operational_micrograms < as_run.operational_micrograms


@pytest.mark.parametrize(
    ("under", "name", "said"),
    [
        pytest.param(RENTED, "NVIDIA Unheard-of 1", "Unheard-of 1: no spot price of this model", id="unknown-model"),
        pytest.param(replace(RENTED, currency="EUR"), "", "the tables are in USD, the run in EUR", id="other-currency"),
    ],
)
def test_what_the_tables_do_not_know_is_said(under: Rates, name: str, said: str, tmp_path: Path) -> None:
    """A model without a price, and a run in another currency, have no spot row but its reason."""
    assert said in alternatives_of(tmp_path, under, name)["spot"].unpriced
