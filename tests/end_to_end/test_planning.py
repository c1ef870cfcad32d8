"""Planning through the installed command: published runs, and the best start of a real price series."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.installed import COSTMETER, EXAMPLES, own_home


def planned(*arguments: str, folder: Path) -> dict[str, Any]:
    """The JSON of a planning command in a home of its own, which warns of nothing."""
    with own_home() as environ:
        done = subprocess.run(
            [COSTMETER, *arguments, "--json"], env=environ, cwd=folder, capture_output=True, text=True, timeout=60
        )
    assert (0, "") == (done.returncode, done.stderr)
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


GPT_3 = ["--gpu", "10000xV100", "--flops", "3.14e23", "--tflops", "24.6", "--watts", "330", "--pue", "1.1"]
LLAMA = ["--gpu", "a100-80gb", "--gpu-hours", "1022362", "--watts", "400", "--pue", "1.1"]
BLOOM = ["--gpu", "a100", "--gpu-hours", "1082990", "--load", "100%", "--carbon", "57"]
DEEPSEEK = ["--gpu", "h800", "--gpu-hours", "2.788M", "--price", "2"]
LLAMA_405B = ["--gpu", "h100", "--params", "405B", "--tokens", "15.6T"]


@pytest.mark.parametrize(
    ("arguments", "published"),
    [
        # Patterson et al. 2021, arXiv:2104.10350, table 4: 14.8 days, 1,287 MWh, 552.1 t.
        pytest.param(
            [*GPT_3, "--carbon", "429"],
            {"hours": (355.2, 2.4), "energy_kwh": (1287e3, 500), "emissions_grams": (552.1e6, 1e5)},
            id="gpt-3",
        ),
        # Touvron et al. 2023, arXiv:2302.13971, table 15: 449 MWh, 173 t.
        pytest.param(
            [*LLAMA, "--carbon", "385"],
            {"energy_kwh": (449e3, 1e3), "emissions_grams": (173e6, 1e6)},
            id="llama-65b",
        ),
        # Luccioni et al. 2022, arXiv:2211.02001: 433,196 kWh at the A100's 400 W, 24.69 t.
        pytest.param(BLOOM, {"energy_kwh": (433196, 0), "emissions_grams": (24.69e6, 1e4)}, id="bloom"),
        # DeepSeek-AI 2024, arXiv:2412.19437, table 1: 5.576M USD.
        pytest.param(DEEPSEEK, {"cost": (5.576e6, 0), "gpu_hours": (2.788e6, 0)}, id="deepseek-v3"),
        # Grattafiori et al. 2024, arXiv:2407.21783: 3.8e25 FLOPs.
        pytest.param(LLAMA_405B, {"flops": (3.8e25, 5e23)}, id="llama-3.1-405b"),
    ],
)
def test_a_published_run_comes_out(
    arguments: list[str], published: dict[str, tuple[float, float]], tmp_path: Path
) -> None:
    """Stated inputs as flags give the published figures, within their last digit."""
    found = planned("estimate", *arguments, folder=tmp_path)
    for name, (figure, off) in published.items():
        assert abs(float(found[name]) - figure) <= off, name


def test_settings_stand_in_for_flags(tmp_path: Path) -> None:
    """Price, PUE, carbon and host of a project file are used, and named with file and line."""
    text = "gpu: {price: 2.49}\nelectricity: {pue: 1.2}\ncarbon: {intensity: 380}\nhost: {power: 900}\n"
    (tmp_path / "costmeter.yaml").write_text(text)
    found = planned("estimate", "--gpu", "h100", "--count", "8", "--hours", "12", folder=tmp_path)
    assert ("239.04", 81.504, 30971.52) == (found["cost"], found["energy_kwh"], found["emissions_grams"])
    origins = {one["name"]: one["origin"] for one in found["assumptions"]}
    names = ["GPU price", "PUE", "carbon", "host power"]
    assert [f"configured: costmeter.yaml:{line}" for line in range(1, 5)] == [origins[name] for name in names]


def test_a_zone_and_a_tariff_may_be_named(tmp_path: Path) -> None:
    """Owned GPUs under Economy 7 (pounds) and Germany's grid: the tariff's mean over the year, and the zone's factor.

    Seven of 24 hours at 0.132174 and the others at 0.315084 are 0.26173525 on average: 0.7 kW × 10 h = 7 kWh cost
    1.83214675 GBP.
    """
    tariff = str(EXAMPLES / "tariffs" / "uk_octopus_economy7.yaml")
    site = ["--currency", "GBP", "--owned", "--purchase", "20000", "--electricity", tariff, "--carbon", "DE"]
    found = planned("estimate", "--gpu", "h100", "--hours", "10", "--load", "1", *site, folder=tmp_path)
    assert ("GBP", 1.83214675) == (found["currency"], round(float(found["components"]["electricity"]), 8))
    origins = {one["name"]: one["origin"] for one in found["assumptions"]}
    assert "mean of the coming year" in origins["electricity"]
    assert "lifecycle" in origins["carbon"]


def test_the_cheapest_start_comes_out(tmp_path: Path) -> None:
    """The day of tests/planning/test_opening.py through the installed command."""
    tariff = str(EXAMPLES / "tariffs" / "uk_octopus_agile.yaml")
    start = ["--from", "2023-03-26T00:00Z", "--before", "2023-03-26T20:00Z"]
    found = planned(
        "when", "--hours", "6", "--kw", "6.8", *start, "--tariff", tariff, "--carbon", "GB", folder=tmp_path
    )
    assert ("2023-03-26T02:30Z", 7.80164) == (found["cheapest"]["start"], float(found["cheapest"]["electricity"]))
    assert ("2023-03-26T00:00Z", 9.18) == (found["now"]["start"], float(found["now"]["electricity"]))


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["estimate", "--gpu", "h100", "--hours", "1", "--flops", "1e20"], id="estimate"),
        pytest.param(["when", "--hours", "1", "--kw", "1", "--tariff", "none.csv"], id="when"),
    ],
)
def test_a_refusal_is_no_traceback(arguments: list[str], tmp_path: Path) -> None:
    """Exit code 2, a line that begins with the command, and nothing on stdout."""
    with own_home() as environ:
        done = subprocess.run(
            [COSTMETER, *arguments], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith(f"costmeter {arguments[0]}: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("changed", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}], ids=["ascii-stream", "c-locale"])
def test_a_terminal_of_ascii_shows_ascii(changed: dict[str, str], tmp_path: Path) -> None:
    """Multiplication signs and pounds become letters where the terminal knows no other."""
    tariff = str(EXAMPLES / "tariffs" / "uk_octopus_agile.yaml")
    when = ["when", "--hours", "6", "--kw", "6.8", "--from", "2023-03-26T00:00Z", "--tariff", tariff]
    with own_home() as environ:
        for arguments in (["estimate", "--gpu", "8xh100", "--hours", "3"], when):
            done = subprocess.run(
                [COSTMETER, *arguments], env=environ | changed, cwd=tmp_path, capture_output=True, timeout=60
            )
            assert (0, b"") == (done.returncode, done.stderr)
            text = done.stdout.decode("ascii")
            assert "8 x $" in text or "GBP 7.80" in text
