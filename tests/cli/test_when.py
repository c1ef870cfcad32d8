"""`costmeter when` as a command: windows as text with local times, and as JSON."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costmeter.cli.main import main

TARIFFS = Path(__file__).parents[2] / "examples" / "tariffs"
AGILE = ["--tariff", str(TARIFFS / "uk_octopus_agile.yaml"), "--carbon", "GB"]
NIGHT = ["--hours", "1", "--kw", "10", "--from", "2026-10-24T22:00Z", "--before", "2026-10-25T06:00Z"]


@pytest.fixture(autouse=True)
def _in_london(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in London, a folder without configuration."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("TZ", "Europe/London")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
    assert os.environ.get("TZ") != "Europe/London"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert 0 == main(["when", *arguments])
    captured = capsys.readouterr()
    assert "" == captured.err
    return captured.out


def test_the_windows_are_printed_in_local_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Now, the cheapest start with what it saves, and the line for Slurm, all by London's clock."""
    lines = printed(capsys, "--hours", "6", "--kw", "6.8", "--from", "2023-03-26T00:00Z", *AGILE).splitlines()
    assert [
        "          start                 electricity         CO2e  GPU rent",
        "now       Sun 26 Mar 00:00 GMT        £9.18  8.8 kg CO2e      same",
        "cheapest  Sun 26 Mar 03:30 BST        £7.80  8.8 kg CO2e      same  −15 %",
        "Use it:   sbatch --begin=2023-03-26T03:30 job.sh",
    ] == lines[:4]
    assert any("rent is flat: only worth it if you pay for power" in line for line in lines[4:])


def test_the_json_has_instants_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    """Start and end in UTC, the local start with its offset, money as text."""
    arguments = ["--hours", "6", "--kw", "6.8", "--from", "2023-03-26T00:00Z", *AGILE, "--json"]
    found = json.loads(printed(capsys, *arguments))
    assert ("GBP", 6.0, 6.8, 40.8, None) == tuple(
        found[key] for key in ("currency", "hours", "kw", "energy_kwh", "cleanest")
    )
    window = found["cheapest"]
    assert ("2023-03-26T02:30Z", "2023-03-26T08:30Z") == (window["start"], window["end"])
    assert "2023-03-26T03:30:00+01:00" == window["start_local"]
    assert 7.80164 == float(window["electricity"])


def test_what_pays_has_no_share_saved(capsys: pytest.CaptureFixture[str]) -> None:
    """From a start that is paid for, a saving in percent would mean nothing: the amounts stand alone."""
    arguments = ["--hours", "1", "--kw", "10", "--from", "2023-07-02T08:00Z", "--before", "2023-07-02T16:00Z"]
    lines = printed(capsys, *arguments, *AGILE).splitlines()
    assert "-£0.6515" in lines[1]
    assert lines[2].startswith("cheapest  Sun 02 Jul 14:00 BST")
    assert not lines[2].endswith("%")


def test_a_time_that_comes_twice_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second 01:00 of the night of autumn, 01:00Z, cannot be written as a time: minutes from now can."""
    rows = [f"2026-10-2{4 + at // 24}T{at % 24:02d}:00Z,{0.1 if at == 25 else 0.3},GBP/kWh" for at in range(22, 32)]
    (tmp_path / "p.csv").write_text("\n".join(["start_utc,value,unit", *rows]) + "\n")
    lines = printed(capsys, *NIGHT, "--tariff", "p.csv").splitlines()
    assert "Use it:   sbatch --begin=2026-10-25T01:00 job.sh" == lines[3]
    assert "          that time comes twice; this is GMT, say --begin=now+180minutes" == lines[4]


def test_nothing_better_is_to_start_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where now is cheapest there is nothing to wait for."""
    rows = [f"2026-10-2{4 + at // 24}T{at % 24:02d}:00Z,{at},GBP/kWh" for at in range(22, 32)]
    (tmp_path / "p.csv").write_text("\n".join(["start_utc,value,unit", *rows]) + "\n")
    assert "Use it:   start now" in printed(capsys, *NIGHT, "--tariff", "p.csv")


