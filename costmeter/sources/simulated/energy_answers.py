"""Power and energy of a device, as its functions and its fields tell them.

Both ask one counter and one sensor, so what is wrong with either is wrong with both. Beside a Grace CPU the functions
cover the whole module; the power fields tell the GPU and the module apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from costmeter.sources.simulated.codes import INVALID_ARGUMENT, NOT_SUPPORTED, SUCCESS
from costmeter.sources.simulated.counter import Counter
from costmeter.sources.simulated.faults import held_ns, stuck_faults
from costmeter.sources.simulated.scenario import Fault
from costmeter.sources.simulated.world import SimulatedGpu
from costmeter.units import NANOSECONDS_PER_SECOND

Answer = Callable[..., int]

POWER_AVERAGE, POWER_INSTANT = 185, 186
_ENERGY_FIELDS = (83, 191)
_GPU_SCOPE, _MODULE_SCOPE = 0, 1
_UNSIGNED_INT, _UNSIGNED_LONG_LONG = 1, 3


@dataclass(frozen=True, slots=True)
class _Fields:
    """What fields are told from: the counter, and by field the length that a power reading is the mean of."""

    gpu: SimulatedGpu
    counter: Counter | None
    windows_ns: dict[int, int]
    step_ns: int
    stuck: tuple[Fault, ...]


def energy_answers(gpu: SimulatedGpu) -> dict[str, Answer]:
    """The functions that say what a device draws or drew, bound to it."""
    counter, stuck = gpu.counter(), stuck_faults(gpu.facts.faults)
    power: Answer = partial(_power if gpu.facts.module_milliwatts is None else _module_power, gpu)
    return {
        "nvmlDeviceGetEnforcedPowerLimit": partial(_power_limit, gpu),
        "nvmlDeviceGetFieldValues": partial(_field_values, _fields(gpu, counter, stuck)),
        "nvmlDeviceGetPowerManagementDefaultLimit": partial(_power_limit, gpu),
        "nvmlDeviceGetPowerManagementLimit": partial(_power_limit, gpu),
        "nvmlDeviceGetPowerUsage": partial(_stuck_power, stuck, power) if stuck else power,
        "nvmlDeviceGetTotalEnergyConsumption": partial(_energy, counter),
    }


def garbage_power(milliwatts: int, argument: Any) -> int:
    """A power reading that no board could have."""
    argument._obj.value = milliwatts
    return SUCCESS


def refuse_fields(_: int, count: Any, argument: Any) -> int:
    """A question that is answered, with nothing but refusals: that of a MIG device."""
    values = argument._obj
    if not 0 < count.value <= len(values):
        return INVALID_ARGUMENT
    for value in values[: count.value]:
        value.nvmlReturn = NOT_SUPPORTED
    return SUCCESS


def _power(gpu: SimulatedGpu, at_ns: int, argument: Any) -> int:
    sensor = gpu.facts.power
    if sensor is None:
        return NOT_SUPPORTED
    argument._obj.value = gpu.power_milliwatts(at_ns, sensor.window_ns, sensor.step_ns)
    return SUCCESS


def _module_power(gpu: SimulatedGpu, at_ns: int, argument: Any) -> int:
    code = _power(gpu, at_ns, argument)
    if code == SUCCESS:
        argument._obj.value += gpu.facts.module_milliwatts
    return code


def _stuck_power(stuck: tuple[Fault, ...], power: Answer, at_ns: int, argument: Any) -> int:
    return power(held_ns(stuck, at_ns), argument)


def _power_limit(gpu: SimulatedGpu, _: int, argument: Any) -> int:
    if gpu.facts.power is None:
        return NOT_SUPPORTED
    argument._obj.value = gpu.facts.power_limit_milliwatts
    return SUCCESS


def _energy(counter: Counter | None, at_ns: int, argument: Any) -> int:
    if counter is None:
        return NOT_SUPPORTED
    argument._obj.value = counter.millijoules(at_ns)
    return SUCCESS


def _field_values(fields: _Fields, at_ns: int, count: Any, argument: Any) -> int:
    """Each field has its own return code; only a malformed question fails as a whole."""
    values, asked = argument._obj, count.value
    if not 0 < asked <= len(values):
        return INVALID_ARGUMENT
    microseconds, power_ns = at_ns // 1_000, held_ns(fields.stuck, at_ns) if fields.stuck else at_ns
    for position in range(asked):
        value = values[position]
        value.timestamp = microseconds
        value.latencyUsec = 0
        field = value.fieldId
        if field in fields.windows_ns:
            value.nvmlReturn = _power_field(fields, power_ns, field, value)
        else:
            value.nvmlReturn = _energy_field(fields.counter, at_ns, field, value)
    return SUCCESS


def _fields(gpu: SimulatedGpu, counter: Counter | None, stuck: tuple[Fault, ...]) -> _Fields:
    """A board whose power readings are no mean of a whole second does not have the field of such means."""
    sensor, windows_ns = gpu.facts.power, {}
    if sensor is not None:
        windows_ns[POWER_INSTANT] = sensor.instant_window_ns
        if sensor.window_ns >= NANOSECONDS_PER_SECOND:
            windows_ns[POWER_AVERAGE] = sensor.window_ns
    return _Fields(gpu, counter, windows_ns, sensor.step_ns if sensor else 1, stuck)


def _energy_field(counter: Counter | None, at_ns: int, field: int, value: Any) -> int:
    if counter is None or field not in _ENERGY_FIELDS or value.scopeId != _GPU_SCOPE:
        return NOT_SUPPORTED
    value.valueType = _UNSIGNED_LONG_LONG
    value.value.ullVal = counter.millijoules(at_ns)
    return SUCCESS


def _power_field(fields: _Fields, at_ns: int, field: int, value: Any) -> int:
    milliwatts = fields.gpu.power_milliwatts(at_ns, fields.windows_ns[field], fields.step_ns)
    scope = value.scopeId
    if scope != _GPU_SCOPE:
        module_milliwatts = fields.gpu.facts.module_milliwatts
        if scope != _MODULE_SCOPE or module_milliwatts is None:
            return NOT_SUPPORTED
        milliwatts += module_milliwatts
    value.valueType = _UNSIGNED_INT
    value.value.uiVal = milliwatts
    return SUCCESS
