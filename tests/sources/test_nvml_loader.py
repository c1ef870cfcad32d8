"""The NVML source on a real shared library, found by the loader as libnvidia-ml.so.1."""

import json
import subprocess
import sys
from typing import Any

import pytest

from costmeter.units import NANOSECONDS_PER_SECOND
from tests.bench.stub_driver import build, compiler

METER = """
import dataclasses, json, sys
from costmeter.clock import RealClock
from costmeter.sources.nvml import NvmlSource
clock = RealClock()
source = NvmlSource(clock)
devices = source.open()
started = clock.boottime_ns()
readings = [dataclasses.asdict(source.read(device.uuid, True)) for device in devices]
answer = {
    "started": started,
    "facts": dataclasses.asdict(source.facts()),
    "devices": [dataclasses.asdict(device) for device in devices],
    "readings": readings,
    "processes": [source.processes(device.uuid) for device in devices],
    "simulated": sorted(name for name in sys.modules if "simulated" in name),
}
source.close()
print(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which a process finds the stub driver."""
    if compiler() is None:
        pytest.skip("gcc is not installed")
    return build(tmp_path_factory.mktemp("stub"))


@pytest.fixture(scope="module")
def metered(environment: dict[str, str]) -> dict[str, Any]:
    """What a process that meters the stub driver found."""
    argv = [sys.executable, "-c", METER]
    answer = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_the_loader_s_driver_is_opened(metered: dict[str, Any]) -> None:
    """Any libnvidia-ml.so.1 on the loader's path is opened, and is not called simulated."""
    assert metered["facts"] == {"version": "999.1", "simulated": False}
    assert [device["index"] for device in metered["devices"]] == list(range(8))
    assert {device["method"] for device in metered["devices"]} == {"counter"}
    assert {device["power_limit_watts"] for device in metered["devices"]} == {700.0}
    assert metered["devices"][3]["uuid"] == "GPU-00000000-0000-4000-8000-000000000003"
    assert metered["devices"][3]["pci_bus_id"] == "00000000:03:00.0"


def test_the_loader_s_driver_is_read(metered: dict[str, Any]) -> None:
    """Readings have the stub's 300 + i W, 60 %, 20 GiB and pid 1000 + i."""
    for index, reading in enumerate(metered["readings"]):
        assert reading["power_watts"] == 300.0 + index
        assert reading["utilization_ratio"] == 0.6
        assert reading["memory_used_bytes"] == 20 * 2**30
    assert metered["processes"] == [[1000 + index] for index in range(8)]


def test_the_loader_s_counter_is_read_whole(metered: dict[str, Any]) -> None:
    """Each counter holds its power since boot, between the step before the reading began and the reading itself."""
    for index, reading in enumerate(metered["readings"]):
        watts = 300 + index
        step_ns = NANOSECONDS_PER_SECOND // 10
        earliest_uj = watts * (metered["started"] - step_ns) // 1_000
        assert earliest_uj <= reading["energy_microjoules"] <= watts * reading["at_ns"] // 1_000


def test_a_real_driver_loads_no_simulation(metered: dict[str, Any]) -> None:
    """Who has a driver does not pay for loading the simulated one."""
    assert metered["simulated"] == []


NO_GPU = """
from costmeter.clock import RealClock
from costmeter.errors import SourceStopped
from costmeter.sources.nvml import NvmlSource
try:
    NvmlSource(RealClock()).open()
except SourceStopped as error:
    print(error.message, error.hint, sep="; ")
"""


def test_a_driver_without_gpus_is_explained(environment: dict[str, str]) -> None:
    """A driver that lists no GPU stops the source, and the user learns where to look."""
    argv = [sys.executable, "-c", NO_GPU]
    empty = {**environment, "STUB_NVML_GPUS": "0"}
    said = subprocess.run(argv, env=empty, capture_output=True, text=True, timeout=60, check=True).stdout

    assert said == "the NVIDIA driver lists no GPU; run `nvidia-smi -L` to see what the driver sees\n"
