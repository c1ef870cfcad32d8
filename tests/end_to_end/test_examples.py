"""The example jobs under the installed meter: the job is untouched, the receipt is whole."""

import importlib.util
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.installed import COSTMETER, EXAMPLES, exact_sum, own_home, receipt

CONTRACT = {
    "run": {
        "id", "name", "labels", "command", "outcome", "exit_code", "signal", "started_at", "ended_at", "seconds",
        "hosts",
    },
    "cost": {"total", "components", "states", "phases"},
    "energy": {"total_joules", "gpu_joules", "host_joules", "overhead_joules", "total_kwh", "methods"},
    "emissions": {"total_grams", "operational_grams", "embodied_grams"},
    "gpu_seconds": {"busy", "idle", "unknown"},
    "progress": {"steps", "tokens", "cost_per_step", "cost_per_million_tokens"},
    "meter": {"version", "cpu_seconds", "readings", "faults"},
}  # fmt: skip
WHOLE = {
    "schema", "simulated", "currency", "unmeasured_gpu_seconds", "idle_reasons", "devices", "budget", "provenance",
    *CONTRACT,
}  # fmt: skip
DEVICE = {
    "uuid", "index", "name", "joules", "method", "seconds", "unmeasured_seconds", "mean_utilization", "cost",
}  # fmt: skip

DIGITS = pytest.param("digits", ["sklearn"], id="digits")
PYTORCH = pytest.param("pytorch", ["sklearn", "torch"], id="pytorch")


@pytest.fixture(name="home")
def _home() -> Iterator[dict[str, str]]:
    with own_home() as environment:
        # One thread: the same sums in the same order, so that two trainings print the same digits.
        yield {**environment, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def need(*packages: str) -> None:
    """Skip by name where a package is absent, without importing it here."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


def job(example: str, folder: Path, *options: str) -> list[str]:
    script = str(EXAMPLES / example / "train.py")
    return [sys.executable, script, "--epochs", "2", "--checkpoint", str(folder / "checkpoint"), *options]


def metered(folder: Path, command: list[str]) -> list[str]:
    return [COSTMETER, "run", "--simulate", "healthy", "--json", str(folder / "receipt.json"), "--", *command]


def finish(argv: list[str], home: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, env=home, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


def check_sums(found: dict[str, Any]) -> None:
    """Every whole of the receipt is exactly the sum of its parts."""
    cost, energy, emissions = found["cost"], found["energy"], found["emissions"]
    total = Decimal(cost["total"])
    assert total > 0
    assert exact_sum(cost["components"]) == total
    assert exact_sum(cost["states"]) == total
    assert exact_sum(cost["phases"]) in {total, Decimal(0)}

    parts = {part: energy[f"{part}_joules"] or 0 for part in ("gpu", "host", "overhead")}
    assert exact_sum(parts) == Decimal(energy["total_joules"])
    assert sum(Decimal(device["joules"]) for device in found["devices"]) == Decimal(energy["gpu_joules"]) > 0
    scopes = {scope: emissions[f"{scope}_grams"] or 0 for scope in ("operational", "embodied")}
    assert exact_sum(scopes) == Decimal(emissions["total_grams"]) > 0
    assert exact_sum(found["gpu_seconds"]) == sum(Decimal(device["seconds"]) for device in found["devices"])


@pytest.mark.parametrize(("example", "packages"), [DIGITS, PYTORCH])
def test_an_example_runs_as_if_alone(example: str, packages: list[str], home: dict[str, str], tmp_path: Path) -> None:
    """Under the meter an example prints, writes and returns what it does alone, and the receipt is whole."""
    need(*packages)
    alone = finish(job(example, tmp_path), home, tmp_path)
    (tmp_path / "checkpoint").unlink()

    under = finish(metered(tmp_path, job(example, tmp_path)), home, tmp_path)

    assert (under.returncode, under.stdout) == (0, alone.stdout), under.stderr
    assert (tmp_path / "checkpoint").exists()
    found = receipt(tmp_path / "receipt.json")
    assert found["run"]["outcome"] == "ok"
    assert found["run"]["exit_code"] == 0
    check_sums(found)


def test_the_receipt_keeps_its_contract(home: dict[str, str], tmp_path: Path) -> None:
    """A receipt of a simulated run has the public contract's keys, names its schema and says that it is simulated."""
    assert finish(metered(tmp_path, ["true"]), home, tmp_path).returncode == 0

    found = receipt(tmp_path / "receipt.json")

    assert found.keys() >= WHOLE
    assert found["schema"] == "costmeter.receipt/1"
    assert found["simulated"] is True
    assert {key: keys - found[key].keys() for key, keys in CONTRACT.items()} == {key: set() for key in CONTRACT}
    assert len(found["devices"]) == 8
    assert all(device.keys() >= DEVICE for device in found["devices"])
    assert all(isinstance(amount, str) for amount in [found["cost"]["total"], *found["cost"]["components"].values()])


def test_a_failing_job_keeps_its_exit_code(home: dict[str, str], tmp_path: Path) -> None:
    """A wrong option to the training script keeps the script's exit code, and the receipt says failed."""
    need("sklearn")
    ended = finish(metered(tmp_path, job("digits", tmp_path, "--no-such-option")), home, tmp_path)

    found = receipt(tmp_path / "receipt.json")

    assert ended.returncode == 2
    assert (found["run"]["outcome"], found["run"]["exit_code"]) == ("failed", 2)


def test_a_stopped_training_saves_and_resumes(home: dict[str, str], tmp_path: Path) -> None:
    """SIGTERM to the meter reaches the training, which saves a checkpoint and exits 143; --resume goes on from it."""
    need("sklearn", "torch")
    argv = metered(tmp_path, job("pytorch", tmp_path, "--epochs", "100000"))
    with subprocess.Popen(argv, env=home, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        lines = [run.stdout.readline() for _ in range(3)]
        run.send_signal(signal.SIGTERM)
        lines += run.stdout.readlines()

    resumed = finish(metered(tmp_path, job("pytorch", tmp_path, "--epochs", "1", "--resume")), home, tmp_path)

    assert run.returncode == 143
    assert "SIGTERM: saved" in lines[-1]
    assert resumed.returncode == 0
    assert resumed.stdout.startswith("resumed after epoch ")


def test_the_demo_scrapes_and_ends_with_the_receipt(home: dict[str, str], tmp_path: Path) -> None:
    """The demonstration shows the running cost from the metrics page halfway, and the receipt at the end."""
    need("sklearn")
    shown = finish([sys.executable, str(EXAMPLES / "demo.py"), "--epochs", "4"], home, tmp_path)

    assert shown.returncode == 0, shown.stderr
    epochs, _, rest = shown.stdout.partition("$ curl -s http://127.0.0.1:")
    assert "epoch  2/4" in epochs
    assert "costmeter_run_cost_usd_total{" in rest
    assert "test accuracy" in rest
    assert rest.index("test accuracy") < rest.rindex("costmeter")
