"""What a wrapped run holds of its node: found when the driver opens, and said where it may be otherwise."""

import threading
from collections.abc import Callable, Mapping
from functools import partial

from costmeter.attribution import visible
from costmeter.ledger.identity import user_name, user_of
from costmeter.readings import Device, Missing
from costmeter.runtime.lineage import command_name
from costmeter.runtime.patience import within

#: The driver, and a directory of users, get so long to say who else is there; then nobody is.
_PATIENCE_SECONDS = 0.5

#: The processes that the driver lists on a device.
Listed = Callable[[str], tuple[int, ...] | Missing]


class HeldSet:
    """The devices that one run holds. `processes` asks the driver; `warn_once` is told what may be otherwise.

    Nobody can say what a run holds that was told of no GPUs: it is all that are there, less those on which another
    user's processes compute when the run begins. Who comes later changes nothing.
    """

    def __init__(
        self,
        gpus: str | None,
        environ: Mapping[str, str],
        own_uid: int,
        processes: Listed,
        warn_once: Callable[[str], None],
    ) -> None:
        self._gpus, self._environ, self._own_uid = gpus, environ, own_uid
        self._processes, self._warn_once = processes, warn_once
        self._asking = threading.Lock()
        self._occupied: dict[str, str] | None = None

    def of(self, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        """Those of the node's devices that are held."""
        for entry in visible.unknown_entries(devices, self._gpus, self._environ):
            setting = "--gpus" if self._gpus is not None else visible.VARIABLE
            ends = "" if self._gpus is not None else ", and the list ends there"
            self._warn_once(f'{setting}: no GPU "{entry}" on this node{ends}; see: nvidia-smi -L')
        for doubt in visible.doubts(devices, self._gpus, self._environ):
            self._warn_once(doubt)
        return visible.held(devices, self._gpus, self._environ, self._taken(devices))

    def assumed(self) -> int:
        """How many GPUs are held, as far as can be told without a driver."""
        return visible.count(self._gpus, self._environ, visible.present())

    def _taken(self, devices: tuple[Device, ...]) -> Mapping[str, str]:
        """By whom the devices were occupied when the driver was first asked; none where it is told what is held."""
        if not devices or visible.is_told(self._gpus, self._environ):
            return {}
        with self._asking:
            if self._occupied is None:
                self._occupied = within(_PATIENCE_SECONDS, partial(self._others, devices), {})
                for device in devices:
                    if device.uuid in self._occupied:
                        advice = "it is not counted. To count all:  --gpus all"
                        self._warn_once(f"GPU {device.index} is in use by {self._occupied[device.uuid]}; {advice}")
            return self._occupied

    def _others(self, devices: tuple[Device, ...]) -> dict[str, str]:
        """The devices on which others compute, and who does. A process that cannot be seen is nobody's."""
        found: dict[str, str] = {}
        for device in devices:
            try:
                listed = self._processes(device.uuid)
            except Exception:  # a driver that refuses takes no GPU from the run; the reader says what is wrong
                continue
            for pid in () if isinstance(listed, Missing) else listed:
                uid = user_of(pid)
                if uid is not None and uid != self._own_uid and not _serves(uid, pid):
                    found[device.uuid] = f"{user_name(uid)} (pid {pid})"
        return found


def _serves(uid: int, pid: int) -> bool:
    """Whether a process serves the whole node, and holds nothing."""
    if uid != 0:
        return False
    from costmeter.attribution.attribute import SERVERS  # few runs ever ask, and a short one should not wait

    return command_name(pid) in SERVERS
