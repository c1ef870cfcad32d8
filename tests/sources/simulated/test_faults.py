"""What goes wrong on a simulated node, as a user of pynvml meets it."""

import subprocess
import sys
import threading
from pathlib import Path

import pynvml
import pytest

from costmeter.clock import ManualClock, RealClock
from costmeter.sources.simulated.codes import CODES
from tests.sources.nodes import SECOND, STEADY, driver, handle, node


def device_faults(*faults: str) -> str:
    """The steady board with these faults."""
    return STEADY + "    faults:" + "".join(f"\n      - {{{fault}}}" for fault in faults) + "\n"


def node_faults(*faults: str) -> str:
    return STEADY.replace("devices:", "faults:" + "".join(f"\n  - {{{fault}}}" for fault in faults) + "\ndevices:")


def code_of_power(device: object) -> int:
    """The driver's answer to the question for power: 0 or its error."""
    try:
        pynvml.nvmlDeviceGetPowerUsage(device)
    except pynvml.NVMLError as error:
        code: int = error.value
        return code
    return 0


def test_a_lost_gpu_comes_back() -> None:
    """Lost from 10 s for 5 s, the GPU answers every call with GPU Is Lost, and gives no handle, until 15 s."""
    clock = ManualClock(0)
    with driver(node(device_faults("kind: lost, at: 10 s, for: 5 s"), clock)):
        device = handle()
        codes = []
        for _ in range(17):
            codes.append(code_of_power(device))
            clock.advance(SECOND)
        assert codes == [0] * 10 + [pynvml.NVML_ERROR_GPU_IS_LOST] * 5 + [0, 0]


def test_a_lost_gpu_can_stay_lost() -> None:
    """Without a length the GPU is gone for ever, and its handle is refused; the other one answers."""
    text = node_faults("kind: lost, devices: [0]") + "    count: 2\n"
    clock = ManualClock(0)
    with driver(node(text, clock)):
        clock.advance(10**6 * SECOND)
        assert pynvml.nvmlDeviceGetCount() == 2
        with pytest.raises(pynvml.NVMLError_GpuIsLost):
            handle(0)
        assert code_of_power(handle(1)) == 0


@pytest.mark.parametrize("name", sorted(CODES.keys() - {"SUCCESS"}))
def test_any_code_can_be_scripted(name: str) -> None:
    """An error fault makes the named function fail with any of NVML's codes, and leaves the others alone."""
    with driver(node(device_faults(f"kind: error, code: {name}, functions: [nvmlDeviceGetPowerUsage]"))):
        assert code_of_power(handle()) == CODES[name][0]
        assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle()) == 5_000


def test_errors_by_chance_are_the_same_every_time() -> None:
    """Of 10,000 calls at 10 % some 1,000 fail, and the same ones fail when asked again."""
    text = device_faults("kind: error, code: UNKNOWN, probability: 10 %")
    rounds = []
    for _ in range(2):
        clock = ManualClock(0)
        with driver(node(text, clock)):
            device, codes = handle(), []
            for _ in range(10_000):
                clock.advance(SECOND)
                codes.append(code_of_power(device))
            rounds.append(codes)

    assert rounds[0] == rounds[1]
    assert 900 < rounds[0].count(pynvml.NVML_ERROR_UNKNOWN) < 1_100


def test_a_spike_is_read_and_counted() -> None:
    """200 W more from 10 s for 2 s: 500 W are read at 11 s, and 400 J more counted at 20 s."""
    clock = ManualClock(0)
    with driver(node(device_faults("kind: spike, at: 10 s, for: 2 s, power: 200 W"), clock)):
        clock.advance(11 * SECOND)
        assert pynvml.nvmlDeviceGetPowerUsage(handle()) == 500_000
        clock.advance(9 * SECOND)
        assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle()) == 5_000 + 6_400_000


def test_garbage_is_read_and_not_counted() -> None:
    """A garbage reading is what the sensor says; the counter goes on at 300 W."""
    clock = ManualClock(0)
    with driver(node(device_faults("kind: garbage, at: 10 s, for: 2 s, power: 4294967295 mW"), clock)):
        clock.advance(11 * SECOND)
        assert pynvml.nvmlDeviceGetPowerUsage(handle()) == 0xFFFFFFFF
        clock.advance(9 * SECOND)
        assert pynvml.nvmlDeviceGetPowerUsage(handle()) == 300_000
        assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle()) == 5_000 + 6_000_000


