"""`costmeter estimate` as a command: flags to a request, and a plan to text and JSON."""

import argparse
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costmeter.cli import estimate
from costmeter.cli.main import main
from costmeter.errors import UsageError


@pytest.fixture(autouse=True)
def _nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without configuration."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


def flags(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    estimate.add_arguments(parser)
    return parser.parse_args(arguments)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert 0 == main(["estimate", *arguments])
    captured = capsys.readouterr()
    assert "" == captured.err
    return captured.out


FLAGS = ["--hours", "--flops", "--mfu", "--tflops", "--price", "--carbon", "--pue", "--watts", "--purchase", "--buffer"]
EXTREMES = ["1e30", "1e-99", "9" * 24, "999999999999", "0", "1", "0.000000000001", "100%", "1e-18T"]

NODE = ["--gpu", "h100", "--count", "8", "--hours", "12", "--price", "2.49", "--purchase", "30000"]
SITE = ["--host-watts", "900", "--pue", "1.2", "--carbon", "380", "--electricity", "0.12"]


def test_the_page_is_printed_with_every_assumption(capsys: pytest.CaptureFixture[str]) -> None:
    """Runs, reserve, rent or buy, and one line for each figure that stands behind them."""
    lines = printed(capsys, *NODE, *SITE, "--runs", "20", "--buffer", "15%").splitlines()
    assert [
        "one run          $239.04   81.5 kWh   31 kg CO2e  12.0 h on 8 GPUs",
        "20 runs        $4,780.80  1,630 kWh  619 kg CO2e",
        "+ 15 % buffer  $5,497.92  1,875 kWh  712 kg CO2e",
        "Making the GPUs: 0.45 kg CO2e more for one run, spread over their life.",
        "Buy instead? 8 × $30,000 is even after 12,562 busy hours: 17 months nonstop, 2.0",
        "             years at 70 % use.",
        "Assumed:",
    ] == lines[:7]
    names = [line.split("  ")[1] for line in lines[7:] if line[2] != " "]
    assert ["GPU", "GPU price", "rent", "electricity, if owned", "GPU power", "load", "host power", "PUE"] == names[:8]
    assert max(map(len, lines)) <= 80


def test_the_json_has_what_scripts_rely_on(capsys: pytest.CaptureFixture[str]) -> None:
    """The top level is one run; money is text, and what is unknown is null."""
    found = json.loads(printed(capsys, *NODE, *SITE, "--runs", "2", "--buffer", "50%", "--json"))
    assert ("239.04", "USD", 96.0, 12.0, None) == tuple(
        found[key] for key in ("cost", "currency", "gpu_hours", "hours", "flops")
    )
    assert (81.504, 30971.52) == (found["energy_kwh"], found["emissions_grams"])
    assert ("478.08", "717.12") == (found["all_runs"]["cost"], found["with_buffer"]["cost"])
    assert {"name", "value", "origin"} == set(found["assumptions"][0])
    assert 12_562 == round(found["break_even"]["busy_hours"])


def test_gpu_hours_alone_have_no_days(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody says how many GPUs, the hours of the wall clock are null, and the text says GPU-hours."""
    arguments = ["--gpu", "a100", "--gpu-hours", "1000", "--tflops", "100"]
    found = json.loads(printed(capsys, *arguments, "--json"))
    assert (None, 3.6e20) == (found["hours"], found["flops"])
    assert "1,000 GPU-h" in printed(capsys, *arguments).splitlines()[0]


def test_a_count_may_stand_before_the_name() -> None:
    """8xH100 is eight of them; another --count contradicts it."""
    assert 8 == estimate.parse_request(flags("--gpu", "8xH100", "--hours", "1")).count
    with pytest.raises(UsageError, match="two counts"):
        estimate.parse_request(flags("--gpu", "8xH100", "--count", "4", "--hours", "1"))


def test_every_flag_that_is_no_number_is_told() -> None:
    """All at once, each with an example."""
    with pytest.raises(UsageError) as refusal:
        estimate.parse_request(flags("--hours", "1,5", "--mfu", "half", "--runs", "1.5", "--params", "7 billion"))
    assert ["--hours", "--params", "--mfu", "--runs"] == [
        line.split(" ")[0] for line in refusal.value.message.splitlines()
    ]


def test_bought_gpus_are_not_rented() -> None:
    """--owned with --price contradicts itself; --purchase is with the server's share, whatever the settings add."""
    with pytest.raises(UsageError, match="--owned and --price"):
        estimate.setting_flags(flags("--owned", "--price", "2"))
    for text in ("30000", "30k", "3e4"):
        found = estimate.setting_flags(flags("--owned", "--purchase", text))
        bought = {"gpu.owned.purchase": "30000", "gpu.owned.server_share": "0"}
        assert {"gpu.billing": "owned", **bought} == found
        assert bought == estimate.setting_flags(flags("--purchase", text))


@pytest.mark.parametrize(
    ("arguments", "setting", "text"),
    [
        pytest.param(["--carbon", "380"], "carbon.intensity", "380", id="grams"),
        pytest.param(["--carbon", "DE"], "carbon.intensity", '{zone: "DE"}', id="zone"),
        pytest.param(["--carbon", "gb.csv"], "carbon.intensity", "gb.csv", id="carbon-series"),
        pytest.param(["--electricity", "0.12"], "electricity.price", "0.12", id="price"),
        pytest.param(["--electricity", "b20.yaml"], "electricity.price", '{tariff: ["b20.yaml"]}', id="tariff"),
        pytest.param(["--electricity", "a.csv"], "electricity.price", "a.csv", id="price-series"),
        pytest.param(["--currency", "EUR"], "currency", "EUR", id="currency"),
    ],
)
def test_site_flags_are_settings(arguments: list[str], setting: str, text: str) -> None:
    """Zones, tariffs and series go through the one grammar of settings."""
    assert {setting: text} == estimate.setting_flags(flags(*arguments))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([], "how much work?", id="nothing"),
        pytest.param(["--gpu", "l4", "--hours", "1", "--owned"], "--owned: what does one GPU cost to buy?", id="owned"),
        pytest.param(["--gpu", "l4", "--hours", "1", "--carbon", "Atlantis"], "--carbon: ", id="zone"),
        pytest.param(
            ["--gpu", "l4", "--hours", "1", "--pue", "0.5"], ": --pue: electricity.pue: a PUE is at", id="pue"
        ),
        pytest.param(["--gpu", "l4", "--hours", "1", "--currency", "eur"], ": --currency: currency: ", id="currency"),
        pytest.param(["--gpu", "l4", "--hours", "1", "--carbon", "10001"], "--carbon: grams of CO2e per", id="carbon"),
        pytest.param(["--gpu", "l4", "--hours", "1", "--utilization", "1"], "--utilization", id="one-flag-for-a-load"),
        pytest.param(["--gpu", "l4", "--hours", "1", "--electricity", ""], '--electricity "": there is', id="empty"),
        pytest.param(["--gpu", "l4", "--hours", "1", "--price", "$2"], "without a currency", id="price"),
        pytest.param(["--gpu", "l4", "--hours", "1", "--hour", "1"], 'Did you mean "--hours"?', id="slip"),
        pytest.param(["--gpu", "l4", "--flops", "3e20", "--mfu", "40"], "did you mean 40%?", id="mfu"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, nothing on stdout, and what to type on stderr."""
    assert 2 == main(["estimate", *arguments])
    captured = capsys.readouterr()
    assert "" == captured.out
    assert said in captured.err


def test_a_file_that_a_flag_names_says_what_is_wrong_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The flag, and then the file with its line: nobody has to guess why a file cannot be used."""
    (tmp_path / "p.csv").write_text("start_utc,value,unit\n2026-10-25T00:00Z,cheap,USD/kWh\n")
    for file, why in (("p.csv", "p.csv:2:"), ("none.yaml", "none.yaml: ")):
        assert 2 == main(["estimate", "--gpu", "l4", "--hours", "1", "--electricity", file])
        first, second, *_ = capsys.readouterr().err.splitlines()
        assert first.startswith(f'costmeter estimate: --electricity: electricity.price: "{file}" cannot be used')
        assert second.startswith(why)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(FLAGS), st.text(max_size=12) | st.sampled_from(EXTREMES)), max_size=4),
    st.sampled_from([[], ["--hours=1"], ["--flops=1e30"], ["--gpu-hours=1e30", "--runs=999999999"]]),
    st.sampled_from([[], ["--json"]]),
)
def test_no_text_makes_it_fail(pairs: list[tuple[str, str]], amount: list[str], form: list[str]) -> None:
    """Whatever stands after a flag, however large, the answer is an estimate or a refusal."""
    arguments = [f"{flag}={text}" for flag, text in pairs if not (amount and flag in ("--hours", "--flops"))]
    assert main(["estimate", "--gpu", "l4", *amount, *arguments, *form]) in (0, 2)
