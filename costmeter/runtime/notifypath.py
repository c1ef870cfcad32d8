"""Where a run's processes tell of its progress: the path of a socket, named before the job starts and made after.

Imported before the job starts, so it imports nothing that is not there already.
"""

import os
from collections.abc import Mapping

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
    usable = os.path.isabs(runtime) and os.access(runtime, os.W_OK | os.X_OK)
    folders = [f"{runtime.rstrip('/')}/costmeter"] if usable else []
    for folder in (*folders, f"/tmp/costmeter-{os.getuid()}"):
        for name in (run_id, _short(run_id)):
            path = f"{folder}/{name}.{pid}.sock"
            if len(os.fsencode(path)) <= LONGEST:
                return path
    return path


def _short(run_id: str) -> str:
    if len(run_id) <= 8:
        return run_id
    from zlib import crc32

    return f"{crc32(os.fsencode(run_id)):08x}"
