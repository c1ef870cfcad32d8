"""The probe: who a board is, what it can be asked, and into which MIG instances it is divided."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pynvml

from costmeter import readings
from costmeter.rates.boards import range_of
from costmeter.readings import Device, Method, Mig, Missing
from costmeter.sources.nvml_activity import MigActivity
from costmeter.sources.nvml_board import MOST_MILLIWATTS, Board, Functions, is_for_good
from costmeter.sources.nvml_failures import asked
from costmeter.sources.nvml_patience import PATIENCE_SECONDS, Patience, may_pass, tolerant

#: A power above this multiple of the enforced limit is no power a board can have.
_IMPOSSIBLE_LIMITS = 2
#: No board has more places for MIG instances; the most there are is 7.
_MOST_PLACES = 64
#: How the name of a MIG instance tells its compute slices: `MIG 3g.40gb` has 3, `MIG 1c.3g.40gb` has 1.
_PROFILE = re.compile(r"(?:(\d+)c\.)?(\d+)g\.")

#: What a board that is known may still owe: another look may bring it.
_NAME, _LIMIT, _MODULE, _MIG, _ENERGY = "name", "power limit", "module", "MIG", "energy"
_ALL_OWED = frozenset({_NAME, _LIMIT, _MODULE, _MIG, _ENERGY})

NO_ANSWER = Missing("the driver did not answer")
_NO_ENERGY = Missing("no energy counter, no power reading and no utilization")
_NO_UUID = Missing("the driver gives it no UUID")
_IMPOSSIBLE_LIMIT = Missing("impossible power limit")


@dataclass(frozen=True, slots=True)
class Probed:
    """What was found at one index: the board, None where it did not open, and the devices it is, with their handles.

    A board in MIG mode is its instances; one without instances, and any other, is one device. `name` is the board's,
    empty where it did not tell; `owed` is what it failed to tell for a reason that may pass.
    """

    board: Board | None
    devices: tuple[Device, ...]
    handles: tuple[Any, ...] = ()
    name: str = ""
    owed: frozenset[str] = frozenset()

    @property
    def is_settled(self) -> bool:
        """Whether another look would find no more: what it did not tell it refused for good."""
        return self.board is not None and not self.owed

    def tells_more_than(self, before: "Probed") -> bool:
        """Whether this is to be known from here on: nothing that was known before is lost by it."""
        return before.board is None or self.owed < before.owed

    @property
    def index(self) -> int:
        """NVML's index of the board."""
        return self.devices[0].index


