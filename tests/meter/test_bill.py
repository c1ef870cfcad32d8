"""The arithmetic of bills, on tariffs as they are published, and its laws."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.config.tariff import read_tariffs, succession
from costmeter.meter.bill import (
    ATTRIBUTIONS,
    Adjustment,
    Attribution,
    SiteBill,
    adjustments,
    base_microjoules,
    money,
    sheets,
    site_bills,
)
from costmeter.meter.calendar import ALL_DAY, EVERY_DAY, Calendar, Hours, Window
from costmeter.meter.period import Period
from costmeter.meter.tariff import DemandCharge, Energy, FixedCharge, Tariff, Tier
from costmeter.units import MICROJOULES_PER_KWH, NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND
from tests.depth import examples

TARIFFS = Path(__file__).parents[2] / "examples" / "tariffs"


def tariff(file: str, plan: str = "") -> Tariff:
    """A tariff of the examples."""
    found, faults = read_tariffs(str(TARIFFS / f"{file}.yaml"), file)
    assert not faults
    return next(each for each in found if plan in ("", each.id))


B20 = tariff("us_pge_b20_industrial")
E20 = tariff("us_pge_e20_half_hour_edges")
PNM = tariff("us_pnm_4b_industrial")
TIERED = tariff("us_tiered_energy_and_demand")
ONTARIO = tariff("ca_ontario_rpp", "ca-on-tiered-2025-11")


def period(of: Tariff, first: str, end: str) -> Period:
    return Period(date.fromisoformat(first), date.fromisoformat(end), of.zone)


def used(of: Tariff, local: str, minutes: int, kilowatts: str) -> dict[int, int]:
    """A constant power from a local time on."""
    at = datetime.fromisoformat(local).replace(tzinfo=of.zone)
    start_ns = int(at.timestamp()) * NANOSECONDS_PER_SECOND
    each_uj = base_microjoules(Decimal(kilowatts))
    return {start_ns + minute * NANOSECONDS_PER_MINUTE: each_uj for minute in range(minutes)}


def both(of: Tariff, when: Period, runs: dict[int, int], base_kw: str = "0") -> tuple[SiteBill, SiteBill]:
    """The site's bill with runs and without."""
    return site_bills(when, sheets([of], when), succession([of]), runs, base_microjoules(Decimal(base_kw)))


def constant(of: Tariff, first: str, end: str, kilowatts: str) -> SiteBill:
    """The bill of a site that uses the same power all the time."""
    return both(of, period(of, first, end), {}, kilowatts)[1]


def demand(bill: SiteBill) -> dict[str, Fraction]:
    return {each.charge: each.amount for each in bill.demand if each.amount}


def exactly(text: str) -> Fraction:
    return Fraction(Decimal(text))


def test_a_summer_month_of_b20_at_one_megawatt() -> None:
    """July 2026 at 1,000 kW, 31 days: each has 5 h of peak, 4 h of part peak and 15 h off peak.

    Energy per day: 5,000 × 0.17702 + 4,000 × 0.14227 + 15,000 × 0.11482 = 885.10 + 569.08 + 1,722.30 = 3,176.48; × 31 =
    98,470.88. Demand: 1,000 × (39.08 + 41.35 + 9.27) = 89,700. Fixed: 31 × 107.36636 =
    3,328.35716. In all 191,499.23716.
    """
    bill = constant(B20, "2026-07-01", "2026-08-01", "1000")
    assert exactly("98470.88") == bill.energy == bill.separable
    assert {"maximum": 39_080, "peak_summer": 41_350, "part_peak_summer": 9_270} == demand(bill)
    assert (("per day", exactly("3328.35716")),) == bill.fixed
    assert exactly("191499.23716") == bill.total


