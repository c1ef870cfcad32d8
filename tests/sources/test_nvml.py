"""The NVML source on the simulated driver: probing, reading, and every way of failing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pynvml
import pytest

from costmeter.clock import ManualClock
from costmeter.config import yamlfile
from costmeter.errors import DeviceGone, SourceError, SourceRetry, SourceStopped
from costmeter.readings import NOT_ASKED, Device, DriverFacts, Missing, PowerRange, Reading, Source
from costmeter.sources.nvml import NvmlSource
from costmeter.sources.nvml_failures import FAILURES, Failure, failure
from costmeter.sources.simulated import bundled_scenarios, open_library
from costmeter.sources.simulated.codes import CODES
from tests.sources.nodes import SECOND, STEADY
from tests.sources.nvml_bench import COUNTER, FIELDS, POWER, UTILIZATION, Bench, faulty, let_go, refusing

GIB = 2**30
NOT_SUPPORTED = Missing("not supported by this GPU")
#: The steady board without a counter and without a power sensor.
NEITHER = STEADY.replace("{start: 5 J}", "none") + "    power_reading: none\n"


@pytest.fixture(autouse=True)
def _real_driver_afterwards() -> Iterator[None]:
    """No test leaves its library below pynvml."""
    yield
    let_go()


def test_it_is_a_source() -> None:
    """The class has the contract's methods and types."""
    source: Source = NvmlSource(ManualClock(0))

    assert source.facts() == DriverFacts("", simulated=False)


def test_a_device_is_probed() -> None:
    """Opening gives each device's identity, limit and best source of energy, and the driver's facts."""
    bench = Bench(STEADY)

    [device] = bench.source.open()

    gpu = bench.driver.scenario.gpus[0]
    known = Device(gpu.uuid, 0, "NVIDIA H100 80GB HBM3", gpu.pci_bus_id, 700.0, "counter")
    span = PowerRange(idle_watts=70.0, full_watts=700.0)
    assert device == replace(known, power_range=span, power_is_mean=True, speed=0)
    assert bench.source.facts() == DriverFacts("550.54.15", simulated=True)


def test_a_fast_reading_is_energy_power_and_utilization() -> None:
    """After 10 s at 300 W: 5 J + 3,000 J on the counter, the power that came along, 60 %, and memory was not asked."""
    bench = Bench(STEADY)
    bench.source.open()
    bench.clock.advance(10 * SECOND)

    assert bench.read() == Reading(bench.uuids[0], 10 * SECOND, 3_005_000_000, 300.0, 0.6, NOT_ASKED)


def test_a_slow_reading_has_power_and_memory() -> None:
    """A slow reading adds 300 W and the memory of processes, without what the driver reserves."""
    bench = Bench(STEADY + "    processes: [{pid: 7, memory: 3 GiB}]\n")
    bench.source.open()

    reading = bench.read(slow=True)

    assert (reading.power_watts, reading.memory_used_bytes) == (300.0, 3 * GIB)


def test_an_older_driver_knows_memory_with_its_reserve() -> None:
    """Without version 2 of the memory call, used memory includes the 1 GiB of the driver."""
    bench = Bench("driver: {missing_functions: [nvmlDeviceGetMemoryInfo_v2]}\n" + STEADY)
    bench.source.open()

    assert bench.read(slow=True).memory_used_bytes == GIB


