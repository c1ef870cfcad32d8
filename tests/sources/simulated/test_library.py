"""Every function of the simulated driver, called through the real pynvml."""

from collections.abc import Callable, Iterator

import pynvml
import pytest

from costmeter.clock import ManualClock
from costmeter.sources.simulated import SimulatedLibrary
from costmeter.sources.simulated.codes import CODES, DEVICE_FUNCTIONS, FUNCTIONS
from tests.sources.nodes import SECOND, STEADY, driver, handle, node

GIB = 2**30
NODE = """
driver: {version: 535.1, nvml_version: 12.535.1, cuda_version: 12020}
devices:
  - name: NVIDIA H100 80GB HBM3
    count: 2
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    reserved_memory: 1 GiB
    energy_counter: {start: 5 J}
    load:
      - {shape: constant, for: 10 s, power: 300 W, utilization: 60 %}
      - {shape: constant, power: 500 W, utilization: 80 %}
    processes:
      - {pid: 100, memory: 20 GiB}
      - {pid: 200, memory: 10 GiB, from: 5 s, until: 8 s}
      - {pid: 300, memory: 1 GiB, type: graphics}
      - {pid: 400, memory: 1 GiB, type: mps}
  - name: Tesla P100-PCIE-16GB
    architecture: pascal
    power_limit: 250 W
    idle_power: 26 W
    memory: 16 GiB
    energy_counter: none
    power_reading: {window: 10 ms, instant_window: 10 ms, step: 20 ms}
    persistence: no
"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(0)


@pytest.fixture
def library(clock: ManualClock) -> Iterator[SimulatedLibrary]:
    with driver(node(NODE, clock)) as library:
        yield library


@pytest.mark.usefixtures("library")
def test_the_driver_names_itself() -> None:
    """Versions come from the scenario."""
    assert pynvml.nvmlSystemGetDriverVersion() == "535.1"
    assert pynvml.nvmlSystemGetNVMLVersion() == "12.535.1"
    assert pynvml.nvmlSystemGetCudaDriverVersion() == 12020
    assert pynvml.nvmlSystemGetCudaDriverVersion_v2() == 12020


def test_devices_are_found_by_every_name(library: SimulatedLibrary) -> None:
    """Index, UUID and PCI bus id (long and short) lead to the same device."""
    assert pynvml.nvmlDeviceGetCount() == 3
    for gpu in library.scenario.gpus:
        by_bus = pynvml.nvmlDeviceGetHandleByPciBusId(gpu.pci_bus_id)
        short = pynvml.nvmlDeviceGetHandleByPciBusId(gpu.pci_bus_id[4:].lower())
        for found in (handle(gpu.index), pynvml.nvmlDeviceGetHandleByUUID(gpu.uuid), by_bus, short):
            assert pynvml.nvmlDeviceGetUUID(found) == gpu.uuid
            assert pynvml.nvmlDeviceGetIndex(found) == gpu.index
            assert pynvml.nvmlDeviceGetName(found) == gpu.name
            assert pynvml.nvmlDeviceGetPciInfo(found).busId == gpu.pci_bus_id


@pytest.mark.usefixtures("library")
def test_unknown_devices_are_not_found() -> None:
    """A wrong index is an invalid argument; a wrong UUID or bus id is not found."""
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        handle(3)
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetHandleByUUID("GPU-0")
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetHandleByPciBusId("0000:00:00.0")
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceGetPowerUsage(pynvml.c_nvmlDevice_t())


@pytest.mark.usefixtures("library")
def test_power_is_a_mean_of_the_last_second(clock: ManualClock) -> None:
    """Half a second after 300 W became 500 W, the mean of 1 s is 400 W and the instant value is 500 W."""
    clock.advance(10 * SECOND + SECOND // 2)
    average, instant = pynvml.nvmlDeviceGetFieldValues(
        handle(), [pynvml.NVML_FI_DEV_POWER_AVERAGE, pynvml.NVML_FI_DEV_POWER_INSTANT]
    )

    assert pynvml.nvmlDeviceGetPowerUsage(handle()) == 400_000
    assert (average.value.uiVal, instant.value.uiVal) == (400_000, 500_000)


@pytest.mark.usefixtures("library")
def test_energy_is_the_same_everywhere(clock: ManualClock) -> None:
    """After 10 s at 300 W, the counter and its two fields hold 5 J + 3,000 J."""
    clock.advance(10 * SECOND)
    values = pynvml.nvmlDeviceGetFieldValues(handle(), [83, 191])

    assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle()) == 3_005_000
    assert [value.value.ullVal for value in values] == [3_005_000, 3_005_000]


@pytest.mark.usefixtures("library")
def test_each_field_has_its_own_return_code() -> None:
    """A field that a board does not have, or another scope, is refused; the other fields of the call answer."""
    fields = [83, pynvml.NVML_FI_DEV_POWER_AVERAGE, (pynvml.NVML_FI_DEV_POWER_INSTANT, 2), 186, 12_345]
    values = pynvml.nvmlDeviceGetFieldValues(handle(2), fields)

    assert [value.nvmlReturn for value in values] == [3, 3, 3, 0, 3]


@pytest.mark.usefixtures("library")
def test_utilization_is_that_of_the_last_whole_period(clock: ManualClock) -> None:
    """At 10.9 s the last whole second still had 60 %; at 11 s it has 80 %."""
    clock.advance(10_900_000_000)
    before = pynvml.nvmlDeviceGetUtilizationRates(handle())
    clock.advance(100_000_000)
    after = pynvml.nvmlDeviceGetUtilizationRates(handle())

    assert (before.gpu, after.gpu) == (60, 80)
    assert (before.memory, after.memory) == (36, 48)


@pytest.mark.usefixtures("library")
def test_memory_counts_processes_and_reserve() -> None:
    """22 GiB of processes: version 1 counts the driver's 1 GiB as used, version 2 names it."""
    first = pynvml.nvmlDeviceGetMemoryInfo(handle())
    second = pynvml.nvmlDeviceGetMemoryInfo(handle(), version=pynvml.nvmlMemory_v2)

    assert (first.total, first.used, first.free) == (80 * GIB, 23 * GIB, 57 * GIB)
    assert (second.used, second.reserved, second.free) == (22 * GIB, 1 * GIB, 57 * GIB)


