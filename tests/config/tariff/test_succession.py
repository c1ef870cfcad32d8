"""Price sheets of one tariff over the years."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from costmeter.config.tariff import succession
from costmeter.meter.tariff import Tariff
from tests.config.tariff.sheets import example, one, utc_ns

SHEET = one("energy: [{price_per_kwh: 1}]\n")


def test_a_tariff_without_dates_is_its_own_schedule() -> None:
    """Nothing is wrapped, and nothing is doubted."""
    assert succession([SHEET]) == SHEET.schedule()


@pytest.mark.parametrize(
    ("instant", "price", "doubt"),
    [
        pytest.param("2024-12-31T23:59+01:00", 1, "valid from 2024-12-31T23:00Z only", id="before-all"),
        pytest.param("2025-01-01T00:00+01:00", 1, "", id="local-midnight"),
        pytest.param("2025-07-01T00:00+02:00", 1, "valid until 2025-06-30T22:00Z only", id="in-the-hole"),
        pytest.param("2026-01-01T00:00+01:00", 2, "", id="the-next"),
        pytest.param("2027-01-01T00:00+01:00", 2, "valid until 2026-12-31T23:00Z only", id="after-all"),
    ],
)
def test_each_sheet_holds_from_its_local_midnight(instant: str, price: int, doubt: str) -> None:
    """In any order given; a sheet that ends before the next begins is doubted until then."""
    dearer = one("id: b\nenergy: [{price_per_kwh: 2}]\n")
    second = replace(dearer, valid_from=date(2026, 1, 1), valid_to=date(2027, 1, 1))
    first = replace(SHEET, valid_from=date(2025, 1, 1), valid_to=date(2025, 7, 1))
    schedule = succession([second, first])
    assert schedule.at(utc_ns(instant)) == price
    assert schedule.doubt(utc_ns(instant)) == doubt


def test_one_sheet_may_have_held_always() -> None:
    """A sheet without a start is the first of several; alone with an end it is doubted after it."""
    old = replace(SHEET, valid_to=date(2025, 1, 1))
    assert succession([old]).doubt(utc_ns("1980-01-01T00:00+00:00")) == ""
    assert "valid until" in succession([old]).doubt(utc_ns("2025-01-01T00:00+01:00"))
    new = replace(SHEET, id="new", valid_from=date(2025, 1, 1))
    assert succession([new, old]).doubt(utc_ns("2024-01-01T00:00+00:00")) == ""


def test_the_tier_is_passed_on() -> None:
    """Ontario's tiered plan at its first tier."""
    june = utc_ns("2026-06-10T12:00-04:00")
    assert succession([example("ca_ontario", 2)], 0).at(june) == Decimal("0.120")


@pytest.mark.parametrize(
    ("sheets", "fault"),
    [
        pytest.param([], "at least one tariff", id="none"),
        pytest.param(
            [SHEET, replace(SHEET, id="u")], "tariffs t and u both say no valid_from; give each its own", id="no-starts"
        ),
        pytest.param(
            [replace(SHEET, valid_from=date(2025, 1, 1))] * 2, "tariffs t and t both start on 2025-01-01", id="same"
        ),
        pytest.param(
            [SHEET, replace(SHEET, valid_from=date(2025, 1, 1), currency="CHF")],
            "one currency, not t in EUR, t in CHF",
            id="currency",
        ),
    ],
)
def test_sheets_that_do_not_follow_are_refused(sheets: list[Tariff], fault: str) -> None:
    """Two sheets at once, or of two currencies, are no succession."""
    with pytest.raises(ValueError, match=fault):
        succession(sheets)
