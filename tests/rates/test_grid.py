"""Grid factors: found by every name a zone has, with year, scope, method and source, and never mixed."""

from decimal import Decimal

import pytest

from costmeter.rates.grid import SOURCES, Factor, factors, market, zone
from costmeter.rates.prices import DATA, WORLD_GRAMS_PER_KWH


@pytest.mark.parametrize(
    ("name", "code", "grams", "year", "scope"),
    [
        pytest.param("DE", "DEU", "342.06", 2024, "lifecycle", id="two-letters"),
        pytest.param("deu", "DEU", "342.06", 2024, "lifecycle", id="three-letters-any-case"),
        pytest.param("Germany", "DEU", "342.06", 2024, "lifecycle", id="name"),
        pytest.param("UK", "GBR", "215.79", 2024, "lifecycle", id="as-people-say"),
        pytest.param("US", "USA", "383.55", 2024, "lifecycle", id="the-country-before-egrid"),
        pytest.param("US-CA", "US-CA", "179.1", 2023, "direct", id="state"),
        pytest.param("CA-ON", "CA-ON", "59", 2026, "direct", id="the-newest-of-a-province"),
        pytest.param("eGRID-CAMX", "eGRID-CAMX", "226.5", 2022, "direct", id="subregion"),
        pytest.param("CAMX", "eGRID-CAMX", "226.5", 2022, "direct", id="subregion-without-prefix"),
        pytest.param("gcp:us-east1", "gcp:us-east1", "575.77", 2024, "lifecycle", id="cloud-region"),
        pytest.param("gcp/us-east1", "gcp:us-east1", "575.77", 2024, "lifecycle", id="cloud-region-as-a-path"),
        pytest.param("aws/us-east-1", "aws:us-east-1", "244.8", 2023, "direct", id="derived-cloud-region"),
        pytest.param("US-CAL-CISO", "gcp:us-west2", "169.28", 2024, "lifecycle", id="electricity-maps"),
        pytest.param("US-CAL", "gcp:us-west2", "169.28", 2024, "lifecycle", id="its-short-form"),
        pytest.param("US-MIDA-PJM", "gcp:us-east4", "323.05", 2024, "lifecycle", id="a-zone-of-two-regions"),
        pytest.param("FI", "FIN", "72.25", 2024, "lifecycle", id="a-country-before-a-zone"),
        pytest.param("World", "World", str(WORLD_GRAMS_PER_KWH), 2024, "lifecycle", id="the-default"),
    ],
)
def test_a_zone_is_found_by_every_name_it_has(name: str, code: str, grams: str, year: int, scope: str) -> None:
    """The location average, newest year, lifecycle where both scopes exist; figures read off the table by eye."""
    factor = zone(name)
    assert (code, Decimal(grams), year, scope) == (factor.code, factor.grams_per_kwh, factor.year, factor.scope)
    assert not factor.is_market


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("XQ", 'no zone "XQ"', id="unknown"),
        pytest.param("", 'no zone "". Write one such as DE', id="empty"),
        pytest.param("Germny", 'no zone "Germny". Did you mean "DE"?', id="misspelt"),
        pytest.param("aws/us-east-9", 'no zone "aws/us-east-9". Did you mean "aws/us-east-', id="cloud-region"),
        pytest.param("Georgia", '"Georgia" is several zones; write GE or US-GA', id="two-of-a-name"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest(name: str, told: str) -> None:
    """A name that is none, or several, is no zone; what was meant is named."""
    with pytest.raises(LookupError) as refusal:
        zone(name)
    assert str(refusal.value.args[0]).startswith(told)


def test_a_scope_can_be_asked_for() -> None:
    """US 2024 lifecycle is 383.55, US 2023 direct 349.67: two figures that are never mixed."""
    assert Decimal("349.67") == zone("US", "direct").grams_per_kwh
    assert Decimal("383.55") == zone("US", "lifecycle").grams_per_kwh
    with pytest.raises(LookupError, match='"eGRID-CAMX" has no lifecycle location average; it has a direct one'):
        zone("eGRID-CAMX", "lifecycle")


@pytest.mark.parametrize(
    ("name", "grams"),
    [
        pytest.param("DE", "724.56", id="aib"),
        pytest.param("CAMX", "197.64", id="green-e"),
    ],
)
def test_the_market_based_factor_is_the_residual_mix(name: str, grams: str) -> None:
    """What remains when sold certificates are taken out; always marked as such."""
    factor = market(name)
    assert (Decimal(grams), True) == (factor.grams_per_kwh, factor.is_market)
    assert "market-based residual mix" in factor.described


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("AT", "every kWh there has its certificate", id="full-disclosure"),
        pytest.param("US-CA", 'the table has no market-based residual mix of "US-CA"', id="a-state"),
        pytest.param("XQ", 'no zone "XQ"', id="unknown"),
    ],
)
def test_a_zone_without_a_residual_mix_has_none(name: str, told: str) -> None:
    """None is not zero: Austria, where everything is disclosed, is refused with that reason."""
    with pytest.raises(LookupError) as refusal:
        market(name)
    assert told in str(refusal.value.args[0])


def test_a_factor_describes_itself() -> None:
    """Zone, year, scope, method and source; where imports are ignored, that too."""
    assert "DE 2024, lifecycle, location average (Ember via CO2.js)" == zone("DE").described
    told = "US-VA 2023, direct, location average (generation), imports ignored (US EPA eGRID2023)"
    assert told == zone("US-VA").described
    assert "imports ignored" in zone("aws/us-east-1").described


def test_every_zone_is_found_as_it_is_spelled() -> None:
    """What is printed can be typed: `DE`, `gcp/us-east1` lead back to the zone they are of."""
    for factor in factors():
        found = (market if factor.is_market else zone)(factor.spelling, factor.scope)
        assert found.code == factor.code
    assert ["DE", "gcp/us-east1"] == [zone(name).spelling for name in ("Germany", "gcp:us-east1")]


def _all() -> tuple[Factor, ...]:
    return factors()


def test_the_notice_counts_the_rows_under_another_licence() -> None:
    """NOTICE says how many rows are Ember's, whose licence asks for that, and names every source of the table."""
    notice = (DATA.parents[2] / "NOTICE").read_text(encoding="utf-8")
    ember = sum(factor.source == "C1" for factor in factors())
    assert f"source C1 ({ember} of {len(factors())})" in notice
    assert all(f"  {source} " in notice for source in SOURCES if source != "C1")


def test_every_row_is_sane_and_found_by_its_code() -> None:
    """608 factors between 0 and 1,700 g/kWh, each of a known source; each code leads to a row of its own code."""
    assert 608 == len(_all())
    for factor in _all():
        assert 0 <= factor.grams_per_kwh < 1_700
        assert 2021 < factor.year < 2027
        assert factor.source in SOURCES
        assert not factor.is_market or factor.source in ("C4", "C10")
    for factor in _all():
        found = market(factor.code) if factor.is_market else zone(factor.code)
        assert found.code == factor.code or factor.code == "US"


def test_the_table_carries_sources_and_licences() -> None:
    """C1 to C11 stand in the header with the attribution that their licences ask for; no row is of the ODbL table."""
    text = (DATA / "grid.csv").read_text(encoding="utf-8")
    assert all(f"# C{number} " in text for number in range(1, 12))
    assert "Contains data of Ember" in text
    assert "Open Government Licence v3.0" in text
    assert "Open Government Licence - Canada" in text
    assert {factor.source for factor in _all()} <= set(SOURCES)
