"""`costmeter init` through the installed command: asked on a terminal, answered by options, refused, interrupted."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, own_home


@pytest.fixture
def home() -> Iterator[dict[str, str]]:
    """Somebody without configuration."""
    with own_home() as environ:
        yield environ


def init(home: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command without a terminal."""
    argv = [COSTMETER, "init", *arguments]
    done = subprocess.run(argv, cwd=folder, env=home, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert "Traceback" not in done.stderr
    return done


def effective(home: dict[str, str], folder: Path) -> dict[str, str]:
    """Every setting that the written file is the origin of; it has no fault."""
    checked = subprocess.run([COSTMETER, "config", "check"], cwd=folder, env=home, capture_output=True, text=True)
    assert (0, "") == (checked.returncode, checked.stderr), checked.stdout
    shown = subprocess.run([COSTMETER, "config", "show"], cwd=folder, env=home, capture_output=True, text=True)
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in shown.stdout.splitlines()]
    return {row[0]: row[1] for row in cells if len(row) > 2 and row[-1].startswith("costmeter.yaml:")}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param([], {"currency": "USD"}, id="nothing-said"),
        pytest.param(["--price", "2.49"], {"currency": "USD", "gpu.price": "2.49"}, id="a-price-is-a-rent"),
        pytest.param(["--price", "€2.10"], {"currency": "EUR", "gpu.price": "2.10"}, id="a-sign"),
        pytest.param(["--price", "18.5 SEK"], {"currency": "SEK", "gpu.price": "18.5"}, id="a-currency"),
        pytest.param(
            ["--purchase", "30000", "--electricity", "0.31", "--pue", "1.2", "--carbon", "DE", "--currency", "EUR"],
            {
                "currency": "EUR",
                "gpu.billing": "owned",
                "gpu.owned.purchase": "30000",
                "gpu.owned.life_years": "4",
                "electricity.price": "0.31",
                "electricity.pue": "1.2",
                "carbon.intensity": "{zone: DE}",
            },
            id="bought",
        ),
        pytest.param(["--price", "2.49/gpu-h"], {"currency": "USD", "gpu.price": "2.49"}, id="per-gpu-hour-said"),
        pytest.param(["--carbon", "380"], {"currency": "USD", "carbon.intensity": "380"}, id="grams"),
        pytest.param(["--gpus", "cluster"], {"currency": "USD"}, id="cluster-at-list-price"),
        pytest.param(["--budget", "0"], {"currency": "USD"}, id="no-budget"),
        pytest.param(
            ["--budget", "80 USD/run"], {"currency": "USD", "budget.amount": "80", "budget.per": "run"}, id="a-budget"
        ),
    ],
)
def test_options_answer_the_questions(
    home: dict[str, str], tmp_path: Path, options: list[str], expected: dict[str, str]
) -> None:
    """Without a terminal the options are the answers, nothing else is set, and the file reads back without a fault."""
    done = init(home, tmp_path, *options)
    assert 0 == done.returncode, done.stderr
    assert "costmeter run --" in done.stdout
    assert expected == effective(home, tmp_path)


