"""The agent killed and started again: counters go on from no less than what was on the page, or begin at nothing."""

import json
import signal
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costmeter.ledger.node.journal import fold_node_path, node_paths
from costmeter.units import NANOSECONDS_PER_SECOND
from tests.end_to_end.aged import age_spells
from tests.end_to_end.installed import COSTMETER, eventually, own_home, uncovered
from tests.end_to_end.killable import GPU_TIME, KillableAgent
from tests.runtime.announcer import Announcer, me

#: How much is on the page before it is killed: 8 GPUs for a second.
ENOUGH_SECONDS = 8.0


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[KillableAgent]:
    with own_home() as home:
        made = KillableAgent(uncovered(home), tmp_path)
        yield made
        made.end()


def wait_for_more(agent: KillableAgent, than: float, seconds: float = ENOUGH_SECONDS) -> None:
    eventually(lambda: agent.sum(GPU_TIME) >= than + seconds or None, "a second of the GPUs more")


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_counters_go_on_after_a_restart(agent: KillableAgent, by: signal.Signals) -> None:
    """No counter of the page is lower than before, and the time in between is counted: eight GPUs, without a hole."""
    assert not agent.start()
    for _ in range(2):
        wait_for_more(agent, agent.sum(GPU_TIME))
        before = agent.values()
        agent.end(by)
        assert agent.start()
        after = agent.values()
        assert {} == {key: value for key, value in before.items() if _is_kept(key) and after.get(key, 0.0) < value}
    agent.end(signal.SIGTERM)
    first, *_, last = [fold_node_path(path) for path in node_paths(agent.state / "node")]
    assert last.footer is not None
    assert 8 == len(last.totals.devices)
    ended_ns = last.header.start_ns + last.footer.length_ns
    for uuid, each in last.totals.devices.items():
        assert ended_ns - first.since_ns.get(uuid, first.header.start_ns) == each.quantities.nanoseconds


def _is_kept(key: tuple[str, object]) -> bool:
    """Whether a counter is of what the GPUs did, and not of the process."""
    return key[0].startswith("costmeter_gpu_")


def test_without_the_open_slot_counters_begin_at_nothing(agent: KillableAgent) -> None:
    """Killed, and its file lost: what is closed is less than what was on the page, and would be counted again."""
    assert not agent.start()
    wait_for_more(agent, 0.0)
    agent.end()
    for path in (agent.state / "node").glob("*.open"):
        path.unlink()
    assert not agent.start()
    wait_for_more(agent, 0.0)
    agent.end()
    assert agent.start()


def test_agents_on_one_runtime_folder_do_not_reset_each_other(agent: KillableAgent, tmp_path: Path) -> None:
    """One on another state directory begins with no journal, and the first goes on where it stood."""
    assert not agent.start()
    wait_for_more(agent, 0.0)
    agent.end(signal.SIGTERM)
    with own_home() as home:
        other = KillableAgent(uncovered(home), tmp_path, state="other")
        try:
            assert not other.start()
            wait_for_more(other, 0.0)
        finally:
            other.end()
    assert agent.start()


def test_an_idle_spell_goes_on_after_a_kill(tmp_path: Path) -> None:
    """A notebook that had just begun has begun no later after kill -9, and its spell cost no less.

    One that had computed nothing for ten minutes by then still holds memory: nobody watches it for five minutes first.
    """
    with own_home() as home:
        made = KillableAgent(uncovered(home), tmp_path, "notebook")
        try:
            assert not made.start()
            before = eventually(lambda: _spell(made, "start-up"), "a notebook that has begun")
            wait_for_more(made, 0.0, 1.0)
            made.end()
            assert made.start()
            after = eventually(lambda: _spell(made, "start-up"), "the same")
            assert before["reason_since"] == after["reason_since"]
            assert Decimal(before["idle_cost"]) <= Decimal(after["idle_cost"])
            made.end()
            age_spells(made.state / "node", "held_ns", "quiet_ns")
            assert made.start()
            held = eventually(lambda: _spell(made, "memory-held"), "a notebook that is quiet for long")
        finally:
            made.end()
    assert before["reason_since"] == held["reason_since"]


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_the_spell_of_a_scenarios_run_goes_on(tmp_path: Path, by: signal.Signals) -> None:
    """Of a run that no process of this machine holds, nobody can say that it is over before its GPUs were looked at."""
    with own_home() as home:
        made = KillableAgent(uncovered(home), tmp_path, "hang")
        try:
            assert not made.start()
            before = eventually(lambda: _listed(home, made), "eight GPUs that have just begun")
            made.end(by)
            assert made.start()
            after = eventually(lambda: _listed(home, made), "the same")
        finally:
            made.end()
    assert before["since"] == after["since"]
    assert Decimal(before["cost"]) <= Decimal(after["cost"])


