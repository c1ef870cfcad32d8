"""The installed agent as tests start it: on a free port, with state and socket of its own."""

import http
import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, eventually

_SERVES = re.compile(r"metrics at (https?://\S+)/metrics")


class StartedAgent:
    """One agent that runs, and what it has written on stderr."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process, self._log = process, log

    @property
    def said(self) -> str:
        """All that it said so far."""
        return self._log.read_text()

    @property
    def url(self) -> str:
        """Where it serves, once it does."""
        found = eventually(lambda: _SERVES.search(self.said), f"an address in {self.said!r}")
        return found[1]

    @property
    def node(self) -> dict[str, Any]:
        """What it shows of the node, once it has read it."""
        return eventually(self._node, "a node that was read")

    def _node(self) -> dict[str, Any] | None:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/node", timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as refusal:
            if refusal.code == http.HTTPStatus.SERVICE_UNAVAILABLE:
                return None
            raise

    def run(self, run_id: str) -> dict[str, Any]:
        """What it shows of a run, once it shows it."""
        return eventually(lambda: self._run(run_id), f"run {run_id}")

    def _run(self, run_id: str) -> dict[str, Any] | None:
        runs: list[dict[str, Any]] = self.node["runs"]
        return next((run for run in runs if run["run"] == run_id), None)

    def stop(self) -> int:
        """Tell it to stop as an init system does; its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_SECONDS)


def agent_command(folder: Path, *options: str) -> list[str]:
    """The words that start an agent on simulated GPUs, its state and socket in a folder."""
    kept = ["--state", str(folder / "state"), "--socket", str(folder / "agent.sock")]
    listening = [] if "--web.listen-address" in options else ["--web.listen-address", "127.0.0.1:0"]
    return [COSTMETER, "agent", "--simulate", "healthy", *kept, *listening, *options]


@contextmanager
def agent(folder: Path, environ: dict[str, str], *options: str, before: Sequence[str] = ()) -> Iterator[StartedAgent]:
    """An agent that does not outlive the test, once it has read its GPUs."""
    log = folder / "agent.log"
    with log.open("wb") as stderr:
        argv = [*before, *agent_command(folder, *options)]
        with subprocess.Popen(argv, env=environ, stderr=stderr, stdin=subprocess.DEVNULL) as process:
            try:
                yield StartedAgent(process, log)
            finally:
                process.kill()
