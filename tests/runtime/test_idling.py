"""What is known of held devices: reasons of their intervals, spells, and that nothing is decided on what is old."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.record import SlotEntry
from costmeter.meter.holder import Holder
from costmeter.meter.idling import Reason
from costmeter.meter.interval import Interval, explained
from costmeter.meter.progress import Progress
from costmeter.readings import Missing
from costmeter.runtime.events import Told
from tests.runtime.idlewatch import ANCHOR, GPU, LEE, MAYA, MINUTE, idling, interval
from tests.runtime.metered import SECOND, metered


def test_what_is_explained_is_otherwise_the_same() -> None:
    """The reason comes to an interval and changes nothing else of it."""
    before = Interval(GPU, 1, 2, "idle", 3, "counter", 0.04, 5, 6, 7)
    assert explained(before, "hang") == Interval(GPU, 1, 2, "idle", 3, "counter", 0.04, 5, 6, 7, "hang")


@pytest.mark.parametrize(
    ("expected", "silent_seconds"),
    [
        pytest.param("memory-held", 900, id="known-all-the-same"),
        pytest.param("waiting-for-data", 901, id="it-is-watched-anew"),
    ],
)
def test_who_was_not_watched_may_have_worked(expected: Reason, silent_seconds: int) -> None:
    """After a long sleep of the machine nobody says at once that a GPU has computed nothing for minutes."""
    found = idling()
    found.hold({GPU: (LEE,)}, 0)
    found.list({GPU: (4,)}, 0)
    found.see(interval(0, SECOND, "busy"), ANCHOR)
    at_ns = 10 * MINUTE
    assert found.see(interval(SECOND, at_ns, "idle"), ANCHOR) == "memory-held"
    found.see(interval(at_ns, at_ns + silent_seconds * SECOND, "silent"), ANCHOR)
    at_ns += silent_seconds * SECOND
    assert found.see(interval(at_ns, at_ns + SECOND, "idle"), ANCHOR) == expected
    assert found.spells[GPU].cost_before == Decimal(7)


def test_a_list_that_is_refused_is_unknown() -> None:
    """Without a list of processes the memory says whether somebody is there, and without both nobody does."""
    found = idling()
    found.hold({GPU: (LEE,)}, 0)
    found.list({GPU: ()}, 0)
    assert found.see(interval(0, 6 * MINUTE, "idle"), ANCHOR) == "no-process"
    found.list({GPU: Missing("no permission")}, 6 * MINUTE)
    assert found.see(interval(6 * MINUTE, 7 * MINUTE, "idle"), ANCHOR) == "unexplained"
    found.keep(GPU, 2**30)
    assert found.see(interval(7 * MINUTE, 8 * MINUTE, "idle"), ANCHOR) == "memory-held"
    found.keep(GPU, Missing("not asked"))
    assert found.see(interval(8 * MINUTE, 9 * MINUTE, "idle"), ANCHOR) == "unexplained"


def test_a_silent_device_goes_on_in_its_spell_for_a_while() -> None:
    """A GPU of which nobody can say what it does is idle for a reason no longer than a quarter of an hour."""
    found = idling()
    found.hold({GPU: (LEE,)}, 0)
    found.see(interval(0, SECOND, "idle"), ANCHOR)
    found.see(interval(SECOND, 901 * SECOND, "silent"), ANCHOR)
    assert GPU in found.spells
    found.see(interval(901 * SECOND, 902 * SECOND, "silent"), ANCHOR)
    assert found.spells == {}


OPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("see"), st.sampled_from(["busy", "idle", "spins", "silent"]), st.sampled_from([1, 30, 299, 650])
        ),
        st.tuples(st.just("hold"), st.sampled_from([(LEE,), (MAYA,), (LEE, MAYA), ()]), st.just(0)),
        st.tuples(st.just("step"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("list"), st.sampled_from([(), (4,), Missing("no")]), st.just(0)),
        st.tuples(st.just("work"), st.sampled_from([0.1, 2.0]), st.just(0)),
        st.tuples(st.just("keep"), st.sampled_from([0, 2**31]), st.just(0)),
    ),
    max_size=60,
)


@given(OPS)
def test_a_reason_stands_only_while_it_is_true(ops: list[tuple[str, object, int]]) -> None:
    """What is remembered of the tick before says the same as deciding anew at every interval."""
    remembering, deciding = idling(), idling()
    at_ns = 0
    for what, value, seconds in ops:
        for each in (remembering, deciding):
            if what == "hold":
                each.hold({GPU: value}, at_ns)  # type: ignore[dict-item]  # what `OPS` drew for it, as below
            elif what == "step":
                each.step(MAYA.key, value, at_ns)  # type: ignore[arg-type]
            elif what == "list":
                each.list({GPU: value}, at_ns)  # type: ignore[dict-item]
            elif what == "work":
                each.work({GPU: value})  # type: ignore[dict-item]
            elif what == "keep":
                each.keep(GPU, value)  # type: ignore[arg-type]
        if what == "see":
            deciding.keep("GPU-elsewhere", 0)
            later_ns = at_ns + seconds * SECOND
            seen = interval(at_ns, later_ns, str(value))
            assert remembering.see(seen, ANCHOR) == deciding.see(seen, ANCHOR)
            assert remembering.spells == deciding.spells
            at_ns = later_ns


QUIET = """
devices:
  - name: NVIDIA H100 80GB HBM3
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    load:
      - {shape: constant, for: 60 s, power: 600 W, utilization: 99 %}
      - {shape: constant, power: 90 W, utilization: 0 %}
    processes: [{pid: 5000001, memory: 40 GiB}]