@pytest.mark.parametrize(
    ("text", "method"),
    [
        pytest.param(STEADY, "counter", id="counter"),
        pytest.param(STEADY.replace("{start: 5 J}", "none"), "power", id="no-counter"),
        pytest.param(STEADY + "    power_reading: none\n", "counter", id="no-power"),
        pytest.param(NEITHER, "estimated", id="only-utilization"),
        pytest.param(NEITHER.replace("    load:", "    utilization_period: none\n    load:"), NOT_SUPPORTED, id="none"),
        pytest.param(f"driver: {{missing_functions: [{COUNTER}]}}\n{STEADY}", "counter", id="counter-by-field-alone"),
        pytest.param(f"driver: {{missing_functions: [{FIELDS}]}}\n{STEADY}", "counter", id="counter-by-function"),
        pytest.param(f"driver: {{missing_functions: [{COUNTER}, {FIELDS}]}}\n{STEADY}", "power", id="older-driver"),
        pytest.param(
            f"driver: {{missing_functions: [{COUNTER}, {FIELDS}]}}\n{STEADY}"
            "    power_reading: none\n    utilization_period: none\n",
            Missing("no energy counter, no power reading and no utilization"),
            id="none-for-different-reasons",
        ),
        pytest.param(
            NEITHER.replace("NVIDIA H100 80GB HBM3", "NVIDIA Unheard Of"), NOT_SUPPORTED, id="utilization-of-what"
        ),
    ],
)
def test_the_best_source_of_energy_is_found_by_asking(text: str, method: object) -> None:
    """The counter is best, then power, then utilization of a board whose idle and full power are known; else why not.

    The board of another name has no limit either: it has no power sensor to be limited by.
    """
    [device] = Bench(text).source.open()

    assert device.method == method


def test_without_a_counter_power_is_read_fast() -> None:
    """A board without a counter gives its power in every reading, and says why there is no energy."""
    bench = Bench(STEADY.replace("{start: 5 J}", "none"))
    bench.source.open()
    reading = bench.read()

    assert (reading.energy_microjoules, reading.power_watts) == (NOT_SUPPORTED, 300.0)


def test_a_refused_counter_is_replaced_by_power() -> None:
    """When the counter fails in the middle of a run, power stands in for it at once."""
    bench = Bench(faulty(refusing("NO_PERMISSION", COUNTER)))
    bench.source.open()
    bench.clock.advance(SECOND)
    reading = bench.read()

    assert (reading.energy_microjoules, reading.power_watts) == (Missing("no permission"), 300.0)


@pytest.mark.parametrize(
    ("milliwatts", "power"),
    [
        pytest.param(0, Missing("impossible power reading"), id="zero"),
        pytest.param(1, 0.001, id="least"),
        pytest.param(1_400_000, 1_400.0, id="twice-the-limit"),
        pytest.param(1_400_001, Missing("impossible power reading"), id="above-twice-the-limit"),
        pytest.param(0xFFFFFFFF, Missing("impossible power reading"), id="blank"),
    ],
)
def test_impossible_powers_are_refused(milliwatts: int, power: object) -> None:
    """Zero, all ones, and more than twice the limit of 700 W are no power."""
    bench = Bench(faulty(f"kind: garbage, power: {milliwatts} mW"))
    bench.source.open()

    assert bench.read(slow=True).power_watts == power


def test_a_board_whose_limit_is_unknown_still_opens() -> None:
    """When the limit cannot be read, the device says why, and only the blank power is refused."""
    refused = "functions: [nvmlDeviceGetEnforcedPowerLimit, nvmlDeviceGetPowerManagementLimit]"
    garbage = "kind: garbage, at: 10 s, power: 4294967295 mW"
    bench = Bench(faulty(f"kind: error, code: NOT_SUPPORTED, {refused}", garbage))

    [device] = bench.source.open()

    assert device.power_limit_watts == NOT_SUPPORTED
    assert bench.read(slow=True).power_watts == 300.0
    bench.clock.advance(10 * SECOND)
    assert bench.read(slow=True).power_watts == Missing("impossible power reading")


def test_the_management_limit_stands_in_for_the_enforced_one() -> None:
    """An older driver without the enforced limit gives the management limit."""
    [device] = Bench("driver: {missing_functions: [nvmlDeviceGetEnforcedPowerLimit]}\n" + STEADY).source.open()

    assert device.power_limit_watts == 700.0


def test_a_dead_gpu_does_not_keep_the_others_from_opening() -> None:
    """Of three GPUs, the lost one is listed without an identity, with its reason, and the others open."""
    bench = Bench("faults: [{kind: lost, devices: [1]}]\n" + STEADY + "    count: 3\n")

    opened = bench.source.open()
    assert [device.uuid for device in opened] == [bench.uuids[0], "unidentified-1", bench.uuids[2]]
    assert opened[1].method == Missing("GPU is lost")
    with pytest.raises(DeviceGone, match="GPU is lost"):
        bench.source.read("unidentified-1", slow=True)


