"""Every form of a price and a factor, from the text of a configuration to the rates at instants, with real files.

The tariff files are those of `examples/tariffs`; their prices in the tables are read off the files by eye.
"""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from costmeter.config.settings import Settings
from costmeter.errors import ConfigError
from costmeter.meter.charge import Origin, Rates
from costmeter.readings import Device
from tests.config.fuzz import mutations
from tests.config.writing import H100, Site, read
from tests.depth import deeply

TARIFFS = Path(__file__).parents[2] / "examples" / "tariffs"
B20 = TARIFFS / "us_pge_b20_industrial.yaml"
ONTARIO = TARIFFS / "ca_ontario_rpp.yaml"
TIERED = TARIFFS / "us_tiered_energy_and_demand.yaml"
OWNED = "gpu: {billing: owned, owned: {purchase: 30000}}\n"
SPOT = """\
# source: a test
start_utc,end_utc,value,unit
2026-01-01T00:00Z,2026-01-01T00:30Z,16.00,USD/h
2026-01-01T00:30Z,2026-01-01T01:00Z,24.08,USD/h
"""
GRAMS = """\
# source: a test
# fetched: 2026-01-02
# scope: lifecycle
# method: flow-traced
start_utc,end_utc,value,unit
2026-01-01T00:00Z,2026-01-01T01:00Z,120,gCO2e/kWh
2026-01-01T01:00Z,2026-01-01T02:00Z,380.5,gCO2e/kWh
"""


def instant(text: str, zone: str = "UTC") -> int:
    """Nanoseconds since 1970 of a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


def rates(settings: Settings, at: str, zone: str = "UTC", device: Device = H100) -> Rates:
    return settings.book.at(instant(at, zone), [device], 8)


def rent(under: Rates) -> Decimal:
    return dict(next(iter(under.devices.values())).hourly)["rental"]


# Tariffs


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        pytest.param("2026-07-01T13:59", "0.11482", id="off-peak-until-14"),
        pytest.param("2026-07-01T14:00", "0.14227", id="part-peak-from-14"),
        pytest.param("2026-07-01T15:59", "0.14227", id="part-peak-until-16"),
        pytest.param("2026-07-01T16:00", "0.17702", id="peak-from-16"),
        pytest.param("2026-07-01T21:00", "0.14227", id="part-peak-from-21"),
        pytest.param("2026-09-30T23:59", "0.11482", id="summer-until-september"),
        pytest.param("2026-10-01T00:00", "0.11460", id="winter-from-october"),
        pytest.param("2027-04-04T09:00", "0.05872", id="super-off-peak-in-spring"),
        pytest.param("2027-03-14T03:00", "0.11460", id="after-the-skipped-hour"),
    ],
)
def test_a_tariff_file_prices_electricity_on_both_sides_of_its_edges(at: str, expected: str) -> None:
    """B-20 by the wall clock of Los Angeles: the price that its sheet has for each hour."""
    got, faults = read(f"{OWNED}electricity: {{price: {{tariff: {B20}}}}}")
    assert faults == []
    assert Decimal(expected) == rates(got, at, "America/Los_Angeles").electricity_per_kwh


def test_a_tariff_is_named_with_its_file_and_kept_for_bills(site: Site) -> None:
    """The origin names the sheet, the file as it is found from here, and the line; bills find the sheet itself."""
    (site.project / "tariffs").mkdir()
    (site.project / "tariffs" / "b20.yaml").write_text(B20.read_text())
    site.write(site.project, f"{OWNED}electricity:\n  price: tariffs/b20.yaml\n")
    loaded = site.load()
    assert loaded.faults == ()
    assert ["us-pge-b20-secondary-2026-03"] == [tariff.id for tariff in loaded.settings.tariffs]
    told = "tariff us-pge-b20-secondary-2026-03 (tariffs/b20.yaml), costmeter.yaml:3"
    assert Origin("configured", told) == rates(loaded.settings, "2026-07-01T12:00").origins["electricity.price"]
    assert "tariffs/b20.yaml" == loaded.effective["electricity.price"].value


def test_before_a_tariff_is_valid_its_price_is_an_estimate() -> None:
    """B-20 of March 2026 asked for February: its first price is used, and the origin says that it is not one."""
    got, _ = read(f"{OWNED}electricity: {{price: {{tariff: {B20}}}}}")
    early = rates(got, "2026-02-01T12:00", "America/Los_Angeles")
    assert "estimated" == early.origins["electricity.price"].word
    assert early.origins["electricity.price"].detail.startswith("valid from 2026-03-01T08:00Z only; tariff us-pge-b20")
    assert "configured" == rates(got, "2026-03-01T12:00").origins["electricity.price"].word


@pytest.mark.parametrize(
    ("tier", "expected", "told"),
    [
        pytest.param("", "0.06", "at its last tier", id="default"),
        pytest.param(", tier: last", "0.06", "at its last tier", id="last"),
        pytest.param(", tier: 1", "0.078891", "at tier 1", id="first"),
        pytest.param(", tier: 2", "0.06", "at tier 2", id="second"),
    ],
)
def test_a_tiered_tariff_runs_live_at_the_tier_that_is_named(tier: str, expected: str, told: str) -> None:
    """20,000 kWh at 0.078891, then 0.06: live at one of them, and the origin says at which."""
    got, faults = read(f"{OWNED}electricity: {{price: {{tariff: {TIERED}{tier}}}}}")
    assert faults == []
    under = rates(got, "2026-07-01T12:00")
    assert Decimal(expected) == under.electricity_per_kwh
    assert told in under.origins["electricity.price"].detail


def test_a_plan_of_several_is_chosen_by_its_id() -> None:
    """Ontario's overnight plan: 0.039 from 23:00 to 7:00, in its own currency."""
    written = f"currency: CAD\n{OWNED}electricity: {{price: {{tariff: {ONTARIO}, plan: ca-on-ulo-2025-11}}}}"
    got, faults = read(written)
    assert faults == []
    at = [rates(got, f"2026-01-15T{time}", "America/Toronto").electricity_per_kwh for time in ("22:59", "23:00")]
    assert [Decimal("0.157"), Decimal("0.039")] == at


