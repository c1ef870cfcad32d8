"""Boards in MIG mode: their instances are the devices, and the board is what is read."""

from collections.abc import Callable, Iterator
from typing import Any

import pynvml
import pytest

from costmeter.errors import DeviceGone
from costmeter.readings import Device, Mig, Missing
from tests.sources.nodes import SECOND, STEADY
from tests.sources.nvml_bench import NOT_SUPPORTED, Bench, fill, let_go

DIVIDED = (
    STEADY
    + """
    mig:
      - {profile: 3g.40gb, processes: [{pid: 31, memory: 1 GiB}]}
      - {profile: 1c.2g.20gb}
      - {profile: 1c.2g.20gb, processes: [{pid: 12, memory: 1 GiB}]}
      - {profile: 1g.10gb}
"""
)
#: Place, GPU instance, compute instance, first slice, end slice.
WHERE = [(0, 1, 0, 0, 3), (1, 2, 0, 3, 4), (2, 2, 1, 4, 5), (3, 3, 0, 5, 6)]


@pytest.fixture(autouse=True)
def _real_driver_afterwards() -> Iterator[None]:
    """No test leaves its library below pynvml."""
    yield
    let_go()


def where(device: Device) -> tuple[int, int, int, int, int]:
    """The place of an instance, its two ids and its slices."""
    mig = device.mig
    assert mig is not None
    return (mig.place, mig.gpu_instance, mig.compute_instance, mig.first_slice, mig.end_slice)


def test_a_divided_board_is_its_instances() -> None:
    """Each instance is a device with the board's index and limit, a UUID and name of its own, and slices side by side.

    3 + 1 + 1 + 1 of 7: what is left belongs to nobody.
    """
    bench = Bench(DIVIDED)
    devices = bench.source.open()
    [board] = bench.uuids
    assert [where(device) for device in devices] == WHERE
    assert {(device.board, device.index, device.power_limit_watts, device.method) for device in devices} == {
        (board, 0, 700.0, "counter")
    }
    assert {device.mig.slices for device in devices if device.mig} == {7}
    assert devices[0].name == "NVIDIA H100 80GB HBM3 MIG 3g.40gb"
    assert len({device.uuid for device in devices}) == 4
    assert all(device.uuid.startswith("MIG-") for device in devices)


def test_a_divided_board_is_read_once() -> None:
    """The board has the energy of all instances, 605 J after 2 s; utilization it refuses for good, and is not asked."""
    bench = Bench(DIVIDED)
    bench.source.open()
    bench.clock.advance(2 * SECOND)
    reading = bench.read()
    assert (reading.uuid, reading.energy_microjoules, reading.power_watts) == (bench.uuids[0], 605_000_000, 300.0)
    assert reading.utilization_ratio == Missing("not supported by this GPU")
    assert "nvmlDeviceGetUtilizationRates" not in bench.asked()


def test_an_instance_cannot_be_read() -> None:
    """Energy is the board's: whoever asks an instance for it is told that there is no such board."""
    bench = Bench(DIVIDED)
    instance = bench.source.open()[0].uuid
    with pytest.raises(DeviceGone, match="does not list"):
        bench.source.read(instance, slow=False)


def test_processes_are_those_of_the_instance() -> None:
    """Each instance lists its own processes, by its own handle."""
    bench = Bench(DIVIDED)
    devices = bench.source.open()
    assert [bench.source.processes(device.uuid) for device in devices] == [(31,), (), (12,), ()]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(STEADY + "    mig: []\n", id="nothing-created"),
        pytest.param("driver: {missing_functions: [nvmlDeviceGetMaxMigDeviceCount]}\n" + DIVIDED, id="older-driver"),
        pytest.param("driver: {missing_functions: [nvmlDeviceGetMigMode]}\n" + DIVIDED, id="driver-before-mig"),
    ],
)
def test_a_board_without_instances_is_one_device(text: str) -> None:
    """In MIG mode with nothing on it, or where the driver cannot say what is, the board is the device."""
    bench = Bench(text)
    [device] = bench.source.open()
    assert (device.uuid, device.mig, device.method) == (bench.uuids[0], None, "counter")


def test_boards_beside_a_divided_one_are_whole() -> None:
    """Of two boards one is divided; the other is one device with index 1."""
    bench = Bench(DIVIDED + STEADY.removeprefix("\ndevices:\n"))
    devices = bench.source.open()
    assert [(device.index, device.mig is None) for device in devices] == [(0, False)] * 4 + [(1, True)]


def with_holes(bench: Bench, *holes: int) -> Callable[..., int]:
    """The driver's places, some of them empty."""
    simulated = bench.driver.simulated("nvmlDeviceGetMigDeviceHandleByIndex")

    def answer(handle: Any, place: Any, instance: Any) -> int:
        return pynvml.NVML_ERROR_NOT_FOUND if place.value in holes else int(simulated(handle, place, instance))

    return answer


def test_holes_between_instances_are_passed_over() -> None:
    """When the first and third place are empty, the other instances are found, and their slices begin at 0."""
    bench = Bench(DIVIDED)
    bench.driver.instead["nvmlDeviceGetMigDeviceHandleByIndex"] = with_holes(bench, 0, 2)
    assert [where(device) for device in bench.source.open()] == [(1, 2, 0, 0, 1), (3, 3, 0, 1, 2)]


def test_slices_are_named_where_the_driver_does_not_count_them() -> None:
    """Without attributes an instance has the slices of its name: 3g has 3, 1c.2g has 1."""
    bench = Bench(DIVIDED)
    bench.driver.instead["nvmlDeviceGetAttributes_v2"] = lambda *_: NOT_SUPPORTED
    assert [where(device) for device in bench.source.open()] == WHERE


def test_an_instance_that_says_only_its_uuid_is_held_all_the_same() -> None:
    """Name, ids and attributes may all fail: the instance has one slice, and ids that no other has."""
    bench = Bench(DIVIDED)
    silent = ("nvmlDeviceGetAttributes_v2", "nvmlDeviceGetGpuInstanceId", "nvmlDeviceGetComputeInstanceId")
    bench.driver.instead |= dict.fromkeys((*silent, "nvmlDeviceGetName"), lambda *_: NOT_SUPPORTED)
    first, *_ = bench.source.open()
    assert (first.name, first.mig) == ("unknown GPU MIG", Mig(bench.uuids[0], 0, -1, -1, 0, 1, 7))


@pytest.mark.parametrize("count", [0, 1_000, 0xFFFFFFFF])
def test_an_impossible_number_of_slices_is_not_believed(count: int) -> None:
    """None, a thousand or all ones: the name counts, and slices never go beyond the board's."""
    bench = Bench(DIVIDED)
    bench.driver.instead["nvmlDeviceGetAttributes_v2"] = fill(computeInstanceSliceCount=count)
    assert [where(device) for device in bench.source.open()] == WHERE


@pytest.mark.parametrize("places", [0, 65, 0xFFFFFFFF])
def test_an_impossible_number_of_places_is_not_believed(places: int) -> None:
    """A driver that has no places, or more than any board, is not asked for each: the board is one device."""
    bench = Bench(DIVIDED)
    bench.driver.instead["nvmlDeviceGetMaxMigDeviceCount"] = fill(value=places)
    [device] = bench.source.open()
    assert device.mig is None
