"""Tariffs as schedules: the price of a kWh at the tier that was asked for."""

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from costmeter.meter.calendar import ALL_DAY, EVERY_DAY, Calendar, Hours, Place, Window
from costmeter.meter.series import OPEN_END, Series
from costmeter.meter.tariff import Energy, Tariff, Tier

UTC = Place(ZoneInfo("UTC"))
NIGHT = Window(EVERY_DAY, (Hours(0, 360),), Decimal("0.10"))
REST = Window(EVERY_DAY, ALL_DAY, Decimal("0.20"))
TIERS = (Tier(Decimal("0.30"), Decimal(100)), Tier(Decimal("0.25"), Decimal(500)), Tier(Decimal("0.20")))
ENERGY = Energy(Calendar(UTC, (NIGHT, REST)), ("night", "rest"), ((Tier(Decimal("0.10")),), TIERS))
NOON_NS, MIDNIGHT_NS = 12 * 3_600 * 10**9, 0


@pytest.mark.parametrize(
    ("tier", "noon"),
    [
        pytest.param(None, "0.20", id="by-default-the-last"),
        pytest.param(0, "0.30", id="first"),
        pytest.param(1, "0.25", id="second"),
        pytest.param(9, "0.20", id="beyond"),
    ],
)
def test_a_tiered_tariff_runs_at_one_tier(tier: int | None, noon: str) -> None:
    """The tier of that number; an entry that has fewer is at its last."""
    schedule = Tariff("id", "name", "EUR", UTC.zone, UTC, ENERGY).schedule(tier)
    assert schedule.at(NOON_NS) == Decimal(noon)
    assert schedule.at(MIDNIGHT_NS) == Decimal("0.10")


def test_a_series_has_no_tiers() -> None:
    """A tariff of dated prices is its series, whatever tier is named."""
    series = Series((0,), (OPEN_END,), (Decimal(1),))
    tariff = Tariff("id", "name", "EUR", UTC.zone, UTC, series)
    assert tariff.schedule() is tariff.schedule(1) is series


def test_an_energy_is_tiered_when_one_entry_is() -> None:
    """One entry of several tiers is enough."""
    assert ENERGY.is_tiered
    assert not Energy(ENERGY.calendar, ENERGY.names, ((Tier(Decimal(1)),),) * 2).is_tiered
