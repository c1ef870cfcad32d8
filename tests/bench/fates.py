"""Fates: exit status under the meter beside that under a plain shell, for every way a job can end."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.table import Row
from tests.end_to_end.installed import COSTMETER, own_home

FATES = {
    "exit 0": "true",
    "exit 3": "sh -c 'exit 3'",
    "death by KILL": "sh -c 'kill -KILL $$'",
    "death by TERM": "sh -c 'kill -TERM $$'",
    "death by HUP": "sh -c 'kill -HUP $$'",
    "death by ABRT": "sh -c 'kill -ABRT $$'",
    "not found": "no-such-command-anywhere",
    "not executable": "./plain-file",
}


def measure() -> Iterator[Row]:
    """The difference between the two statuses as a shell sees them, which is none."""
    with own_home() as environ, tempfile.TemporaryDirectory() as folder:
        Path(folder, "plain-file").write_text("data")
        for fate, command in FATES.items():
            plain = _status(command, environ, folder)
            metered = _status(f"{COSTMETER} run -q --simulate healthy -- {command}", environ, folder)
            yield Row(f"{fate}: plain {plain}, metered {metered}", abs(plain - metered), "off", 0)


def _status(command: str, environ: dict[str, str], folder: str) -> int:
    shell = ["bash", "-c", f"{command}; echo $?"]
    done = subprocess.run(shell, env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return int(done.stdout)
