"""What is known of a held device for each of its holders: who leaves, steps, words, and a driver that is silent."""

from dataclasses import replace
from decimal import Decimal

import pytest

from costmeter.meter.holder import Holder
from costmeter.meter.idlememory import IdleMemory
from costmeter.meter.idling import IdleSpell
from costmeter.runtime.idling import Idling
from tests.runtime.idlewatch import ANCHOR, GPU, LEE, MAYA, MINUTE, idling, interval
from tests.samples import SECOND


@pytest.mark.parametrize(("first_told_ns", "calls_it_hang_after"), [(0, 10), (7 * MINUTE, 14)])
def test_the_first_of_slow_steps_is_waited_for(first_told_ns: int, calls_it_hang_after: int) -> None:
    """One step told says nothing of the pace: ten minutes for the next, or twice what the first took, are no hang.

    A run that tells of its first step after 7 minutes is given 14 for the second.
    """
    found = idling()
    found.hold({GPU: (MAYA,)}, 0)
    found.see(interval(0, max(first_told_ns, SECOND), "busy"), ANCHOR)
    found.step(MAYA.key, 1, first_told_ns)
    at_ns = first_told_ns + calls_it_hang_after * MINUTE
    assert found.see(interval(max(first_told_ns, SECOND), at_ns, "spins"), ANCHOR) == "waiting-for-peer"
    assert found.see(interval(at_ns, at_ns + 2 * SECOND, "spins"), ANCHOR) == "hang"


def test_a_first_step_seven_minutes_before_the_next_holds_no_memory_for_nothing() -> None:
    """Idle after the first step that it told of, with its process there, a run is at work for ten minutes."""
    found = idling()
    found.hold({GPU: (MAYA,)}, 0)
    found.list({GPU: (4,)}, 0)
    found.step(MAYA.key, 0, 0)
    found.see(interval(0, 20 * SECOND, "busy"), ANCHOR)
    assert found.see(interval(20 * SECOND, 7 * MINUTE, "idle"), ANCHOR) == "waiting-for-data"
    assert found.see(interval(7 * MINUTE, 10 * MINUTE, "idle"), ANCHOR) == "memory-held"


@pytest.mark.parametrize(("spins_s", "works_s"), [(30, 4), (90, 10), (110, 3)])
def test_who_computes_for_seconds_on_end_makes_steps(spins_s: int, works_s: int) -> None:
    """A run that tells of no step and works a tenth of the time, a few seconds on end, hangs at no time of an hour."""
    found, at_ns, seen = idling(), 60 * SECOND, set()
    found.hold({GPU: (MAYA,)}, 0)
    found.see(interval(0, at_ns, "busy"), ANCHOR)
    while at_ns < 60 * MINUTE:
        for does, seconds in (("spins", spins_s), ("busy", works_s)):
            for _ in range(seconds):
                seen.add(found.see(interval(at_ns, at_ns + SECOND, does), ANCHOR))
                at_ns += SECOND
    assert seen == {None, "waiting-for-peer"}
    assert found.spells[GPU].since_utc_ns == 60 * SECOND


def test_a_hang_outlives_readings_that_fail() -> None:
    """A driver that answers for 100 s and then not for 16 hides no hang: what is known stands still meanwhile.

    It spins from second 1 on: 100 s, 16 s of silence, 20 s, which are 120; a second later it hangs, and goes on.
    """
    found, at_ns = idling(), SECOND
    found.hold({GPU: (MAYA,)}, 0)
    found.see(interval(0, SECOND, "busy"), ANCHOR)
    whys = []
    for does, seconds in [("spins", 100), ("silent", 16), ("spins", 20), ("spins", 1), ("spins", 79)] + [
        ("silent", 16),
        ("spins", 100),
    ] * 9:
        later_ns = at_ns + seconds * SECOND
        whys.append(found.see(interval(at_ns, later_ns, does), ANCHOR))
        at_ns = later_ns
    assert whys[:4] == ["waiting-for-peer", None, "waiting-for-peer", "hang"]
    assert set(whys[4:]) == {None, "hang"}
    assert found.spells[GPU].since_utc_ns == SECOND


def test_silence_after_a_step_is_no_spinning() -> None:
    """A GPU that spins in a run of quick steps does not hang because its driver was silent for ten minutes."""
    found, at_ns = idling(), SECOND
    found.hold({GPU: (MAYA,)}, 0)
    found.see(interval(0, SECOND, "busy"), ANCHOR)
    for step in range(6):
        found.step(MAYA.key, step, at_ns)
        assert found.see(interval(at_ns, at_ns + MINUTE, "spins"), ANCHOR) in ("start-up", "waiting-for-peer")
        at_ns += MINUTE
    found.see(interval(at_ns, at_ns + 10 * MINUTE, "silent"), ANCHOR)
    at_ns += 10 * MINUTE
    assert found.see(interval(at_ns, at_ns + MINUTE, "spins"), ANCHOR) == "waiting-for-peer"
    assert found.see(interval(at_ns + MINUTE, at_ns + MINUTE + SECOND, "spins"), ANCHOR) == "hang"


