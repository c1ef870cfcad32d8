"""A node's runs as its recorder shows them: which have series, from when on, and how often their end is counted."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.clock import anchor
from costmeter.ledger.node.journal import restored
from costmeter.ledger.node.record import RunFacts
from costmeter.meter.holder import Holder
from costmeter.outputs.nodesnapshot import AT_ZERO_NS
from costmeter.runtime.agent.events import Held, RunGone
from costmeter.runtime.agent.writer import NodeWriter
from tests.runtime.heldnode import LEE_1, MAYA_1, MAYA_2, HeldNode, facts, held_node
from tests.runtime.metered import SECOND
from tests.runtime.test_recorder import TWO_GPUS, owned_book
from tests.sources.nodes import STEADY


def facts_now(run: HeldNode, holder: Holder, began_ns: int) -> RunFacts:
    """What an announcement tells of a run that began so long ago."""
    told = facts(holder, run.clock.utc_ns())
    return replace(told, source="announced", started_utc_ns=run.clock.utc_ns() - began_ns)


def vanishes(run: HeldNode, holder: Holder, *places: int, began_ns: int = 0) -> None:
    """A run that nobody has heard of ended just now; it held these devices for so long."""
    uuids = frozenset(run.devices[place].uuid for place in places)
    told = facts_now(run, holder, began_ns)
    now_ns = run.clock.boottime_ns()
    run.recorder.handle(RunGone(now_ns, holder.key, "failed", 1, None, told, uuids, now_ns))


def at_zero(run: HeldNode) -> dict[str, bool]:
    """The runs that are shown, and whether as 0."""
    accounts = run.snapshot.node.accounts
    return {key[1]: accounts[key].at_zero for key in run.snapshot.shown}


def test_a_run_that_names_its_gpus_as_it_ends_has_held_them_all_along() -> None:
    """Begun at 10 s, heard of at 10.1 s without its two GPUs, which it names as it ends at 10.9 s: 0.9 s of each.

    A run that was heard of long ago has what was not booked yet: of a second, up to its end, nine tenths.
    """
    with held_node(TWO_GPUS, owned_book()) as run:
        run.begin()
        run.tick(10 * SECOND)
        run.clock.advance(SECOND // 10)
        run.hold([], [], runs=[MAYA_1, MAYA_2])
        run.clock.advance(8 * SECOND // 10)
        vanishes(run, MAYA_1, 0, 1, began_ns=9 * SECOND // 10)
        run.tick(SECOND // 10)
        assert 0.9 * 2 == run.seconds(MAYA_1.key)
        run.tick(60 * SECOND)
        run.clock.advance(9 * SECOND // 10)
        vanishes(run, MAYA_2, 0, began_ns=65 * SECOND)
        run.tick(SECOND // 10)
        run.end()
        assert 0.9 == run.seconds(MAYA_2.key)
        assert {"failed": 2} == run.folded[-1].ended


def test_a_run_that_ended_before_anybody_looked_has_what_it_held() -> None:
    """Read at 10 s, it held one GPU from 10.2 s to 10.7 s: half a second is its own, and its end is counted."""
    with held_node(TWO_GPUS, owned_book()) as run:
        run.begin()
        run.hold([], [LEE_1])
        run.tick(10 * SECOND)
        run.clock.advance(7 * SECOND // 10)
        vanishes(run, MAYA_1, 0, 1, began_ns=SECOND // 2)
        run.tick(3 * SECOND // 10)
        run.end()
        part = run.folded[-1]
        account = part.accounts[MAYA_1.key]
        assert (0.5, {"failed": 1}) == (run.seconds(MAYA_1.key), part.ended)
        assert part.sunk == {"failed": account.totals.whole.cost}
        assert account.ended is not None
        assert 11.0 == run.seconds(LEE_1.key)


def test_what_is_booked_already_stays_nobodys() -> None:
    """A run that began before the last reading gets nothing of what was shown as nobody's."""
    with held_node(STEADY) as run:
        run.begin()
        run.tick(10 * SECOND)
        vanishes(run, MAYA_1, 0, began_ns=5 * SECOND)
        run.tick()
        run.end()
        assert {"failed": 1} == run.folded[-1].ended
        assert not run.folded[-1].held.devices


@pytest.mark.parametrize("looked_late", [False, True])
def test_who_looked_before_its_end_was_told_does_not_bring_it_back(looked_late: bool) -> None:
    """Whoever asked for runs before the end could be seen is late; who asked after it sees the run begun anew."""
    with held_node(STEADY) as run:
        run.begin()
        looked_ns = run.clock.boottime_ns()
        run.clock.advance(SECOND)
        ended_ns = run.clock.boottime_ns()
        run.recorder.handle(RunGone(ended_ns, MAYA_1.key, "ok", 0, None, facts_now(run, MAYA_1, 0), told_ns=ended_ns))
        run.clock.advance(SECOND)
        now_ns = run.clock.boottime_ns()
        looked_ns = now_ns if looked_late else looked_ns
        found, told = {run.devices[0].uuid: (MAYA_1,)}, {MAYA_1.key: facts(MAYA_1)}
        run.recorder.handle(Held(now_ns, found, told, looked_ns=looked_ns))
        run.tick()
        assert looked_late == (run.snapshot.node.accounts[MAYA_1.key].ended is None)
        assert {"ok": 1} == run.snapshot.node.ended


