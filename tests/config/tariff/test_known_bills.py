"""Tariffs against bills computed by hand and against quotes their sellers published.

The load is a constant 1 kW, or what the docstring says. Days are local days of the tariff's zone.
"""

from datetime import date
from decimal import Decimal

import pytest

from costmeter.meter.tariff import Energy, Quote, Tier
from tests.config.tariff.sheets import day_cost, example, midnight_ns, utc_ns


@pytest.mark.parametrize("name", ["uk_octopus_flexible", "uk_octopus_economy7"])
def test_the_seller_s_own_quote_is_met(name: str) -> None:
    """A year's use at the prices of its entries, plus 365 days of standing charge, is the retailer's quote.

    Octopus, products API of 2024-05-13. Flexible: 2,700 kWh × 0.252546 + 365 × 0.478485 = 856.521225, quoted 856.52.
    Economy 7: 2,262 × 0.315084 + 1,638 × 0.132174 + 365 × 0.483945 = 1,105.860945, quoted 1,105.86.
    """
    tariff = example(name)
    assert isinstance(tariff.quote, Quote)
    assert isinstance(tariff.energy, Energy)
    prices = dict(zip(tariff.energy.names, (window.value for window in tariff.energy.calendar.windows), strict=True))
    energy = sum(
        kwh * (prices[entry] if entry else tariff.schedule().at(0)) for entry, kwh in tariff.quote.kwh_per_year
    )
    fixed = sum(charge.amount * {"day": 365, "month": 12, "year": 1}[charge.per] for charge in tariff.fixed)
    assert tariff.quote.annual_cost in (Decimal("856.52"), Decimal("1105.86"))
    assert round(energy + fixed, 2) == tariff.quote.annual_cost


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        pytest.param("2026-07-15", "3.17648", id="summer-day"),
        pytest.param("2026-04-15", "2.6796", id="spring-day"),
        pytest.param("2026-12-15", "2.9590", id="winter-day"),
        pytest.param("2026-03-08", "2.5650", id="23-hours"),
        pytest.param("2026-11-01", "3.0736", id="25-hours"),
    ],
)
def test_a_day_of_pge_b20(day: str, expected: str) -> None:
    """B-20 by hours, the same every day of the week.

    Summer: 5 h × 0.17702 + 4 h × 0.14227 + 15 h × 0.11482 = 0.8851 + 0.56908 + 1.7223 = 3.17648.
    Spring: 5 h × 0.15632 + 5 h × 0.05872 + 14 h × 0.11460 = 0.7816 + 0.2936 + 1.6044 = 2.6796.
    Winter without the super off-peak: 5 h × 0.15632 + 19 h × 0.11460 = 0.7816 + 2.1774 = 2.9590.
    2026-03-08 loses the hour from 2:00, off-peak in spring: 2.6796 - 0.1146 = 2.5650.
    2026-11-01 has the hour from 1:00 twice, off-peak in winter: 2.9590 + 0.1146 = 3.0736.
    """
    assert day_cost(example("us_pge_b20"), day) == Decimal(expected)


@pytest.mark.no_cover  # much of the same: others cover the lines
def test_a_month_of_pge_b20() -> None:
    """July 2026 at a constant 1,000 kW: energy 31 × 3,176.48 = 98,470.88; fixed 31 × 107.36636 = 3,328.35716;
    demand 1,000 kW × (39.08 + 41.35 + 9.27) = 89,700, for 1,000 kW is the maximum of every period.
    """
    tariff = example("us_pge_b20")
    energy = 1_000 * day_cost(tariff, "2026-07-01", 31)
    fixed = sum(31 * charge.amount for charge in tariff.fixed)
    noon = tariff.place.local(utc_ns("2026-07-15T12:00-07:00"))
    in_july = [
        charge
        for charge in tariff.demand
        if charge.window.season is None or charge.window.season.contains(noon.month_day)
    ]
    demand = sum(1_000 * charge.tiers[-1].price for charge in in_july)
    assert (energy, fixed, demand) == (Decimal("98470.88"), Decimal("3328.35716"), Decimal("89700"))
    assert [charge.name for charge in in_july] == ["maximum", "peak_summer", "part_peak_summer"]


