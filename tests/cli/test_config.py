"""`costmeter config`: what it says in a real folder."""

import subprocess
from pathlib import Path

import pytest

from tests.cli.typed import typed

B20 = Path(__file__).parents[2] / "examples" / "tariffs" / "us_pge_b20_industrial.yaml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty repository."""
    (tmp_path / ".git").mkdir()
    return tmp_path


def costmeter_config(project: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """What the command says, with nothing of this machine's settings."""
    return typed(project, "config", *arguments, **environ)


def rows(text: str) -> dict[str, tuple[str, str]]:
    """Value and origin by setting, from the aligned columns."""
    lines = [line.split("  ") for line in text.splitlines() if not line.startswith("#")]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return {name: (value, origin) for name, value, origin in cells}


def test_show_lists_every_setting_with_its_value_and_origin(project: Path) -> None:
    """Each setting is a row: where it was written, or that it is built in."""
    (project / "costmeter.yaml").write_text("gpu:\n  price: 2.49\nlabels: {team: nlp}\n")
    result = costmeter_config(project, "show", COSTMETER_ELECTRICITY_PUE="1.2")
    assert (result.returncode, result.stderr) == (0, "")
    table = rows(result.stdout)
    assert table["gpu.price"] == ("2.49", "costmeter.yaml:2")
    assert table["labels.team"] == ("nlp", "costmeter.yaml:3")
    assert table["electricity.pue"] == ("1.2", "COSTMETER_ELECTRICITY_PUE")
    assert table["carbon.intensity"] == ("472.94, the world in 2024", "built-in")
    assert result.stdout.splitlines()[-1] == "# files read: costmeter.yaml"


def test_show_aligns_its_columns(project: Path) -> None:
    """Values start in one column."""
    lines = costmeter_config(project, "show").stdout.splitlines()[:-1]
    start = lines[0].index("USD")
    assert all(line[start - 2 : start] == "  " and line[start] != " " for line in lines)


def test_show_warns_of_faults_and_goes_on(project: Path) -> None:
    """A fault in a found file is a warning on stderr; the table is still there."""
    (project / "costmeter.yaml").write_text("gpu: {pric: 2}\n")
    result = costmeter_config(project, "show")
    assert result.returncode == 0
    assert result.stderr == (
        'costmeter: warning: costmeter.yaml:1:7: unknown key "pric" in gpu. Did you mean "price"?\n'
    )
    assert rows(result.stdout)["gpu.price"] == ("list price of the model", "built-in")


@pytest.mark.parametrize(
    ("text", "arguments", "code", "output"),
    [
        pytest.param("gpu: {price: 2}\n", ["c.yaml"], 0, "no faults in c.yaml\n", id="good-file"),
        pytest.param("tarif: 1\n", ["c.yaml"], 125, 'c.yaml:1:1: unknown key "tarif"', id="bad-file"),
        pytest.param(
            "gpu: {commitment: {gpus: 8, price: 1, from: 0001-01-01, to: 9999-12-31}}\n",
            ["c.yaml"],
            125,
            "c.yaml:1:26: gpu.commitment: needs gpus, price, from and to; missing: from, to\n"
            "c.yaml:1:45: gpu.commitment.from: expected a day such as 2026-01-31, of the years 1970 to 2199, "
            'not "0001-01-01"\nc.yaml:1:61: gpu.commitment.to: ',
            id="days-of-another-age",
        ),
        pytest.param(
            B20.read_text(),
            ["c.yaml"],
            125,
            "c.yaml:16:1: energy: this is a tariff file, not settings; use it as  "
            "electricity: {price: {tariff: c.yaml}}\n",
            id="a-tariff-file",
        ),
        pytest.param("", ["none.yaml"], 125, "none.yaml: there is no such file\n", id="no-such-file"),
        pytest.param("", [], 0, "no faults in the environment; no file found\n", id="nothing-found"),
    ],
)
def test_check_prints_every_fault(project: Path, text: str, arguments: list[str], code: int, output: str) -> None:
    """0 and a line that says so, or 125 and the faults."""
    (project / "c.yaml").write_text(text)
    result = costmeter_config(project, "check", *arguments)
    assert (code, "") == (result.returncode, result.stderr)
    assert result.stdout.startswith(output)


def test_check_without_a_file_checks_what_is_found(project: Path) -> None:
    """Files and variables in force are checked together, all faults at once."""
    (project / "costmeter.yaml").write_text("currency: usd\ncarbon: {intensity: -1}\n")
    result = costmeter_config(project, "check", COSTMETER_HOST_POWER="lots")
    assert result.returncode == 125
    places = [line.split(": ")[0] for line in result.stdout.splitlines()]
    assert places == ["costmeter.yaml:1:11", "costmeter.yaml:2:21", "COSTMETER_HOST_POWER"]


def test_show_of_a_faulty_explicit_file_refuses(project: Path) -> None:
    """`--config` is held to what it says: all faults on stderr, 125, no table."""
    (project / "c.yaml").write_text("a: 1\nb: 2\n")
    result = costmeter_config(project, "show", "--config", "c.yaml")
    assert (result.returncode, result.stdout) == (125, "")
    assert [line.partition(" ")[0] for line in result.stderr.splitlines()] == ["c.yaml:1:1:", "c.yaml:2:1:"]
