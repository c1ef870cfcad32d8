"""The installed wrapper beside an agent's socket, and the examples that announce themselves."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from costmeter.ledger.identity import start_ticks
from costmeter.meter.progress import Progress
from tests.end_to_end.installed import COSTMETER, EXAMPLES, PATIENCE_SECONDS, PYTHON, eventually, own_home
from tests.runtime.announcer import Agent

RUN = "r-beside"
TELLS = """
import costmeter, os, sys, time
while not os.path.exists(os.environ["COSTMETER_NOTIFY"]):
    time.sleep(0.01)
costmeter.step(5, loss=0.5, of=9)
with costmeter.phase("eval"):
    sys.stdin.read()
"""


@pytest.fixture(name="home")
def _home() -> Iterator[dict[str, str]]:
    with own_home() as environment:
        path = Path(environment["XDG_RUNTIME_DIR"], "costmeter", "agent.sock")
        yield {**environment, "COSTMETER_RUN_ID": RUN, "COSTMETER_AGENT": str(path)}


@pytest.fixture(name="agent")
def _agent(home: dict[str, str]) -> Iterator[Agent]:
    with Agent(Path(home["COSTMETER_AGENT"]), is_simulated=True) as agent:
        assert agent.is_listening, agent.warned
        yield agent


def started(home: dict[str, str], command: list[str], *options: str) -> "subprocess.Popen[bytes]":
    argv = [COSTMETER, "run", "--simulate", "healthy", *options, "--", *command]
    return subprocess.Popen(argv, env=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_an_agent_knows_a_wrapped_run_by_name_devices_phase_and_end(home: dict[str, str], agent: Agent) -> None:
    """What was given on the command line, the GPUs of `--gpus`, what the job tells, and how it ended."""
    options = ["--name", "sft", "--label", "project=llm", "--gpus", "0,1"]
    run = started(home, [sys.executable, "-c", TELLS], *options)
    eventually(lambda: agent.the_run().phase or None, "the phase")
    eventually(lambda: agent.the_run().uuids, "the devices")
    known = agent.the_run()
    _, errors = run.communicate(b"", PATIENCE_SECONDS)
    gone = agent.wait_until_gone()

    assert (known.run, known.name, known.labels) == (RUN, "sft", {"project": "llm"})
    assert (known.uid, known.pid, known.phase) == (os.getuid(), run.pid, "eval")
    assert known.root_pid not in (0, run.pid)
    assert 2 == len(known.uuids or ())
    assert Progress(5, loss=0.5, of_steps=9, from_steps=5) in [each.progress for each in agent.told], agent.told
    assert (gone.key, gone.outcome, gone.exit_code) == ((os.getuid(), RUN), "ok", 0), errors.decode()


def test_who_serves_metrics_is_told_that_the_agent_does_too(home: dict[str, str], agent: Agent) -> None:
    """Both serve the run, under two names of meters; without --listen there is nothing to say."""
    argv = [COSTMETER, "run", "--simulate", "healthy", "--listen", "127.0.0.1:0", "--", "sleep", "60"]
    with subprocess.Popen(argv, env=home, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        line = next(line for line in run.stderr if "agent" in line)
        run.terminate()
        run.communicate(timeout=PATIENCE_SECONDS)
    assert 'costmeter: the agent of this node serves this run, too, with meter="agent"\n' == line
    quiet = started(home, ["true"])
    assert b"agent" not in quiet.communicate(timeout=PATIENCE_SECONDS)[1]


def test_a_run_that_is_stopped_says_so(home: dict[str, str], agent: Agent) -> None:
    """TERM is a preemption, to the agent as in the receipt."""
    run = started(home, ["sleep", "60"])
    eventually(lambda: agent.the_run().uuids, "the devices")
    run.terminate()
    run.communicate(timeout=PATIENCE_SECONDS)
    gone = agent.wait_until_gone()
    assert (gone.outcome, gone.signal) == ("preempted", signal.SIGTERM)


def test_a_wrapper_that_is_killed_leaves_its_run_until_the_command_ends(home: dict[str, str], agent: Agent) -> None:
    """The command goes on without its meter, and is the run still."""
    run = started(home, [*PYTHON, "-c", "import sys; sys.stdin.read()"])
    root = eventually(lambda: agent.the_run().root_pid or None, "the first process")
    run.kill()
    run.wait(PATIENCE_SECONDS)
    assert [RUN] == agent.runs
    assert run.stdin is not None
    run.stdin.close()
    assert "interrupted" == agent.wait_until_gone().outcome
    assert start_ticks(root) is None


@pytest.mark.parametrize(
    "variable", [pytest.param("off", id="off"), pytest.param("/nowhere/agent.sock", id="another-path")]
)
def test_a_run_is_not_announced_where_it_shall_not_be(home: dict[str, str], agent: Agent, variable: str) -> None:
    """COSTMETER_AGENT decides; the run is metered as ever, and the job sees the variable as it was."""
    run = started(home | {"COSTMETER_AGENT": variable}, ["printenv", "COSTMETER_AGENT"])
    out, errors = run.communicate(timeout=PATIENCE_SECONDS)
    assert f"{variable}\n".encode() == out
    assert b"exit 0" in errors
    assert [] == agent.posted


def test_an_agent_that_never_answers_keeps_no_run_from_ending(home: dict[str, str]) -> None:
    """One that is stopped, with room in its queue or none: the receipt is whole."""
    path = Path(home["XDG_RUNTIME_DIR"], "stuck.sock")
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.bind(str(path))
        stuck.listen(0)
        for _ in range(3):
            run = started(home | {"COSTMETER_AGENT": str(path)}, ["true"])
            _, errors = run.communicate(timeout=PATIENCE_SECONDS)
            assert b"exit 0" in errors


def test_of_the_ranks_of_a_step_one_meters_for_all(home: dict[str, str], agent: Agent) -> None:
    """Four ranks as srun starts them: all of them run, one receipt, one run, named after the step."""
    del home["COSTMETER_RUN_ID"]
    step = home | {"SLURM_JOB_ID": "123", "SLURM_STEP_ID": "0"}
    ranks = [started(step | {"SLURM_LOCALID": str(rank)}, ["echo", str(rank)]) for rank in range(4)]
    said = [rank.communicate(timeout=PATIENCE_SECONDS) for rank in ranks]
    gone = agent.wait_until_gone()
    assert [f"{rank}\n".encode() for rank in range(4)] == [out for out, _ in said]
    assert [b"slurm-123-0" in said[0][1], *[errors == b"" for _, errors in said[1:]]] == [True] * 4
    assert (gone.key[1], gone.outcome) == ("slurm-123-0", "ok")
    assert ["slurm-123-0"] == os.listdir(Path(home["XDG_STATE_HOME"], "costmeter", "runs"))


@pytest.mark.parametrize("argv", [[sys.executable, str(EXAMPLES / "announce" / "announce.py")]], ids=["python"])
def test_any_program_can_announce_itself(home: dict[str, str], argv: list[str]) -> None:
    """The example does, tells of its steps, and says how it ended."""
    with Agent(Path(home["COSTMETER_AGENT"])) as agent:
        subprocess.run(argv, env=home, check=True, timeout=PATIENCE_SECONDS)
        gone = agent.wait_until_gone()
        assert ("ok", 0) == (gone.outcome, gone.exit_code)
        assert [3] == [each.progress.steps for each in agent.told][-1:]
