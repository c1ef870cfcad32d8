"""What people say of a site on the command line, as the settings take it: the same text for every command."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.config.layers import load_settings
from costmeter.config.shorthand import carbon, electricity
from costmeter.errors import UsageError


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        pytest.param("380", "380", id="grams"),
        pytest.param(" 0.5 ", "0.5", id="blanks"),
        pytest.param("10000", "10000", id="the-most"),
        pytest.param("gb.csv", "gb.csv", id="series"),
        pytest.param("2026.csv", "2026.csv", id="series-that-begins-with-a-digit"),
        pytest.param("DE", '{zone: "DE"}', id="zone"),
        pytest.param("gcp/us-east1", '{zone: "gcp/us-east1"}', id="cloud-region"),
        pytest.param("{zone: DE, scope: direct}", "{zone: DE, scope: direct}", id="flow"),
    ],
)
def test_carbon_is_a_number_a_series_or_a_zone(text: str, setting: str) -> None:
    """Each of them is what `carbon.intensity` takes."""
    assert setting == carbon(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("10001", "at most 10000, not 10001", id="too-much"),
        pytest.param("-1", "at least 0, not -1", id="negative"),
        pytest.param("380k", "such as 380, not", id="thousands"),
        pytest.param("1T", "such as 380, not", id="trillions"),
        pytest.param("380 g", "such as 380, not", id="unit"),
        pytest.param("Atlantis", 'no zone "Atlantis"', id="no-zone"),
        pytest.param("", 'no zone ""', id="nothing"),
    ],
)
def test_carbon_that_is_none_is_refused(text: str, said: str) -> None:
    """A number keeps to the bounds of the setting, whichever command it was given to."""
    with pytest.raises(UsageError, match=said):
        carbon(text)


@pytest.mark.parametrize(
    ("texts", "plan", "setting"),
    [
        pytest.param(["0.12"], None, "0.12", id="price"),
        pytest.param(["-0.01"], None, "-0.01", id="negative-price"),
        pytest.param(["a.csv"], None, "a.csv", id="series"),
        pytest.param(["b20.yaml"], None, '{tariff: ["b20.yaml"]}', id="tariff"),
        pytest.param(["a b.YML"], "x", '{tariff: ["a b.YML"], plan: "x"}', id="plan"),
        pytest.param(["a.yaml", "b.yaml"], None, '{tariff: ["a.yaml", "b.yaml"]}', id="sheets"),
    ],
)
def test_electricity_is_a_price_a_series_or_tariffs(texts: list[str], plan: str | None, setting: str) -> None:
    """Each of them is what `electricity.price` takes; quotes keep every file name whole."""
    assert setting == electricity(texts, plan)


@pytest.mark.parametrize(
    ("texts", "plan", "said"),
    [
        pytest.param(["12k"], None, "such as 0.12, not", id="thousands"),
        pytest.param(["a.csv"], "x", "a plan is chosen from a tariff", id="plan-of-a-series"),
        pytest.param(["a.csv", "b.yaml"], None, "may be several", id="mixed"),
        pytest.param(["0.1", "0.2"], None, "may be several", id="two-prices"),
    ],
)
def test_electricity_that_is_none_is_refused(texts: list[str], plan: str | None, said: str) -> None:
    """What does not go together is said before a file is read."""
    with pytest.raises(UsageError, match=said):
        electricity(texts, plan)


@given(st.text(max_size=20), st.text(max_size=12))
def test_no_text_leaves_the_grammar(text: str, plan: str) -> None:
    """Whatever a file is called, it is that one file: settings are loaded or refused, and nothing else is set."""
    flags = {"electricity.price": electricity([f"{text}.yaml"], plan)}
    with pytest.raises(UsageError) as refusal:
        load_settings(None, flags, {"HOME": "/nowhere", "XDG_CONFIG_DIRS": "/nowhere"}, "/nowhere", strict=False)
    assert all("unknown key" not in line for line in refusal.value.message.splitlines())


def test_a_file_that_a_flag_names_is_told_with_its_own_faults(tmp_path: Path) -> None:
    """The flag by the name it was typed with, and below it the line of the file that is wrong."""
    (tmp_path / "p.csv").write_text("start_utc,value,unit\n2026-10-25T00:00Z,cheap,USD/kWh\n")
    with pytest.raises(UsageError) as refusal:
        load_settings(
            None,
            {"electricity.price": "p.csv"},
            {"HOME": "/nowhere", "XDG_CONFIG_DIRS": "/nowhere"},
            str(tmp_path),
            strict=False,
            own_flags={"electricity.price": "--tariff"},
        )
    first, second = refusal.value.message.splitlines()
    assert first.startswith('--tariff: electricity.price: "p.csv" cannot be used')
    assert second.startswith("p.csv:2:")
