"""Tariff files as they are written: what is kept of them, and faults that name their line."""

import re
from datetime import date, datetime, timezone
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.config.tariff import read_tariffs
from costmeter.config.tariff.files import parse_tariffs
from costmeter.config.tariff.sheet import KEYS
from costmeter.meter.calendar import ALL_DAY, EVERY_DAY, Hours, Season, Window
from costmeter.meter.series import Series
from costmeter.meter.tariff import DemandCharge, Energy, FixedCharge, Quote, Tier
from costmeter.units import NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND
from tests.config.fuzz import mutations
from tests.config.tariff.sheets import EXAMPLES, FILES, HEAD, example, one, parsed, utc_ns
from tests.depth import deeply, examples

KEY = re.compile(r"`([a-z_]+)`")
ENERGY = "energy: [{price_per_kwh: 0.25}]\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_example_is_read_as_it_stands(path: Path) -> None:
    """The files of the collection have no fault, one plan each but Ontario's three, and a price at every hour."""
    tariffs, faults = read_tariffs(str(path), path.name)
    assert faults == ()
    assert len(tariffs) == (3 if path.stem == "ca_ontario_rpp" else 1)
    noon = utc_ns("2026-07-15T12:00+00:00")
    assert all(tariff.schedule().at(noon).is_finite() for tariff in tariffs)


def test_a_tariff_keeps_what_its_file_says() -> None:
    """Names, dates, clock and charges of B-20 and of Economy 7 are in the tariff."""
    b20, economy7 = example("us_pge_b20"), example("uk_octopus_economy7")
    assert (b20.id, b20.currency, b20.valid_from, b20.valid_to) == (
        "us-pge-b20-secondary-2026-03", "USD", date(2026, 3, 1), None,
    )  # fmt: skip
    assert b20.fixed == (FixedCharge(Decimal("107.36636"), "day"),)
    assert b20.demand[1] == DemandCharge(
        "peak_summer",
        Window(EVERY_DAY, (Hours(960, 1260),), Decimal("41.35"), Season(601, 930)),
        (),
        (Tier(Decimal("41.35")),),
    )
    assert (str(economy7.zone), str(economy7.place.zone)) == ("Europe/London", "UTC")
    assert economy7.quote == Quote((("day", Decimal(2262)), ("night", Decimal(1638))), Decimal("1105.86"))


def test_what_no_total_has_is_told() -> None:
    """Credits and notes are remarks."""
    assert example("us_pge_e_tou_c").untold == (
        "credit baseline is in no total (per_kwh -0.08140, up_to baseline_allowance_kwh_per_day)",
    )
    assert example("us_pnm").untold == ("fuel and renewable riders are not included, so the energy prices look low",)
    assert one(ENERGY + "prices_include_tax: false\ncredits: [{}]\n").untold == (
        "credit without a name is in no total",
        "prices are before tax, and the file says no tax_percent",
    )


def test_other_hours_of_demand_are_those_of_no_listed_entry() -> None:
    """PNM's rest is when its weekday hours are not; an entry without days and hours of its own takes nothing away."""
    weekday_day, rest = example("us_pnm").demand
    assert rest.unless == (weekday_day.window,)
    assert weekday_day.unless == ()
    charges = one(
        ENERGY + "demand: [{name: all, price_per_kw: 1}, {hours: other, price_per_kw: 2, interval_minutes: 30}]\n"
    ).demand
    assert [charge.unless for charge in charges] == [(), ()]
    assert [charge.interval_minutes for charge in charges] == [15, 30]
    assert charges[1].name == "demand 2"


def test_demand_has_tiers() -> None:
    """100 kW at 24.368 and the rest at 17.031."""
    (charge,) = example("us_tiered").demand
    assert charge.tiers == (Tier(Decimal("24.368"), Decimal(100)), Tier(Decimal("17.031")))
    assert charge.window == Window(EVERY_DAY, ALL_DAY, Decimal("17.031"))


