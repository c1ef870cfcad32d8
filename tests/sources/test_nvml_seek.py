"""Boards that were not found at first, or not all of them, and what later looks make of them."""

import threading
from collections.abc import Iterator

import pytest

from costmeter.errors import SourceStopped
from costmeter.readings import Device, Missing
from tests.sources.nodes import SECOND, STEADY
from tests.sources.nvml_bench import COUNTER, Bench, let_go

LOST = "faults: [{kind: lost, devices: [1], for: 10 s}]\n" + STEADY + "    count: 3\n"
HANGS = "faults: [{kind: hang, devices: [1], functions: [nvmlDeviceGetName], for: 10 s}]\n" + STEADY + "    count: 2\n"


@pytest.fixture(autouse=True)
def _real_driver_afterwards() -> Iterator[None]:
    """No test leaves its library below pynvml."""
    yield
    let_go()


def test_a_gpu_that_returns_is_found() -> None:
    """A GPU that was lost at the opening has its name at the first look after its return, and is read."""
    bench = Bench(LOST)
    bench.source.open()
    assert [device.uuid for device in bench.source.seek()] == [bench.uuids[0], "unidentified-1", bench.uuids[2]]
    bench.clock.advance(10 * SECOND)
    assert [device.uuid for device in bench.source.seek()] == list(bench.uuids)
    assert bench.read(index=1).power_watts == 300.0


def test_a_look_leaves_the_others_alone() -> None:
    """Only the board that is lost is asked: one that is known goes on with the fields that were found for it."""
    bench = Bench(LOST)
    first, _, last = bench.source.open()
    bench.clock.advance(10 * SECOND)
    bench.driver.called.clear()
    devices = bench.source.seek()
    assert (devices[0], devices[2]) == (first, last)
    assert bench.driver.called.count("nvmlDeviceGetUUID") == 1


def test_a_look_for_nothing_asks_nothing() -> None:
    """When every board is known no driver call is made."""
    bench = Bench(STEADY)
    devices = bench.source.open()
    bench.driver.called.clear()
    assert (bench.source.seek(), bench.driver.called) == (devices, [])


def test_a_board_that_has_no_source_of_energy_for_good_is_known() -> None:
    """A board that refuses each source for good is not asked again."""
    text = STEADY.replace("{start: 5 J}", "none") + "    power_reading: none\n    utilization_period: none\n"
    bench = Bench(text)
    [device] = bench.source.open()
    assert isinstance(device.method, Missing)
    bench.driver.called.clear()
    assert (bench.source.seek(), bench.driver.called) == ((device,), [])


def test_a_board_that_hung_when_it_was_probed_is_told_whole_later() -> None:
    """A GPU that knew its UUID and then hung has its name once it answered, from the probe that waited for it."""
    bench = Bench(HANGS, probe_seconds=0.2)
    _, hung = bench.source.open()
    assert hung.name == "unknown GPU"
    bench.clock.advance(10 * SECOND)
    for thread in threading.enumerate():
        if thread.name == "probe":
            thread.join()
    bench.driver.called.clear()
    found = bench.source.seek()[1]
    assert (found.uuid, found.name, found.method) == (hung.uuid, "NVIDIA H100 80GB HBM3", "counter")
    assert bench.driver.called == []


def test_a_board_that_still_hangs_is_not_asked_again() -> None:
    """Looking a hundred times at a GPU that hangs leaves one thread behind and not a hundred."""
    bench = Bench(HANGS, probe_seconds=0.2)
    devices = bench.source.open()
    assert {bench.source.seek() for _ in range(100)} == {devices}
    assert len([thread for thread in threading.enumerate() if thread.name == "probe"]) == 1


def test_a_board_that_died_when_it_was_probed_is_told_whole_later() -> None:
    """A GPU that failed all questions but the one for its UUID is asked again, and has a method then."""
    kind = "kind: error, code: RESET_REQUIRED, for: 5 s"
    names = f"{COUNTER}, nvmlDeviceGetPowerUsage, nvmlDeviceGetFieldValues, nvmlDeviceGetUtilizationRates"
    bench = Bench(STEADY + f"    faults: [{{{kind}, functions: [{names}]}}]\n")
    [device] = bench.source.open()
    assert device.method == Missing("GPU needs a reset")
    bench.clock.advance(5 * SECOND)
    [found] = bench.source.seek()
    assert found.method == "counter"


def test_a_look_at_a_driver_that_is_not_open_says_so() -> None:
    """Before the opening there is nothing to look at."""
    with pytest.raises(SourceStopped, match="not open"):
        Bench(STEADY).source.seek()


def test_a_reload_may_show_other_gpus() -> None:
    """After a reload the driver lists the third GPU first and the second not at all; each has its new index."""
    reload = "faults: [{kind: driver-reload, at: 10 s, for: 5 s, then_devices: [2, 0]}]\n"
    bench = Bench(reload + STEADY + "    count: 3\n")
    bench.source.open()
    bench.clock.advance(20 * SECOND)
    found: tuple[Device, ...] = bench.source.open()
    assert [(device.uuid, device.index) for device in found] == [(bench.uuids[2], 0), (bench.uuids[0], 1)]
    assert bench.read(index=2).utilization_ratio == 0.6
