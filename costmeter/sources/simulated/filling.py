"""Fills the arguments of callers: what boards and MIG devices answer in the same shape.

An argument made with `ctypes.byref` gives its object as `._obj`.
"""

from typing import Any

from costmeter.sources.simulated.codes import ARGUMENT_VERSION_MISMATCH, INSUFFICIENT_SIZE, SUCCESS
from costmeter.sources.simulated.scenario import Process

_MEMORY_V2 = 0x02000028


def fill_text(buffer: Any, size: Any, text: str) -> int:
    """Put a text into a caller's buffer, with the zero at its end."""
    encoded = text.encode()
    if len(encoded) >= size.value:
        return INSUFFICIENT_SIZE
    buffer.value = encoded
    return SUCCESS


def fill_memory(argument: Any, total_bytes: int, reserved_bytes: int, held_bytes: int) -> int:
    """Version 1: what the driver reserves counts as used."""
    memory = argument._obj
    memory.total = total_bytes
    memory.used = used = min(total_bytes, held_bytes + reserved_bytes)
    memory.free = total_bytes - used
    return SUCCESS


def fill_memory_v2(argument: Any, total_bytes: int, reserved_bytes: int, held_bytes: int) -> int:
    """Version 2: what the driver reserves is named, and not counted as used."""
    memory = argument._obj
    if memory.version != _MEMORY_V2:
        return ARGUMENT_VERSION_MISMATCH
    memory.total = total_bytes
    memory.reserved = reserved_bytes
    memory.used = used = min(total_bytes - reserved_bytes, held_bytes)
    memory.free = total_bytes - reserved_bytes - used
    return SUCCESS


def fill_processes(count: Any, array: Any, processes: list[Process]) -> int:
    """The caller's count is the room it has, and comes back as how many there are."""
    room, count._obj.value = count._obj.value, len(processes)
    if room < len(processes) or (array is None and processes):
        return INSUFFICIENT_SIZE
    for entry, process in zip(array or (), processes, strict=False):
        entry.pid = process.pid
        entry.usedGpuMemory = process.memory_bytes
        entry.gpuInstanceId = process.gpu_instance
        entry.computeInstanceId = process.compute_instance
    return SUCCESS
