"""The installed agent on simulated GPUs, that is killed and started again: its page, and where its counters began."""

import json
import os
import resource
import select
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any

from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.installed import COSTMETER, eventually

GPU_TIME, READ_AT = "costmeter_gpu_time_seconds_total", "costmeter_last_reading_timestamp_seconds"
BEGINS_AT_0 = "counters begin at 0"


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


class KillableAgent:
    """One agent after another on one port and one folder of state, in a home of its own."""

    def __init__(self, home: dict[str, str], folder: Path, scenario: str = "healthy", state: str = "state") -> None:
        self.state, self.port = folder / state, free_port()
        places = ["--state", str(self.state), "--socket", str(folder / "run" / "agent.sock")]
        listening = ["--web.listen-address", f"127.0.0.1:{self.port}", "--interval", "0.2"]
        self._argv = [COSTMETER, "agent", "--simulate", scenario, *listening, *places]
        self._home = home
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> bool:
        """Start it and wait until it has read something; whether its counters went on from those before."""
        process = subprocess.Popen(self._argv, env=self._home, text=True, stderr=subprocess.PIPE, bufsize=1)
        self._process = process
        eventually(lambda: self.sum(READ_AT) or None, "the agent's first reading")
        return BEGINS_AT_0 not in _said(process.stderr)

    def page(self) -> str:
        """What it serves now; empty where it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
                text: str = answer.read().decode()
                return text
        except (urllib.error.URLError, ConnectionError):
            return ""

    def node(self) -> dict[str, Any]:
        """What it says of its node now; nothing where it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/node", timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except (urllib.error.URLError, ConnectionError):
            return {}

    def values(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Every counter on the page."""
        families = text_string_to_metric_families(self.page())
        samples = (sample for family in families if family.type == "counter" for sample in family.samples)
        return {(each.name, tuple(sorted(each.labels.items()))): each.value for each in samples}

    def sum(self, name: str) -> float:
        """A family's values, summed."""
        families = text_string_to_metric_families(self.page())
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    def refuse(self, size_bytes: int = 2_048) -> None:
        """From now on no file of it may grow beyond this: what a full disk does, without one."""
        assert self._process is not None
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size_bytes, size_bytes))

    def end(self, by: signal.Signals = signal.SIGKILL) -> None:
        """End it, and see it gone."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(by)
            process.wait()
            if process.stderr is not None:
                process.stderr.close()


def _said(stream: IO[str] | None) -> str:
    """What was written to a pipe so far."""
    said = b""
    while stream is not None and select.select([stream], [], [], 0)[0]:
        read = os.read(stream.fileno(), 65_536)
        said += read
        if not read:
            break
    return said.decode(errors="replace")