def test_sheets_that_follow_one_another_are_one_price(tmp_path: Path) -> None:
    """A list of files is a succession: from the local midnight of each `valid_from` its own prices hold."""
    sheet = "id: a-{year}\ntimezone: Europe/Berlin\ncurrency: EUR\nvalid_from: {year}-01-01\nenergy: [{price}]\n"
    for year, price in ((2026, "0.20"), (2027, "0.25")):
        (tmp_path / f"{year}.yaml").write_text(sheet.format(year=year, price=f"{{price_per_kwh: {price}}}"))
    got, faults = read("currency: EUR\nelectricity: {price: {tariff: [2026.yaml, 2027.yaml]}}\n", str(tmp_path))
    assert faults == []
    at = [rates(got, f"2026-12-31T{time}").electricity_per_kwh for time in ("22:59", "23:00")]
    assert [Decimal("0.20"), Decimal("0.25")] == at
    assert 2 == len(got.tariffs)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param(
            f"currency: CAD\nelectricity: {{price: {{tariff: {ONTARIO}}}}}",
            f'2:31: electricity.price: "{ONTARIO}" has 3 plans (ca-on-tou-2025-11, ca-on-ulo-2025-11, '
            "ca-on-tiered-2025-11); say which, such as  plan: ca-on-tou-2025-11",
            id="which-plan",
        ),
        pytest.param(
            f"currency: CAD\nelectricity: {{price: {{plan: ca-on-tou, tariff: {ONTARIO}}}}}",
            f'2:48: electricity.price.plan: "{ONTARIO}" has no plan "ca-on-tou". Did you mean "ca-on-tou-2025-11"?',
            id="unknown-plan",
        ),
        pytest.param(
            f"currency: EUR\nelectricity: {{price: {{tariff: {B20}}}}}",
            "2:22: electricity.price: tariff us-pge-b20-secondary-2026-03 is in USD, not EUR; nothing is converted",
            id="currency",
        ),
        pytest.param(
            f"electricity: {{price: {{tariff: {TIERED}, tier: 3}}}}",
            "1:22: electricity.price.tier: the tariff has 2 tiers, so there is no tier 3; leave it out",
            id="no-such-tier",
        ),
        pytest.param(
            f"electricity: {{price: {{tariff: {B20}, tier: 2}}}}",
            "1:22: electricity.price.tier: the tariff has no tiers",
            id="no-tiers",
        ),
        pytest.param(
            f"electricity: {{price: {{tariff: [{B20}, {B20}]}}}}", "1:22: electricity.price: tariffs us-pge", id="twice"
        ),
    ],
)
def test_a_tariff_that_does_not_fit_is_left_out_with_the_way_to_mend_it(text: str, fault: str) -> None:
    """One fault, at the place that names the file; the electricity price is then the default, and bills have none."""
    got, faults = read(text)
    assert 1 == len(faults)
    assert faults[0].startswith(f"c.yaml:{fault}")
    assert got.book.electricity is None
    assert () == got.tariffs


