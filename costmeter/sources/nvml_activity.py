"""What the MIG instances of one board did, by the driver's own performance monitor (GPM, Hopper and newer).

NVML gives neither power nor utilization for an instance. GPM does tell how busy the multiprocessors of each GPU
instance were between two samples: the only thing a driver proves about who drew a divided board's energy.
"""

from collections.abc import Sequence
from typing import Any

import pynvml

from costmeter.readings import Activity, Device, Missing
from costmeter.sources.nvml_failures import asked

_WANTED = pynvml.NVML_GPM_METRIC_SM_UTIL
_SUCCESS = 0


class MigActivity:
    """The instances of one board and the last sample of each. One thread at a time."""

    def __init__(self, handle: Any, devices: Sequence[Device]) -> None:
        self._handle = handle
        self._devices = [device for device in devices if device.mig is not None]
        self._samples: dict[int, tuple[Any, Any]] = {}
        self._has_last: set[int] = set()
        self._question = pynvml.c_nvmlGpmMetricsGet_t()

    def is_served(self) -> bool:
        """Whether the driver measures these instances: it says so, and lets us take a first sample of each."""
        support = asked(lambda: pynvml.nvmlGpmQueryDeviceSupport(self._handle))
        if isinstance(support, Missing) or not support.isSupportedDevice:
            return False
        for gpu_instance in self._gpu_instances():
            pair = asked(lambda: (pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()))
            if isinstance(pair, Missing):
                return False
            self._samples[gpu_instance] = pair
            self._utilization(gpu_instance)
        return self._has_last == self._gpu_instances()

    def read(self) -> tuple[Activity, ...]:
        """Every instance's utilization since the last call; nothing unless the driver told it for all of them."""
        told = {gpu_instance: self._utilization(gpu_instance) for gpu_instance in self._gpu_instances()}
        found: list[Activity] = []
        for device in self._devices:
            assert device.mig is not None
            ratio = told[device.mig.gpu_instance]
            if ratio is None:
                return ()
            found.append(Activity(device.uuid, device.mig.width, ratio))
        return tuple(found)

    def _gpu_instances(self) -> set[int]:
        return {device.mig.gpu_instance for device in self._devices if device.mig is not None}

    def _utilization(self, gpu_instance: int) -> float | None:
        """Take a sample, and what it says since the one before; the two buffers take turns."""
        before, now = self._samples[gpu_instance]
        sample = asked(lambda: pynvml.nvmlGpmMigSampleGet(self._handle, gpu_instance, now))
        if isinstance(sample, Missing):
            self._has_last.discard(gpu_instance)
            return None
        had_last = gpu_instance in self._has_last
        self._has_last.add(gpu_instance)
        self._samples[gpu_instance] = now, before
        return self._between(before, now) if had_last else None

    def _between(self, before: Any, now: Any) -> float | None:
        question = self._question
        question.version, question.numMetrics = pynvml.NVML_GPM_METRICS_GET_VERSION, 1
        question.sample1, question.sample2 = before, now
        metric = question.metrics[0]
        metric.metricId = _WANTED
        answer = asked(lambda: pynvml.nvmlGpmMetricsGet(question))
        if isinstance(answer, Missing) or metric.nvmlReturn != _SUCCESS or not 0 <= metric.value <= 100:
            return None
        ratio: float = metric.value / 100
        return ratio
