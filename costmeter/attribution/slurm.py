"""Slurm's jobs on this node: by control group, by the title of `slurmstepd`, by the files that a prolog leaves.

A control group says which job and step a process is of (Slurm's cgroup/v1 and cgroup/v2 plugins):

- v1: `/slurm/uid_1000/job_123/step_0/task_0`, or `/slurm_<node>/…` with several slurmd on one machine
- v2: `/system.slice/slurmstepd.scope/job_123/step_0/user/task_0`, or `<node>_slurmstepd.scope`

Elsewhere (below `user.slice`) users may make groups of any name: a path counts from its beginning.

Where Slurm tracks processes without control groups (proctrack/linuxproc, proctrack/pgid), the process above them is
root's `slurmstepd`, whose title is `slurmstepd: [123.0]`, with `batch`, `extern` or `interactive` for a step without a
number. Which GPUs a job was given only its prolog knows: it leaves a file (`examples/slurm/prolog.sh`).
"""

import json
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass

_CGROUP = re.compile(
    r"(?:/\.\.)*(?:/slurm(?:_[^/]+)?/uid_[0-9]+|(?:/system\.slice)?/(?:[^/]+_)?slurmstepd\.scope)"
    r"/job_(?P<job>[0-9]{1,10})(?:/step_(?P<step>[a-z0-9]{1,16}))?(?:/.*)?"
)
_TITLE = re.compile(r"slurmstepd: \[(?P<job>[0-9]{1,10})(?:\.(?P<step>[a-z0-9]{1,16}))?\]")
_ARRAY = re.compile(r"[0-9]{1,10}_[0-9]{1,10}")
#: A job's file has a few hundred bytes, and a node that shares each GPU in a hundred parts has fewer jobs than this.
_MOST_BYTES, _MOST_FILES = 65_536, 4_096
_LONGEST_TEXT = 256


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a job. `step` is its number, or `batch`, `extern`, `interactive`, or empty where only the job shows."""

    job: int
    step: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """What a prolog told of a job: whose it is and which GPUs it was given, by index or UUID.

    `array` is the job's name as a task of an array (`120_3`), empty for others.
    """

    job: int
    uid: int
    user: str = ""
    gpus: tuple[str, ...] = ()
    name: str = ""
    account: str = ""
    array: str = ""


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs that a folder tells of, by number, and what is wrong with the files that cannot be used."""

    jobs: tuple[Job, ...] = ()
    faults: tuple[str, ...] = ()


def run_id(step: Step, job: Job | None = None) -> str:
    """The run that a step is: `slurm-<job>[_<task>]-<step>`; of a step without a number, its job's."""
    whole = job.array if job is not None and job.array else str(step.job)
    return f"slurm-{whole}-{step.step}" if step.step.isdecimal() else f"slurm-{whole}"


def step_of_cgroups(cgroups: Iterable[str]) -> Step | None:
    """The step that the paths of a process's control groups name; the one that says more, where they differ."""
    found = [Step(int(match["job"]), match["step"] or "") for match in map(_CGROUP.fullmatch, cgroups) if match]
    return max(found, key=lambda each: (bool(each.step), each.step, each.job), default=None)


def step_of_title(title: str) -> Step | None:
    """The step whose `slurmstepd` has this title. Whose process it is, the caller has to check: root's alone is."""
    match = _TITLE.match(title)
    return None if match is None else Step(int(match["job"]), match["step"] or "")


def jobs_in(folder: str) -> Jobs:
    """The jobs whose files are in a folder; none where there is no folder.

    A file counts that is root's or our own and that nobody else may write; every other is a fault. One that goes away
    while we look is no fault: its job has ended.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json") and not name.startswith("."))
    except FileNotFoundError:
        return Jobs()
    except OSError as error:
        return Jobs((), (f"{folder}: cannot be read: {error.strerror or error}",))
    jobs, faults = dict[int, Job](), list[str]()
    for name in names[:_MOST_FILES]:
        path = os.path.join(folder, name)
        try:
            job = _job(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            faults.append(f"{path}: {getattr(error, 'strerror', None) or error}")
            continue
        jobs[job.job] = job
    if len(names) > _MOST_FILES:
        faults.append(f"{folder}: of {len(names):,} files the first {_MOST_FILES:,} are read; does the epilog run?")
    return Jobs(tuple(jobs[number] for number in sorted(jobs)), tuple(faults))


def _job(path: str) -> Job:
    """One file. Raises OSError, or ValueError with what is wrong."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("is no plain file")
        if facts.st_uid not in (0, os.geteuid()) or facts.st_mode & 0o022:
            raise ValueError("others may write it, so it is not believed; it should be root's, mode 0644")
        text = file.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise ValueError(f"is longer than {_MOST_BYTES:,} bytes")
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON: {error}") from error
    if not isinstance(told, dict):
        raise ValueError('is no object of "job", "uid" and "gpus"')
    number, uid, gpus = _number(told, "job"), _number(told, "uid"), told.get("gpus", [])
    if not isinstance(gpus, list) or not all(isinstance(each, int | str) for each in gpus):
        raise ValueError('"gpus" is no list of indices or UUIDs')
    array = _text(told, "array")
    return Job(
        number,
        uid,
        _text(told, "user"),
        tuple(str(each).strip()[:_LONGEST_TEXT] for each in gpus),
        _text(told, "name"),
        _text(told, "account"),
        array if _ARRAY.fullmatch(array) else "",
    )


def _number(told: dict[str, object], key: str) -> int:
    """A whole number, written as one or as its digits: a shell has only the latter."""
    value = told.get(key)
    digits = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 10):
        raise ValueError(f'"{key}" is no whole number')
    return int(digits)


def _text(told: dict[str, object], key: str) -> str:
    value = told.get(key)
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""
