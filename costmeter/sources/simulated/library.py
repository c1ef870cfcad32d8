"""The simulated libnvidia-ml.so: an object whose attributes are the driver's functions, for pynvml to call.

It stands where ctypes.CDLL stands in pynvml. A function that the scenario calls missing is an AttributeError, as in a
driver too old to have it.
"""

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import pynvml

from costmeter.clock import Clock
from costmeter.sources.simulated.answers import device_answers, fill_text, garbage_power
from costmeter.sources.simulated.codes import (
    CODES,
    DEVICE_FUNCTIONS,
    GPU_IS_LOST,
    INVALID_ARGUMENT,
    NOT_FOUND,
    SUCCESS,
    TIMEOUT,
    UNINITIALIZED,
)
from costmeter.sources.simulated.faults import strikes
from costmeter.sources.simulated.scenario import FOR_EVER_NS, Scenario
from costmeter.sources.simulated.session import Session
from costmeter.sources.simulated.truth import Truth
from costmeter.sources.simulated.world import SimulatedGpu, simulated_gpus
from costmeter.units import NANOSECONDS_PER_SECOND

#: Handles are opaque to callers: addresses that lead nowhere, one page for each device.
_FIRST_HANDLE, _HANDLE_STRIDE = 0x7E57_0000_0000, 0x1000

#: How often a hung call looks whether its clock reached the end; a manual clock cannot wake it.
_HANG_LOOK_SECONDS = 0.02


