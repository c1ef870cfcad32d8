"""Layers: which of several places wins, what is said about each value, and what a fault leads to."""

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.config.layers import check_explicit, load_settings
from costmeter.config.settings import Loaded, Settings
from costmeter.errors import ConfigError, UsageError
from costmeter.meter.charge import Origin
from costmeter.readings import Device
from tests.config.writing import Site

H100 = Device("GPU-0", 0, "NVIDIA H100 80GB HBM3", "", 700.0, "counter")
A100 = Device("GPU-1", 1, "NVIDIA A100-SXM4-80GB", "", 400.0, "counter")


def rent(loaded: Loaded, device: Device = H100) -> Decimal:
    """What an hour of one GPU costs."""
    rates = loaded.settings.book.at(0, [device])
    return sum((amount for _, amount in rates.devices[device.uuid].hourly), Decimal(0))


def pue(loaded: Loaded) -> tuple[Decimal, str]:
    return loaded.settings.book.pue.schedule.at(0), loaded.settings.book.pue.origin.detail


def test_nothing_configured_is_the_built_in_settings(site: Site) -> None:
    """With no file, variable or flag the settings are the defaults, without faults."""
    loaded = site.load()
    assert loaded.settings == Settings()
    assert (loaded.faults, loaded.files) == ((), ())
    assert {origin.word for origin in loaded.origins.values()} == {"built-in"}


def test_later_layers_win(site: Site) -> None:
    """Machine, user, project root, nearer folder, variable, flag: each replaces the one before."""
    assert pue(site.load())[0] == 1
    site.write(site.machine, "electricity: {pue: 1.1}")
    assert pue(site.load())[0] == Decimal("1.1")
    site.write(site.home, "electricity: {pue: 1.2}")
    assert pue(site.load()) == (Decimal("1.2"), f"{site.home}/.config/costmeter/config.yaml:1")
    site.write(site.project, "# ours\nelectricity: {pue: 1.3}")
    assert pue(site.load()) == (Decimal("1.3"), "costmeter.yaml:2")
    below = site.project / "a" / "b"
    below.mkdir(parents=True)
    assert pue(site.load(cwd=below)) == (Decimal("1.3"), "../../costmeter.yaml:2")
    site.write(below, "electricity: {pue: 1.4}")
    assert pue(site.load(cwd=below)) == (Decimal("1.4"), "costmeter.yaml:1")
    environ = {"COSTMETER_ELECTRICITY_PUE": "1.5"}
    assert pue(site.load(environ=environ, cwd=below)) == (Decimal("1.5"), "COSTMETER_ELECTRICITY_PUE")
    flags = {"electricity.pue": "1.6"}
    assert pue(site.load(flags=flags, environ=environ, cwd=below))[0] == Decimal("1.6")


def test_layers_merge_setting_by_setting(site: Site) -> None:
    """A layer that sets one thing leaves the others; labels are settings each."""
    site.write(site.home, "currency: EUR\nlabels: {team: nlp, project: old}\nelectricity: {pue: 1.3}")
    site.write(site.project, "labels: {project: llm}\nelectricity: {price: 0.2}")
    settings = site.load().settings
    assert settings.currency == "EUR"
    assert settings.labels == {"team": "nlp", "project": "llm"}
    assert settings.book.pue.schedule.at(0) == Decimal("1.3")


def test_outside_a_repository_only_the_working_directory_counts(site: Site) -> None:
    """A file above the working directory sets nothing when there is no repository between them."""
    (site.project / ".git").rmdir()
    site.write(site.project, "electricity: {pue: 1.3}")
    below = site.project / "below"
    below.mkdir()
    assert pue(site.load(cwd=below))[0] == 1
    assert pue(site.load())[0] == Decimal("1.3")


def test_files_above_the_repository_are_not_read(site: Site) -> None:
    """The search ends at the repository's root, which may have a `.git` file as worktrees do."""
    site.write(site.project, "electricity: {pue: 1.3}")
    inner = site.project / "inner"
    inner.mkdir()
    (inner / ".git").write_text("gitdir: elsewhere")
    assert pue(site.load(cwd=inner))[0] == 1