@pytest.mark.no_cover  # much of the same: others cover the lines
@pytest.mark.parametrize(
    ("first", "end", "energy", "fixed"),
    [
        pytest.param("2026-03-01", "2026-04-01", "829.53", "3328.35716", id="march-of-743-h"),
        pytest.param("2026-11-01", "2026-12-01", "888.846", "3220.9908", id="november-of-721-h"),
        pytest.param("2027-02-01", "2027-03-01", "828.52", "3006.25808", id="february-of-672-h"),
        pytest.param("2026-10-15", "2026-11-15", "918.436", "3328.35716", id="15-october-to-15-november-745-h"),
    ],
)
def test_winter_months_of_b20_at_ten_kilowatts(first: str, end: str, energy: str, fixed: str) -> None:
    """Every winter day has 5 h of peak, none of which a clock change touches; the rest is off peak.

    - March, 31 days, 743 h, super off peak from 9 to 14: 155 × 0.15632 + 155 × 0.05872 + 433 × 0.11460 = 82.953.
    - November, 30 days, 721 h: 150 × 0.15632 + 571 × 0.11460 = 88.8846.
    - February, 28 days, 672 h: 140 × 0.15632 + 532 × 0.11460 = 82.852.
    - 15 October to 15 November, 31 days, 745 h: 155 × 0.15632 + 590 × 0.11460 = 91.8436.

    Each × 10 kW; demand is 10 × (39.08 + 2.32) = 414; fixed is days × 107.36636.
    """
    bill = constant(B20, first, end, "10")
    assert exactly(energy) == bill.energy
    assert {"maximum": exactly("390.8"), "peak_winter": exactly("23.2")} == demand(bill)
    assert exactly(fixed) == bill.fixed[0][1]


@pytest.mark.parametrize(
    ("kilowatts", "energy", "of_demand"),
    [
        pytest.param("50", "2537.82", "1218.4", id="within-the-first-tier-of-demand"),
        pytest.param("150", "6857.82", "3288.35", id="beyond-it"),
    ],
)
def test_tiers_of_energy_and_of_demand(kilowatts: str, energy: str, of_demand: str) -> None:
    """April 2026 of 720 h under the tiered example, and 30 × 3.298 = 98.94 fixed.

    50 kW: 36,000 kWh = 20,000 × 0.078891 + 16,000 × 0.06 = 1,577.82 + 960; demand 50 × 24.368.
    150 kW: 108,000 kWh = 1,577.82 + 88,000 × 0.06 = 6,857.82; demand 100 × 24.368 + 50 × 17.031 = 3,288.35.
    Live totals are made at the last tier: the bill's first 20,000 kWh cost 20,000 × 0.018891 = 377.82 more.
    """
    bill = constant(TIERED, "2026-04-01", "2026-05-01", kilowatts)
    assert exactly(energy) == bill.energy
    assert {"tiered_monthly_maximum": exactly(of_demand)} == demand(bill)
    assert exactly("98.94") == bill.fixed[0][1]
    assert exactly("377.82") == bill.energy - bill.separable


def test_ontarios_tiers_count_the_whole_month() -> None:
    """November 2026 has 721 h in Toronto: 2 kW are 1,442 kWh = 1,000 × 0.120 + 442 × 0.142 = 182.764."""
    bill = constant(ONTARIO, "2026-11-01", "2026-12-01", "2")
    assert exactly("182.764") == bill.energy


def test_entries_of_the_hours_have_tiers_of_their_own() -> None:
    """A URDB period counts the kWh used in it: 30 days × 10 h of day and 14 h of night at 1 kW, 300 and 420 kWh.

    Tiers end at 350 kWh: day 300 × 0.10; night 350 × 0.05 + 70 × 0.04; 30 + 17.5 + 2.8 = 50.3. Two windows of the day,
    8 to 12 and 14 to 20, are one entry by their name.
    """
    day, night = ((Tier(Decimal(a), Decimal(350)), Tier(Decimal(b))) for a, b in (("0.10", "0.08"), ("0.05", "0.04")))
    windows = (
        Window(EVERY_DAY, (Hours(480, 720),), Decimal("0.08")),
        Window(EVERY_DAY, (Hours(840, 1200),), Decimal("0.08")),
        Window(EVERY_DAY, ALL_DAY, Decimal("0.04")),
    )
    energy = Energy(Calendar(TIERED.place, windows), ("day", "day", "night"), (day, day, night))
    own = replace(TIERED, energy=energy, fixed=(), demand=())
    assert exactly("50.3") == constant(own, "2026-04-01", "2026-05-01", "1").total


