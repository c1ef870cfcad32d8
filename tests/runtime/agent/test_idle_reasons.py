"""Why held GPUs of a node are idle: scenarios for every reason, through the recorder on a manual clock."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmeter.clock import ManualClock
from costmeter.ledger.record import SlotEntry
from costmeter.meter.holder import Holder
from costmeter.meter.idlememory import IdleMemory
from costmeter.meter.idling import IdleSpell, Reason
from costmeter.meter.progress import Progress
from costmeter.meter.totals import by_state
from costmeter.rates.book import Book
from costmeter.runtime.agent.events import AtWork, Held, RunTold
from tests.runtime.heldnode import LEE, MAYA_1, MAYA_2, HeldNode, facts, held_node
from tests.runtime.metered import BEGAN_UTC_NS, BOOTED_NS, SECOND
from tests.sources.nodes import node

MINUTE = 60 * SECOND
#: Three seconds to the first whole minute.
TO_MINUTE = 48

BOARD = """
devices:
  - name: NVIDIA H100 80GB HBM3
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    load: LOAD
    processes: PROCESSES
"""


def piece(power: str, utilization: int, seconds: int | None = None) -> str:
    """What a GPU does for so long, or from then on."""
    length = "" if seconds is None else f"for: {seconds} s, "
    return f"{{shape: constant, {length}power: {power}, utilization: {utilization} %}}"


def busy(seconds: int) -> str:
    """It computes."""
    return piece("600 W", 99, seconds)


def quiet(seconds: int) -> str:
    """It does nothing."""
    return piece("90 W", 0, seconds)


QUIET = piece("90 W", 0)
BUSY_THEN_QUIET = f"[{busy(60)}, {QUIET}]"
BUSY_THEN_SPIN = f"[{busy(60)}, {piece('110 W', 100)}]"
ONE, NONE = "[{pid: 5000001, memory: 40 GiB}]", "[]"


def board(load: str, processes: str = ONE) -> str:
    """A node of one such GPU."""
    return BOARD.replace("LOAD", load).replace("PROCESSES", processes)


def reasons(agent: HeldNode) -> Counter[Reason | None]:
    """Seconds of the first GPU by reason of its slots, as they were recorded."""
    found: Counter[Reason | None] = Counter()
    uuid = agent.devices[0].uuid
    for record in (record for post in agent.posts for record in post.records):
        if isinstance(record, SlotEntry) and record.slot.devices[uuid].idle_nanoseconds:
            slot = record.slot
            found[slot.reasons.get(uuid)] += slot.devices[uuid].idle_nanoseconds // SECOND
    return found


def now(agent: HeldNode) -> Reason | None:
    """Why the first GPU was idle just now; None where it was not."""
    return agent.snapshot.seen.intervals[agent.devices[0].uuid].reason


def tick(agent: HeldNode, seconds: int) -> None:
    for _ in range(seconds):
        agent.tick()


@pytest.mark.parametrize(
    ("expected", "load", "processes", "phase"),
    [
        pytest.param("no-process", BUSY_THEN_QUIET, "[{pid: 5000001, memory: 40 GiB, until: 60 s}]", "", id="it-died"),
        pytest.param("memory-held", QUIET, ONE, "", id="a-notebook"),
        pytest.param("waiting-for-data", BUSY_THEN_QUIET, ONE, "", id="it-worked-a-moment-ago"),
        pytest.param("hang", BUSY_THEN_SPIN, ONE, "", id="it-spins"),
        pytest.param("evaluation", BUSY_THEN_QUIET, ONE, "eval", id="it-evaluates"),
        pytest.param("checkpoint", BUSY_THEN_SPIN, ONE, "checkpoint", id="a-slow-checkpoint"),
        pytest.param("start-up", QUIET, ONE, "warm-up", id="a-long-warm-up"),
        pytest.param("waiting-for-data", QUIET, ONE, "data", id="it-says-so"),
    ],
)
def test_every_reason_is_given_where_it_holds(expected: Reason, load: str, processes: str, phase: str) -> None:
    """After five and a half minutes the reason is what the scenario is made for, in the interval and in the slot."""
    with held_node(board(load, processes)) as agent:
        agent.begin()
        agent.hold([replace(MAYA_1, phase=phase)])
        tick(agent, 330)
        uuid = agent.devices[0].uuid
        assert now(agent) == expected
        assert agent.snapshot.idle[uuid].reason == expected
        open_slot = agent.snapshot.open_slot
        assert open_slot is not None
        assert open_slot.reasons == {uuid: expected}


def test_a_notebook_is_in_its_start_up_before_it_holds_memory_for_nothing() -> None:
    """Who is new has five minutes to compute for the first time; its spell goes on under the other name."""
    with held_node(board(QUIET)) as agent:
        agent.begin()
        agent.hold([LEE])
        tick(agent, 299)
        assert now(agent) == "start-up"
        began = agent.snapshot.idle[agent.devices[0].uuid].since_utc_ns
        tick(agent, 1)
        assert now(agent) == "memory-held"
        assert agent.snapshot.idle[agent.devices[0].uuid].since_utc_ns == began == BEGAN_UTC_NS


def test_a_hang_is_called_so_after_its_grace() -> None:
    """A collective may wait for two minutes, or twice the longest step; a step that is told begins them anew."""
    with held_node(board(BUSY_THEN_SPIN)) as agent:
        agent.begin()
        agent.hold([MAYA_1])
        agent.recorder.handle(RunTold(agent.clock.boottime_ns(), MAYA_1.key, Progress(steps=1)))
        tick(agent, 60 + 30)
        assert now(agent) == "waiting-for-peer"
        agent.recorder.handle(RunTold(agent.clock.boottime_ns(), MAYA_1.key, Progress(steps=2)))
        tick(agent, 180)
        assert now(agent) == "waiting-for-peer"
        agent.recorder.handle(RunTold(agent.clock.boottime_ns(), MAYA_1.key, Progress(steps=2)))  # no step: the same
        tick(agent, 1)
        assert now(agent) == "hang"


def test_the_host_at_work_is_waiting_for_data() -> None:
    """A GPU that computed nothing for ten minutes waits for its host while that works, and is held for nothing else."""
    with held_node(board(QUIET)) as agent:
        agent.begin()
        agent.hold([MAYA_1])
        uuid = agent.devices[0].uuid
        tick(agent, 600)
        assert now(agent) == "memory-held"
        agent.recorder.handle(AtWork(agent.clock.boottime_ns(), {uuid: 3.5}))
        tick(agent, 1)
        assert now(agent) == "waiting-for-data"
        agent.recorder.handle(AtWork(agent.clock.boottime_ns(), {uuid: 0.1}))
        tick(agent, 1)
        assert now(agent) == "memory-held"


def test_a_run_without_a_process_that_was_never_there_is_told_so() -> None:
    """A run that announced itself and never came is without a process once it has had its time to start."""
    with held_node(board(QUIET, NONE)) as agent:
        agent.begin()
        agent.hold([MAYA_1])
        tick(agent, 299)
        assert now(agent) == "start-up"
        tick(agent, 1)
        assert now(agent) == "no-process"


def test_a_driver_that_shows_no_processes_proves_nothing() -> None:
    """Where a GPU computes and no process is listed, as in a container, an empty list is not believed."""
    load = f"{{repeat: [{busy(60)}, {quiet(600)}]}}"
    with held_node(board(load, NONE)) as agent:
        agent.begin()
        agent.hold([MAYA_1])
        tick(agent, 60 + 299)
        assert now(agent) == "waiting-for-data"
        tick(agent, 60)
        assert now(agent) == "unexplained"


def test_nobodys_idle_time_has_no_reason() -> None:
    """A GPU that nobody holds is idle for no reason; let go, it has none any more."""
    with held_node(board(QUIET)) as agent:
        agent.begin()
        tick(agent, 60)
        assert now(agent) is None
        assert agent.snapshot.idle == {}
        agent.hold([LEE])
        tick(agent, 60)
        assert now(agent) == "start-up"
        agent.hold([])
        tick(agent, 60)
        assert now(agent) is None
        assert agent.snapshot.idle == {}
        agent.end()
        held = {
            record.slot.start_utc_ns: record.slot
            for post in agent.posts
            for record in post.records
            if isinstance(record, SlotEntry)
        }
        assert all(bool(slot.reasons) <= bool(slot.holders) for slot in held.values())


def test_another_holder_begins_anew() -> None:
    """A GPU that changes hands is in the start-up of the next one; a phase that changes is no change of hands."""
    with held_node(board(QUIET)) as agent:
        agent.begin()
        agent.hold([LEE])
        tick(agent, 360)
        assert now(agent) == "memory-held"
        agent.hold([replace(LEE, phase="train")])
        tick(agent, 1)
        assert now(agent) == "memory-held"
        changed_utc_ns = agent.snapshot.at_utc_ns
        agent.hold([MAYA_2])
        tick(agent, 2)
        assert now(agent) == "start-up"
        assert agent.snapshot.idle[agent.devices[0].uuid].since_utc_ns == changed_utc_ns


def test_a_hand_over_that_overlaps_begins_anew() -> None:
    """A run that comes three seconds before the holder of an idle GPU ends inherits neither its time nor its money."""
    with held_node(board(QUIET), Book()) as agent:
        agent.begin()
        agent.hold([LEE])
        tick(agent, 360)
        uuid, changed_utc_ns = agent.devices[0].uuid, agent.snapshot.at_utc_ns
        agent.hold([LEE, MAYA_2])
        tick(agent, 3)
        assert now(agent) == "memory-held"
        agent.hold([MAYA_2])
        tick(agent, 4)
        spell, node = agent.snapshot.idle[uuid], agent.snapshot.node
        assert (now(agent), spell.since_utc_ns) == ("start-up", changed_utc_ns)
        so_far = by_state(node.held.devices[uuid].charges)["idle"] - spell.cost_before
        assert node.rates is not None
        hourly = sum((price for _, price in node.rates.devices[uuid].hourly), Decimal(0))
        assert abs(so_far - hourly * 7 / 3_600) < Decimal("0.000001") * hourly + Decimal("1e-9")
        tick(agent, 292)
        assert now(agent) == "start-up"
        tick(agent, 1)
        assert now(agent) == "memory-held"


def test_after_a_restart_nobody_starts_up_again() -> None:
    """Who held a GPU before the agent was started anew is not new; that it holds memory for nothing is seen later."""
    clock = ManualClock(BEGAN_UTC_NS, BOOTED_NS)
    library = node(board(QUIET), clock, BOOTED_NS)
    uuid = library.scenario.gpus[0].uuid
    agent = HeldNode(library, clock, Book(), holders={uuid: (LEE,)})
    agent.begin()
    agent.hold([LEE])
    tick(agent, 299)
    assert now(agent) == "unexplained"
    tick(agent, 1)
    assert now(agent) == "memory-held"
    agent.source.close()


def test_a_slot_has_the_reason_of_most_of_its_idle_time() -> None:
    """The minute in which the start-up ends after 48 seconds is start-up's; the next one is not."""
    with held_node(board(QUIET)) as agent:
        agent.begin()
        tick(agent, TO_MINUTE + 12)
        agent.hold([LEE])
        tick(agent, 360)
        agent.end()
        # Held from second 12 of a minute: five minutes later 12 s of a minute are start-up's and 48 s are not.
        assert reasons(agent) == Counter({None: 60, "start-up": 288, "memory-held": 72})


