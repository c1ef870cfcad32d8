"""Openings: now, cheapest and cleanest under real price series, and why there is none."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.config.layers import load_settings
from costmeter.config.settings import Settings
from costmeter.errors import UsageError
from costmeter.planning.opening import Job, Opening, opening
from costmeter.units import NANOSECONDS_PER_SECOND, iso_minute

TARIFFS = str(Path(__file__).parents[2] / "examples" / "tariffs")
NOWHERE: Mapping[str, str] = {"XDG_CONFIG_DIRS": "/nowhere", "XDG_CONFIG_HOME": "/nowhere", "HOME": "/nowhere"}
AGILE = Job(hours="6", kw="6.8", tariffs=("uk_octopus_agile.yaml",), carbon="GB", folder=TARIFFS)
GERMAN = Job(hours="2", kw="10", tariffs=("de_day_ahead_dynamic.yaml",), carbon="DE", folder=TARIFFS)


def utc_ns(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * NANOSECONDS_PER_SECOND


def settings(zone: str = "UTC", text: str = "", folder: Path | None = None) -> Settings:
    if folder is not None:
        (folder / "costmeter.yaml").write_text(text)
    return load_settings(None, {"timezone": zone}, NOWHERE, str(folder or "/"), strict=True).settings


def cheapest(found: Opening) -> tuple[str, Decimal | None]:
    assert found.cheapest is not None
    return iso_minute(found.cheapest.start_ns), found.money(found.cheapest)


def test_the_cheapest_six_hours_of_an_agile_day() -> None:
    """26 March 2023, the day of 23 hours, from midnight: the 12 half hours from 02:30Z (03:30 in London) on.

    24.25 + 22.43 + 18.00 + 17.48 + 15.71 + 16.10 + 18.23 + 14.09 + 20.00 + 16.17 + 22.54 + 24.46 = 229.46 p; half an
    hour earlier 26.57 comes for 24.46 (231.57), half an hour later 24.51 for 24.25 (229.72). Half hours of 6.8 kW are
    3.4 kWh: 3.4 × 2.2946 = 7.80164 GBP. Now: 28.07 + 30.03 + 27.03 + 26.10 + 26.57 + 24.25 + 22.43 + 18.00 + 17.48 +
    15.71 + 16.10 + 18.23 = 270.00 p, 9.18 GBP.
    """
    found = opening(AGILE, settings("Europe/London"), utc_ns("2023-03-26T00:00"))
    assert ("2023-03-26T02:30Z", Decimal("7.80164")) == cheapest(found)
    assert found.now is not None
    assert ("GBP", Decimal("9.18")) == (found.currency, found.money(found.now))
    assert found.cleanest is None


def test_negative_prices_pay_for_the_run() -> None:
    """2 July 2023, one hour of 10 kW: 13:00Z and 13:30Z at -19.94 p each: 10 × -0.1994 = -1.994 GBP."""
    job = replace(AGILE, hours="1", kw="10")
    assert ("2023-07-02T13:00Z", Decimal("-1.994")) == cheapest(opening(job, settings(), utc_ns("2023-07-02T00:00")))


def test_the_night_of_25_hours_in_berlin() -> None:
    """26 to 27 October 2024, from 23:00 CEST to 05:00 CET: seven hours, though the clocks show six.

    EUR/MWh by hour from 21:00Z: 76.63, 92.22, 84.00, 82.23, 80.43, 79.41, 78.79. Two hours cost least at the end, from
    02:00Z (03:00 CET): 79.41 + 78.79 = 158.20; (0.15820 × 1.03 + 2 × 0.12) × 1.19 × 10 kW = 4.7950574 EUR.
    """
    found = opening(replace(GERMAN, before="05:00"), settings("Europe/Berlin"), utc_ns("2024-10-26T21:00"))
    assert ("2024-10-27T02:00Z", Decimal("4.7950574")) == cheapest(found)


def test_seven_hours_fit_into_that_night_and_not_into_the_one_before() -> None:
    """A deadline on the wall clock leaves 7 h in the night of 25 hours, and 6 h in an ordinary one."""
    job, berlin = replace(GERMAN, hours="7", before="05:00"), settings("Europe/Berlin")
    assert opening(job, berlin, utc_ns("2024-10-26T21:00")).now is not None
    with pytest.raises(UsageError, match="7 hours until then had to begin at 2024-10-25T20:00Z"):
        opening(job, berlin, utc_ns("2024-10-25T21:00"))


def test_a_clean_hour_is_not_the_cheap_one(tmp_path: Path) -> None:
    """Price and carbon are looked at apart: 17:00 is cheap, 18:00 is clean."""
    rows = ["start_utc,end_utc,value,unit"]
    for name, unit, values in (("price", "GBP/kWh", (0.3, 0.1, 0.2)), ("grams", "gCO2e/kWh", (300, 200, 100))):
        lines = [f"2026-11-22T{16 + at}:00Z,2026-11-22T{17 + at}:00Z,{v},{unit}" for at, v in enumerate(values)]
        (tmp_path / f"{name}.csv").write_text("\n".join([*rows, *lines]) + "\n")
    job = Job(hours="1", kw="2", tariffs=("price.csv",), carbon="grams.csv", folder=str(tmp_path))
    found = opening(job, settings(), utc_ns("2026-11-22T16:00"))
    assert ("2026-11-22T17:00Z", Decimal("0.2")) == cheapest(found)
    assert found.cleanest is not None
    assert "2026-11-22T18:00Z" == iso_minute(found.cleanest.start_ns)
    assert Decimal(200) == found.amount(found.cleanest, "carbon")
    assert any("the series ends 2026-11-22T19:00Z" in note for note in found.notes)


def test_a_start_now_that_is_not_priced_is_said() -> None:
    """Between two days of the series the next day is offered, and now is not."""
    found = opening(AGILE, settings(), utc_ns("2023-07-01T12:00"))
    assert found.now is None
    assert found.cheapest is not None
    assert any(
        note.startswith("a start now cannot be priced: electricity: the series has a hole") for note in found.notes
    )


def test_a_gpu_price_that_changes_is_part_of_the_money(tmp_path: Path) -> None:
    """Rent of 3.00 by day and 1.00 from 22:00 on, 8 GPUs for 2 h: the cheapest start is 22:00, at 16.00."""
    text = 'gpu: {price: {windows: [{hours: ["22:00-06:00"], price: 1}, {hours: other, price: 3}]}}\n'
    job = Job(hours="2", gpu="8xh100")
    found = opening(job, settings("UTC", text, tmp_path), utc_ns("2026-11-22T17:00"))
    assert ("2026-11-22T22:00Z", Decimal(16)) == cheapest(found)
    assert found.now is not None
    assert Decimal(48) == found.amount(found.now, "rent")
    assert Decimal("4.76") == found.kw


def test_pue_multiplies_the_power() -> None:
    """10 kW at PUE 1.2 are 12 kW."""
    now = utc_ns("2023-07-02T00:00")
    plain, cooled = (opening(replace(AGILE, kw="10", pue=pue), settings(), now) for pue in (None, "1.2"))
    assert (Decimal(10), Decimal(12)) == (plain.kw, cooled.kw)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"hours": "0"}, '--hours "0"', id="no-time"),
        pytest.param({"hours": "9999d"}, "at most 2400", id="too-long"),
        pytest.param({"kw": "-1"}, '--kw "-1"', id="negative-power"),
        pytest.param({"kw": None}, "how much power?", id="no-power"),
        pytest.param({"kw": None, "gpu": "h1000"}, 'no GPU model "h1000"', id="unknown-gpu"),
        pytest.param({"kw": None, "gpu": "h100", "gpus": "some"}, '--gpus "some"', id="no-count"),
        pytest.param({"kw": None, "gpu": "8xh100", "gpus": "4"}, "two counts", id="two-counts"),
        pytest.param({"pue": "0.9"}, "a PUE is at least 1", id="pue"),
        pytest.param({"before": "2023-03-25T00:00Z"}, "which is past; give a later time", id="past"),
        pytest.param({"before": "2023-03-26T05:00Z"}, "had to begin at 2023-03-25T23:00Z", id="too-late"),
        pytest.param({"before": "2024-03-26T05:00Z"}, "at most 100 days ahead", id="too-far"),
        pytest.param({"hours": "30"}, "no start can be priced: electricity: the series has a hole", id="no-data"),
        pytest.param({"tariffs": ()}, "nothing changes over time", id="nothing-changes"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_type(changed: dict[str, str], said: str) -> None:
    """Each refusal names the flag, and the time or the data that is missing."""
    with pytest.raises(UsageError) as refusal:
        opening(replace(AGILE, **changed), settings(), utc_ns("2023-03-26T00:00"))  # type: ignore[arg-type]  # one table
    assert said in f"{refusal.value.message} {refusal.value.hint}"
