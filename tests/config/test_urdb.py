"""URDB records become tariff files: the same price at every hour, and what cannot be carried is said."""

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.config.tariff.files import parse_tariffs
from costmeter.config.urdb import from_urdb
from costmeter.meter.tariff import DemandCharge, Energy, FixedCharge, Tariff, Tier
from costmeter.units import NANOSECONDS_PER_SECOND
from tests.config.fuzz import mutations
from tests.depth import deeply, examples

DATA = Path(__file__).parent / "tariff" / "data"
RECORDS = sorted(DATA.glob("urdb_*.json"))
ZONE = "America/Denver"
#: A Wednesday and a Sunday of each month of 2026.
WEDNESDAYS = [date(2026, month, day) for month, day in enumerate((7, 4, 4, 1, 6, 3, 1, 5, 2, 7, 4, 2), start=1)]
SUNDAYS = [date(2026, month, day) for month, day in enumerate((4, 1, 1, 5, 3, 7, 5, 2, 6, 4, 1, 6), start=1)]


def imported(record: object, label: str | None = None) -> Tariff:
    """The tariff that a record becomes, through the text that people get."""
    text, faults = from_urdb(json.dumps(record), "r.json", ZONE, label)
    assert faults == ()
    assert text is not None
    (tariff,), refused = parse_tariffs(text, "/nowhere/t.yaml", "t.yaml")
    assert refused == ()
    return tariff


def faults_of(record: object, zone: str = ZONE, label: str | None = None) -> list[str]:
    text, faults = from_urdb(record if isinstance(record, str) else json.dumps(record), "r.json", zone, label)
    assert text is None
    return [str(fault) for fault in faults]


def fixture(name: str) -> Any:
    return json.loads((DATA / f"urdb_{name}.json").read_text(encoding="utf-8"))


def at_ns(day: date, hour: int) -> int:
    """Half past an hour of the wall clock in Denver."""
    local = datetime(day.year, day.month, day.day, hour, 30, tzinfo=ZoneInfo(ZONE))
    return int(local.timestamp()) * NANOSECONDS_PER_SECOND


def holds(charge: DemandCharge, tariff: Tariff, instant: int) -> bool:
    local = tariff.place.local(instant)
    return charge.window.holds(local) and not any(window.holds(local) for window in charge.unless)


def matrix(periods: int) -> st.SearchStrategy[list[list[int]]]:
    """12 × 24 periods, in months that mostly repeat and hours that mostly last."""
    row = st.lists(st.integers(0, periods - 1), min_size=6, max_size=6).map(
        lambda few: [x for x in few for _ in range(4)]
    )
    return st.lists(row, min_size=1, max_size=3).flatmap(
        lambda rows: st.lists(st.sampled_from(rows), min_size=12, max_size=12)
    )


PRICES = st.lists(st.integers(-50_000, 900_000), min_size=4, max_size=4, unique=True)


@pytest.mark.no_cover  # much of the same: others cover the lines
@examples(20)
@given(matrix(4), matrix(4), PRICES)
def test_every_hour_costs_what_the_matrix_says(
    weekday: list[list[int]], weekend: list[list[int]], prices: list[int]
) -> None:
    """In every month, at every hour of weekdays and weekends, the tariff has the price of the matrix's period."""
    rates = [Decimal(price).scaleb(-6) for price in prices]
    structure = [[{"rate": float(rate), "adj": 0.015625, "unit": "kWh"}] for rate in rates]
    tariff = imported(
        {"energyratestructure": structure, "energyweekdayschedule": weekday, "energyweekendschedule": weekend}
    )
    schedule = tariff.schedule()
    for table, days in ((weekday, WEDNESDAYS), (weekend, SUNDAYS)):
        for month, day in enumerate(days):
            found = [schedule.at(at_ns(day, hour)) for hour in range(24)]
            assert found == [rates[period] + Decimal("0.015625") for period in table[month]]


