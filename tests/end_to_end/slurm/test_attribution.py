"""Real Slurm jobs on one node: which of its GPUs are whose, by their prolog and by their processes."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from costmeter.clock import RealClock, anchor
from costmeter.config import yamlfile
from costmeter.ledger.node.record import RunFacts
from costmeter.runtime.agent.attributor import Attributor, Places
from costmeter.runtime.agent.events import AtWork, Held, RunGone
from costmeter.sources.nvml import NvmlSource
from costmeter.sources.simulated.opening import open_library
from tests.end_to_end.computing import places, using
from tests.end_to_end.installed import eventually
from tests.end_to_end.slurm import node as slurm
from tests.end_to_end.slurm.node import OTHER_USER, SlurmNode

ABSENT = slurm.absent()
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=ABSENT)

QUIET = """
devices:
  - {name: NVIDIA H100 80GB HBM3, count: 4, power_limit: 700 W, idle_power: 70 W, memory: 80 GiB}
"""


@pytest.fixture(scope="module")
def node() -> Iterator[SlurmNode]:
    """One Slurm for all tests of this file."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        Path(folder).chmod(0o755)
        with slurm.slurm_node(Path(folder)) as running:
            yield running


class Watched:
    """What the attributor says of four simulated GPUs."""

    def __init__(self, node: SlurmNode, folder: Path) -> None:
        environ = {"XDG_RUNTIME_DIR": str(folder / "run")}
        (folder / "run").mkdir()
        self.folder = places(environ, 4)
        os.environ.update(environ)  # the fixture takes it back
        scenario = folder / "quiet.yaml"
        scenario.write_text(QUIET)
        self.clock = RealClock()
        self.source = NvmlSource(self.clock, open_library(str(scenario), yamlfile.load, self.clock))
        self.devices = self.source.open()
        self.said: list[Held | RunGone | AtWork] = []
        self.warned: list[str] = []
        started = anchor(self.clock)
        self.attributor = Attributor(
            self.clock, lambda: started, self.said.append, lambda: (), Places(str(node.jobs)), self.warned.append
        )
        self.attributor.hold(self.devices)
        self.attributor.start()

    def holders(self) -> list[str]:
        """By index: `run user source` of the holders, as of the driver's lists of now."""
        lists = {device.uuid: self.source.processes(device.uuid) for device in self.devices}
        self.attributor.see(lists, self.clock.boottime_ns())
        held = self.last()
        shown = [held.by_device.get(device.uuid, ()) for device in self.devices]
        return [", ".join(f"{each.run} {each.user} {each.source}" for each in holders) for holders in shown]

    def last(self) -> Held:
        return eventually(lambda: next((e for e in reversed(self.said) if isinstance(e, Held)), None), "a first look")

    def until(self, expected: list[str]) -> dict[str, RunFacts]:
        """Wait until the holders are these; returns the facts of the runs, by run."""
        seen: list[list[str]] = []

        def look() -> bool | None:
            seen.append(self.holders())
            return seen[-1] == expected or None

        try:
            eventually(look, "the holders")
        except AssertionError:
            assert seen[-1] == expected
        return {facts.run: facts for facts in self.last().runs.values()}


@pytest.fixture
def watched(node: SlurmNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """A node of four GPUs whose holders are watched."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    with tempfile.TemporaryDirectory(prefix="node-") as folder:
        watching = Watched(node, Path(folder))
        yield watching
        watching.attributor.end()
        watching.source.close()


def test_a_job_holds_its_gpus_from_prolog_to_epilog(node: SlurmNode, watched: Watched) -> None:
    """A job that computes on one of its two GPUs, as another user: both are its, by number and user; then nobody's."""
    job = node.submit(f"{using(watched.folder, 0)}; exec sleep 600", gpus=2)
    held = f"slurm-{job} {OTHER_USER} slurm"
    runs = watched.until([held, held, "", ""])

    assert (str(job), OTHER_USER) == (runs[f"slurm-{job}"].job, runs[f"slurm-{job}"].user)
    node.cancel(job)
    watched.until(["", "", "", ""])
    assert [] == watched.warned


def test_two_jobs_are_two_runs(node: SlurmNode, watched: Watched) -> None:
    """Jobs of two users on one node hold each its own GPU, whoever of them computes."""
    first = node.submit("exec sleep 600")
    second = node.submit(f"{using(watched.folder, 1)}; exec sleep 600", user="root")

    runs = watched.until([f"slurm-{first} {OTHER_USER} slurm", f"slurm-{second} root slurm", "", ""])
    assert {f"slurm-{first}": (str(first), OTHER_USER), f"slurm-{second}": (str(second), "root")} == {
        run: (of.job, of.user) for run, of in runs.items()
    }
    node.cancel(first)
    node.cancel(second)


def test_a_step_is_a_run_of_its_own(node: SlurmNode, watched: Watched) -> None:
    """What srun starts is found by the slurmstepd above it, with the number of its step."""
    job = node.submit(f"srun --overlap --gres=gpu:1 sh -c '{using(watched.folder, 0)}; exec sleep 600'")

    runs = watched.until([f"slurm-{job}-0 {OTHER_USER} slurm", "", "", ""])
    of = runs[f"slurm-{job}-0"]
    assert (str(job), OTHER_USER, True) == (of.job, of.user, of.pid > 0)
    node.cancel(job)


def test_without_a_prolog_the_processes_tell(node: SlurmNode, watched: Watched) -> None:
    """A job that took a GPU it was not given: the one given stays its own, and the other is the job's, too."""
    job = node.submit(f"{using(watched.folder, 3)}; exec sleep 600")
    held = f"slurm-{job} {OTHER_USER} slurm"

    runs = watched.until([held, "", "", held])
    assert [(f"slurm-{job}", str(job))] == [(run, of.job) for run, of in runs.items()]
    node.cancel(job)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param("export SLURM_JOB_ACCOUNT=nlp-2", '{project: "nlp-2"}', id="the-account-is-the-project"),
        pytest.param("export SLURM_JOB_ACCOUNT=nlp COSTMETER_LABELS='{team: a}'", "{team: a}", id="own-labels-stay"),
        pytest.param("export SLURM_JOB_ACCOUNT='a\"}; x'", "none", id="no-name-of-an-account"),
        pytest.param(":", "none", id="no-account"),
    ],
)
def test_a_task_is_labelled_by_its_account(node: SlurmNode, command: str, expected: str) -> None:
    """The task prolog gives each task of a step its account as the label `project`, unless it has labels."""
    said_there = f"{node.folder}/out/labels-$SLURM_JOB_ID"
    step = f"srun --overlap sh -c 'echo \"${{COSTMETER_LABELS-none}}\" >{said_there}'"
    job = node.submit(f"{command}; {step}; exec sleep 600")
    told = node.folder / "out" / f"labels-{job}"

    said = eventually(lambda: (told.exists() and told.read_text().strip()) or None, f"a label\n{node.log()}")

    node.cancel(job)
    assert expected == said
