"""What `when` is told: files, zones and times of day, each with its refusal."""

import os
import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from costmeter.errors import UsageError
from costmeter.planning.inputs import carbon, electricity, instant, is_ambiguous, local
from costmeter.units import NANOSECONDS_PER_SECOND, iso_minute

TARIFFS = str(Path(__file__).parents[2] / "examples" / "tariffs")
LONDON = ZoneInfo("Europe/London")


def utc_ns(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * NANOSECONDS_PER_SECOND


#: A Sunday, 17:05 in London.
SUNDAY = utc_ns("2026-11-22T17:05")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mon 09:00", "2026-11-23T09:00Z"),
        ("monday 9:00", "2026-11-23T09:00Z"),
        ("Sun 17:05", "2026-11-29T17:05Z"),
        ("Sun 17:06", "2026-11-22T17:06Z"),
        ("09:00", "2026-11-23T09:00Z"),
        ("23:59", "2026-11-22T23:59Z"),
        ("2026-11-23T09:00", "2026-11-23T09:00Z"),
        ("2026-11-23 09:00", "2026-11-23T09:00Z"),
        ("2026-11-23T09:00Z", "2026-11-23T09:00Z"),
        ("2026-11-23T09:00+05:30", "2026-11-23T03:30Z"),
        ("2026-07-01T09:00", "2026-07-01T08:00Z"),
    ],
)
def test_a_time_is_the_next_one_of_the_zone(text: str, expected: str) -> None:
    """Days and hours are the next to come, ISO times are themselves; without an offset both are local."""
    assert expected == iso_minute(instant(text, SUNDAY, LONDON, "--before"))


@pytest.mark.parametrize(
    "text",
    ["", "soon", "25:00", "Mon", "2026-13-01", "Foo 09:00", "09:00:00 tomorrow", "9", "0001-01-01", "9999-12-31"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """The refusal quotes it and gives examples."""
    with pytest.raises(UsageError, match="--before"):
        instant(text, SUNDAY, LONDON, "--before")


def test_only_the_night_of_autumn_has_a_time_twice() -> None:
    """01:30 on 25 October 2026 in London is 00:30Z and 01:30Z; an hour later and in spring nothing is doubtful."""
    assert is_ambiguous(utc_ns("2026-10-25T00:30"), LONDON)
    assert is_ambiguous(utc_ns("2026-10-25T01:30"), LONDON)
    assert not is_ambiguous(utc_ns("2026-10-25T02:30"), LONDON)
    assert not is_ambiguous(utc_ns("2026-03-29T01:30"), LONDON)


@pytest.fixture
def machine_in_berlin() -> Iterator[None]:
    """The machine's own zone, as TZ sets it."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("machine_in_berlin")
def test_without_a_zone_the_machines_holds() -> None:
    """None is the zone of the machine, with its own ambiguous night."""
    assert "18:05" == f"{local(SUNDAY, None):%H:%M}"
    assert "2026-11-23T08:00Z" == iso_minute(instant("Mon 09:00", SUNDAY, None, "--before"))
    assert is_ambiguous(utc_ns("2026-10-25T00:30"), None)


def test_a_tariff_file_is_a_schedule_with_a_currency() -> None:
    """Economy 7 in pounds: 13.2174 p at night, by a clock that stays on UTC in summer."""
    paid = electricity(["uk_octopus_economy7.yaml"], None, TARIFFS)
    assert ("GBP", "GBP/kWh") == (paid.currency, paid.unit)
    assert Decimal("0.132174") == paid.schedule.at(utc_ns("2026-07-01T00:30"))
    assert Decimal("0.315084") == paid.schedule.at(utc_ns("2026-07-01T07:30"))


def test_one_of_several_plans_must_be_named() -> None:
    """Ontario has several plans in one file: the refusal lists their ids, and one of them is taken by name."""
    with pytest.raises(UsageError, match="holds several plans; name one: --plan ") as refusal:
        electricity(["ca_ontario_rpp.yaml"], None, TARIFFS)
    plan = refusal.value.message.split("--plan ")[1].split()[0]
    assert "CAD" == electricity(["ca_ontario_rpp.yaml"], plan, TARIFFS).currency
    with pytest.raises(UsageError, match=f'--plan "none": the tariffs there are {plan}'):
        electricity(["ca_ontario_rpp.yaml"], "none", TARIFFS)


def test_sheets_of_two_currencies_are_no_tariff() -> None:
    """Two files that cannot follow one another are refused in words."""
    with pytest.raises(UsageError, match="--tariff: "):
        electricity(["uk_octopus_economy7.yaml", "us_pge_b20_industrial.yaml"], None, TARIFFS)


SERIES = "start_utc,end_utc,value,unit\n2026-11-22T17:00Z,2026-11-22T17:30Z,20,{unit}\n"


def test_a_series_must_be_of_its_kind(tmp_path: Path) -> None:
    """Money per kWh is a price, grams per kWh a factor, and neither is the other."""
    (tmp_path / "price.csv").write_text(SERIES.format(unit="GBp/kWh"))
    (tmp_path / "grams.csv").write_text(SERIES.format(unit="gCO2e/kWh"))
    folder = str(tmp_path)
    assert Decimal("0.2") == electricity(["price.csv"], None, folder).schedule.at(SUNDAY)
    assert Decimal(20) == carbon("grams.csv", folder).schedule.at(SUNDAY)
    with pytest.raises(UsageError, match="in money per kWh, not in gCO2e/kWh"):
        electricity(["grams.csv"], None, folder)
    with pytest.raises(UsageError, match="an emission factor is in gCO2e/kWh, not in GBP/kWh"):
        carbon("price.csv", folder)


@pytest.mark.parametrize("name", ["none.csv", "none.yaml"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    """A file that is not there is a refusal with its name."""
    with pytest.raises(UsageError, match=f"--tariff cannot be read:\n{name}"):
        electricity([name], None, str(tmp_path))


def test_carbon_may_be_a_number_or_a_zone() -> None:
    """380 is grams; DE is Germany's average; a slip is told with what is near."""
    assert Decimal(380) == carbon("380", ".").schedule.at(0)
    assert "lifecycle" in carbon("DE", ".").words
    with pytest.raises(UsageError, match="--carbon: "):
        carbon("Atlantis", ".")