def test_faults_of_a_file_come_with_their_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken series is refused with exit code 2 and the line that is wrong."""
    (tmp_path / "p.csv").write_text("start_utc,value,unit\n2026-10-25T00:00Z,cheap,GBP/kWh\n")
    assert 2 == main(["when", *NIGHT, "--tariff", "p.csv"])
    captured = capsys.readouterr()
    assert "" == captured.out
    assert "p.csv:2" in captured.err


def test_bought_gpus_have_no_rent_and_the_sites_power(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Host and PUE of the settings are in the money, as in an estimate: 8.64 kW × 10 h × 0.20 = 17.28 EUR; no rent."""
    (tmp_path / "costmeter.yaml").write_text(
        "currency: EUR\nelectricity: {price: 0.2, pue: 1.5}\nhost: {power: 1000}\n"
        "gpu: {billing: owned, owned: {purchase: 20000}}\n"
    )
    rows = [f"2026-10-24T{at:02d}:00Z,{300 - at},gCO2e/kWh" for at in range(24)]
    (tmp_path / "g.csv").write_text("\n".join(["start_utc,value,unit", *rows]) + "\n")
    job = ["--hours", "10", "--gpu", "8xh100", "--from", "2026-10-24T00:00Z", "--carbon", "g.csv"]
    lines = printed(capsys, *job).splitlines()
    assert lines[1].split()[-1] == "–"
    assert "€17.28" in lines[1]
    found = json.loads(printed(capsys, *job, "--json"))
    assert (False, 86.4, 17.28) == (found["pays_rent"], found["energy_kwh"], float(found["now"]["electricity"]))


def test_nobodys_currency_is_the_price_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tariff in pounds needs no --currency; where a GPU has a price in the settings' currency, the two are told."""
    arguments = ["--hours", "6", "--kw", "6.8", "--from", "2023-03-26T00:00Z", *AGILE]
    assert "GBP" == json.loads(printed(capsys, *arguments, "--json"))["currency"]
    (tmp_path / "costmeter.yaml").write_text("gpu: {price: 2.49}\n")
    assert 2 == main(["when", *arguments])
    assert "is in GBP, not USD; nothing is converted" in capsys.readouterr().err
    assert 2 == main(["when", *arguments, "--currency", "EUR"])
    assert "is in GBP, not EUR" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--carbon", "380k"], "--carbon: expected grams of CO2e per kWh such as 380", id="thousands"),
        pytest.param(["--carbon", "20000"], "--carbon: grams of CO2e per kWh is at most 10000", id="too-much"),
        pytest.param(["--pue", "0.9"], "--pue: electricity.pue: a PUE is at least 1", id="pue"),
        pytest.param(["--plan", "x"], "--plan is one of a tariff", id="plan-of-nothing"),
        pytest.param(["--tariff", "p.csv", "--plan", "x"], "--tariff: a plan is chosen from a tariff file", id="plan"),
        pytest.param(["--tariff", "none.csv"], '--tariff: electricity.price: "none.csv" cannot be used', id="file"),
        pytest.param(["--tariff", str(TARIFFS / "ca_ontario_rpp.yaml")], "say which, such as  plan: ", id="which-plan"),
        pytest.param(
            ["--tariff", str(TARIFFS / "ca_ontario_rpp.yaml")], "ca_ontario_rpp.yaml --plan ID", id="plan-flag"
        ),
        pytest.param(["--tariff", ""], '--tariff "": there is nothing', id="empty-tariff"),
        pytest.param(["--pue", " "], '--pue "": there is nothing', id="empty-pue"),
        pytest.param(["--gpus", "8"], "unrecognized arguments: --gpus 8", id="one-flag-for-a-count"),
    ],
)
def test_what_cannot_be_used_is_told_by_its_flag(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and the flag as it was typed, with the words that every other command has for it."""
    assert 2 == main(["when", "--hours", "1", "--kw", "1", *arguments])
    captured = capsys.readouterr()
    assert "" == captured.out
    assert said in captured.err


FLAGS = ["--kw", "--gpu", "--count", "--pue", "--before", "--carbon", "--plan"]
TEXTS = [
    "1e8",
    "1e30",
    "1e-18",
    "0",
    "h100",
    "99999999",
    "9999-12-31T23:59",
    "0001-01-01",
    "Mon 09:00",
    "2023-07-02",
    "DE",
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(FLAGS), st.text(max_size=12) | st.sampled_from(TEXTS)), max_size=4),
    st.sampled_from(["0.01", "1", "1e-9", "7d"]),
    st.sampled_from([[], ["--json"]]),
)
def test_no_text_makes_it_fail(pairs: list[tuple[str, str]], hours: str, form: list[str]) -> None:
    """Whatever stands after a flag, the answer is windows or a refusal."""
    arguments = [f"{flag}={text}" for flag, text in pairs]
    given_before = ["--from", "2023-07-02T00:00Z", "--tariff", AGILE[1], "--kw", "2", "--hours", hours]
    assert main(["when", *given_before, *arguments, *form]) in (0, 2)