def test_a_moment_of_work_ends_no_spell_and_a_while_does() -> None:
    """What waits for data works now and then: fifteen seconds on end are no wait any more."""
    for work_seconds, spells in ((15, 1), (16, 4)):
        with held_node(board(f"{{repeat: [{busy(work_seconds)}, {quiet(40)}]}}"), Book()) as agent:
            agent.begin()
            agent.hold([MAYA_1])
            found = set()
            for _ in range(4 * (work_seconds + 40)):
                agent.tick()
                found |= {(spell.since_utc_ns, spell.cost_before) for spell in agent.snapshot.idle.values()}
            assert len(found) == spells, (work_seconds, found)


def test_a_spell_knows_what_idle_time_had_cost_before_it() -> None:
    """Idle charges now less those before the spell are what the spell cost: 100 s at the price of an hour."""
    load = f"[{quiet(100)}, {busy(100)}, {QUIET}]"
    with held_node(board(load), Book()) as agent:
        agent.begin()
        agent.hold([MAYA_1])
        tick(agent, 300)
        uuid = agent.devices[0].uuid
        spell, node = agent.snapshot.idle[uuid], agent.snapshot.node
        so_far = by_state(node.held.devices[uuid].charges)["idle"] - spell.cost_before
        assert node.rates is not None
        hourly = sum((price for _, price in node.rates.devices[uuid].hourly), Decimal(0))
        assert spell.since_utc_ns == BEGAN_UTC_NS + 200 * SECOND
        assert abs(so_far - hourly * 100 / 3_600) < Decimal("0.000001") * hourly + Decimal("1e-9")
        assert so_far > 0