class Probe:
    """One look at one board, in a thread of its own: the call may hang for ever."""

    def __init__(self, index: int, functions: Functions, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._index, self._told = index, list[Probed]()
        patience = Patience(patience_seconds)
        examining = partial(tolerant, partial(examine, index, functions, patience, self._told.append))
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
    return Probed(None, (readings.unidentified(index, why),), owed=_ALL_OWED)


def examine(index: int, functions: Functions, patience: Patience, report: Callable[[Probed], None]) -> None:
    """Report a board twice: when it is known, and when it has been probed for its best source of energy."""
    handle = patience.ask(lambda: pynvml.nvmlDeviceGetHandleByIndex(index))
    uuid = handle if isinstance(handle, Missing) else patience.ask(lambda: text(pynvml.nvmlDeviceGetUUID(handle)))
    if isinstance(uuid, Missing) or not uuid:
        report(unidentified(index, uuid or _NO_UUID))
        return
    device = Device(uuid, index, "unknown GPU", "", NO_ANSWER, NO_ANSWER)
    report(Probed(Board(functions, handle), (device,), (handle,), owed=_ALL_OWED))
    board = Board(functions, handle)
    name = patience.ask(lambda: text(pynvml.nvmlDeviceGetName(handle)), _NAME)
    name = "" if isinstance(name, Missing) else name
    device = _probed(replace(device, name=name or device.name), board, patience)
    instances = _instances(device, handle, patience)
    devices, handles = [found for found, _ in instances], tuple(instance for _, instance in instances)
    if devices:
        devices = _with_activity(board, devices, patience)
    else:
        devices, handles = [device], (handle,)
    owed = patience.owed | ({_ENERGY} if _owes_energy(device, board) else frozenset())
    report(Probed(board, tuple(devices), handles, name, owed))


def _owes_energy(device: Device, board: Board) -> bool:
    """Whether it has no source of energy and did not refuse each for good."""
    has_refused = board.counter_refused is not None and board.power_refused is not None
    return isinstance(device.method, Missing) and not has_refused


def _with_activity(board: Board, devices: list[Device], patience: Patience) -> list[Device]:
    """The instances of a board, with what the driver tells of each, if it does."""
    activity = MigActivity(board.handle, devices)
    if patience.ask(activity.is_served) is not True:
        return devices
    board.activity = activity
    return [replace(each, mig=replace(each.mig, split="activity")) for each in devices if each.mig]


def _probed(device: Device, board: Board, patience: Patience) -> Device:
    handle, name = board.handle, device.name
    bus_id = patience.ask(lambda: text(pynvml.nvmlDeviceGetPciInfo(handle).busId))
    limit = _power_limit_milliwatts(handle, patience)
    is_module = _is_module(handle, patience)
    if not (is_module or isinstance(limit, Missing)):  # a GPU's limit says nothing of the CPU on its module
        board.highest_milliwatts = _IMPOSSIBLE_LIMITS * limit
    limit_watts = limit if isinstance(limit, Missing) else limit / 1_000
    span = range_of(name, None if isinstance(limit_watts, Missing) else limit_watts)
    is_mean = patience.ask(lambda: board.choose_fields(is_module)) is True
    energy = patience.ask(lambda: board.energy_and_power()[0])
    power = patience.ask(board.power_watts)
    utilization = patience.ask(board.utilization_ratio)
    board.counter_refused = energy if is_for_good(energy) else None
    board.power_refused = power if is_for_good(power) else None
    board.utilization_refused = utilization if is_for_good(utilization) else None
    can_estimate = span is not None and not isinstance(utilization, Missing)
    return replace(
        device,
        pci_bus_id="" if isinstance(bus_id, Missing) else bus_id,
        power_limit_watts=limit_watts,
        method=_method(energy, power, can_estimate),
        scope="module" if is_module else "gpu",
        power_range=span or Missing(f'idle and full power of "{name}" are not known'),
        power_is_mean=is_mean,
        speed=_speed(handle, patience),
    )


def _method(energy_uj: int | Missing, power_watts: float | Missing, can_estimate: bool) -> Method | Missing:
    if not isinstance(energy_uj, Missing):
        return "counter"
    if not isinstance(power_watts, Missing):
        return "power"
    if can_estimate:
        return "estimated"
    return energy_uj if energy_uj == power_watts else _NO_ENERGY


def _instances(board: Device, handle: Any, patience: Patience) -> list[tuple[Device, Any]]:
    """The MIG instances of a board, each with its slices; none where MIG is off or nothing was created."""
    if patience.ask(lambda: pynvml.nvmlDeviceGetMigMode(handle)[0], _MIG) != pynvml.NVML_DEVICE_MIG_ENABLE:
        return []
    places = patience.ask(lambda: pynvml.nvmlDeviceGetMaxMigDeviceCount(handle), _MIG)
    if isinstance(places, Missing) or not 0 < places <= _MOST_PLACES:
        return []
    found: list[tuple[Device, Any]] = []
    taken = 0
    for place in range(places):
        described = patience.ask(partial(_described, board, handle, patience, place, taken, places), _MIG)
        if not isinstance(described, Missing):
            found.append(described)
            taken = described[0].mig.end_slice
    return found


def _described(
    board: Device, handle: Any, patience: Patience, place: int, taken: int, slices: int
) -> tuple[Device, Any]:
    """The instance at a place; its slices are counted on from those of the instances before it.

    All it must have is a UUID: whoever holds it pays for it, whatever else it does not tell.
    """
    instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
    uuid = text(pynvml.nvmlDeviceGetUUID(instance))
    name = patience.ask(lambda: text(pynvml.nvmlDeviceGetName(instance)), _MIG)
    name = f"{board.name} MIG" if isinstance(name, Missing) else name
    mig = Mig(
        board.uuid,
        place,
        _id(lambda: pynvml.nvmlDeviceGetGpuInstanceId(instance), patience),
        _id(lambda: pynvml.nvmlDeviceGetComputeInstanceId(instance), patience),
        first_slice=min(taken, slices),
        end_slice=min(taken + _slices(instance, name, patience), slices),
        slices=slices,
    )
    return replace(board, uuid=uuid, name=name, mig=mig), instance


def _slices(instance: Any, name: str, patience: Patience) -> int:
    """Compute slices of an instance, at least 1: as the driver counts them, else as its profile is named."""
    told = patience.ask(lambda: pynvml.nvmlDeviceGetAttributes_v2(instance).computeInstanceSliceCount, _MIG)
    if not isinstance(told, Missing) and 0 < told <= _MOST_PLACES:
        return int(told)
    profile = _PROFILE.search(name)
    return max(1, int(profile[1] or profile[2])) if profile else 1


def _id(call: Callable[[], int], patience: Patience) -> int:
    """One of an instance's two numbers; -1, which no instance has, when the driver does not tell."""
    found = patience.ask(call, _MIG)
    return -1 if isinstance(found, Missing) else int(found)


def _is_module(handle: Any, patience: Patience) -> bool:
    """Whether CPU and GPU are one module (Grace), whose power and energy the driver counts together."""
    mode = patience.ask(lambda: pynvml.nvmlDeviceGetC2cModeInfoV(handle), _MODULE)
    return not isinstance(mode, Missing) and bool(mode.isC2cEnabled)


def _speed(handle: Any, patience: Patience) -> int:
    """Cores × highest clock in MHz: how CUDA's order of the fastest first is guessed; 0 when the driver is too old."""
    cores = patience.ask(lambda: pynvml.nvmlDeviceGetNumGpuCores(handle))
    megahertz = patience.ask(lambda: pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM))
    return 0 if isinstance(cores, Missing) or isinstance(megahertz, Missing) else int(cores) * int(megahertz)


def _power_limit_milliwatts(handle: Any, patience: Patience) -> int | Missing:
    def told() -> int | Missing:
        enforced = _possible_limit(lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle))
        if not isinstance(enforced, Missing):
            return enforced
        managed = _possible_limit(lambda: pynvml.nvmlDeviceGetPowerManagementLimit(handle))
        return enforced if may_pass(enforced) and isinstance(managed, Missing) else managed

    limit: int | Missing = patience.ask(told, _LIMIT)
    return limit


def _possible_limit(call: Callable[[], Any]) -> int | Missing:
    limit = asked(call)
    if isinstance(limit, Missing):
        return limit
    return int(limit) if 0 < limit <= MOST_MILLIWATTS else _IMPOSSIBLE_LIMIT


def text(value: Any) -> Any:
    """A driver's text as str; older bindings return bytes."""
    return value.decode() if isinstance(value, bytes) else value