def test_a_tariff_file_is_an_answer(home: dict[str, str], tmp_path: Path) -> None:
    """A file beside the configuration is named in it and prices electricity from then on."""
    tariff = "id: night\ncurrency: EUR\ntimezone: Europe/Berlin\nenergy:\n  - {name: all, price_per_kwh: 0.25}\n"
    (tmp_path / "night rate.yaml").write_text(tariff)
    options = ["--gpus", "bought", "--purchase", "9000 EUR", "--electricity", "night rate.yaml"]
    assert 0 == init(home, tmp_path, *options).returncode
    assert "{tariff: night rate.yaml}" == effective(home, tmp_path)["electricity.price"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(["--price", "2,49"], '--price "2,49"', id="a-comma"),
        pytest.param(["--price", "2.10 EUR", "--currency", "USD"], "the currency is USD already", id="two-currencies"),
        pytest.param(["--carbon", "Atlantis"], '--carbon "Atlantis"', id="no-such-zone"),
        pytest.param(["--carbon", "20000"], '--carbon "20000"', id="no-such-grams"),
        pytest.param(["--carbon", "{zone: DE}"], "expected a zone such as DE", id="no-yaml"),
        pytest.param(["--carbon", "gb.csv"], "no file gb.csv", id="no-series"),
        pytest.param(["--pue", "0.8"], '--pue "0.8": a PUE is at least 1', id="pue-below-one"),
        pytest.param(["--gpus", "bought"], "--purchase 30000", id="bought-for-what"),
        pytest.param(["--gpus", "bought", "--purchase", "1", "--electricity", "a.yaml"], "no file a.yaml", id="file"),
        pytest.param(["--budget", "a lot"], '--budget "a lot": expected an amount such as 500', id="no-amount"),
        pytest.param(["--budget", "5EUR"], "the currency is USD already", id="budget-in-another-currency"),
        pytest.param(["--gpus", "stolen"], "invalid choice", id="no-such-choice"),
    ],
)
def test_a_wrong_answer_writes_nothing(home: dict[str, str], tmp_path: Path, options: list[str], expected: str) -> None:
    """An answer that is none is refused by its option's name, and no file is left behind."""
    done = init(home, tmp_path, *options)
    assert 2 == done.returncode
    assert expected in done.stderr
    assert [] == list(tmp_path.iterdir())


def test_words_stand_in_one_column_and_rent_is_said_to_include_electricity(
    home: dict[str, str], tmp_path: Path
) -> None:
    """A price of electricity beside a rent is kept, and the file says what becomes of it."""
    assert 0 == init(home, tmp_path, "--gpus", "cluster", "--price", "1.5", "--electricity", "0.2").returncode
    lines = (tmp_path / "costmeter.yaml").read_text().splitlines()
    assert any("price: 0.2" in line and "rent includes it" in line for line in lines)
    assert 1 == len({line.index("#") for line in lines[1:] if "#" in line})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("./costmeter.yaml", "costmeter config show, then: costmeter run -- nvidia-smi", id="found-alone"),
        pytest.param(
            "my d.yaml",
            "costmeter config show --config 'my d.yaml', then: costmeter run --config 'my d.yaml' -- nvidia-smi",
            id="to-be-named",
        ),
    ],
)
def test_the_next_command_reads_what_was_written(
    home: dict[str, str], tmp_path: Path, path: str, expected: str
) -> None:
    """A file that is not found by itself is named in the commands to try, as a shell takes it."""
    done = init(home, tmp_path, "-o", path)
    assert f"Try: {expected}\n" in done.stdout


def test_a_file_that_is_there_is_kept_unless_forced(home: dict[str, str], tmp_path: Path) -> None:
    """Somebody's configuration is not overwritten by accident; --force replaces it."""
    path = tmp_path / "costmeter.yaml"
    path.write_text("gpu: {price: 1}\n")
    refused = init(home, tmp_path, "--price", "2")
    assert (2, "gpu: {price: 1}\n") == (refused.returncode, path.read_text())
    assert "--force" in refused.stderr
    assert 0 == init(home, tmp_path, "--price", "2", "--force").returncode
    assert "2" == effective(home, tmp_path)["gpu.price"]
    assert [path] == list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_said(home: dict[str, str], tmp_path: Path) -> None:
    """A folder that does not exist is named, with another place to try, and the exit code says that it failed."""
    done = init(home, tmp_path, "-o", "nowhere/costmeter.yaml")
    assert 1 == done.returncode
    assert "nowhere/costmeter.yaml was not written: No such file or directory" in done.stderr
    assert "-o FILE" in done.stderr


