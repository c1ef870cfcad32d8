"""A gap over midnight that a restarted agent filled: each day has its own part, on the page and in reports."""

from dataclasses import replace
from functools import partial
from operator import eq
from pathlib import Path

import pytest

from costmeter.clock import anchor
from costmeter.ledger.node.journal import fold_node_path, node_paths, restored
from costmeter.ledger.node.runs import node_account, node_groups
from costmeter.runtime.agent.writer import NodeWriter
from tests.runtime.agent.test_recorder import LATE_UTC_NS
from tests.runtime.heldnode import MAYA_1, HeldNode, held_node
from tests.runtime.metered import SECOND
from tests.runtime.test_recorder import TWO_GPUS, owned_book

MIDNIGHT_UTC_NS = LATE_UTC_NS + 10 * SECOND


def write(run: HeldNode, state: Path) -> None:
    """As the agent does, up to the instant at which it is killed."""
    writer = NodeWriter(state / "node", "gpu01", state / "run")
    for post in run.posts:
        writer.write(post)


def follow(run: HeldNode, state: Path, after_ns: int) -> HeldNode:
    """The agent that goes on from what this one left on disk."""
    run.clock.advance(after_ns)
    begun = replace(run.header, start_ns=run.clock.boottime_ns(), anchor=anchor(run.clock), pid=1)
    left = restored(state / "node", begun, state / "run")
    assert not left.why_zero
    return HeldNode(run.library, run.clock, owned_book(), 100, left.opening, left.earlier, left.holders)


@pytest.mark.parametrize("is_killed_again", [False, True])
def test_a_gap_over_midnight_is_divided_there(tmp_path: Path, is_killed_again: bool) -> None:
    """Killed at 23:59:55 and begun anew at 00:02:55, two GPUs: 20 GPU-seconds are the old day's, all others the new's.

    It ran from 23:59:50. Killed once more at 00:03:05 and begun after ten seconds more, it is the same.
    """
    with held_node(TWO_GPUS, owned_book(), LATE_UTC_NS) as old:
        old.begin()
        old.hold([MAYA_1], [])
        old.tick(5 * SECOND)
        write(old, tmp_path)
        new = follow(old, tmp_path, 180 * SECOND)
        new.begin()
        new.hold([MAYA_1], [])
        new.tick(10 * SECOND)
        if is_killed_again:
            write(new, tmp_path)
            new.source.close()
            new = follow(new, tmp_path, 10 * SECOND)
            new.begin()
            new.hold([MAYA_1], [])
            new.tick()
        new.end()
        write(new, tmp_path)
        new.source.close()
        lasted = (new.clock.utc_ns() - MIDNIGHT_UTC_NS) // SECOND
        shown = new.snapshot

    since_utc_ns, before = shown.opened or (0, None)
    paths = node_paths(tmp_path / "node")
    groups = node_groups(node_account(tmp_path), "day")
    found = {group.word: group.spending.whole for group in groups}
    assert MIDNIGHT_UTC_NS == since_utc_ns
    assert [20, 2 * lasted] == [each.quantities.nanoseconds // SECOND for each in found.values()]
    first, second = found
    assert before == found[first].cost
    assert shown.node.totals.whole.cost - before == found[second].cost
    for day, whole in found.items():
        [alone] = node_groups(node_account(tmp_path, partial(eq, day)), "day")
        assert (day, whole) == (alone.word, alone.spending.whole)
    ends = [fold_node_path(path).ended_utc_ns for path in paths]
    assert MIDNIGHT_UTC_NS in ends
    assert ends == sorted(ends)