def test_an_explicit_file_stands_in_for_the_users_and_the_projects(site: Site) -> None:
    """`--config` leaves the machine's files below it and reads no other found file."""
    site.write(site.machine, "currency: EUR")
    site.write(site.home, "electricity: {pue: 1.2}")
    site.write(site.project, "nonsense: 1")
    explicit = site.project / "other.yaml"
    explicit.write_text("gpu: {price: 2}")
    loaded = site.load(explicit)
    assert (rent(loaded), pue(loaded)[0], loaded.settings.currency) == (Decimal(2), Decimal(1), "EUR")
    assert loaded.faults == ()
    assert loaded.files[-1] == "other.yaml"


def test_faults_in_found_files_warn_and_the_rest_is_used(site: Site) -> None:
    """A bad entry is left out and reported; good ones beside it hold."""
    site.write(site.project, "gpu: {price: abc}\nelectricity: {pue: 1.3}\ntarrif: 3")
    loaded = site.load()
    assert loaded.faults == (
        'costmeter.yaml:1:14: gpu.price: expected a price per GPU-hour such as 2.49, not "abc"',
        'costmeter.yaml:3:1: unknown key "tarrif". Known here: currency, timezone, gpu, electricity, carbon, host, '
        "idle, budget, items, labels",
    )
    assert pue(loaded)[0] == Decimal("1.3")
    assert rent(loaded) == Decimal("3.39")


def test_strict_refuses_on_any_fault(site: Site) -> None:
    """With `strict` a fault in a found file or a variable is a refusal."""
    site.write(site.project, "curency: USD")
    with pytest.raises(ConfigError) as caught:
        site.load(strict=True)
    assert caught.value.faults[0].endswith('unknown key "curency". Did you mean "currency"?')


def test_faults_in_an_explicit_file_refuse(site: Site) -> None:
    """All faults of a `--config` file are raised at once; those of other sources still warn."""
    explicit = site.project / "mine.yaml"
    explicit.write_text("gpu:\n  pric: 1\n  billing: rented\n")
    with pytest.raises(ConfigError) as caught:
        site.load(explicit, environ={"COSTMETER_ELECTRICITY_PUE": "0.5"})
    assert caught.value.faults == (
        'mine.yaml:2:3: unknown key "pric" in gpu. Did you mean "price"?',
        'mine.yaml:3:12: gpu.billing: expected rental or owned, not "rented". Did you mean "rental"?',
    )


def test_a_missing_explicit_file_refuses(site: Site) -> None:
    """A file asked for by name must be there."""
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: there is no such file"):
        site.load(site.project / "nowhere.yaml")


