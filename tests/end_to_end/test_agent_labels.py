"""What one announced run may make an agent remember, however often it greets."""

from functools import partial
from pathlib import Path

from costmeter.ledger.node.journal import fold_node_path, node_paths
from costmeter.runtime.agent.announceline import LONGEST_TEXT, MOST_LABELS
from costmeter.runtime.agent.thrift import LONGEST_FACTS
from tests.end_to_end.agents import StartedAgent, agent
from tests.end_to_end.installed import eventually, own_home
from tests.runtime.announcer import Announcer, me

TURNS = 12


def has_label(started: StartedAgent, label: str) -> bool | None:
    """Whether the run is shown with a label; None where it is not yet."""
    return label in started.run("r-1")["labels"] or None


def test_who_greets_with_ever_new_labels_has_the_last(tmp_path: Path) -> None:
    """Sixteen other long labels each time: the run has sixteen, and no line of the journal is long."""
    with own_home() as home, agent(tmp_path, home) as started:
        assert started.node["gpus"]
        for turn in range(TURNS):
            labels = {f"{turn}-{number}".ljust(LONGEST_TEXT, "x"): "y" * LONGEST_TEXT for number in range(MOST_LABELS)}
            with Announcer(tmp_path / "agent.sock") as mallory:
                assert mallory.announce("r-1", labels=labels, simulated=True, **me())["ok"]
                eventually(partial(has_label, started, min(labels)), "the new labels")
        assert 0 == started.stop()
    [path] = node_paths(tmp_path / "state" / "node")
    [account] = fold_node_path(path).accounts.values()
    assert labels == account.facts.labels
    assert max(map(len, path.read_bytes().splitlines())) < LONGEST_FACTS