def test_a_short_run_stands_at_zero_and_then_shows_what_it_came_to() -> None:
    """It is over before the first page that could have it: it is 0 for a minute there, and then its own."""
    with held_node(STEADY) as run:
        run.begin()
        vanishes(run, MAYA_1)
        run.tick()
        assert {"r-1": True} == at_zero(run)
        run.tick(AT_ZERO_NS - 2 * SECOND)
        assert {"r-1": True} == at_zero(run)
        run.tick(2 * SECOND)
        assert {"r-1": False} == at_zero(run)


def test_short_runs_take_no_place_of_those_that_live() -> None:
    """Two places, one run that lives: of two short runs one is shown, the other is counted as hidden."""
    with held_node(TWO_GPUS, max_runs=2) as run:
        run.begin()
        run.hold([LEE_1], [])
        run.tick()
        vanishes(run, MAYA_1)
        vanishes(run, MAYA_2)
        run.tick()
        assert [LEE_1.key, MAYA_1.key] == list(run.snapshot.shown)
        assert 1 == run.snapshot.hidden


@contextmanager
def begun_anew(run: HeldNode, folder: Path, after_ns: int) -> Iterator[HeldNode]:
    """Another agent, on what this one left on disk when it was killed."""
    writer = NodeWriter(folder / "node", "gpu01", folder / "run")
    for post in run.posts:
        writer.write(post)
    run.clock.advance(after_ns)
    begun = replace(run.header, start_ns=run.clock.boottime_ns(), anchor=anchor(run.clock), pid=1)
    left = restored(folder / "node", begun, folder / "run")
    assert not left.why_zero
    other = HeldNode(run.library, run.clock, owned_book(), 100, left.opening, left.earlier, left.holders)
    other.header = begun
    try:
        yield other
    finally:
        other.source.close()


@pytest.mark.parametrize("shown_ns", [10 * SECOND, 70 * SECOND], ids=["not-yet-risen", "risen"])
@pytest.mark.parametrize("step_ns", [0, -3_600 * SECOND], ids=["clock-right", "clock-set-back"])
def test_after_a_restart_a_run_stands_at_zero_unless_more_was_shown(
    tmp_path: Path, shown_ns: int, step_ns: int
) -> None:
    """Its minute at 0 is counted from the new agent's first page; what was shown once is never 0 again."""
    with held_node(STEADY, owned_book()) as old:
        old.begin()
        old.hold([MAYA_1])
        old.tick()
        old.tick(shown_ns)
        old.clock.step_wall(step_ns)
        has_risen = shown_ns > AT_ZERO_NS
        assert has_risen == (not at_zero(old)["r-1"])
        with begun_anew(old, tmp_path, 100 * SECOND) as new:
            new.begin()
            new.hold([MAYA_1])
            new.tick()
            assert {"r-1": not has_risen} == at_zero(new)
            assert new.seconds(MAYA_1.key) > 100
            new.tick(AT_ZERO_NS - 2 * SECOND)
            assert {"r-1": not has_risen} == at_zero(new)
            new.tick(2 * SECOND)
            assert {"r-1": False} == at_zero(new)


def test_a_run_that_comes_back_is_sunk_once() -> None:
    """Preempted after 10 s, queued anew, and failed after 20 s more: 30 s are sunk, not 40, and two ends counted."""
    with held_node(STEADY, owned_book()) as run:
        run.begin()
        run.hold([MAYA_1])
        run.tick(10 * SECOND)
        run.gone(MAYA_1, "preempted")
        first = run.run(MAYA_1).whole.cost
        run.tick()
        run.hold([MAYA_1])
        run.tick(20 * SECOND)
        run.gone(MAYA_1, "failed")
        run.tick()
        run.end()
        part = run.folded[-1]
        assert {"preempted": 1, "failed": 1} == part.ended
        assert {"preempted": first, "failed": run.run(MAYA_1).whole.cost - first} == part.sunk
        assert Decimal(0) < first < run.run(MAYA_1).whole.cost


def test_what_is_sunk_is_known_after_a_restart(tmp_path: Path) -> None:
    """Preempted under one agent and failed under the next: nothing is sunk twice."""
    with held_node(STEADY, owned_book()) as old:
        old.begin()
        old.hold([MAYA_1])
        old.tick(10 * SECOND)
        old.gone(MAYA_1, "preempted")
        old.tick()
        with begun_anew(old, tmp_path, SECOND) as new:
            new.begin()
            new.hold([MAYA_1])
            new.tick(20 * SECOND)
            new.gone(MAYA_1, "failed")
            new.tick()
            assert sum(new.snapshot.node.sunk.values()) == new.run(MAYA_1).whole.cost
