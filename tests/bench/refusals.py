"""Refusals: what may keep a job from starting, and what may not."""

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.table import Row
from tests.end_to_end.installed import COSTMETER, own_home


def measure() -> Iterator[Row]:
    """Whether the job started (1) or not (0), beside what should be."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        Path(folder, "costmeter.yaml").write_text("tarrif: x\n")
        Path(folder, "faulty.yaml").write_text("tarrif: x\n")
        yield _row("typo in a found file", [], folder, starts=True)
        yield _row("taken port", ["--listen", address], "/", starts=True)
        yield _row("full quota", [], "/", starts=True, before=["sh", "-c", 'ulimit -f 0; exec "$@"', "sh"])
        yield _row("no driver", [], "/", starts=True, simulate=False)
        yield _row("bad --price", ["--price", "cheap"], "/", starts=False)
        yield _row("faulty --config", ["--config", f"{folder}/faulty.yaml"], "/", starts=False)


def _row(
    what: str, options: list[str], folder: str, starts: bool, simulate: bool = True, before: list[str] | None = None
) -> Row:
    source = ["--simulate", "healthy"] if simulate else []
    with own_home() as environ:
        done = subprocess.run(
            [*(before or []), COSTMETER, "run", *source, *options, "--", "echo", "started"],
            env=environ,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    started = done.stdout == "started\n"
    told = "starts" if started else f"refused with {done.returncode}"
    return Row(f"{what}: {told}", float(started is not starts), "wrong", 0)