@pytest.mark.usefixtures("library")
def test_processes_come_and_go(clock: ManualClock) -> None:
    """A process is listed from its start until just before its end; each GPU of an entry has pids of its own."""

    def pids(index: int) -> list[int]:
        return [process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle(index))]

    assert (pids(0), pids(1), pids(2)) == ([100], [101], [])
    clock.advance(5 * SECOND)
    assert pids(0) == [100, 200]
    clock.advance(3 * SECOND)
    assert pids(0) == [100]


@pytest.mark.usefixtures("library")
def test_processes_are_listed_by_kind() -> None:
    """Graphics and MPS processes have lists of their own, with the memory they hold."""
    [graphics] = pynvml.nvmlDeviceGetGraphicsRunningProcesses(handle())
    [client] = pynvml.nvmlDeviceGetMPSComputeRunningProcesses(handle())

    assert (graphics.pid, graphics.usedGpuMemory) == (300, GIB)
    assert client.pid == 400


def test_a_process_that_returns() -> None:
    """A process with `every` is there again in each round: 2 s to 6 s of every 10 s."""
    clock = ManualClock(0)
    text = STEADY + "    processes: [{pid: 7, from: 2 s, until: 6 s, every: 10 s}]\n"
    with driver(node(text, clock)):
        present = []
        for _ in range(20):
            present.append(bool(pynvml.nvmlDeviceGetComputeRunningProcesses(handle())))
            clock.advance(SECOND)

    assert [second for second in range(20) if present[second]] == [2, 3, 4, 5, 12, 13, 14, 15]


@pytest.mark.usefixtures("library")
def test_the_rest_of_a_device() -> None:
    """Limits, architecture, MIG mode, temperature and persistence are those of the scenario.

    300 W of 700 W warm a board by 300/700 × 45 = 19 degrees above 30.
    """
    hopper, pascal = handle(0), handle(2)

    assert pynvml.nvmlDeviceGetEnforcedPowerLimit(hopper) == 700_000
    assert pynvml.nvmlDeviceGetPowerManagementLimit(hopper) == 700_000
    assert pynvml.nvmlDeviceGetPowerManagementDefaultLimit(pascal) == 250_000
    assert pynvml.nvmlDeviceGetArchitecture(hopper) == pynvml.NVML_DEVICE_ARCH_HOPPER
    assert pynvml.nvmlDeviceGetArchitecture(pascal) == pynvml.NVML_DEVICE_ARCH_PASCAL
    assert pynvml.nvmlDeviceGetMigMode(hopper) == [0, 0]
    assert pynvml.nvmlDeviceGetTemperature(hopper, pynvml.NVML_TEMPERATURE_GPU) == 49
    assert (pynvml.nvmlDeviceGetPersistenceMode(hopper), pynvml.nvmlDeviceGetPersistenceMode(pascal)) == (1, 0)
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetMigMode(pascal)