def test_a_gpu_that_dies_while_it_is_probed_is_listed_with_its_reason() -> None:
    """A GPU that knows its UUID and nothing else is a device without a source of energy."""
    bench = Bench(
        faulty(
            f"kind: error, code: RESET_REQUIRED, functions: [{COUNTER}, {POWER}, {UTILIZATION}, nvmlDeviceGetName,"
            " nvmlDeviceGetPciInfo_v3, nvmlDeviceGetEnforcedPowerLimit]"
        )
    )

    [device] = bench.source.open()

    reason = Missing("GPU needs a reset")
    nameless = Missing('idle and full power of "unknown GPU" are not known')
    assert device == Device(bench.uuids[0], 0, "unknown GPU", "", reason, reason, power_range=nameless)


def test_a_hung_gpu_does_not_keep_the_others_from_opening() -> None:
    """A GPU that knows its UUID and then hangs is listed unprobed; the GPUs before and behind it are as always."""
    bench = Bench("faults: [{kind: hang, devices: [1], functions: [nvmlDeviceGetName]}]\n" + STEADY + "    count: 3\n")

    first, hung, last = NvmlSource(bench.clock, bench.driver, probe_seconds=0.5).open()

    silent = Missing("the driver did not answer")
    assert hung == Device(bench.uuids[1], 1, "unknown GPU", "", silent, silent)
    assert (first.method, last.method) == ("counter", "counter")


def test_a_gpu_that_hangs_at_once_is_listed_by_its_index() -> None:
    """A GPU that hangs before it says who it is has no identity, but it is held and paid for; the other one opens."""
    bench = Bench("faults: [{kind: hang, devices: [0]}]\n" + STEADY + "    count: 2\n")

    hung, device = NvmlSource(bench.clock, bench.driver, probe_seconds=0.5).open()

    assert ("unidentified-0", 1) == (hung.uuid, device.index)


def test_a_lost_gpu_is_gone_until_it_returns() -> None:
    """While a GPU is lost its reading raises DeviceGone with a way out; afterwards it reads again."""
    bench = Bench(faulty("kind: lost, at: 10 s, for: 5 s"))
    bench.source.open()
    bench.clock.advance(12 * SECOND)
    with pytest.raises(DeviceGone, match="GPU is lost") as raised:
        bench.read()
    assert "nvidia-smi --gpu-reset" in raised.value.hint
    assert isinstance(raised.value.__cause__, pynvml.NVMLError_GpuIsLost)
    bench.clock.advance(5 * SECOND)
    assert bench.read().utilization_ratio == 0.6


def test_a_reloaded_driver_is_opened_again() -> None:
    """A reload stops the source; opened again, it finds the same device and a counter from zero.

    The driver is back at 15 s, so at 20 s the counter holds 1,500 J.
    """
    bench = Bench("faults: [{kind: driver-reload, at: 10 s, for: 5 s}]\n" + STEADY)
    [device] = bench.source.open()
    bench.clock.advance(12 * SECOND)
    with pytest.raises(SourceStopped, match="unloaded or restarted"):
        bench.read()
    with pytest.raises(SourceStopped, match="not loaded"):
        bench.source.open()
    bench.clock.advance(8 * SECOND)
    assert bench.source.open() == (device,)
    assert bench.read().energy_microjoules == 1_500_000_000


@pytest.mark.parametrize(
    ("code", "words", "hint"),
    [
        pytest.param(
            "LIBRARY_NOT_FOUND",
            "no NVIDIA driver (libnvidia-ml.so.1 not found)",
            "--simulate healthy",
            id="no-library",
        ),
        pytest.param("DRIVER_NOT_LOADED", "the NVIDIA kernel driver is not loaded", "modprobe nvidia", id="not-loaded"),
        pytest.param(
            "LIB_RM_VERSION_MISMATCH", "driver and libnvidia-ml.so.1 have different versions", "reboot", id="updated"
        ),
        pytest.param(
            "UNKNOWN",
            "the NVIDIA driver did not start: unknown driver error",
            "systemctl daemon-reload",
            id="container-lost-its-devices",
        ),
    ],
)
def test_a_missing_driver_is_explained(code: str, words: str, hint: str) -> None:
    """Without a usable driver, opening raises SourceStopped that says what to type, and leaves pynvml as it was."""
    bench = Bench(f"faults: [{{kind: driver-missing, code: {code}}}]\n" + STEADY)

    with pytest.raises(SourceStopped) as raised:
        bench.source.open()

    assert raised.value.message == words
    assert hint in raised.value.hint
    assert pynvml.nvmlLib is None