@pytest.mark.no_cover  # much of the same: others cover the lines
@examples(20)
@given(matrix(3), matrix(3))
def test_every_hour_of_demand_is_in_the_charge_of_its_period(
    weekday: list[list[int]], weekend: list[list[int]]
) -> None:
    """Each charge holds at the hours of its one period; where periods are left out, the tariff says which months."""
    tariff = imported(
        {
            "energyratestructure": [[{"rate": 0.1}]],
            "demandratestructure": [[{"rate": 0}], [{"rate": 5}], [{"rate": 7}]],
            "demandweekdayschedule": weekday,
            "demandweekendschedule": weekend,
        }
    )
    lost = " ".join(tariff.untold)
    for table, days in ((weekday, WEDNESDAYS), (weekend, SUNDAYS)):
        for month, day in enumerate(days):
            for hour, period in enumerate(table[month]):
                held = [charge for charge in tariff.demand if holds(charge, tariff, at_ns(day, hour))]
                price = Decimal((0, 5, 7)[period])
                if f"demand period {period}" in lost:
                    assert all(charge.tiers[0].price == price for charge in held)
                else:
                    assert [charge.tiers[0].price for charge in held] in ([price], [] if not price else None)


def test_one_peak_of_a_month_is_one_charge() -> None:
    """A period of weekday evenings and whole weekends is one entry, so its peak is charged once."""
    tariff = imported(fixture("rest"), "5b00000000000000000004b0")
    weekday_day, rest = tariff.demand
    assert (weekday_day.tiers[0].price, rest.tiers[0].price) == (Decimal("28.44"), Decimal("19.79"))
    assert rest.unless == (weekday_day.window,)
    assert {charge.interval_minutes for charge in tariff.demand} == {30}


def test_three_periods_with_flat_demand() -> None:
    """Rates with adj, dates, flat and timed demand and a monthly charge are carried; ratchets are told."""
    tariff = imported(fixture("three_periods"))
    assert (tariff.id, tariff.valid_from, tariff.valid_to) == (
        "urdb-5a0000000000000000000e20", date(2019, 5, 1), date(2021, 3, 1),
    )  # fmt: skip
    assert tariff.name == "Pacific Gas & Electric Co E-20 legacy periods, whole hours"
    assert tariff.schedule().at(at_ns(date(2019, 7, 3), 13)) == Decimal("0.16299")
    assert tariff.fixed == (FixedCharge(Decimal("1352.6313"), "month"),)
    assert [charge.tiers[0].price for charge in tariff.demand] == list(map(Decimal, ("21.3", "5.88", "21.19", "0.06")))
    assert "demandratchetpercentage (0, 0, 0, 0, 0, 0.5" in tariff.untold[0]
    assert "demandreactivepowercharge (0.0005)" in tariff.untold[0]


def test_tiers_of_energy_and_demand() -> None:
    """Months that recur are seasons of their own; the tiers of one period share a name, so they are filled once."""
    tariff = imported(fixture("tiered"))
    assert isinstance(tariff.energy, Energy)
    assert tariff.energy.names == ("period_1", "period_0", "period_1", "period_0")
    assert tariff.energy.tiers[0] == (Tier(Decimal("0.078891"), Decimal(20000)), Tier(Decimal("0.06")))
    assert tariff.demand[0].tiers == (Tier(Decimal("24.368"), Decimal(100)), Tier(Decimal("17.031")))
    assert tariff.fixed == (FixedCharge(Decimal("3.298"), "day"),)
    assert tariff.untold == ("not carried from URDB: mincharge (25); minchargeunits ($/month)",)


def test_the_text_names_the_record_and_what_is_lost() -> None:
    """The file begins with where it is from and under which licence."""
    text, _ = from_urdb(json.dumps(fixture("three_periods")), "r.json", ZONE)
    assert text is not None
    first = text.splitlines()[0]
    assert first == (
        "# From URDB record 5a0000000000000000000e20 "
        "(https://apps.openei.org/USURDB/rate/view/5a0000000000000000000e20); URDB data are CC0."
    )
    assert "# Not carried: demandreactivepowercharge (0.0005)\n" in text


LEAST: dict[str, Any] = {"energyratestructure": [[{"rate": 0.1}]]}


def test_a_record_needs_no_more_than_a_price() -> None:
    """One period and nothing else is a flat tariff; what is sold is told, an odd name is only text."""
    tariff = imported({"energyratestructure": [[{"rate": 1e-05, "sell": 0.02}]], "name": 'a "b" \\ \n# c: {d}'})
    assert tariff.schedule().at(0) == Decimal("0.00001")
    assert (tariff.id, tariff.name) == ("urdb", 'a "b" \\ # c: {d}')
    assert tariff.untold == ("not carried from URDB: what is fed in (sell)",)


