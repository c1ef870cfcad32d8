"""What `when` is told of time: days, hours and ISO times, each with its refusal; and whose money a file is in."""

import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from costmeter.errors import UsageError
from costmeter.planning.inputs import currency_of, instant, is_ambiguous, local
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


SERIES = "start_utc,end_utc,value,unit\n2026-11-22T17:00Z,2026-11-22T17:30Z,20,{unit}\n"


@pytest.mark.parametrize(
    ("file", "currency"),
    [
        pytest.param("uk_octopus_economy7.yaml", "GBP", id="tariff"),
        pytest.param("ca_ontario_rpp.yaml", "CAD", id="tariff-of-several-plans"),
        pytest.param("pence.csv", "GBP", id="series-in-pence"),
        pytest.param("grams.csv", None, id="no-price"),
        pytest.param("none.csv", None, id="no-file"),
        pytest.param("none.yaml", None, id="no-tariff"),
        pytest.param("0.12", None, id="a-number"),
    ],
)
def test_a_price_file_has_a_currency(file: str, currency: str | None, tmp_path: Path) -> None:
    """It is told of tariffs and of prices; of everything else there is none, and no error: others tell that."""
    (tmp_path / "pence.csv").write_text(SERIES.format(unit="GBp/kWh"))
    (tmp_path / "grams.csv").write_text(SERIES.format(unit="gCO2e/kWh"))
    folder = TARIFFS if file.endswith(".yaml") else str(tmp_path)
    assert currency == currency_of([file], folder)
