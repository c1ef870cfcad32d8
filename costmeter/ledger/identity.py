"""Who a run is: its id, the host and boot it was metered on, and a command line fit to be kept.

Imported before the job starts, so it imports nothing that argparse has not loaded already.
"""

import os
import re
from collections.abc import Mapping, Sequence

_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NUMBER = re.compile(r"[0-9]{1,9}")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: sorts as it counts, no i, l, o, u
_TIME_CHARACTERS = 7
_RANDOM_CHARACTERS = 5
_BLANKS = re.compile(r"(\s+)")
_SECRET_NAME = re.compile(r"(key|token|secret|passw(or)?d|credential)s?$", re.IGNORECASE)


def is_fit_id(given: str) -> bool:
    """Whether a name can be a run's id. One of dots alone is not: it would be a folder's own or parent's name."""
    return bool(_GIVEN_ID.fullmatch(given) and given.strip("."))


def run_id(environ: Mapping[str, str], utc_ns: int) -> str:
    """`COSTMETER_RUN_ID` where it is a fit name; in a Slurm step, the step's; else `r-` and 12 base-32 characters.

    The characters begin with the time, in seconds.
    """
    given = environ.get("COSTMETER_RUN_ID", "")
    if is_fit_id(given):
        return given
    if step := _slurm_step(environ):
        return step
    seconds = utc_ns // 1_000_000_000
    stamp = (_ALPHABET[(seconds >> 5 * place) & 31] for place in reversed(range(_TIME_CHARACTERS)))
    noise = (_ALPHABET[byte & 31] for byte in os.urandom(_RANDOM_CHARACTERS))
    return "r-" + "".join(stamp) + "".join(noise)


def _slurm_step(environ: Mapping[str, str]) -> str:
    """`slurm-<job>[_<task>]-<step>`, the same on every node of the step; empty outside one.

    The steps that stand for a batch script or an interactive shell have numbers from 2^32 - 6 on, and may hold several
    runs: they give no name. What an array calls its job, `120_3`, is the same for every part of it.
    """
    job, task = environ.get("SLURM_JOB_ID", ""), environ.get("SLURM_ARRAY_TASK_ID", "")
    step = environ.get("SLURM_STEP_ID", "")
    if not (_NUMBER.fullmatch(job) and _NUMBER.fullmatch(step)):
        return ""
    array = environ.get("SLURM_ARRAY_JOB_ID", "")
    whole = f"{array}_{task}" if _NUMBER.fullmatch(array) and _NUMBER.fullmatch(task) else job
    return f"slurm-{whole}-{step}"


def is_other_rank(environ: Mapping[str, str]) -> bool:
    """Whether this is a task of a Slurm step that leaves the meter to the first one of its node (local rank 0)."""
    return bool(environ.get("SLURM_STEP_ID")) and environ.get("SLURM_LOCALID", "0") not in ("", "0")


def host_name() -> str:
    """This machine's name."""
    return os.uname().nodename or "localhost"


def user_name(uid: int | None = None) -> str:
    """What a user is called, by default who runs this process; his number where he has no name. May take its time."""
    import pwd  # not before the launch

    uid = os.getuid() if uid is None else uid
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


def user_of(pid: int) -> int | None:
    """The user who started a process (the real one); None when there is no such process here."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(b"Uid:")), None)


def boot_id() -> str:
    """The kernel's name for this boot; empty where it does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is none. With the pid it is an identity.

    One that is dead and has not been reaped yet is none.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return None
    fields = stat.rpartition(b")")[2].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def is_alive(pid: int, ticks: int, boot: str) -> bool:
    """Whether that very process still lives on this boot of this machine."""
    return boot == boot_id() and start_ticks(pid) == ticks


def redacted(command: Sequence[str]) -> tuple[str, ...]:
    """A command line without the values of arguments named like secrets (`--api-key X`, `token=X`)."""
    kept: list[str] = []
    hide_next = False
    for argument in command:
        name, equals, _ = argument.partition("=")
        if hide_next:
            kept.append("***")
            hide_next = _takes_secret(argument)  # `--use-auth-token --api-key X`: the first was a switch
        elif equals and _SECRET_NAME.search(name):
            kept.append(f"{name}=***")
        elif len(words := _BLANKS.split(argument)) > 1:  # `bash -c "API_KEY=… python …"`: a command line of its own
            words[::2] = redacted(words[::2])
            kept.append("".join(words))
        else:
            kept.append(argument)
            hide_next = _takes_secret(argument)
    return tuple(kept)


def _takes_secret(argument: str) -> bool:
    return argument.startswith("-") and bool(_SECRET_NAME.search(argument))
