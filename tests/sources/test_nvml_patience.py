"""Trouble that passes: what a probe asks again, what later looks bring, and the name of a GPU that tells none."""

from collections.abc import Iterator
from typing import Any

import pytest

from costmeter.clock import RealClock
from costmeter.readings import Device, Missing
from costmeter.sources.nvml import NvmlSource
from tests.sources.nodes import SECOND, STEADY, node
from tests.sources.nvml_bench import COUNTER, FIELDS, POWER, TIMEOUT, UTILIZATION, Bench, let_go

DIVIDED = STEADY + "    mig: [{profile: 3g.40gb}, {profile: 4g.40gb}]\n"
H100 = "NVIDIA H100 80GB HBM3"

#: Calls whose answers a board may owe, and a node on which they matter.
OWED = [
    pytest.param(STEADY, "nvmlDeviceGetUUID", id="uuid"),
    pytest.param(STEADY, "nvmlDeviceGetName", id="name"),
    pytest.param(STEADY, "nvmlDeviceGetEnforcedPowerLimit, nvmlDeviceGetPowerManagementLimit", id="limit"),
    pytest.param(STEADY, f"{COUNTER}, {POWER}, {UTILIZATION}, {FIELDS}", id="energy"),
    pytest.param(DIVIDED, "nvmlDeviceGetMigMode", id="mig-mode"),
    pytest.param(DIVIDED, "nvmlDeviceGetMaxMigDeviceCount", id="mig-places"),
    pytest.param(DIVIDED, "nvmlDeviceGetMigDeviceHandleByIndex", id="mig-instance"),
]


@pytest.fixture(autouse=True)
def _real_driver_afterwards() -> Iterator[None]:
    """No test leaves its library below pynvml."""
    yield
    let_go()


def failing(text: str, functions: str, length: str, code: str = "TIMEOUT") -> str:
    """A node whose only board fails these functions from the start, for so long."""
    return text + f"    faults: [{{kind: error, code: {code}, for: {length}, functions: [{functions}]}}]\n"


def healthy(text: str) -> tuple[Device, ...]:
    """What the same node shows without trouble."""
    bench = Bench(text)
    devices = bench.source.open()
    bench.source.close()
    return devices


@pytest.mark.parametrize("code", ["TIMEOUT", "UNKNOWN", "IN_USE"])
@pytest.mark.parametrize(("text", "functions"), OWED)
def test_short_trouble_never_shows(text: str, functions: str, code: str) -> None:
    """Calls that fail for the first 0.2 s and then answer leave no trace: devices are those of a healthy node."""
    expected, clock = healthy(text), RealClock()
    library = node(failing(text, functions, "200 ms", code), clock, clock.boottime_ns())
    source = NvmlSource(clock, library)
    assert source.open() == expected
    assert source.is_settled


def test_a_handle_that_comes_at_the_third_time_is_taken() -> None:
    """Two refusals with TIMEOUT and then a handle: the board is identified, after three calls for it."""
    expected, name = healthy(STEADY), "nvmlDeviceGetHandleByIndex_v2"
    bench = Bench(STEADY)

    def third_time(*arguments: Any) -> int:
        code: int = TIMEOUT if bench.driver.called.count(name) < 3 else bench.driver.simulated(name)(*arguments)
        return code

    bench.driver.instead[name] = third_time
    assert bench.source.open() == expected
    assert bench.driver.called.count(name) == 3


@pytest.mark.parametrize(("text", "functions"), OWED)
def test_what_is_owed_is_brought_by_a_later_look(text: str, functions: str) -> None:
    """Calls that fail for 5 s: a look meanwhile changes nothing, one afterwards finds the healthy node's devices."""
    expected = healthy(text)
    bench = Bench(failing(text, functions, "5 s"), probe_seconds=0.2)
    devices = bench.source.open()
    assert devices != expected
    assert (bench.source.seek(), bench.source.is_settled) == (devices, False)
    bench.clock.advance(5 * SECOND)
    assert bench.source.seek() == expected
    assert bench.source.is_settled


def test_a_later_look_loses_nothing() -> None:
    """A board that owed its limit and tells it, but no longer its name, keeps the name and goes on owing the limit."""
    expected = healthy(STEADY)
    limits = "nvmlDeviceGetEnforcedPowerLimit, nvmlDeviceGetPowerManagementLimit"
    name = "{kind: error, code: TIMEOUT, at: 5 s, for: 5 s, functions: [nvmlDeviceGetName]}"
    text = failing(STEADY, limits, "5 s").replace("}]\n", "}, " + name + "]\n")
    bench = Bench(text, probe_seconds=0.2)
    devices = bench.source.open()
    assert (devices[0].name, devices[0].power_limit_watts) == (H100, Missing("the driver timed out"))
    bench.clock.advance(5 * SECOND)
    assert bench.source.seek() == devices
    bench.clock.advance(5 * SECOND)
    assert bench.source.seek() == expected


def test_what_is_refused_for_good_is_asked_once() -> None:
    """A name that is not supported is not asked again, neither at once nor by a later look."""
    bench = Bench(failing(STEADY, "nvmlDeviceGetName", "1 h", "NOT_SUPPORTED"))
    devices = bench.source.open()
    assert bench.source.is_settled
    assert bench.source.seek() == devices
    assert bench.driver.called.count("nvmlDeviceGetName") == 1


def test_trouble_by_chance_costs_no_gpu() -> None:
    """When each call fails with a probability of 30 %, all four boards are identified, named and read all the same."""
    clock = RealClock()
    text = STEADY + "    count: 4\n    faults: [{kind: error, code: UNKNOWN, probability: 30 %}]\n"
    library = node(text, clock, clock.boottime_ns())
    devices = NvmlSource(clock, library).open()
    assert [device.uuid for device in devices] == list(library.truth.uuids)
    assert [(device.name, device.power_limit_watts) for device in devices] == [(H100, 700.0)] * 4


LOST = "faults: [{kind: lost, devices: [1]}]\n"
A100 = STEADY.replace("H100 80GB HBM3", "A100-SXM4-80GB").replace("\ndevices:\n", "")


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        pytest.param(H100, STEADY + "    count: 3\n", id="all-alike"),
        pytest.param(H100, DIVIDED + STEADY.replace("\ndevices:\n", ""), id="a-divided-board-gives-the-boards-name"),
        pytest.param("unidentified GPU", STEADY + "    count: 2\n" + A100, id="of-two-models"),
    ],
)
def test_a_gpu_that_does_not_say_who_it_is_is_named_like_the_others(expected: str, text: str) -> None:
    """Where all other boards have one name, the lost one has it, and so their price; where they differ, it has none."""
    [lost] = [device for device in Bench(LOST + text).source.open() if not device.is_identified]
    assert (lost.uuid, lost.name, lost.method) == ("unidentified-1", expected, Missing("GPU is lost"))


def test_a_gpu_that_is_alone_is_named_like_no_other() -> None:
    """Without another board there is no name to take."""
    [lost] = Bench(LOST.replace("1", "0") + STEADY).source.open()
    assert lost.name == "unidentified GPU"
