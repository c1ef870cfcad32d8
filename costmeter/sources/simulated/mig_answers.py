"""MIG as the driver tells it: what a board says of its instances, and what an instance says of itself.

A MIG device has a handle of its own. Power, energy and utilization belong to the whole board, and are refused for it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from costmeter.sources.simulated.codes import (
    ARCHITECTURES,
    DEVICE_FUNCTIONS,
    INVALID_ARGUMENT,
    MIG_CAPABLE_FROM,
    NOT_FOUND,
    NOT_SUPPORTED,
    SUCCESS,
)
from costmeter.sources.simulated.energy_answers import refuse_fields
from costmeter.sources.simulated.filling import fill_memory, fill_memory_v2, fill_processes, fill_text
from costmeter.sources.simulated.handles import board_address, give, instance_address
from costmeter.sources.simulated.live import LiveProcesses
from costmeter.sources.simulated.scenario import Instance
from costmeter.sources.simulated.world import SimulatedGpu

Answer = Callable[..., int]

#: Streaming multiprocessors in one compute slice; the parts of a kind differ by one or two.
_MULTIPROCESSORS = {ARCHITECTURES["ampere"]: 14, ARCHITECTURES["hopper"]: 16}
_NEWER_MULTIPROCESSORS = 18
_BYTES_PER_MEGABYTE = 2**20


def board_mig_answers(gpu: SimulatedGpu) -> dict[str, Answer]:
    """What the functions of MIG say to the handle of a board."""
    return {
        "nvmlDeviceGetAttributes_v2": refuse,
        "nvmlDeviceGetComputeInstanceId": refuse,
        "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": _not_an_instance,
        "nvmlDeviceGetGpuInstanceId": refuse,
        "nvmlDeviceGetMaxMigDeviceCount": partial(_most_instances, gpu),
        "nvmlDeviceGetMigDeviceHandleByIndex": partial(_instance_handle, gpu),
        "nvmlDeviceGetMigMode": partial(_mode, gpu),
        "nvmlDeviceIsMigDeviceHandle": partial(_number, 0),
    }


def instance_answers(
    gpu: SimulatedGpu, instance: Instance, board: dict[str, Answer], live: LiveProcesses
) -> dict[str, Answer]:
    """Every device function for the handle of a MIG device; `board` are the answers of the board below it."""
    own: dict[str, Answer] = {
        "nvmlDeviceGetArchitecture": board["nvmlDeviceGetArchitecture"],
        "nvmlDeviceGetAttributes_v2": partial(_attributes, gpu, instance),
        "nvmlDeviceGetComputeInstanceId": partial(_number, instance.compute_instance),
        "nvmlDeviceGetCudaComputeCapability": board["nvmlDeviceGetCudaComputeCapability"],
        "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": partial(_board_handle, gpu),
        "nvmlDeviceGetFieldValues": refuse_fields,
        "nvmlDeviceGetGpuInstanceId": partial(_number, instance.gpu_instance),
        "nvmlDeviceGetIndex": partial(_number, instance.place),
        "nvmlDeviceGetMemoryInfo": partial(_memory, gpu, instance),
        "nvmlDeviceGetMemoryInfo_v2": partial(_memory_v2, gpu, instance),
        "nvmlDeviceGetName": partial(_text, f"{gpu.facts.name} MIG {instance.profile}"),
        "nvmlDeviceGetUUID": partial(_text, instance.uuid),
        "nvmlDeviceIsMigDeviceHandle": partial(_number, 1),
    }
    for kind, word in (("compute", "Compute"), ("graphics", "Graphics"), ("mps", "MPSCompute")):
        for version in ("v2", "v3"):
            own[f"nvmlDeviceGet{word}RunningProcesses_{version}"] = partial(_processes, gpu, instance, kind, live)
    return {name: own.get(name, refuse) for name in DEVICE_FUNCTIONS}


def refuse(*_: object) -> int:
    """What the device does not have."""
    return NOT_SUPPORTED


def _not_an_instance(*_: object) -> int:
    return INVALID_ARGUMENT


def _mode(gpu: SimulatedGpu, _: int, current: Any, pending: Any) -> int:
    if gpu.facts.architecture < MIG_CAPABLE_FROM:
        return NOT_SUPPORTED
    current._obj.value = pending._obj.value = int(gpu.facts.mig is not None)
    return SUCCESS


def _most_instances(gpu: SimulatedGpu, _: int, argument: Any) -> int:
    if gpu.facts.architecture < MIG_CAPABLE_FROM:
        return NOT_SUPPORTED
    argument._obj.value = gpu.facts.mig_slices if gpu.facts.mig is not None else 0
    return SUCCESS


def _instance_handle(gpu: SimulatedGpu, _: int, place: Any, handle: Any) -> int:
    facts = gpu.facts
    if facts.architecture < MIG_CAPABLE_FROM:
        return NOT_SUPPORTED
    if facts.mig is not None and place.value >= facts.mig_slices:
        return INVALID_ARGUMENT
    if place.value >= len(facts.mig or ()):
        return NOT_FOUND
    give(handle, instance_address(facts.index, place.value))
    return SUCCESS


def _board_handle(gpu: SimulatedGpu, _: int, handle: Any) -> int:
    give(handle, board_address(gpu.facts.index))
    return SUCCESS


def _number(number: int, _: int, argument: Any) -> int:
    argument._obj.value = number
    return SUCCESS


def _text(text: str, _: int, buffer: Any, size: Any) -> int:
    return fill_text(buffer, size, text)


def _attributes(gpu: SimulatedGpu, instance: Instance, _: int, argument: Any) -> int:
    attributes = argument._obj
    per_slice = _MULTIPROCESSORS.get(gpu.facts.architecture, _NEWER_MULTIPROCESSORS)
    attributes.multiprocessorCount = per_slice * instance.compute_slices
    attributes.gpuInstanceSliceCount = instance.gpu_slices
    attributes.computeInstanceSliceCount = instance.compute_slices
    attributes.memorySizeMB = instance.memory_bytes // _BYTES_PER_MEGABYTE
    return SUCCESS


def _memory(gpu: SimulatedGpu, instance: Instance, at_ns: int, argument: Any) -> int:
    """Compute instances share the memory of their GPU instance; what the driver keeps is kept from the board."""
    return fill_memory(argument, instance.memory_bytes, 0, gpu.used_bytes(at_ns, instance.gpu_instance))


def _memory_v2(gpu: SimulatedGpu, instance: Instance, at_ns: int, argument: Any) -> int:
    return fill_memory_v2(argument, instance.memory_bytes, 0, gpu.used_bytes(at_ns, instance.gpu_instance))


def _processes(
    gpu: SimulatedGpu, instance: Instance, kind: str, live: LiveProcesses, at_ns: int, count: Any, array: Any
) -> int:
    ids = (instance.gpu_instance, instance.compute_instance)
    own = [p for p in gpu.processes(kind, at_ns) if (p.gpu_instance, p.compute_instance) == ids]
    return fill_processes(count, array, own + live.within(gpu.facts, instance, kind))