def test_a_node_of_dead_gpus_is_explained() -> None:
    """When no GPU of the node answers, each is listed with its reason, and has its name again when they are back."""
    bench = Bench("faults: [{kind: lost, for: 5 s}]\n" + STEADY + "    count: 2\n")
    assert [device.uuid for device in bench.source.open()] == ["unidentified-0", "unidentified-1"]
    bench.clock.advance(5 * SECOND)
    assert [device.uuid for device in bench.source.open()] == list(bench.uuids)


def test_a_driver_that_does_not_say_its_version_opens() -> None:
    """The driver's version is only for showing: without it, GPUs are metered all the same."""
    bench = Bench("driver: {missing_functions: [nvmlSystemGetDriverVersion]}\n" + STEADY)

    assert len(bench.source.open()) == 1
    assert bench.source.facts().version == "unknown"


@pytest.mark.parametrize("found", FAILURES, ids=lambda found: f"{found.code}")
def test_every_code_of_a_reading(found: Failure) -> None:
    """When all calls fail with one code, the reading is Missing with the reason, or raises what the code means."""
    name = next(name for name, (code, _) in CODES.items() if code == found.code)
    bench = Bench(faulty(refusing(name, COUNTER, POWER, UTILIZATION)))
    bench.source.open()
    bench.clock.advance(SECOND)
    raises: dict[str, type[SourceError]] = {"passing": SourceRetry, "gone": DeviceGone, "stopped": SourceStopped}

    if found.kind in raises:
        with pytest.raises(raises[found.kind]) as raised:
            bench.read()
        assert raised.value.message == found.reason
        cause = raised.value.__cause__
        assert isinstance(cause, pynvml.NVMLError)
        assert cause.value == found.code
    else:
        reading = bench.read()
        values = {reading.energy_microjoules, reading.power_watts, reading.utilization_ratio}
        assert values == {Missing(found.reason)}


def test_the_table_has_every_code_of_nvml_once() -> None:
    """Each code of nvml.h but success has one line, and no two lines say the same."""
    assert sorted(found.code for found in FAILURES) == sorted(code for code, _ in CODES.values() if code)
    assert len({found.reason for found in FAILURES}) == len(FAILURES)


def test_an_unknown_code_passes_with_its_number() -> None:
    """A code of a newer driver is worth another try, and its number is told."""
    assert failure(777) == Failure(777, "passing", "driver error 777")


def test_an_unknown_code_raises_retry() -> None:
    """When nothing answers but codes nobody described, the reading raises SourceRetry with the number."""
    bench = Bench(STEADY)
    bench.source.open()
    bench.driver.instead |= dict.fromkeys((FIELDS, COUNTER, POWER, UTILIZATION), lambda *_: 777)

    with pytest.raises(SourceRetry, match="driver error 777"):
        bench.read()


@pytest.mark.parametrize("code", ["UNKNOWN", "TIMEOUT", "NO_PERMISSION"])
def test_one_failed_value_does_not_lose_the_others(code: str) -> None:
    """When only utilization fails, the energy of the reading is kept."""
    bench = Bench(faulty(refusing(code, UTILIZATION)))
    bench.source.open()
    bench.clock.advance(SECOND)
    reading = bench.read()

    assert reading.energy_microjoules == 305_000_000
    assert isinstance(reading.utilization_ratio, Missing)


def test_reasons_are_short() -> None:
    """Every reason fits beside a GPU's name on one line."""
    assert all(len(found.reason) <= 60 for found in FAILURES)


