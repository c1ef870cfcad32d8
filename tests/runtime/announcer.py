"""A socket of an agent as these tests use it: a server, what it posted, and people who talk to it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from costmeter.attribution.announcement import Announcement
from costmeter.clock import RealClock
from costmeter.ledger.identity import start_ticks
from costmeter.runtime.agent.announcedruns import Posted
from costmeter.runtime.agent.announceserver import AnnounceServer
from costmeter.runtime.agent.events import RunGone, RunTold
from tests.end_to_end.installed import PATIENCE_SECONDS, eventually


class Agent:
    """A server at a path, in this process."""

    def __init__(self, path: Path, is_simulated: bool = False) -> None:
        self.path = path
        self.posted: list[Posted] = []
        self.warned: list[str] = []
        self.changes = 0
        self.server = AnnounceServer(
            str(path), RealClock(), self.posted.append, self._count, self.warned.append, is_simulated
        )
        self.is_listening = self.server.start()

    def _count(self) -> None:
        self.changes += 1

    def __enter__(self) -> "Agent":
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.server.close(10)

    @property
    def runs(self) -> list[str]:
        """What is announced."""
        return [each.run for each in self.server.announcements()]

    @property
    def gone(self) -> list[RunGone]:
        """The runs that are over."""
        return [each for each in list(self.posted) if isinstance(each, RunGone)]

    @property
    def told(self) -> list[RunTold]:
        """What was told of progress."""
        return [each for each in list(self.posted) if isinstance(each, RunTold)]

    def the_run(self) -> Announcement:
        """The one run that is announced; waits for it."""
        return eventually(lambda: next(iter(self.server.announcements()), None), "an announcement")

    def wait_until_gone(self) -> RunGone:
        """The first run that is over; waits for it."""
        return eventually(lambda: next(iter(self.gone), None), "the end of a run")


class Announcer:
    """Somebody who talks to an agent, line by line."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(path))  # waits where so many do that there is a queue
        self.socket.settimeout(PATIENCE_SECONDS)

    def __enter__(self) -> "Announcer":
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    def send(self, **said: Any) -> None:
        """Say something."""
        self.socket.sendall(json.dumps(said).encode() + b"\n")

    def answer(self) -> dict[str, Any]:
        """The next line that the agent says; empty when it hangs up."""
        line = b""
        while not line.endswith(b"\n"):
            part = self.socket.recv(1)
            if not part:
                return {}
            line += part
        answer: dict[str, Any] = json.loads(line)
        return answer

    def announce(self, run: str = "r-1", **said: Any) -> dict[str, Any]:
        """Greet, and hear what is answered."""
        self.send(**({"costmeter": "announce/1", "run": run} | said))
        return self.answer()


def me() -> dict[str, Any]:
    """This process as a run's first one."""
    ticks = start_ticks(os.getpid())
    assert ticks is not None
    return {"pid": os.getpid(), "start_ticks": ticks}


class Sleeper:
    """A process that does nothing until it is killed."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])

    def __enter__(self) -> dict[str, Any]:
        """The process as a run's first one."""
        return {"pid": self.process.pid, "start_ticks": start_ticks(self.process.pid) or 0}

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """Kill and reap it."""
        self.process.kill()
        self.process.wait()