def test_other_stands_last_wherever_it_is_written() -> None:
    """`hours: other` takes what the entries after it leave too, and names move with their prices."""
    tariff = one(
        "energy: [{name: rest, hours: other, price_per_kwh: 1}, {name: noon, hours: 12:00-13:00, price_per_kwh: 2}]\n"
    )
    assert isinstance(tariff.energy, Energy)
    assert tariff.energy.names == ("noon", "rest")
    assert tariff.schedule().at(utc_ns("2026-01-01T12:30+01:00")) == 2


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        pytest.param("tax_percent: 19\n", ("0.2975", "11.90", "5.95"), id="added"),
        pytest.param(
            "tax_percent: 19\nprices_include_tax: false\n", ("0.2975", "11.90", "5.95"), id="said-to-be-without"
        ),
        pytest.param("tax_percent: 19\nprices_include_tax: true\n", ("0.25", "10", "5"), id="included"),
        pytest.param("", ("0.25", "10", "5"), id="none"),
    ],
)
def test_tax_is_on_energy_fixed_and_demand(keys: str, expected: tuple[str, str, str]) -> None:
    """19 % of 0.25, 10 and 5, exactly; not where prices include it."""
    tariff = one(ENERGY + keys + "fixed: [{amount: 10, per: month, name: meter}]\ndemand: [{price_per_kw: 5}]\n")
    got = (tariff.schedule().at(0), tariff.fixed[0].amount, tariff.demand[0].tiers[0].price)
    assert got == tuple(map(Decimal, expected))


SERIES = "series: {file: de_day_ahead_hourly_2024_sample.csv, value: eur_per_mwh, unit: EUR/MWh, resolution: PT1H}\n"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        pytest.param("", "0.0693", id="the-market-itself"),
        pytest.param("formula: {add_per_kwh: 0.12}\n", "0.1893", id="one-addition"),
        pytest.param("tax_percent: 19\n", "0.082467", id="the-tariff-s-tax"),
        pytest.param("formula: {factor: 2}\ntax_percent: 10\n", "0.15246", id="factor-and-the-tariff-s-tax"),
        pytest.param("tax_percent: 19\nprices_include_tax: true\n", "0.0693", id="tax-included"),
    ],
)
def test_a_formula_is_applied_to_a_series(keys: str, expected: str) -> None:
    """2024-03-30 00:00 in Berlin: 69.30 EUR/MWh."""
    tariff = one(SERIES + keys)
    assert isinstance(tariff.energy, Series)
    assert tariff.schedule().at(utc_ns("2024-03-30T00:00+01:00")) == Decimal(expected)