def test_check_explicit_reports_what_loading_would(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick check passes a good file, and raises the faults of a bad one."""
    monkeypatch.chdir(site.project)
    Path("good.yaml").write_text("gpu: {price: 2.49}")
    check_explicit("good.yaml")
    Path("bad.yaml").write_text("gpu: {billing: owned}")
    with pytest.raises(ConfigError, match=r"bad\.yaml:1:16: gpu\.billing: owned needs gpu\.owned\.purchase"):
        check_explicit("bad.yaml")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        pytest.param({"gpu.price": "cheap"}, '--price "cheap": expected a price per GPU-hour', id="price"),
        pytest.param(
            {"budget.amount": "-3"}, "--budget: budget.amount: an amount of money is more than 0", id="budget"
        ),
        pytest.param({"budget.on_exceed": "halt"}, "--on-budget: budget.on_exceed: expected warn or stop", id="word"),
    ],
)
def test_faults_in_flags_refuse_as_usage(site: Site, flags: dict[str, str], message: str) -> None:
    """A flag's fault is a wrong command line, and is named as it was typed."""
    with pytest.raises(UsageError) as caught:
        site.load(flags=flags)
    assert caught.value.message.startswith(message)


def test_a_price_flag_is_a_rent_for_every_gpu(site: Site) -> None:
    """`--price` holds for all GPUs, whatever blocks and billing the files have."""
    site.write(
        site.project, "gpu:\n- {match: {name: '*H100*'}, billing: owned, owned: {purchase: 30000}}\n- {price: 1}"
    )
    loaded = site.load(flags={"gpu.price": "2.49/gpu-h"})
    rates = loaded.settings.book.at(0, [H100, A100])
    assert {device.hourly for device in rates.devices.values()} == {(("rental", Decimal("2.49")),)}
    assert rates.origins["gpu.price"] == Origin("configured", "--price")


def test_a_list_of_blocks_replaces_what_was_said_of_gpus_before(site: Site) -> None:
    """A list in a later layer is the whole truth about GPUs; a later single block goes over each of its blocks."""
    site.write(site.machine, "gpu: {price: 9}")
    site.write(site.home, "gpu:\n- match: {name: '*H100*'}\n  price: 3\n")
    loaded = site.load()
    assert (rent(loaded), rent(loaded, A100)) == (Decimal(3), Decimal("1.69"))
    site.write(site.project, "gpu: {price: 4}")
    loaded = site.load()
    assert (rent(loaded), rent(loaded, A100)) == (Decimal(4), Decimal(4))


@pytest.mark.parametrize(
    ("name", "text", "setting", "expected"),
    [
        pytest.param("COSTMETER_CURRENCY", "EUR", "currency", "EUR", id="top"),
        pytest.param("COSTMETER_GPU_PRICE", "2.49", "gpu.price", "2.49", id="dotted"),
        pytest.param("COSTMETER_GPU_OWNED_LIFE_YEARS", "5", "gpu.owned.life_years", "5", id="underscore-in-key"),
        pytest.param("COSTMETER_BUDGET_WARN_AT", "[0.9]", "budget.warn_at", "[0.9]", id="list"),
        pytest.param("COSTMETER_LABELS", "{team: nlp}", "labels.team", "nlp", id="labels"),
        pytest.param("COSTMETER_GPU", "{price: 3}", "gpu.price", "3", id="section"),
        pytest.param("COSTMETER_GPU_PRICE", "{per_instance_hour: 8}", "gpu.price", "{per_instance_hour: 8}", id="flow"),
    ],
)
def test_variables_set_what_files_set(site: Site, name: str, text: str, setting: str, expected: str) -> None:
    """Every setting has a variable; lists and sections are written as flow YAML."""
    loaded = site.load(environ={name: text, "COSTMETER_BUDGET_AMOUNT": "5"})
    assert loaded.faults == ()
    assert loaded.effective[setting].value == expected
    assert loaded.origins[setting].detail.partition(":")[0] == name


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        pytest.param(
            "COSTMETER_GPU_PRCE", "1", 'COSTMETER_GPU_PRCE: no such setting. Did you mean "COSTMETER_GPU_PRICE"?',
            id="typo",
        ),
        pytest.param("COSTMETER_GPU_PRICE", "[1", "COSTMETER_GPU_PRICE:1:1: not valid YAML", id="broken-flow"),
        pytest.param("COSTMETER_IDLE", "5", "COSTMETER_IDLE: idle: expected keys", id="section-as-text"),
    ],
)  # fmt: skip
def test_faulty_variables_warn(site: Site, name: str, text: str, fault: str) -> None:
    """A fault in the environment is a warning that names the variable."""
    loaded = site.load(environ={name: text})
    assert loaded.faults[0].startswith(fault)
    assert loaded.settings == Settings()


