"""The NVML source: NVIDIA GPUs through pynvml, real or simulated, as devices and readings."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import pynvml

from costmeter.clock import Clock, RealClock
from costmeter.errors import DeviceGone, SourceRetry, SourceStopped
from costmeter.readings import NOT_ASKED, Device, DriverFacts, Missing, Reading, Sample
from costmeter.sources.nvml_board import Board, Functions
from costmeter.sources.nvml_failures import asked, failure, failure_of
from costmeter.sources.nvml_patience import PATIENCE_SECONDS, tolerant
from costmeter.sources.nvml_probe import Probe, Probed, text, unidentified
from costmeter.units import NANOSECONDS_PER_SECOND

if TYPE_CHECKING:
    from costmeter.sources.simulated import SimulatedLibrary  # nobody with a real driver pays for loading it
    from costmeter.sources.simulated.scenario import Scenario

_LOGGER = logging.getLogger(__name__)

#: How long a device may take to be probed. Without persistence mode the first call wakes the board, 1 to 3 s.
PROBE_SECONDS = 5.0
#: A driver that counts more boards than this counts nothing.
_MOST_BOARDS = 1_024

_NOT_OPEN = "the driver is not open"
_SAME_UUID = Missing("another GPU has the same UUID")


class NvmlSource:
    """GPUs as NVML sees them; a simulated library, when given, takes the real driver's place."""

    def __init__(
        self, clock: Clock, library: "SimulatedLibrary | None" = None, probe_seconds: float = PROBE_SECONDS
    ) -> None:
        self._clock = clock
        self._library = library
        self._waiting = RealClock()  # threads are waited for in real time, whatever clock the readings have
        self._probe_seconds = probe_seconds
        self._probes: list[Probe] = []
        self._found: list[Probed] = []
        self._boards: dict[str, Board] = {}
        self._handles: dict[str, Any] = {}
        self._is_open = False
        self._version = ""

    def open(self) -> tuple[Device, ...]:
        """Start the driver and probe every board; neither a dead nor a hung one keeps the others from opening."""
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

    @property
    def scenario(self) -> "Scenario | None":
        """What a simulated node is made of; None of a real one."""
        return None if self._library is None else self._library.scenario

    @property
    def is_settled(self) -> bool:
        """Whether `seek` has nothing to look for: every board told who and what it is, or refused to for good."""
        return all(found.is_settled for found in self._found)

    def seek(self) -> tuple[Device, ...]:
        """Probe again the boards that did not tell all that they may tell; the others stay as they are.

        A board that still hangs in the probe before is not asked again. Other threads may read meanwhile.
        """
        if not self._is_open:
            raise SourceStopped(_NOT_OPEN)
        lost = [found.index for found in self._found if not found.is_settled]
        failed = [index for index in lost if self._probes[index].has_failed]
        for index, probe in zip(failed, self._probe(failed), strict=True):
            self._probes[index] = probe
        found = list(self._found)
        for index in lost:
            again = self._probes[index].found
            if again.tells_more_than(found[index]):
                found[index] = again
        self._keep(found)
        return self._devices()

    def read(self, board: str, slow: bool) -> Reading:
        """Two calls: counter and power together where the driver serves them so, else the counter; and utilization.

        Where power did not come along, it is asked when the counter stands still, falls or is refused, and when `slow`.
        Slow adds memory. Of a board in MIG mode two calls more for each instance, where the driver tells what it did.
        Raises SourceRetry when nothing answered.
        """
        asking = self._answering(board)
        energy_uj, power_watts = asking.energy_and_power()
        at_ns = self._clock.boottime_ns()
        is_wanted = slow or isinstance(energy_uj, Missing) or energy_uj <= asking.last_microjoules
        if is_wanted and (power_watts is None or isinstance(power_watts, Missing)):
            power_watts = asking.power_watts()
            if isinstance(energy_uj, Missing):
                at_ns = self._clock.boottime_ns()
        utilization = asking.utilization_ratio()
        if isinstance(utilization, Missing) and isinstance(energy_uj, Missing) and isinstance(power_watts, Missing):
            _raise_if_passing(energy_uj, power_watts, utilization)
        memory = asking.memory_used_bytes() if slow else NOT_ASKED
        asking.last_microjoules = -1 if isinstance(energy_uj, Missing) else energy_uj
        activity = () if asking.activity is None else asking.activity.read()
        power = NOT_ASKED if power_watts is None else power_watts
        return Reading(board, at_ns, energy_uj, power, utilization, memory, activity=activity)

    def sample(self, board: str) -> Sample:
        """One call: power."""
        power_watts = self._answering(board).power_watts()
        return Sample(self._clock.boottime_ns(), power_watts)

    def processes(self, uuid: str) -> tuple[int, ...] | Missing:
        """Process ids with a compute context on a device, those behind an MPS server included."""
        handle = self._handles.get(uuid)
        if handle is None:
            self._not_listed(uuid)
        own = tolerant(lambda: _listed(handle, "Compute"))
        if isinstance(own, Missing):
            return own
        shared = tolerant(lambda: _listed(handle, "MPSCompute"))
        clients = [] if isinstance(shared, Missing) else shared
        return tuple(dict.fromkeys(int(process.pid) for process in [*own, *clients]))

    def close(self) -> None:
        """Let go of the driver. Safe to call twice."""
        self._probes, self._found, self._boards, self._handles = [], [], {}, {}
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
        version = tolerant(lambda: text(pynvml.nvmlSystemGetDriverVersion()))
        self._version = "unknown" if isinstance(version, Missing) else version
        try:
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            raise _stopped(error) from error
        if not 0 < count <= _MOST_BOARDS:
            what = "no GPU" if count == 0 else f"{count:,} GPUs"
            raise SourceStopped(f"the NVIDIA driver lists {what}", "run `nvidia-smi -L` to see what the driver sees")
        self._probes = self._probe(range(count))
        self._keep([probe.found for probe in self._probes])
        return self._devices()

    def _probe(self, indexes: Sequence[int]) -> list[Probe]:
        """These boards, all asked at once and given time to answer together.

        A board that hangs once it is known is opened unprobed. One that cannot even say who it is has no UUID to be
        known by: it stays in the list under its index, because it is held and paid for like the others.
        """
        functions = Functions.of_driver()
        patience_seconds = min(PATIENCE_SECONDS, self._probe_seconds / 2)
        probes = [Probe(index, functions, patience_seconds) for index in indexes]
        deadline_ns = self._waiting.boottime_ns() + round(self._probe_seconds * NANOSECONDS_PER_SECOND)
        for probe in probes:
            probe.wait(max(0, deadline_ns - self._waiting.boottime_ns()) / NANOSECONDS_PER_SECOND)
        return probes

    def _keep(self, found: Sequence[Probed]) -> None:
        """Know these boards from here on; of two with one UUID, the first."""
        boards: dict[str, Probed] = {}
        for each in found:
            boards.setdefault(each.devices[0].board, each)
        self._found = [
            each if boards[each.devices[0].board] is each else unidentified(each.index, _SAME_UUID) for each in found
        ]
        self._boards = {uuid: each.board for uuid, each in boards.items() if each.board is not None}
        self._handles = {
            device.uuid: handle
            for each in self._found
            for device, handle in zip(each.devices, each.handles, strict=False)
        }

    def _devices(self) -> tuple[Device, ...]:
        """All devices; where all boards with a name have the same one, those that do not say who they are have it, too.

        That gives them the price of the others.
        """
        devices = tuple(device for found in self._found for device in found.devices)
        names = {found.name for found in self._found if found.name}
        if len(names) != 1:
            return devices
        [name] = names
        return tuple(device if device.is_identified else replace(device, name=name) for device in devices)

    def _answering(self, board: str) -> Board:
        """A board that may be asked."""
        return self._boards.get(board) or self._not_listed(board)

    def _not_listed(self, uuid: str) -> NoReturn:
        if not self._is_open:
            raise SourceStopped(_NOT_OPEN)
        for device in self._devices():
            if device.uuid == uuid and isinstance(device.method, Missing):
                raise DeviceGone(device.method.reason, "sudo dmesg | grep -i xid")
        raise DeviceGone(f"the driver does not list {uuid}")


def _listed(handle: Any, kind: str) -> Any:
    """A process list, by the newest call that the driver has.

    The calls are named with their versions: pynvml's unversioned ones raise something that is no NVMLError.
    """
    newest = asked(lambda: getattr(pynvml, f"nvmlDeviceGet{kind}RunningProcesses_v3")(handle))
    if not isinstance(newest, Missing):
        return newest
    older = asked(lambda: getattr(pynvml, f"nvmlDeviceGet{kind}RunningProcesses_v2")(handle))
    return newest if isinstance(older, Missing) else older


def _raise_if_passing(*values: Missing) -> None:
    """Nothing answered: when any failure is a passing one, the whole reading is worth another try."""
    for value in values:
        found = failure_of(value)
        if found is not None and found.kind == "passing":
            raise SourceRetry(found.reason, found.hint) from pynvml.NVMLError(found.code)


def _stopped(error: pynvml.NVMLError) -> SourceStopped:
    found = failure(error.value)
    reason = found.reason if found.kind == "stopped" else f"the NVIDIA driver did not start: {found.reason}"
    return SourceStopped(reason, found.hint)