@pytest.mark.parametrize(
    ("keys", "holiday", "expected"),
    [
        pytest.param("holidays: [christmas_day]\n", "2026-12-25T12:00+01:00", 1, id="as-weekend"),
        pytest.param("holidays: ['2026-03-02']\n", "2026-03-02T12:00+01:00", 1, id="date-in-the-list"),
        pytest.param(
            "holidays: {dates: [2026-03-02], names: [easter_monday]}\n", "2026-04-06T12:00+02:00", 1, id="mapping"
        ),
        pytest.param("holidays: {names: [easter_monday], count_as: none}\n", "2026-04-06T12:00+02:00", 2, id="none"),
        pytest.param(
            "holidays: [easter_monday]\nholidays_count_as: tuesday\n", "2026-04-06T12:00+02:00", 2, id="as-tuesday"
        ),
        pytest.param("country: GB\nholidays: [boxing_day]\n", "2026-12-28T12:00+01:00", 1, id="next-by-country"),
        pytest.param("country: DE\nholidays: [boxing_day]\n", "2026-12-28T12:00+01:00", 2, id="not-moved-by-country"),
        pytest.param(
            "country: US\nholidays: [independence_day]\n", "2026-07-03T12:00+02:00", 1, id="nearest-by-country"
        ),
        pytest.param(
            "country: US\nholidays_observed: none\nholidays: [independence_day]\n",
            "2026-07-03T12:00+02:00",
            2,
            id="said",
        ),
        pytest.param(
            "holidays: {names: [boxing_day], observed: next}\n", "2026-12-28T12:00+01:00", 1, id="said-inside"
        ),
    ],
)
def test_holidays_are_days_of_the_weekend(keys: str, holiday: str, expected: int) -> None:
    """A weekday that is a holiday has the weekend's price 1, else 2."""
    week = "energy: [{days: weekend, price_per_kwh: 1}, {hours: other, price_per_kwh: 2}]\n"
    assert one(keys + week).schedule().at(utc_ns(holiday)) == expected


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        pytest.param("2025-12-31T23:59+01:00", 1, id="before-midnight"),
        pytest.param("2026-01-01T00:00+01:00", 1, id="after-midnight"),
        pytest.param("2028-02-29T12:00+01:00", 1, id="29-february"),
        pytest.param("2028-03-01T00:00+01:00", 2, id="the-day-after"),
    ],
)
def test_a_season_may_run_over_the_year_s_end(instant: str, expected: int) -> None:
    """Winter from November to the last of February, leap years included."""
    seasons = 'seasons: {winter: {from: "11-01", to: "02-29"}, summer: {from: "03-01", to: "10-31"}}\n'
    entries = "energy: [{season: winter, price_per_kwh: 1}, {season: summer, name: s, price_per_kwh: 2}]\n"
    assert one(seasons + entries).schedule().at(utc_ns(instant)) == expected


def test_plans_share_the_keys_of_their_file() -> None:
    """A plan's own key stands in for the file's; a plan without an id is numbered."""
    tariffs, faults = parsed(
        ENERGY + "fixed: []\nplans:\n  - {id: a, currency: CHF}\n  - {energy: [{price_per_kwh: 1}]}\n"
    )
    assert faults == []
    assert [(tariff.id, tariff.currency, tariff.schedule().at(0)) for tariff in tariffs] == [
        ("a", "CHF", Decimal("0.25")), ("t-2", "EUR", Decimal(1)),
    ]  # fmt: skip


SEASONS = 'seasons: {summer: {from: "06-01", to: "09-30"}, winter: {from: "10-01", to: "05-31"}}\n'
SUMMER = "{season: summer, price_per_kwh: 1}"


