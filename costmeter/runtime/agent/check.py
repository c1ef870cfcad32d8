"""What `doctor` says of the node's agent: whether one runs here, is read and is saved, and what it does not see."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from costmeter.attribution.kubelet import DEFAULT_SOCKET
from costmeter.clock import Clock
from costmeter.feeds.http import Door, FeedError, FeedLate, Limits
from costmeter.outputs.figures import about
from costmeter.outputs.nodejson import SCHEMA
from costmeter.runtime.agent import rights
from costmeter.runtime.agent.found import listening, served_at
from costmeter.runtime.agent.lock import described, up_seconds
from costmeter.runtime.agent.places import SYSTEM_SOCKET, slurm_folder, socket_path, state_folder
from costmeter.runtime.finding import Finding
from costmeter.runtime.patience import within
from costmeter.units import NANOSECONDS_PER_SECOND

#: Prometheus reads every 15 s to 1 min where nobody says otherwise; this long without is no accident.
SCRAPED_SECONDS = 600
_DISK_SECONDS, _PAGE_SECONDS, _MOST_BYTES = 1.0, 3.0, 64 * 2**20
#: Who speaks TLS answers what is not with 400; a password is asked for with 401.
_REFUSES = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
#: Nobody answered in time.
_HUNG = "it does not answer"


@dataclass(frozen=True, slots=True)
class _Found:
    """An agent that listens at a socket. `pid` is 0 where it is in another pid namespace.

    `node` is empty where its page was not read, and `unread` says why.
    """

    path: str
    pid: int
    url: str = ""
    node: Mapping[str, Any] = field(default_factory=dict)
    unread: str = ""


def findings(environ: Mapping[str, str], clock: Clock, simulate: str | None) -> Iterator[Finding]:
    """One finding for each thing there is something to say of."""
    found = _agent(environ)
    if found is None:
        yield from _places(environ, simulate is not None)
    else:
        yield _running(found, clock)
        yield from _health(found, clock)
    slurm = slurm_folder(environ, simulate is not None)
    pid = os.getpid() if found is None else found.pid
    for lack in rights.lacks(pid, slurm, Path(DEFAULT_SOCKET), simulate is not None) if pid else ():
        yield Finding("warn", f"agent: {lack.what}", lack.enable)


# Finding it


def _agent(environ: Mapping[str, str]) -> _Found | None:
    """The agent that a run of this user would announce itself to; else one that this user would have started."""
    found = listening(environ)
    if found is None:
        return None
    return _page(*found)


def _page(path: str, pid: int) -> _Found:
    """The agent at a socket, with what it shows where it serves.

    The addresses of another user's process cannot be seen: then it is the one that agents have by default.
    """
    door = Door(Limits(_PAGE_SECONDS, _PAGE_SECONDS, _MOST_BYTES), False)
    unread = ""
    for url in served_at(pid):
        try:
            node = json.loads(door.get(f"{url}/api/v1/node", {}).body)
        except FeedError as refusal:
            unread = unread or _why(refusal, url)
            continue
        except (ValueError, RecursionError):
            continue
        if isinstance(node, dict) and node.get("schema") == SCHEMA:
            return _Found(path, pid, url, node)
    return _Found(path, pid, unread=unread or "its page is not where this user can see")


def _why(refusal: FeedError, url: str) -> str:
    """Why a page was not shown to us; as `_HUNG` where nobody answered."""
    if isinstance(refusal, FeedLate):
        return _HUNG
    if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return "it has nothing to show yet"
    if refusal.status in _REFUSES:
        return "its page needs a password or a certificate"
    return f"its page is not at {url}, or not for everybody"


# What is said of it


def _running(found: _Found, clock: Clock) -> Finding:
    who = described(found.pid, clock) if found.pid else "a process of another container"
    if found.unread == _HUNG:
        look = f"ps -o pid,stat,wchan {found.pid}" if found.pid else "look at its container"
        return Finding("warn", f"agent: {who} does not answer (stopped or hung)", look)
    if not found.node:
        return Finding("ok", f"agent: {who}; {found.unread}")
    gpus, runs = len(found.node["gpus"]), sum(run["ended"] is None for run in found.node["runs"])
    counted = f"{gpus} GPU{'' if gpus == 1 else 's'}, {runs} run{'' if runs == 1 else 's'}"
    return Finding("ok", f"agent: {who}, {counted}; metrics at {found.url}/metrics")


def _health(found: _Found, clock: Clock) -> Iterator[Finding]:
    """What the agent itself says does not go well."""
    if not found.node:
        return
    health = found.node["health"]
    yield from _passed_on(found, health, clock)
    if not health["journal_writable"]:
        yield Finding("fail", "agent: its journal is not being saved, and its counters live in memory", "df -h, df -i")
    for name in sorted(name for name, works in health["collectors"].items() if not works):
        yield Finding("warn", f"agent: {name} did not tell who holds which GPU", "look at the agent's log")
    if health["runs_hidden"]:
        yield Finding("warn", f"agent: {health['runs_hidden']} runs had no room", "costmeter agent --max-runs 1000")
    if health["runs_refused"]:
        told = f"agent: {health['runs_refused']} runs refused: their time is their user's"
        yield Finding("warn", told, "fewer runs of one user at a time: docs/agent.md, Limits")
    if health["last_reload_successful"] is False:
        yield Finding("warn", "agent: its settings were not loaded anew, the old ones hold", "costmeter config check")


def _passed_on(found: _Found, health: Mapping[str, Any], clock: Clock) -> Iterator[Finding]:
    """Whether anybody reads the metrics, or they are written. One that has just begun may not have been read yet."""
    read_seconds, lived_seconds = _ago_seconds(health.get("last_scrape"), clock), up_seconds(found.pid, clock)
    written_seconds, folder = _ago_seconds(health.get("last_written"), clock), health.get("written_to")
    if folder and written_seconds < SCRAPED_SECONDS:
        yield Finding("ok", f"agent: its metrics were written to {folder} {about(written_seconds)} ago")
    elif folder:
        yield Finding(
            "warn", f"agent: its metrics are not being written to {folder}", f"ls -ld {folder}; df -h {folder}"
        )
    if read_seconds < SCRAPED_SECONDS:
        yield Finding("ok", f"agent: its metrics were read {about(read_seconds)} ago")
    elif not folder and (lived_seconds is None or lived_seconds >= SCRAPED_SECONDS):
        target = f"{found.node['host']}:{found.url.rpartition(':')[2]}"
        text = f"agent: /metrics is not being scraped (no scrape in {about(SCRAPED_SECONDS)})"
        yield Finding("warn", text, f'prometheus.yml: static_configs: [{{targets: ["{target}"]}}]')


def _ago_seconds(stamp: str | None, clock: Clock) -> float:
    """How long ago an instant was; for ever where there was none."""
    if stamp is None:
        return float("inf")
    at_seconds = datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
    return max(0.0, clock.utc_ns() / NANOSECONDS_PER_SECOND - at_seconds)


def _places(environ: Mapping[str, str], is_simulated: bool) -> Iterator[Finding]:
    """Where an agent that this user starts would keep its state and listen for runs."""
    hung = Finding("warn", "agent: the disk of its state does not answer", "costmeter agent --state DIR")
    yield from within(_DISK_SECONDS, lambda: _state(environ, is_simulated), [hung])
    listens = socket_path(None, environ)
    make = f"sudo install -d -o {environ.get('USER') or os.getuid()} {SYSTEM_SOCKET.parent}"
    if listens is None:
        yield Finding("warn", "agent: there is no folder for the socket on which runs announce themselves", make)
    elif listens != SYSTEM_SOCKET and str(listens).startswith(environ.get("XDG_RUNTIME_DIR") or "\0"):
        text = f"agent: at {listens} only your own runs could announce themselves"
        yield Finding("warn", text, make)


def _state(environ: Mapping[str, str], is_simulated: bool) -> list[Finding]:
    state = state_folder(None, environ, is_simulated)
    found = [Finding("ok", f"agent: none runs here; one that you start keeps its state in {state}")]
    above = next((folder for folder in (state, *state.parents) if os.path.exists(folder)), state)
    if not os.access(above, os.W_OK | os.X_OK):
        found.append(Finding("warn", f"agent: {state} cannot be written by you", "costmeter agent --state DIR"))
    return found
