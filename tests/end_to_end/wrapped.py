"""Starting commands under a wrapper, or without one for comparison, and the small programs they run."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, PYTHON

DRIVER = str(Path(__file__).parents[1] / "runtime" / "wrapper_driver.py")
WRAPPERS = {
    "driver": [sys.executable, DRIVER],
    "installed": [COSTMETER, "run", "--simulate", "healthy", "--quiet"],
}

# Names every signal it catches, once per delivery, on stdout or in a file. It says first who it and its parent are, and
# ends with code 7 at SIGWINCH: that has a higher number than the rest, so a wrapper passes on all others before it.
RECORDER = """
import os, signal, sys
out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT) if sys.argv[1:] else 1
heard, told = os.pipe()
os.set_blocking(told, False)
signal.set_wakeup_fd(told)
for name in "INT TERM HUP USR1 USR2 QUIT CONT WINCH".split():
    number = getattr(signal, "SIG" + name)
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, lambda number, frame: None)
os.write(out, f"ready {os.getpid()} {os.getppid()}\\n".encode())
while True:
    for number in sorted(os.read(heard, 64)):  # of two that came at once the later one's handler ran first
        os.write(out, (signal.Signals(number).name + "\\n").encode())
        if number == signal.SIGWINCH:
            sys.exit(7)
"""
RECORD = [*PYTHON, "-c", RECORDER]


@dataclass
class Wrapper:
    """One way to run a command under the meter, and the environment to do it in."""

    base: list[str]
    environ: dict[str, str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def around(self, command: list[str], *options: str) -> list[str]:
        """The whole command line."""
        return [*self.base, *options, "--", *command]

    def start(self, command: list[str], *options: str, **how: Any) -> subprocess.Popen[bytes]:
        """Start a command under the wrapper in a session of its own, its output in a pipe unless told otherwise."""
        return self.start_bare(self.around(command, *options), **how)

    def start_bare(self, command: list[str], **how: Any) -> subprocess.Popen[bytes]:
        """Start a command as it is, in the same way."""
        settings = {"env": self.environ, "stdout": subprocess.PIPE, "start_new_session": True, **how}
        process: subprocess.Popen[bytes] = subprocess.Popen(command, **settings)
        self.started.append(process)
        return process

    def both(self, command: list[str], **how: Any) -> tuple[bytes, bytes]:
        """What a command prints under the wrapper, and what it prints under env(1), which only execs."""
        wrapped, _ = self.start(command, **how).communicate(timeout=PATIENCE_SECONDS)
        bare, _ = self.start_bare(["env", *command], **how).communicate(timeout=PATIENCE_SECONDS)
        return wrapped, bare


def read_line(process: subprocess.Popen[bytes]) -> str:
    """The next line of a process's output, unbuffered so that nothing is swallowed; fails when it does not come."""
    assert process.stdout is not None
    descriptor, line = process.stdout.fileno(), b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], PATIENCE_SECONDS)
        assert ready, f"no line came; so far {line!r}"
        part = os.read(descriptor, 1)
        if not part:
            break
        line += part
    return line.decode().rstrip("\n")


def read_ready(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """The pids of the recorder and of its parent."""
    word, pid, parent = read_line(process).split()
    assert word == "ready"
    return int(pid), int(parent)


def rest(process: subprocess.Popen[bytes]) -> list[str]:
    """The remaining lines, once the process has ended."""
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return output.decode().splitlines()


def until(true: Callable[[], bool], what: str) -> None:
    """Look until something is so; a failure names what never came."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.005)


def state_of(pid: int) -> str:
    """The letter the kernel gives a process's state; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def children_of(pid: int) -> list[int]:
    """The pids of a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