# Series


def test_a_spot_series_prices_gpus_and_is_doubted_beyond_its_end(tmp_path: Path) -> None:
    """A machine's spot price over 8 GPUs: 16.00 and 24.08 are 2.00 and 3.01 each; beyond its end, an estimate."""
    (tmp_path / "spot.csv").write_text(SPOT)
    got, faults = read("gpu: {price: {series: spot.csv, gpus: 8}}", str(tmp_path))
    assert faults == []
    at = [rates(got, f"2026-01-01T{time}") for time in ("00:29", "00:30", "01:00")]
    assert [Decimal("2.00"), Decimal("3.01"), Decimal("3.01")] == [rent(under) for under in at]
    assert ["configured", "configured", "estimated"] == [under.origins["gpu.price"].word for under in at]
    assert at[0].origins["gpu.price"].detail == "series spot.csv (a test), c.yaml:1"
    assert at[2].origins["gpu.price"].detail.startswith("the series ends 2026-01-01T01:00Z; its last value is held; ")


def test_a_carbon_series_carries_its_scope_and_source(tmp_path: Path) -> None:
    """Grams by the hour, with what the file says of them; a market-based factor of the same scope stands beside."""
    (tmp_path / "carbon.csv").write_text(GRAMS)
    got, faults = read("carbon: {intensity: carbon.csv, market: {zone: DE}}", str(tmp_path))
    assert faults == []
    at = [rates(got, f"2026-01-01T{time}") for time in ("00:59", "01:00")]
    assert [Decimal(120), Decimal("380.5")] == [under.carbon_grams_per_kwh for under in at]
    assert [Decimal("724.56")] * 2 == [under.market_grams_per_kwh for under in at]
    told = "series carbon.csv (lifecycle, flow-traced, a test, fetched 2026-01-02), c.yaml:1"
    assert Origin("configured", told) == at[0].origins["carbon.intensity"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param(
            "electricity: {price: spot.csv}",
            '1:22: electricity.price: "spot.csv" is in USD/h, not in USD/kWh',
            id="hours-for-kwh",
        ),
        pytest.param(
            "currency: EUR\ngpu: {price: spot.csv}",
            '2:14: gpu.price: "spot.csv" is in USD/h, not in EUR/h; nothing is converted',
            id="another-currency",
        ),
        pytest.param(
            "carbon: {intensity: {series: spot.csv}}",
            '1:21: carbon.intensity: "spot.csv" is in USD/h, not in gCO2e/kWh',
            id="money-for-grams",
        ),
        pytest.param(
            "carbon: {intensity: {zone: eGRID-CAMX}, market: carbon.csv}",
            "1:49: carbon.market: counts lifecycle emissions, carbon.intensity direct ones",
            id="scopes",
        ),
    ],
)
def test_a_series_of_another_unit_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    """What is measured in something else is no price of this: one fault at the setting's place."""
    (tmp_path / "spot.csv").write_text(SPOT)
    (tmp_path / "carbon.csv").write_text(GRAMS)
    _, faults = read(text, str(tmp_path))
    assert 1 == len(faults)
    assert faults[0].startswith(f"c.yaml:{fault}")


# Catalogue and zones


