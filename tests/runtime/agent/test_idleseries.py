"""Which reasons have a series: each from when it is first in force, at 0 for a minute, and for as long as the agent."""

from decimal import Decimal

from costmeter.ledger.node.record import Opening, ReasonRisen
from costmeter.meter.idling import IdleSpell, IdleUse, Reason
from costmeter.outputs.nodesnapshot import AT_ZERO_NS
from costmeter.runtime.agent.idleseries import IdleSeries
from tests.samples import SECOND

SPENT = IdleUse(60 * SECOND, Decimal("0.04"))


def spell(reason: Reason) -> IdleSpell:
    return IdleSpell(reason, 0, Decimal(0))


def test_a_reason_stands_at_zero_for_a_minute() -> None:
    """From when it is in force: a minute later it is shown, whether it is still in force or long over."""
    series = IdleSeries(Opening(0))
    assert {} == series.see({}, {}, 0)
    first = series.see({}, {"GPU-a": spell("hang")}, 5 * SECOND)
    assert {"GPU-a": {"hang": False}} == first
    booked: dict[str, dict[Reason, IdleUse]] = {"GPU-a": {"hang": SPENT}}
    assert first == series.see(booked, {}, 5 * SECOND + AT_ZERO_NS - 1)
    assert {"GPU-a": {"hang": True}} == series.see(booked, {}, 5 * SECOND + AT_ZERO_NS)
    assert {"GPU-a": {"hang": False}} == first, "a snapshot is what it was"


def test_what_was_booked_unseen_stands_at_zero_too() -> None:
    """A reason that was booked and never in force at a tick, as of a gap that was filled, begins when it is booked."""
    series = IdleSeries(Opening(0))
    booked: dict[str, dict[Reason, IdleUse]] = {"GPU-a": {"hang": SPENT}, "GPU-b": {"checkpoint": SPENT}}
    assert {"GPU-a": {"hang": False}, "GPU-b": {"checkpoint": False}} == series.see(booked, {}, 0)


def test_what_the_agent_before_showed_goes_on() -> None:
    """Reasons of the opening are shown at once: a zero between would count all of it again."""
    opened: dict[str, dict[Reason, IdleUse]] = {"GPU-a": {"memory-held": SPENT}}
    series = IdleSeries(Opening(0, idle=opened, risen={"GPU-a": frozenset({"memory-held"})}))
    assert {"GPU-a": {"memory-held": True}} == series.see(opened, {"GPU-a": spell("memory-held")}, 0)
    found = series.see(opened, {"GPU-a": spell("hang")}, 1)
    assert {"GPU-a": {"memory-held": True, "hang": False}} == found


def test_what_was_at_zero_when_the_agent_before_died_stands_there_anew() -> None:
    """Nobody was shown more of it than 0: it rises after a minute of this agent's, and that is written once."""
    opened: dict[str, dict[Reason, IdleUse]] = {"GPU-a": {"memory-held": SPENT, "hang": SPENT}}
    series = IdleSeries(Opening(0, idle=opened, risen={"GPU-a": frozenset({"hang"})}))
    assert {"GPU-a": {"hang": True, "memory-held": False}} == series.see(opened, {}, SECOND)
    assert [] == series.risen(1)
    series.see(opened, {}, SECOND + AT_ZERO_NS - 1)
    assert [] == series.risen(2)
    assert {"GPU-a": {"hang": True, "memory-held": True}} == series.see(opened, {}, SECOND + AT_ZERO_NS)
    assert [ReasonRisen(3, "GPU-a", "memory-held")] == series.risen(3)
    assert [] == series.risen(4)