def test_the_other_hours_of_a_demand_charge() -> None:
    """PNM 4B in July 2026: 200 kW for an hour on Saturday the 4th, 50 kW for an hour on Monday the 6th, at 10:00.

    Weekday days: 50 × 28.44 = 1,422. All other hours: 200 × 19.79 = 3,958. Energy: 200 × 0.0254538 + 50 × 0.0169081 =
    5.936165. Fixed: 666.65 a month. In all 6,052.586165.
    """
    runs = used(PNM, "2026-07-04T10:00", 60, "200") | used(PNM, "2026-07-06T10:00", 60, "50")
    whole, base = both(PNM, period(PNM, "2026-07-01", "2026-08-01"), runs)
    assert {"weekday_day": 1_422, "rest": 3_958} == demand(whole)
    assert exactly("5.936165") == whole.energy
    assert exactly("6052.586165") == whole.total
    assert base.total == 0


def test_an_interval_ends_at_a_half_hour_edge() -> None:
    """E-20 on Monday 6 July 2026: 80 kW from 8:15 to 8:30, off peak, then 40 kW to 8:45, in the half peak.

    Demand: 80 × 21.30 = 1,704, and of the half peak 40 × 5.88 = 235.2. Energy: 20 × 0.08981 + 10 × 0.11960 = 2.9922.
    Fixed: 1,352.6313. In all 3,294.8235.
    """
    runs = used(E20, "2026-07-06T08:15", 15, "80") | used(E20, "2026-07-06T08:30", 15, "40")
    whole, _ = both(E20, period(E20, "2026-07-01", "2026-08-01"), runs)
    assert {"maximum": 1_704, "half_peak_summer": exactly("235.2")} == demand(whole)
    assert exactly("3294.8235") == whole.total
    assert [utc(E20, "2026-07-06T08:15"), utc(E20, "2026-07-06T08:30")] == [
        each.at_utc_ns for each in whole.demand if each.amount
    ]


def utc(of: Tariff, local: str) -> int:
    return next(iter(used(of, local, 1, "1")))


@pytest.mark.no_cover  # much of the same: others cover the lines
@pytest.mark.parametrize(("minutes", "kilowatts"), [(15, "10"), (5, "30"), (1, "150")])
def test_a_short_run_over_a_base_load(minutes: int, kilowatts: str) -> None:
    """B-20 in July 2026 over 100 kW: 2.5 kWh within the quarter of an hour from 17:00, however fast they are drawn.

    Marginal: 2.5 × 0.17702 = 0.44255 of energy; the quarter's mean is 110 kW, so 10 × 39.08 = 390.80 and 10 × 41.35 =
    413.50; fixed charges are there anyway. In all 804.74255, of which 804.30 is demand.

    Average: the site's bill is 9,847.088 + 0.44255 of energy, 110 × 39.08 + 110 × 41.35 + 100 × 9.27 = 9,774.30 of
    demand and 3,328.35716 fixed: 22,950.18771; the runs used 2.5 of 74,402.5 kWh and bear 0.77115 of it.
    """
    whole, base = both(
        B20, period(B20, "2026-07-01", "2026-08-01"), used(B20, "2026-07-06T17:00", minutes, kilowatts), "100"
    )
    marginal = adjustments(whole, base, "marginal")
    assert {"demand": Decimal("804.3"), "fixed": 0, "tiers": 0} == by_name(marginal)
    assert exactly("804.74255") == whole.total - base.total
    average = adjustments(whole, base, "average")
    share = exactly("2.5") / exactly("74402.5")
    assert exactly("22950.18771") == whole.total
    assert money(share * whole.total) == pytest.approx(Decimal("0.44255") + sum(by_name(average).values()))
    assert Decimal("0.77115") == round(money(share * whole.total), 6)


def by_name(made: tuple[Adjustment, ...]) -> dict[str, Decimal]:
    """The adjustments of each kind, added."""
    added: dict[str, Decimal] = {}
    for each in made:
        added[each.name] = added.get(each.name, Decimal(0)) + each.amount
    return added


