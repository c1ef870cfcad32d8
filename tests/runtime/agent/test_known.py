"""Which runs an agent knows: their facts over time, how many there may be, and when one is gone."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.attribution.attribute import FoundRun
from costmeter.attribution.processes import Identity
from costmeter.clock import Anchor
from costmeter.ledger.node.record import RunFacts
from costmeter.meter.holder import UNKNOWN_UID, Holder, HolderSource, RunKey
from costmeter.runtime.agent.announceline import MOST_LABELS
from costmeter.runtime.agent.events import RunGone
from costmeter.runtime.agent.known import MOST_RUNS_OF_A_USER, KnownRuns
from costmeter.runtime.agent.room import MOST_RUNS, REMEMBERED_OF_A_USER
from tests.attribution.nodes import ALICE, BOB, announcement
from tests.samples import BEGAN_NS, BEGAN_UTC_NS, MINUTE, SECOND

ANCHOR = Anchor(BEGAN_NS, BEGAN_UTC_NS)


def run(name: str = "r-a", uid: int = ALICE, source: HolderSource = "environment", **changes: Any) -> FoundRun:
    """A run as a look finds it."""
    facts: dict[str, Any] = {"processes": frozenset({(9, 90)})}
    return FoundRun(Holder(uid, name, "alice" if uid == ALICE else "bob", source), **(facts | changes))


def announced(name: str = "r-a", **changes: Any) -> FoundRun:
    told = announcement(name, started_utc_ns=BEGAN_UTC_NS - MINUTE, root=50, **changes)
    return run(name, source="announced", announcement=told, processes=frozenset({(50, 500)}))


class Node:
    """An agent's memory of runs, looked at at times after it began; `alive` are the processes that live."""

    def __init__(self, *alive: Identity) -> None:
        self.alive = set(alive)
        self.known = KnownRuns(lambda: ANCHOR, lambda identity: identity in self.alive)

    def look(self, after_ns: int, *found: FoundRun) -> tuple[set[Holder], dict[RunKey, RunFacts], list[RunGone]]:
        """Every run holds the one device."""
        holders = {"GPU-a": tuple(each.holder for each in found)}
        held, facts, gone = self.known.settle(holders, {each.holder.key: each for each in found}, BEGAN_NS + after_ns)
        return set(held["GPU-a"]), facts, gone


def test_facts_stay_as_they_were_first_seen() -> None:
    """A look later changes nothing of a run that has not changed."""
    node = Node()
    _, first, _ = node.look(5 * SECOND, run())
    _, later, _ = node.look(20 * SECOND, run())

    assert first == later
    [facts] = first.values()
    assert BEGAN_UTC_NS + 5 * SECOND == facts.seen_utc_ns == facts.started_utc_ns
    assert (ALICE, "r-a", "alice", "environment", 9, 90) == (
        facts.uid, facts.run, facts.user, facts.source, facts.pid, facts.pid_start_ticks,
    )  # fmt: skip


def test_an_announcement_says_more() -> None:
    """A run that was seen before it was announced has its own start and first process from then on."""
    node = Node()
    _, first, _ = node.look(0, run())
    _, later, _ = node.look(SECOND, announced(name="r-a"))

    assert first.keys() == later.keys()
    [facts] = later.values()
    assert ("announced", BEGAN_UTC_NS - MINUTE, 50, 500) == (
        facts.source, facts.started_utc_ns, facts.pid, facts.pid_start_ticks,
    )  # fmt: skip


def test_what_is_known_is_not_forgotten() -> None:
    """Name, labels and job of a look that knew them stay, and the first process while it is among the run's."""
    node = Node()
    node.look(0, run(name="slurm-7", source="slurm", job="7", labels={"account": "nlp"}))
    _, found, _ = node.look(SECOND, run(name="slurm-7", source="slurm", processes=frozenset({(8, 95), (9, 90)})))
    assert ("7", {"account": "nlp"}, 9) == next((f.job, f.labels, f.pid) for f in found.values())

    _, found, _ = node.look(SECOND, run(name="slurm-7", source="slurm", processes=frozenset({(8, 95)})))
    assert [8] == [facts.pid for facts in found.values()]


def test_the_newest_announcement_says_which_labels_there_are() -> None:
    """Who greets again and again with other labels has those of the last greeting, and no more."""
    node = Node()
    for turn in range(30):
        labels = {f"l-{turn}-{number}": "x" for number in range(MOST_LABELS)}
        _, found, _ = node.look(turn * SECOND, replace(announced(), labels=labels))
        assert labels == found[ALICE, "r-a"].labels


def test_labels_of_several_sources_are_not_too_many() -> None:
    """What a run was known by stays while there is room beside what is said of it now."""
    node = Node()
    for turn in range(MOST_LABELS + 4):
        _, found, _ = node.look(turn * SECOND, run(labels={f"l-{turn}": "x", "of": str(turn)}))
    labels = found[ALICE, "r-a"].labels
    assert (MOST_LABELS, "19", "x") == (len(labels), labels["of"], labels["l-19"])


def test_what_an_announced_run_left_behind_is_its_users() -> None:
    """Its end was told: processes of before are no run; one that begins later is, and its end is seen."""
    node = Node((9, 90), (9, 95))
    node.look(0, announced(), run("r-b"))
    left = run(processes=frozenset({(50, 500)}))
    holders, facts, _ = node.look(SECOND, left, run("r-b"))
    assert Holder(ALICE, "", "alice", "user") in holders
    assert {(ALICE, "r-b")} == facts.keys()

    _, facts, _ = node.look(2 * SECOND, run(processes=frozenset({(50, 500), (9, 95)})))
    assert (ALICE, "r-a") in facts
    node.alive.clear()
    assert (ALICE, "r-a") in {each.key for each in node.look(MINUTE + 2 * SECOND)[2]}


