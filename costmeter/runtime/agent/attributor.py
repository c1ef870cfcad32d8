"""The attributor: the thread of a node's agent that finds out who holds which GPU, whenever something may have changed.

It alone waits for /proc, for the names of users and for Slurm's files; the recorder gets `Held`, and only where that
says something new.
"""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from costmeter.attribution import slurm
from costmeter.attribution.announcement import Announcement
from costmeter.attribution.attribute import Announced, Attribution, Told, attribute
from costmeter.attribution.kubernetes import Pod
from costmeter.attribution.processes import Process
from costmeter.clock import Anchor, Clock
from costmeter.ledger.identity import user_name
from costmeter.ledger.node.record import RunFacts
from costmeter.meter.holder import UNKNOWN_UID, HeldBy, Holder
from costmeter.outputs.looked import NOT_LOOKED, Looked, OnGpu
from costmeter.readings import Device, Missing
from costmeter.runtime.agent.atwork import HostWatch
from costmeter.runtime.agent.events import AtWork, Held, RunGone
from costmeter.runtime.agent.known import KnownRuns
from costmeter.runtime.agent.leftholders import LeftHolders
from costmeter.runtime.agent.script import NO_SCRIPT, Script, ScriptedProcesses
from costmeter.runtime.patience import within

if TYPE_CHECKING:  # loads grpc, where there is a kubelet to ask
    from costmeter.attribution.kubelet import Kubelet

#: What asks a process's own memory, or a directory of users somewhere, gets so long.
_PATIENCE_SECONDS = 2.0
#: A job's file that comes or goes is noticed within so long; what the driver lists comes more seldom.
_FOLDER_EVERY_SECONDS = 1.0
#: So many names of users are remembered: those of a node, and no memory for those who change theirs for ever.
_MOST_USERS, _MOST_WARNINGS = 4_096, 100
#: So many processes of one GPU are shown.
_MOST_SHOWN = 16
#: A user whose processes the driver lists and /proc does not show.
UNSEEN = Holder(UNKNOWN_UID, "", "unknown", "user")


@dataclass(frozen=True, slots=True)
class Places:
    """Where others tell what they allocated: the folder of Slurm's job files, the kubelet's socket; empty: nowhere."""

    slurm_folder: str = ""
    kubelet_socket: str = ""