def _listed(home: dict[str, str], agent: KillableAgent) -> dict[str, Any] | None:
    """What `costmeter idle` says of eight GPUs that are in their start-up, and that cost something already."""
    argv = [COSTMETER, "idle", "--all", "--json", "--from", f"http://127.0.0.1:{agent.port}"]
    told = subprocess.run(argv, env=uncovered(home), capture_output=True, text=True, check=True, timeout=60).stdout
    rows: list[dict[str, Any]] = json.loads(told)["idle"]
    begun = (row for row in rows if row["reason"] == "start-up" and len(row["gpus"]) == 8 and Decimal(row["cost"]))
    return next(begun, None)


def _spell(agent: KillableAgent, reason: str) -> dict[str, Any] | None:
    gpus: list[dict[str, Any]] = agent.node().get("gpus", [])
    return next((gpu for gpu in gpus if gpu["reason"] == reason), None)


RUN_TIME = "costmeter_run_gpu_time_seconds_total"


def test_a_run_that_was_at_zero_when_the_agent_died_begins_at_zero(agent: KillableAgent, tmp_path: Path) -> None:
    """Killed in a run's first minute: nobody was shown more of it than 0, so its next page begins there, too."""
    assert not agent.start()
    uuids = {dict(labels)["gpu_uuid"] for name, labels in agent.values() if name == GPU_TIME}
    with Announcer(tmp_path / "run" / "agent.sock") as run:
        assert run.announce("r-young", gpus=sorted(uuids), simulated=True, **me())["ok"]
        eventually(lambda: (RUN_TIME, "r-young") in series(agent) or None, "the run's series")
        wait_for_more(agent, agent.sum(GPU_TIME))
        assert 0.0 == agent.sum(RUN_TIME)
        agent.end()
        assert agent.start()
        eventually(lambda: (RUN_TIME, "r-young") in series(agent) or None, "the run's series")
        assert 0.0 == agent.sum(RUN_TIME)
    agent.end(signal.SIGTERM)
    last = fold_node_path(node_paths(agent.state / "node")[-1])
    [account] = last.accounts.values()
    assert account.totals.whole.quantities.nanoseconds > ENOUGH_SECONDS * NANOSECONDS_PER_SECOND


def series(agent: KillableAgent) -> set[tuple[str, str]]:
    """The counters of runs that are on the page, by name and run."""
    return {(name, dict(labels).get("run_id", "")) for name, labels in agent.values()}


SLICED = """
devices:
  - name: NVIDIA H100 80GB HBM3
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    mig: [{profile: 1g.10gb}]
    architecture: ampere
"""


def test_what_no_instance_has_is_on_the_page_and_goes_on(tmp_path: Path) -> None:
    """Of a board with one slice of seven in an instance, six sevenths of cost and energy are its rest's."""
    scenario = tmp_path / "sliced.yaml"
    scenario.write_text(SLICED)
    with own_home() as home:
        made = KillableAgent(uncovered(home), tmp_path, str(scenario))
        try:
            assert not made.start()
            eventually(lambda: made.sum(GPU_TIME) >= 2.0 or None, "a second of each part")
            before = made.values()
            made.end()
            assert made.start()
            after = made.values()
        finally:
            made.end()
    kept = {key: value for key, value in before.items() if _is_kept(key)}
    assert {} == {key: value for key, value in kept.items() if after.get(key, 0.0) < value}
    joules = {dict(labels)["gpu_uuid"]: v for (name, labels), v in after.items() if "gpu_energy" in name and v}
    rest = next(uuid for uuid in joules if uuid.endswith("/rest-1-7"))
    assert joules[rest] == pytest.approx(6 / 7 * sum(joules.values()), rel=1e-6)


def test_counters_begin_at_nothing_where_values_were_shown_that_the_disk_refused(agent: KillableAgent) -> None:
    """Killed on a full disk: the page went on from memory, so that the journal's values would be too low."""
    agent.start()
    agent.refuse()
    eventually(lambda: agent.sum("costmeter_journal_writable") == 0 or None, "a journal that is not writable")
    wait_for_more(agent, agent.sum(GPU_TIME))
    agent.end()
    assert not agent.start()
    wait_for_more(agent, agent.sum(GPU_TIME))
    agent.end()
    assert agent.start()
