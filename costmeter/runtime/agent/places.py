"""Where an agent keeps its state and listens for runs: what was asked for, else what the system gave it, else its own.

A wrapper looks where agents listen that were told nothing, so that the two meet without being told of each other.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from costmeter.ledger.journal import state_directory

STATE, RUNTIME = Path("/var/lib/costmeter"), Path("/run/costmeter")
SOCKET_NAME = "agent.sock"
#: Where agents listen that are set up as the documentation has it.
SYSTEM_SOCKET = RUNTIME / SOCKET_NAME
#: Where a prolog leaves what Slurm allocated, as root: not in RUNTIME, which is the agent's own, so that its user could
#: put a link where root is about to write. The variable names another place to the prolog and to the agent.
SLURM, SLURM_VARIABLE = Path("/run/costmeter-slurm"), "COSTMETER_SLURM_FOLDER"
#: Where what is said of simulated GPUs is kept apart.
SIMULATED = "simulated"
#: Names the agent's socket to the agent and to wrappers; or says that wrappers shall look for none.
VARIABLE, OFF = "COSTMETER_AGENT", "off"


def state_folder(asked: str | None, environ: Mapping[str, str], is_simulated: bool = False) -> Path:
    """`asked`, else systemd's $STATE_DIRECTORY, else /var/lib/costmeter where that is ours, else the user's own.

    Where nobody asked, simulated GPUs have a folder of their own, in the user's state where there is no other: what a
    demonstration on a node seems to cost is not what the node has cost.
    """
    if asked:
        return Path(asked)
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if is_simulated:
        return (Path(given) if given else state_directory(dict(environ))) / SIMULATED
    if given:
        return Path(given)
    return STATE if _may_write(STATE) else state_directory(dict(environ))


def runtime_folder(socket: Path | None, is_simulated: bool) -> Path | None:
    """Where an agent says what it showed beyond its journal, beside its socket; of simulated GPUs, apart."""
    if socket is None:
        return None
    return socket.parent / SIMULATED if is_simulated else socket.parent


def slurm_folder(environ: Mapping[str, str], is_simulated: bool) -> Path | None:
    """Where the prolog tells of jobs; None for simulated GPUs, which Slurm gives nobody, unless asked for."""
    given = environ.get(SLURM_VARIABLE, "")
    if given:
        return Path(given)
    return None if is_simulated else SLURM


def socket_path(asked: str | None, environ: Mapping[str, str]) -> Path | None:
    """`asked`, else $COSTMETER_AGENT, else in systemd's $RUNTIME_DIRECTORY, /run/costmeter or $XDG_RUNTIME_DIR.

    None where there is no folder for it. The variable is the one by which runs find their agent; where it says that
    they shall not, nothing is said of the agent.
    """
    told = environ.get(VARIABLE, "")
    given = asked or ("" if told.casefold() == OFF else told)
    if given:
        return Path(given)
    runtime = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if runtime:
        return Path(runtime, SOCKET_NAME)
    return RUNTIME / SOCKET_NAME if _may_write(RUNTIME) else user_socket(environ)


def user_socket(environ: Mapping[str, str]) -> Path | None:
    """Where an agent of this user's own listens; None where the system gave him no folder for it."""
    own = environ.get("XDG_RUNTIME_DIR", "")
    return Path(own, "costmeter", SOCKET_NAME) if os.path.isabs(own) else None


def _may_write(folder: Path) -> bool:
    """Whether a folder is there to be written to, or can be made."""
    return os.access(folder if folder.exists() else folder.parent, os.W_OK | os.X_OK)
