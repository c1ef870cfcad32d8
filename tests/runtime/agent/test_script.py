"""A scenario's processes as an agent sees them: whose they are, and how much of the host works for their GPUs."""

import os
from pathlib import Path
from zlib import crc32

import pytest

from costmeter.attribution.slurm import Step
from costmeter.config import yamlfile
from costmeter.errors import ConfigError
from costmeter.runtime.agent.atwork import HostWatch
from costmeter.runtime.agent.script import ScriptedProcesses, script, uid_of
from costmeter.sources.simulated.reader import scenario
from costmeter.sources.simulated.scenario import Scenario

SECOND = 1_000_000_000


def played(processes: str, count: int = 1) -> Scenario:
    """A node with these processes on every GPU."""
    text = f"""
devices:
  - {{name: A, power_limit: 400 W, idle_power: 60 W, memory: 80 GiB, count: {count}, processes: [{processes}]}}
"""
    return scenario(yamlfile.load(text, "test.yaml"), "test", "test.yaml")


def test_processes_have_the_owners_that_a_scenario_names() -> None:
    """A process is its user's; a run stands in its environment, a job is its Slurm step; real ones are seen beside."""
    told = script(
        played(
            "{pid: 5000001, user: maya, run: r-1, cores: 2.5}, {pid: 5000101, user: lee, job: 4711}, {pid: 5000201}", 2
        )
    )
    assert told.users == {uid_of("maya"): "maya", uid_of("lee"): "lee"}
    assert uid_of("maya") == 50_000 + crc32(b"maya") % 10_000
    assert told.cores == {5_000_001: 2.5, 5_000_002: 2.5}
    processes = ScriptedProcesses(told)
    seen = processes.look([5_000_001, 5_000_002, 5_000_101, 5_000_201, os.getpid()])
    assert seen.keys() == {5_000_001, 5_000_002, 5_000_101, os.getpid()}
    assert (seen[5_000_002].uid, seen[5_000_002].run, seen[5_000_002].step) == (uid_of("maya"), "r-1", None)
    assert (seen[5_000_101].uid, seen[5_000_101].run, seen[5_000_101].step) == (uid_of("lee"), "", Step(4711))
    assert seen[os.getpid()].uid == os.getuid()
    assert processes.without_played([5_000_001, os.getpid(), 5_000_201]) == (os.getpid(), 5_000_201)


def test_the_host_works_as_a_scenario_says() -> None:
    """Cores of all processes on a GPU are summed; who says nothing new is silent, and of others nothing is known."""
    told = script(played("{pid: 5000001, cores: 2.5}, {pid: 5000101, cores: 0.02}, {pid: 5000201, user: lee}"))
    watch = HostWatch(told.cores)
    listed = {"GPU-a": (5_000_001, 5_000_101), "GPU-b": (5_000_201,)}
    first = watch.look(listed, SECOND)
    assert first is not None
    assert (first.at_ns, first.cores) == (SECOND, {"GPU-a": 2.5})
    assert watch.look(listed, 2 * SECOND) is None
    gone = watch.look({"GPU-a": ()}, 3 * SECOND)
    assert gone is not None
    assert gone.cores == {}


@pytest.mark.parametrize(
    ("said", "process"),
    [
        pytest.param("a run is somebody's; add `user: NAME`", "{pid: 7, run: r-1}", id="a-run-of-nobody"),
        pytest.param("a job is somebody's; add `user: NAME`", "{pid: 7, job: 1}", id="a-job-of-nobody"),
        pytest.param("leave out `run` or `job`", "{pid: 7, user: lee, run: r-1, job: 1}", id="both"),
        pytest.param("`Lee` is not a user's name", "{pid: 7, user: Lee}", id="user"),
        pytest.param("`r/1` is not a run's name", "{pid: 7, user: lee, run: r/1}", id="run"),
        pytest.param("`..` is not a run's name", "{pid: 7, user: lee, run: ..}", id="dots"),
        pytest.param("`x` is not a whole number", "{pid: 7, user: lee, job: x}", id="job"),
        pytest.param("`-1` is not a number from 0 to 1,024", "{pid: 7, cores: -1}", id="cores"),
        pytest.param("`0.0001` is not a number from 0 to 1,024", "{pid: 7, cores: 0.0001}", id="fine-cores"),
        pytest.param("`2000` is not a number from 0 to 1,024", "{pid: 7, cores: 2000}", id="many-cores"),
        pytest.param("unknown key `usr`; did you mean `user`?", "{pid: 7, usr: lee}", id="misspelt"),
    ],
)
def test_a_wrong_owner_is_explained(said: str, process: str) -> None:
    """What is wrong is said with the place it stands at."""
    with pytest.raises(ConfigError) as refusal:
        played(process)
    [fault] = refusal.value.faults
    assert fault.startswith("test.yaml: devices[0].processes[0]")
    assert said in fault


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Faults of one process and of two come together."""
    with pytest.raises(ConfigError) as refusal:
        played("{pid: 7, user: Lee, run: .., cores: x}, {pid: 8, job: 0}")
    assert len(refusal.value.faults) == 5


def test_users_on_one_machine_are_told_apart() -> None:
    """The bundled scenarios' users have numbers of their own."""
    bundled = Path("costmeter/sources/simulated/scenarios").glob("*.yaml")
    users = {user for path in bundled for user in _users(path)}
    assert len({uid_of(user) for user in users}) == len(users) > 2


def _users(path: Path) -> set[str]:
    read = scenario(yamlfile.load(path.read_text(), path.name), path.stem, path.name)
    return set(script(read).users.values())


@pytest.mark.parametrize(("expected", "cores"), [(0.46, "0.46"), (0.4, "0.44"), (0.5, "0.5"), (0.5, "0.54")])
def test_steps_of_cores_do_not_put_a_host_to_work(expected: float, cores: str) -> None:
    """0.46 of a core is less than the half from which on a host is at work: it is not told as 0.5."""
    told = HostWatch({7: float(cores)}).look({"GPU-1": (7,)}, 1)
    assert told is not None
    assert {"GPU-1": expected} == told.cores
