"""Where a run's processes tell of its progress: the path of a socket, named before the job starts and made after.

Its folder is made, and found to be ours alone, before the job is told of it: whoever else could write there could hear
the job, and ask it to stop. Imported before the job starts, so it imports nothing that is not there already.
"""

import os
import stat
from collections.abc import Mapping, MutableMapping

#: Names the socket to the job.
VARIABLE = "COSTMETER_NOTIFY"
#: The file beside it that asks the job to save and end.
STOP_SUFFIX = ".stop"
#: A Unix socket's name is at most 107 bytes and a zero.
LONGEST = 107


def notify_path(environ: Mapping[str, str], run_id: str, pid: int) -> str:
    """`$XDG_RUNTIME_DIR/costmeter/<run-id>.<pid>.sock`, or under `/tmp/costmeter-<uid>` where that cannot be used.

    A run id that would make it too long for a socket is told apart by a checksum.
    """
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    folders = [f"{runtime.rstrip('/')}/costmeter"] if _is_usable(runtime) else []
    for folder in (*folders, f"/tmp/costmeter-{os.getuid()}"):
        for name in (run_id, _short(run_id)):
            path = f"{folder}/{name}.{pid}.sock"
            if len(os.fsencode(path)) <= LONGEST:
                return path
    return path


def announce(environ: MutableMapping[str, str], run_id: str, pid: int) -> str:
    """Name the socket to the job, in a folder that is made here; a request to stop left under that name is taken away.

    Why nothing can be told there, and nothing is named: empty where it can.
    """
    path = notify_path(environ, run_id, pid)
    environ.pop(VARIABLE, None)
    if refusal := make_folder(os.path.dirname(path)):
        return f"{path}: {refusal}"
    try:
        os.unlink(path + STOP_SUFFIX)
    except FileNotFoundError:
        pass
    except OSError as kept:
        return f"{path}{STOP_SUFFIX}: {kept.strerror}"
    environ[VARIABLE] = path
    return ""


def make_folder(folder: str) -> str:
    """Make a private folder, or find that there is one; why there is none, or an empty text."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        return "" if _is_private(folder) else "the folder is not this user's own"
    except OSError as refusal:
        return refusal.strerror or str(refusal)
    return ""


def _is_private(folder: str) -> bool:
    """Whether a folder is this user's, no link, and nobody else may write to it."""
    try:
        facts = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o022


def _is_usable(runtime: str) -> bool:
    """Whether this is a runtime directory of this very user: `sudo` may pass that of another one on."""
    return os.path.isabs(runtime) and _is_private(runtime) and os.access(runtime, os.W_OK | os.X_OK)


def _short(run_id: str) -> str:
    if len(run_id) <= 8:
        return run_id
    from zlib import crc32

    return f"{crc32(os.fsencode(run_id)):08x}"