def test_a_driver_reload_ends_the_session() -> None:
    """At 10 s the driver goes away for 5 s: calls are uninitialised, init fails; after it, only a new session answers.

    The counter begins at zero at 15 s: at 20 s it holds 1,500 J.
    """
    clock = ManualClock(0)
    with driver(node(node_faults("kind: driver-reload, at: 10 s, for: 5 s"), clock)):
        device = handle()
        clock.advance(12 * SECOND)
        assert code_of_power(device) == pynvml.NVML_ERROR_UNINITIALIZED
        with pytest.raises(pynvml.NVMLError_DriverNotLoaded):
            pynvml.nvmlInit()
        clock.advance(8 * SECOND)
        assert code_of_power(device) == pynvml.NVML_ERROR_UNINITIALIZED
        pynvml.nvmlShutdown()
        pynvml.nvmlInit()
        assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle()) == 1_500_000


@pytest.mark.parametrize("code", ["", "LIBRARY_NOT_FOUND", "LIB_RM_VERSION_MISMATCH", "UNKNOWN"])
def test_a_missing_driver(code: str) -> None:
    """Without a usable driver nvmlInit gives its code (not loaded by default); when it appears, nvmlInit works."""
    clock = ManualClock(0)
    said = f", code: {code}" if code else ""
    library = node(node_faults(f"kind: driver-missing, for: 60 s{said}"), clock)
    with driver(library, init=False):
        with pytest.raises(pynvml.NVMLError) as raised:
            pynvml.nvmlInit()
        clock.advance(60 * SECOND)
        pynvml.nvmlInit()
        assert pynvml.nvmlDeviceGetCount() == 1
    assert raised.value.value == CODES[code or "DRIVER_NOT_LOADED"][0]


def _in_thread(device: object, answers: list[int]) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.append(code_of_power(device)), daemon=True)
    thread.start()
    return thread


def test_a_hung_call_holds_up_nobody_else() -> None:
    """While a call hangs for ever on one GPU, the other answers; released, the call times out."""
    text = node_faults("kind: hang, devices: [0]") + "    count: 2\n"
    answers: list[int] = []
    with driver(node(text)) as library:
        hung = _in_thread(handle(0), answers)
        assert code_of_power(handle(1)) == 0
        assert hung.is_alive()
        library.release_hung_calls()
        hung.join()

    assert answers == [pynvml.NVML_ERROR_TIMEOUT]


STUCK = """
import threading, pynvml
from costmeter.clock import RealClock
from tests.sources.nodes import STEADY, handle, node
library = node(STEADY + "    faults: [{kind: hang}]", RealClock())
library.install()
pynvml.nvmlInit()
device = handle()
reading = threading.Event()
def read():
    reading.set()
    pynvml.nvmlDeviceGetPowerUsage(device)
threading.Thread(target=read, daemon=True).start()
reading.wait()
print("leaving")
"""


def test_a_hung_thread_lets_its_process_exit() -> None:
    """A process whose daemon thread is stuck in a hung call for ever ends as soon as its main thread does."""
    root = Path(__file__).parents[3]
    left = subprocess.run([sys.executable, "-c", STUCK], cwd=root, capture_output=True, text=True, timeout=60)

    assert (left.returncode, left.stdout, left.stderr) == (0, "leaving\n", "")


def test_a_hang_ends_when_its_clock_does() -> None:
    """On a manual clock a call hung for 30 s returns once the clock has passed them."""
    clock = ManualClock(0)
    answers: list[int] = []
    with driver(node(device_faults("kind: hang, for: 30 s"), clock)):
        hung = _in_thread(handle(), answers)
        assert answers == []
        clock.advance(30 * SECOND)
        hung.join()

    assert answers == [0]


def test_a_hang_takes_real_time() -> None:
    """On the real clock a call that hangs for 50 ms returns no earlier."""
    clock = RealClock()
    started = clock.boottime_ns()
    with driver(node(device_faults("kind: hang, for: 50 ms"), clock, started)):
        assert code_of_power(handle()) == 0

    assert clock.boottime_ns() - started >= 50_000_000


def test_a_hang_can_be_of_one_function() -> None:
    """A hang of the energy counter leaves the power reading alone."""
    with driver(node(device_faults("kind: hang, functions: [nvmlDeviceGetTotalEnergyConsumption]"))):
        assert code_of_power(handle()) == 0
