"""What `doctor` says of the node's agent: whether one runs here, is read and is saved, and what it does not see."""

import json
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from costmeter.attribution.kubelet import DEFAULT_SOCKET
from costmeter.clock import Clock
from costmeter.feeds.http import Door, FeedError, Limits
from costmeter.ledger.identity import start_ticks
from costmeter.outputs.figures import about
from costmeter.runtime import rights
from costmeter.runtime.agentlock import described
from costmeter.runtime.agentplaces import SLURM_FOLDER, socket_path, state_folder
from costmeter.runtime.announcing import SYSTEM_SOCKET, sockets
from costmeter.runtime.finding import Finding
from costmeter.runtime.patience import within
from costmeter.runtime.portholder import addresses
from costmeter.runtime.surroundings import HOST, PORT
from costmeter.units import NANOSECONDS_PER_SECOND

#: Prometheus reads every 15 s to 1 min where nobody says otherwise; this long without is no accident.
SCRAPED_SECONDS = 600
_CONNECT_SECONDS, _DISK_SECONDS, _PAGE_SECONDS, _MOST_BYTES = 1.0, 1.0, 3.0, 64 * 2**20
_CREDENTIALS = struct.Struct("iII")


@dataclass(frozen=True, slots=True)
class _Found:
    """An agent that listens at a socket. `pid` is 0 where it is in another pid namespace; `node` is empty unread."""

    path: str
    pid: int
    url: str = ""
    node: Mapping[str, Any] = field(default_factory=dict)


def findings(environ: Mapping[str, str], clock: Clock, simulate: str | None) -> Iterator[Finding]:
    """One finding for each thing there is something to say of."""
    found = _agent(environ)
    if found is None:
        yield from _places(environ, simulate is not None)
    else:
        yield _running(found, clock)
        yield from _health(found, clock)
    path = socket_path(None, environ) if found is None else Path(found.path)
    slurm = None if path is None else path.parent / SLURM_FOLDER
    pid = os.getpid() if found is None else found.pid
    for lack in rights.lacks(pid, slurm, Path(DEFAULT_SOCKET), simulate is not None) if pid else ():
        yield Finding("warn", f"agent: {lack.what}", lack.enable)


# Finding it


def _agent(environ: Mapping[str, str]) -> _Found | None:
    """The agent that a run of this user would announce itself to; else one that this user would have started."""
    own = socket_path(None, environ)
    for path in dict.fromkeys([*sockets(environ), *([] if own is None else [str(own)])]):
        pid = _listener(path)
        if pid is not None:
            url, node = _page(pid)
            return _Found(path, pid, url, node)
    return None


def _listener(path: str) -> int | None:
    """The process that listens at a socket; None where none does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_CONNECT_SECONDS)
        try:
            asking.connect(path)
            credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except (OSError, ValueError):
            return None
    pid: int = _CREDENTIALS.unpack(credentials)[0]
    return pid


def _page(pid: int) -> tuple[str, Mapping[str, Any]]:
    """Where the agent serves, and what it shows there; both empty where we are not shown it.

    The addresses of another user's process cannot be seen: then it is the one that agents have by default.
    """
    door = Door(Limits(_PAGE_SECONDS, _PAGE_SECONDS, _MOST_BYTES), False)
    for host, port in addresses(pid) or [(HOST, PORT)]:
        url = f"http://{host}:{port}"
        try:
            node = json.loads(door.get(f"{url}/api/v1/node", {}).body)
        except (FeedError, ValueError, RecursionError):
            continue
        if isinstance(node, dict) and str(node.get("schema")) == "costmeter.node/1":
            return url, node
    return "", {}


# What is said of it


def _running(found: _Found, clock: Clock) -> Finding:
    who = described(found.pid, clock) if found.pid else "a process of another container"
    if not found.node:
        return Finding("ok", f"agent: {who}; its page needs a password or a certificate, or has nothing on it yet")
    gpus, runs = len(found.node["gpus"]), sum(run["ended"] is None for run in found.node["runs"])
    counted = f"{gpus} GPU{'' if gpus == 1 else 's'}, {runs} run{'' if runs == 1 else 's'}"
    return Finding("ok", f"agent: {who}, {counted}; metrics at {found.url}/metrics")


def _health(found: _Found, clock: Clock) -> Iterator[Finding]:
    """What the agent itself says does not go well."""
    if not found.node:
        return
    health = found.node["health"]
    yield from _scraped(found, health.get("last_scrape"), clock)
    if not health["journal_writable"]:
        yield Finding("fail", "agent: its journal is not being saved, and its counters live in memory", "df -h, df -i")
    for name in sorted(name for name, works in health["collectors"].items() if not works):
        yield Finding("warn", f"agent: {name} did not tell who holds which GPU", "look at the agent's log")
    if health["runs_dropped"]:
        yield Finding("warn", f"agent: {health['runs_dropped']} runs had no room", "costmeter agent --max-runs 1000")
    if health["last_reload_successful"] is False:
        yield Finding("warn", "agent: its settings were not loaded anew, the old ones hold", "costmeter config check")


def _scraped(found: _Found, last: str | None, clock: Clock) -> Iterator[Finding]:
    """Whether anybody reads the metrics. An agent that has just begun may not have been read yet."""
    now_seconds = clock.utc_ns() / NANOSECONDS_PER_SECOND
    ago_seconds = None if last is None else max(0.0, now_seconds - _seconds(last))
    if ago_seconds is not None and ago_seconds < SCRAPED_SECONDS:
        yield Finding("ok", f"agent: its metrics were read {about(ago_seconds)} ago")
    elif _up_seconds(found.pid, clock) >= SCRAPED_SECONDS:
        target = f"{found.node['host']}:{found.url.rpartition(':')[2]}"
        text = f"agent: /metrics is not being scraped (no scrape in {about(SCRAPED_SECONDS)})"
        yield Finding("warn", text, f'prometheus.yml: static_configs: [{{targets: ["{target}"]}}]')


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def _up_seconds(pid: int, clock: Clock) -> float:
    """How long a process has lived; for ever where it is not seen."""
    ticks = start_ticks(pid)
    if ticks is None:
        return float("inf")
    return clock.boottime_ns() / NANOSECONDS_PER_SECOND - ticks / os.sysconf("SC_CLK_TCK")


def _places(environ: Mapping[str, str], is_simulated: bool) -> Iterator[Finding]:
    """Where an agent that this user starts would keep its state and listen for runs."""
    hung = Finding("warn", "agent: the disk of its state does not answer", "costmeter agent --state DIR")
    yield from within(_DISK_SECONDS, lambda: _state(environ, is_simulated), [hung])
    listens = socket_path(None, environ)
    make = f"sudo install -d -o {environ.get('USER') or os.getuid()} {Path(SYSTEM_SOCKET).parent}"
    if listens is None:
        yield Finding("warn", "agent: there is no folder for the socket on which runs announce themselves", make)
    elif str(listens) != SYSTEM_SOCKET and str(listens).startswith(environ.get("XDG_RUNTIME_DIR") or "\0"):
        text = f"agent: at {listens} only your own runs could announce themselves"
        yield Finding("warn", text, make)


def _state(environ: Mapping[str, str], is_simulated: bool) -> list[Finding]:
    state = state_folder(None, environ, is_simulated)
    found = [Finding("ok", f"agent: none runs here; one that you start keeps its state in {state}")]
    above = next((folder for folder in (state, *state.parents) if os.path.exists(folder)), state)
    if not os.access(above, os.W_OK | os.X_OK):
        found.append(Finding("warn", f"agent: {state} cannot be written by you", "costmeter agent --state DIR"))
    return found