def test_a_catalogue_price_is_the_machines_over_its_gpus() -> None:
    """p5.48xlarge in us-east-1 lists 55.04 an hour for 8 GPUs: 6.88 each, with date, row, source and line."""
    got, faults = read("gpu: {price: {catalog: aws/p5.48xlarge/us-east-1}}")
    assert faults == []
    under = rates(got, "2026-07-01T12:00")
    assert Decimal("6.88") == rent(under)
    told = "aws/p5.48xlarge/us-east-1 on_demand (GitHub aws/karpenter-provider-aws), c.yaml:1"
    assert Origin("list price 2026-07", told) == under.origins["gpu.price"]


def test_a_doubtful_catalogue_price_says_why() -> None:
    """A spot price of the catalogue comes with its traps: it is of one day, and it changes by the hour."""
    got, faults = read("gpu: {price: {catalog: gcp/a3-highgpu-8g/us-central1/spot}}")
    assert faults == []
    origin = rates(got, "2026-07-01T12:00").origins["gpu.price"]
    assert "list price 2026-05" == origin.word
    assert "local SSD not included; spot price of 2026-05-20: it changes by the hour, c.yaml:1" in origin.detail


def test_a_zone_names_year_scope_method_and_source() -> None:
    """A zone of Electricity Maps: 169.28 g/kWh in 2024, lifecycle, as Google publishes it."""
    got, faults = read("carbon: {intensity: {zone: US-CAL}}")
    assert faults == []
    under = rates(got, "2026-07-01T12:00")
    assert Decimal("169.28") == under.carbon_grams_per_kwh
    assert under.market_grams_per_kwh is None
    told = "gcp/us-west2 2024, lifecycle, location average, hourly weighted (Google Cloud region carbon data 2024)"
    assert Origin("configured", f"{told}, c.yaml:1") == under.origins["carbon.intensity"]


def test_a_factor_of_unsaid_scope_is_told_beside_a_market_factor() -> None:
    """A plain number does not say what it counts: the market-based factor stands beside it and its origin says so."""
    got, faults = read("carbon: {intensity: 380, market: {zone: eGRID-CAMX}}")
    assert faults == []
    told = got.book.at(0, [H100]).origins["carbon.market"].detail
    assert told.endswith("carbon.intensity does not say whether it counts lifecycle or direct emissions")


def test_a_market_factor_stands_beside_the_grids() -> None:
    """Both of one scope: eGRID's average and Green-e's residual mix of its subregion, or plain numbers."""
    got, faults = read("carbon: {intensity: {zone: eGRID-CAMX}, market: {zone: eGRID-CAMX}}")
    assert faults == []
    under = rates(got, "2026-07-01T12:00")
    assert (Decimal("226.5"), Decimal("197.64")) == (under.carbon_grams_per_kwh, under.market_grams_per_kwh)
    assert "market-based residual mix" in under.origins["carbon.market"].detail
    got, faults = read("carbon: {intensity: {zone: US, scope: direct}, market: 0}")
    assert faults == []
    under = rates(got, "2026-07-01T12:00")
    assert (Decimal("349.67"), Decimal(0)) == (under.carbon_grams_per_kwh, under.market_grams_per_kwh)


def test_the_share_of_the_server_is_bought_too() -> None:
    """(14,000 + 3,520) / (4 × 8,760 h) = 0.50 an hour."""
    got, faults = read("gpu: {billing: owned, owned: {purchase: 14000, server_share: 3520}}")
    assert faults == []
    assert (("capital", Decimal("0.5")),) == rates(got, "2026-07-01T12:00").devices["GPU-0"].hourly


def test_commitments_are_for_bills() -> None:
    """A term is kept with its dates and its place; each block may have one, and live prices stay as they are."""
    got, faults = read(
        "gpu:\n"
        "- match: {name: '*H100*'}\n  price: 3\n"
        "  commitment: {gpus: 8, price: 1.80, upfront: 5000, from: 2026-01-01, to: 2027-01-01}\n"
        "- {price: 2}\n"
    )
    assert faults == []
    [term] = got.commitments
    assert (8, Decimal("1.80"), Decimal(5000)) == (term.gpus, term.price_per_gpu_hour, term.upfront)
    assert ("2026-01-01", "2027-01-01") == (str(term.start), str(term.end))
    assert Origin("configured", "c.yaml:4") == term.origin
    assert Decimal(3) == rent(rates(got, "2026-07-01T12:00"))


