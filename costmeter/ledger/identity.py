"""Who a run is: its id, the host and boot it was metered on, and a command line fit to be kept.

Imported before the job starts, so it imports nothing that argparse has not loaded already.
"""

import os
import re
from collections.abc import Mapping, Sequence

_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: sorts as it counts, no i, l, o, u
_TIME_CHARACTERS = 7
_RANDOM_CHARACTERS = 5
_BLANKS = re.compile(r"(\s+)")
_SECRET_NAME = re.compile(r"(key|token|secret|passw(or)?d|credential)s?$", re.IGNORECASE)


def run_id(environ: Mapping[str, str], utc_ns: int) -> str:
    """`COSTMETER_RUN_ID` where it is a fit name, else `r-` and 12 base-32 characters, time (seconds) first.

    A name of dots alone is not fit: it would be a folder's own or parent's name.
    """
    given = environ.get("COSTMETER_RUN_ID", "")
    if _GIVEN_ID.fullmatch(given) and given.strip("."):
        return given
    seconds = utc_ns // 1_000_000_000
    stamp = (_ALPHABET[(seconds >> 5 * place) & 31] for place in reversed(range(_TIME_CHARACTERS)))
    noise = (_ALPHABET[byte & 31] for byte in os.urandom(_RANDOM_CHARACTERS))
    return "r-" + "".join(stamp) + "".join(noise)


def host_name() -> str:
    """This machine's name."""
    return os.uname().nodename or "localhost"


def user_name() -> str:
    """Who runs this process; the number of a user without a name."""
    import pwd  # not before the launch

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


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