@pytest.mark.parametrize(
    ("body", "line", "fault"),
    [
        pytest.param(
            ENERGY + "tax_precent: 1\n",
            4,
            'unknown key "tax_precent" in a tariff. Did you mean "tax_percent"?',
            id="key",
        ),
        pytest.param("name: x\n", 1, "this tariff has neither energy nor a series", id="no-energy"),
        pytest.param(ENERGY + SERIES, 4, "a tariff has energy or a series, not both", id="both"),
        pytest.param("energy: []\n", 3, "energy has no entry", id="no-entry"),
        pytest.param("energy: 0.25\n", 3, "expected a list of {name, days, hours, price_per_kwh}", id="no-list"),
        pytest.param(
            "energy: [0.25]\n",
            3,
            'expected an entry of energy: keys such as name, season, days, hours; not "0.25"',
            id="no-mapping",
        ),
        pytest.param(
            "energy: [{price_per_kwh: 1, price: 2}]\n",
            3,
            'unknown key "price" in an entry of energy. Did you mean "price_per_kwh"?',
            id="entry-key",
        ),
        pytest.param("energy: [{name: x}]\n", 3, "this entry has neither tiers nor price_per_kwh", id="no-price"),
        pytest.param("energy: [{}]\n", 3, "an entry of energy that says nothing", id="empty-entry"),
        pytest.param(
            "energy: [{price_per_kwh: 1, days: []}]\n", 3, "an entry of energy that says nothing", id="no-days"
        ),
        pytest.param(
            "energy: [{price_per_kwh: 1, tiers: []}]\n",
            3,
            "this entry has both tiers and price_per_kwh",
            id="two-prices",
        ),
        pytest.param("energy: [{price_per_kwh: 12 ct}]\n", 3, "expected a price per kWh such as 0.12", id="no-number"),
        pytest.param(
            "energy: [{price_per_kwh: [1]}]\n", 3, "expected a price per kWh such as 0.12, not a list", id="list"
        ),
        pytest.param("energy: [{tiers: []}]\n", 3, "tiers need at least one tier", id="no-tiers"),
        pytest.param(
            "energy: [{tiers: [{price_per_kwh: 1}, {price_per_kwh: 2}]}]\n",
            3,
            "this tier has no up_to_kwh; only the last one is open",
            id="open-tier",
        ),
        pytest.param(
            "energy: [{tiers: [{price_per_kwh: 1, up_to_kwh: 5}]}]\n", 3, "the last tier is open", id="closed-tier"
        ),
        pytest.param(
            "energy: [{tiers: [{price_per_kwh: 1, up_to_kwh: 5}, {price_per_kwh: 1, up_to_kwh: 4}, "
            "{price_per_kwh: 2}]}]",
            3,
            "up_to_kwh ascends; 4 does not exceed 5",
            id="falling-tier",
        ),
        pytest.param(
            "energy: [{tiers: [{up_to_kwh: 5}, {price_per_kwh: 2}]}]\n",
            3,
            "this tier has no price_per_kwh",
            id="tier-without-price",
        ),
        pytest.param(
            "energy: [{name: a, hours: 00:00-12:00, price_per_kwh: 1}, {name: a, hours: other, price_per_kwh: 2}]\n",
            3,
            'energy has another entry named "a"; give it the same price',
            id="same-name",
        ),
        pytest.param(
            ENERGY + "demand: [{name: a, price_per_kw: 1}, {name: a, price_per_kw: 1}]\n",
            4,
            'demand has another entry named "a"; give it another name',
            id="same-peak",
        ),
        pytest.param(
            ENERGY + "demand: [{price_per_kw: 1, interval_minutes: 25}]\n",
            4,
            "interval_minutes divides an hour",
            id="interval",
        ),
        pytest.param(
            ENERGY + "demand: [{price_per_kw: 1, interval_minutes: 90}]\n",
            4,
            "minutes that divide an hour is at most 60",
            id="long-interval",
        ),
        pytest.param(
            "energy: [{days: weekday, price_per_kwh: 1}]\n",
            3,
            "no entry covers Saturday 00:00; add {hours: other, price_per_kwh: …}",
            id="gap",
        ),
        pytest.param(
            SEASONS + f"energy: [{SUMMER}]\n",
            4,
            "no entry covers Monday 00:00 on 01-01, in season winter; add {season: winter, hours: other",
            id="season-gap",
        ),
        pytest.param(
            'seasons: {a: {from: "03-01", to: "02-28"}}\nenergy: [{season: a, price_per_kwh: 1}]\n',
            4,
            "no entry covers Monday 00:00 on 02-29, which is in no season",
            id="29-february",
        ),
        pytest.param(
            SEASONS + "energy: [{season: sumer, price_per_kwh: 1}]\n",
            4,
            'no season "sumer" under seasons. Did you mean "summer"?',
            id="no-season",
        ),
        pytest.param("seasons: [summer]\n" + ENERGY, 3, "expected seasons such as", id="seasons-list"),
        pytest.param('seasons: {a: {from: "01-01"}}\n' + ENERGY, 3, 'season "a" needs from and to', id="half-season"),
        pytest.param(
            'seasons: {a: {from: "02-30", to: "01-01"}}\n' + ENERGY,
            3,
            "expected a month and day such as 06-01",
            id="month-day",
        ),
        pytest.param("meter_clock: UTCC\n" + ENERGY, 3, '"UTCC" is no time zone', id="clock"),
        pytest.param(
            "meter_clock: [UTC]\n" + ENERGY, 3, "expected the name of a time zone, not a list", id="clock-list"
        ),
        pytest.param(
            "holidays: [chrismas_day]\n" + ENERGY, 3, 'not "chrismas_day". Did you mean "christmas_day"?', id="holiday"
        ),
        pytest.param(
            "holidays: [[a]]\n" + ENERGY,
            3,
            "expected a holiday such as new_years_day, or a date, not a list",
            id="holiday-list",
        ),
        pytest.param("holidays: ['2026-13-01']\n" + ENERGY, 3, "expected a day such as 2026-01-31", id="holiday-date"),
        pytest.param(
            "holidays: [christmas_day]\nholidays_count_as: sunnday\n" + ENERGY,
            4,
            'not "sunnday". Did you mean "sunday"?',
            id="count-as",
        ),
        pytest.param("holidays_observed: later\n" + ENERGY, 3, "expected none or nearest or next", id="observed"),
        pytest.param(ENERGY + "valid_from: March\n", 4, "expected a day such as 2026-01-31", id="date"),
        pytest.param(ENERGY + "valid_from: 1923-01-01\n", 4, "expected a day such as 2026-01-31", id="century"),
        pytest.param(
            ENERGY + "valid_from: 2026-03-01\nvalid_to: 2026-03-01\n",
            5,
            "valid_to 2026-03-01 is not after valid_from",
            id="validity",
        ),
        pytest.param(ENERGY + "prices_include_tax: maybe\n", 4, 'expected true or false, not "maybe"', id="tax-word"),
        pytest.param(ENERGY + "tax_percent: 119\n", 4, "percent of tax is at most 100, not 119", id="tax"),
        pytest.param(ENERGY + "fixed: [{amount: 1}]\n", 4, "a fixed charge needs amount and per", id="fixed"),
        pytest.param(ENERGY + "fixed: [{amount: 1, per: week}]\n", 4, "expected day or month or year", id="per"),
        pytest.param(ENERGY + "fixed: [{amount: x, per: day}]\n", 4, "expected an amount of money", id="amount"),
        pytest.param(ENERGY + "tiers_reset: year\n", 4, 'expected month, not "year"', id="reset"),
        pytest.param(ENERGY + "formula: {factor: 1}\n", 4, "a formula needs a series", id="formula"),
        pytest.param(
            ENERGY + "check: {kwh_per_year: 1}\n", 4, "a check needs kwh_per_year and one annual_cost_eur", id="check"
        ),
        pytest.param(
            ENERGY + "check: {kwh_per_year: {night: 1}, annual_cost_eur: 1}\n",
            4,
            'no entry of energy is named "night"',
            id="check-name",
        ),
        pytest.param(
            ENERGY + "check: {kwh_per_year: x, annual_cost: 1}\n",
            4,
            "expected kWh in a year such as 2700",
            id="check-kwh",
        ),
        pytest.param(
            ENERGY + "check: {kwh_per_year: {energy 1: x}, annual_cost: 1}\n",
            4,
            "expected kWh in a year such as 2700",
            id="check-kwh-by-name",
        ),
        pytest.param(ENERGY + "notes: [a]\n", 4, "expected a text, not a list", id="notes"),
        pytest.param("plans: []\n" + ENERGY, 3, "plans has no plan", id="no-plan"),
        pytest.param("plans: [{id: a}, {id: a}]\n" + ENERGY, 3, 'two plans have the id "a"', id="same-plan"),
        pytest.param("series: {}\n", 3, "series has no file", id="no-file"),
        pytest.param("series: {file: none.csv}\n", 3, "none.csv: cannot be read: No such file", id="missing-file"),
        pytest.param(
            "series: {file: a.csv, resolution: 30}\n", 3, "expected a duration such as PT30M", id="resolution"
        ),
        pytest.param(
            "series: {file: a.csv, resolution: PT0M}\n", 3, "expected a duration such as PT30M", id="no-resolution"
        ),
        pytest.param(
            "series: {file: a.csv, time: a, time_column: b}\n", 3, "time and time_column are the same", id="two-times"
        ),
        pytest.param(
            SERIES.replace("EUR/MWh", "USD/MWh"),
            3,
            "the series is in USD/kWh; this tariff is in EUR per kWh",
            id="series-currency",
        ),
        pytest.param(
            SERIES.replace("eur_per", "euro_per"),
            2,
            'de_day_ahead_hourly_2024_sample.csv:2:1: no column "euro_per_mwh"',
            id="series-column",
        ),
        pytest.param(SERIES + "formula: {factor: 0}\n", 4, "a factor is more than 0", id="factor"),
        pytest.param(SERIES + "formula: {add_per_kwh: [{name: x}]}\n", 4, "this addition has no amount", id="addition"),
        pytest.param(
            SERIES + "formula: {add_per_kwh: [{amount: x}]}\n", 4, "expected an amount per kWh", id="addition-amount"
        ),
        pytest.param(SERIES + "formula: {tax_percent: 19}\ntax_percent: 19\n", 4, "say it once", id="two-taxes"),
        pytest.param(SERIES + "formula: {tax_percent: 1000}\n", 4, "percent of tax is at most 100", id="formula-tax"),
        pytest.param(
            SERIES + "formula: {tax_percent: 19}\nprices_include_tax: true\n",
            4,
            "leave the formula's tax_percent out",
            id="tax-included",
        ),
    ],
)
def test_a_faulty_tariff_is_refused_by_its_line(body: str, line: int, fault: str) -> None:
    """Each fault names the line, what stands there and what to write; the tariff is left out."""
    tariffs, faults = parsed(body)
    assert len(tariffs) == (1 if fault.startswith("two plans") else 0)
    (found,) = [text for text in faults if fault in text]
    assert f":{line}:" in found


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("", "t.yaml:1:1: an empty file", id="empty"),
        pytest.param("- a\n", "t.yaml:1:1: expected a tariff: keys and values, not a list", id="list"),
        pytest.param("a: [\n", "t.yaml:2:1: not valid YAML", id="syntax"),
        pytest.param("plans: 1\ncurrency: EUR\n", 't.yaml:1:8: expected a list of plans, not "1"', id="plans"),
        pytest.param(ENERGY + "currency: EUR\n", "t.yaml:1:1: this tariff has no timezone", id="no-zone"),
        pytest.param(ENERGY + "timezone: UTC\n", "t.yaml:1:1: this tariff has no currency", id="no-currency"),
        pytest.param(
            ENERGY + "timezone: UTC\ncurrency: euro\n", "t.yaml:3:11: expected a currency such as EUR", id="currency"
        ),
    ],
)
def test_a_text_that_is_no_tariff_is_refused(text: str, fault: str) -> None:
    """What is no tariff at all is said so."""
    tariffs, faults = parse_tariffs(text, "/nowhere/t.yaml", "t.yaml")
    assert tariffs == ()
    assert str(faults[0]).startswith(fault)


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    """A tariff that is not there is refused by its name."""
    assert [str(fault) for fault in read_tariffs(str(tmp_path / "x.yaml"), "x.yaml")[1]] == [
        "x.yaml: cannot be read: No such file or directory"
    ]