def test_five_questions_on_a_terminal(home: dict[str, str], tmp_path: Path) -> None:
    """Each question has its default in brackets, a mistake is told and asked again, and the file says the answers."""
    argv = ["init", "--simulate", "healthy"]
    asked = pexpect.spawn(COSTMETER, argv, cwd=tmp_path, env=home, timeout=PATIENCE_SECONDS, encoding="utf-8")
    asked.expect_exact("1/5 Where do the GPUs come from? rented / bought / cluster / unsure [not sure]: ")
    asked.sendline("rent")
    asked.expect(r"2/5 Price per GPU-hour in USD \[list price [0-9.]+ USD of 20\d\d-\d\d for NVIDIA H100 80GB HBM3\]: ")
    asked.sendline("two")
    asked.expect_exact("expected a price per GPU-hour such as 2.49")
    asked.expect_exact("2/5 ")
    asked.sendline("2.49")
    asked.expect_exact("3/5 Electricity is in the rent.")
    asked.expect_exact("4/5 ")
    asked.sendline("US-CA")
    asked.expect_exact("5/5 Monthly budget in USD, 0 for none [0]: ")
    asked.sendline("lots")
    asked.expect_exact("expected an amount such as 500, which is for a month, or 80/run")
    asked.expect_exact("5/5 ")
    asked.sendline("500")
    asked.expect_exact("Wrote costmeter.yaml.")
    asked.expect(pexpect.EOF)
    asked.close()
    assert 0 == asked.exitstatus
    expected = {"currency": "USD", "gpu.price": "2.49", "carbon.intensity": "{zone: US-CA}"}
    expected |= {"budget.amount": "500", "budget.per": "month"}
    assert expected == effective(home, tmp_path)


def test_what_was_asked_in_usd_stays_in_usd(home: dict[str, str], tmp_path: Path) -> None:
    """No empty answer makes a bought GPU free; 30000 asked in USD is not EUR because a kWh was then told in EUR."""
    asked = pexpect.spawn(COSTMETER, ["init"], cwd=tmp_path, env=home, timeout=PATIENCE_SECONDS, encoding="utf-8")
    asked.expect_exact("1/5 ")
    asked.sendline("bought")
    asked.expect_exact("2/5 What one GPU cost with its share of the server, in USD: ")
    asked.sendline("")
    asked.expect_exact("expected an amount of money such as 30000")
    asked.expect_exact("2/5 ")
    asked.sendline("30000")
    asked.expect_exact("3/5 Price per kWh in USD, or a tariff file (.yaml) or prices (.csv) [0.12]: ")
    asked.sendline("0.31 EUR")
    asked.expect_exact("the currency is USD already; nothing is converted")
    asked.expect_exact("3/5 ")
    asked.sendline("0.31")
    asked.expect_exact("PUE, facility energy over IT energy (a data centre: 1.1 to 1.6) [1]: ")
    asked.sendline("")
    asked.expect_exact("4/5 ")
    asked.sendline("")
    asked.expect_exact("5/5 ")
    asked.sendline("")
    asked.expect(pexpect.EOF)
    asked.close()
    told = effective(home, tmp_path)
    assert ("USD", "30000", "0.31") == tuple(told[n] for n in ("currency", "gpu.owned.purchase", "electricity.price"))


@pytest.mark.parametrize(
    ("key", "expected"), [pytest.param("\x04", 1, id="ctrl-d"), pytest.param("\x03", 130, id="ctrl-c")]
)
def test_leaving_in_the_middle_writes_nothing(home: dict[str, str], tmp_path: Path, key: str, expected: int) -> None:
    """Ctrl-D and Ctrl-C at a question end it, and no file is left behind."""
    asked = pexpect.spawn(COSTMETER, ["init"], cwd=tmp_path, env=home, timeout=PATIENCE_SECONDS, encoding="utf-8")
    asked.expect_exact("1/5 ")
    asked.send(key)
    asked.expect(pexpect.EOF)
    asked.close()
    assert expected == asked.exitstatus
    assert [] == list(tmp_path.iterdir())
