"""How much of the host works for each GPU of a node: of real processes, and of those that a scenario made up."""

from collections.abc import Mapping

from costmeter.attribution.hostwork import HostWork
from costmeter.meter.idling import WORKING_CORES
from costmeter.runtime.agent.events import AtWork

#: Cores are told in steps of this: who uses as much as before has nothing new to tell.
_DECIMALS = 1


class HostWatch:
    """Looks whenever the driver has listed its processes. `scripted` are the cores of a scenario's processes."""

    def __init__(self, scripted: Mapping[int, float]) -> None:
        self._scripted, self._work = scripted, HostWork()
        self._last: Mapping[str, float] = {}

    def look(self, listed: Mapping[str, tuple[int, ...]], at_ns: int) -> AtWork | None:
        """The cores that work for each device, where they are known; None where that is nothing new."""
        real = {uuid: [pid for pid in pids if pid not in self._scripted] for uuid, pids in listed.items()}
        found = self._work.look(real, at_ns)
        for uuid, pids in listed.items():
            scripted = [self._scripted[pid] for pid in pids if pid in self._scripted]
            if scripted:
                found[uuid] = found.get(uuid, 0.0) + sum(scripted)
        told = {uuid: _told(cores) for uuid, cores in found.items()}
        if told == self._last:
            return None
        self._last = told
        return AtWork(at_ns, told)


def _told(cores: float) -> float:
    """In steps, and never across the line from which on the host is at work."""
    rounded = round(cores, _DECIMALS)
    return rounded if (rounded >= WORKING_CORES) == (cores >= WORKING_CORES) else cores
