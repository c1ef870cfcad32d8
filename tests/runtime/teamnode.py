"""An agent's recorder on the node of the scenario `team`, whose processes are whose the scenario says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from costmeter.attribution.attribute import Told, attribute
from costmeter.runtime.agent.events import AtWork, Held
from costmeter.runtime.agent.script import script
from tests.runtime.heldnode import HeldNode, facts, held_node

TEAM = Path(__file__).parents[2] / "costmeter" / "sources" / "simulated" / "scenarios" / "team.yaml"


@contextmanager
def team_node() -> Iterator[HeldNode]:
    """At its beginning, on a manual clock; the processes use as much of the host as the scenario says, too."""
    with held_node(TEAM.read_text(encoding="utf-8")) as agent:
        agent.begin()
        gpus, told = agent.library.scenario.gpus, script(agent.library.scenario)
        computing = {gpu.uuid: [told.processes[each.pid] for each in gpu.processes] for gpu in gpus}
        cores = {gpu.uuid: sum(told.cores.get(each.pid, 0.0) for each in gpu.processes) for gpu in gpus}
        found = attribute(Told(agent.devices, users=told.users), computing)
        runs = {key: facts(run.holder) for key, run in found.runs.items()}
        now_ns = agent.clock.boottime_ns()
        agent.recorder.handle(Held(now_ns, found.by_device, runs))
        agent.recorder.handle(AtWork(now_ns, cores))
        yield agent
