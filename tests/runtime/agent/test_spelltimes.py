"""How much of an idle spell a device was idle for, by hand."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.clock import ManualClock
from costmeter.ledger.node.query import opening
from costmeter.meter.activity import State
from costmeter.meter.idletimes import IdleTimes
from costmeter.meter.idling import IdleSpell
from costmeter.meter.interval import Interval
from costmeter.rates.book import Book
from costmeter.runtime.agent.spelltimes import SpellTimes
from tests.outputs.test_top import NODE
from tests.runtime.heldnode import LEE, HeldNode, held_node
from tests.runtime.metered import BEGAN_UTC_NS, BOOTED_NS, SECOND
from tests.runtime.test_recorder import owned_book
from tests.sources.nodes import node

SPELL = IdleSpell("waiting-for-data", 0, Decimal(0))


def interval(start: int, end: int, state: State) -> dict[str, Interval]:
    return {"GPU-a": Interval("GPU-a", start, end, state, 0, None, None)}


def test_idle_and_busy_time_are_told_apart() -> None:
    """Idle for 3, busy for 2, unknown for 5: it was idle for 3 of the 5 that were seen. No interval counts twice."""
    times = SpellTimes()
    for each in (interval(0, 3, "idle"), interval(3, 5, "busy"), interval(3, 5, "busy"), interval(5, 10, "unknown")):
        found = times.see(each, {"GPU-a": SPELL})
    assert {"GPU-a": IdleTimes(3, 2)} == found


def test_a_new_spell_begins_anew() -> None:
    """What an earlier spell came to is not in the next, and where there is no spell there are no times."""
    times = SpellTimes()
    times.see(interval(0, 3, "idle"), {"GPU-a": SPELL})
    assert {} == times.see(interval(3, 90, "busy"), {})
    times.see(interval(90, 91, "idle"), {"GPU-a": SPELL})
    assert {"GPU-a": IdleTimes(2)} == times.see(interval(91, 93, "idle"), {"GPU-a": IdleSpell("hang", 91, Decimal(0))})


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from(("idle", "busy", "unknown")))))
def test_nothing_is_lost_or_counted_twice(pieces: list[tuple[int, State]]) -> None:
    """Whatever a device does within a spell: the sums are those of its intervals."""
    times, at, found = SpellTimes(), 0, dict[str, IdleTimes]()
    for length, state in pieces:
        found = times.see(interval(at, at + length, state), {"GPU-a": SPELL})
        at += length
    assert found.get("GPU-a", IdleTimes()) == IdleTimes(
        *(sum(length for length, state in pieces if state == wanted) for wanted in ("idle", "busy"))
    )


def test_the_agent_tells_them() -> None:
    """A GPU that is held and idle for ten minutes was idle for all of them, and one that computes is in no spell."""
    with held_node(NODE, owned_book()) as run:
        run.begin()
        run.hold([LEE], [], [], [], [LEE])
        for _ in range(10):
            run.tick(60 * SECOND)
        times = run.snapshot.idle_times
        busy, idle = run.devices[0].uuid, run.devices[4].uuid
    assert busy not in times
    assert (times[idle].idle_ns, times[idle].busy_ns) == pytest.approx((600 * SECOND, 0), abs=60 * SECOND)


def test_a_spell_that_goes_on_has_its_times() -> None:
    """What was idle for 40 s and busy for 20 before this process goes on from there, and another spell does not."""
    earlier = {"GPU-a": (SPELL.since_utc_ns, IdleTimes(40, 20))}
    times = SpellTimes(earlier)
    assert {} == times.see({}, {})
    assert {"GPU-a": IdleTimes(43, 20)} == times.see(interval(0, 3, "idle"), {"GPU-a": SPELL})
    assert {"GPU-a": IdleTimes(43, 22)} == times.see(interval(3, 5, "busy"), {"GPU-a": SPELL})
    other = IdleSpell("hang", 5, Decimal(0))
    assert {"GPU-a": IdleTimes(4)} == times.see(interval(5, 9, "idle"), {"GPU-a": other})


LOADS = """
devices:
  - name: NVIDIA H100 80GB HBM3
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    load:
      repeat:
        - {shape: constant, for: 4 s, power: 600 W, utilization: 99 %}
        - {shape: constant, for: 8 s, power: 90 W, utilization: 0 %}
"""


def test_after_a_restart_the_part_of_the_time_is_what_it_was() -> None:
    """A GPU that waits for data two thirds of the time has done so for ten minutes at the first reading after it.

    Twice: what the second agent writes at its beginning is what the third goes on with.
    """
    clock = ManualClock(BEGAN_UTC_NS, BOOTED_NS)
    library = node(LOADS, clock, BOOTED_NS)
    run = HeldNode(library, clock, Book())
    run.begin()
    run.hold([LEE])
    for _ in range(600):
        run.tick()
    for _ in range(3):
        (uuid,) = run.snapshot.idle
        times, since_utc_ns = run.snapshot.idle_times[uuid], run.snapshot.idle[uuid].since_utc_ns
        assert times.idle_ns + times.busy_ns >= 580 * SECOND
        assert times.idle_ns / (times.idle_ns + times.busy_ns) == pytest.approx(2 / 3, abs=0.02)
        run.end()
        part = run.folded[-1]
        known = {uuid: noted.memory for uuid, noted in part.noted.items()}
        opened = opening(part, clock.utc_ns())
        run = HeldNode(library, clock, Book(), opened=opened, holders=part.holders, idle=known)
        run.begin()
        for _ in range(9):
            run.tick()
        assert run.snapshot.idle[uuid].since_utc_ns == since_utc_ns
    run.source.close()