@pytest.mark.parametrize(
    ("day", "days", "expected"),
    [
        pytest.param("2024-07-15", 1, "6.281646", id="day"),
        pytest.param("2024-04-01", 30, "188.44938", id="month"),
        pytest.param("2024-03-31", 1, "5.966562", id="23-hours"),
        pytest.param("2024-10-27", 1, "6.59673", id="25-hours"),
    ],
)
def test_economy_7_on_a_clock_without_summer_time(day: str, days: int, expected: str) -> None:
    """Seven night hours a day, whatever the civil clock does; the day has the other 17, 16 or 18.

    Day: 7 × 0.132174 + 17 × 0.315084 = 0.925218 + 5.356428 = 6.281646; April 2024 is 30 times that = 188.44938.
    2024-03-31: 0.925218 + 16 × 0.315084 = 5.966562. 2024-10-27: 0.925218 + 18 × 0.315084 = 6.596730.
    """
    assert day_cost(example("uk_octopus_economy7"), day, days) == Decimal(expected)


def test_economy_7_begins_an_hour_later_in_summer() -> None:
    """The meter's 00:30 is 00:30 in January and 01:30 by the clocks of July."""
    schedule = example("uk_octopus_economy7").schedule()
    night, day = Decimal("0.132174"), Decimal("0.315084")
    assert [schedule.at(utc_ns(f"2025-01-15T{at}+00:00")) for at in ("00:29", "00:30", "07:29", "07:30")] == [
        day, night, night, day,
    ]  # fmt: skip
    assert [schedule.at(utc_ns(f"2025-07-15T{at}+01:00")) for at in ("01:29", "01:30", "08:29", "08:30")] == [
        day, night, night, day,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("day", "days", "expected"),
    [
        pytest.param("2026-07-01", 1, "8.61576", id="wednesday"),
        pytest.param("2026-07-03", 1, "8.21088", id="independence-day-observed"),
        pytest.param("2026-07-01", 31, "263.44464", id="month"),
        pytest.param("2026-03-08", 1, "8.02378", id="23-hours"),
        pytest.param("2026-11-01", 1, "8.7215", id="25-hours"),
    ],
)
def test_pge_e_tou_d_with_its_holidays(day: str, days: int, expected: str) -> None:
    """E-TOU-D: three peak hours on weekdays that are no holiday.

    Wednesday: 3 × 0.47708 + 21 × 0.34212 = 1.43124 + 7.18452 = 8.61576.
    4 July 2026 is a Saturday and legally observed on Friday the 3rd: 24 × 0.34212 = 8.21088.
    July 2026 has 23 weekdays, so 22 peaks: 66 h × 0.47708 + 678 h × 0.34212 = 31.48728 + 231.95736 = 263.44464.
    The clocks change on Sundays, all off-peak: 23 × 0.34886 = 8.02378 and 25 × 0.34886 = 8.72150.
    """
    assert day_cost(example("us_pge_e_tou_d"), day, days) == Decimal(expected)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        pytest.param("2024-03-30", "4.993620086", id="day"),
        pytest.param("2024-03-31", "4.847461668", id="23-hours"),
        pytest.param("2024-10-27", "6.338059595", id="25-hours"),
        pytest.param("2024-05-12", "3.479598675", id="negative-prices"),
        pytest.param("2024-06-26", "16.664429061", id="decoupling"),
    ],
)
def test_german_day_ahead_after_its_formula(day: str, expected: str) -> None:
    """(market × 1.03 + hours × 0.12) × 1.19, with the day's sum of market prices added up by hand from the file.

    2024-03-30: 24 hours, 1,277.98 EUR/MWh: (1.3163194 + 2.88) × 1.19 = 4.993620086.
    2024-03-31: 23 hours, 1,275.24: (1.3134972 + 2.76) × 1.19 = 4.847461668.
    2024-10-27: 25 hours, 2,258.35: (2.3261005 + 3.00) × 1.19 = 6.338059595.
    2024-05-12: 24 hours, 42.75 with -135.45 at 13:00: (0.0440325 + 2.88) × 1.19 = 3.479598675.
    2024-06-26: 24 hours, 10,799.73 with 2,096.81 at 6:00: (11.1237219 + 2.88) × 1.19 = 16.664429061.
    """
    assert day_cost(example("de_day_ahead"), day) == Decimal(expected)


