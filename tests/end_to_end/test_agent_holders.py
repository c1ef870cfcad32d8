"""Whose GPUs are while the agent is killed and started again, and of runs that begin or are announced twice."""

import contextlib
import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from costmeter.ledger.node.journal import node_paths
from costmeter.ledger.reading import all_records
from costmeter.ledger.record import SlotEntry
from costmeter.meter.slot import Slot
from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, eventually, own_home, uncovered
from tests.end_to_end.killable import GPU_TIME, KillableAgent
from tests.runtime.announcer import Announcer

RUN = "r-lives"
#: What eight GPUs do in a second and a half, seven ticks.
ENOUGH_SECONDS = 12.0


class Node:
    """An agent at work, and what it knows of holders."""

    def __init__(self, home: dict[str, str], folder: Path) -> None:
        self.home, self.socket = uncovered(home), folder / "run" / "agent.sock"
        self.agent = KillableAgent(self.home, folder)

    def json(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.agent.port}/api/v1/node", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def uuids(self) -> list[str]:
        return [gpu["uuid"] for gpu in self.json()["gpus"]]

    def held(self) -> int:
        """How many GPUs the run holds, by the page of JSON."""
        holders = (holder for gpu in self.json()["gpus"] for holder in gpu["holders"])
        return sum(holder["run"] == RUN for holder in holders)

    def run(self) -> dict[str, Any]:
        """What it shows of the run."""
        return next(run for run in self.json()["runs"] if run["run"] == RUN)

    def meter_a_while(self) -> None:
        """Let it read on."""
        before = self.agent.sum(GPU_TIME)
        eventually(lambda: self.agent.sum(GPU_TIME) >= before + ENOUGH_SECONDS or None, "more readings")

    def slots(self) -> list[Slot]:
        """All slots of its journals, in order."""
        paths = node_paths(self.agent.state / "node")
        return [each.slot for path in paths for each in all_records(path, []) if isinstance(each, SlotEntry)]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with own_home() as home:
        made = Node(home, tmp_path)
        made.agent.start()
        yield made
        made.agent.end()


@contextlib.contextmanager
def wrapped(node: Node) -> Iterator[None]:
    """A wrapped run on two GPUs; its wrapper connects again five seconds after it lost the agent."""
    environ = {**node.home, "COSTMETER_AGENT": str(node.socket), "COSTMETER_RUN_ID": RUN}
    argv = [COSTMETER, "run", "-q", "--simulate", "healthy", "--gpus", "0,1", "--", "sleep", "600"]
    with subprocess.Popen(argv, env=environ) as run:
        try:
            yield
        finally:
            run.terminate()


@contextlib.contextmanager
def announced_once(node: Node) -> Iterator[None]:
    """A run that announces itself as documented for a shell, and cannot connect again."""
    with subprocess.Popen(["sleep", "600"]) as root, Announcer(node.socket) as peer:
        answer = peer.announce(RUN, pid=root.pid, gpus=node.uuids()[:2], simulated=True)
        assert answer == {"ok": True}
        peer.send(phase="train")
        try:
            yield
        finally:
            root.kill()


@pytest.mark.parametrize("announced", [wrapped, announced_once])
def test_a_living_run_keeps_its_gpus_over_restarts(
    node: Node, announced: Callable[[Node], AbstractContextManager[None]]
) -> None:
    """Neither the gap nor the time until its announcer is back, if ever, is nobody's: no slot, of either GPU."""
    with announced(node):
        eventually(lambda: node.held() == 2 or None, "two GPUs that are held")
        uuids = node.uuids()[:2]
        for _ in range(2):
            node.meter_a_while()
            node.agent.end()
            assert node.agent.start()
        node.meter_a_while()
        assert node.held() == 2
        node.agent.end()
    slots = node.slots()
    for uuid in uuids:
        runs = [[holder.run for holder in slot.holders.get(uuid, ())] for slot in slots]
        assert [] == [each for each in runs[runs.index([RUN]) :] if each != [RUN]]


def test_two_wrappers_of_one_run_hold_both_their_gpus_and_end_once(node: Node) -> None:
    """One id on two GPUs, a wrapper each: the run has both while both run; it ends with the last, as the worst."""
    environ = {**node.home, "COSTMETER_AGENT": str(node.socket), "COSTMETER_RUN_ID": RUN}
    argv = [COSTMETER, "run", "-q", "--simulate", "healthy", "--gpus"]
    with subprocess.Popen([*argv, "0", "--", "sleep", "600"], env=environ) as older:
        eventually(lambda: node.held() == 1 or None, "one GPU that is held")
        with subprocess.Popen([*argv, "1", "--", "sh", "-c", "read line; exit 3"], env=environ, stdin=-1) as newer:
            eventually(lambda: node.held() == 2 or None, "two GPUs that are held")
            node.meter_a_while()
            assert node.held() == 2
            newer.communicate(b"\n", PATIENCE_SECONDS)
        eventually(lambda: node.held() == 1 or None, "the older one's GPU alone")
        assert node.run()["ended"] is None
        older.terminate()
    eventually(lambda: node.run()["ended"], "the run's end")
    assert "failed" == node.run()["outcome"]
