"""The installed agent on scenarios whose processes have owners: who holds what, and why it is idle."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from costmeter.ledger.node.journal import node_paths
from costmeter.ledger.reading import all_records
from costmeter.ledger.record import SlotEntry
from costmeter.runtime.agent.script import uid_of
from tests.end_to_end.agents import StartedAgent, agent
from tests.end_to_end.installed import eventually, own_home

#: Two GPUs: one computes for one second in four, and what holds the other loaded a model and computes nothing.
SCENARIO = """
devices:
  - name: NVIDIA H100 80GB HBM3
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    load:
      repeat:
        - {shape: constant, for: 1 s, power: 600 W, utilization: 100 %}
        - {shape: constant, for: 3 s, power: 120 W, utilization: 0 %}
    processes:
      - {pid: 5000001, memory: 40 GiB, user: maya, run: r-loader, cores: 7.5}
  - name: NVIDIA A100-SXM4-80GB
    architecture: ampere
    power_limit: 400 W
    idle_power: 60 W
    memory: 80 GiB
    load: {shape: constant, power: 72 W, utilization: 0 %}
    processes:
      - {pid: 5000101, memory: 17 GiB, user: lee, cores: 0.02}
"""


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    with own_home() as found:
        yield found


def waiting(started: StartedAgent) -> list[dict[str, Any]] | None:
    """The two GPUs, once the first one waits for data and has idle time that cost something."""
    gpus: list[dict[str, Any]] = started.node["gpus"]
    found = len(gpus) == 2 and gpus[0]["reason"] == "waiting-for-data" and gpus[1]["reason"] is not None
    return gpus if found else None


def test_an_agent_says_who_holds_an_idle_gpu_and_why(environ: dict[str, str], tmp_path: Path) -> None:
    """A scenario's run waits for data, a user's notebook has just begun; both are named, and so in the journal."""
    scenario = tmp_path / "owners.yaml"
    scenario.write_text(SCENARIO)
    with agent(tmp_path, environ, "--simulate", str(scenario)) as started:
        maya, lee = eventually(lambda: waiting(started), "a GPU that waits for data")
        assert started.stop() == 0
    assert maya["holders"] == [{"run": "r-loader", "uid": uid_of("maya"), "user": "maya", "source": "environment"}]
    assert lee["holders"] == [{"run": None, "uid": uid_of("lee"), "user": "lee", "source": "user"}]
    assert lee["reason"] == "start-up"
    assert lee["reason_since"] is not None
    slots = [
        each.slot
        for path in node_paths(tmp_path / "state/node")
        for each in all_records(path, [])
        if isinstance(each, SlotEntry)
    ]
    reasons = {(uuid, why) for slot in slots for uuid, why in slot.reasons.items()}
    assert (maya["uuid"], "waiting-for-data") in reasons
    assert {why for uuid, why in reasons if uuid == lee["uuid"]} == {"start-up"}