def test_a_month_with_two_price_sheets_is_billed_by_days() -> None:
    """10 of the 30 days of April 2026 under one sheet, 20 under the next; 1 kW, so 240 and 480 kWh.

    First: 0.10 up to 300 kWh × 10/30 = 100, then 0.08: 10 + 140 × 0.08 = 21.2; 10 days at 1; demand 30 × 10/30 = 10; a
    month 6 × 10/30 = 2. Second, at twice the prices: 200 × 0.2 + 280 × 0.16 = 84.8; 20 days at 2; demand 60 × 20/30 =
    40; 12 × 20/30 = 8.
    """
    first, second = (_sheet(factor) for factor in (1, 2))
    both_sheets = [replace(second, valid_from=date(2026, 4, 11)), replace(first, valid_from=date(2025, 1, 1))]
    when = period(TIERED, "2026-04-01", "2026-05-01")
    of = sheets(both_sheets, when)
    assert [(10, Fraction(1, 3)), (20, Fraction(2, 3))] == [(sheet.period.days, sheet.share) for sheet in of]
    _, bill = site_bills(when, of, succession(both_sheets), {}, base_microjoules(Decimal(1)))
    assert exactly("106") == bill.energy
    fixed = [("per day", 10), ("per month", 2), ("per day", 40), ("per month", 8)]
    assert [(name, Fraction(amount)) for name, amount in fixed] == list(bill.fixed)
    assert [10, 40] == [each.amount for each in bill.demand]


def _sheet(factor: int) -> Tariff:
    tiers = (Tier(Decimal("0.10") * factor, Decimal(300)), Tier(Decimal("0.08") * factor))
    window = Window(EVERY_DAY, ALL_DAY, tiers[-1].price)
    return replace(
        TIERED,
        energy=Energy(Calendar(TIERED.place, (window,)), ("all",), (tiers,)),
        fixed=(FixedCharge(Decimal(factor), "day"), FixedCharge(Decimal(6 * factor), "month")),
        demand=(DemandCharge("peak", window, (), (Tier(Decimal(30 * factor)),)),),
    )


def test_before_its_first_day_a_tariff_holds_all_the_same() -> None:
    """The only sheet there is bills a month before it was valid; that it is not meant for it is said elsewhere."""
    (only,) = sheets([B20], period(B20, "2025-07-01", "2025-08-01"))
    assert (31, Fraction(1)) == (only.period.days, only.share)


def test_hours_of_the_meters_own_clock() -> None:
    """Economy 7's night is 00:30 to 07:30 UTC all year: a July run at 7:00 UTC, 8:00 in London, is by night.

    1 kW for an hour, half of it at 0.132174 and half at 0.315084: 0.223629. 31 days × 0.483945 = 15.002295.
    """
    economy7 = tariff("uk_octopus_economy7")
    runs = used(economy7, "2024-07-10T08:00", 60, "1")
    whole, _ = both(economy7, period(economy7, "2024-07-01", "2024-08-01"), runs)
    assert exactly("0.223629") == whole.energy
    assert exactly("15.002295") == whole.fixed[0][1]


# Laws

MONTH = period(B20, "2026-07-01", "2026-07-04")
SAMPLED = (B20, replace(TIERED, zone=B20.zone), replace(PNM, zone=B20.zone), E20)
loads = st.dictionaries(
    st.integers(0, 3 * 1_440 - 1).map(lambda minute: MONTH.start_utc_ns + minute * NANOSECONDS_PER_MINUTE),
    st.integers(0, 10**13),
    max_size=40,
)
bases = st.sampled_from(("0", "0.3", "40", "12000"))


def added(one: dict[int, int], other: dict[int, int]) -> dict[int, int]:
    """Two loads at once."""
    return {minute: one.get(minute, 0) + other.get(minute, 0) for minute in one.keys() | other.keys()}