def test_german_prices_fall_below_zero_and_rise_above_two_thousand() -> None:
    """-135.45 EUR/MWh: (-0.1395135 + 0.12) × 1.19 = -0.023221065; 2,096.81: (2.1597143 + 0.12) × 1.19 = 2.712860017."""
    schedule = example("de_day_ahead").schedule()
    assert schedule.at(utc_ns("2024-05-12T13:30+02:00")) == Decimal("-0.023221065")
    assert schedule.at(utc_ns("2024-06-26T06:00+02:00")) == Decimal("2.712860017")


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        pytest.param("2023-03-26", "5.8946", id="46-half-hours"),
        pytest.param("2023-07-02", "0.69975", id="negative"),
        pytest.param("2023-12-13", "4.94045", id="winter"),
    ],
)
def test_agile_by_half_hours(day: str, expected: str) -> None:
    """Half of the sum of a day's pence, in pounds: 1,178.92, 139.95 and 988.09 pence in the file, added up by hand."""
    tariff = example("uk_octopus_agile")
    assert day_cost(tariff, day) == Decimal(expected)
    first = midnight_ns(date.fromisoformat(day), tariff.zone)
    assert tariff.schedule().doubt(first) == ""


def test_agile_s_missing_half_hours_are_doubted() -> None:
    """Between the days of the sample the last price is held, and said to be no price of that hour."""
    schedule = example("uk_octopus_agile").schedule()
    assert schedule.doubt(utc_ns("2023-03-26T23:00+01:00")) == ""
    assert schedule.doubt(utc_ns("2023-03-27T00:00+01:00")) == (
        "the series has a hole from 2023-03-26T23:00Z; its last value is held"
    )
    assert "ends 2023-12-14T00:00Z" in schedule.doubt(utc_ns("2024-01-01T00:00+00:00"))
    assert "begins 2023-03-26T00:00Z" in schedule.doubt(utc_ns("2023-01-01T00:00+00:00"))


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        pytest.param("2025-07-01T12:00", "0.098", id="canada-day-a-tuesday"),
        pytest.param("2025-07-02T12:00", "0.203", id="the-day-after"),
        pytest.param("2025-08-04T12:00", "0.098", id="civic-holiday"),
        pytest.param("2026-12-28T08:00", "0.098", id="boxing-day-moved-to-monday"),
        pytest.param("2026-12-29T08:00", "0.203", id="tuesday-after"),
    ],
)
def test_ontario_s_holidays_are_weekends(instant: str, expected: str) -> None:
    """On-peak hours of a holiday cost what a weekend's do; Boxing Day of 2026, a Saturday, is kept on Monday."""
    offset = "-05:00" if "-12-" in instant else "-04:00"
    assert example("ca_ontario").schedule().at(utc_ns(instant + offset)) == Decimal(expected)


def test_ontario_s_night_runs_over_midnight() -> None:
    """Ultra-low overnight: 8 × 0.039 + 5 × 0.391 + 11 × 0.157 = 0.312 + 1.955 + 1.727 = 3.994 on a weekday."""
    assert day_cost(example("ca_ontario", 1), "2026-06-10") == Decimal("3.994")


def test_ontario_s_tiers_are_kept_and_the_last_is_live() -> None:
    """The tiered plan costs 0.142 live, 0.120 when its first tier is named, and tells both."""
    tariff = example("ca_ontario", 2)
    june = utc_ns("2026-06-10T12:00-04:00")
    assert isinstance(tariff.energy, Energy)
    assert tariff.energy.tiers[1] == (Tier(Decimal("0.120"), Decimal(600)), Tier(Decimal("0.142")))
    assert [tariff.schedule(tier).at(june) for tier in (None, 0, 1, 7)] == [
        Decimal("0.142"), Decimal("0.120"), Decimal("0.142"), Decimal("0.142"),
    ]  # fmt: skip


def test_half_hour_edges() -> None:
    """E-20 turns at 8:30: a weekday of May to October costs 6 × 0.16299 + 7 × 0.11960 + 11 × 0.08981 = 2.80305."""
    tariff = example("us_pge_e20")
    assert day_cost(tariff, "2026-06-10") == Decimal("2.80305")
    edge = utc_ns("2026-06-10T08:30-07:00")
    assert tariff.schedule().at(edge - 1) == Decimal("0.08981")
    assert tariff.schedule().at(edge) == Decimal("0.11960")