def test_periods_that_are_no_single_entry_are_told() -> None:
    """Of two periods whose hours differ between weekday and weekend none can be the rest: both are told."""
    tariff = imported(
        {
            **LEAST,
            "demandratestructure": [[{"rate": 5}], [{"rate": 7}]],
            "demandweekdayschedule": [[0] * 12 + [1] * 12] * 12,
            "demandweekendschedule": [[0] * 6 + [1] * 18] * 12,
        }
    )
    assert tariff.demand == ()
    assert tariff.untold == ("not carried from URDB: demand period 0 in all months; demand period 1 in all months",)


def table(value: object, month: int = 3, hour: int = 5) -> list[list[object]]:
    """A schedule of period 0 with one other value."""
    rows: list[list[object]] = [[0] * 24 for _ in range(12)]
    rows[month][hour] = value
    return rows


BOTH = {"energyweekdayschedule": table(0), "energyweekendschedule": table(0)}


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        pytest.param({}, "r.json: energyratestructure: no price of energy", id="no-energy"),
        pytest.param(
            {"energyratestructure": 5}, "r.json: energyratestructure: expected a list of periods", id="no-list"
        ),
        pytest.param(
            {"energyratestructure": [5]}, 'energyratestructure[0]: expected a list of tiers, not "5"', id="no-tiers"
        ),
        pytest.param(
            {"energyratestructure": [[]]},
            "energyratestructure[0]: expected a list of tiers, not a list of 0",
            id="empty",
        ),
        pytest.param(
            {"energyratestructure": [[5]]},
            'energyratestructure[0][0]: expected a tier such as {rate, max, unit}, not "5"',
            id="no-tier",
        ),
        pytest.param(
            {"items": [{"energyratestructure": [[{"rate": "x"}]]}]},
            'r.json: items[0].energyratestructure[0][0].rate: expected a number such as 0.12, not "x"',
            id="rate",
        ),
        pytest.param(
            {"energyratestructure": [[{"unit": "kWh"}]]}, "energyratestructure[0][0].rate: no rate", id="no-rate"
        ),
        pytest.param(
            {"energyratestructure": [[{"rate": 1, "unit": "kWh daily"}]]},
            '[0][0].unit: "kWh daily" cannot be carried; a tariff here counts kWh of a month',
            id="daily",
        ),
        pytest.param(
            {"energyratestructure": [[{"rate": 1, "unit": "kWh/kW"}]]},
            '[0][0].unit: "kWh/kW" cannot be carried',
            id="per-kw",
        ),
        pytest.param(
            {"energyratestructure": [[{"rate": 1, "colour": "red"}]]},
            "[0][0].colour: unknown key in a tier",
            id="tier-key",
        ),
        pytest.param(
            {"energyratestructure": [[{"rate": 1}, {"rate": 2}]]},
            "[0][0].max: expected a number such as 0.12, not nothing",
            id="no-max",
        ),
        pytest.param(
            {"energyratestructure": [[{"rate": 1, "max": 0}, {"rate": 2}]]}, "[0][0].max: 0 does not exceed 0", id="max"
        ),
        pytest.param(
            {"energyratestructure": [[{"rate": 1}], [{"rate": 2}]]},
            "energyweekdayschedule: expected 12 rows of 24 hours, not nothing",
            id="no-schedule",
        ),
        pytest.param(
            {**LEAST, **BOTH, "energyweekendschedule": table(1)},
            'energyweekendschedule[3][5]: expected a period from 0 to 0, not "1"',
            id="period",
        ),
        pytest.param(
            {**LEAST, **BOTH, "energyweekendschedule": table(0.5)},
            'energyweekendschedule[3][5]: expected a period from 0 to 0, not "0.5"',
            id="half-period",
        ),
        pytest.param(
            {**LEAST, **BOTH, "energyweekendschedule": table([0])},
            "energyweekendschedule[3][5]: expected a period from 0 to 0, not a list of 1",
            id="list-period",
        ),
        pytest.param(
            {**LEAST, **BOTH, "energyweekdayschedule": [[0] * 23] * 12},
            "energyweekdayschedule[0]: expected 24 numbers of periods, not a list of 23",
            id="23-hours",
        ),
        pytest.param(
            {**LEAST, "demandratestructure": [[{"rate": 1}]], "demandrateunit": "kVA"},
            'demandrateunit: demand in "kVA" cannot be carried',
            id="kva",
        ),
        pytest.param(
            {**LEAST, "demandratestructure": [[{"rate": 1}], [{"rate": 2}]]},
            "demandweekdayschedule: expected 12 rows",
            id="no-demand-schedule",
        ),
        pytest.param(
            {**LEAST, "flatdemandstructure": [[{"rate": 1}], [{"rate": 2}]]},
            "flatdemandmonths: expected 12 numbers of periods, not nothing",
            id="months",
        ),
        pytest.param(
            {**LEAST, "flatdemandstructure": [[{"rate": 1}]], "demandwindow": 25},
            "demandwindow: 25 minutes do not divide an hour",
            id="window",
        ),
        pytest.param(
            {**LEAST, "flatdemandstructure": [[{"rate": 1}]], "demandwindow": "x"},
            "demandwindow: expected a number",
            id="window-text",
        ),
        pytest.param(
            {**LEAST, "fixedchargefirstmeter": 5},
            'fixedchargeunits: expected $/month, $/day or $/year, not ""',
            id="fixed-unit",
        ),
        pytest.param(
            {**LEAST, "fixedchargefirstmeter": "5", "fixedchargeunits": "$/day"},
            'fixedchargefirstmeter: expected a number such as 0.12, not "5"',
            id="fixed",
        ),
        pytest.param({**LEAST, "name": 5}, 'name: expected a text, not "5"', id="name"),
        pytest.param({**LEAST, "name": {"a": 1}}, "name: expected a text, not keys and values", id="name-keys"),
        pytest.param({**LEAST, "startdate": "today"}, "startdate: expected a number", id="start"),
        pytest.param(
            {**LEAST, "startdate": -5}, "startdate: expected seconds since 1970, not -5", id="start-before-1970"
        ),
        pytest.param("[1]", "r.json:1:1: expected a URDB record or {items: […]}", id="list"),
        pytest.param('{"items": 1}', "r.json: items: expected a list of records", id="items"),
        pytest.param('{"items": []}', "r.json: items: expected one record, found 0", id="no-items"),
        pytest.param('{"items": [1]}', "r.json: items: expected one record, found 1", id="item"),
        pytest.param('{"a": }', "r.json:1:7: not valid JSON: Expecting value", id="syntax"),
        pytest.param("[" * 100_000, "r.json: not a URDB record: nested too deep", id="deep"),
        pytest.param(
            '{"energyratestructure": [[{"rate": NaN}]]}', 'rate: expected a number such as 0.12, not "NaN"', id="nan"
        ),
        pytest.param('{"energyratestructure": [[{"rate": 1e999999999}]]}', 'not "1e999999999"', id="huge"),
        pytest.param(
            '{"energyratestructure": [[{"rate": 1e99999999999999999999}]]}', "expected a number", id="overflow"
        ),
        pytest.param('"' + "x" * 8_000_001, "r.json: more than 8000000 characters", id="long"),
    ],
)
def test_a_record_that_cannot_be_carried_names_the_place(record: object, fault: str) -> None:
    """Each refusal says where in the JSON, what stands there, and what was expected."""
    assert any(fault in found for found in faults_of(record))


