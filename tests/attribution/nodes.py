"""Processes, announcements, pods and jobs of a node for the tests of attribution: builders with defaults."""

from typing import Any

from costmeter.attribution.announcement import Announcement
from costmeter.attribution.processes import Process
from costmeter.attribution.slurm import Job, Step
from tests.samples import BEGAN_UTC_NS, devices

NODE = devices(4)
GPU = tuple(device.uuid for device in NODE)

CONTAINER = "0123456789abcdef" * 4
POD_CGROUP = f"/kubepods.slice/kubepods-burstable.slice/kubepods-pod5f2b.slice/cri-containerd-{CONTAINER}.scope"
ALICE, BOB = 1001, 1002
USERS = {ALICE: "alice", BOB: "bob", 0: "root"}


def process(pid: int, uid: int = ALICE, **changes: Any) -> Process:
    """A process that began when its pid says so; `parents` are pids of others such, nearest first."""
    parents: tuple[int, ...] = changes.pop("parents", ())
    return Process(pid, pid * 10, uid, **({"ancestors": tuple((each, each * 10) for each in parents)} | changes))


def announcement(run: str = "r-one", uid: int = ALICE, root: int = 0, **changes: Any) -> Announcement:
    """A run that was announced; it holds no device unless it is told so, and does not say which it holds for None."""
    facts: dict[str, Any] = {
        "uid": uid,
        "pid": root,
        "run": run,
        "user": USERS[uid],
        "seen_utc_ns": BEGAN_UTC_NS,
        "started_utc_ns": BEGAN_UTC_NS,
        "uuids": frozenset(),
        "root_pid": root,
        "root_start_ticks": root * 10,
    }
    return Announcement(**(facts | changes))


def job(number: int, uid: int = ALICE, gpus: str = "", **changes: Any) -> Job:
    """A job that was given these GPUs, by index."""
    return Job(number, uid, USERS[uid], tuple(gpus.split()), **changes)


def in_step(pid: int, number: int, step: str = "0", uid: int = ALICE, **changes: Any) -> Process:
    """A process of a Slurm step."""
    return process(pid, uid, step=Step(number, step), **changes)