@pytest.mark.parametrize("name", ["COSTMETER_RUN_ID", "COSTMETER_NOTIFY", "COSTMETER_SIMULATE", "COSTMETER_GPU_PRICE"])
def test_other_and_empty_variables_are_left_alone(site: Site, name: str) -> None:
    """Variables that are no settings, and settings that are empty, say nothing."""
    assert site.load(environ={name: "" if name.endswith("PRICE") else "x"}).faults == ()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param(b"a: \xff\xfe", "costmeter.yaml:1:4: not UTF-8 text", id="not-utf-8"),
        pytest.param(b"# x\n" * 300_000, "costmeter.yaml: cannot be read: more than 1000000 bytes", id="huge"),
        pytest.param(b"gpu: [\n", "costmeter.yaml:2:1: not valid YAML", id="broken"),
        pytest.param(b"- a\n", "costmeter.yaml:1:1: expected keys", id="a-list"),
        pytest.param(b"hello\n", "costmeter.yaml:1:1: expected keys", id="a-word"),
    ],
)
def test_an_unreadable_found_file_is_one_warning(site: Site, content: bytes, fault: str) -> None:
    """A file that is no settings file at all is passed over, and said so."""
    (site.project / "costmeter.yaml").write_bytes(content)
    loaded = site.load()
    assert loaded.faults[0].startswith(fault)
    assert loaded.settings == Settings()


def test_a_pipe_in_place_of_a_file_is_not_waited_for(site: Site) -> None:
    """A FIFO by the file's name is a fault at once."""
    os.mkfifo(site.project / "costmeter.yaml")
    assert site.load().faults == ("costmeter.yaml: cannot be read: not a regular file",)


def test_a_folder_in_place_of_a_file_is_a_warning(site: Site) -> None:
    """A directory by the file's name is a fault and nothing more."""
    (site.project / "costmeter.yaml").mkdir()
    assert site.load().faults[0].startswith("costmeter.yaml: cannot be read: ")


def test_no_home_and_no_working_directory_are_no_errors(site: Site) -> None:
    """Without HOME, and in a folder that is gone, the rest is read."""
    site.environ = {"XDG_CONFIG_HOME": "relative", "XDG_CONFIG_DIRS": f"relative:{site.machine}"}
    site.write(site.machine, "currency: EUR")
    assert site.load(cwd=site.project / "gone").settings.currency == "EUR"


def test_earlier_folders_of_the_machine_are_more_important(site: Site, tmp_path: Path) -> None:
    """`$XDG_CONFIG_DIRS` lists the most important folder first."""
    other = tmp_path / "other" / "costmeter"
    other.mkdir(parents=True)
    (other / "config.yaml").write_text("currency: CHF")
    site.write(site.machine, "currency: EUR")
    site.environ["XDG_CONFIG_DIRS"] = f"{other.parent}:{site.machine}"
    assert site.load().settings.currency == "CHF"


def test_settings_without_a_file_need_no_yaml(site: Site) -> None:
    """Without a file to read, neither the YAML parser nor the zone tables are loaded."""
    code = (
        "import sys; from costmeter.config.layers import load_settings\n"
        f"load_settings(None, {{'gpu.price': '2'}}, {site.environ!r}, {str(site.project)!r}, False)\n"
        "print(*{'yaml', 'zoneinfo', 'difflib'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


@pytest.mark.parametrize(
    ("written", "setting", "unset"),
    [
        pytest.param("gpu: {price: 2,10}", "gpu.price", "list price of the model", id="gpu"),
        pytest.param("electricity: {price: 0,30, pue: 1.1}", "electricity.price", "0.12", id="electricity"),
    ],
)
def test_a_decimal_comma_does_not_become_another_price(tmp_path: Path, written: str, setting: str, unset: str) -> None:
    """In braces `2,10` is two entries of YAML: the price is dropped with a fault, and nobody is billed 2."""
    (tmp_path / "costmeter.yaml").write_text(written + "\n")
    loaded = load_settings(None, {}, {"HOME": str(tmp_path)}, str(tmp_path), False)
    assert 1 == len(loaded.faults)
    assert "with a point" in loaded.faults[0]
    assert loaded.effective[setting].value.startswith(unset)
