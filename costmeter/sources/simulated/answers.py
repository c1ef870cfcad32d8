"""Each NVML function that takes a device: fills the caller's ctypes arguments and returns the driver's code.

Every answer gets the device and the instant, and nothing else: the caller's checks (initialised, lost, refused, hung)
were made before.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from costmeter.sources.simulated.codes import (
    ARCHITECTURES,
    COMPUTE_CAPABILITIES,
    INVALID_ARGUMENT,
    NOT_SUPPORTED,
    SUCCESS,
)
from costmeter.sources.simulated.energy_answers import energy_answers
from costmeter.sources.simulated.filling import fill_memory, fill_memory_v2, fill_processes, fill_text
from costmeter.sources.simulated.live import LiveProcesses
from costmeter.sources.simulated.mig_answers import board_mig_answers, refuse
from costmeter.sources.simulated.world import SimulatedGpu

Answer = Callable[..., int]

_GRAPHICS_CLOCK, _SM_CLOCK = 0, 1
_CAPABILITY_OF = {number: COMPUTE_CAPABILITIES[name] for name, number in ARCHITECTURES.items()}


def device_answers(gpu: SimulatedGpu, place_of: Callable[[int], int], live: LiveProcesses) -> dict[str, Answer]:
    """Every function of a board by its NVML name, bound to one; each is called with the instant first.

    `place_of` tells where the session lists it, `live` which real processes use it. Those of GPM are not among them.
    """
    plain: dict[str, Answer] = {
        "nvmlDeviceGetArchitecture": _architecture,
        "nvmlDeviceGetC2cModeInfoV": _chip_to_chip,
        "nvmlDeviceGetCudaComputeCapability": _compute_capability,
        "nvmlDeviceGetMaxClockInfo": _max_clock,
        "nvmlDeviceGetMemoryInfo": _memory,
        "nvmlDeviceGetMemoryInfo_v2": _memory_v2,
        "nvmlDeviceGetName": _name,
        "nvmlDeviceGetNumGpuCores": _cores,
        "nvmlDeviceGetPciInfo_v3": _pci_info,
        "nvmlDeviceGetPersistenceMode": _persistence,
        "nvmlDeviceGetTemperature": _temperature,
        "nvmlDeviceGetUUID": _uuid,
        "nvmlDeviceGetUtilizationRates": _utilization,
    }
    answers: dict[str, Answer] = {name: partial(answer, gpu) for name, answer in plain.items()}
    answers["nvmlDeviceGetIndex"] = partial(_index, gpu, place_of)
    for kind, word in (("compute", "Compute"), ("graphics", "Graphics"), ("mps", "MPSCompute")):
        for version in ("v2", "v3"):
            answers[f"nvmlDeviceGet{word}RunningProcesses_{version}"] = partial(_processes, gpu, kind, live)
    if gpu.facts.mig is not None:  # the driver tells neither of a divided board
        answers |= {"nvmlDeviceGetNumGpuCores": refuse, "nvmlDeviceGetUtilizationRates": refuse}
    return answers | energy_answers(gpu) | board_mig_answers(gpu)


def _utilization(gpu: SimulatedGpu, at_ns: int, argument: Any) -> int:
    period_ns = gpu.facts.utilization_period_ns
    if period_ns is None:
        return NOT_SUPPORTED
    rates = argument._obj
    rates.gpu = percent = gpu.utilization_percent(at_ns, period_ns)
    rates.memory = gpu.memory_utilization_percent(percent)
    return SUCCESS


def _memory(gpu: SimulatedGpu, at_ns: int, argument: Any) -> int:
    return fill_memory(argument, gpu.facts.memory_bytes, gpu.facts.reserved_bytes, gpu.used_bytes(at_ns))


def _memory_v2(gpu: SimulatedGpu, at_ns: int, argument: Any) -> int:
    return fill_memory_v2(argument, gpu.facts.memory_bytes, gpu.facts.reserved_bytes, gpu.used_bytes(at_ns))


def _processes(gpu: SimulatedGpu, kind: str, live: LiveProcesses, at_ns: int, count: Any, array: Any) -> int:
    return fill_processes(count, array, gpu.processes(kind, at_ns) + live.on(gpu.facts, kind))


def _temperature(gpu: SimulatedGpu, at_ns: int, sensor: Any, argument: Any) -> int:
    if sensor.value != 0:
        return INVALID_ARGUMENT
    argument._obj.value = gpu.celsius(at_ns)
    return SUCCESS


def _pci_info(gpu: SimulatedGpu, _: int, argument: Any) -> int:
    info, bus_id = argument._obj, gpu.facts.pci_bus_id
    domain, bus, device = bus_id.split(":")
    info.domain, info.bus, info.device = int(domain, 16), int(bus, 16), int(device.partition(".")[0], 16)
    info.busId = bus_id.encode()
    info.busIdLegacy = bus_id[4:].encode()
    return SUCCESS


def _uuid(gpu: SimulatedGpu, _: int, buffer: Any, size: Any) -> int:
    return fill_text(buffer, size, gpu.facts.uuid)


def _name(gpu: SimulatedGpu, _: int, buffer: Any, size: Any) -> int:
    return fill_text(buffer, size, gpu.facts.name)


def _index(gpu: SimulatedGpu, place_of: Callable[[int], int], _: int, argument: Any) -> int:
    argument._obj.value = place_of(gpu.facts.index)
    return SUCCESS


def _architecture(gpu: SimulatedGpu, _: int, argument: Any) -> int:
    argument._obj.value = gpu.facts.architecture
    return SUCCESS


def _compute_capability(gpu: SimulatedGpu, _: int, major: Any, minor: Any) -> int:
    major._obj.value, minor._obj.value = _CAPABILITY_OF[gpu.facts.architecture]
    return SUCCESS


def _cores(gpu: SimulatedGpu, _: int, argument: Any) -> int:
    if gpu.facts.cores is None:
        return NOT_SUPPORTED
    argument._obj.value = gpu.facts.cores
    return SUCCESS


def _max_clock(gpu: SimulatedGpu, _: int, clock: Any, argument: Any) -> int:
    """The multiprocessors' clock; graphics is the same one, and memory's and video's are nobody's concern."""
    megahertz = gpu.facts.max_sm_megahertz
    if megahertz is None or clock.value not in (_GRAPHICS_CLOCK, _SM_CLOCK):
        return NOT_SUPPORTED
    argument._obj.value = megahertz
    return SUCCESS


def _chip_to_chip(gpu: SimulatedGpu, _: int, argument: Any) -> int:
    """Only a board that shares its module with a CPU has the link."""
    if gpu.facts.module_milliwatts is None:
        return NOT_SUPPORTED
    argument._obj.isC2cEnabled = 1
    return SUCCESS


def _persistence(gpu: SimulatedGpu, _: int, argument: Any) -> int:
    argument._obj.value = int(gpu.facts.persistence)
    return SUCCESS
