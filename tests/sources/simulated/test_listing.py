"""Which devices the driver lists: boards that come late, disappear, or have another index after a reload."""

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.clock import ManualClock
from costmeter.sources.simulated.listing import listed
from tests.sources.nodes import SECOND, STEADY, driver, handle, node

GPU = "{name: X, power_limit: 700 W, idle_power: 70 W, memory: 80 GiB, uuid: GPU-%s%s}"
THREE = "devices:\n" + "".join(f"  - {GPU % (letter, '')}\n" for letter in "abc")


def reload(at: int, then: str = "") -> str:
    """A reload of 1 s."""
    return f"{{kind: driver-reload, at: {at} s, for: 1 s{then and f', then_devices: {then}'}}}"


def reloaded(*reloads: str) -> str:
    return f"faults: [{', '.join(reloads)}]\n{THREE}"


def uuids() -> list[str]:
    """The devices by index, as pynvml finds them."""
    return [pynvml.nvmlDeviceGetUUID(handle(index)) for index in range(pynvml.nvmlDeviceGetCount())]


def reopen() -> None:
    pynvml.nvmlShutdown()
    pynvml.nvmlInit()


def test_a_reload_gives_another_list() -> None:
    """Until 11 s three devices; then the third and the first, in this order, under the indexes 0 and 1."""
    clock = ManualClock(0)
    with driver(node(reloaded(reload(10, "[2, 0]")), clock)):
        assert uuids() == ["GPU-a", "GPU-b", "GPU-c"]
        clock.advance(11 * SECOND)
        reopen()
        assert uuids() == ["GPU-c", "GPU-a"]
        assert [pynvml.nvmlDeviceGetIndex(handle(index)) for index in (0, 1)] == [0, 1]
        assert pynvml.nvmlDeviceGetIndex(pynvml.nvmlDeviceGetHandleByUUID("GPU-a")) == 1
        with pytest.raises(pynvml.NVMLError_InvalidArgument):
            handle(2)


def test_a_device_that_disappeared_is_not_found() -> None:
    """By UUID and bus id it is not found; its handle of the session before is an invalid argument."""
    clock = ManualClock(0)
    with driver(node(reloaded(reload(10, "[2, 0]")), clock)):
        gone = handle(1)
        bus_id = pynvml.nvmlDeviceGetPciInfo(gone).busId
        clock.advance(11 * SECOND)
        reopen()
        with pytest.raises(pynvml.NVMLError_NotFound):
            pynvml.nvmlDeviceGetHandleByUUID("GPU-b")
        with pytest.raises(pynvml.NVMLError_NotFound):
            pynvml.nvmlDeviceGetHandleByPciBusId(bus_id)
        with pytest.raises(pynvml.NVMLError_InvalidArgument):
            pynvml.nvmlDeviceGetUUID(gone)


def test_a_handle_stays_with_its_board() -> None:
    """A handle asked for before a reload leads to the same board after it, under its new index."""
    clock = ManualClock(0)
    with driver(node(reloaded(reload(10, "[2, 1, 0]")), clock)):
        first = handle(0)
        clock.advance(11 * SECOND)
        reopen()
        assert (pynvml.nvmlDeviceGetUUID(first), pynvml.nvmlDeviceGetIndex(first)) == ("GPU-a", 2)


def test_a_late_device_is_seen_by_later_sessions() -> None:
    """Absent until 10 s, the middle device is in no session opened before; a second init keeps the first one's list."""
    clock = ManualClock(0)
    late = "devices:\n  - " + "\n  - ".join([GPU % ("a", ""), GPU % ("b", ", absent_until: 10 s"), GPU % ("c", "")])
    with driver(node(late, clock)):
        assert uuids() == ["GPU-a", "GPU-c"]
        clock.advance(10 * SECOND)
        pynvml.nvmlInit()
        assert uuids() == ["GPU-a", "GPU-c"]
        pynvml.nvmlShutdown()
        reopen()
        assert uuids() == ["GPU-a", "GPU-b", "GPU-c"]


def test_a_node_can_be_empty() -> None:
    """When every device is absent, the driver starts and lists none."""
    clock = ManualClock(0)
    with driver(node(STEADY + "    absent_until: 5 s\n", clock)):
        assert pynvml.nvmlDeviceGetCount() == 0
        clock.advance(5 * SECOND)
        reopen()
        assert pynvml.nvmlDeviceGetCount() == 1


def test_a_list_holds_until_the_next_one() -> None:
    """A reload without a list leaves the one before; one with a list replaces it, and can bring devices back."""
    scenario = node(reloaded(reload(30, "[1, 2, 0]"), reload(10, "[0]"), reload(20))).scenario

    assert [listed(scenario, second * SECOND) for second in (10, 11, 21, 31)] == [(0, 1, 2), (0,), (0,), (1, 2, 0)]


@given(st.permutations([0, 1, 2]), st.integers(0, 3))
def test_indexes_are_places_in_the_list(order: list[int], length: int) -> None:
    """Whatever the list, index i is its i-th board, and that board says it is i."""
    then = order[:length]
    clock = ManualClock(0)
    with driver(node(reloaded(reload(1, str(then))), clock)):
        clock.advance(2 * SECOND)
        reopen()
        assert uuids() == [f"GPU-{'abc'[board]}" for board in then]
        assert [pynvml.nvmlDeviceGetIndex(handle(index)) for index in range(length)] == list(range(length))