def test_faults_of_shared_keys_are_told_once() -> None:
    """Three plans of a file with one wrong season are one fault; a plan that is right beside a wrong one is kept."""
    text = (EXAMPLES / "ca_ontario_rpp.yaml").read_text(encoding="utf-8")
    tariffs, faults = parse_tariffs(text.replace('"04-30"', '"04-31"'), "x", "x")
    assert len([fault for fault in faults if "expected a month and day" in fault.what]) == 1
    tariffs, faults = parse_tariffs(text.replace("0.391", "O.391"), "x", "x")
    assert [tariff.id for tariff in tariffs] == ["ca-on-tou-2025-11", "ca-on-tiered-2025-11"]
    assert [str(fault)[:5] for fault in faults] == ["x:25:"]


TARIFFS = [(path.stem, plan) for path in FILES for plan in range(3 if path.stem == "ca_ontario_rpp" else 1)]


@examples(50)
@given(st.sampled_from(TARIFFS), st.integers(0, 4_102_444_799), st.integers(1, 10_000))
def test_every_instant_has_exactly_one_price(which: tuple[str, int], second: int, seconds: int) -> None:
    """At any instant up to 2099 there is one price, the same one at the start of its minute and at its end."""
    tariff = example(*which)
    instant = second * NANOSECONDS_PER_SECOND
    minute = instant - instant % NANOSECONDS_PER_MINUTE
    schedule = tariff.schedule()
    assert schedule.at(instant) == schedule.at(minute) == schedule.at(minute + NANOSECONDS_PER_MINUTE - 1)
    if isinstance(tariff.energy, Energy):
        local = tariff.place.local(instant)
        held = [window for window in tariff.energy.calendar.windows if window.holds(local)]
        assert schedule.at(instant) == held[0].value


