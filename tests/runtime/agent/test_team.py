"""The scenario `team`, with which the first five minutes are shown: what an agent finds on it, on a manual clock."""

from prometheus_client.parser import text_string_to_metric_families

from costmeter.meter.idling import Reason
from costmeter.outputs.nodepage import page
from tests.runtime.heldnode import HeldNode
from tests.runtime.metered import SECOND
from tests.runtime.teamnode import team_node

MINUTE = 60


def value(agent: HeldNode, name: str, *of: str) -> dict[tuple[str, ...], float]:
    """What a page says by labels, of a family's samples."""
    samples = (
        sample
        for family in text_string_to_metric_families(page(agent.snapshot)[0].decode())
        for sample in family.samples
        if sample.name == name
    )
    found: dict[tuple[str, ...], float] = {}
    for sample in samples:
        key = tuple(sample.labels[label] for label in of)
        found[key] = found.get(key, 0.0) + sample.value
    return found


def test_the_first_picture_has_users_runs_and_reasons() -> None:
    """After two minutes idle GPUs have cost something; after eight the reasons are those that the docs name."""
    with team_node() as agent:
        for _ in range(2 * MINUTE):
            agent.tick(SECOND)
        _assert_money(agent)
        for _ in range(6 * MINUTE):
            agent.tick(SECOND)
        _assert_holders(agent)


def _assert_money(agent: HeldNode) -> None:
    assert value(agent, "costmeter_gpu_cost_usd_total", "state")["idle",] > 0
    assert sum(value(agent, "costmeter_gpu_idle_cost_usd_total", "reason").values()) > 0


def _assert_holders(agent: HeldNode) -> None:
    holders = value(agent, "costmeter_gpu_holder_share_ratio", "run_id", "user")
    assert holders == {("llm-7b", "maya"): 3, ("vision-loader", "ada"): 1, ("slurm-4711", "noor"): 2, ("", "lee"): 1}
    assert {run for (run,) in value(agent, "costmeter_run_cost_usd_total", "run_id")} == {
        "llm-7b",
        "vision-loader",
        "slurm-4711",
    }
    in_force: dict[int, Reason] = {
        device.index: agent.snapshot.idle[device.uuid].reason
        for device in agent.devices
        if device.uuid in agent.snapshot.idle
    }
    assert in_force == {3: "waiting-for-data", 4: "hang", 5: "hang", 6: "memory-held"}
