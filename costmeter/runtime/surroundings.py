"""What `doctor` says of what a run stands in: the clock's synchronisation, disk space, port, Slurm, Kubernetes."""

import ctypes
import errno
import os
import shutil
import socket
from collections.abc import Iterator, Mapping

from costmeter.attribution import allocation
from costmeter.attribution.visible import VARIABLE
from costmeter.clock import RealClock
from costmeter.config import flags
from costmeter.ledger.journal import state_directory
from costmeter.runtime.agent.lock import AGENT, described
from costmeter.runtime.finding import Finding
from costmeter.runtime.portholder import listener

#: Where `--listen` serves by default.
HOST, PORT = flags.LOOPBACK, flags.PORT
#: A journal needs at most 1 MB a day; less than this is not worth beginning with.
FEW_BYTES = 50_000_000
#: What adjtimex(2) returns for a clock that nothing keeps right.
_UNSYNCHRONISED = 5
#: The kernel's `struct timex` has 208 bytes on 64-bit machines; all zero, it only asks.
_TIMEX_BYTES = 512


def surroundings(environ: Mapping[str, str]) -> Iterator[Finding]:
    """One finding for each thing there is something to say of."""
    yield from _synchronised()
    yield from _space(environ)
    yield _port()
    yield from _scheduler(environ)


def _synchronised() -> Iterator[Finding]:
    """Whether the kernel takes the clock for right. A container may not be allowed to ask."""
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (AttributeError, OSError):
        return
    if answer == _UNSYNCHRONISED:
        text = "the kernel says that nothing keeps the clock right; tariff hours and dates follow it"
        yield Finding("warn", text, "timedatectl set-ntp true (on the host, where this is a container)")
    elif answer >= 0:
        yield Finding("ok", "the clock is kept right (NTP)")


def _space(environ: Mapping[str, str]) -> Iterator[Finding]:
    folder = state_directory(dict(environ))
    while not os.path.exists(folder) and folder != folder.parent:  # Path.exists() raises for what it may not see
        folder = folder.parent
    try:
        free_bytes = shutil.disk_usage(folder).free
    except OSError:
        return  # the check of the state directory says so
    if free_bytes < FEW_BYTES:
        text = f"{free_bytes / 1e6:.0f} MB are free below {folder}; a run needs up to 1 MB a day"
        yield Finding("warn", text, f"df -h {folder}")


def _port() -> Finding:
    """Whether `--listen` can have its default port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, PORT))
        except OSError as refusal:
            holder = listener(PORT)
            if holder is not None and AGENT in described(holder, RealClock()):
                return Finding("ok", f"port {PORT} is the agent's; --listen takes a free one then")
            why = "is in use" if refusal.errno == errno.EADDRINUSE else (refusal.strerror or str(refusal))
            return Finding("warn", f"port {PORT} {why}; --listen takes a free one then", f"ss -ltnp sport = :{PORT}")
    return Finding("ok", f"port {PORT} is free for --listen")


def _scheduler(environ: Mapping[str, str]) -> Iterator[Finding]:
    """A job of a scheduler holds some of the node's GPUs, which only its variables say."""
    for name, variable in (("Slurm job", "SLURM_JOB_ID"), ("Kubernetes pod", "KUBERNETES_SERVICE_HOST")):
        if not environ.get(variable):
            continue
        which = f"{name} {environ[variable]}" if name.startswith("Slurm") else name
        told, allocated = environ.get(VARIABLE), allocation.allocated(environ)
        if told is None and allocated is not None:
            yield Finding("ok", f"{which}: holds {allocated.variable}={environ[allocated.variable]}")
        elif told is None and name.startswith("Slurm"):
            text = f"{which}: {VARIABLE} is not set, so every GPU of the node counts as held"
            yield Finding("warn", text, "sbatch --gpus=N …, or costmeter run --gpus LIST")
        elif told is None:
            yield Finding("ok", f"{which}: the GPUs that the pod sees are the ones it holds")
        else:
            yield Finding("ok", f"{which}: holds {VARIABLE}={told}")
