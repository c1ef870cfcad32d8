"""Counter and power in one driver call where it is served, and the functions of old wherever it is not."""

from collections.abc import Iterator

import pytest

from costmeter.readings import NOT_ASKED, Missing
from tests.sources.nodes import SECOND, STEADY
from tests.sources.nvml_bench import COUNTER, FIELDS, POWER, UTILIZATION, Bench, faulty, let_go, refusing

NO_FIELDS = f"driver: {{missing_functions: [{FIELDS}]}}\n"
#: An H100 whose load is on for 100 ms of each second: the mean of a second is 10 % of the way to the peak.
SQUARE = STEADY.replace(
    "{shape: constant, power: 300 W, utilization: 60 %}",
    "{shape: square, period: 1 s, high_for: 100 ms, high: {power: 670 W, utilization: 99 %}, low: {power: 70 W}}",
)
GRACE = STEADY + "    grace: yes\n    module_power: 120 W\n    cores: 16896\n    max_sm_clock: 1980\n"


@pytest.fixture(autouse=True)
def _real_driver_afterwards() -> Iterator[None]:
    """No test leaves its library below pynvml."""
    yield
    let_go()


def opened(text: str) -> Bench:
    """A bench whose source is open and whose board was read once, a second ago."""
    bench = Bench(text)
    bench.source.open()
    bench.clock.advance(SECOND)
    bench.read()
    bench.clock.advance(SECOND)
    return bench


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        pytest.param(STEADY, [FIELDS, UTILIZATION], id="together"),
        pytest.param(NO_FIELDS + STEADY, [COUNTER, UTILIZATION], id="functions"),
        pytest.param(STEADY + "    power_reading: none\n", [FIELDS, UTILIZATION], id="no-power"),
        pytest.param(
            faulty("kind: error, code: NOT_SUPPORTED, functions: [field 83]"), [COUNTER, UTILIZATION], id="83"
        ),
        pytest.param(
            faulty("kind: error, code: NOT_SUPPORTED, functions: [field 185, field 186]"),
            [FIELDS, UTILIZATION],
            id="185-and-186",
        ),
        pytest.param(STEADY.replace("{start: 5 J}", "none"), [FIELDS, UTILIZATION], id="no-counter"),
        pytest.param(NO_FIELDS + STEADY.replace("{start: 5 J}", "none"), [POWER, UTILIZATION], id="only-power"),
        pytest.param(STEADY + "    utilization_period: none\n", [FIELDS], id="no-utilization"),
        pytest.param(
            STEADY.replace("{start: 5 J}", "none") + "    power_reading: none\n", [UTILIZATION], id="only-utilization"
        ),
    ],
)
def test_a_fast_reading_is_at_most_two_calls(text: str, calls: list[str]) -> None:
    """Whatever a board can be asked, a reading is two calls, and nothing refused for good is asked again."""
    assert opened(text).asked() == calls


@pytest.mark.parametrize("text", [STEADY, NO_FIELDS + STEADY], ids=["fields", "functions"])
def test_both_ways_say_the_same(text: str) -> None:
    """After 2 s at 300 W the counter says 605 J and the power 300 W, in one call or in two."""
    reading = opened(text).read(slow=True)

    assert (reading.energy_microjoules, reading.power_watts) == (605_000_000, 300.0)


@pytest.mark.parametrize(
    ("faults", "watts", "is_mean"),
    [
        pytest.param((), 130.0, True, id="mean"),
        pytest.param(("185",), 70.0, False, id="instant"),
        pytest.param(("186",), 130.0, True, id="mean-alone"),
        pytest.param(("185", "186"), 130.0, False, id="function"),
    ],
)
def test_the_mean_of_a_second_is_preferred(faults: tuple[str, ...], watts: float, is_mean: bool) -> None:
    """Of 670 W for 100 ms in each second and 70 W else: the mean is 130 W, and 70 W at the end of a second.

    130 = 70 + 600 × 0.1. Without either field nvmlDeviceGetPowerUsage answers, here with its own mean.
    """
    refused = [f"kind: error, code: NOT_SUPPORTED, functions: [field {field}]" for field in faults]
    bench = Bench(SQUARE + faulty(*refused).removeprefix(STEADY) if refused else SQUARE)
    [device] = bench.source.open()
    bench.clock.advance(5 * SECOND)

    assert (bench.read(slow=True).power_watts, device.power_is_mean) == (watts, is_mean)


def test_power_is_asked_when_the_counter_stands_still() -> None:
    """Where power does not come along it is asked only when the counter says the same twice."""
    bench = opened(NO_FIELDS + STEADY)
    assert bench.read().power_watts is NOT_ASKED
    assert bench.read().power_watts == 300.0
    bench.clock.advance(SECOND)
    assert bench.read().power_watts is NOT_ASKED


