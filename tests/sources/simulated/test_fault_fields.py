"""Faults met through nvmlDeviceGetFieldValues: a counter or sensor that is wrong is wrong however it is asked."""

import threading

import pynvml
import pytest

from costmeter.clock import ManualClock
from tests.sources.nodes import SECOND, STEADY, driver, handle, node

FIELDS = [83, 185, 186, 191]
#: 300 W for 10 s, then 500 W.
RISING = STEADY.replace(
    "{shape: constant, power: 300 W, utilization: 60 %}",
    "[{shape: constant, for: 10 s, power: 300 W}, {shape: constant, power: 500 W}]",
)


def faulty(*faults: str, board: str = STEADY) -> str:
    return board + "    faults:" + "".join(f"\n      - {{{fault}}}" for fault in faults) + "\n"


def returns(device: object) -> list[int]:
    """The return codes of the four fields."""
    return [value.nvmlReturn for value in pynvml.nvmlDeviceGetFieldValues(device, FIELDS)]


def watts(device: object) -> list[float]:
    """What the function and the two fields say of power."""
    average, instant = pynvml.nvmlDeviceGetFieldValues(device, [185, 186])
    assert (average.nvmlReturn, instant.nvmlReturn) == (0, 0)
    milliwatts = [pynvml.nvmlDeviceGetPowerUsage(device), average.value.uiVal, instant.value.uiVal]
    return [value / 1_000 for value in milliwatts]


@pytest.mark.parametrize(
    ("names", "codes"),
    [
        pytest.param("field 83", [4, 0, 0, 0], id="counter-field"),
        pytest.param("field 185", [0, 4, 0, 0], id="average"),
        pytest.param("field 186", [0, 0, 4, 0], id="instant"),
        pytest.param("field 191", [0, 0, 0, 4], id="newer-counter-field"),
        pytest.param("field 83, field 186", [4, 0, 4, 0], id="two-fields"),
        pytest.param("nvmlDeviceGetTotalEnergyConsumption", [4, 0, 0, 4], id="counter-function"),
        pytest.param("nvmlDeviceGetPowerUsage", [0, 4, 4, 0], id="power-function"),
        pytest.param("nvmlDeviceGetUtilizationRates", [0, 0, 0, 0], id="another-function"),
    ],
)
def test_an_error_strikes_fields(names: str, codes: list[int]) -> None:
    """Fields fail by their own names, and with the function that asks the same; the other fields answer."""
    with driver(node(faulty(f"kind: error, code: NO_PERMISSION, functions: [{names}]"))):
        assert returns(handle()) == codes


def test_an_error_of_a_field_leaves_the_function_alone() -> None:
    """A field that is refused says nothing of the function; its value is that of neither."""
    with driver(node(faulty("kind: error, code: NO_PERMISSION, functions: [field 83]"))):
        assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle()) == 5_000


def test_an_error_of_the_whole_call_is_one() -> None:
    """An error that names nvmlDeviceGetFieldValues, or every function, fails the call and no single field."""
    for names in (", functions: [nvmlDeviceGetFieldValues]", ""):
        with (
            driver(node(faulty(f"kind: error, code: NO_PERMISSION{names}"))),
            pytest.raises(pynvml.NVMLError_NoPermission),
        ):
            returns(handle())


def test_errors_by_chance_strike_function_and_fields_together() -> None:
    """Of 2,000 instants at 20 % the counter fails at some 400, by function and by field at the same ones."""
    clock = ManualClock(0)
    text = faulty("kind: error, code: UNKNOWN, probability: 20 %, functions: [nvmlDeviceGetTotalEnergyConsumption]")
    by_function, by_field = [], []
    with driver(node(text, clock)):
        device = handle()
        for _ in range(2_000):
            clock.advance(SECOND)
            by_field.append(returns(device)[0] == pynvml.NVML_ERROR_UNKNOWN)
            try:
                pynvml.nvmlDeviceGetTotalEnergyConsumption(device)
                by_function.append(False)
            except pynvml.NVMLError_Unknown:
                by_function.append(True)

    assert by_field == by_function
    assert 320 < sum(by_field) < 480


