"""One board behind the driver: the few calls a tick makes, straight to the driver's functions.

Every board has arguments of its own, so that threads may read different boards at once. Where the driver serves the
energy counter and the power in one call, that call replaces two.
"""

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pynvml

from costmeter.readings import Missing
from costmeter.sources.nvml_activity import MigActivity
from costmeter.sources.nvml_failures import asked, failure, failure_of, refused
from costmeter.units import MICROJOULES_PER_JOULE, MICROJOULES_PER_MILLIJOULE

#: Fields of nvmlDeviceGetFieldValues: the energy counter in mJ; power as a mean over the last second, and as it is.
FIELD_ENERGY, FIELD_POWER_MEAN, FIELD_POWER_INSTANT = 83, 185, 186
#: What a field covers: the GPU, or the module with its CPU.
SCOPE_GPU, SCOPE_MODULE = 0, 1

#: No board and no module draws 10 kW; the greatest limit of 2026 is 2.9 kW.
MOST_MILLIWATTS = 10_000_000
#: What a board of 3.6 kW draws in 88 years, in mJ. A counter that says more says nothing.
_MOST_MILLIJOULES = 10**16
#: What drivers answer when they have no answer, in 32 bits; that in 64 bits is beyond every bound.
_BLANK = 0xFFFFFFFF
#: The counter's own function may be so much ahead of its field, asked just before: 10 s at 10 kW.
_AHEAD_MICROJOULES = 100_000 * MICROJOULES_PER_JOULE

IMPOSSIBLE_POWER = Missing("impossible power reading")
_IMPOSSIBLE_ENERGY = Missing("impossible energy counter")
_IMPOSSIBLE_UTILIZATION = Missing("impossible utilization")
_IMPOSSIBLE_MEMORY = Missing("impossible memory reading")
_NOT_A_NUMBER = Missing("the driver's answer is no number")


class _Utilization(ctypes.Structure):
    """nvmlUtilization_t; pynvml's own prints nicely and is five times as slow to read."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Number(ctypes.Union):
    """nvmlValue_t."""

    _fields_ = (
        ("dVal", ctypes.c_double),
        ("uiVal", ctypes.c_uint),
        ("ulVal", ctypes.c_ulong),
        ("ullVal", ctypes.c_ulonglong),
        ("sllVal", ctypes.c_longlong),
        ("siVal", ctypes.c_int),
        ("usVal", ctypes.c_ushort),
    )


class FieldValue(ctypes.Structure):
    """nvmlFieldValue_t; the members of its number are its own, which is quicker to read."""

    _anonymous_ = ("value",)
    _fields_ = (
        ("fieldId", ctypes.c_uint32),
        ("scopeId", ctypes.c_uint32),
        ("timestamp", ctypes.c_int64),
        ("latencyUsec", ctypes.c_int64),
        ("valueType", ctypes.c_int),
        ("nvmlReturn", ctypes.c_int),
        ("value", _Number),
    )


#: The union member that a value type names (nvmlValueType_t).
_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")


@dataclass(frozen=True, slots=True)
class Functions:
    """The driver's functions of the fast path; one that an old driver lacks answers that it is not there."""

    energy: Callable[..., int]
    power: Callable[..., int]
    utilization: Callable[..., int]
    fields: Callable[..., int]

    @staticmethod
    def of_driver() -> "Functions":
        """Those of the driver that is open."""
        return Functions(
            _function("nvmlDeviceGetTotalEnergyConsumption"),
            _function("nvmlDeviceGetPowerUsage"),
            _function("nvmlDeviceGetUtilizationRates"),
            _function("nvmlDeviceGetFieldValues"),
        )


class _Together:
    """Values that the driver serves in one call, with the arguments of that call."""

    __slots__ = ("_array", "_count", "values")

    def __init__(self, wanted: list[tuple[int, int]]) -> None:
        array = (FieldValue * len(wanted))()
        for value, (field_id, scope) in zip(array, wanted, strict=True):
            value.fieldId, value.scopeId = field_id, scope
        self.values: list[Any] = list(array)
        self._array, self._count = ctypes.byref(array), ctypes.c_int(len(wanted))

    def fetch(self, functions: Functions, handle: Any) -> int:
        """Ask for them all. The code of the call; each value has one of its own."""
        return functions.fields(handle, self._count, self._array)