@pytest.mark.parametrize("refused", ["field 83", FIELDS], ids=["field", "call"])
@pytest.mark.parametrize("code", ["NO_PERMISSION", "UNKNOWN", "NOT_SUPPORTED", "GPU_IS_LOST", "UNINITIALIZED"])
def test_a_counter_refused_as_a_field_is_asked_by_its_function(refused: str, code: str) -> None:
    """When the call or its field fails in the middle of a run, the function of old has the counter: 605 J after 2 s."""
    bench = Bench(faulty(refusing(code, refused)))
    bench.source.open()
    bench.clock.advance(2 * SECOND)

    assert bench.read().energy_microjoules == 605_000_000


def test_fields_that_answer_again_are_used_again() -> None:
    """A call that failed for a while is made once more at every reading, and is all there is when it answers."""
    bench = Bench(faulty(refusing("TIMEOUT", FIELDS) + ", for: 2 s"))
    bench.source.open()
    bench.clock.advance(SECOND)
    assert bench.asked() == [FIELDS, COUNTER, UTILIZATION]
    bench.clock.advance(2 * SECOND)
    assert bench.asked() == [FIELDS, UTILIZATION]


def test_power_refused_as_a_field_is_asked_by_its_function() -> None:
    """When the field of the mean fails in the middle of a run, a slow reading has PowerUsage's 300 W."""
    bench = Bench(faulty(refusing("UNKNOWN", "field 185")))
    bench.source.open()
    bench.clock.advance(2 * SECOND)
    assert bench.read(slow=True).power_watts == 300.0
    assert bench.source.sample(bench.uuids[0]).power_watts == 300.0


def test_a_sample_is_one_call_for_power_alone() -> None:
    """Between two readings power is asked alone, and told with the instant."""
    bench = opened(STEADY)
    bench.driver.called.clear()
    sample = bench.source.sample(bench.uuids[0])
    assert (sample.at_ns, sample.power_watts, bench.driver.called) == (2 * SECOND, 300.0, [FIELDS])


def test_an_estimate_needs_utilization_and_a_range() -> None:
    """A board without energy and power is estimated: the H100's idle and full power are known, utilization is read."""
    bench = Bench(STEADY.replace("{start: 5 J}", "none") + "    power_reading: none\n")
    [device] = bench.source.open()
    reading = bench.read(slow=True)
    refused = Missing("not supported by this GPU")
    assert device.method == "estimated"
    assert not isinstance(device.power_range, Missing)
    assert (reading.energy_microjoules, reading.power_watts, reading.utilization_ratio) == (refused, refused, 0.6)


def test_a_grace_module_is_metered_whole() -> None:
    """Beside a Grace CPU of 120 W the board of 300 W reads 420 W, and so does its counter: 845 J after 2 s.

    5 J at the start and 2 × 420 J.
    """
    bench = Bench(GRACE)
    [device] = bench.source.open()
    bench.clock.advance(2 * SECOND)
    reading = bench.read()
    assert device.scope == "module"
    assert (reading.energy_microjoules, reading.power_watts) == (845_000_000, 420.0)


@pytest.mark.parametrize("field", ["field 185", "field 186"])
def test_a_grace_module_without_a_field_is_still_metered_whole(field: str) -> None:
    """Where one field of the module is refused the other has it, and never the GPU's alone."""
    bench = Bench(GRACE + faulty(f"kind: error, code: NOT_SUPPORTED, functions: [{field}]").removeprefix(STEADY))
    bench.source.open()
    bench.clock.advance(2 * SECOND)
    assert bench.read(slow=True).power_watts == 420.0


def test_a_module_that_serves_the_gpu_s_power_alone_is_asked_by_the_function() -> None:
    """Power of the GPU is not the module's: where no field has the module, PowerUsage does."""
    bench = Bench(GRACE)

    def refuse_the_module(value: object) -> None:
        if getattr(value, "scopeId", 0) == 1:
            value.nvmlReturn = 3  # type: ignore[attr-defined]  # of the driver's own structure

    bench.fields(refuse_the_module)
    [device] = bench.source.open()
    bench.clock.advance(2 * SECOND)
    assert bench.read(slow=True).power_watts == 420.0
    assert not device.power_is_mean


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        pytest.param(GRACE, 16_896 * 1_980, id="known"),
        pytest.param(STEADY, 0, id="not-told"),
        pytest.param("driver: {missing_functions: [nvmlDeviceGetNumGpuCores]}\n" + GRACE, 0, id="older-driver"),
    ],
)
def test_the_speed_is_cores_times_clock(text: str, speed: int) -> None:
    """CUDA's fastest first is guessed from 16,896 cores at 1,980 MHz; 0 when the driver tells either of them not."""
    [device] = Bench(text).source.open()

    assert device.speed == speed