def test_garbage_is_read_in_fields() -> None:
    """From 10 s for 2 s every power reading is the garbage, with success; energy is not touched."""
    clock = ManualClock(0)
    with driver(node(faulty("kind: garbage, at: 10 s, for: 2 s, power: 4294967295 mW"), clock)):
        device = handle()
        clock.advance(11 * SECOND)
        assert watts(device) == [4_294_967.295] * 3
        assert pynvml.nvmlDeviceGetFieldValues(device, [83])[0].value.ullVal == 5_000 + 3_300_000
        clock.advance(SECOND)
        assert watts(device) == [300.0] * 3


def test_garbage_gives_no_board_a_field_it_has_not() -> None:
    """A board whose readings are no means of a second refuses field 185, garbage or not."""
    text = faulty("kind: garbage, power: 9 kW", board=STEADY + "    power_reading: {window: 25 ms}\n")
    with driver(node(text)):
        average, instant = pynvml.nvmlDeviceGetFieldValues(handle(), [185, 186])
        assert (average.nvmlReturn, instant.nvmlReturn, instant.value.uiVal) == (3, 0, 9_000_000)


def test_a_stuck_power_reading_stands_still() -> None:
    """Stuck from 5 s to 15 s, all readings stay at 300 W while 500 W are drawn; from 15 s on they say 500 W.

    The counter goes on: at 14 s it holds 5 J + 10 × 300 J + 4 × 500 J.
    """
    clock = ManualClock(0)
    with driver(node(faulty("kind: power-stuck, at: 5 s, for: 10 s", board=RISING), clock)):
        device = handle()
        clock.advance(14 * SECOND)
        assert watts(device) == [300.0] * 3
        assert pynvml.nvmlDeviceGetTotalEnergyConsumption(device) == 5_005_000
        clock.advance(SECOND)
        assert watts(device) == [500.0] * 3


def test_stuck_readings_that_overlap() -> None:
    """Stuck from 5 s to 12 s and from 11 s to 20 s: the second begins at what is shown, so 300 W stay to its end."""
    clock = ManualClock(0)
    faults = "kind: power-stuck, at: 5 s, for: 7 s", "kind: power-stuck, at: 11 s, for: 9 s"
    with driver(node(faulty(*faults, board=RISING), clock)):
        device = handle()
        clock.advance(19 * SECOND)
        assert watts(device) == [300.0] * 3
        clock.advance(SECOND)
        assert watts(device) == [500.0] * 3


def test_a_hung_counter_holds_up_its_fields() -> None:
    """A call that asks for field 83 hangs with the counter's function; one that asks for power alone answers."""
    codes: list[object] = []

    def ask(device: object) -> None:
        try:
            pynvml.nvmlDeviceGetFieldValues(device, [186, 83])
        except pynvml.NVMLError as error:
            codes.append(error.value)

    with driver(node(faulty("kind: hang, functions: [nvmlDeviceGetTotalEnergyConsumption]"))) as library:
        device = handle()
        hung = threading.Thread(target=ask, args=(device,), daemon=True)
        hung.start()
        assert pynvml.nvmlDeviceGetFieldValues(device, [185, 186])[1].nvmlReturn == 0
        assert hung.is_alive()
        library.release_hung_calls()
        hung.join()

    assert codes == [pynvml.NVML_ERROR_TIMEOUT]


def test_a_malformed_question_fails_as_a_whole() -> None:
    """No field at all is an invalid argument, with a fault around or without."""
    for text in (STEADY, faulty("kind: hang, functions: [nvmlDeviceGetPowerUsage]")):
        with driver(node(text)), pytest.raises(pynvml.NVMLError_InvalidArgument):
            pynvml.nvmlDeviceGetFieldValues(handle(), [])
