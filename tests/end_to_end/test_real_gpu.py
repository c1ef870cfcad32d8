"""On a real GPU, if there is one: what the simulated driver stands for. `pytest -m gpu` runs these alone."""

import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.clock import RealClock
from costmeter.errors import SourceError
from costmeter.readings import Device, Missing
from costmeter.sources.nvml import NvmlSource
from tests.end_to_end.installed import COSTMETER, own_home, receipt

pytestmark = pytest.mark.gpu


@pytest.fixture
def source() -> Iterator[NvmlSource]:
    """The driver of this machine, open."""
    opened = NvmlSource(RealClock())
    try:
        opened.open()
    except SourceError as error:
        pytest.skip(f"no NVIDIA GPU: {error.message}")
    yield opened
    opened.close()


@pytest.fixture
def devices(source: NvmlSource) -> tuple[Device, ...]:
    """Everything it shows."""
    return source.open()


def test_a_real_device_is_probed(devices: tuple[Device, ...]) -> None:
    """It says who it is and how its energy can be known."""
    for device in devices:
        assert device.is_identified
        assert device.uuid.startswith(("GPU-", "MIG-"))
        assert not isinstance(device.method, Missing)
        assert isinstance(device.power_limit_watts, float)


def test_a_real_counter_agrees_with_power(source: NvmlSource, devices: tuple[Device, ...]) -> None:
    """Over five seconds the counter and the power readings of one board are within a third of each other."""
    for board in dict.fromkeys(device.board for device in devices if device.method == "counter"):
        first = source.read(board, slow=True)
        watts = []
        for _ in range(50):
            time.sleep(0.1)
            sample = source.sample(board)
            assert not isinstance(sample.power_watts, Missing)
            watts.append(sample.power_watts)
        last = source.read(board, slow=True)
        assert not isinstance(first.energy_microjoules, Missing)
        assert not isinstance(last.energy_microjoules, Missing)
        by_counter = (last.energy_microjoules - first.energy_microjoules) * 1_000 / (last.at_ns - first.at_ns)
        assert by_counter == pytest.approx(sum(watts) / len(watts), rel=1 / 3)


@pytest.mark.usefixtures("source")
def test_a_run_on_a_real_gpu(tmp_path: Path) -> None:
    """The installed command meters it: measured energy, every second accounted for, and no word of a simulation."""
    file = tmp_path / "receipt.json"
    with own_home() as environ:
        done = subprocess.run(
            [COSTMETER, "run", "--price", "2", "--json", str(file), "--", "sleep", "5"],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stdout) == (0, "")
    assert "simulated" not in done.stderr
    found = receipt(file)
    assert found["simulated"] is False
    assert found["energy"]["gpu_joules"] > 0
    assert found["meter"]["faults"] == []
    for device in found["devices"]:
        assert device["seconds"] == pytest.approx(found["run"]["seconds"], rel=Decimal("0.001"))
