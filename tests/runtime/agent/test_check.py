"""What the doctor says of the node's agent: of one that listens, one that is not read, and none."""

import json
import os
import signal
import socket
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from costmeter.clock import RealClock
from costmeter.runtime.agent.check import findings
from costmeter.runtime.finding import Finding
from tests.end_to_end.agents import agent
from tests.end_to_end.installed import eventually, own_home

HEALTHY: dict[str, Any] = {
    "journal_writable": True,
    "collectors": {"processes": True},
    "runs_hidden": 0,
    "runs_refused": 0,
    "last_reload_successful": True,
    "last_scrape": None,
}


def said(environ: dict[str, str]) -> list[Finding]:
    """Of the agent itself, without what this user lacks."""
    found = findings(environ, RealClock(), "healthy")
    return [each for each in found if "environments" not in each.text and "Slurm" not in each.text]


@contextmanager
def acting(health: dict[str, Any], status: int = 200) -> Iterator[dict[str, str]]:
    """A process that acts as an agent would: this one, with a socket and a page. The environment that leads to it."""
    runs = [{"ended": None}]
    node = {"schema": "costmeter.node/1", "host": "gpu01", "gpus": [{}] * 8, "runs": runs, "health": health}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/api/v1/node" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(node).encode())

        def log_message(self, *_: object) -> None:
            pass

    with tempfile.TemporaryDirectory() as folder, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = str(Path(folder, "agent.sock"))
        with socket.socket(socket.AF_UNIX) as listening, pytest.MonkeyPatch.context() as patched:
            listening.bind(at)
            listening.listen()
            # Servers that other tests left behind in this process are not the agent's.
            patched.setattr("costmeter.runtime.agent.found.addresses", lambda _: [server.server_address])
            yield {"COSTMETER_AGENT": at}
        server.shutdown()


def test_the_agent_is_found_with_its_page(tmp_path: Path) -> None:
    """A real agent, wherever its port is: pid, GPUs and address, and when its metrics were read."""
    with own_home() as environ, agent(tmp_path, environ) as started:
        eventually(lambda: "metering" in started.said or None, "GPUs")
        at = str(tmp_path / "agent.sock")
        [running] = said(environ | {"COSTMETER_AGENT": at})
        assert "ok" == running.verdict
        assert running.text.startswith(f"agent: pid {started.process.pid} (costmeter agent, up ")
        assert running.text.endswith(f"8 GPUs, 0 runs; metrics at {started.url}/metrics")
        urllib.request.urlopen(f"{started.url}/metrics", timeout=10).read()
        eventually(lambda: started.node["health"]["last_scrape"], "a scrape")
        _, read = said(environ | {"COSTMETER_AGENT": at})
        assert ("ok", True) == (read.verdict, read.text.startswith("agent: its metrics were read "))


def test_a_file_that_is_written_is_nobody_who_reads(tmp_path: Path) -> None:
    """`--textfile DIR` alone: they were written there, which is told, and that somebody read them is not claimed."""
    with own_home() as environ, agent(tmp_path, environ, "--textfile", str(tmp_path)) as started:
        eventually(lambda: started.node["health"]["last_written"], "a file")
        assert started.node["health"]["last_scrape"] is None
        _, *passed = said(environ | {"COSTMETER_AGENT": str(tmp_path / "agent.sock")})
    [written] = passed
    assert ("ok", True) == (written.verdict, written.text.startswith(f"agent: its metrics were written to {tmp_path} "))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({"last_scrape": "2026-11-22T16:00:00.000Z"}, None, id="read-long-ago"),
        pytest.param(
            {"written_to": "/gone", "last_written": None}, ("warn", "not being written to /gone"), id="unwritten"
        ),
        pytest.param({"journal_writable": False}, ("fail", "journal is not being saved"), id="unsaved"),
        pytest.param({"collectors": {"slurm": False}}, ("warn", "slurm did not tell"), id="collector"),
        pytest.param({"runs_hidden": 3}, ("warn", "3 runs had no room"), id="hidden"),
        pytest.param({"runs_refused": 3}, ("warn", "3 runs refused"), id="refused"),
        pytest.param({"last_reload_successful": False}, ("warn", "not loaded anew"), id="reload"),
    ],
)
def test_what_the_agent_says_of_itself_is_passed_on(
    changed: dict[str, Any], expected: tuple[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each thing that does not go well is a finding with what to type; an agent not read for long is one, too."""
    monkeypatch.setattr("costmeter.runtime.agent.check.SCRAPED_SECONDS", 0 if expected is None else 10**9)
    verdict, words = expected or ("warn", "/metrics is not being scraped")
    with acting(HEALTHY | changed) as environ:
        running, *others = said(environ)
    assert f"agent: pid {os.getpid()} (" in running.text
    assert "8 GPUs, 1 run; metrics at http://127.0.0.1:" in running.text
    [finding] = [each for each in others if words in each.text]
    assert verdict == finding.verdict
    assert finding.fix


def test_an_agent_that_does_not_answer_is_not_called_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that was stopped takes connections and says nothing: a warning, and no word of passwords."""
    monkeypatch.setattr("costmeter.runtime.agent.check._PAGE_SECONDS", 0.5)
    with own_home() as environ, agent(tmp_path, environ) as started:
        eventually(lambda: "metering" in started.said or None, "GPUs")
        started.process.send_signal(signal.SIGSTOP)
        [hung] = said(environ | {"COSTMETER_AGENT": str(tmp_path / "agent.sock")})
        started.process.send_signal(signal.SIGCONT)
    assert "warn" == hung.verdict
    assert hung.text.startswith(f"agent: pid {started.process.pid} (costmeter agent, up ")
    assert hung.text.endswith("does not answer (stopped or hung)")
    assert str(started.process.pid) in hung.fix


@pytest.mark.parametrize(
    ("expected", "status"),
    [
        pytest.param("needs a password or a certificate", 401, id="a-password"),
        pytest.param("needs a password or a certificate", 400, id="tls"),
        pytest.param("needs a password or a certificate", 403, id="forbidden"),
        pytest.param("it has nothing to show yet", 503, id="before-the-first-reading"),
        pytest.param("its page is not at http://127.0.0.1:", 404, id="something-else"),
    ],
)
def test_a_page_that_is_not_shown_says_why(expected: str, status: int) -> None:
    """Each refusal is told as what it is; an agent that answers so is well."""
    with acting(HEALTHY, status) as environ:
        [running] = said(environ)
    assert ("ok", True) == (running.verdict, expected in running.text)


def test_nobody_there_says_where_one_would_be(tmp_path: Path) -> None:
    """Without an agent it is said where its state would be, and who could reach its socket."""
    environ = {
        "COSTMETER_AGENT": str(tmp_path / "nothing.sock"),
        "STATE_DIRECTORY": str(tmp_path / "state"),
        "RUNTIME_DIRECTORY": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    none, private = said(environ)
    assert ("ok", True) == (none.verdict, str(tmp_path / "state") in none.text)
    assert ("warn", True) == (private.verdict, "only your own runs" in private.text)
    assert "/run/costmeter" in private.fix
