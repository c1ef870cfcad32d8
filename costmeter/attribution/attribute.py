"""Who holds which GPU, of all that was told and seen. Pure: the order of what is given changes nothing.

A device belongs to the first of: a run that was announced, the pod that the kubelet gave it to, the Slurm job that its
prolog gave it to. Such a claim counts on the devices of the claimant's own allocation, and on none on which a process
of another user computes. Where nobody claims a device, or a stranger computes on it, each process on it speaks for
itself, by the first of: the announced run that holds the device and from which it descends, its Slurm step, its
container, an announced run that its parents or its control group lead to, the run that its environment names, its user.

Processes of root that serve the whole node (see `SERVERS`) hold nothing. NVML's lists of processes that compute have
none that only draws (graphics); a display server that does compute is among them nevertheless.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from costmeter.attribution import container, kubernetes, slurm
from costmeter.attribution.announcement import Announcement
from costmeter.attribution.kubernetes import Pod
from costmeter.attribution.processes import Identity, Process
from costmeter.attribution.slurm import Job
from costmeter.attribution.visible import held
from costmeter.meter.holder import UNKNOWN_UID, HeldBy, Holder, HolderSource, RunKey
from costmeter.readings import Device

#: Root's processes by these names (the kernel's, of 15 characters) serve others: display servers, the persistence
#: daemon, MPS's server and DCGM's host engine. An MPS server that runs as a user is that user's, as his clients are.
SERVERS = frozenset({"Xorg", "X", "nvidia-persiste", "nvidia-cuda-mps", "nv-hostengine"})
_RANK = {source: rank for rank, source in enumerate(get_args(HolderSource))}
#: The control group of a service, or of a command under systemd-run, is of one job; that of a login is of many.
_OF_ONE_JOB = re.compile(r".*/(?:(?!user@)[^/]+\.service|run-[^/]+\.scope)")


@dataclass(frozen=True, slots=True)
class Announced:
    """An announced run, and its first process where that is seen. Of several of one run each holds what it says."""

    announcement: Announcement
    root: Process | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of the node: its devices, who announced what, who was given what, and what users are called."""

    devices: Sequence[Device]
    announced: Sequence[Announced] = ()
    pods: Sequence[Pod] = ()
    jobs: Sequence[Job] = ()
    users: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run that holds something, or that was announced. `job` is the scheduler's name for it.

    `processes` are those of its own that compute, or its first process where it was announced.
    """

    holder: Holder
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    job: str = ""
    processes: frozenset[Identity] = frozenset()
    announcement: Announcement | None = None


@dataclass(frozen=True, slots=True)
class Attribution:
    """The holders of every device that has any, in order, and the runs."""

    by_device: HeldBy
    runs: Mapping[RunKey, FoundRun]


def attribute(told: Told, computing: Mapping[str, Collection[Process]]) -> Attribution:
    """The holders of each device, where `computing` are the processes that compute on it, by the device's UUID."""
    everybody = [each for present in computing.values() for each in present]
    node = _Node(told, any(container.is_of_a_pod(each.cgroups) for each in everybody))
    by_device: dict[str, list[FoundRun]] = {}
    for device in told.devices:
        present = [each for each in computing.get(device.uuid, ()) if not _serves(each)]
        found = node.claims(device.uuid, present) or [node.own(device.uuid, each) for each in present]
        if found:
            by_device[device.uuid] = _each_once(found)
    runs = [run for found in by_device.values() for run in found if run.holder.run]
    idle = [_announced(each, frozenset()) for each in sorted(told.announced, key=_by_age)]
    known = {run.holder.key: run for run in _each_once([*idle, *runs])}
    return Attribution(
        {uuid: tuple(sorted(node.saying(run.holder) for run in found)) for uuid, found in by_device.items()},
        {key: replace(run, holder=node.saying(run.holder)) for key, run in sorted(known.items())},
    )


def _serves(process: Process) -> bool:
    return process.uid == 0 and process.name in SERVERS


def _each_once(found: Iterable[FoundRun]) -> list[FoundRun]:
    """One of each run, or user without a run: what the surest source says of it, with the processes of them all."""
    best: dict[RunKey, FoundRun] = {}
    for run in sorted(found, key=lambda each: (_RANK[each.holder.source], each.holder, each.job, each.name)):
        key = run.holder.key
        known = best.setdefault(key, run)
        best[key] = replace(known, processes=known.processes | run.processes)
    return list(best.values())


