"""What is known of idle devices is written at every news, in measure, and is what another agent goes on with."""

from decimal import Decimal

from costmeter.clock import Anchor
from costmeter.meter.holder import Holder
from costmeter.meter.idletimes import IdleTimes
from costmeter.meter.interval import Interval
from costmeter.runtime.agent.idlenotes import AGAIN_NS, AT_ONCE, IdleNotes
from costmeter.runtime.idling import Idling
from tests.samples import SECOND

GPU, ANCHOR = "GPU-1", Anchor(0, 0)
MAYA = Holder(1001, "r-1", "maya", "announced")
MINUTE = 60 * SECOND


def interval(start_ns: int, end_ns: int, does: str) -> Interval:
    state, utilization = {"busy": ("busy", 0.9), "spins": ("idle", 1.0), "idle": ("idle", 0.0)}.get(
        does, ("unknown", None)
    )
    return Interval(GPU, start_ns, end_ns, state, 0, "counter", utilization)  # type: ignore[arg-type]  # from a table


def idling() -> Idling:
    found = Idling(lambda _: Decimal(7))
    found.hold({GPU: (MAYA,)}, 0)
    return found


def test_a_spell_is_written_when_it_begins_and_when_it_is_over() -> None:
    """And not at the ticks between; a device at work is none to write of."""
    watched, at_ns = idling(), SECOND
    notes, written = IdleNotes(watched, lambda _: IdleTimes()), []
    for does, seconds in (("busy", 60), ("idle", 60), ("busy", 30)):
        for _ in range(seconds):
            watched.see(interval(at_ns, at_ns + SECOND, does), ANCHOR)
            at_ns += SECOND
            written += list(notes.due(at_ns, at_ns, {}))
    assert [(62 * SECOND, 61 * SECOND), (137 * SECOND, None)] == [
        (note.at_utc_ns, note.memory.spell and note.memory.spell.since_utc_ns) for note in written
    ]


def test_a_device_that_idles_every_other_minute_fills_no_journal() -> None:
    """In a day 720 spells begin: four are written at once and then two an hour, and each end of one written."""
    watched, at_ns, day_ns = idling(), 0, 24 * 60 * MINUTE
    notes, written = IdleNotes(watched, lambda _: IdleTimes()), []
    while at_ns < day_ns:
        for does, length_ns in (("busy", MINUTE), ("idle", MINUTE)):
            watched.see(interval(at_ns, at_ns + length_ns, does), ANCHOR)
            at_ns += length_ns
            written += list(notes.due(at_ns, at_ns, {}))
    begun = [note for note in written if note.memory.spell is not None]
    assert 0 < len(begun) <= AT_ONCE + day_ns // AGAIN_NS
    assert len(written) <= 2 * len(begun)


def test_who_goes_on_says_what_was_said() -> None:
    """A hang of ten minutes is one at once, since when it was; that its run tells the same step again is no news."""
    before = idling()
    before.step(MAYA.key, 4, 0)
    before.step(MAYA.key, 5, SECOND)
    before.see(interval(0, MINUTE, "busy"), ANCHOR)
    before.see(interval(MINUTE, 11 * MINUTE, "spins"), ANCHOR)
    memory = before.memory(GPU, 11 * MINUTE)
    assert memory.spell is not None
    assert "hang" == memory.spell.reason
    after = Idling(lambda _: Decimal(99))
    after.expect({GPU: (MAYA,)}, 12 * MINUTE, {GPU: memory})
    after.step(MAYA.key, 5, 12 * MINUTE)
    assert None is after.see(interval(11 * MINUTE, 12 * MINUTE, "silent"), ANCHOR), "the gap"
    assert "hang" == after.see(interval(12 * MINUTE, 12 * MINUTE + SECOND, "spins"), ANCHOR)
    assert {GPU: memory.spell} == after.spells


def test_a_spell_that_was_another_holders_is_written_off() -> None:
    """Whoever stays when the holder of a spell goes has one of its own: none that goes on brings it back."""
    watched, lee = idling(), Holder(1002, "r-2", "lee", "announced")
    notes, at_ns = IdleNotes(watched, lambda _: IdleTimes()), 10 * MINUTE
    watched.see(interval(0, at_ns, "idle"), ANCHOR)
    assert [0] == [note.memory.spell.since_utc_ns for note in notes.due(at_ns, at_ns, {}) if note.memory.spell]
    watched.hold({GPU: (MAYA, lee)}, at_ns)
    watched.see(interval(at_ns, at_ns + SECOND, "idle"), ANCHOR)
    assert [] == list(notes.due(at_ns + SECOND, at_ns + SECOND, {}))
    watched.hold({GPU: (lee,)}, at_ns + SECOND)
    watched.see(interval(at_ns + SECOND, at_ns + 2 * SECOND, "idle"), ANCHOR)
    (note,) = notes.due(at_ns + 2 * SECOND, at_ns + 2 * SECOND, {})
    assert (note.memory.since_ns, note.memory.has_computed) == (at_ns, False)
    assert note.memory.spell is not None
    assert note.memory.spell.since_utc_ns == at_ns