def test_silence_proves_no_work() -> None:
    """A GPU without a process has none after its driver was silent: that nobody saw it is not that it computed."""
    found = idling()
    found.hold({GPU: (MAYA,)}, 0)
    found.see(interval(0, 6 * MINUTE, "busy"), ANCHOR)
    found.list({GPU: ()}, 6 * MINUTE)
    for length in (1, 16):
        at_ns = 6 * MINUTE + length * MINUTE
        found.see(interval(6 * MINUTE, at_ns, "silent"), ANCHOR)
        found.list({GPU: ()}, at_ns)
        assert found.see(interval(at_ns, at_ns + SECOND, "idle"), ANCHOR) == "no-process"


@pytest.mark.parametrize("other", ["eval", "train"])
def test_a_word_that_alternates_is_believed_no_longer(other: str) -> None:
    """A run that says something else every minute, while its GPU computes nothing, is believed for half an hour."""
    found, word = idling(), Holder(1001, "r-1", "maya", "announced", "save")
    said = (word, Holder(1001, "r-1", "maya", "announced", other))
    found.hold({GPU: (word,)}, 0)
    found.list({GPU: (4,)}, 0)
    found.see(interval(0, MINUTE, "busy"), ANCHOR)
    whys = []
    for minute in range(1, 60):
        found.hold({GPU: (said[minute % 2],)}, minute * MINUTE)
        whys.append(found.see(interval(minute * MINUTE, (minute + 1) * MINUTE, "idle"), ANCHOR))
    assert "checkpoint" in whys[:29]
    assert set(whys[30:]) == {"memory-held"}


def test_who_stays_when_others_go_begins_with_himself() -> None:
    """A run holds a GPU that computed for another and then hung, which leaves it three seconds after that came.

    It is new: since when, after what cost and why it is idle are its own, and so are the five minutes of its start.
    """
    cost = [Decimal(7)]
    found = Idling(lambda _: cost[0])
    found.hold({GPU: (LEE,)}, 0)
    found.see(interval(0, 6 * MINUTE, "busy"), ANCHOR)
    assert found.see(interval(6 * MINUTE, 60 * MINUTE, "spins"), ANCHOR) == "hang"
    cost = [Decimal(100)]
    found.hold({GPU: (LEE, MAYA)}, 60 * MINUTE)
    at_ns = 60 * MINUTE + 3 * SECOND
    assert found.see(interval(60 * MINUTE, at_ns, "spins"), ANCHOR) == "hang"
    assert found.spells[GPU].cost_before == Decimal(7)
    cost = [Decimal(101)]
    found.hold({GPU: (MAYA,)}, at_ns)
    assert found.spells == {}
    assert found.see(interval(at_ns, 62 * MINUTE, "spins"), ANCHOR) == "start-up"
    assert found.spells[GPU] == IdleSpell("start-up", 60 * MINUTE, Decimal(100))
    assert found.see(interval(62 * MINUTE, 65 * MINUTE, "idle"), ANCHOR) == "unexplained"
    found.hold({GPU: (MAYA, LEE)}, 65 * MINUTE)  # who left comes back, as a visitor
    found.hold({GPU: (MAYA,)}, 66 * MINUTE)
    found.see(interval(65 * MINUTE, 66 * MINUTE, "idle"), ANCHOR)
    assert found.spells[GPU] == IdleSpell("unexplained", 60 * MINUTE, Decimal(100))


def both_at_work() -> Idling:
    """Two share a GPU from before it falls idle, at the second minute."""
    found = idling()
    found.hold({GPU: (LEE,)}, 0)
    found.hold({GPU: (LEE, MAYA)}, MINUTE)
    found.see(interval(0, 2 * MINUTE, "busy"), ANCHOR)
    return found


def test_who_was_there_when_it_began_keeps_the_spell() -> None:
    """Of two that share a GPU from before it fell idle either may go: the other was idle as long, for as much."""
    found = both_at_work()
    found.list({GPU: (4,)}, 2 * MINUTE)
    found.see(interval(2 * MINUTE, 8 * MINUTE, "idle"), ANCHOR)
    found.hold({GPU: (MAYA,)}, 8 * MINUTE)
    assert found.see(interval(8 * MINUTE, 9 * MINUTE, "idle"), ANCHOR) == "memory-held"
    assert found.spells[GPU].since_utc_ns == 2 * MINUTE


# What goes on after a restart


def _gone_on(before: Idling, holders: tuple[Holder, ...], at_ns: int) -> Idling:
    """Another agent that goes on with what this one knew; idle time has cost 200 by then."""
    after = Idling(lambda _: Decimal(200))
    after.expect({GPU: holders}, at_ns + 2 * SECOND, {GPU: before.memory(GPU, at_ns)})
    return after