class SimulatedLibrary:
    """One node behind the functions of NVML. Safe for threads; `truth` is what really happened on it."""

    def __init__(self, scenario: Scenario, clock: Clock, epoch_boottime_ns: int) -> None:
        self.scenario = scenario
        self.epoch_boottime_ns = epoch_boottime_ns
        self._clock = clock
        self._gpus = simulated_gpus(scenario)
        self.truth = Truth(self._gpus, epoch_boottime_ns)
        self._session = Session(scenario.node_faults, self._now_ns)
        self._released = threading.Event()
        self._functions = {**self._node_functions(), **self._device_functions()}
        for name in scenario.driver.missing_functions:
            del self._functions[name]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A function of the driver by its NVML name. Others' packages look these up, so unknown ones just miss."""
        functions: dict[str, Callable[..., Any]] = self.__dict__.get("_functions", {})
        if name in functions:
            return functions[name]
        raise AttributeError(f"undefined symbol: {name}")

    def install(self) -> None:
        """Let pynvml call this library from now on, in the whole process."""
        _replace_library(self)

    def uninstall(self) -> None:
        """Let pynvml load the real driver when it is next initialised; nothing when another library is installed."""
        if pynvml.nvmlLib is self:
            _replace_library(None)

    def release_hung_calls(self) -> None:
        """Let every hung call return TIMEOUT, now and from here on: the end of a test."""
        self._released.set()

    def _now_ns(self) -> int:
        return max(0, self._clock.boottime_ns() - self.epoch_boottime_ns)

    def _device_functions(self) -> dict[str, Callable[..., Any]]:
        answers = [device_answers(gpu) for gpu in self._gpus]
        return {
            name: self._device_function(
                name,
                {_handle_bytes(gpu): (gpu, device[name]) for gpu, device in zip(self._gpus, answers, strict=True)},
            )
            for name in DEVICE_FUNCTIONS
        }

    def _device_function(
        self, name: str, devices: dict[bytes, tuple[SimulatedGpu, Callable[..., int]]]
    ) -> Callable[..., int]:
        """The checks every device call makes, then its answer. This is the hot path of simulated months."""
        boottime_ns, epoch_ns, session = self._clock.boottime_ns, self.epoch_boottime_ns, self._session

        def call(handle: Any, *arguments: Any) -> int:
            found = devices.get(bytes(handle))
            now_ns = boottime_ns() - epoch_ns
            if now_ns < 0:
                now_ns = 0
            if now_ns >= session.good_until_ns:
                return UNINITIALIZED
            if found is None:
                return INVALID_ARGUMENT
            gpu, answer = found
            if gpu.faults is not None:
                code = self._faulted(name, gpu, arguments)
                if code is not None:
                    return code
                now_ns = self._now_ns()  # a hung call answers with what holds when it returns
            return answer(now_ns, *arguments)

        return call

    def _faulted(self, name: str, gpu: SimulatedGpu, arguments: tuple[Any, ...]) -> int | None:
        """What a fault makes of this call; None when the device answers after all."""
        assert gpu.faults is not None
        now_ns = self._now_ns()
        for fault in gpu.faults.at(now_ns):
            if not strikes(fault, name, self.scenario.seed, gpu.facts.index, now_ns):
                continue
            if fault.kind == "lost":
                return GPU_IS_LOST
            if fault.kind == "error":
                return fault.code
            if fault.kind == "hang" and not self._hang(fault.end_ns):
                return TIMEOUT
            if fault.kind == "garbage" and name == "nvmlDeviceGetPowerUsage":
                return garbage_power(fault.milliwatts, arguments[0])
        return None

    def _hang(self, end_ns: int) -> bool:
        """Block until the instant; False when somebody released the call. Holds no lock, so others go on."""
        if end_ns == FOR_EVER_NS:
            self._released.wait()
            return False
        while (remaining_ns := end_ns - self._now_ns()) > 0:
            if self._released.wait(min(_HANG_LOOK_SECONDS, remaining_ns / NANOSECONDS_PER_SECOND)):
                return False
        return True

    def _node_functions(self) -> dict[str, Callable[..., Any]]:
        driver = self.scenario.driver
        by_uuid = {gpu.facts.uuid: gpu for gpu in self._gpus}
        by_bus_id = {gpu.facts.pci_bus_id.upper(): gpu for gpu in self._gpus}

        def error_string(code: int) -> bytes:
            return _ERROR_STRINGS.get(code, "Unknown Error").encode()

        def driver_version(buffer: Any, size: Any) -> int:
            return self._ready() or fill_text(buffer, size, driver.version)

        def nvml_version(buffer: Any, size: Any) -> int:
            return fill_text(buffer, size, driver.nvml_version)

        def cuda_version(argument: Any) -> int:
            argument._obj.value = driver.cuda_version
            return SUCCESS

        def count(argument: Any) -> int:
            argument._obj.value = len(self._gpus)
            return self._ready()

        def handle_by_index(index: Any, handle: Any) -> int:
            known = 0 <= index.value < len(self._gpus)
            gpu = self._gpus[index.value] if known else None
            return self._handle(gpu, handle, INVALID_ARGUMENT)

        def handle_by_uuid(uuid: Any, handle: Any) -> int:
            return self._handle(by_uuid.get(uuid.value.decode()), handle, NOT_FOUND)

        def handle_by_bus_id(bus_id: Any, handle: Any) -> int:
            return self._handle(by_bus_id.get(_long_bus_id(bus_id.value.decode())), handle, NOT_FOUND)

        return {
            "nvmlInit": self._function(self._session.init),
            "nvmlInit_v2": self._function(self._session.init),
            "nvmlInitWithFlags": self._function(self._session.init),
            "nvmlShutdown": self._function(self._session.shutdown),
            "nvmlErrorString": error_string,
            "nvmlSystemGetDriverVersion": driver_version,
            "nvmlSystemGetNVMLVersion": nvml_version,
            "nvmlSystemGetCudaDriverVersion": cuda_version,
            "nvmlSystemGetCudaDriverVersion_v2": cuda_version,
            "nvmlDeviceGetCount_v2": count,
            "nvmlDeviceGetHandleByIndex_v2": handle_by_index,
            "nvmlDeviceGetHandleByUUID": handle_by_uuid,
            "nvmlDeviceGetHandleByPciBusId_v2": handle_by_bus_id,
        }

    def _function(self, method: Callable[..., int]) -> Callable[..., int]:
        """A method as a plain function: pynvml sets attributes (restype) on what it calls."""

        def call(*arguments: Any) -> int:
            return method(*arguments)

        return call

    def _ready(self) -> int:
        return SUCCESS if self._now_ns() < self._session.good_until_ns else UNINITIALIZED

    def _handle(self, gpu: SimulatedGpu | None, argument: Any, unknown: int) -> int:
        """Give a handle out. NVML attaches a device when its handle is asked for, so a lost one is noticed here."""
        if code := self._ready():
            return code
        if gpu is None:
            return unknown
        faults = gpu.faults.at(self._now_ns()) if gpu.faults else ()
        if any(fault.kind == "lost" for fault in faults):
            return GPU_IS_LOST
        ctypes.c_void_p.from_buffer(argument._obj).value = _handle_address(gpu)
        return SUCCESS


_ERROR_STRINGS = dict(CODES.values())


def _replace_library(library: SimulatedLibrary | None) -> None:
    pynvml.nvmlLib = library
    # Function pointers of the library before would otherwise be called for ever.
    pynvml._nvmlGetFunctionPointer_cache.clear()


def _handle_address(gpu: SimulatedGpu) -> int:
    return _FIRST_HANDLE + gpu.facts.index * _HANDLE_STRIDE


def _handle_bytes(gpu: SimulatedGpu) -> bytes:
    """A handle as it lies in memory: the quickest thing to ask a ctypes pointer for."""
    return bytes(ctypes.c_void_p(_handle_address(gpu)))


def _long_bus_id(bus_id: str) -> str:
    """`0000:18:00.0` and `00000000:18:00.0` name the same device."""
    domain, _, rest = bus_id.upper().partition(":")
    return f"{domain:0>8}:{rest}"
