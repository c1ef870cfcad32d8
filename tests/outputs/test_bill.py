"""Bills as data and as text: the parts add up, what is not of one kind is not added, and the text says what it is."""

import json
from copy import deepcopy
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from costmeter.config.tariff import succession
from costmeter.ledger.use import Found, Key, Use
from costmeter.meter.bill import ATTRIBUTIONS, Attribution
from costmeter.meter.period import Period
from costmeter.meter.tariff import Tariff
from costmeter.outputs.bill import SCHEMA, Terms, bills
from costmeter.outputs.billtext import render
from costmeter.outputs.style import Style
from costmeter.rates.commitment import Commitment
from costmeter.rates.committed import Rented, Stretch
from costmeter.units import MICROJOULES_PER_KWH, NANOSECONDS_PER_HOUR, NANOSECONDS_PER_MINUTE
from tests.depth import examples
from tests.golden.compare import golden
from tests.meter.test_bill import B20, E20, TIERED, used

JULY = Period(date(2026, 7, 1), date(2026, 8, 1), B20.zone)
APRIL = Period(date(2026, 4, 1), date(2026, 5, 1), TIERED.zone)
COMMITMENT = Commitment(4, Decimal("1.50"), date(2026, 1, 1), date(2027, 1, 1), Decimal(8_760))


def terms(of: Tariff, **changes: Any) -> Terms:
    return replace(Terms("USD", of.zone, (of,), succession([of])), **changes)


def ran(period: Period, load: dict[int, int], electricity: str, **changes: Any) -> Use:
    """What a run on owned GPUs used, metered at the tariff's prices."""
    paid = Decimal(electricity)
    metered = {"electricity": paid, "capital": Decimal("12.5")}
    facts: dict[str, Any] = {"runs": {"r-one"}, "metered": metered, "electricity": paid, "drawn": load}
    return Use(period, "USD", False, **(facts | changes))


def made(terms: Terms, *uses: Use, periods: tuple[Period, ...] = (), problems: tuple[str, ...] = ()) -> dict[str, Any]:
    """The document, as it is read from its file."""
    keyed: dict[Key, Use] = {(use.period, use.currency, use.is_simulated): use for use in uses}
    found = Found(keyed, list(problems), len(uses))
    loaded: dict[str, Any] = json.loads(json.dumps(bills(found, terms, periods)))
    return loaded


def amounts(bill: dict[str, Any]) -> dict[str, Decimal]:
    """All parts of a bill by name and charge."""
    adjustments = {f"{each['name']} {each['charge']}".strip(): Decimal(each["amount"]) for each in bill["adjustments"]}
    return {name: Decimal(amount) for name, amount in bill["metered"].items()} | adjustments


def test_a_run_that_was_metered_at_the_last_tier_is_billed_at_the_first() -> None:
    """TIERED in April 2026: 1,000 kWh in an hour, metered at the last tier's 0.06: 60.00.

    All of it is in the first tier: 1,000 × (0.078891 - 0.06) = 18.891 more. The hour's mean is 1,000 kW: 100 × 24.368 +
    900 × 17.031 = 17,764.70. Fixed: 30 × 3.298 = 98.94. In all 17,942.531.
    """
    load = used(TIERED, "2026-04-14T10:00", 60, "1000")
    (bill,) = made(terms(TIERED), ran(APRIL, load, "60"))["bills"]
    assert {
        "electricity": Decimal(60),
        "adjustment:prices": 0,
        "adjustment:tiers": Decimal("18.891"),
        "adjustment:fixed per day": Decimal("98.94"),
        "adjustment:demand tiered_monthly_maximum": Decimal("17764.7"),
    } == amounts(bill)
    assert Decimal("17942.531") == Decimal(bill["total"])
    assert ("1000.000000000000", "2026-04-14T16:00Z", "2026-04-14T10:00-06:00") == tuple(
        bill["adjustments"][-1][name] for name in ("kilowatts", "at", "at_local")
    )
    assert {"capital": "12.5"} == bill["not_billed"]


