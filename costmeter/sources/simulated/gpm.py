"""GPM: the driver's own measure of how much a device or a MIG GPU instance computed between two samples.

A sample is a handle that remembers whose it is and when the hardware last refreshed it; the metrics of two samples are
the mean utilization between them. Of a GPU instance, and of a divided board, that is the mean over its slices.
"""

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from costmeter.sources.simulated.codes import (
    ARGUMENT_VERSION_MISMATCH,
    GPM_CAPABLE_FROM,
    INVALID_ARGUMENT,
    NO_DATA,
    NOT_SUPPORTED,
    SUCCESS,
)
from costmeter.sources.simulated.handles import give
from costmeter.sources.simulated.scenario import Instance
from costmeter.sources.simulated.world import SimulatedGpu

Answer = Callable[..., int]

_VERSION = 1
#: The metrics there are, with the names the driver gives them: all say how busy the multiprocessors were.
_METRICS = {1: (b"graphics_util", b"Graphics Engine Utilization"), 2: (b"sm_util", b"SM Utilization")}
_REFRESH_NS = 100_000_000
_FIRST_SAMPLE, _SAMPLE_STRIDE = 0x7E58_0000_0000, 0x100


@dataclass(frozen=True, slots=True)
class _Sample:
    """Whose utilization it is (the board, and the GPU instance or None for all of it), when, and its running total.

    The total is percent × nanoseconds × slices, of so many slices.
    """

    of: tuple[int, int | None]
    at_ns: int
    total: int
    slices: int


class Gpm:
    """The samples of one process, from allocation until they are freed. Safe for threads."""

    def __init__(self) -> None:
        self._samples: dict[int, _Sample | None] = {}
        self._given = 0
        self._lock = threading.Lock()

    def allocate(self, argument: Any) -> int:
        """nvmlGpmSampleAlloc: an empty sample."""
        with self._lock:
            address = _FIRST_SAMPLE + self._given * _SAMPLE_STRIDE
            self._given += 1
            self._samples[address] = None
        give(argument, address)
        return SUCCESS

    def free(self, sample: Any) -> int:
        """nvmlGpmSampleFree."""
        with self._lock:
            if _address(sample) not in self._samples:
                return INVALID_ARGUMENT
            del self._samples[_address(sample)]
        return SUCCESS

    def metrics(self, argument: Any) -> int:
        """nvmlGpmMetricsGet: each metric has its own return code; samples that do not match fail the question."""
        wanted = argument._obj
        if wanted.version != _VERSION:
            return ARGUMENT_VERSION_MISMATCH
        first, last = (self._samples.get(_address(sample)) for sample in (wanted.sample1, wanted.sample2))
        if first is None or last is None or first.of != last.of or not 0 < wanted.numMetrics <= len(wanted.metrics):
            return INVALID_ARGUMENT
        for position in range(wanted.numMetrics):
            metric = wanted.metrics[position]
            metric.nvmlReturn = _fill(metric, first, last)
        return SUCCESS

    def answers(self, gpu: SimulatedGpu, instance: Instance | None) -> dict[str, Answer]:
        """The functions that take a device, for a board (None) or one of its MIG devices."""
        whole = instance.gpu_instance if instance else None
        return {
            "nvmlGpmMigSampleGet": partial(self._sample_instance, gpu),
            "nvmlGpmQueryDeviceSupport": partial(_support, gpu),
            "nvmlGpmSampleGet": partial(self._sample, gpu, whole),
        }

    def _sample(self, gpu: SimulatedGpu, gpu_instance: int | None, at_ns: int, sample: Any) -> int:
        if gpu.facts.architecture < GPM_CAPABLE_FROM:
            return NOT_SUPPORTED
        refreshed_ns = at_ns - at_ns % _REFRESH_NS
        total, slices = _total(gpu, gpu_instance, refreshed_ns)
        taken = _Sample((gpu.facts.index, gpu_instance), refreshed_ns, total, slices)
        with self._lock:
            if _address(sample) not in self._samples:
                return INVALID_ARGUMENT
            self._samples[_address(sample)] = taken
        return SUCCESS

    def _sample_instance(self, gpu: SimulatedGpu, at_ns: int, gpu_instance: Any, sample: Any) -> int:
        """pynvml hands the id over as it was given: a number, or one of ctypes."""
        number = int(getattr(gpu_instance, "value", gpu_instance))
        if number not in {instance.gpu_instance for instance in gpu.facts.mig or ()}:
            return INVALID_ARGUMENT
        return self._sample(gpu, number, at_ns, sample)


def _support(gpu: SimulatedGpu, _: int, argument: Any) -> int:
    if argument._obj.version != _VERSION:
        return ARGUMENT_VERSION_MISMATCH
    argument._obj.isSupportedDevice = int(gpu.facts.architecture >= GPM_CAPABLE_FROM)
    return SUCCESS


def _fill(metric: Any, first: _Sample, last: _Sample) -> int:
    if metric.metricId not in _METRICS:
        return NOT_SUPPORTED
    if last.at_ns <= first.at_ns:
        return NO_DATA
    metric.metricInfo.shortName, metric.metricInfo.longName = _METRICS[metric.metricId]
    metric.metricInfo.unit = b"%"
    metric.value = (last.total - first.total) / ((last.at_ns - first.at_ns) * last.slices)
    return SUCCESS


def _total(gpu: SimulatedGpu, gpu_instance: int | None, at_ns: int) -> tuple[int, int]:
    """The running total and its slices. Slices that nobody computes on count as idle.

    Where nobody said what the instances do each, they all do what the board does.
    """
    own = [each for each in gpu.instances if each.facts.gpu_instance == gpu_instance]
    if not own:
        return gpu.utilization_total(at_ns), 1
    return sum(each.utilization_total(at_ns) * each.facts.compute_slices for each in own), own[0].facts.gpu_slices


def _address(handle: Any) -> int:
    """A handle's number, from the pointer that pynvml holds."""
    return ctypes.c_void_p.from_buffer_copy(bytes(handle)).value or 0