def test_reasons_are_one_object() -> None:
    """The same refusal twice is the same Missing, so that readings of a refusing GPU cost nothing."""
    bench = Bench(STEADY + "    utilization_period: none\n")
    bench.source.open()

    assert bench.read().utilization_ratio is bench.read().utilization_ratio


def test_processes_include_those_behind_mps() -> None:
    """Compute and MPS processes are listed once each, graphics ones not."""
    lists = "{pid: 7}, {pid: 8, type: mps}, {pid: 7, type: mps}, {pid: 9, type: graphics}"
    bench = Bench(f"{STEADY}    processes: [{lists}]\n")
    bench.source.open()

    assert bench.source.processes(bench.uuids[0]) == (7, 8)


@pytest.mark.parametrize(
    ("missing", "processes"),
    [
        pytest.param(["MPSCompute_v3", "MPSCompute_v2"], (7,), id="no-mps-list"),
        pytest.param(["Compute_v3"], (7,), id="older-list"),
        pytest.param(["Compute_v3", "Compute_v2"], Missing("not in this driver version"), id="no-list"),
    ],
)
def test_processes_of_an_older_driver(missing: list[str], processes: object) -> None:
    """A driver with older lists of processes, or without the one of MPS, gives what it has; without any it says why."""
    names = ["nvmlDeviceGet" + word.replace("_", "RunningProcesses_") for word in missing]
    bench = Bench(f"driver: {{missing_functions: [{', '.join(names)}]}}\n{STEADY}    processes: [{{pid: 7}}]\n")
    bench.source.open()

    assert bench.source.processes(bench.uuids[0]) == processes


def test_processes_of_a_lost_gpu_are_missing() -> None:
    """The process list of a GPU that is lost is a Missing with that reason: its reading raises, its list does not."""
    bench = Bench(faulty("kind: lost, at: 1 s"))
    bench.source.open()
    bench.clock.advance(SECOND)

    assert bench.source.processes(bench.uuids[0]) == Missing("GPU is lost")


def test_closing_twice_is_safe() -> None:
    """After close the source is stopped, pynvml is free, and closing again does nothing."""
    bench = Bench(STEADY)
    bench.source.open()
    bench.source.close()
    bench.source.close()

    assert pynvml.nvmlLib is None
    with pytest.raises(SourceStopped, match="not open"):
        bench.read()


def test_opening_twice_keeps_one_session() -> None:
    """A source opened twice is closed by one close: no session of the driver is left behind."""
    bench = Bench(STEADY)
    bench.source.open()
    bench.source.open()
    bench.source.close()

    assert bench.driver.nvmlShutdown() == pynvml.NVML_ERROR_UNINITIALIZED


@pytest.mark.parametrize("name", bundled_scenarios())
def test_metering_a_scenario_finds_the_truth(name: str) -> None:
    """Over 10 minutes of every bundled scenario the counter's difference is the true energy, to one step at each end.

    A step of 100 ms at 700 W is 70 J.
    """
    clock = ManualClock(0)
    library = open_library(name, yamlfile.load, clock)
    source = NvmlSource(clock, library)
    devices = [device for device in source.open() if device.method == "counter"]
    before = {device.uuid: source.read(device.uuid, False).energy_microjoules for device in devices}
    clock.advance(600 * SECOND)

    for device in devices:
        after, start = source.read(device.uuid, False).energy_microjoules, before[device.uuid]
        assert not isinstance(after, Missing)
        assert not isinstance(start, Missing)
        true_uj = library.truth.energy_microjoules(device.uuid, 0, 600 * SECOND)
        assert abs(after - start - true_uj) <= 70_000_000


def test_the_real_driver_is_not_imitated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a library the source opens what pynvml opens, and where there is none it says so."""
    monkeypatch.setattr(pynvml, "CDLL", lambda name: _refuse_to_load(name, tmp_path))

    with pytest.raises(SourceStopped, match=r"libnvidia-ml\.so\.1 not found"):
        NvmlSource(ManualClock(0)).open()


def _refuse_to_load(name: str, directory: Path) -> object:
    """What the loader does when no directory has the library."""
    raise OSError(f"{directory / name}: cannot open shared object file")