@dataclass(slots=True)
class Board:
    """A board with its handle. What it refused for good when it was probed is not asked again.

    `together` are the values the driver serves in one call, the counter first; `power_alone` is the last of them. Where
    such a call or one of its values fails, the function of old that asks the same stands in, for that time.
    """

    functions: Functions
    handle: Any
    highest_milliwatts: int = MOST_MILLIWATTS
    counter_refused: Missing | None = None
    power_refused: Missing | None = None
    utilization_refused: Missing | None = None
    together: _Together | None = None
    power_alone: _Together | None = None
    activity: MigActivity | None = None
    last_microjoules: int = -1

    def energy_and_power(self) -> tuple[int | Missing, float | Missing | None]:
        """The counter, and the power where it came with it; None where power was not asked."""
        together = self.together
        if together is None or together.fetch(self.functions, self.handle):
            return self.energy_microjoules(), None
        values = together.values
        energy_uj = _counted(_number(values[0]))
        if isinstance(energy_uj, Missing):
            energy_uj = self.energy_microjoules()
        return energy_uj, self._possible(_number(values[1])) if len(values) > 1 else None

    def energy_microjoules(self) -> int | Missing:
        """The counter alone, by its own function."""
        if self.counter_refused is not None:
            return self.counter_refused
        millijoules = ctypes.c_ulonglong()
        code = self.functions.energy(self.handle, ctypes.byref(millijoules))
        return refused(code) if code else _counted(millijoules.value)

    def power_watts(self) -> float | Missing:
        """Power alone, by the field that was found best, else by the function that every driver has."""
        alone = self.power_alone
        if alone is not None and not alone.fetch(self.functions, self.handle):
            power = self._possible(_number(alone.values[0]))
            if not isinstance(power, Missing):
                return power
        return self._power_by_function()

    def utilization_ratio(self) -> float | Missing:
        """Share of the driver's last sample period in which a kernel ran."""
        if self.utilization_refused is not None:
            return self.utilization_refused
        rates = _Utilization()
        code = self.functions.utilization(self.handle, ctypes.byref(rates))
        if code:
            return refused(code)
        percent: int = rates.gpu
        return percent / 100 if percent <= 100 else _IMPOSSIBLE_UTILIZATION

    def memory_used_bytes(self) -> int | Missing:
        """Version 2 leaves out what the driver itself reserves; older drivers have only version 1."""
        memory = asked(lambda: pynvml.nvmlDeviceGetMemoryInfo(self.handle, version=pynvml.nvmlMemory_v2))
        if isinstance(memory, Missing):
            memory = asked(lambda: pynvml.nvmlDeviceGetMemoryInfo(self.handle))
        if isinstance(memory, Missing):
            return memory
        return int(memory.used) if memory.used <= memory.total else _IMPOSSIBLE_MEMORY

    def choose_fields(self, is_module: bool) -> bool | Missing:
        """Find which of counter and power the driver serves together. True when power is the mean of a second.

        A value that cannot be, or a counter that is not the one its function tells, is as good as refused. On a module
        only power of the module will do: the counter is the module's.
        """
        scope = SCOPE_MODULE if is_module else SCOPE_GPU
        wanted = [(FIELD_ENERGY, SCOPE_GPU), (FIELD_POWER_MEAN, scope), (FIELD_POWER_INSTANT, scope)]
        tried = _Together(wanted)
        code = tried.fetch(self.functions, self.handle)
        if code:
            return refused(code)
        energy_uj, *powers = (_number(value) for value in tried.values)
        is_served = self._is_counter(_counted(energy_uj))
        served = zip(wanted[1:], powers, strict=True)
        best = next((pair for pair, power in served if not isinstance(self._possible(power), Missing)), None)
        self.power_alone = None if best is None else _Together([best])
        if is_served:
            self.together = _Together(wanted[:1] if best is None else [wanted[0], best])
        return best is not None and best[0] == FIELD_POWER_MEAN

    def _is_counter(self, told_uj: int | Missing) -> bool:
        if isinstance(told_uj, Missing):
            return False
        own_uj = self.energy_microjoules()
        return isinstance(own_uj, Missing) or 0 <= own_uj - told_uj <= _AHEAD_MICROJOULES

    def _power_by_function(self) -> float | Missing:
        if self.power_refused is not None:
            return self.power_refused
        milliwatts = ctypes.c_uint()
        code = self.functions.power(self.handle, ctypes.byref(milliwatts))
        return refused(code) if code else self._possible(milliwatts.value)

    def _possible(self, milliwatts: int | Missing) -> float | Missing:
        if isinstance(milliwatts, Missing):
            return milliwatts
        return milliwatts / 1_000 if 0 < milliwatts <= self.highest_milliwatts else IMPOSSIBLE_POWER


def is_for_good(value: object) -> bool:
    """Whether a refusal will not change while the driver is open."""
    found = failure_of(value) if isinstance(value, Missing) else None
    return found is not None and found.kind == "permanent"


def _number(value: Any) -> int | Missing:
    """The value of a field by the union member its type names, as a whole number."""
    code = value.nvmlReturn
    if code:  # of this value alone: whether the board or the driver is gone, the function of old will say
        return failure(code).missing
    kind = value.valueType
    if not 0 <= kind < len(_MEMBERS):
        return _NOT_A_NUMBER
    if kind:
        whole: int = getattr(value, _MEMBERS[kind])
        return whole
    return int(value.dVal) if math.isfinite(value.dVal) else _NOT_A_NUMBER


def _counted(millijoules: int | Missing) -> int | Missing:
    if isinstance(millijoules, Missing):
        return millijoules
    if 0 <= millijoules <= _MOST_MILLIJOULES and millijoules != _BLANK:
        return millijoules * MICROJOULES_PER_MILLIJOULE
    return _IMPOSSIBLE_ENERGY


def _function(name: str) -> Callable[..., int]:
    """A function of the opened driver, or one that says it is not there, as older drivers have fewer."""
    function: Callable[..., int] = getattr(pynvml.nvmlLib, name, _not_there)
    return function


def _not_there(*_: object) -> int:
    code: int = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
    return code
