"""Reads whose a simulated process is: its user, the run or the job it is of, and how much of the host it uses."""

import re
from typing import TypedDict

from costmeter.sources.simulated.fields import Field

#: As names of runs are (COSTMETER_RUN_ID), and of users on Linux (useradd(8)).
_RUN = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,64}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_MOST_JOB, _MOST_CORES = 2**31 - 1, 1_024


class Owner(TypedDict):
    """Those fields of a process that say whose it is."""

    user: str
    run: str
    job: int
    millicores: int | None


def read_owner(block: Field) -> Owner:
    """Whose a process is. A run, and a job, are somebody's."""
    user, run, job, cores = block.get("user"), block.get("run"), block.get("job"), block.get("cores")
    for each, key in ((run, "run"), (job, "job")):
        if each is not None and user is None:
            each.fault(f"a {key} is somebody's; add `user: NAME`")
    if run is not None and job is not None:
        run.fault("a process of a Slurm job is of the job's run; leave out `run` or `job`")
    return Owner(
        user=_name(user, _USER, "a user's name: small letters, digits, `_` and `-`") if user else "",
        run=_name(run, _RUN, "a run's name: letters, digits, `.`, `_` and `-`, at most 64") if run else "",
        job=job.whole(1, _MOST_JOB) if job else 0,
        millicores=cores.thousandths(_MOST_CORES) if cores else None,
    )


def _name(value: Field, fits: re.Pattern[str], what: str) -> str:
    word = value.text()
    if not fits.fullmatch(word):
        value.fault(f"`{word}` is not {what}")
    return word
