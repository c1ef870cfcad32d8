"""Runs that are over before an agent has looked: each is counted once, as it ended, and none lives on."""

import json
import socket
import subprocess
from pathlib import Path

import pytest

from costmeter.ledger.node.journal import fold_node_path, node_paths
from tests.end_to_end.agents import StartedAgent, agent
from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, eventually, own_home

#: As many as a user may announce at once are more.
MANY = 40


def has_ended(started: StartedAgent, count: int) -> dict[str, int]:
    """The runs that ended by outcome, once there are so many."""

    def found() -> dict[str, int] | None:
        ended: dict[str, int] = started.node["totals"]["ended"]
        return ended if sum(ended.values()) >= count else None

    return eventually(found, f"the end of {count} runs")


def active(started: StartedAgent) -> list[str]:
    """The runs that it takes to be there."""
    return [run["run"] for run in started.node["runs"] if run["ended"] is None]


def test_runs_that_greet_and_end_at_once_are_all_counted(tmp_path: Path) -> None:
    """Forty programs say hello and goodbye in one breath: forty failed, in the journal and on the page, none active."""
    with own_home() as home, agent(tmp_path, home) as started:
        assert started.node["gpus"]
        said = []
        for number in range(MANY):
            greeting = {"costmeter": "announce/1", "run": f"r-{number}", "simulated": True}
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(tmp_path / "agent.sock"))
            lines = (greeting, {"end": {"outcome": "failed", "exit_code": 1}})
            connection.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
            said.append(connection)
        assert {"failed": MANY} == has_ended(started, MANY)
        assert [] == active(started)
        assert {f"r-{number}" for number in range(MANY)} == {run["run"] for run in started.node["runs"]}
        for connection in said:
            connection.close()
        assert 0 == started.stop()
    [path] = node_paths(tmp_path / "state" / "node")
    part = fold_node_path(path)
    assert ({"failed": MANY}, MANY) == (part.ended, len(part.accounts))
    assert all(account.ended is not None for account in part.accounts.values())


@pytest.mark.parametrize("command", [["false"], ["sh", "-c", "sleep 0.3; exit 3"]], ids=["at-once", "soon"])
def test_wrapped_runs_that_fail_at_once_are_counted(tmp_path: Path, command: list[str]) -> None:
    """Three commands that are over before anybody looks: three have failed, and none is there any more."""
    with own_home() as home, agent(tmp_path, home) as started:
        assert started.node["gpus"]
        environ = home | {"COSTMETER_AGENT": str(tmp_path / "agent.sock")}
        argv = [COSTMETER, "run", "-q", "--simulate", "healthy", "--", *command]
        for _ in range(3):
            assert subprocess.run(argv, env=environ, check=False, timeout=PATIENCE_SECONDS).returncode in (1, 3)
        assert {"failed": 3} == has_ended(started, 3)
        assert [] == active(started)


def test_an_agent_that_comes_shortly_before_a_runs_end_hears_of_it(tmp_path: Path) -> None:
    """There was none when the run began, and the next look for one would be after its end."""
    with own_home() as home:
        environ = home | {"COSTMETER_AGENT": str(tmp_path / "agent.sock")}
        argv = [COSTMETER, "run", "-q", "--simulate", "healthy", "--", "sh", "-c", "read line; exit 3"]
        with subprocess.Popen(argv, env=environ, stdin=subprocess.PIPE) as run:
            eventually(lambda: list(Path(home["XDG_STATE_HOME"]).glob("costmeter/runs/*/*.jsonl")), "the run's journal")
            with agent(tmp_path, home) as started:
                assert started.node["gpus"]
                run.communicate(b"\n", PATIENCE_SECONDS)
                assert {"failed": 1} == has_ended(started, 1)
                assert [] == active(started)
