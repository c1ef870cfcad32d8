"""GPM: what a device or an instance computed between two samples, through pynvml."""

from collections.abc import Iterator
from typing import Any

import pynvml
import pytest

from costmeter.clock import ManualClock
from tests.sources.nodes import SECOND, STEADY, driver, handle, node

GRAPHICS, MULTIPROCESSORS = pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL, pynvml.NVML_GPM_METRIC_SM_UTIL
SQUARE = "{shape: square, period: 10 s, high_for: 4 s, high: {power: 200 W, utilization: 90 %}, low: {}}"
DIVIDED = (
    STEADY.replace("    load: {shape: constant, power: 300 W, utilization: 60 %}\n", "")
    + f"""
    mig:
      - {{profile: 3g.40gb, load: {SQUARE}}}
      - {{profile: 1c.3g.40gb, load: {{shape: constant, power: 50 W, utilization: 60 %}}}}
"""
)


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    clock = ManualClock(0)
    with driver(node(DIVIDED, clock)):
        yield clock


def sample(device: Any, gpu_instance: int | None = None) -> Any:
    """A new sample of a device, or of a GPU instance of it."""
    empty = pynvml.nvmlGpmSampleAlloc()
    if gpu_instance is None:
        return pynvml.nvmlGpmSampleGet(device, empty)
    return pynvml.nvmlGpmMigSampleGet(device, gpu_instance, empty)


def metrics(first: Any, last: Any, *numbers: int) -> list[tuple[int, float]]:
    """The return code and the value of each metric."""
    question = pynvml.c_nvmlGpmMetricsGet_t()
    question.version = pynvml.NVML_GPM_METRICS_GET_VERSION
    question.numMetrics, question.sample1, question.sample2 = len(numbers), first, last
    for position, number in enumerate(numbers):
        question.metrics[position].metricId = number
    told = pynvml.nvmlGpmMetricsGet(question).metrics
    return [(told[position].nvmlReturn, told[position].value) for position in range(len(numbers))]


def test_a_device_tells_its_mean_utilization() -> None:
    """A steady 60 % is 60 % between any two samples, by both metrics; another metric is not supported."""
    clock = ManualClock(0)
    with driver(node(STEADY, clock)):
        assert pynvml.nvmlGpmQueryDeviceSupport(handle()).isSupportedDevice == 1
        first = sample(handle())
        clock.advance(3 * SECOND)
        assert metrics(first, sample(handle()), GRAPHICS, MULTIPROCESSORS, 3) == [(0, 60.0), (0, 60.0), (3, 0.0)]


def test_an_instance_tells_its_own(clock: ManualClock) -> None:
    """Of 10 s at 90 % for 4 s, the first instance computed 36 %; the second 60 % of one of its three slices.

    The board: (3 × 36 % + 1 × 60 %) / 7 slices. The handle of a MIG device gives its GPU instance's.
    """
    board = handle()
    devices = [pynvml.nvmlDeviceGetMigDeviceHandleByIndex(board, place) for place in (0, 1)]

    def taken() -> list[Any]:
        return [sample(board, 1), sample(board, 2), sample(board), sample(devices[0]), sample(devices[1])]

    before = taken()
    clock.advance(10 * SECOND)
    told = [metrics(first, last, MULTIPROCESSORS)[0] for first, last in zip(before, taken(), strict=True)]

    assert [code for code, _ in told] == [0] * 5
    assert [value for _, value in told] == pytest.approx([36.0, 20.0, 168 / 7, 36.0, 20.0])


def test_a_metric_has_a_name(clock: ManualClock) -> None:
    """The driver says what a metric is, and its unit."""
    question = pynvml.c_nvmlGpmMetricsGet_t()
    question.version, question.numMetrics = pynvml.NVML_GPM_METRICS_GET_VERSION, 1
    question.sample1 = sample(handle())
    clock.advance(SECOND)
    question.sample2 = sample(handle())
    question.metrics[0].metricId = MULTIPROCESSORS
    info = pynvml.nvmlGpmMetricsGet(question).metrics[0].metricInfo

    assert (info.longName, info.unit) == (b"SM Utilization", b"%")


def test_samples_are_renewed_every_100_ms(clock: ManualClock) -> None:
    """Two samples of one refresh say nothing; one refresh later there is data."""
    first = sample(handle(), 1)
    clock.advance(99_000_000)
    assert metrics(first, sample(handle(), 1), MULTIPROCESSORS) == [(pynvml.NVML_ERROR_NO_DATA, 0.0)]
    clock.advance(1_000_000)
    assert metrics(first, sample(handle(), 1), MULTIPROCESSORS) == [(0, 90.0)]


def test_samples_of_two_instances_do_not_match(clock: ManualClock) -> None:
    """Metrics of samples of different instances, of empty ones and of freed ones are invalid arguments."""
    first = sample(handle(), 1)
    clock.advance(SECOND)
    last, other, freed = sample(handle(), 1), sample(handle(), 2), sample(handle(), 1)
    pynvml.nvmlGpmSampleFree(freed)

    assert metrics(first, last, MULTIPROCESSORS) == [(0, 90.0)]
    for wrong in (other, freed, pynvml.nvmlGpmSampleAlloc(), pynvml.c_nvmlGpmSample_t()):
        with pytest.raises(pynvml.NVMLError_InvalidArgument):
            metrics(first, wrong, MULTIPROCESSORS)
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlGpmSampleFree(freed)
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlGpmSampleGet(handle(), freed)


@pytest.mark.usefixtures("clock")
def test_an_unknown_instance_has_no_sample() -> None:
    """A GPU instance that the board does not have is an invalid argument."""
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        sample(handle(), 3)


@pytest.mark.usefixtures("clock")
def test_another_version_of_the_question_is_refused() -> None:
    """Structures of a version that the driver does not know are a version mismatch."""
    with pytest.raises(pynvml.NVMLError_ArgumentVersionMismatch):
        pynvml.nvmlGpmMetricsGet(pynvml.c_nvmlGpmMetricsGet_t())
    support = pynvml.c_nvmlGpmSupport_t()
    code = pynvml.nvmlLib.nvmlGpmQueryDeviceSupport(handle(), pynvml.byref(support))
    assert code == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH


def test_older_boards_have_no_gpm() -> None:
    """Before hopper the driver says that it is not supported, and gives no sample."""
    with driver(node(STEADY + "    architecture: ampere\n")):
        assert pynvml.nvmlGpmQueryDeviceSupport(handle()).isSupportedDevice == 0
        with pytest.raises(pynvml.NVMLError_NotSupported):
            sample(handle())


def test_instances_without_loads_do_what_the_board_does() -> None:
    """Where nobody said what each instance does, GPM tells the board's 60 % of each."""
    clock = ManualClock(0)
    with driver(node(STEADY + "    mig: [{profile: 3g.40gb}, {profile: 4g.40gb}]\n", clock)):
        first = sample(handle(), 2)
        clock.advance(SECOND)
        assert metrics(first, sample(handle(), 2), GRAPHICS) == [(0, 60.0)]


def test_gpm_needs_a_session() -> None:
    """Before nvmlInit there are no samples to allocate."""
    with driver(node(STEADY), init=False), pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlGpmSampleAlloc()