def test_one_of_several_records_is_chosen_by_its_label() -> None:
    """Two records need a label; without one the labels are listed."""
    assert imported(fixture("rest"), "other").id == "urdb-other"
    assert faults_of(fixture("rest")) == [
        'r.json: items: expected one record, found 2; choose one by its label: "5b00000000000000000004b0", "other"'
    ]
    assert faults_of(fixture("rest"), label="x") == ['r.json: items: expected one record labelled "x", found 0']


def test_the_zone_must_exist() -> None:
    """URDB does not say where its hours are; a zone that is none is refused beside the other faults."""
    assert faults_of({}, zone="America/Denvr") == [
        'r.json: "America/Denvr" is no time zone. Did you mean "America/Denver"?',
        "r.json: energyratestructure: no price of energy; a tariff has at least one",
    ]


@pytest.mark.no_cover  # much of the same: others cover the lines
@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_mutated_record_is_carried_or_refused(path: Path) -> None:
    """100 records that are nearly right: no exception, refusals name the place, and what is carried reads back."""
    refused = 0
    for text in mutations(path.read_text(encoding="utf-8"), deeply(100), seed=4):
        written, faults = from_urdb(text, "r.json", ZONE, "5b00000000000000000004b0" if "rest" in path.stem else None)
        assert (written is None) == bool(faults)
        for fault in faults:
            assert fault.place.source == "r.json"
            assert fault.place.line or "[" in fault.what or fault.what.split(":")[0].isidentifier()
        if written is not None:
            assert parse_tariffs(written, "/nowhere/t.yaml", "t.yaml")[1] == ()
        refused += bool(faults)
    assert refused > 10