class Attributor:
    """Posts `Held` when the holders have changed, `RunGone` for runs that nobody announced and that are no more, and
    `AtWork` when the host works more or less for them.

    `post` is called in this thread; everything else may be called from any, and returns at once. What comes while a
    look is under way is one look more, however much it is.
    """

    def __init__(
        self,
        clock: Clock,
        anchor: Callable[[], Anchor],
        post: Callable[[Held | RunGone | AtWork], None],
        announcements: Callable[[], tuple[Announcement, ...]],
        places: Places,
        warn: Callable[[str], None],
        is_heard: Callable[[], bool] | None = None,
        script: Script = NO_SCRIPT,
    ) -> None:
        self._clock, self._anchor, self._post, self._announcements = clock, anchor, post, announcements
        self._places, self._warn, self._is_heard = places, warn, is_heard
        self._processes = ScriptedProcesses(script, lambda ask: within(_PATIENCE_SECONDS, ask, None))
        self._host = HostWatch(script.cores)
        self._known = KnownRuns(anchor, self._processes.is_alive)
        self._left = LeftHolders({}, (), self._processes.is_alive)
        self._kubelet: Kubelet | None = None
        self._changing = threading.Lock()
        self._wake, self._ending = threading.Event(), threading.Event()
        self._devices: tuple[Device, ...] = ()
        self._is_simulated = False
        self._listed: dict[str, tuple[int, ...]] = {}
        self._refused: frozenset[str] = frozenset()
        self._at_ns: int | None = None
        self._users = dict(script.users)
        self._hidden: frozenset[int] = frozenset()
        self._unseen: frozenset[int] = frozenset()
        self._folder_ns = 0
        self._warned: set[str] = set()
        self._last: Held | None = None
        self._looked = NOT_LOOKED

    @property
    def looked(self) -> Looked:
        """What the last look found that is news each time."""
        return self._looked

    def expect(self, runs: Iterable[RunFacts], holders: HeldBy) -> None:
        """Runs and holders of an agent before this one: those that are not seen soon are gone. Before `start`."""
        known = tuple(runs)
        self._known.expect(known, self._clock.boottime_ns())
        self._left = LeftHolders(holders, known, self._processes.is_alive)

    def start(self) -> None:
        """Begin, in a thread of its own; and ask the kubelet, where there is one."""
        if self._places.kubelet_socket:
            from costmeter.attribution.kubelet import Kubelet

            self._kubelet = Kubelet(self._places.kubelet_socket, self._clock, self.changed)
            self._kubelet.start()
        threading.Thread(target=self._look_for_ever, name="costmeter-attributor", daemon=True).start()

    def hold(self, devices: tuple[Device, ...], is_simulated: bool = False) -> None:
        """These are all of the node's devices, from now on (`Opened`); a scenario's processes are mere numbers."""
        with self._changing:
            self._devices, self._is_simulated = devices, is_simulated
        self._wake.set()

    def see(self, processes: Mapping[str, tuple[int, ...] | Missing], at_ns: int) -> None:
        """What the driver lists on each device (`Batch.processes`). Where it does not say, what it said last stands."""
        with self._changing:
            self._listed |= {uuid: pids for uuid, pids in processes.items() if not isinstance(pids, Missing)}
            self._refused = frozenset(uuid for uuid, pids in processes.items() if isinstance(pids, Missing))
            self._at_ns = at_ns
        self._wake.set()

    def changed(self) -> None:
        """An announcement came, changed or went."""
        self._wake.set()

    def end(self) -> None:
        """Look no more."""
        self._ending.set()
        self._wake.set()
        if self._kubelet is not None:
            self._kubelet.end()

    # The thread

    def _look_for_ever(self) -> None:
        while True:
            self._wait()
            if self._ending.is_set():
                return
            try:
                self._look()
            except Exception as fault:  # our own: the holders stand as they were, and the meter goes on
                kind = type(fault).__name__
                self._say(f"who holds the GPUs could not be found out: {kind}: {fault}", about=f"fault {kind}")

    def _wait(self) -> None:
        """Until something was told; where a prolog may leave files, until one came or went."""
        folder = self._places.slurm_folder
        while not self._wake.wait(_FOLDER_EVERY_SECONDS if folder else None):
            changed_ns = _changed_ns(folder)
            if changed_ns != self._folder_ns:
                self._folder_ns = changed_ns
                break
        self._wake.clear()

    def _look(self) -> None:
        with self._changing:
            devices, listed, refused = self._devices, dict(self._listed), self._refused
            at_ns, self._at_ns = self._at_ns, None
        now_ns = self._clock.boottime_ns()
        announcements, times = self._announcements(), _Times(self._clock)
        roots = [each.root_pid or each.pid for each in announcements]
        seen = self._processes.look([*(pid for pids in listed.values() for pid in pids), *roots])
        announced = [Announced(each, _root(each, seen)) for each in announcements]
        times.took("processes")
        folder, pods = self._places.slurm_folder, self._pods()
        jobs = slurm.jobs_in(folder) if folder else slurm.Jobs()
        if folder:
            times.took("slurm")
        for fault in jobs.faults:
            self._say(fault)
        told = Told(devices, announced, () if isinstance(pods, Missing) else pods, jobs.jobs, self._names(seen))
        taken = frozenset[str]().union(*(each.uuids or () for each in announcements))
        real = self._processes.without_played
        present = {uuid: real(pids) if uuid in taken else pids for uuid, pids in listed.items()}
        computing = {uuid: [seen[pid] for pid in pids if pid in seen] for uuid, pids in present.items()}
        self._looked = Looked(self._took_ns(times), {uuid: self._on(each) for uuid, each in computing.items()})
        found = attribute(told, computing)
        if at_ns is not None:
            self._notice({uuid: frozenset(pids) - seen.keys() for uuid, pids in listed.items()})
            self._left.listed(at_ns, refused)
        holders = self._with_unseen(found, listed)
        seen_here, runs, gone = self._known.settle(holders, found.runs, now_ns)
        by_device = self._left.still(seen_here, found.runs.keys(), now_ns)
        since_ns = self._since_ns(by_device, found)
        working = self._working(not refused, not jobs.faults)
        held = Held(at_ns or now_ns, by_device, runs, working, self._known.dropped, since_ns, now_ns)
        if self._last is None or _says(held) != _says(self._last):
            self._last = held
            self._post(held)
        for each in gone:
            self._post(each)
        work = None if at_ns is None else self._host.look(listed, at_ns)
        if work is not None:
            self._post(work)

    def _working(self, are_listed: bool, are_jobs_read: bool) -> dict[str, bool]:
        """Of each way of finding holders that there is here, whether it works."""
        working = {"processes": are_listed and (self._is_simulated or not self._unseen)}
        if self._places.slurm_folder:
            working["slurm"] = are_jobs_read
        if self._kubelet is not None:
            working["kubernetes"] = not self._kubelet.failing
        if self._is_heard is not None:
            working["announcements"] = self._is_heard()
        return working

    def _took_ns(self, times: "_Times") -> dict[str, int]:
        asked = {} if self._kubelet is None or self._kubelet.took_ns is None else {"kubernetes": self._kubelet.took_ns}
        return times.by_name | asked

    def _on(self, processes: Iterable[Process]) -> tuple[OnGpu, ...]:
        """Processes as they may be shown, of a device: not too many."""
        known = sorted(OnGpu(each.pid, self._users.get(each.uid, str(each.uid))) for each in processes)
        return tuple(known[:_MOST_SHOWN])

    def _since_ns(self, by_device: HeldBy, found: Attribution) -> int | None:
        """From when the holders hold, where all that is new is runs that announced themselves after they had begun.

        Until then no run had their devices: who seemed to compute there was they. None: from now on.
        """
        before = {} if self._last is None else self._last.by_device
        changed = {uuid for uuid in by_device.keys() | before.keys() if by_device.get(uuid) != before.get(uuid)}
        if self._last is None or any(each.run for uuid in changed for each in before.get(uuid, ())):
            return None
        told = [found.runs.get(each.key) for uuid in changed for each in by_device.get(uuid, ())]
        began_utc_ns = [each.announcement.started_utc_ns for each in told if each is not None and each.announcement]
        if not began_utc_ns or len(began_utc_ns) < len(told) or not all(by_device.get(uuid) for uuid in changed):
            return None
        return self._anchor().boottime(max(began_utc_ns))

    def _pods(self) -> tuple[Pod, ...] | Missing:
        if self._kubelet is None:
            return ()
        pods = self._kubelet.pods()
        if self._kubelet.failing:
            self._say(self._kubelet.failing, about="kubelet")
        return pods

    def _notice(self, by_device: Mapping[str, frozenset[int]]) -> None:
        """Of the processes that the driver lists and /proc does not show, those that it lists again are there.

        One that ended between the two questions is not listed again. Where there was such a one before a restart, the
        agent before this one has asked the first question.
        """
        hidden = frozenset[int]().union(*by_device.values())
        again = self._hidden.union(*(by_device.get(uuid, ()) for uuid in self._left.asked_once()))
        self._unseen, self._hidden = hidden & again, hidden
        if self._unseen and not self._is_simulated:
            some = ", ".join(map(str, sorted(self._unseen)[:3]))
            hint = "give the agent the host's pids (--pid=host, hostPID)"
            self._say(f"the driver lists processes that /proc does not show ({some}); {hint}", about="pids")

    def _with_unseen(self, found: Attribution, listed: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[Holder, ...]]:
        """The holders; where nobody is known and somebody computes whom nobody can see, that one."""
        unknown = {uuid: (UNSEEN,) for uuid, pids in listed.items() if self._unseen.intersection(pids)}
        return unknown | dict(found.by_device)

    def _names(self, seen: Mapping[int, Process]) -> dict[int, str]:
        """The names of these processes' users. A directory that does not answer in time is asked again."""
        wanted = {process.uid for process in seen.values()}
        for uid in wanted - self._users.keys():
            name = within(_PATIENCE_SECONDS, partial(user_name, uid), None)
            if name is None or len(self._users) >= _MOST_USERS:
                break  # the others would have to wait as long
            self._users[uid] = name
        return {uid: self._users[uid] for uid in wanted if uid in self._users}

    def _say(self, what: str, about: str = "") -> None:
        """Warn of each thing once, however it is worded, and of not too many."""
        if (about or what) not in self._warned and len(self._warned) < _MOST_WARNINGS:
            self._warned.add(about or what)
            self._warn(what)


class _Times:
    """How long each part of a look took."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._at_ns = clock, clock.boottime_ns()
        self.by_name: dict[str, int] = {}

    def took(self, name: str) -> None:
        """What has this name has just been done."""
        now_ns = self._clock.boottime_ns()
        self.by_name[name], self._at_ns = now_ns - self._at_ns, now_ns


def _root(announcement: Announcement, seen: Mapping[int, Process]) -> Process | None:
    """A run's first process, where it is seen and the very one; else the one that announced it."""
    root = seen.get(announcement.root_pid or announcement.pid)
    if root is None or root.uid != announcement.uid:
        return None
    is_other = announcement.root_pid and root.start_ticks != announcement.root_start_ticks
    return None if is_other else root


def _changed_ns(folder: str) -> int:
    """When a file last came to a folder or went; 0 where there is none."""
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def _says(held: Held) -> tuple[object, ...]:
    return held.by_device, held.runs, held.collectors, held.dropped