# Where files are, and whose faults theirs are


def test_files_are_relative_to_the_file_that_names_them(site: Site) -> None:
    """A project's file above the working directory names files beside itself, a variable those of where one is."""
    inner = site.project / "inner"
    inner.mkdir()
    (site.project / "spot.csv").write_text(SPOT)
    (inner / "here.csv").write_text(SPOT.replace("16.00", "99"))
    site.write(site.project, "gpu: {price: spot.csv}")
    loaded = site.load(cwd=inner)
    assert loaded.faults == ()
    under = rates(loaded.settings, "2026-01-01T00:00")
    assert (Decimal("16.00"), "series ../spot.csv (a test), ../costmeter.yaml:1") == (
        rent(under),
        under.origins["gpu.price"].detail,
    )
    loaded = site.load(cwd=inner, environ={"COSTMETER_GPU_PRICE": "here.csv"})
    assert loaded.faults == ()
    assert Decimal(99) == rent(rates(loaded.settings, "2026-01-01T00:00"))


def test_a_file_that_no_layer_asks_for_is_not_read(site: Site) -> None:
    """A price that a later layer replaces needs no file: its absence is nobody's fault."""
    site.write(site.project, "gpu: {price: nowhere.csv}")
    assert site.load(flags={"gpu.price": "2.49"}).faults == ()


def test_faults_in_a_found_files_tariff_warn_and_leave_the_default(site: Site) -> None:
    """The file's own fault with its own line, and one where it is named; everything else holds."""
    (site.project / "t.yaml").write_text("id: x\ntimezone: UTC\ncurrency: USD\nenergy:\n- {price_per_kwh: cheap}\n")
    site.write(site.project, f"{OWNED}electricity: {{price: {{tariff: t.yaml}}, pue: 1.3}}")
    loaded = site.load()
    assert loaded.faults[0] == ('costmeter.yaml:2:31: electricity.price: "t.yaml" cannot be used, so this is not set')
    assert any(fault.startswith("t.yaml:5:") for fault in loaded.faults)
    under = rates(loaded.settings, "2026-01-01T00:00")
    assert (Decimal("0.12"), Decimal("1.3")) == (under.electricity_per_kwh, under.pue)


def test_faults_in_the_files_of_an_explicit_file_refuse(site: Site) -> None:
    """`--config` answers for what it names: a missing tariff is as fatal as a misspelt key, with both places."""
    explicit = site.project / "mine.yaml"
    explicit.write_text("electricity: {price: {tariff: nowhere.yaml}}")
    with pytest.raises(ConfigError) as caught:
        site.load(explicit)
    assert caught.value.faults == (
        'mine.yaml:1:31: electricity.price: "nowhere.yaml" cannot be used, so this is not set',
        "nowhere.yaml: cannot be read: No such file or directory",
    )


WHOLE = f"""\
timezone: America/Los_Angeles
gpu:
  - match: {{name: "*H100*"}}
    price: {{catalog: gcp/a3-highgpu-8g/us-central1/spot}}
    commitment: {{gpus: 8, price: 1.80, upfront: 5000, from: 2026-01-01, to: 2027-01-01}}
  - match: {{index: 1-3}}
    price: {{series: spot.csv, gpus: 8}}
  - billing: owned
    owned: {{purchase: 14000, server_share: 6000, residual: 1000}}
electricity:
  price: {{tariff: [{TIERED}], plan: us-urdb-tiered-example, tier: 2}}
  pue: 1.2
carbon:
  intensity: {{zone: DE, scope: lifecycle}}
  market: {{zone: DE}}
"""


def test_no_mutation_of_a_whole_configuration_falls_over(tmp_path: Path) -> None:
    """Damaged in 150 ways it gives settings that price a GPU, and faults that each name a place on one line."""
    (tmp_path / "spot.csv").write_text(SPOT)
    assert read(WHOLE, str(tmp_path))[1] == []
    for text in mutations(WHOLE, deeply(150), 4):
        got, faults = read(text, str(tmp_path))
        assert all(": " in fault and fault.isprintable() for fault in faults)
        assert got.book.at(instant("2026-07-01T12:00"), [H100]).pue >= 1