def test_runs_that_were_metered_at_other_prices_are_billed_at_the_tariffs() -> None:
    """10 kWh metered for 1.20, at the tariff 0.60: the difference has its line, and the bill is the tariff's."""
    load = used(TIERED, "2026-04-14T10:00", 60, "10")
    use = replace(ran(APRIL, load, "1.2"), electricity=Decimal("0.6"))
    (bill,) = made(terms(TIERED), use)["bills"]
    assert Decimal("-0.6") == amounts(bill)["adjustment:prices"]
    (same,) = made(terms(TIERED), ran(APRIL, load, "0.6"))["bills"]
    assert Decimal(same["total"]) == Decimal(bill["total"])


def test_a_commitment_stands_in_place_of_the_rental_it_covers() -> None:
    """4 GPUs at 1.50 and 8,760 upfront for the 744 h of July: 4 × 744 × 1.5 + 744 = 5,208.

    8 GPUs ran for 10 h at 2.49: 199.20 metered, of which half is covered. In all 199.20 + 5,208 - 99.60 = 5,307.60.
    """
    (bill,) = made(Terms("USD", B20.zone, commitments=(COMMITMENT,)), rented_for_ten_hours({"r-one"}))["bills"]
    assert Decimal("99.6") == Decimal(bill["commitment"]["covered_rental"])
    assert Decimal(5_208) - Decimal("99.6") == amounts(bill)["adjustment:commitment"]
    assert Decimal("5307.6") == Decimal(bill["total"])
    assert (2_976, 40) == (bill["commitment"]["gpu_hours"], bill["commitment"]["covered_gpu_hours"])


def rented_for_ten_hours(runs: set[str]) -> Use:
    """8 GPUs at 2.49 per hour."""
    each = Rented(8 * NANOSECONDS_PER_MINUTE, 8 * Decimal("2.49") / 60)
    starts = (JULY.start_utc_ns + minute * NANOSECONDS_PER_MINUTE for minute in range(600))
    rented = {Stretch(start_ns, start_ns + NANOSECONDS_PER_MINUTE): each for start_ns in starts}
    hours_ns = 80 * NANOSECONDS_PER_HOUR
    return Use(JULY, "USD", False, runs, {"rental": Decimal("199.2")}, rented=rented, gpu_nanoseconds=hours_ns)


def test_currencies_are_grouped_and_never_added() -> None:
    """Runs that were priced in euros stand as metered beside the dollar bill, which alone has the tariff's charges."""
    load = used(B20, "2026-07-06T10:00", 60, "5")
    euros = replace(ran(JULY, load, "9"), currency="EUR")
    of_euros, of_dollars = made(terms(B20), euros, ran(JULY, load, "1"))["bills"]
    assert ("EUR", [], Decimal(9)) == (of_euros["currency"], of_euros["adjustments"], Decimal(of_euros["total"]))
    assert "are in USD" in of_euros["notes"][0]
    assert "USD" == of_dollars["currency"]
    assert of_dollars["adjustments"]


def test_simulated_runs_are_on_no_real_bill() -> None:
    """They are left out and named where anything real ran, and billed, saying so, where nothing did."""
    load = used(B20, "2026-07-06T10:00", 60, "5")
    real = ran(JULY, load, "1")
    simulated = replace(real, is_simulated=True, runs={"r-sim"})
    mixed = made(terms(B20), real, simulated)
    assert (False, ["r-sim"], ["r-one"]) == (
        mixed["simulated"], mixed["simulated_runs_left_out"], mixed["bills"][0]["runs"],
    )  # fmt: skip
    alone = made(terms(B20), simulated)
    assert (True, [], ["r-sim"]) == (alone["simulated"], alone["simulated_runs_left_out"], alone["bills"][0]["runs"])
    assert "1 run on simulated GPUs left out" in render(mixed, Style())
    assert "(simulated GPUs)" in render(alone, Style())


