"""Each NVML function that takes no device: starting and stopping, versions, and finding devices."""

from collections.abc import Callable
from typing import Any

from costmeter.sources.simulated.codes import (
    CODES,
    GPU_IS_LOST,
    INVALID_ARGUMENT,
    NOT_FOUND,
    SUCCESS,
    UNINITIALIZED,
)
from costmeter.sources.simulated.filling import fill_text
from costmeter.sources.simulated.gpm import Gpm
from costmeter.sources.simulated.handles import board_address, give, instance_address
from costmeter.sources.simulated.scenario import Driver
from costmeter.sources.simulated.session import Session
from costmeter.sources.simulated.world import SimulatedGpu

_ERROR_STRINGS = dict(CODES.values())


class NodeAnswers:
    """What the driver says of itself and of the devices that the session lists."""

    def __init__(
        self, driver: Driver, gpus: tuple[SimulatedGpu, ...], session: Session, gpm: Gpm, now_ns: Callable[[], int]
    ) -> None:
        self._driver = driver
        self._gpus = gpus
        self._session = session
        self._gpm = gpm
        self._now_ns = now_ns
        self._by_uuid = {gpu.facts.uuid: (gpu, board_address(gpu.facts.index)) for gpu in gpus}
        for gpu in gpus:
            for instance in gpu.facts.mig or ():
                self._by_uuid[instance.uuid] = (gpu, instance_address(gpu.facts.index, instance.place))
        self._by_bus_id = {gpu.facts.pci_bus_id.upper(): gpu for gpu in gpus}

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Every function by its NVML name."""
        methods: dict[str, Callable[..., Any]] = {
            "nvmlInit": self._session.init,
            "nvmlInit_v2": self._session.init,
            "nvmlInitWithFlags": self._session.init,
            "nvmlShutdown": self._session.shutdown,
            "nvmlErrorString": self._error_string,
            "nvmlSystemGetDriverVersion": self._driver_version,
            "nvmlSystemGetNVMLVersion": self._nvml_version,
            "nvmlSystemGetCudaDriverVersion": self._cuda_version,
            "nvmlSystemGetCudaDriverVersion_v2": self._cuda_version,
            "nvmlDeviceGetCount_v2": self._count,
            "nvmlDeviceGetHandleByIndex_v2": self._handle_by_index,
            "nvmlDeviceGetHandleByUUID": self._handle_by_uuid,
            "nvmlDeviceGetHandleByPciBusId_v2": self._handle_by_bus_id,
            "nvmlGpmMetricsGet": self._when_ready(self._gpm.metrics),
            "nvmlGpmSampleAlloc": self._when_ready(self._gpm.allocate),
            "nvmlGpmSampleFree": self._when_ready(self._gpm.free),
        }
        return {name: _function(method) for name, method in methods.items()}

    def _error_string(self, code: int) -> bytes:
        return _ERROR_STRINGS.get(code, "Unknown Error").encode()

    def _driver_version(self, buffer: Any, size: Any) -> int:
        return self._ready() or fill_text(buffer, size, self._driver.version)

    def _nvml_version(self, buffer: Any, size: Any) -> int:
        return fill_text(buffer, size, self._driver.nvml_version)

    def _cuda_version(self, argument: Any) -> int:
        argument._obj.value = self._driver.cuda_version
        return SUCCESS

    def _count(self, argument: Any) -> int:
        argument._obj.value = len(self._session.listed)
        return self._ready()

    def _handle_by_index(self, index: Any, handle: Any) -> int:
        listed = self._session.listed
        if not 0 <= index.value < len(listed):
            return self._ready() or INVALID_ARGUMENT
        gpu = self._gpus[listed[index.value]]
        return self._handle(gpu, board_address(gpu.facts.index), handle)

    def _handle_by_uuid(self, uuid: Any, handle: Any) -> int:
        gpu, address = self._by_uuid.get(uuid.value.decode(), (None, 0))
        return self._handle(gpu, address, handle)

    def _handle_by_bus_id(self, bus_id: Any, handle: Any) -> int:
        gpu = self._by_bus_id.get(_long_bus_id(bus_id.value.decode()))
        return self._handle(gpu, board_address(gpu.facts.index) if gpu else 0, handle)

    def _handle(self, gpu: SimulatedGpu | None, address: int, argument: Any) -> int:
        """Give a handle out. NVML attaches a device when its handle is asked for, so a lost one is noticed here."""
        if code := self._ready():
            return code
        if gpu is None or gpu.facts.index not in self._session.listed:
            return NOT_FOUND
        faults = gpu.faults.at(self._now_ns()) if gpu.faults else ()
        if any(fault.kind == "lost" for fault in faults):
            return GPU_IS_LOST
        give(argument, address)
        return SUCCESS

    def _ready(self) -> int:
        return SUCCESS if self._now_ns() < self._session.good_until_ns else UNINITIALIZED

    def _when_ready(self, method: Callable[..., int]) -> Callable[..., int]:
        return lambda argument: self._ready() or method(argument)


def _function(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method as a plain function: pynvml sets attributes (restype) on what it calls."""

    def call(*arguments: Any) -> Any:
        return method(*arguments)

    return call


def _long_bus_id(bus_id: str) -> str:
    """`0000:18:00.0` and `00000000:18:00.0` name the same device."""
    domain, _, rest = bus_id.upper().partition(":")
    return f"{domain:0>8}:{rest}"