@pytest.mark.no_cover  # much of the same: others cover the lines
@examples(20)
@given(st.sampled_from(SAMPLED), loads, bases, st.sampled_from(ATTRIBUTIONS))
def test_the_metered_part_and_the_adjustments_are_the_attributed_bill(
    of: Tariff, runs: dict[int, int], base_kw: str, by: Attribution
) -> None:
    """Energy at the prices of its instants and all adjustments are what the attribution says, to 1e-12 a line."""
    whole, base = both(of, MONTH, runs, base_kw)
    made = adjustments(whole, base, by)
    runs_uj, site_uj = sum(runs.values()), whole.microjoules
    if by == "marginal":
        expected = whole.total - base.total
    else:
        expected = whole.total * (Fraction(runs_uj, site_uj) if base.microjoules else 1)
    metered = whole.separable - base.separable
    off = abs(metered + sum(Fraction(each.amount) for each in made) - expected)
    assert off <= Fraction(1, 10**12) * len(made)


@pytest.mark.no_cover  # much of the same: others cover the lines
@examples(12)
@given(st.sampled_from(SAMPLED), loads)
def test_without_a_base_load_both_attributions_are_the_whole_bill(of: Tariff, runs: dict[int, int]) -> None:
    """A site that uses nothing else has its bill for the runs."""
    whole, base = both(of, MONTH, runs)
    assert adjustments(whole, base, "marginal") == adjustments(whole, base, "average")
    assert base.total == 0
    assert whole.microjoules == sum(runs.values())


@pytest.mark.no_cover  # much of the same: others cover the lines
@examples(12)
@given(st.sampled_from(SAMPLED), loads, loads, bases)
def test_another_run_never_lowers_the_marginal_bill(
    of: Tariff, runs: dict[int, int], more: dict[int, int], base_kw: str
) -> None:
    """At prices of at least nothing, more energy costs no less: not by tiers that fall, and not by demand."""
    few, base = both(of, MONTH, runs, base_kw)
    many, same = both(of, MONTH, added(runs, more), base_kw)
    assert base == same
    assert many.total - base.total >= few.total - base.total >= 0


@pytest.mark.no_cover  # much of the same: others cover the lines
@examples(12)
@given(st.sampled_from(SAMPLED), loads, st.randoms(use_true_random=False))
def test_within_its_quarter_of_an_hour_energy_may_be_anywhere(of: Tariff, runs: dict[int, int], random: object) -> None:
    """Edges of these tariffs lie on quarters, so a quarter's energy may be spread over its minutes in any way."""
    quarter_ns = 15 * NANOSECONDS_PER_MINUTE
    spread: dict[int, int] = {}
    for minute, energy_uj in runs.items():
        moved = minute - minute % quarter_ns + random.randrange(15) * NANOSECONDS_PER_MINUTE  # type: ignore[attr-defined]
        half = energy_uj // 2
        spread = added(added(spread, {moved: half}), {minute: energy_uj - half})
    assert both(of, MONTH, runs)[0] == both(of, MONTH, spread)[0]


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=5))
def test_tiers_of_one_price_are_none(parts: list[int]) -> None:
    """However limits divide a use, at one price it costs the price times the use."""
    runs = {MONTH.start_utc_ns + place * NANOSECONDS_PER_MINUTE: part for place, part in enumerate(parts)}
    tiers = tuple(Tier(Decimal(2), limit) for limit in (Decimal(1), Decimal(7), Decimal(50), None))
    window = Window(EVERY_DAY, ALL_DAY, Decimal(2))
    own = replace(B20, energy=Energy(Calendar(B20.place, (window,)), ("all",), (tiers,)), fixed=(), demand=())
    whole, _ = both(own, MONTH, runs)
    assert Fraction(2 * sum(parts), MICROJOULES_PER_KWH) == whole.total


@pytest.mark.no_cover  # much of the same: others cover the lines
def test_a_long_period_is_its_parts() -> None:
    """Energy and daily charges of B-20 over two ends of months and a change of the clock are those of its pieces."""
    edges = [date(2026, 2, 27), date(2026, 3, 1), date(2026, 3, 10), date(2026, 4, 1), date(2026, 4, 3)]
    pieces = [constant(B20, edge.isoformat(), later.isoformat(), "3") for edge, later in pairwise(edges)]
    whole = constant(B20, "2026-02-27", "2026-04-03", "3")
    assert whole.energy == sum(each.energy for each in pieces)
    assert whole.fixed[0][1] == sum(each.fixed[0][1] for each in pieces)
