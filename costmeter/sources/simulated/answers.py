"""Each NVML function that takes a device: fills the caller's ctypes arguments and returns the driver's code.

An argument made with `ctypes.byref` gives its object as `._obj`. Every answer gets the device and the instant, and
nothing else: the caller's checks (initialised, lost, refused, hung) were made before.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from costmeter.sources.simulated.codes import (
    ARGUMENT_VERSION_MISMATCH,
    INSUFFICIENT_SIZE,
    INVALID_ARGUMENT,
    MIG_CAPABLE_FROM,
    NOT_SUPPORTED,
    SUCCESS,
)
from costmeter.sources.simulated.counter import Counter
from costmeter.sources.simulated.world import SimulatedGpu
from costmeter.units import NANOSECONDS_PER_SECOND

Answer = Callable[..., int]

_UNSIGNED_INT, _UNSIGNED_LONG_LONG = 1, 3
_POWER_AVERAGE, _POWER_INSTANT = 185, 186
_ENERGY_FIELDS = (83, 191)
_WHOLE_GPU_SCOPE = 0
_MEMORY_V2 = 0x02000028


def device_answers(gpu: SimulatedGpu) -> dict[str, Answer]:
    """Every device function by its NVML name, bound to one device; each is called with the instant first."""
    counter = gpu.counter()
    plain: dict[str, Answer] = {
        "nvmlDeviceGetArchitecture": _architecture,
        "nvmlDeviceGetEnforcedPowerLimit": _power_limit,
        "nvmlDeviceGetIndex": _index,
        "nvmlDeviceGetMemoryInfo": _memory,
        "nvmlDeviceGetMemoryInfo_v2": _memory_v2,
        "nvmlDeviceGetMigMode": _mig_mode,
        "nvmlDeviceGetName": _name,
        "nvmlDeviceGetPciInfo_v3": _pci_info,
        "nvmlDeviceGetPersistenceMode": _persistence,
        "nvmlDeviceGetPowerManagementDefaultLimit": _power_limit,
        "nvmlDeviceGetPowerManagementLimit": _power_limit,
        "nvmlDeviceGetPowerUsage": _power,
        "nvmlDeviceGetTemperature": _temperature,
        "nvmlDeviceGetUUID": _uuid,
        "nvmlDeviceGetUtilizationRates": _utilization,
    }
    answers: dict[str, Answer] = {name: partial(answer, gpu) for name, answer in plain.items()}
    answers["nvmlDeviceGetTotalEnergyConsumption"] = partial(_energy, counter)
    answers["nvmlDeviceGetFieldValues"] = partial(_field_values, gpu, counter)
    for kind, word in (("compute", "Compute"), ("graphics", "Graphics"), ("mps", "MPSCompute")):
        for version in ("v2", "v3"):
            answers[f"nvmlDeviceGet{word}RunningProcesses_{version}"] = partial(_processes, gpu, kind)
    return answers


def fill_text(buffer: Any, size: Any, text: str) -> int:
    """Put a text into a caller's buffer, with the zero at its end."""
    encoded = text.encode()
    if len(encoded) >= size.value:
        return INSUFFICIENT_SIZE
    buffer.value = encoded
    return SUCCESS


def garbage_power(milliwatts: int, argument: Any) -> int:
    """A power reading that no board could have."""
    argument._obj.value = milliwatts
    return SUCCESS


def _power(gpu: SimulatedGpu, at_ns: int, argument: Any) -> int:
    sensor = gpu.facts.power
    if sensor is None:
        return NOT_SUPPORTED
    argument._obj.value = gpu.power_milliwatts(at_ns, sensor.window_ns, sensor.step_ns)
    return SUCCESS


def _energy(counter: Counter | None, at_ns: int, argument: Any) -> int:
    if counter is None:
        return NOT_SUPPORTED
    argument._obj.value = counter.millijoules(at_ns)
    return SUCCESS


def _utilization(gpu: SimulatedGpu, at_ns: int, argument: Any) -> int:
    period_ns = gpu.facts.utilization_period_ns
    if period_ns is None:
        return NOT_SUPPORTED
    rates = argument._obj
    rates.gpu = percent = gpu.utilization_percent(at_ns, period_ns)
    rates.memory = gpu.memory_utilization_percent(percent)
    return SUCCESS


