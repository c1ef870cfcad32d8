"""A GPU that shares its module with a Grace CPU, and the numbers that few boards tell."""

import pynvml
import pytest

from costmeter.clock import ManualClock
from tests.sources.nodes import SECOND, STEADY, driver, handle, node

GRACE = STEADY + "    grace: yes\n    module_power: 120 W\n"


def fields(*asked: tuple[int, int]) -> list[tuple[int, int]]:
    """The return code and the value of each field of a scope."""
    values = pynvml.nvmlDeviceGetFieldValues(handle(), list(asked))
    return [(value.nvmlReturn, value.value.uiVal) for value in values]


def test_the_functions_cover_the_module() -> None:
    """300 W of the board and 120 W of the CPU: 420 W are read, and 4,200 J counted in 10 s after the first 5 J."""
    clock = ManualClock(0)
    with driver(node(GRACE, clock)) as library:
        clock.advance(10 * SECOND)
        truth, [uuid] = library.truth, library.truth.uuids
        assert pynvml.nvmlDeviceGetPowerUsage(handle()) == 420_000
        assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle()) == 4_205_000
        assert pynvml.nvmlDeviceGetFieldValues(handle(), [83])[0].value.ullVal == 4_205_000
        assert truth.energy_microjoules(uuid, 0, 10 * SECOND) == 3_000_000_000
        assert truth.module_energy_microjoules(uuid, 0, 10 * SECOND) == 4_200_000_000


def test_fields_tell_gpu_and_module_apart() -> None:
    """Scope 0 is the GPU's 300 W, scope 1 the module's 420 W, scope 2 (memory) is not there."""
    with driver(node(GRACE)):
        assert fields((185, 0), (186, 0), (185, 1), (186, 1)) == [(0, 300_000)] * 2 + [(0, 420_000)] * 2
        assert [code for code, _ in fields((186, 2), (83, 1))] == [3, 3]


def test_a_stuck_module_stands_still_as_a_whole() -> None:
    """A power reading of the module that is stuck includes the CPU."""
    with driver(node(GRACE + "    faults: [{kind: power-stuck}]\n")):
        assert pynvml.nvmlDeviceGetPowerUsage(handle()) == 420_000


def test_the_link_to_the_cpu_tells_grace() -> None:
    """A Grace module says that the link is on; `module_power` is nothing unless it is said."""
    with driver(node(STEADY + "    grace: yes\n")):
        assert pynvml.nvmlDeviceGetC2cModeInfoV(handle()).isC2cEnabled == 1
        assert pynvml.nvmlDeviceGetPowerUsage(handle()) == 300_000
        assert fields((186, 1)) == [(0, 300_000)]


@pytest.mark.parametrize("grace", ["", "    grace: no\n"])
def test_other_boards_have_no_module(grace: str) -> None:
    """Without a Grace CPU the link and the module's scope are not supported."""
    with driver(node(STEADY + grace)):
        with pytest.raises(pynvml.NVMLError_NotSupported):
            pynvml.nvmlDeviceGetC2cModeInfoV(handle())
        assert [code for code, _ in fields((186, 0), (186, 1))] == [0, 3]


def test_a_module_without_a_power_reading() -> None:
    """A sensor that is not there is not there for the module either."""
    with driver(node(GRACE + "    power_reading: none\n")):
        with pytest.raises(pynvml.NVMLError_NotSupported):
            pynvml.nvmlDeviceGetPowerUsage(handle())
        assert [code for code, _ in fields((185, 1), (186, 1))] == [3, 3]


def test_speeds_are_told_when_given() -> None:
    """Cores and the clock of the multiprocessors are the scenario's; other clocks are not supported."""
    with driver(node(STEADY + "    cores: 16896\n    max_sm_clock: 1980\n")):
        assert pynvml.nvmlDeviceGetNumGpuCores(handle()) == 16_896
        assert pynvml.nvmlDeviceGetMaxClockInfo(handle(), pynvml.NVML_CLOCK_SM) == 1_980
        assert pynvml.nvmlDeviceGetMaxClockInfo(handle(), pynvml.NVML_CLOCK_GRAPHICS) == 1_980
        with pytest.raises(pynvml.NVMLError_NotSupported):
            pynvml.nvmlDeviceGetMaxClockInfo(handle(), pynvml.NVML_CLOCK_MEM)


def test_speeds_are_not_told_otherwise() -> None:
    """A board of which nobody said them supports neither."""
    with driver(node(STEADY)):
        with pytest.raises(pynvml.NVMLError_NotSupported):
            pynvml.nvmlDeviceGetNumGpuCores(handle())
        with pytest.raises(pynvml.NVMLError_NotSupported):
            pynvml.nvmlDeviceGetMaxClockInfo(handle(), pynvml.NVML_CLOCK_SM)


@pytest.mark.parametrize(
    ("architecture", "capability"),
    [("pascal", (6, 0)), ("ampere", (8, 0)), ("ada", (8, 9)), ("hopper", (9, 0)), ("blackwell", (10, 0))],
)
def test_compute_capability_follows_from_the_architecture(architecture: str, capability: tuple[int, int]) -> None:
    """Each architecture has that of its datacentre chip."""
    with driver(node(STEADY + f"    architecture: {architecture}\n")):
        assert pynvml.nvmlDeviceGetCudaComputeCapability(handle()) == capability
