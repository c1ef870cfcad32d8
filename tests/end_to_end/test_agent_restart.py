"""The agent killed and started again: counters go on from no less than what was on the page, or begin at nothing."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from costmeter.ledger.nodejournal import fold_node_path, node_paths
from tests.end_to_end.installed import eventually, own_home, uncovered
from tests.end_to_end.killable import GPU_TIME, KillableAgent

#: How much is on the page before it is killed: 8 GPUs for a second.
ENOUGH_SECONDS = 8.0


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[KillableAgent]:
    with own_home() as home:
        made = KillableAgent(uncovered(home), tmp_path)
        yield made
        made.end()


def wait_for_more(agent: KillableAgent, than: float) -> None:
    eventually(lambda: agent.sum(GPU_TIME) >= than + ENOUGH_SECONDS or None, "a second of eight GPUs more")


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