def test_a_month_without_runs_has_its_fixed_charges() -> None:
    """Where a period is asked for, its tariff and commitment cost whether anything ran or not."""
    (bill,) = made(terms(E20, commitments=(COMMITMENT,)), periods=(JULY,))["bills"]
    assert [] == bill["runs"]
    assert Decimal("1352.6313") + 5_208 == Decimal(bill["total"])
    assert [] == made(Terms("USD", B20.zone), periods=(JULY,))["bills"]


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        pytest.param({"tariffs": (), "schedule": None}, "no tariff file", id="no-tariff"),
        pytest.param({"now_utc_ns": JULY.end_utc_ns - 1}, "not over before 2026-08-01", id="the-month-goes-on"),
        pytest.param({"now_utc_ns": JULY.end_utc_ns}, None, id="it-is-over"),
    ],
)
def test_what_a_reader_has_to_know_is_noted(changes: dict[str, Any], note: str | None) -> None:
    """Notes say what the total leaves open; a bill of a whole month under its own tariff has none."""
    load = used(B20, "2026-07-06T10:00", 60, "5")
    (bill,) = made(terms(B20, **changes), ran(JULY, load, "1"))["bills"]
    assert ([] if note is None else [True]) == [note is not None and note in each for each in bill["notes"]]


def test_a_month_before_the_tariff_is_doubted() -> None:
    """B-20's sheet is of March 2026: February is billed by it, and that is said."""
    february = Period(date(2026, 2, 1), date(2026, 3, 1), B20.zone)
    (bill,) = made(terms(B20), periods=(february,))["bills"]
    assert "valid from 2026-03-01" in bill["notes"][0]


def test_energy_that_is_missing_is_said() -> None:
    """90 s of GPU time whose energy nobody knows are in the document and in the text."""
    use = ran(JULY, used(B20, "2026-07-06T10:00", 60, "5"), "1", unmeasured_nanoseconds=90 * 10**9)
    document = made(terms(B20), use)
    assert 90 == document["bills"][0]["unmeasured_gpu_seconds"]
    assert "energy of 1 m 30 s of GPU time is not known" in " ".join(render(document, Style()).split())


@pytest.mark.no_cover  # much of the same: others cover the lines
@examples(15)
@given(
    st.sampled_from((B20, E20)),
    st.dictionaries(st.integers(0, 44_639), st.integers(0, 10**13), max_size=30),
    st.decimals(-100, 10**6, places=12),
    st.decimals(0, 10**6, places=12),
    st.sampled_from(("0", "2.5")),
    st.sampled_from(ATTRIBUTIONS),
)
def test_the_parts_are_the_total_to_the_last_digit(
    of: Tariff, load: dict[int, int], electricity: Decimal, rental: Decimal, base_kw: str, by: Attribution
) -> None:
    """Metered parts and adjustments sum to the total exactly, and the column of the text to its rounded total."""
    minutes = {JULY.start_utc_ns + minute * NANOSECONDS_PER_MINUTE: energy_uj for minute, energy_uj in load.items()}
    use = ran(JULY, minutes, str(electricity))
    use.metered["rental"] = rental
    # Three days are enough of a base load, and a tenth of the time.
    short = replace(use, period=Period(JULY.first, date(2026, 7, 4), JULY.zone))
    document = made(terms(of, attribution=by, base_kilowatts=Decimal(base_kw), commitments=(COMMITMENT,)), short)
    (bill,) = document["bills"]
    assert Decimal(bill["total"]) == sum(amounts(bill).values())
    column = _column(render(document, Style()))
    assert column[-1] == sum(column[:-1])


def _column(text: str) -> list[Decimal]:
    """The amounts of the table, the total last."""
    lines = text.splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith(" What"))
    last = next(place for place, line in enumerate(lines) if line.startswith(" total"))
    right = len(lines[first])
    return [Decimal(line[:right].split("  ")[-1].strip().replace(",", "")) for line in lines[first + 1 : last + 1]]


NAMES = ("whole", "marginal", "average", "rented", "nothing")


