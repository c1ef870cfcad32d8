"""The NVML source: NVIDIA GPUs through pynvml, real or simulated, as devices and readings.

The two calls of a fast reading go straight to the driver's functions, with arguments of their own, so that threads
may read different devices at once; everything else goes through pynvml.
"""

import ctypes
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import pynvml

from costmeter.clock import Clock, RealClock
from costmeter.errors import DeviceGone, SourceRetry, SourceStopped
from costmeter.readings import NOT_ASKED, Device, DriverFacts, Method, Missing, Reading
from costmeter.sources.nvml_failures import failure, failure_of
from costmeter.units import MICROJOULES_PER_MILLIJOULE, NANOSECONDS_PER_SECOND

if TYPE_CHECKING:
    from costmeter.sources.simulated import SimulatedLibrary  # nobody with a real driver pays for loading it

_LOGGER = logging.getLogger(__name__)

#: How long a device may take to be probed. Without persistence mode the first call wakes the board, 1 to 3 s.
PROBE_SECONDS = 5.0

#: A power above this multiple of the enforced limit is no power a board can have.
_IMPOSSIBLE_LIMITS = 2
_UNSIGNED_INT_BLANK = 0xFFFFFFFF
_UNSIGNED_LONG_LONG_BLANK = 0xFFFFFFFFFFFFFFFF

_IMPOSSIBLE_POWER = Missing("impossible power reading")
_IMPOSSIBLE_ENERGY = Missing("impossible energy counter")
_IMPOSSIBLE_UTILIZATION = Missing("impossible utilization")
_NO_ANSWER = Missing("the driver did not answer")
_NO_ENERGY = Missing("no energy counter and no power reading")