def _announced(run: Announced, processes: frozenset[Identity], source: HolderSource = "announced") -> FoundRun:
    told = run.announcement
    root = {(told.root_pid, told.root_start_ticks)} if told.root_pid else set[Identity]()
    holder = Holder(told.uid, told.run, told.user, source)
    return FoundRun(holder, told.name, told.labels, "", frozenset(processes | root), told)


class _Node:
    """What is told, by what is asked of it."""

    def __init__(self, told: Told, shows_pods: bool) -> None:
        """`shows_pods`: there is a process of which it can be seen that it is in one."""
        self._told, self._shows_pods = told, shows_pods
        self._jobs = {job.job: job for job in told.jobs}
        self._of_job = {
            job.job: frozenset(each.uuid for each in held(told.devices, ",".join(job.gpus) or "none", {}))
            for job in told.jobs
        }
        self._of_pod = [(pod, kubernetes.devices_of(told.devices, pod.devices)) for pod in _pods(told.pods)]
        self._roots = {
            identity: run
            for run in sorted(told.announced, key=lambda each: each.announcement.key, reverse=True)
            for identity in _roots(run)
        }
        self._told_of: dict[RunKey, list[Announced]] = {}
        for each in sorted(told.announced, key=_by_age):
            self._told_of.setdefault(each.announcement.key, []).append(each)

    def saying(self, holder: Holder) -> Holder:
        """A holder with what its run says that it does now, and with the name of its user."""
        told = self._told_of.get(holder.key)
        if told is not None:
            said = told[0].announcement
            return replace(holder, user=said.user, phase=said.phase, redone=said.redone)
        return holder if holder.user else replace(holder, user=self._user(holder.uid))

    # Claims: of a whole device

    def claims(self, uuid: str, present: Sequence[Process]) -> list[FoundRun]:
        """Those who claim a device by the first source that knows any, where nobody else computes on it."""
        announced = [
            _announced(run, frozenset(each.identity for each in own))
            for told in self._told_of.values()
            for run in told
            for own in [[each for each in present if self._descends(each, run)]]
            if _is_alone(run.announcement.uid, present) and self._may_hold(run, uuid, bool(own))
        ]
        return announced or self._pods(uuid, present) or self._allocated(uuid, present)

    def _may_hold(self, run: Announced, uuid: str, is_at_work: bool) -> bool:
        """Whether an announcement reaches as far as a device: it names it, or names none and computes on it."""
        told = run.announcement
        is_named = is_at_work if told.uuids is None else bool(told.uuids & self._names(uuid))
        step = None if run.root is None else run.root.step
        job = None if step is None else self._jobs.get(step.job)
        if job is None or job.uid != told.uid or not self._of_job[job.job]:
            return is_named
        return is_named and uuid in self._of_job[job.job]

    def _names(self, uuid: str) -> frozenset[str]:
        """A device by its own UUID and its board's."""
        board = next((each.board for each in self._told.devices if each.uuid == uuid), uuid)
        return frozenset((uuid, board))

    def _pods(self, uuid: str, present: Sequence[Process]) -> list[FoundRun]:
        """The kubelet's word. Containers have users of their own: a stranger is who is in no pod at all."""
        if not all(self._may_be_of_a_pod(each) for each in present):
            return []
        return [self._pod(pod, present) for pod, uuids in self._of_pod if uuid in uuids]

    def _may_be_of_a_pod(self, process: Process) -> bool:
        """One whose control groups are not shown may be, where those of no other are: then nothing can be seen."""
        is_of_one = container.is_of_a_pod(process.cgroups)
        return not self._shows_pods if is_of_one is None else is_of_one

    def _pod(self, pod: Pod, present: Sequence[Process]) -> FoundRun:
        """A pod's user is nobody's word but its processes': it is shown where they agree, and is no part of its key.

        For a pod has a GPU before it has a process, and stays the same run.
        """
        users = {each.uid for each in present}
        user = self._user(min(users)) if len(users) == 1 else ""
        labels = {"namespace": pod.namespace, "pod": pod.name, "container": ",".join(sorted(pod.containers))}
        holder = Holder(UNKNOWN_UID, kubernetes.run_id(pod), user, "kubernetes")
        return FoundRun(holder, pod.name, labels, f"{pod.namespace}/{pod.name}")

    def _allocated(self, uuid: str, present: Sequence[Process]) -> list[FoundRun]:
        """The jobs that were given a device: by their steps that compute on it, else each as a whole."""
        found: list[FoundRun] = []
        for number, uuids in self._of_job.items():
            job = self._jobs[number]
            if uuid not in uuids or not _is_alone(job.uid, present):
                continue
            own = [(each.step, each) for each in present if each.step is not None and each.step.job == number]
            found += [self._step(step, each) for step, each in own] or [self._job(job)]
        return found

    # Processes: each for itself

    def own(self, uuid: str, process: Process) -> FoundRun:
        """Whose one process is, by the first source that knows."""
        above = self._announced_above(process)
        if above is not None and any(self._may_hold(run, uuid, True) for run in self._told_of[above.announcement.key]):
            return _announced(above, frozenset({process.identity}))
        if process.step is not None and not self._is_of_another(process.step, process):
            return self._step(process.step, process)
        if process.container:
            return self._of(process, container.run_id(process.container), "container", process.container)
        beside = above or self._announced_beside(process)
        if beside is not None:
            return _announced(beside, frozenset({process.identity}), "parents")
        if isinstance(process.run, str) and process.run:
            return self._of(process, process.run, "environment")
        return self._of(process, "", "user")

    def _of(self, process: Process, run: str, source: HolderSource, job: str = "") -> FoundRun:
        holder = Holder(process.uid, run, self._user(process.uid), source)
        return FoundRun(holder, "", {}, job, frozenset({process.identity}))

    def _is_of_another(self, step: slurm.Step, process: Process) -> bool:
        """Whether a prolog said that a step's job is another user's: then this process is none of it."""
        job = self._jobs.get(step.job)
        return job is not None and job.uid != process.uid

    def _step(self, step: slurm.Step, process: Process) -> FoundRun:
        """A step is its job's, where a prolog told of the job."""
        job = self._jobs.get(step.job)
        found = self._of(process, slurm.run_id(step, job), "slurm", str(step.job))
        return found if job is None else replace(found, name=job.name, labels=_labels(job))

    def _job(self, job: Job) -> FoundRun:
        holder = Holder(job.uid, slurm.run_id(slurm.Step(job.job), job), job.user or self._user(job.uid), "slurm")
        return FoundRun(holder, job.name, _labels(job), str(job.job))

    def _descends(self, process: Process, run: Announced) -> bool:
        above = self._announced_above(process)
        return above is not None and above.announcement.key == run.announcement.key

    def _announced_above(self, process: Process) -> Announced | None:
        """The nearest announced run of the same user from whose first process this one descends, itself included."""
        for identity in (process.identity, *process.ancestors):
            run = self._roots.get(identity)
            if run is not None and run.announcement.uid == process.uid:
                return run
        return None

    def _announced_beside(self, process: Process) -> Announced | None:
        """The one announced run of the same user in the same control group, where that is of one job alone."""
        groups = {path for path in process.cgroups if _OF_ONE_JOB.fullmatch(path)}
        beside = [
            told[0]
            for told in self._told_of.values()
            if told[0].announcement.uid == process.uid
            and any(run.root is not None and groups.intersection(run.root.cgroups) for run in told)
        ]
        return beside[0] if len(beside) == 1 else None

    def _user(self, uid: int) -> str:
        return self._told.users.get(uid) or ("" if uid == UNKNOWN_UID else str(uid))


def _roots(run: Announced) -> Iterable[Identity]:
    """Where a run's processes begin: its first process as it says, and as it is seen."""
    told = run.announcement
    if told.root_pid:
        yield told.root_pid, told.root_start_ticks
    if run.root is not None:
        yield run.root.identity


def _by_age(run: Announced) -> tuple[object, ...]:
    """The one of the oldest process first: by that the run is known to live. Then those of no known process."""
    told = run.announcement
    return told.root_pid == 0, told.root_start_ticks, told.root_pid, told.pid, sorted(told.uuids or ())


def _is_alone(uid: int, present: Iterable[Process]) -> bool:
    """Whether nobody but this user computes."""
    return all(each.uid == uid for each in present)


def _labels(job: Job) -> dict[str, str]:
    return {"account": job.account} if job.account else {}


def _pods(pods: Iterable[Pod]) -> list[Pod]:
    """By name, so that who came first changes nothing."""
    return sorted(pods, key=lambda pod: (pod.namespace, pod.name, pod.devices, pod.containers))
