"""Where the agent of this node is: at the socket that runs announce themselves to, and from there its pages."""

import socket
from collections.abc import Mapping

from costmeter.runtime.agent.peer import peer
from costmeter.runtime.agent.places import socket_path
from costmeter.runtime.announcing import sockets
from costmeter.runtime.portholder import addresses
from costmeter.runtime.surroundings import HOST, PORT

_CONNECT_SECONDS = 1.0


def listening(environ: Mapping[str, str]) -> tuple[str, int] | None:
    """Socket and process of the agent that a run of this user would announce itself to; else of one of this user's own.

    The process is 0 where it is in another pid namespace.
    """
    own = socket_path(None, environ)
    for path in dict.fromkeys([*sockets(environ), *([] if own is None else [str(own)])]):
        pid = _listener(path)
        if pid is not None:
            return path, pid
    return None


def served_at(pid: int) -> list[str]:
    """The URLs of an agent. The default one, where those of another user's process cannot be seen."""
    return [f"http://{host}:{port}" for host, port in addresses(pid) or [(HOST, PORT)]]


def urls(environ: Mapping[str, str]) -> list[str]:
    """Where to look for this node's agent, the likeliest first."""
    found = listening(environ)
    return list(dict.fromkeys([*(served_at(found[1]) if found else ()), f"http://{HOST}:{PORT}"]))


def _listener(path: str) -> int | None:
    """The process that listens at a socket; None where none does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_CONNECT_SECONDS)
        try:
            asking.connect(path)
            return peer(asking)[0]
        except (OSError, ValueError):
            return None
