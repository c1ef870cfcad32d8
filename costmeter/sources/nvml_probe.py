"""The probe: who a board is, what it can be asked, and into which MIG instances it is divided."""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pynvml

from costmeter import readings
from costmeter.errors import DeviceGone, SourceStopped
from costmeter.rates.boards import range_of
from costmeter.readings import Device, Method, Mig, Missing
from costmeter.sources.nvml_activity import MigActivity
from costmeter.sources.nvml_board import MOST_MILLIWATTS, Board, Functions, is_for_good
from costmeter.sources.nvml_failures import asked

#: A power above this multiple of the enforced limit is no power a board can have.
_IMPOSSIBLE_LIMITS = 2
#: No board has more places for MIG instances; the most there are is 7.
_MOST_PLACES = 64
#: How the name of a MIG instance tells its compute slices: `MIG 3g.40gb` has 3, `MIG 1c.3g.40gb` has 1.
_PROFILE = re.compile(r"(?:(\d+)c\.)?(\d+)g\.")

NO_ANSWER = Missing("the driver did not answer")
_NO_ENERGY = Missing("no energy counter, no power reading and no utilization")
_NO_UUID = Missing("the driver gives it no UUID")
_IMPOSSIBLE_LIMIT = Missing("impossible power limit")


@dataclass(frozen=True, slots=True)
class Probed:
    """What was found at one index: the board, None where it did not open, and the devices it is, with their handles.

    A board in MIG mode is its instances; one without instances, and any other, is one device.
    """

    board: Board | None
    devices: tuple[Device, ...]
    handles: tuple[Any, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Whether another look would find no more: it has a source of energy, or refused each for good."""
        if self.board is None:
            return False
        has_refused = self.board.counter_refused is not None and self.board.power_refused is not None
        return has_refused or not isinstance(self.devices[0].method, Missing)

    @property
    def index(self) -> int:
        """NVML's index of the board."""
        return self.devices[0].index


class Probe:
    """One look at one board, in a thread of its own: the call may hang for ever."""

    def __init__(self, index: int, functions: Functions) -> None:
        self._index, self._told = index, list[Probed]()
        examining = partial(tolerant, partial(examine, index, functions, self._told.append))
        self._thread = threading.Thread(target=examining, name="probe", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Give the board this long to answer."""
        self._thread.join(seconds)

    @property
    def has_failed(self) -> bool:
        """Whether it came to an end, and another one may find more."""
        return not (self._thread.is_alive() or self.found.is_settled)

    @property
    def found(self) -> Probed:
        """What is known so far."""
        return self._told[-1] if self._told else unidentified(self._index, NO_ANSWER)


def unidentified(index: int, why: Missing) -> Probed:
    """A device the driver counts and that does not open. It is held and paid for like the others."""
    return Probed(None, (readings.unidentified(index, why),))


def examine(index: int, functions: Functions, report: Callable[[Probed], None]) -> None:
    """Report a board twice: when it is known, and when it has been probed for its best source of energy."""
    handle = tolerant(lambda: pynvml.nvmlDeviceGetHandleByIndex(index))
    uuid = handle if isinstance(handle, Missing) else tolerant(lambda: text(pynvml.nvmlDeviceGetUUID(handle)))
    if isinstance(uuid, Missing) or not uuid:
        report(unidentified(index, uuid or _NO_UUID))
        return
    device = Device(uuid, index, "unknown GPU", "", NO_ANSWER, NO_ANSWER)
    report(Probed(Board(functions, handle), (device,), (handle,)))
    board = Board(functions, handle)
    device = _probed(device, board)
    instances = _instances(device, handle)
    if instances:
        report(_divided(board, [found for found, _ in instances], tuple(handle for _, handle in instances)))
    else:
        report(Probed(board, (device,), (handle,)))


def _divided(board: Board, devices: Sequence[Device], handles: tuple[Any, ...]) -> Probed:
    """A board that is its instances, with what the driver tells of each, if it does."""
    activity = MigActivity(board.handle, devices)
    if tolerant(activity.is_served) is True:
        board.activity = activity
        devices = [replace(each, mig=replace(each.mig, split="activity")) for each in devices if each.mig]
    return Probed(board, tuple(devices), handles)


def _probed(device: Device, board: Board) -> Device:
    handle = board.handle
    name = tolerant(lambda: text(pynvml.nvmlDeviceGetName(handle)))
    name = device.name if isinstance(name, Missing) else name
    bus_id = tolerant(lambda: text(pynvml.nvmlDeviceGetPciInfo(handle).busId))
    limit = tolerant(lambda: _power_limit_milliwatts(handle))
    is_module = _is_module(handle)
    if not (is_module or isinstance(limit, Missing)):  # a GPU's limit says nothing of the CPU on its module
        board.highest_milliwatts = _IMPOSSIBLE_LIMITS * limit
    limit_watts = limit if isinstance(limit, Missing) else limit / 1_000
    span = range_of(name, None if isinstance(limit_watts, Missing) else limit_watts)
    is_mean = tolerant(lambda: board.choose_fields(is_module)) is True
    energy = tolerant(lambda: board.energy_and_power()[0])
    power = tolerant(board.power_watts)
    utilization = tolerant(board.utilization_ratio)
    board.counter_refused = energy if is_for_good(energy) else None
    board.power_refused = power if is_for_good(power) else None
    board.utilization_refused = utilization if is_for_good(utilization) else None
    can_estimate = span is not None and not isinstance(utilization, Missing)
    return replace(
        device,
        name=name,
        pci_bus_id="" if isinstance(bus_id, Missing) else bus_id,
        power_limit_watts=limit_watts,
        method=_method(energy, power, can_estimate),
        scope="module" if is_module else "gpu",
        power_range=span or Missing(f'idle and full power of "{name}" are not known'),
        power_is_mean=is_mean,
        speed=_speed(handle),
    )


def _method(energy_uj: int | Missing, power_watts: float | Missing, can_estimate: bool) -> Method | Missing:
    if not isinstance(energy_uj, Missing):
        return "counter"
    if not isinstance(power_watts, Missing):
        return "power"
    if can_estimate:
        return "estimated"
    return energy_uj if energy_uj == power_watts else _NO_ENERGY


def _instances(board: Device, handle: Any) -> list[tuple[Device, Any]]:
    """The MIG instances of a board, each with its slices; none where MIG is off or nothing was created."""
    mode = tolerant(lambda: pynvml.nvmlDeviceGetMigMode(handle)[0])
    places = tolerant(lambda: pynvml.nvmlDeviceGetMaxMigDeviceCount(handle))
    if mode != pynvml.NVML_DEVICE_MIG_ENABLE or isinstance(places, Missing) or not 0 < places <= _MOST_PLACES:
        return []
    found: list[tuple[Device, Any]] = []
    taken = 0
    for place in range(places):
        described = tolerant(partial(_described, board, handle, place, taken, places))
        if not isinstance(described, Missing):
            found.append(described)
            taken = described[0].mig.end_slice
    return found


def _described(board: Device, handle: Any, place: int, taken: int, slices: int) -> tuple[Device, Any]:
    """The instance at a place; its slices are counted on from those of the instances before it.

    All it must have is a UUID: whoever holds it pays for it, whatever else it does not tell.
    """
    instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
    uuid = text(pynvml.nvmlDeviceGetUUID(instance))
    name = tolerant(lambda: text(pynvml.nvmlDeviceGetName(instance)))
    name = f"{board.name} MIG" if isinstance(name, Missing) else name
    mig = Mig(
        board.uuid,
        place,
        _id(lambda: pynvml.nvmlDeviceGetGpuInstanceId(instance)),
        _id(lambda: pynvml.nvmlDeviceGetComputeInstanceId(instance)),
        first_slice=min(taken, slices),
        end_slice=min(taken + _slices(instance, name), slices),
        slices=slices,
    )
    return replace(board, uuid=uuid, name=name, mig=mig), instance


def _slices(instance: Any, name: str) -> int:
    """Compute slices of an instance, at least 1: as the driver counts them, else as its profile is named."""
    told = tolerant(lambda: pynvml.nvmlDeviceGetAttributes_v2(instance).computeInstanceSliceCount)
    if not isinstance(told, Missing) and 0 < told <= _MOST_PLACES:
        return int(told)
    profile = _PROFILE.search(name)
    return max(1, int(profile[1] or profile[2])) if profile else 1


def _id(ask: Callable[[], int]) -> int:
    """One of an instance's two numbers; -1, which no instance has, when the driver does not tell."""
    found = tolerant(ask)
    return -1 if isinstance(found, Missing) else int(found)


def _is_module(handle: Any) -> bool:
    """Whether CPU and GPU are one module (Grace), whose power and energy the driver counts together."""
    mode = tolerant(lambda: pynvml.nvmlDeviceGetC2cModeInfoV(handle))
    return not isinstance(mode, Missing) and bool(mode.isC2cEnabled)


def _speed(handle: Any) -> int:
    """Cores × highest clock in MHz: how CUDA's order of the fastest first is guessed; 0 when the driver is too old."""
    cores = tolerant(lambda: pynvml.nvmlDeviceGetNumGpuCores(handle))
    megahertz = tolerant(lambda: pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM))
    return 0 if isinstance(cores, Missing) or isinstance(megahertz, Missing) else int(cores) * int(megahertz)


def _power_limit_milliwatts(handle: Any) -> int | Missing:
    limit = _possible_limit(lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle))
    if isinstance(limit, Missing):
        limit = _possible_limit(lambda: pynvml.nvmlDeviceGetPowerManagementLimit(handle))
    return limit


def _possible_limit(ask: Callable[[], Any]) -> int | Missing:
    limit = asked(ask)
    if isinstance(limit, Missing):
        return limit
    return int(limit) if 0 < limit <= MOST_MILLIWATTS else _IMPOSSIBLE_LIMIT


def tolerant(call: Callable[[], Any]) -> Any:
    """A value beside which a dead device is only a Missing: the others open, and its next reading says it is gone."""
    try:
        return asked(call)
    except (DeviceGone, SourceStopped) as error:
        return Missing(error.message)
    except Exception as fault:  # a driver's answer that cannot even be taken: text that is none, numbers of no type
        return Missing(f"the driver's answer cannot be used ({type(fault).__name__})")


def text(value: Any) -> Any:
    """A driver's text as str; older bindings return bytes."""
    return value.decode() if isinstance(value, bytes) else value