class _Utilization(ctypes.Structure):
    """nvmlUtilization_t; pynvml's own prints nicely and is five times as slow to read."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


@dataclass(frozen=True, slots=True)
class _Opened:
    """A device the driver gave a handle for. What it refused for good when probed is not asked again."""

    device: Device
    handle: Any
    highest_milliwatts: int
    counter_refused: Missing | None
    power_refused: Missing | None


class NvmlSource:
    """GPUs as NVML sees them; a simulated library, when given, takes the real driver's place."""

    def __init__(
        self, clock: Clock, library: "SimulatedLibrary | None" = None, probe_seconds: float = PROBE_SECONDS
    ) -> None:
        self._clock = clock
        self._library = library
        self._waiting = RealClock()  # threads are waited for in real time, whatever clock the readings have
        self._probe_seconds = probe_seconds
        self._opened: dict[str, _Opened] = {}
        self._is_open = False
        self._version = ""
        self._get_energy: Callable[..., int] = _not_there
        self._get_power: Callable[..., int] = _not_there
        self._get_utilization: Callable[..., int] = _not_there

    def open(self) -> tuple[Device, ...]:
        """Start the driver and probe every device; neither a dead nor a hung one keeps the others from opening."""
        self.close()
        if self._library is not None:
            self._library.install()
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            self._let_go()
            raise _stopped(error) from error
        self._is_open = True
        try:
            return self._probe_all()
        except BaseException:
            self.close()
            raise

    def facts(self) -> DriverFacts:
        """The driver's version, and whether it is simulated."""
        return DriverFacts(self._version, simulated=self._library is not None)

    def read(self, uuid: str, slow: bool) -> Reading:
        """Two calls: the energy counter (else power) and utilization. Slow adds power and memory.

        When the counter fails this once, power is asked in its place. Raises SourceRetry when nothing answered.
        """
        opened = self._answering(uuid)
        energy_uj = opened.counter_refused or self._energy_microjoules(opened.handle)
        if isinstance(energy_uj, Missing):
            power_watts = self._power_watts(opened)
            at_ns = self._clock.boottime_ns()
        else:
            at_ns = self._clock.boottime_ns()
            power_watts = self._power_watts(opened) if slow else NOT_ASKED
        utilization = self._utilization_ratio(opened.handle)
        if isinstance(utilization, Missing) and isinstance(energy_uj, Missing) and isinstance(power_watts, Missing):
            _raise_if_passing(energy_uj, power_watts, utilization)
        memory = self._memory_used_bytes(opened.handle) if slow else NOT_ASKED
        return Reading(uuid, at_ns, energy_uj, power_watts, utilization, memory)

    def processes(self, uuid: str) -> tuple[int, ...] | Missing:
        """Process ids with a compute context, those behind an MPS server included."""
        handle = self._answering(uuid).handle
        own = _tolerant(lambda: _listed(handle, "Compute"))
        if isinstance(own, Missing):
            return own
        shared = _tolerant(lambda: _listed(handle, "MPSCompute"))
        clients = [] if isinstance(shared, Missing) else shared
        return tuple(dict.fromkeys(int(process.pid) for process in [*own, *clients]))

    def close(self) -> None:
        """Let go of the driver. Safe to call twice."""
        self._opened = {}
        if not self._is_open:
            return
        self._is_open = False
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError as error:
            _LOGGER.debug("driver did not shut down: error=%s", error)
        self._let_go()

    def _let_go(self) -> None:
        if self._library is not None:
            self._library.uninstall()

    def _probe_all(self) -> tuple[Device, ...]:
        self._get_energy = _function("nvmlDeviceGetTotalEnergyConsumption")
        self._get_power = _function("nvmlDeviceGetPowerUsage")
        self._get_utilization = _function("nvmlDeviceGetUtilizationRates")
        version = _tolerant(lambda: _text(pynvml.nvmlSystemGetDriverVersion()))
        self._version = "unknown" if isinstance(version, Missing) else version
        try:
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            raise _stopped(error) from error
        if count == 0:
            raise SourceStopped("the NVIDIA driver lists no GPU", "run `nvidia-smi -L` to see what the driver sees")
        found = self._probe(count)
        self._opened = {opened.device.uuid: opened for opened in found}
        return tuple(opened.device for opened in found)

    def _probe(self, count: int) -> list[_Opened]:
        """Every device, all asked at once and given time to answer together.

        A device that hangs once it is known is opened unprobed. One that cannot even say who it is has no UUID to be
        known by: it stays in the list under its index, because it is held and paid for like the others.
        """
        found: list[list[_Opened]] = [[] for _ in range(count)]
        threads = [
            threading.Thread(target=self._examine, args=(index, found[index].append), name="probe", daemon=True)
            for index in range(count)
        ]
        for thread in threads:
            thread.start()
        deadline_ns = self._waiting.boottime_ns() + round(self._probe_seconds * NANOSECONDS_PER_SECOND)
        for thread in threads:
            thread.join(max(0, deadline_ns - self._waiting.boottime_ns()) / NANOSECONDS_PER_SECOND)
        return [reports[-1] if reports else _unidentified(index, _NO_ANSWER) for index, reports in enumerate(found)]

    def _examine(self, index: int, report: Callable[[_Opened], None]) -> None:
        """Report a device twice: when it is known, and when it has been probed for its best source of energy."""
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            uuid = _text(pynvml.nvmlDeviceGetUUID(handle))
        except pynvml.NVMLError as error:
            report(_unidentified(index, failure(error.value).missing))
            return
        unknown = Device(uuid, index, "unknown GPU", "", _NO_ANSWER, _NO_ANSWER)
        unprobed = _Opened(unknown, handle, _UNSIGNED_INT_BLANK - 1, None, None)
        report(unprobed)
        name = _tolerant(lambda: _text(pynvml.nvmlDeviceGetName(handle)))
        bus_id = _tolerant(lambda: _text(pynvml.nvmlDeviceGetPciInfo(handle).busId))
        limit = _tolerant(lambda: _power_limit_milliwatts(handle))
        if not isinstance(limit, Missing):
            unprobed = replace(unprobed, highest_milliwatts=_IMPOSSIBLE_LIMITS * limit)
        energy = _tolerant(lambda: self._energy_microjoules(handle))
        power = _tolerant(lambda: self._power_watts(unprobed))
        device = Device(
            uuid,
            index,
            unknown.name if isinstance(name, Missing) else name,
            unknown.pci_bus_id if isinstance(bus_id, Missing) else bus_id,
            limit if isinstance(limit, Missing) else limit / 1_000,
            _method(energy, power),
        )
        report(_Opened(device, handle, unprobed.highest_milliwatts, _for_good(energy), _for_good(power)))

    def _energy_microjoules(self, handle: Any) -> int | Missing:
        millijoules = ctypes.c_ulonglong()
        code = self._get_energy(handle, ctypes.byref(millijoules))
        if code:
            return _refused(code)
        value = millijoules.value
        return value * MICROJOULES_PER_MILLIJOULE if value != _UNSIGNED_LONG_LONG_BLANK else _IMPOSSIBLE_ENERGY

    def _power_watts(self, opened: _Opened) -> float | Missing:
        if opened.power_refused is not None:
            return opened.power_refused
        milliwatts = ctypes.c_uint()
        code = self._get_power(opened.handle, ctypes.byref(milliwatts))
        if code:
            return _refused(code)
        return milliwatts.value / 1_000 if 0 < milliwatts.value <= opened.highest_milliwatts else _IMPOSSIBLE_POWER

    def _utilization_ratio(self, handle: Any) -> float | Missing:
        rates = _Utilization()
        code = self._get_utilization(handle, ctypes.byref(rates))
        if code:
            return _refused(code)
        percent: int = rates.gpu
        return percent / 100 if percent <= 100 else _IMPOSSIBLE_UTILIZATION

    def _memory_used_bytes(self, handle: Any) -> int | Missing:
        """Version 2 leaves out what the driver itself reserves; older drivers have only version 1."""
        memory = _asked(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2))
        if isinstance(memory, Missing):
            memory = _asked(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle))
        return memory if isinstance(memory, Missing) else int(memory.used)

    def _answering(self, uuid: str) -> _Opened:
        """A device that may be asked."""
        opened = self._opened.get(uuid) or self._not_listed(uuid)
        if opened.handle is None:
            why = opened.device.method
            raise DeviceGone(why.reason if isinstance(why, Missing) else "did not open", "sudo dmesg | grep -i xid")
        return opened

    def _not_listed(self, uuid: str) -> NoReturn:
        if not self._is_open:
            raise SourceStopped("the driver is not open")
        raise DeviceGone(f"the driver does not list {uuid}")