@cache
def documents() -> dict[str, dict[str, Any]]:
    """Bills as people have them."""
    load = used(B20, "2026-07-06T12:00", 600, "60")
    kwh = Decimal(sum(load.values())) / MICROJOULES_PER_KWH
    assert kwh == 600
    # 2 h off peak, 2 h of part peak, 5 h of peak, 1 h of part peak: 60 × (2 × 0.11482 + 3 × 0.14227 + 5 × 0.17702).
    use = ran(JULY, load, "92.493", gpu_nanoseconds=560 * NANOSECONDS_PER_HOUR, unmeasured_nanoseconds=4 * 10**9)
    rented = rented_for_ten_hours({f"r-{number}" for number in range(8)})
    over_40_kw = {"base_kilowatts": Decimal(40)}
    return {
        "whole": made(terms(B20), use),
        "marginal": made(terms(B20, **over_40_kw), use, problems=("x.jsonl: last line torn, dropped",)),
        "average": made(terms(B20, attribution="average", **over_40_kw), use),
        "rented": made(Terms("USD", None, commitments=(COMMITMENT,)), rented, problems=("damaged",) * 7),
        "nothing": made(Terms("USD", B20.zone), periods=(JULY,)),
    }


@pytest.mark.parametrize(("name", "charset"), list(product(NAMES, ("utf8", "ascii"))))
def test_bills_are_as_approved(name: str, charset: str) -> None:
    """The whole text: columns that add up, what is a choice, and what is missing."""
    text = render(documents()[name], Style(unicode=charset == "utf8"))
    assert text.isascii() or charset == "utf8"
    assert golden(f"bill-{name}{'-ascii' if charset == 'ascii' else ''}.txt", text) == text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_the_page_shows_a_bill_as_it_is_printed() -> None:
    """Every line of the bill in docs/bill.md is one of the golden bill."""
    page = (Path(__file__).parents[2] / "docs" / "bill.md").read_text(encoding="utf-8")
    shown = page[page.index("── costmeter bill") :].partition("```")[0].splitlines()
    assert len(shown) > 10
    assert not set(shown) - set(golden("bill-marginal.txt", render(documents()["marginal"], Style())).splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_bills_keep_their_schema(name: str) -> None:
    """Every kind of bill is as the schema file promises, and a bill without its total is not."""
    schema = json.loads(files("costmeter.outputs").joinpath("bill.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert SCHEMA == schema["$id"]
    document = deepcopy(documents()[name])
    Draft202012Validator(schema).validate(document)
    for bill in document["bills"]:
        del bill["total"]
        assert not Draft202012Validator(schema).is_valid(document)


def test_journals_that_are_missing_stand_beside_the_total() -> None:
    """A bill without one of its two journals says so under the amount that is too small, and first of all problems."""
    use = ran(JULY, used(B20, "2026-07-06T10:00", 60, "5"), "1")
    found = Found({(JULY, "USD", False): use}, ["b.jsonl: last line torn, dropped"], 2, ["a.jsonl: not counted"])
    document = bills(found, terms(B20), ())
    assert {"found": 2, "not_counted": 1} == document["journals"]
    assert ["a.jsonl: not counted", "b.jsonl: last line torn, dropped"] == document["problems"]
    lines = render(document, Style()).splitlines()
    amount = next(place for place, line in enumerate(lines) if line.startswith("   $"))
    assert "   Warning: 1 of 2 journals not counted" == lines[amount + 1]


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        pytest.param({"faults": ("b20.yaml: cannot be read: Permission denied",)}, "b20.yaml: cannot be", id="fault"),
        pytest.param({"base_kilowatts": Decimal(40)}, "without one they change nothing", id="base-load"),
        pytest.param({"attribution": "average"}, "without one they change nothing", id="attribution"),
    ],
)
def test_what_has_no_effect_without_a_tariff_is_noted(changes: dict[str, Any], note: str) -> None:
    """A tariff that cannot be used is not said to be missing from the settings, and its fault is named."""
    use = ran(JULY, {}, "1")
    (bill,) = made(replace(Terms("USD", B20.zone), **changes), use)["bills"]
    assert 1 == sum(note in each for each in bill["notes"])
    assert any("no tariff file" in each for each in bill["notes"]) == ("faults" not in changes)


def test_a_period_without_runs_has_no_peaks_of_theirs() -> None:
    """A base load alone has demand, and none of it is the runs': no line says so with nothing in it."""
    short = Period(JULY.first, date(2026, 7, 4), JULY.zone)  # three days are enough of a base load
    document = made(terms(B20, base_kilowatts=Decimal(40)), periods=(short,))
    assert "demand" not in render(document, Style())
    assert any(each["name"] == "adjustment:demand" for each in document["bills"][0]["adjustments"])