def test_nothing_answers_before_init(clock: ManualClock) -> None:
    """Before nvmlInit and after the last nvmlShutdown, questions are answered with Uninitialized."""
    with driver(node(NODE, clock), init=False):
        with pytest.raises(pynvml.NVMLError_Uninitialized):
            pynvml.nvmlDeviceGetCount()
        pynvml.nvmlInit()
        pynvml.nvmlInit()
        device = handle()
        pynvml.nvmlShutdown()
        assert pynvml.nvmlDeviceGetPowerUsage(device) == 300_000
        pynvml.nvmlShutdown()
        with pytest.raises(pynvml.NVMLError_Uninitialized):
            pynvml.nvmlDeviceGetPowerUsage(device)
        with pytest.raises(pynvml.NVMLError_Uninitialized):
            pynvml.nvmlShutdown()


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("name", sorted(CODES))
def test_every_code_is_nvml_s_and_has_words(name: str) -> None:
    """Codes have the numbers of nvml.h, and nvmlErrorString says something about each."""
    constant = "NVML_SUCCESS" if name == "SUCCESS" else f"NVML_ERROR_{name}"

    assert getattr(pynvml, constant) == CODES[name][0]
    assert pynvml.nvmlErrorString(CODES[name][0]) == CODES[name][1]


def test_the_vocabulary_is_what_is_answered(library: SimulatedLibrary) -> None:
    """Every function that scenarios may name is there, and nothing more."""
    assert set(library._functions) == FUNCTIONS


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_an_older_driver_lacks_functions(name: str) -> None:
    """A function named in `missing_functions` cannot be looked up, as in a library that does not export it."""
    library = node(f"driver: {{missing_functions: [{name}]}}\n{STEADY}")

    with pytest.raises(AttributeError, match=name):
        getattr(library, name)


def test_pynvml_says_function_not_found() -> None:
    """A missing function reaches pynvml's users as Function Not Found."""
    with (
        driver(node(f"driver: {{missing_functions: [nvmlDeviceGetTotalEnergyConsumption]}}\n{STEADY}")),
        pytest.raises(pynvml.NVMLError_FunctionNotFound),
    ):
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle())


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(pynvml.nvmlDeviceGetPowerUsage, id="power"),
        pytest.param(pynvml.nvmlDeviceGetEnforcedPowerLimit, id="limit"),
        pytest.param(pynvml.nvmlDeviceGetUtilizationRates, id="utilization"),
    ],
)
def test_a_board_without_sensors_says_so(call: Callable[[object], object]) -> None:
    """A board without power reading or utilization answers Not Supported."""
    with (
        driver(node(STEADY + "    power_reading: none\n    utilization_period: none\n")),
        pytest.raises(pynvml.NVMLError_NotSupported),
    ):
        call(handle())


def test_a_small_buffer_is_too_small(library: SimulatedLibrary) -> None:
    """A text that does not fit with its final zero is refused."""
    buffer = pynvml.create_string_buffer(4)

    assert library.nvmlDeviceGetName(handle(), buffer, pynvml.c_uint(4)) == pynvml.NVML_ERROR_INSUFFICIENT_SIZE


def test_functions_that_take_devices_are_all_checked(library: SimulatedLibrary) -> None:
    """Every device function refuses a handle that the driver did not give out."""
    for name in DEVICE_FUNCTIONS:
        assert getattr(library, name)(pynvml.c_nvmlDevice_t()) == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_an_uninstalled_library_is_forgotten() -> None:
    """After uninstalling, pynvml keeps neither the library nor a function of it."""
    library = node(STEADY)
    with driver(library):
        pynvml.nvmlDeviceGetPowerUsage(handle())

    assert pynvml.nvmlLib is None
    assert pynvml._nvmlGetFunctionPointer_cache == {}


def test_only_the_installed_library_is_uninstalled() -> None:
    """Uninstalling a library that another one replaced leaves the other in place."""
    first, second = node(STEADY), node(STEADY)
    with driver(first), driver(second):
        first.uninstall()
        assert pynvml.nvmlLib is second
