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
JOB = Job(hours="6", kw="6.8")
#: The settings of two sites.
AGILE = {
    "currency": "GBP",
    "electricity.price": f"{{tariff: {TARIFFS}/uk_octopus_agile.yaml}}",
    "carbon.intensity": "{zone: GB}",
}
GERMAN = {
    "currency": "EUR",
    "electricity.price": f"{{tariff: {TARIFFS}/de_day_ahead_dynamic.yaml}}",
    "carbon.intensity": "{zone: DE}",
}
OWNED = {"gpu.billing": "owned", "gpu.owned.purchase": "20000", "electricity.pue": "1.5", "host.power": "1000"}


def utc_ns(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * NANOSECONDS_PER_SECOND


def settings(flags: Mapping[str, str], zone: str = "UTC", text: str = "", folder: Path | None = None) -> Settings:
    """The settings of these flags, over a project file where there is a folder for one."""
    if folder is not None:
        (folder / "costmeter.yaml").write_text(text)
    return load_settings(None, {"timezone": zone, **flags}, NOWHERE, str(folder or "/"), strict=True).settings


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
    found = opening(JOB, settings(AGILE, "Europe/London"), utc_ns("2023-03-26T00:00"))
    assert ("2023-03-26T02:30Z", Decimal("7.80164")) == cheapest(found)
    assert found.now is not None
    assert ("GBP", Decimal("9.18")) == (found.currency, found.money(found.now))
    assert found.cleanest is None


def test_negative_prices_pay_for_the_run() -> None:
    """2 July 2023, one hour of 10 kW: 13:00Z and 13:30Z at -19.94 p each: 10 × -0.1994 = -1.994 GBP."""
    found = opening(Job(hours="1", kw="10"), settings(AGILE), utc_ns("2023-07-02T00:00"))
    assert ("2023-07-02T13:00Z", Decimal("-1.994")) == cheapest(found)


def test_the_night_of_25_hours_in_berlin() -> None:
    """26 to 27 October 2024, from 23:00 CEST to 05:00 CET: seven hours, though the clocks show six.

    EUR/MWh by hour from 21:00Z: 76.63, 92.22, 84.00, 82.23, 80.43, 79.41, 78.79. Two hours cost least at the end, from
    02:00Z (03:00 CET): 79.41 + 78.79 = 158.20; (0.15820 × 1.03 + 2 × 0.12) × 1.19 × 10 kW = 4.7950574 EUR.
    """
    found = opening(Job("2", "10", before="05:00"), settings(GERMAN, "Europe/Berlin"), utc_ns("2024-10-26T21:00"))
    assert ("2024-10-27T02:00Z", Decimal("4.7950574")) == cheapest(found)


def test_seven_hours_fit_into_that_night_and_not_into_the_one_before() -> None:
    """A deadline on the wall clock leaves 7 h in the night of 25 hours, and 6 h in an ordinary one."""
    job, berlin = Job("7", "10", before="05:00"), settings(GERMAN, "Europe/Berlin")
    assert opening(job, berlin, utc_ns("2024-10-26T21:00")).now is not None
    with pytest.raises(UsageError, match="7 hours until then had to begin at 2024-10-25T20:00Z"):
        opening(job, berlin, utc_ns("2024-10-25T21:00"))


def test_a_clean_hour_is_not_the_cheap_one(tmp_path: Path) -> None:
    """Price and carbon are looked at apart: 17:00 is cheap, 18:00 is clean."""
    rows = ["start_utc,end_utc,value,unit"]
    for name, unit, values in (("price", "GBP/kWh", (0.3, 0.1, 0.2)), ("grams", "gCO2e/kWh", (300, 200, 100))):
        lines = [f"2026-11-22T{16 + at}:00Z,2026-11-22T{17 + at}:00Z,{v},{unit}" for at, v in enumerate(values)]
        (tmp_path / f"{name}.csv").write_text("\n".join([*rows, *lines]) + "\n")
    flags = {"currency": "GBP", "electricity.price": "price.csv", "carbon.intensity": "grams.csv"}
    found = opening(Job(hours="1", kw="2"), settings(flags, folder=tmp_path), utc_ns("2026-11-22T16:00"))
    assert ("2026-11-22T17:00Z", Decimal("0.2")) == cheapest(found)
    assert found.cleanest is not None
    assert "2026-11-22T18:00Z" == iso_minute(found.cleanest.start_ns)
    assert Decimal(200) == found.amount(found.cleanest, "carbon")
    assert any("the series ends 2026-11-22T19:00Z" in note for note in found.notes)


def test_a_start_now_that_is_not_priced_is_said() -> None:
    """Between two days of the series the next day is offered, and now is not."""
    found = opening(JOB, settings(AGILE), utc_ns("2023-07-01T12:00"))
    assert found.now is None
    assert found.cheapest is not None
    assert any(
        note.startswith("a start now cannot be priced: electricity: the series has a hole") for note in found.notes
    )


def test_a_gpu_price_that_changes_is_part_of_the_money(tmp_path: Path) -> None:
    """Rent of 3.00 by day and 1.00 from 22:00 on, 8 GPUs for 2 h: the cheapest start is 22:00, at 16.00."""
    text = 'gpu: {price: {windows: [{hours: ["22:00-06:00"], price: 1}, {hours: other, price: 3}]}}\n'
    job = Job(hours="2", gpu="8xh100")
    found = opening(job, settings({}, "UTC", text, tmp_path), utc_ns("2026-11-22T17:00"))
    assert ("2026-11-22T22:00Z", Decimal(16)) == cheapest(found)
    assert found.now is not None
    assert Decimal(48) == found.amount(found.now, "rent")
    assert Decimal("4.76") == found.kw


def test_power_is_of_the_settings_and_of_the_flags_alike() -> None:
    """10 kW are 15 kW at the site's PUE of 1.5. 8 H100 are (8 × 700 W × 85 % + 1,000 W of host) × 1.5 = 8.64 kW.

    12 of them have one and a half hosts: (12 × 595 W + 1,500 W) × 1.5 = 12.96 kW.
    """
    site, now = settings({**AGILE, **OWNED}), utc_ns("2023-07-02T00:00")
    jobs = (Job("1", kw="10"), Job("1", gpu="8xh100"), Job("1", gpu="h100", count="12"))
    assert [Decimal(15), Decimal("8.64"), Decimal("12.96")] == [opening(job, site, now).kw for job in jobs]


def test_one_gpu_of_a_machine_of_eight_bears_an_eighth_of_the_host() -> None:
    """The price is shared by 8, and so are the 1,000 W of the host: (595 W + 125 W) × 1.5 = 1.08 kW."""
    flags = {**AGILE, **OWNED, "gpu": "{price: {per_instance_hour: 55.04, gpus: 8}}"}
    assert Decimal("1.08") == opening(Job("1", gpu="h100"), settings(flags), utc_ns("2023-07-02T00:00")).kw


def test_what_the_power_is_made_of_is_said() -> None:
    """Model, load, host and PUE each have a line with where it was set."""
    notes = opening(Job("1", gpu="8xh100"), settings({**AGILE, **OWNED}), utc_ns("2023-07-02T00:00")).notes
    assert (
        "power: 8.64 kW, cooling included",
        "GPU: 8 × 700 W of H100-80GB-SXM5 at 85 %, which is assumed",
        "host: 1000 W for each 8 GPUs (configured: host.power)",
        "PUE: 1.5 (configured: --pue)",
    ) == notes[:4]
    without = opening(Job("1", gpu="h100"), settings(AGILE), utc_ns("2023-07-02T00:00")).notes
    assert "host: power not counted; set host.power in watts" in without


def test_bought_gpus_pay_no_rent() -> None:
    """Nothing is said of a rent, flat or not, where the GPUs are owned."""
    owned, rented = (
        opening(Job("1", gpu="h100"), settings({**AGILE, **flags}), utc_ns("2023-07-02T00:00")) for flags in (OWNED, {})
    )
    assert (False, True) == (owned.pays_rent, rented.pays_rent)
    assert not any("rent" in note for note in owned.notes)
    assert "rent is flat: only worth it if you pay for power" in rented.notes


#: Rent of 1 by night and 2 by day, and electricity that pays from 12 to 18.
BOTH_CHANGE = """
gpu: {price: {windows: [{hours: ["00:00-06:00"], price: 1}, {hours: other, price: 2}]}}
electricity: {price: {windows: [{hours: ["12:00-18:00"], price_per_kwh: -1}, {hours: other, price_per_kwh: 0.50}]}}
"""


def test_rent_includes_electricity_and_is_never_added_to_it(tmp_path: Path) -> None:
    """8 GPUs for an hour: 16 by day and 8 by night, so that midnight is cheapest, though noon pays for power."""
    site = settings({}, "UTC", BOTH_CHANGE, tmp_path)
    found = opening(Job("1", kw="6.8", gpu="8xh100"), site, utc_ns("2026-12-01T08:00"))
    assert ("2026-12-02T00:00Z", Decimal(8)) == cheapest(found)
    assert found.now is not None
    assert (Decimal(16), None) == (found.money(found.now), found.amount(found.now, "electricity"))
    assert "electricity: in the rent, and not counted" in found.notes


def test_power_alone_has_no_rent_that_changes(tmp_path: Path) -> None:
    """Kilowatts do not say how many GPUs are rented: 6.8 of them are refused, and with a count they are not."""
    site, now = settings({}, "UTC", BOTH_CHANGE, tmp_path), utc_ns("2026-12-01T08:00")
    with pytest.raises(UsageError, match="of how many GPUs") as refusal:
        opening(Job("1", kw="6.8"), site, now)
    assert "--count 8" in refusal.value.hint
    assert ("2026-12-02T00:00Z", Decimal(8)) == cheapest(opening(Job("1", kw="6.8", count="8"), site, now))


def test_what_owned_gpus_pay_is_electricity(tmp_path: Path) -> None:
    """6.8 kWh at -1 are -6.80 at noon, the earliest start of that price."""
    site = settings({"gpu.billing": "owned", "gpu.owned.purchase": "20000"}, "UTC", BOTH_CHANGE, tmp_path)
    found = opening(Job("1", kw="6.8"), site, utc_ns("2026-12-01T08:00"))
    assert ("2026-12-01T12:00Z", Decimal("-6.8")) == cheapest(found)


def test_prices_that_are_for_others_are_said(tmp_path: Path) -> None:
    """Rents by index are for GPUs that are there, and rents by name for a GPU that was named."""
    windows = '{windows: [{hours: ["00:00-06:00"], price: 1}, {hours: other, price: 2}]}'
    text = f'gpu: [{{match: {{index: 0-3}}, price: 2}}, {{match: {{name: "*H100*"}}, price: {windows}}}]\n'
    site, now = settings(AGILE, "UTC", text, tmp_path), utc_ns("2023-07-02T00:00")
    by_index = "GPU prices by index or UUID are not used: they are for GPUs that are there"
    by_name = "GPU prices by name are not used: no GPU was named; set --gpu"
    for job, said in ((Job("1", kw="5"), {by_index, by_name}), (Job("1", gpu="h100"), {by_index})):
        assert said == {note for note in opening(job, site, now).notes if note.startswith("GPU prices")}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"hours": "0"}, '--hours "0"', id="no-time"),
        pytest.param({"hours": "9999d"}, "at most 2400", id="too-long"),
        pytest.param({"kw": "-1"}, '--kw "-1"', id="negative-power"),
        pytest.param({"kw": None}, "how much power?", id="no-power"),
        pytest.param({"kw": None, "gpu": "h1000"}, 'no GPU model "h1000"', id="unknown-gpu"),
        pytest.param({"kw": None, "gpu": "h100", "count": "some"}, '--count "some"', id="no-count"),
        pytest.param({"kw": None, "gpu": "8xh100", "count": "4"}, "two counts", id="two-counts"),
        pytest.param({"before": "2023-03-25T00:00Z"}, "which is past; give a later time", id="past"),
        pytest.param({"before": "2023-03-26T05:00Z"}, "had to begin at 2023-03-25T23:00Z", id="too-late"),
        pytest.param({"before": "2024-03-26T05:00Z"}, "at most 100 days ahead", id="too-far"),
        pytest.param({"hours": "30"}, "no start can be priced: electricity: the series has a hole", id="no-data"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_type(changed: dict[str, str], said: str) -> None:
    """Each refusal names the flag, and the time or the data that is missing."""
    with pytest.raises(UsageError) as refusal:
        opening(replace(JOB, **changed), settings(AGILE), utc_ns("2023-03-26T00:00"))
    assert said in f"{refusal.value.message} {refusal.value.hint}"


def test_there_is_no_best_time_where_nothing_changes() -> None:
    """Flat price and a zone's average: the refusal says what would change over time."""
    with pytest.raises(UsageError, match="nothing changes over time") as refusal:
        opening(JOB, settings({"electricity.price": "0.2"}), 0)
    assert "--tariff FILE" in refusal.value.hint
