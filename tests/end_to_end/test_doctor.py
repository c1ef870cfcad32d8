"""`costmeter doctor` through the installed command: what it says when things are well, and when each of them is not."""

import os
import subprocess
from pathlib import Path

import pexpect
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


ITEMS = """
items:
  - {name: checkpoints, path: ckpt, per_gb_month: 0.023}
  - {name: pipe, path: fifo, per_gb_month: 0.023}
  - {name: later, path: nowhere, per_gb_month: 0.023}
  - {name: egress, network: sent, per_gb: 0.09, interface: "nosuch*"}
  - {name: labels, fixed: 1200}
"""


def test_watched_items_are_looked_at(tmp_path: Path) -> None:
    """What a receipt would say of an item at the end is said before the start; what is not watched is not looked at."""
    (tmp_path / "costmeter.yaml").write_text(ITEMS)
    (tmp_path / "ckpt").mkdir()
    (tmp_path / "ckpt" / "a").write_bytes(b"x" * 5_000_000)
    os.mkfifo(tmp_path / "fifo")
    _, lines = doctor("--simulate", "healthy", folder=tmp_path)
    told = {line.split()[2].rstrip(":"): line for line in lines if " item " in line}
    assert ["checkpoints", "pipe", "later", "egress"] == list(told)
    assert "ok    item checkpoints: 0.005 GB at ckpt now." == told["checkpoints"]
    assert "warn  item pipe: neither a file nor a folder (fifo)." == told["pipe"]
    assert "warn  item later: there is nothing at this path yet (nowhere)." == told["later"]
    assert told["egress"].startswith('warn  item egress: no interface fits "nosuch*"')


def test_a_narrow_terminal_gets_wrapped_lines() -> None:
    """On 40 columns every finding is wrapped under its own text; receipts are 64 wide at least, and that is said."""
    with own_home() as environ:
        argv = ["doctor", "--simulate", "healthy"]
        asked = pexpect.spawn(COSTMETER, argv, env=environ, dimensions=(24, 40), timeout=60, encoding="utf-8")
        lines = asked.read().splitlines()
        asked.close()
    wide = [line for line in lines if len(line) > 40]
    assert [] == [line for line in wide if len(line.split()) > 1]  # a word alone cannot be wrapped
    assert any(line.startswith("      ") for line in lines)
    assert "receipts are 64 columns" in " ".join(" ".join(lines).split())


def test_configured_prices_are_trusted(tmp_path: Path) -> None:
    """A price and a grid factor from a file are fine, and the file and line are named."""
    (tmp_path / "costmeter.yaml").write_text("gpu: {price: 2.49}\ncarbon: {intensity: 380}\n")
    code, lines = doctor("--simulate", "healthy", folder=tmp_path)
    assert 0 == code
    assert {"ok"} == {line.split()[0] for line in lines if "the clock" not in line and " agent: " not in line}
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


def test_a_misspelt_scenario_is_a_wrong_flag() -> None:
    """A scenario that is none is refused as `run` does, by its flag and with the known names."""
    with own_home() as environ:
        argv = [COSTMETER, "doctor", "--simulate", "helthy"]
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60)
    assert (2, "") == (done.returncode, done.stdout)
    assert 'costmeter doctor: --simulate "helthy": neither a file nor one of healthy' in done.stderr