@examples(40)
@given(st.sampled_from(TARIFFS), st.datetimes(datetime(2023, 1, 1), datetime(2027, 1, 1)), st.data())
def test_cutting_a_stretch_changes_no_sum(which: tuple[str, int], start: datetime, data: st.DataObject) -> None:
    """The minutes of a stretch cost what its pieces cost, wherever it is cut: at tariff edges or between."""
    schedule = example(*which).schedule()
    first = int(start.replace(second=0, microsecond=0, tzinfo=timezone.utc).timestamp()) * NANOSECONDS_PER_SECOND
    length = data.draw(st.integers(1, 300))
    cuts = sorted(data.draw(st.sets(st.integers(0, length), max_size=5)) | {0, length})

    def cost(begin: int, end: int) -> Decimal:
        return sum((schedule.at(first + at * NANOSECONDS_PER_MINUTE) for at in range(begin, end)), Decimal(0))

    assert sum(cost(begin, end) for begin, end in pairwise(cuts)) == cost(0, length)


@pytest.mark.no_cover  # much of the same: others cover the lines
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_mutated_tariff_is_read_or_refused_by_line(path: Path) -> None:
    """100 files that are nearly right: no exception, and every refusal names a file and a line of it."""
    refused = 0
    for text in mutations(path.read_text(encoding="utf-8"), deeply(100), seed=4):
        tariffs, faults = parse_tariffs(text, str(path), path.name)
        assert tariffs or faults
        for fault in faults:
            assert fault.place.line > 0
            assert fault.place.source == path.name or fault.place.source.endswith(".csv")
        refused += bool(faults)
    assert refused > 15


def test_the_least_tariff() -> None:
    """A zone, a currency and one price are a tariff, named after its file."""
    tariff = one(ENERGY, HEAD)
    assert (tariff.id, tariff.name, tariff.quote, tariff.untold) == ("t", "t", None, ())
    assert one("valid_from: null\nvalid_to: ~\nmeter_clock:\n" + ENERGY).valid_from is None


def test_the_reference_page_has_every_key_and_its_example_works() -> None:
    """`docs/tariffs.md` lists each key that a file may have, and its own file is read without a fault."""
    page = (EXAMPLES.parents[1] / "docs" / "tariffs.md").read_text(encoding="utf-8")
    listed = {key for line in page.splitlines() if line.startswith("|") for key in KEY.findall(line.split("|")[1])}
    assert listed == {*KEYS, "plans"}
    (block,) = [block for block in page.split("```yaml\n") if block.startswith("id: ")]
    tariffs, faults = parse_tariffs(block.split("```")[0], "page.yaml", "page.yaml")
    assert faults == ()
    assert tariffs[0].schedule().at(utc_ns("2026-07-01T17:00-07:00")) == Decimal("0.47708")