def test_a_healthy_day_knows_nothing_worse_than_waits() -> None:
    """A day of eight healthy GPUs has no second of a hang, of memory held for nothing or of a missing process.

    It has start-up (20 s before the first step), and the seconds of its checkpoints, which it does not tell as phases,
    are taken for waiting.
    """
    with open("costmeter/sources/simulated/scenarios/healthy.yaml", encoding="utf-8") as file:
        text = file.read()
    with held_node(text) as agent:
        agent.begin()
        agent.hold(*[[MAYA_1]] * len(agent.devices))
        found: Counter[Reason | None] = Counter()
        for _ in range(24 * 360):
            agent.tick(10 * SECOND)
            found.update(each.reason for each in agent.snapshot.seen.intervals.values() if each.state == "idle")
            del agent.posts[:-1]
        assert found.keys() == {"start-up", "waiting-for-data"}
        assert found["start-up"] == 8 * 2  # 20 s before the first step, polled every 10 s
        # 1,200 steps of 1.25 s, three evaluations of 30 s and a checkpoint of 25 s are 1,615 s, of which 25 s are idle.
        assert found["waiting-for-data"] * 10 == pytest.approx(8 * 86_380 / 1_615 * 25, rel=0.05)


@pytest.mark.parametrize("holders", [pytest.param((MAYA_1,), id="one"), pytest.param((MAYA_1, MAYA_2), id="two")])
def test_cutting_changes_no_reason_and_no_sum(holders: tuple[Holder, ...]) -> None:
    """Slots cut by a phase that changes, and minutes that are not, have the same idle time, all of it with a reason."""
    sums = []
    for cuts in (False, True):
        with held_node(board(QUIET)) as agent:
            agent.begin()
            agent.hold(holders)
            for second in range(600):
                if cuts and second % 7 == 0:
                    agent.hold([replace(each, phase=f"train {second}") for each in holders])
                agent.tick()
            agent.end()
            sums.append(reasons(agent))
    whole, cut = sums
    assert whole.total() == cut.total() == 600
    assert None not in whole + cut
    assert abs(whole["memory-held"] - cut["memory-held"]) <= 60


