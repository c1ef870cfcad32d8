"""`costmeter doctor` through the installed command: what it says when things are well, and when each of them is not."""

import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.installed import COSTMETER, own_home

BROKEN = """
devices:
  - name: NVIDIA H100 80GB HBM3
    count: 2
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    load: {shape: constant, power: 300 W, utilization: 60 %}
    faults:
      - FAULT
"""
ENERGY = "nvmlDeviceGetTotalEnergyConsumption, nvmlDeviceGetPowerUsage"
NO_ENERGY = f"{{kind: error, functions: [{ENERGY}], code: NOT_SUPPORTED}}"
NO_UTILIZATION = "{kind: error, functions: [nvmlDeviceGetUtilizationRates], code: NO_PERMISSION}"


def doctor(*arguments: str, folder: Path | None = None, **changed: str) -> tuple[int, list[str]]:
    """Exit code and lines of the doctor, in a home of its own."""
    with own_home() as environ:
        done = subprocess.run(
            [COSTMETER, "doctor", *arguments],
            env=environ | changed,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines()


def test_a_healthy_node_passes_and_says_what_is_only_assumed() -> None:
    """On a simulated healthy node nothing fails, and the prices nobody configured are warnings."""
    code, lines = doctor("--simulate", "healthy")
    assert 0 == code
    assert {"ok", "warn"} == {line.split()[0] for line in lines}
    assert any("8 GPUs, energy counter on 8/8" in line for line in lines)
    assert any(line.startswith("warn") and "list price" in line for line in lines)


def test_no_driver_fails_with_a_way_on() -> None:
    """Without a driver the doctor fails, and says how to try costmeter all the same."""
    code, lines = doctor()
    assert 1 == code
    assert "libnvidia-ml.so.1" in lines[0]
    assert "--simulate" in lines[0]


def test_configured_prices_are_trusted(tmp_path: Path) -> None:
    """A price and a grid factor from a file are fine, and the file and line are named."""
    (tmp_path / "costmeter.yaml").write_text("gpu: {price: 2.49}\ncarbon: {intensity: 380}\n")
    code, lines = doctor("--simulate", "healthy", folder=tmp_path)
    assert 0 == code
    assert {"ok"} == {line.split()[0] for line in lines if "the clock" not in line}  # not of the settings
    assert any("costmeter.yaml:1" in line for line in lines)


def test_a_typo_in_a_found_file_is_a_warning(tmp_path: Path) -> None:
    """A misspelt key is shown with its line and the command that lists all faults."""
    (tmp_path / "costmeter.yaml").write_text("tarrif: x\n")
    _, lines = doctor("--simulate", "healthy", folder=tmp_path)
    assert lines[0].startswith("warn")
    assert "costmeter.yaml:1" in lines[0]
    assert "costmeter config check" in lines[0]


def test_a_model_without_a_price_fails() -> None:
    """A GPU nobody has a price for costs nothing in the totals: that is a failure, with the line to add."""
    code, lines = doctor("--simulate", "mixed")
    assert 1 == code
    assert any(line.startswith("fail") and "no price" in line and "gpu: {price" in line for line in lines)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        pytest.param(NO_ENERGY, "energy is estimated from utilization", id="no-energy"),
        pytest.param(NO_UTILIZATION, "utilization cannot be read", id="no-permission"),
        pytest.param("{kind: lost, at: 0 s}", "GPU", id="lost"),
    ],
)
def test_what_a_gpu_refuses_is_named(fault: str, says: str, tmp_path: Path) -> None:
    """A value that a GPU does not give is named with its reason."""
    file = tmp_path / "node.yaml"
    file.write_text(BROKEN.replace("FAULT", fault))
    _, lines = doctor("--simulate", str(file))
    assert any(says in line and not line.startswith("ok") for line in lines), lines


def test_a_divided_board_whose_instances_tell_what_they_do_is_fine(tmp_path: Path) -> None:
    """From Hopper on the performance monitor tells each instance's utilization: no warning says that nothing does."""
    file = tmp_path / "node.yaml"
    file.write_text(BROKEN.replace("    faults:\n      - FAULT\n", "    mig: [{profile: 3g.40gb}]\n"))
    _, lines = doctor("--simulate", str(file))
    (divided,) = (line for line in lines if "divided (MIG)" in line)
    assert divided.startswith("ok")
    assert "of no instance" not in divided


def test_a_look_at_the_kernel_log_is_not_called_a_fix(tmp_path: Path) -> None:
    """What a GPU that does not answer needs is not known: the log is where to look."""
    file = tmp_path / "node.yaml"
    file.write_text(BROKEN.replace("FAULT", "{kind: hang, at: 0 s}"))
    _, lines = doctor("--simulate", str(file))
    assert any("Look: sudo dmesg" in line for line in lines), lines
    assert not any("Fix: sudo dmesg" in line for line in lines)


def test_a_state_directory_that_cannot_be_written_fails(tmp_path: Path) -> None:
    """A file where the state directory should be is a failure, with the variable that moves it."""
    (tmp_path / "blocked").write_text("")
    code, lines = doctor("--simulate", "healthy", XDG_STATE_HOME=str(tmp_path / "blocked"))
    assert 1 == code
    assert any(line.startswith("fail") and "XDG_STATE_HOME" in line for line in lines)