@pytest.mark.parametrize("restarts", [0, 1, 2])
def test_a_visitor_is_no_older_after_a_restart(restarts: int) -> None:
    """Lee's GPU hung for an hour when maya came; he goes after the restart: it is hers since then, for what it cost."""
    cost = [Decimal(7)]
    found = Idling(lambda _: cost[0])
    found.hold({GPU: (LEE,)}, 0)
    found.see(interval(0, 6 * MINUTE, "busy"), ANCHOR)
    assert found.see(interval(6 * MINUTE, 60 * MINUTE, "spins"), ANCHOR) == "hang"
    cost = [Decimal(100)]
    found.hold({GPU: (LEE, MAYA)}, 60 * MINUTE)
    at_ns = 60 * MINUTE + 10 * SECOND
    found.see(interval(60 * MINUTE, at_ns, "spins"), ANCHOR)
    for _ in range(restarts):
        found = _gone_on(found, (LEE, MAYA), at_ns)
    assert found.see(interval(at_ns, at_ns + 5 * SECOND, "spins"), ANCHOR) == "hang"
    assert found.spells[GPU] == IdleSpell("hang", 6 * MINUTE, Decimal(7))
    found.hold({GPU: (MAYA,)}, at_ns + 5 * SECOND)
    assert found.see(interval(at_ns + 5 * SECOND, at_ns + 6 * SECOND, "spins"), ANCHOR) == "start-up"
    assert found.spells[GPU] == IdleSpell("start-up", 60 * MINUTE, Decimal(100))


def test_who_went_while_no_agent_ran_takes_his_spell_along() -> None:
    """Lee is gone when the next agent begins: of the spell that was his maya has what came after she did."""
    found = idling()
    found.hold({GPU: (LEE,)}, 0)
    found.see(interval(0, 10 * MINUTE, "idle"), ANCHOR)
    found.hold({GPU: (LEE, MAYA)}, 10 * MINUTE)
    found.see(interval(10 * MINUTE, 11 * MINUTE, "idle"), ANCHOR)
    after = _gone_on(found, (MAYA,), 11 * MINUTE)
    assert after.spells == {}
    after.see(interval(12 * MINUTE, 13 * MINUTE, "idle"), ANCHOR)
    assert after.spells[GPU] == IdleSpell("start-up", 10 * MINUTE, Decimal(7))


def test_who_was_there_when_it_fell_idle_keeps_the_spell_after_a_restart() -> None:
    """Of two from before it fell idle either may go, after a restart too: the spell is as old, and the other's."""
    found = both_at_work()
    found.see(interval(2 * MINUTE, 8 * MINUTE, "idle"), ANCHOR)
    after = _gone_on(found, (LEE, MAYA), 8 * MINUTE)
    after.hold({GPU: (MAYA,)}, 9 * MINUTE)
    after.see(interval(9 * MINUTE, 10 * MINUTE, "idle"), ANCHOR)
    assert after.spells[GPU].since_utc_ns == 2 * MINUTE


def test_whom_the_memory_does_not_name_came_now() -> None:
    """Lee was seen first by the new agent: when maya goes he has what it cost since, 200, and not since ever."""
    found = idling()
    found.hold({GPU: (MAYA,)}, 0)
    found.see(interval(0, 10 * MINUTE, "idle"), ANCHOR)
    memory = replace(found.memory(GPU, 10 * MINUTE), runs=frozenset({MAYA.key}))
    after = Idling(lambda _: Decimal(200))
    after.expect({}, 10 * MINUTE, {GPU: memory})
    after.hold({GPU: (MAYA, LEE)}, 10 * MINUTE + 5 * SECOND)
    assert after.spells[GPU].since_utc_ns == 0
    after.hold({GPU: (LEE,)}, 10 * MINUTE + 8 * SECOND)
    after.see(interval(10 * MINUTE + 8 * SECOND, 11 * MINUTE, "idle"), ANCHOR)
    assert after.spells[GPU] == IdleSpell("start-up", 10 * MINUTE + 5 * SECOND, Decimal(200))


@pytest.mark.parametrize("between", [(), (MAYA,), (LEE,)], ids=["waited-for", "itself", "another"])
def test_a_remembered_spell_is_found_again_once(between: tuple[Holder, ...]) -> None:
    """A run's other processes are found after a restart; its spell ends at work, or with another holder, for good."""
    spell = IdleSpell("memory-held", 0, Decimal(0))
    memory = IdleMemory(600 * SECOND, 0, 0, True, spell=spell, runs=frozenset({MAYA.key}))
    found = idling()
    found.expect({}, 602 * SECOND, {GPU: memory})
    found.hold({GPU: between} if between else {}, 605 * SECOND)
    found.see(interval(605 * SECOND, 625 * SECOND, "busy"), ANCHOR)
    assert found.spells == {}
    found.hold({}, 630 * SECOND)
    found.hold({GPU: (MAYA,)}, 640 * SECOND)
    found.see(interval(640 * SECOND, 641 * SECOND, "idle"), ANCHOR)
    assert (found.spells[GPU].since_utc_ns == 0) == (not between)
