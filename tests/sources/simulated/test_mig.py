"""A divided board, as a user of pynvml meets it, and what is true of its instances."""

from collections.abc import Callable, Iterator
from typing import Any

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.clock import ManualClock
from costmeter.sources.simulated import SimulatedLibrary
from tests.sources.nodes import SECOND, STEADY, driver, handle, node

GB = 10**9
GIB = 2**30
NODE = """
devices:
  - name: NVIDIA A100-SXM4-80GB
    architecture: ampere
    power_limit: 400 W
    idle_power: 60 W
    memory: 81920 MiB
    reserved_memory: 1 GiB
    energy_counter: {start: 5 J}
    cores: 6912
    mig:
      - profile: 3g.40gb
        uuid: MIG-a
        load: {shape: constant, power: 100 W, utilization: 70 %}
        processes: [{pid: 11, memory: 8 GiB}, {pid: 12, memory: 1 GiB, type: graphics}]
      - profile: 1c.3g.40gb
        load: {shape: square, period: 10 s, high_for: 5 s, high: {power: 40 W, utilization: 80 %}, low: {}}
        processes: [{pid: 21, memory: 2 GiB}]
      - profile: 2c.3g.40gb
  - name: NVIDIA A30
    architecture: ampere
    power_limit: 165 W
    idle_power: 30 W
    memory: 24576 MiB
    mig_slices: 4
    mig: []
  - name: NVIDIA A100-SXM4-80GB
    architecture: ampere
    power_limit: 400 W
    idle_power: 60 W
    memory: 81920 MiB
  - name: Tesla V100-SXM2-16GB
    architecture: volta
    power_limit: 300 W
    idle_power: 40 W
    memory: 16 GiB
"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(0)


@pytest.fixture
def library(clock: ManualClock) -> Iterator[SimulatedLibrary]:
    with driver(node(NODE, clock)) as library:
        yield library


def instance(place: int, index: int = 0) -> Any:
    """The handle of a MIG device."""
    return pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle(index), place)


@pytest.mark.usefixtures("library")
def test_modes_and_places_of_boards() -> None:
    """Divided, in MIG mode with nothing on it, not divided, and too old for it."""
    assert [pynvml.nvmlDeviceGetMigMode(handle(index)) for index in range(3)] == [[1, 1], [1, 1], [0, 0]]
    assert [pynvml.nvmlDeviceGetMaxMigDeviceCount(handle(index)) for index in range(3)] == [7, 4, 0]
    for ask in (pynvml.nvmlDeviceGetMigMode, pynvml.nvmlDeviceGetMaxMigDeviceCount):
        with pytest.raises(pynvml.NVMLError_NotSupported):
            ask(handle(3))


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("index", "place", "error"),
    [
        pytest.param(0, 3, pynvml.NVMLError_NotFound, id="empty-place"),
        pytest.param(0, 7, pynvml.NVMLError_InvalidArgument, id="no-place"),
        pytest.param(1, 0, pynvml.NVMLError_NotFound, id="nothing-on-it"),
        pytest.param(2, 0, pynvml.NVMLError_NotFound, id="not-divided"),
        pytest.param(3, 0, pynvml.NVMLError_NotSupported, id="too-old"),
    ],
)
def test_places_without_an_instance(index: int, place: int, error: type[pynvml.NVMLError]) -> None:
    """A place without an instance is not found, and one that the board does not have is an invalid argument."""
    with pytest.raises(error):
        instance(place, index)


def test_an_instance_says_who_it_is(library: SimulatedLibrary) -> None:
    """Name, UUID, place and ids: the second and third share GPU instance 2, as compute instances 0 and 1."""
    handles = [instance(place) for place in range(3)]
    uuids = [pynvml.nvmlDeviceGetUUID(each) for each in handles]
    ids = [(pynvml.nvmlDeviceGetGpuInstanceId(h), pynvml.nvmlDeviceGetComputeInstanceId(h)) for h in handles]

    assert [pynvml.nvmlDeviceGetName(each) for each in handles] == [
        "NVIDIA A100-SXM4-80GB MIG 3g.40gb",
        "NVIDIA A100-SXM4-80GB MIG 1c.3g.40gb",
        "NVIDIA A100-SXM4-80GB MIG 2c.3g.40gb",
    ]
    assert ids == [(1, 0), (2, 0), (2, 1)]
    assert [pynvml.nvmlDeviceGetIndex(each) for each in handles] == [0, 1, 2]
    assert uuids == list(library.truth.instance_uuids)
    assert uuids[0] == "MIG-a"
    assert uuids[1].startswith("MIG-")
    assert uuids[1] != uuids[2]
    for uuid in uuids:
        assert pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByUUID(uuid)) == uuid


def test_instances_and_boards_are_told_apart(library: SimulatedLibrary) -> None:
    """An instance leads to its board; a board is no instance, leads to none, and has no ids or attributes of one."""
    board = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(instance(1))

    assert pynvml.nvmlDeviceGetUUID(board) == library.truth.uuids[0]
    assert [pynvml.nvmlDeviceIsMigDeviceHandle(each).value for each in (instance(1), board)] == [1, 0]
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(board)
    for ask in (
        pynvml.nvmlDeviceGetGpuInstanceId,
        pynvml.nvmlDeviceGetComputeInstanceId,
        pynvml.nvmlDeviceGetAttributes_v2,
    ):
        with pytest.raises(pynvml.NVMLError_NotSupported):
            ask(board)


@pytest.mark.usefixtures("library")
def test_attributes_are_those_of_the_profile() -> None:
    """3g.40gb has 3 slices of 14 multiprocessors; 1c.3g.40gb has one of the three. 40 GB are 38,146 MiB."""
    told = [pynvml.nvmlDeviceGetAttributes_v2(instance(place)) for place in range(3)]

    assert [each.gpuInstanceSliceCount for each in told] == [3, 3, 3]
    assert [each.computeInstanceSliceCount for each in told] == [3, 1, 2]
    assert [each.multiprocessorCount for each in told] == [42, 14, 28]
    assert [each.memorySizeMB for each in told] == [38_146] * 3


@pytest.mark.usefixtures("library")
def test_memory_is_the_gpu_instance_s() -> None:
    """9 GiB of 40 GB in the first; 2 GiB in the second, which the third shares; 11 GiB and the reserve on the board."""
    used = [pynvml.nvmlDeviceGetMemoryInfo(instance(place)).used for place in range(3)]
    second = pynvml.nvmlDeviceGetMemoryInfo(instance(1), version=pynvml.nvmlMemory_v2)

    assert used == [9 * GIB, 2 * GIB, 2 * GIB]
    assert (second.total, second.used, second.free) == (40 * GB, 2 * GIB, 40 * GB - 2 * GIB)
    assert pynvml.nvmlDeviceGetMemoryInfo(handle()).used == 12 * GIB


@pytest.mark.usefixtures("library")
def test_processes_are_listed_where_they_run() -> None:
    """Each instance lists its own; the board lists all of a kind, with the instances they are in."""

    def listed(device: Any) -> list[tuple[int, int, int]]:
        found = pynvml.nvmlDeviceGetComputeRunningProcesses(device)
        return [(each.pid, each.gpuInstanceId, each.computeInstanceId) for each in found]

    assert [listed(instance(place)) for place in range(3)] == [[(11, 1, 0)], [(21, 2, 0)], []]
    assert listed(handle()) == [(11, 1, 0), (21, 2, 0)]
    assert [each.pid for each in pynvml.nvmlDeviceGetGraphicsRunningProcesses(instance(0))] == [12]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    "call",
    [
        pynvml.nvmlDeviceGetPowerUsage,
        pynvml.nvmlDeviceGetTotalEnergyConsumption,
        pynvml.nvmlDeviceGetUtilizationRates,
        pynvml.nvmlDeviceGetEnforcedPowerLimit,
        pynvml.nvmlDeviceGetPciInfo,
        pynvml.nvmlDeviceGetNumGpuCores,
        pynvml.nvmlDeviceGetMigMode,
        pynvml.nvmlDeviceGetC2cModeInfoV,
    ],
)
def test_what_belongs_to_the_board_is_refused(call: Callable[[Any], Any]) -> None:
    """Power, energy, utilization and the like are not supported by an instance."""
    with pytest.raises(pynvml.NVMLError_NotSupported):
        call(instance(0))


@pytest.mark.usefixtures("library")
def test_fields_of_an_instance_are_all_refused() -> None:
    """The call answers, and each field of it is not supported; no field at all is an invalid argument."""
    values = pynvml.nvmlDeviceGetFieldValues(instance(0), [83, 185, 186])

    assert [value.nvmlReturn for value in values] == [3, 3, 3]
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceGetFieldValues(instance(0), [])


@pytest.mark.usefixtures("library")
def test_a_divided_board_tells_no_utilization() -> None:
    """In MIG mode the board refuses utilization and cores, and tells its limit; the chip is the same for both."""
    for call in (pynvml.nvmlDeviceGetUtilizationRates, pynvml.nvmlDeviceGetNumGpuCores):
        with pytest.raises(pynvml.NVMLError_NotSupported):
            call(handle(0))
    assert pynvml.nvmlDeviceGetEnforcedPowerLimit(handle(0)) == 400_000
    assert pynvml.nvmlDeviceGetCudaComputeCapability(instance(0)) == (8, 0)
    assert pynvml.nvmlDeviceGetArchitecture(instance(0)) == pynvml.NVML_DEVICE_ARCH_AMPERE


def test_a_board_draws_the_sum_of_its_instances(library: SimulatedLibrary, clock: ManualClock) -> None:
    """60 W idle + 100 W + 40 W half of the time: 200 W at 5 s, 160 W at 10 s, and in 10 s 1,800 J.

    Of those 1,000 J are the first instance's, 200 J the second's, none the third's, and 600 J nobody's.
    """
    truth = library.truth
    clock.advance(5 * SECOND)
    assert pynvml.nvmlDeviceGetPowerUsage(handle()) == 200_000
    clock.advance(5 * SECOND)
    assert pynvml.nvmlDeviceGetPowerUsage(handle()) == 160_000
    assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle()) == 5_000 + 1_800_000
    assert truth.energy_microjoules(truth.uuids[0], 0, 10 * SECOND) == 1_800_000_000
    own = [truth.instance_energy_microjoules(uuid, 0, 10 * SECOND) for uuid in truth.instance_uuids]
    assert own == [1_000_000_000, 200_000_000, 0]


def test_a_board_computes_by_slices(library: SimulatedLibrary) -> None:
    """In 10 s the first instance computes all the time (3 slices), the second half of it (1): 3.5 of 7 slices.

    Utilization is 70 % of 3 slices and 80 % of one for half of the time: (2.1 + 0.4) / 7.
    """
    truth = library.truth
    own = [truth.instance_busy_nanoseconds(uuid, 0, 10 * SECOND) for uuid in truth.instance_uuids]

    assert own == [10 * SECOND, 5 * SECOND, 0]
    assert truth.busy_nanoseconds(truth.uuids[0], 0, 10 * SECOND) == 5 * SECOND
    assert truth.mean_utilization(truth.uuids[0], 0, 10 * SECOND) == pytest.approx(2.5 / 7)


def test_a_board_may_have_the_load_itself() -> None:
    """Instances without loads leave the board its own: 300 W, and nobody knows what each drew."""
    text = STEADY + "    mig: [{profile: 3g.40gb}, {profile: 4g.40gb}]\n"
    with driver(node(text)) as library:
        assert pynvml.nvmlDeviceGetPowerUsage(handle()) == 300_000
        assert library.truth.instance_uuids == ()


def test_boards_of_one_entry_have_instances_of_their_own() -> None:
    """Two boards of one entry: four UUIDs, the same ones every time, and each leads to its own board."""
    text = STEADY + "    count: 2\n    mig: [{profile: 1g.10gb+me}, {profile: 1g.10gb}]\n"
    found = []
    for _ in range(2):
        with driver(node(text)):
            handles = [instance(place, index) for index in (0, 1) for place in (0, 1)]
            boards = [pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(each) for each in handles]
            assert [pynvml.nvmlDeviceGetIndex(board) for board in boards] == [0, 0, 1, 1]
            found.append([pynvml.nvmlDeviceGetUUID(each) for each in handles])

    assert found[0] == found[1]
    assert len(set(found[0])) == 4


@pytest.mark.parametrize(("power", "busy"), [pytest.param("35 W", 1, id="works"), pytest.param("34 W", 0, id="spins")])
def test_a_spin_is_judged_by_the_instance_s_share(power: str, busy: int) -> None:
    """Of 400 W, 3 of 7 slices may draw 171 W: at 99 % utilization a fifth of that, 34.3 W, is the least work draws."""
    truth = node(NODE.replace("power: 100 W, utilization: 70 %", f"power: {power}, utilization: 99 %")).truth

    assert truth.instance_busy_nanoseconds("MIG-a", 0, SECOND) == busy * SECOND


def test_whole_instances_stand_alone() -> None:
    """Neither neighbours of one profile without a `c`, nor a shared one and its whole twin, share a GPU instance."""
    text = STEADY + "    mig: [{profile: 1g.10gb}, {profile: 1g.10gb}, {profile: 1c.2g.20gb}, {profile: 2g.20gb}]\n"
    with driver(node(text)):
        ids = [pynvml.nvmlDeviceGetGpuInstanceId(instance(place)) for place in range(4)]

    assert ids == [1, 2, 3, 4]


def test_shared_gpu_instances_fill_up() -> None:
    """Of five compute instances of one slice, three fill GPU instance 1 and two begin GPU instance 2."""
    text = STEADY + f"    mig: [{', '.join(['{profile: 1c.3g.40gb}'] * 5)}]\n"
    with driver(node(text)):
        handles = [instance(place) for place in range(5)]
        ids = [(pynvml.nvmlDeviceGetGpuInstanceId(h), pynvml.nvmlDeviceGetComputeInstanceId(h)) for h in handles]

    assert ids == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]


def test_a_lost_board_loses_its_instances() -> None:
    """A fault of the board strikes its instances' handles, and their UUIDs lead to a lost GPU."""
    clock = ManualClock(0)
    text = STEADY + "    mig: [{profile: 7g.80gb, uuid: MIG-a}]\n    faults: [{kind: lost, at: 1 s}]\n"
    with driver(node(text, clock)):
        device = instance(0)
        clock.advance(SECOND)
        with pytest.raises(pynvml.NVMLError_GpuIsLost):
            pynvml.nvmlDeviceGetUUID(device)
        with pytest.raises(pynvml.NVMLError_GpuIsLost):
            pynvml.nvmlDeviceGetHandleByUUID("MIG-a")


@given(st.lists(st.integers(0, 3_600 * SECOND), min_size=3, max_size=3).map(sorted), st.integers(0, 600))
def test_instances_and_idle_power_are_the_board(edges: list[int], shift: int) -> None:
    """In any window the instances' energies and the idle power are the board's, to 1 µJ each, and windows add up."""
    truth = node(NODE.replace("    cores: 6912", f"    cores: 6912\n    load_shift: {shift} s\n    spread: 0 %")).truth
    a, b, c = edges
    own = sum(truth.instance_energy_microjoules(uuid, a, c) for uuid in truth.instance_uuids)

    assert abs(truth.energy_microjoules(truth.uuids[0], a, c) - own - 60_000 * (c - a) // 10**6) <= 5
    for uuid in truth.instance_uuids:
        for quantity in (truth.instance_energy_microjoules, truth.instance_busy_nanoseconds):
            assert quantity(uuid, a, c) == quantity(uuid, a, b) + quantity(uuid, b, c)
