"""Planning through the installed command: published runs, and the best start of a real price series."""

import json
import re
import shlex
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


PAGE = EXAMPLES.parent / "docs" / "planning.md"
#: A command in a block of its own, and the block below it.
SHOWN = re.compile(r"^```\n(costmeter [^`]*)```\n\n```\n([^`]*)```$", re.MULTILINE)


@pytest.mark.parametrize("name", ["estimate", "when"])
def test_the_page_shows_what_is_printed(name: str) -> None:
    """Each command of docs/planning.md, typed as it stands in the repository's folder, prints the lines below it."""
    blocks = SHOWN.findall(PAGE.read_text().replace("\\\n", " "))
    command, printed = next((shlex.split(command), printed) for command, printed in blocks if f" {name} " in command)
    with own_home() as environ:
        done = subprocess.run(
            [COSTMETER, *command[1:]],
            env={**environ, "TZ": "Europe/London"},
            cwd=EXAMPLES.parent,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (0, "") == (done.returncode, done.stderr)
    assert printed.splitlines() == done.stdout.splitlines()


def test_a_site_draws_as_much_in_both_commands(tmp_path: Path) -> None:
    """8 H100 with their host under a PUE: (8 × 700 W × 85 % + 1,000 W) × 1.5 × 10 h = 86.4 kWh, 17.28 EUR, in both."""
    (tmp_path / "costmeter.yaml").write_text(
        "currency: EUR\nelectricity: {price: 0.2, pue: 1.5}\nhost: {power: 1000}\n"
        "gpu: {billing: owned, owned: {purchase: 20000}}\n"
    )
    rows = [f"2026-10-24T{at:02d}:00Z,{300 - at},gCO2e/kWh" for at in range(24)]
    (tmp_path / "g.csv").write_text("\n".join(["start_utc,value,unit", *rows]) + "\n")
    job = ["--gpu", "8xh100", "--hours", "10"]
    started = planned("when", *job, "--from", "2026-10-24T00:00Z", "--carbon", "g.csv", folder=tmp_path)
    asked = planned("estimate", *job, folder=tmp_path)
    assert (86.4, 86.4) == (started["energy_kwh"], asked["energy_kwh"])
    assert (17.28, 17.28) == (float(started["now"]["electricity"]), float(asked["components"]["electricity"]))


OWNED_SITE = (
    "gpu: {billing: owned, owned: {purchase: 10000, server_share: 5000, residual: 1000, expected_use: 0.5, "
    "maintenance_per_year: 0.1}}\n"
)


@pytest.mark.parametrize("owned", [["--owned"], []], ids=["flag", "settings"])
def test_a_purchase_that_is_typed_is_the_whole_of_it(owned: list[str], tmp_path: Path) -> None:
    """20,000 with the server's share, in place of the settings' 10,000 + 5,000; what is left of them is named.

    19,000 / 35,040 + 2,000 / 8,760 = 0.770547945205 an hour.
    """
    (tmp_path / "costmeter.yaml").write_text(OWNED_SITE)
    found = planned("estimate", "--gpu", "h100", "--hours", "1", *owned, "--purchase", "20000", folder=tmp_path)
    assert "0.770547945205" == found["components"]["capital"]
    said = {one["name"]: one["value"] for one in found["assumptions"]}
    assert ["20000 USD per GPU", "1000 USD", "10 % of the purchase a year"] == [
        said[name] for name in ("purchase", "residual value", "maintenance")
    ]


@pytest.mark.parametrize("found_by", [[], ["-c", "costmeter.yaml"]], ids=["found", "named"])
@pytest.mark.parametrize(
    "arguments", [["estimate"], ["when", "--from", "2023-03-26T00:00Z", "--tariff"]], ids=["estimate", "when"]
)
def test_another_grid_needs_no_other_market_factor(arguments: list[str], found_by: list[str], tmp_path: Path) -> None:
    """--carbon of one scope goes beside settings whose market-based factor is of the other, which no plan shows."""
    (tmp_path / "costmeter.yaml").write_text(
        "currency: GBP\ncarbon: {intensity: {zone: eGRID-CAMX}, market: {zone: eGRID-CAMX}}\n"
    )
    tariff = [str(EXAMPLES / "tariffs" / "uk_octopus_agile.yaml")] if "--tariff" in arguments else []
    job = ["--gpu", "h100", "--hours", "1", "--carbon", "DE"]
    assert planned(*arguments, *tariff, *job, *found_by, folder=tmp_path)["currency"] == "GBP"


def test_a_rent_that_changes_is_the_money(tmp_path: Path) -> None:
    """Rent includes electricity: 8 GPUs at night for 8, and not at noon for 16, though electricity pays then."""
    (tmp_path / "costmeter.yaml").write_text(
        'timezone: UTC\ngpu: {price: {windows: [{hours: ["00:00-06:00"], price: 1}, {hours: other, price: 2}]}}\n'
        'electricity: {price: {windows: [{hours: ["12:00-18:00"], price_per_kwh: -1}, '
        "{hours: other, price_per_kwh: 0.50}]}}\n"
    )
    job = ["when", "--hours", "1", "--kw", "6.8", "--gpu", "8xh100", "--from", "2026-12-01T08:00"]
    cheapest = planned(*job, folder=tmp_path)["cheapest"]
    assert ("2026-12-02T00:00Z", "8", None) == tuple(cheapest[key] for key in ("start", "rent", "electricity"))
    with own_home() as environ:
        done = subprocess.run([COSTMETER, *job], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "Wed 02 Dec 00:00 UTC  in the rent  3.2 kg CO2e     $8.00  −50 %" in done.stdout


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
        pytest.param(["estimate", "--gpu", "h100", "--hours", "1", "--electricity", "none.yaml"], id="no-such-file"),
        pytest.param(["when", "--hours", "1", "--kw", "1", "--tariff", "none.csv"], id="when"),
        pytest.param(["when", "--hours", "1", "--kw", "1", "--carbon", "380k"], id="carbon"),
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