@pytest.mark.parametrize(
    ("expected", "after_ns", "alive"),
    [
        pytest.param(0, 59 * SECOND, [], id="soon"),
        pytest.param(1, 60 * SECOND, [], id="a-minute-later"),
        pytest.param(0, 3600 * SECOND, [(9, 90)], id="while-its-process-lives"),
        pytest.param(1, 60 * SECOND, [(9, 91)], id="another-process-of-that-pid"),
    ],
)
def test_a_run_that_vanished_is_gone(expected: int, after_ns: int, alive: list[Identity]) -> None:
    """After a minute without it and without its processes; it ended when it was last seen."""
    node = Node(*alive)
    node.look(0, run())
    _, facts, gone = node.look(after_ns)

    assert [RunGone(BEGAN_NS, (ALICE, "r-a"), "unknown")][:expected] == gone
    assert bool(facts) == (not expected)
    assert [] == node.look(after_ns)[2]


def test_an_announced_runs_end_is_told_by_others() -> None:
    """Who announced a run says how it ended: it is not there any more, and nothing more is said of it."""
    node = Node()
    node.look(0, announced())

    assert (set(), {}, []) == node.look(SECOND)
    assert (set(), {}, []) == node.look(MINUTE + SECOND)


def test_a_run_that_comes_back_is_new() -> None:
    """A run that was gone and is there again is seen anew."""
    node = Node()
    node.look(0, run())
    assert node.look(MINUTE)[2]
    _, facts, gone = node.look(2 * MINUTE, run())

    assert (BEGAN_UTC_NS + 2 * MINUTE, []) == (facts[ALICE, "r-a"].seen_utc_ns, gone)


@pytest.mark.parametrize("source", ["announced", "environment"])
def test_runs_of_the_agent_before_are_expected(source: HolderSource) -> None:
    """One that is found again has the facts it had; one that is not is gone, whoever announced it then."""
    node = Node()
    before = [
        RunFacts(ALICE, name, "alice", source, BEGAN_UTC_NS - MINUTE, BEGAN_UTC_NS - MINUTE, pid=9, pid_start_ticks=90)
        for name in ("r-a", "r-b")
    ]
    node.known.expect(before, BEGAN_NS)
    _, facts, _ = node.look(SECOND, run())
    assert {before[0].key: replace(before[0], source="environment"), before[1].key: before[1]} == facts

    assert [RunGone(BEGAN_NS, before[1].key, "unknown")] == node.look(MINUTE, run())[2]


# Too many


def many(count: int, uid: int = ALICE, prefix: str = "r", source: HolderSource = "environment") -> list[FoundRun]:
    return [run(f"{prefix}-{number:04d}", uid, source) for number in range(count)]


def test_a_user_has_so_many_runs() -> None:
    """What is beyond is the user's own time, and is counted once; other users are not touched."""
    node = Node()
    held, facts, _ = node.look(0, *many(MOST_RUNS_OF_A_USER + 36), run("r-bob", BOB))

    assert MOST_RUNS_OF_A_USER + 1 == len(facts)
    assert Holder(ALICE, "", "alice", "user") in held
    assert MOST_RUNS_OF_A_USER + 2 == len(held)
    assert 36 == node.known.dropped
    node.look(SECOND, *many(MOST_RUNS_OF_A_USER + 36), run("r-bob", BOB))
    assert 36 == node.known.dropped


def test_pods_and_announcements_are_no_ones_made_up_names() -> None:
    """They are limited where they come from: here the node's own limit holds."""
    node = Node()
    pods = many(MOST_RUNS_OF_A_USER * 2, UNKNOWN_UID, "k8s", "kubernetes")
    told = [announced(f"r-{number}") for number in range(MOST_RUNS_OF_A_USER * 2)]

    assert MOST_RUNS_OF_A_USER * 4 == len(node.look(0, *pods, *told)[1])
    assert 0 == node.known.dropped


def test_a_node_has_so_many_runs() -> None:
    """Those that were there first keep their place."""
    node = Node()
    node.look(0, run("z-first", BOB))
    _, facts, _ = node.look(SECOND, *many(2 * MOST_RUNS, UNKNOWN_UID, "k8s", "kubernetes"), run("z-first", BOB))

    assert MOST_RUNS == len(facts)
    assert (BOB, "z-first") in facts
    assert MOST_RUNS + 1 == node.known.dropped


@given(st.lists(st.lists(st.integers(0, 10_000), max_size=80, unique=True), max_size=12), st.booleans())
def test_names_made_up_as_they_go_are_bounded(looks: Iterable[list[int]], is_slow: bool) -> None:
    """However often a user changes the names of his runs, no more are known than he may have, gone ones included."""
    node = Node()
    for place, names in enumerate(looks):
        found = [run(f"r-{name}") for name in names]
        held, facts, gone = node.look(place * (MINUTE if is_slow else SECOND), *found)
        assert len(node.known._runs) <= MOST_RUNS_OF_A_USER
        assert {each.key for each in held if each.run} <= facts.keys()
        assert not {each.key for each in gone} & facts.keys()


def test_one_users_announcements_that_ended_keep_nobody_out() -> None:
    """Whoever announces and ends runs for ever has 250 remembered of him, and the others have their places."""
    node = Node()
    for turn in range(30):
        node.look(turn * SECOND, *(announced(f"r-{turn}-{number}") for number in range(50)))
    _, facts, _ = node.look(31 * SECOND, run("r-bob", BOB))

    assert {(BOB, "r-bob")} == facts.keys()
    assert 0 == node.known.dropped
    assert REMEMBERED_OF_A_USER + 1 == len(node.known._runs)