"""


def told(at_ns: int, phase: str, steps: int | None = None) -> Told:
    return Told(at_ns, phase, Progress(steps=steps))


def test_a_wrapped_run_knows_why_its_devices_are_idle() -> None:
    """A run says that it evaluates; going on without a word it waits for data, and then it holds memory for nothing."""
    with metered(QUIET) as run:
        run.open()
        run.tick(0)
        uuid = run.devices[0].uuid
        found = []
        for second in range(600):
            if second in (100, 160):
                run.recorder.handle(told(run.clock.boottime_ns(), "eval" if second == 100 else "train"))
            run.tick()
            found.append(run.snapshot.seen.intervals[uuid].reason)
        run.end()
        assert found[:60] == [None] * 60
        assert found[60:100] == ["waiting-for-data"] * 40
        assert found[100:160] == ["evaluation"] * 60
        assert found[160:359] == ["waiting-for-data"] * 199
        assert found[359:] == ["memory-held"] * 241
        spell = run.snapshot.idle[uuid]
        assert (spell.reason, spell.since_utc_ns) == ("memory-held", run.header.anchor.utc(run.start_ns) + 60 * SECOND)
        slots = [record.slot for record in run.records if isinstance(record, SlotEntry)]
        assert {slot.reasons[uuid] for slot in slots if slot.phase == "eval"} == {"evaluation"}
        assert all((uuid in slot.reasons) == (slot.devices[uuid].idle_nanoseconds > 0) for slot in slots)


def test_a_visitor_does_not_make_a_holder_new() -> None:
    """A health check that holds the GPU for 10 s of every 150 s changes neither why it is idle nor since when."""
    found = idling()
    found.hold({GPU: (LEE,)}, 0)
    found.list({GPU: (4,)}, 0)
    assert found.see(interval(0, 10 * MINUTE, "idle"), ANCHOR) == "memory-held"
    for round_ in range(4):
        at_ns = 10 * MINUTE + round_ * 150 * SECOND
        found.hold({GPU: (LEE, MAYA)}, at_ns)
        assert found.see(interval(at_ns, at_ns + 10 * SECOND, "idle"), ANCHOR) == "memory-held"
        found.hold({GPU: (LEE,)}, at_ns + 10 * SECOND)
        assert found.see(interval(at_ns + 10 * SECOND, at_ns + 150 * SECOND, "idle"), ANCHOR) == "memory-held"
    assert found.spells[GPU].since_utc_ns == 0
    found.hold({GPU: (MAYA,)}, 20 * MINUTE)  # other hands altogether
    assert found.see(interval(20 * MINUTE, 21 * MINUTE, "idle"), ANCHOR) == "start-up"
    assert found.spells[GPU].since_utc_ns == 20 * MINUTE


def test_a_visitor_does_not_make_a_word_new() -> None:
    """A run that stands in its checkpoint for half an hour is believed no more, whoever looked at the GPU meanwhile."""
    found, saving = idling(), Holder(1001, "r-1", "maya", "announced", "checkpoint")
    found.hold({GPU: (saving,)}, 0)
    found.list({GPU: (4,)}, 0)
    found.see(interval(0, SECOND, "busy"), ANCHOR)
    found.hold({GPU: (saving, LEE)}, 10 * MINUTE)
    assert found.see(interval(SECOND, 11 * MINUTE, "idle"), ANCHOR) == "memory-held"
    found.hold({GPU: (saving,)}, 11 * MINUTE)
    assert found.see(interval(11 * MINUTE, 30 * MINUTE, "idle"), ANCHOR) == "checkpoint"
    assert found.see(interval(30 * MINUTE, 31 * MINUTE, "idle"), ANCHOR) == "memory-held"


@pytest.mark.parametrize("moment", ["busy", "idle", "silent"])
def test_a_moment_of_something_else_is_no_end_of_a_hang(moment: str) -> None:
    """A GPU that spins for minutes and does something else for one second of every thirty hangs all the same."""
    found, at_ns = idling(), SECOND
    found.hold({GPU: (MAYA,)}, 0)
    found.see(interval(0, SECOND, "busy"), ANCHOR)
    for _ in range(20):
        why = found.see(interval(at_ns, at_ns + 29 * SECOND, "spins"), ANCHOR)
        found.see(interval(at_ns + 29 * SECOND, at_ns + 30 * SECOND, moment), ANCHOR)
        at_ns += 30 * SECOND
    assert why == "hang"
    found.see(interval(at_ns, at_ns + 16 * SECOND, "busy"), ANCHOR)  # it works again
    assert found.see(interval(at_ns + 16 * SECOND, at_ns + 17 * SECOND, "spins"), ANCHOR) == "waiting-for-peer"


def test_uneven_ranks_between_steps_do_not_hang() -> None:
    """Three seconds of work and three of waiting in turn, for an hour and without a step told, is no hang."""
    found, seen = idling(), set()
    found.hold({GPU: (MAYA,)}, 0)
    for at_ns in range(0, 60 * MINUTE, 6 * SECOND):
        found.see(interval(at_ns, at_ns + 3 * SECOND, "busy"), ANCHOR)
        seen.add(found.see(interval(at_ns + 3 * SECOND, at_ns + 6 * SECOND, "spins"), ANCHOR))
    assert seen == {"waiting-for-peer"}


def test_steps_of_seven_minutes_are_steps() -> None:
    """Idle for most of each long step it waits for data, and spinning for a peer, until twice as long has passed."""
    found = idling()
    found.hold({GPU: (MAYA,)}, 0)
    found.list({GPU: (4,)}, 0)
    found.see(interval(0, SECOND, "busy"), ANCHOR)
    for step in range(3):
        found.step(MAYA.key, step, step * 7 * MINUTE + SECOND)
        at_ns = step * 7 * MINUTE + SECOND
        why = found.see(interval(at_ns, at_ns + 6 * MINUTE, "idle"), ANCHOR)
        at_ns += 6 * MINUTE
        spun = found.see(interval(at_ns, at_ns + MINUTE, "spins"), ANCHOR)
    assert (why, spun) == ("waiting-for-data", "waiting-for-peer")
    assert found.see(interval(21 * MINUTE + SECOND, 28 * MINUTE, "idle"), ANCHOR) == "waiting-for-data"
    assert found.see(interval(28 * MINUTE, 28 * MINUTE + SECOND, "idle"), ANCHOR) == "memory-held"