def _unidentified(index: int, why: Missing) -> _Opened:
    """A device the driver counts and that does not open, until it is opened again."""
    device = Device(f"unidentified-{index}", index, "unidentified GPU", "", why, why)
    return _Opened(device, None, _UNSIGNED_INT_BLANK - 1, why, why)


def _function(name: str) -> Callable[..., int]:
    """A function of the opened driver, or one that says it is not there, as older drivers have fewer."""
    function: Callable[..., int] = getattr(pynvml.nvmlLib, name, _not_there)
    return function


def _not_there(*_: object) -> int:
    code: int = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
    return code


def _refused(code: int) -> Missing:
    """What a failed call leaves of its value; raises when the device or the driver is gone with it."""
    found = failure(code)
    if found.kind == "gone":
        raise DeviceGone(found.reason, found.hint) from pynvml.NVMLError(code)
    if found.kind == "stopped":
        raise SourceStopped(found.reason, found.hint) from pynvml.NVMLError(code)
    return found.missing


def _asked(call: Callable[[], Any]) -> Any:
    """What a pynvml function returns, or what its failure leaves of the value."""
    try:
        return call()
    except pynvml.NVMLError as error:
        return _refused(error.value)


def _listed(handle: Any, kind: str) -> Any:
    """A process list, by the newest call that the driver has.

    The calls are named with their versions: pynvml's unversioned ones raise something that is no NVMLError.
    """
    newest = _asked(lambda: getattr(pynvml, f"nvmlDeviceGet{kind}RunningProcesses_v3")(handle))
    if not isinstance(newest, Missing):
        return newest
    older = _asked(lambda: getattr(pynvml, f"nvmlDeviceGet{kind}RunningProcesses_v2")(handle))
    return newest if isinstance(older, Missing) else older


def _tolerant(call: Callable[[], Any]) -> Any:
    """A value beside which a dead device is only a Missing: the others open, and its next reading says it is gone."""
    try:
        return call()
    except (DeviceGone, SourceStopped) as error:
        return Missing(error.message)
    except pynvml.NVMLError as error:
        return failure(error.value).missing


def _raise_if_passing(*values: Missing) -> None:
    """Nothing answered: when any failure is a passing one, the whole reading is worth another try."""
    for value in values:
        found = failure_of(value)
        if found is not None and found.kind == "passing":
            raise SourceRetry(found.reason, found.hint) from pynvml.NVMLError(found.code)


def _for_good(value: object) -> Missing | None:
    """The refusal that will not change while the driver is open; None for anything else."""
    if not isinstance(value, Missing):
        return None
    found = failure_of(value)
    return value if found is not None and found.kind == "permanent" else None


def _method(energy_uj: int | Missing, power_watts: float | Missing) -> Method | Missing:
    if not isinstance(energy_uj, Missing):
        return "counter"
    if not isinstance(power_watts, Missing):
        return "power"
    return energy_uj if energy_uj == power_watts else _NO_ENERGY


def _power_limit_milliwatts(handle: Any) -> int | Missing:
    limit = _asked(lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle))
    if isinstance(limit, Missing):
        limit = _asked(lambda: pynvml.nvmlDeviceGetPowerManagementLimit(handle))
    return limit if isinstance(limit, Missing) else int(limit)


def _stopped(error: pynvml.NVMLError) -> SourceStopped:
    found = failure(error.value)
    reason = found.reason if found.kind == "stopped" else f"the NVIDIA driver did not start: {found.reason}"
    return SourceStopped(reason, found.hint)


def _text(value: Any) -> Any:
    """A driver's text as str; older bindings return bytes. A Missing passes."""
    return value.decode() if isinstance(value, bytes) else value
