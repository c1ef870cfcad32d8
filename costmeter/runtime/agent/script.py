"""The processes of a scenario, as an agent would see real ones: whose they are, and how much of the host they use."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zlib import crc32

from costmeter.attribution.processes import Process, Processes
from costmeter.attribution.slurm import Step

if TYPE_CHECKING:  # nobody with a real driver pays for loading it
    from costmeter.sources.simulated.scenario import Scenario

#: Users of a scenario have numbers in a range where few machines have any, always the same for a name.
_FIRST_UID, _UIDS = 50_000, 10_000


@dataclass(frozen=True, slots=True)
class Script:
    """Processes by pid, what their users are called, and the cores that processes use, as far as a scenario says."""

    processes: Mapping[int, Process] = field(default_factory=dict)
    users: Mapping[int, str] = field(default_factory=dict)
    cores: Mapping[int, float] = field(default_factory=dict)


NO_SCRIPT = Script()


def script(scenario: "Scenario") -> Script:
    """What a scenario says of its processes. Of one that has no user nobody can see whose it is."""
    every = [process for gpu in scenario.gpus for process in gpu.processes]
    owned = [process for process in every if process.user]
    return Script(
        {
            each.pid: Process(each.pid, 0, uid_of(each.user), step=Step(each.job) if each.job else None, run=each.run)
            for each in owned
        },
        {uid_of(each.user): each.user for each in owned},
        {each.pid: each.millicores / 1_000 for each in every if each.millicores is not None},
    )


def uid_of(user: str) -> int:
    """The number of a user of a scenario."""
    return _FIRST_UID + crc32(user.encode()) % _UIDS


class ScriptedProcesses(Processes):
    """The processes of this machine, and those of a scenario among them."""

    def __init__(
        self, told: Script, patiently: Callable[[Callable[[], bytes]], bytes | None] = lambda ask: ask()
    ) -> None:
        super().__init__(patiently)
        self._told = told.processes

    def without_played(self, pids: Iterable[int]) -> tuple[int, ...]:
        """Those that a scenario has not made up: where a real run takes a GPU, it takes their part."""
        return tuple(pid for pid in pids if pid not in self._told)

    def look(self, pids: Iterable[int]) -> dict[int, Process]:
        """Those of these processes that live; a scenario's do while they are asked for."""
        wanted = list(pids)
        found = super().look(pid for pid in wanted if pid not in self._told)
        return found | {pid: self._told[pid] for pid in wanted if pid in self._told}