def _power_limit(gpu: SimulatedGpu, _: int, argument: Any) -> int:
    if gpu.facts.power is None:
        return NOT_SUPPORTED
    argument._obj.value = gpu.facts.power_limit_milliwatts
    return SUCCESS


def _memory(gpu: SimulatedGpu, at_ns: int, argument: Any) -> int:
    """Version 1: what the driver reserves counts as used."""
    memory, facts = argument._obj, gpu.facts
    memory.total = facts.memory_bytes
    memory.used = used = min(facts.memory_bytes, gpu.used_bytes(at_ns) + facts.reserved_bytes)
    memory.free = facts.memory_bytes - used
    return SUCCESS


def _memory_v2(gpu: SimulatedGpu, at_ns: int, argument: Any) -> int:
    """Version 2: what the driver reserves is named, and not counted as used."""
    memory, facts = argument._obj, gpu.facts
    if memory.version != _MEMORY_V2:
        return ARGUMENT_VERSION_MISMATCH
    memory.total = facts.memory_bytes
    memory.reserved = facts.reserved_bytes
    memory.used = used = min(facts.memory_bytes - facts.reserved_bytes, gpu.used_bytes(at_ns))
    memory.free = facts.memory_bytes - facts.reserved_bytes - used
    return SUCCESS


def _processes(gpu: SimulatedGpu, kind: str, at_ns: int, count: Any, array: Any) -> int:
    """The caller's count is the room it has, and comes back as how many there are."""
    processes = gpu.processes(kind, at_ns)
    room, count._obj.value = count._obj.value, len(processes)
    if room < len(processes) or (array is None and processes):
        return INSUFFICIENT_SIZE
    for entry, process in zip(array or (), processes, strict=False):
        entry.pid = process.pid
        entry.usedGpuMemory = process.memory_bytes
        entry.gpuInstanceId = entry.computeInstanceId = 0xFFFFFFFF
    return SUCCESS


def _field_values(gpu: SimulatedGpu, counter: Counter | None, at_ns: int, count: Any, argument: Any) -> int:
    """Each field has its own return code; only a malformed question fails as a whole."""
    values = argument._obj
    if not 0 < count.value <= len(values):
        return INVALID_ARGUMENT
    for value in values[: count.value]:
        value.timestamp = at_ns // 1_000
        value.latencyUsec = 0
        value.nvmlReturn = _field(gpu, counter, at_ns, value)
    return SUCCESS


def _field(gpu: SimulatedGpu, counter: Counter | None, at_ns: int, value: Any) -> int:
    sensor = gpu.facts.power
    if value.scopeId != _WHOLE_GPU_SCOPE:
        return NOT_SUPPORTED
    if value.fieldId in _ENERGY_FIELDS and counter is not None:
        value.valueType = _UNSIGNED_LONG_LONG
        value.value.ullVal = counter.millijoules(at_ns)
        return SUCCESS
    if value.fieldId == _POWER_AVERAGE and sensor is not None and sensor.window_ns >= NANOSECONDS_PER_SECOND:
        value.valueType = _UNSIGNED_INT
        value.value.uiVal = gpu.power_milliwatts(at_ns, sensor.window_ns, sensor.step_ns)
        return SUCCESS
    if value.fieldId == _POWER_INSTANT and sensor is not None:
        value.valueType = _UNSIGNED_INT
        value.value.uiVal = gpu.power_milliwatts(at_ns, sensor.instant_window_ns, sensor.step_ns)
        return SUCCESS
    return NOT_SUPPORTED


def _mig_mode(gpu: SimulatedGpu, _: int, current: Any, pending: Any) -> int:
    if gpu.facts.architecture < MIG_CAPABLE_FROM:
        return NOT_SUPPORTED
    current._obj.value = pending._obj.value = 0
    return SUCCESS


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


def _index(gpu: SimulatedGpu, _: int, argument: Any) -> int:
    argument._obj.value = gpu.facts.index
    return SUCCESS


def _architecture(gpu: SimulatedGpu, _: int, argument: Any) -> int:
    argument._obj.value = gpu.facts.architecture
    return SUCCESS


def _persistence(gpu: SimulatedGpu, _: int, argument: Any) -> int:
    argument._obj.value = int(gpu.facts.persistence)
    return SUCCESS