LOADS = st.sampled_from([QUIET, BUSY_THEN_QUIET, BUSY_THEN_SPIN])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), LOADS)
def test_reasons_never_exceed_idle_time_however_it_is_cut(ticks: list[int], load: str) -> None:
    """However often it is read, a slot has a reason of just those devices that were held and idle in it.

    So it is, too, where it is told afterwards who held one, when its idle time is booked already.
    """
    with held_node(board(load)) as agent:
        agent.begin()
        agent.hold([LEE])
        for place, seconds in enumerate(ticks):
            agent.tick(seconds * SECOND)
            if place % 9 == 8:
                agent.hold([MAYA_1] if place % 2 else [])
            if place % 9 == 3:
                late(agent)
        agent.end()
        for record in (record for post in agent.posts for record in post.records):
            if isinstance(record, SlotEntry):
                for uuid, did in record.slot.devices.items():
                    is_idle = did.idle_nanoseconds > 0 and bool(record.slot.holders.get(uuid))
                    assert (uuid in record.slot.reasons) == is_idle


def late(agent: HeldNode) -> None:
    """Between two readings a run comes that had the first GPU a moment before, and goes."""
    agent.hold([])
    agent.clock.advance(SECOND // 2)
    now_ns, found = agent.clock.boottime_ns(), {agent.devices[0].uuid: (MAYA_2,)}
    agent.recorder.handle(Held(now_ns, found, {MAYA_2.key: facts(MAYA_2)}, since_ns=now_ns - SECOND // 4))
    agent.clock.advance(SECOND // 4)
    agent.gone(MAYA_2)


@pytest.mark.parametrize(
    ("expected", "held_seconds"),
    [
        pytest.param("start-up", 0, id="who-is-new"),
        pytest.param("start-up", 299, id="who-is-nearly-new"),
        pytest.param("unexplained", 300, id="who-was-there-for-long"),
    ],
)
def test_idle_time_of_who_went_before_it_was_read_has_a_reason(expected: Reason, held_seconds: int) -> None:
    """Half a second is the run's, of a second that is read when nobody holds the GPU any more."""
    with held_node(board(QUIET)) as agent:
        agent.begin()
        tick(agent, TO_MINUTE)
        agent.hold([MAYA_1])
        tick(agent, held_seconds)
        agent.hold([replace(MAYA_1, phase="training")])
        agent.clock.advance(SECOND // 2)
        agent.gone(MAYA_1)
        agent.tick(SECOND // 2)
        agent.end()
        slots = [each.slot for post in agent.posts for each in post.records if isinstance(each, SlotEntry)]
        uuid = agent.devices[0].uuid
        [last] = [slot for slot in slots if slot.holders.get(uuid) and slot.holders[uuid][0].phase == "training"]
        assert (SECOND // 2, {uuid: expected}) == (last.devices[uuid].idle_nanoseconds, last.reasons)


@pytest.mark.parametrize(
    ("goes_on", "found", "after_seconds"),
    [
        pytest.param(True, MAYA_1, 15, id="the-same-run"),
        pytest.param(False, MAYA_2, 15, id="another-run"),
        pytest.param(False, MAYA_1, 60, id="too-late"),
    ],
)
def test_a_run_whose_first_process_died_goes_on_idling_after_a_restart(
    goes_on: bool, found: Holder, after_seconds: int
) -> None:
    """Nobody holds its GPU at first, for its root is gone; then its other ranks are found, hung as before."""
    clock = ManualClock(BEGAN_UTC_NS, BOOTED_NS)
    library = node(board(piece("110 W", 100)), clock, BOOTED_NS)
    uuid = library.scenario.gpus[0].uuid
    since_ns = clock.boottime_ns() - 10 * MINUTE
    spell = IdleSpell("hang", BEGAN_UTC_NS - 10 * MINUTE, Decimal(0))
    memory = IdleMemory(since_ns, since_ns, since_ns, True, since_ns, spell=spell, runs=frozenset({MAYA_1.key}))
    agent = HeldNode(library, clock, Book(), idle={uuid: memory})
    agent.begin()
    tick(agent, after_seconds)
    assert not agent.snapshot.idle
    agent.hold([found])
    tick(agent, 1)
    assert now(agent) == ("hang" if goes_on else "start-up")
    assert goes_on == (agent.snapshot.idle[uuid].since_utc_ns == spell.since_utc_ns)
    agent.source.close()
