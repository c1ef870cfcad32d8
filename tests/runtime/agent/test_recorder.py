"""The node's recorder against the simulated node: the laws of the design, with runs that come, share and go."""

import tempfile
from collections.abc import Sequence
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmeter.clock import ManualClock
from costmeter.errors import SourceError
from costmeter.ledger.node.journal import fold_node_path, node_paths
from costmeter.ledger.node.query import opening
from costmeter.ledger.node.record import Holders, Opening, RunEnded, RunSeen
from costmeter.ledger.record import Devices, Header, RatesChange, SlotEntry
from costmeter.ledger.resume import Earlier, Resume
from costmeter.meter.activity import IdleRule
from costmeter.meter.holder import Holder
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Quantities, Slot
from costmeter.meter.standing import Standing
from costmeter.meter.totals import DeviceTotals, Totals, by_component, totals
from costmeter.rates.book import Book
from costmeter.runtime.agent.admission import CHANGES_AT_ONCE, PHASES_KEPT
from costmeter.runtime.agent.events import Held, RunTold
from costmeter.runtime.agent.room import MOST_RUNS
from costmeter.runtime.agent.runs import FACTS_WRITTEN
from costmeter.runtime.agent.writer import NodeWriter
from costmeter.runtime.events import Batch, OpenFailed
from costmeter.sources.nvml import NvmlSource
from tests.runtime.heldnode import EVERYBODY, LEE, LEE_1, MAYA_1, MAYA_2, RULE, HeldNode, facts, held_node
from tests.runtime.metered import BEGAN_UTC_NS, BOOTED_NS, SECOND
from tests.runtime.test_recorder import LOST, TWO_GPUS, owned_book
from tests.sources.nodes import STEADY, node

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
#: What the counters of a run and of a device are made of.
COUNTED = [field.name for field in fields(Quantities) if field.name.startswith(("busy", "idle", "unknown"))]
#: 23:59:50 UTC on 2026-11-22.
LATE_UTC_NS = BEGAN_UTC_NS - BEGAN_UTC_NS % (24 * HOUR) + 24 * HOUR - 10 * SECOND


def slots(run: HeldNode) -> list[Slot]:
    return [record.slot for file in run.files for record in file if isinstance(record, SlotEntry)]


def closed_all(run: HeldNode) -> DeviceTotals:
    """What all devices of the node came to by its journal's last file."""
    return run.folded[-1].totals.whole


#: What may happen to two GPUs: time passes, or they change hands, or a run ends.
HANDS = st.lists(st.sampled_from(EVERYBODY), max_size=3, unique=True)
STEPS = st.lists(
    st.one_of(
        st.integers(1_000_000, 90 * SECOND),
        st.tuples(HANDS, HANDS),
        st.sampled_from([MAYA_1, MAYA_2, LEE_1]),
    ),
    min_size=1,
    max_size=14,
)
Step = int | tuple[list[Holder], list[Holder]] | Holder


def play(run: HeldNode, steps: Sequence[Step]) -> None:
    """Open, let these things happen, end at the last reading."""
    run.begin()
    for step in steps:
        if isinstance(step, int):
            run.tick(step)
        elif isinstance(step, Holder):
            run.gone(step)
        else:
            run.hold(*step)
    run.tick()
    run.end()


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_every_nanosecond_of_every_device_is_held_or_unheld_once(steps: list[Step]) -> None:
    """Held and unheld time of each device sum to the agent's time, and its energy to what its counter counted."""
    with held_node(TWO_GPUS) as run:
        play(run, steps)
        length_ns = run.clock.boottime_ns() - run.start_ns
        found = run.folded[-1].totals.devices
        assert [length_ns] * 2 == [device.quantities.nanoseconds for device in found.values()]
        assert run.folded[-1].footer is not None


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_runs_users_and_nobody_sum_to_the_devices(steps: list[Step]) -> None:
    """What runs did, what users did of whom no run is known, and what nobody held is all, to the last cent."""
    with held_node(TWO_GPUS, owned_book()) as run:
        play(run, steps)
        part = run.folded[-1]
        accounts = Totals()
        for account in part.accounts.values():
            accounts = accounts + account.totals
        if not any(LEE in holders for slot in slots(run) for holders in slot.holders.values()):
            assert accounts.whole == part.held.whole
        assert accounts.whole.quantities.nanoseconds <= part.held.whole.quantities.nanoseconds
        assert (part.held + part.unheld).whole == part.totals.whole


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_live_is_the_fold_of_the_journal(steps: list[Step]) -> None:
    """What the last snapshot shows, open slot included, is what a reader of the file makes of it, run by run."""
    with held_node(TWO_GPUS, owned_book()) as run:
        play(run, steps)
        live, read = run.snapshot.node, run.folded[-1]
        assert (live.held, live.unheld) == (read.held, read.unheld)
        assert {key: account.totals for key, account in live.accounts.items()} == {
            key: account.totals for key, account in read.accounts.items()
        }
        assert (live.ended, live.sunk) == (read.ended, read.sunk)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_exposed_counters_never_fall(steps: list[Step]) -> None:
    """Neither a device's held or unheld time and energy nor a run's ever get less from one snapshot to the next."""
    with held_node(TWO_GPUS, owned_book()) as run:
        play(run, steps)
        before: dict[object, DeviceTotals] = {}
        for post in run.posts:
            part = post.snapshot.node
            now: dict[object, DeviceTotals] = {("held", uuid): found for uuid, found in part.held.devices.items()}
            now |= {("unheld", uuid): found for uuid, found in part.unheld.devices.items()}
            now |= {key: account.totals.whole for key, account in part.accounts.items()}
            for name, earlier in before.items():
                after = now.get(name, DeviceTotals())  # what has come to nothing is in no table
                for field in COUNTED:
                    assert getattr(after.quantities, field) >= getattr(earlier.quantities, field)
                assert all(after.charges[key] >= amount for key, amount in earlier.charges.items())
            before = now


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_changing_hands_changes_no_devices_sum(steps: list[Step]) -> None:
    """The same seconds without any holder: every device has the same time and energy, to the last microjoule."""
    found = []
    for happenings in (steps, [step for step in steps if isinstance(step, int)]):
        with held_node(TWO_GPUS) as run:
            play(run, happenings)
            found.append({uuid: d.quantities.microjoules for uuid, d in run.folded[-1].totals.devices.items()})
    assert found[0] == found[1]


@settings(max_examples=15, deadline=None)
@given(STEPS, st.booleans())
def test_what_was_shown_last_is_what_the_files_say(steps: list[Step], at_midnight: bool) -> None:
    """Written by the agent's writer and read back: the last file has the counters of the last snapshot, all of them."""
    with held_node(TWO_GPUS, owned_book(), LATE_UTC_NS if at_midnight else BEGAN_UTC_NS) as run:
        play(run, steps)
        with tempfile.TemporaryDirectory() as folder:
            writer = NodeWriter(Path(folder), "gpu01", Path(folder))
            for post in run.posts:
                writer.write(post)
            read, shown = fold_node_path(node_paths(Path(folder))[-1]), run.snapshot.node
        assert not read.problems
        assert (read.held, read.unheld, read.ended, read.sunk) == (shown.held, shown.unheld, shown.ended, shown.sunk)
        assert {key: account.totals for key, account in read.accounts.items()} == {
            key: account.totals for key, account in shown.accounts.items()
        }


def test_since_when_a_device_is_in_its_state_and_what_the_day_began_with() -> None:
    """Nobody's for 10 s, then held: since then it is busy; a change of holder breaks no row."""
    with held_node(STEADY) as run:
        run.begin()
        run.tick(10 * SECOND)
        [uuid] = [device.uuid for device in run.devices]
        assert run.snapshot.since_utc_ns == {uuid: BEGAN_UTC_NS}
        run.hold([MAYA_1])
        run.tick(5 * SECOND)
        run.hold([LEE])
        run.tick(5 * SECOND)
        assert run.snapshot.since_utc_ns == {uuid: BEGAN_UTC_NS + 10 * SECOND}
        assert run.snapshot.opened == (BEGAN_UTC_NS, Decimal(0))


def test_who_held_devices_before_a_restart_holds_them_until_they_are_read() -> None:
    """A first look at nothing, before the driver answers, ends no run's hold; the first reading's look does."""
    clock = ManualClock(BEGAN_UTC_NS, BOOTED_NS)
    library = node(STEADY, clock, BOOTED_NS)
    source = NvmlSource(clock, library)
    [uuid] = [device.uuid for device in source.open()]
    source.close()
    run = HeldNode(library, clock, owned_book(), holders={uuid: (MAYA_1,)})
    run.recorder.handle(Held(clock.boottime_ns(), {}, {}))
    clock.advance(3 * SECOND)
    run.begin()
    run.tick(SECOND)
    assert run.seconds(MAYA_1.key) == 3
    assert run.snapshot.node.unheld.whole.quantities.nanoseconds == SECOND
    run.source.close()


def test_a_slot_ends_where_a_device_changes_hands() -> None:
    """10 s of nobody, 2.5 s of maya on one GPU, then lee beside her: cut between ticks, for all devices."""
    with held_node(TWO_GPUS) as run:
        run.begin()
        run.tick(10 * SECOND)
        run.hold([MAYA_1], [])
        run.tick(2 * SECOND)
        run.clock.advance(SECOND // 2)
        run.hold([MAYA_1, LEE], [])
        run.tick(SECOND // 2)
        run.end()

        first, second = (device.uuid for device in run.devices)
        found = [(slot.end_utc_ns - slot.start_utc_ns, slot.holders.get(first, ())) for slot in slots(run)]
        assert found == [
            (10 * SECOND, ()),
            (5 * SECOND // 2, (MAYA_1,)),
            (SECOND // 2, (MAYA_1, LEE)),
        ]
        assert all(not slot.holders.get(second) for slot in slots(run))
        assert run.seconds(MAYA_1.key) == 2.75
        assert run.folded[-1].held.devices[first].quantities.nanoseconds == 3 * SECOND
        assert run.folded[-1].unheld.devices[first].quantities.nanoseconds == 10 * SECOND


def test_a_run_that_tells_late_when_it_began_has_all_that_is_not_booked_yet() -> None:
    """Begun at 10.2 s, told at 10.7 s, read at 10 s and 11 s: 0.8 s are the run's; what was shown at 10 s stands."""
    with held_node(TWO_GPUS) as run:
        run.begin()
        run.tick(10 * SECOND)
        for told_ns, since_ns in ((SECOND * 7 // 10, SECOND // 5), (SECOND * 7 // 10, -5 * SECOND)):
            began_ns = run.clock.boottime_ns() + since_ns
            run.clock.advance(told_ns)
            maya = MAYA_1 if since_ns > 0 else MAYA_2
            found = {run.devices[0 if since_ns > 0 else 1].uuid: (maya,)}
            told = {maya.key: facts(maya)}
            run.recorder.handle(Held(run.clock.boottime_ns(), found, told, since_ns=began_ns))
            run.tick(SECOND - told_ns)
        assert (0.8, 1.0) == (run.seconds(MAYA_1.key), run.seconds(MAYA_2.key))


def test_holders_are_written_when_they_change_and_before_their_slots() -> None:
    """Said again without news nothing is written; each line of holders stands between the slots it divides."""
    with held_node(STEADY) as run:
        run.begin()
        for _ in range(3):
            run.tick()
            run.hold([MAYA_1])
        run.tick()
        run.hold([])
        run.tick()
        run.end()

        told = [r for r in run.files[-1] if isinstance(r, Holders | SlotEntry)]
        kinds = ["slot" if isinstance(r, SlotEntry) else len(r.by_device) for r in told]
        assert kinds == ["slot", 1, "slot", 0, "slot"]
        assert sum(isinstance(record, RunSeen) for record in run.files[-1]) == 1


def test_a_run_ends_after_all_that_it_held() -> None:
    """Its end is told behind its last slot, and what it sank is all that it cost."""
    with held_node(STEADY, owned_book()) as run:
        run.begin()
        run.hold([MAYA_1])
        run.tick(10 * SECOND)
        run.clock.advance(SECOND // 4)
        run.gone(MAYA_1, "failed")
        run.hold([])
        run.tick(SECOND)
        run.end()

        places = {type(record): at for at, record in enumerate(run.files[-1])}
        held = [at for at, r in enumerate(run.files[-1]) if isinstance(r, SlotEntry) and any(r.slot.holders.values())]
        assert max(held) < places[RunEnded]
        part = run.folded[-1]
        account = part.accounts[MAYA_1.key]
        assert account.totals.whole.quantities.nanoseconds == 41 * SECOND // 4
        assert part.ended == {"failed": 1}
        assert part.sunk == {"failed": account.totals.whole.cost}


@pytest.mark.parametrize("late", [False, True], ids=["in order", "late"])
def test_what_was_seen_before_a_runs_end_does_not_bring_it_back(late: bool) -> None:
    """Who looked for holders a moment before the run ended tells of it a moment after: it stays ended."""
    with held_node(STEADY) as run:
        run.begin()
        run.hold([MAYA_1])
        run.tick()
        run.gone(MAYA_1)
        if late:
            run.hold([MAYA_1])
        run.tick()
        run.end()

        assert run.folded[-1].accounts[MAYA_1.key].ended is not None
        assert run.seconds(MAYA_1.key) == 1


def test_a_run_that_comes_back_goes_on() -> None:
    """A job that is queued anew under its id lives again: its account goes on where it was."""
    with held_node(STEADY) as run:
        run.begin()
        run.hold([MAYA_1])
        run.tick(5 * SECOND)
        run.gone(MAYA_1, "preempted")
        run.tick(5 * SECOND)
        run.hold([MAYA_1])
        run.tick(5 * SECOND)
        run.end()

        account = run.folded[-1].accounts[MAYA_1.key]
        assert (account.ended, run.seconds(MAYA_1.key)) == (None, 10)


def test_runs_that_ended_go_after_a_quarter_of_an_hour() -> None:
    """Their last values stay for 15 minutes; what they had held stays in the devices' counters for ever."""
    with held_node(STEADY) as run:
        run.begin()
        run.hold([MAYA_1])
        run.tick(30 * SECOND)
        run.gone(MAYA_1)
        for _ in range(14):
            run.tick(MINUTE)
        shown = [run.snapshot.shown]
        for _ in range(3):
            run.tick(MINUTE)
        shown.append(run.snapshot.shown)

        assert shown == [(MAYA_1.key,), ()]
        assert MAYA_1.key not in run.snapshot.node.accounts
        assert run.snapshot.node.held.whole.quantities.nanoseconds == 30 * SECOND
        assert run.snapshot.node.ended == {"ok": 1}


def test_a_run_that_nobody_names_any_more_ends() -> None:
    """Nobody said that it ended: two minutes after it was last named it is over, and nobody knows how."""
    with held_node(STEADY) as run:
        run.begin()
        run.hold([MAYA_1])
        run.tick(30 * SECOND)
        run.hold([])
        for _ in range(4):
            run.tick(MINUTE)

        assert run.snapshot.node.ended == {"unknown": 1}
        assert run.seconds(MAYA_1.key) == 30


def test_progress_is_the_furthest_a_run_told_of() -> None:
    """Steps never fall back on the page; a run that nobody knows tells nothing."""
    with held_node(STEADY) as run:
        run.begin()
        run.hold([MAYA_1])
        for steps in (5, 9, 3):
            run.recorder.handle(RunTold(run.clock.boottime_ns(), MAYA_1.key, Progress(steps)))
        run.recorder.handle(RunTold(run.clock.boottime_ns(), LEE_1.key, Progress(1)))

        assert run.snapshot.furthest == {MAYA_1.key: Progress(9)}


# Limits


def test_no_more_live_runs_are_shown_than_asked_and_the_rest_is_counted() -> None:
    """Of three runs two are shown; when one has gone the third has room, and was counted once as hidden."""
    with held_node(TWO_GPUS, max_runs=2) as run:
        run.begin()
        run.hold([MAYA_1, MAYA_2], [LEE_1])
        run.tick()
        run.tick()
        assert (run.snapshot.shown, run.snapshot.hidden) == ((MAYA_1.key, MAYA_2.key), 1)
        run.gone(MAYA_1)
        run.tick()
        assert (run.snapshot.shown, run.snapshot.hidden) == ((MAYA_1.key, MAYA_2.key, LEE_1.key), 1)


def test_runs_beyond_the_limit_are_their_users() -> None:
    """Of 1,500 runs at once 1,000 have accounts; what the others hold their user holds, and they are counted once."""
    many = [Holder(place % 10, f"r-{place:04}", "mallory", "environment") for place in range(MOST_RUNS + 500)]
    with held_node(STEADY) as run:
        run.begin()
        for _ in range(2):
            run.hold([], runs=many)
            run.tick()
        run.hold([many[-1], many[0]], runs=many)
        run.tick()
        [holders] = run.recorder._slots.holders.values()

        assert len(run.snapshot.node.accounts) == MOST_RUNS
        assert holders == (Holder(9, "", "mallory", "user"), many[0])
        assert (run.snapshot.refused, run.snapshot.hidden) == (500, MOST_RUNS - 100)


def test_a_run_that_changes_its_phase_all_the_time_fills_no_disk() -> None:
    """A thousand changes in ten seconds cut about twenty slots; the last one said is heard when its time has come."""
    with held_node(STEADY) as run:
        run.begin()
        for place in range(1_000):
            run.clock.advance(SECOND // 100)
            run.hold([replace(MAYA_1, phase=f"phase {place}")])
        run.tick()
        run.hold([replace(MAYA_1, phase="last")])
        for _ in range(30):
            run.tick()
        phases = run.snapshot.node.accounts[MAYA_1.key].phases

        assert len(slots(run)) <= CHANGES_AT_ONCE + 5
        assert "last" in phases


def test_a_run_has_only_so_many_phases() -> None:
    """Beyond them they are all one, so that memory is bounded however long it goes on."""
    with held_node(STEADY) as run:
        run.begin()
        for place in range(PHASES_KEPT + 30):
            run.hold([replace(MAYA_1, phase=f"phase {place}")])
            run.tick(10 * SECOND)
        phases = run.snapshot.node.accounts[MAYA_1.key].phases

        assert len(phases) == PHASES_KEPT + 1
        assert phases["other"].quantities.nanoseconds == 300 * SECOND


def test_facts_that_never_rest_are_written_so_often() -> None:
    """A run whose labels change at every look fills no disk either."""
    with held_node(STEADY) as run:
        run.begin()
        for place in range(100):
            told = replace(facts(MAYA_1), labels={"turn": str(place)})
            held = {run.devices[0].uuid: (MAYA_1,)}
            run.recorder.handle(Held(run.clock.boottime_ns(), held, {MAYA_1.key: told}))
            run.tick()
        assert sum(isinstance(record, RunSeen) for record in run.files[-1]) == FACTS_WRITTEN


# Days


def test_a_file_ends_at_midnight_and_the_next_opens_where_it_stood() -> None:
    """10 s before and 20 s after midnight are two files; the second begins with the first's counters, and goes on."""
    with held_node(TWO_GPUS, owned_book(), LATE_UTC_NS) as run:
        run.begin()
        run.hold([MAYA_1], [LEE])
        for _ in range(6):
            run.tick(5 * SECOND)
        run.end()
        first, second = run.folded

        begun = [type(record) for record in run.files[1][:6]]
        assert begun == [Header, Opening, Devices, RatesChange, RunSeen, Holders]
        assert first.footer is not None
        assert second.footer is not None
        assert (first.footer.outcome, second.footer.outcome) == ("running", "ok")
        assert (first.footer.length_ns, second.footer.length_ns) == (10 * SECOND, 20 * SECOND)
        assert first.footer.ended_utc_ns == LATE_UTC_NS + 10 * SECOND
        today = LATE_UTC_NS + 10 * SECOND, first.totals.whole.cost
        assert run.files[1][1] == replace(opening(first, LATE_UTC_NS + 10 * SECOND), today=today)
        assert second.totals.whole.quantities.nanoseconds == 60 * SECOND
        assert run.seconds(MAYA_1.key) == 30
        assert [record.slot.number for record in run.files[1] if isinstance(record, SlotEntry)] == [0]


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_midnight_changes_no_counter(steps: list[Step]) -> None:
    """The same happenings at noon and around midnight: the same counters in the end, of every run and device."""
    found = []
    for utc_ns in (BEGAN_UTC_NS - BEGAN_UTC_NS % HOUR + 50 * SECOND, LATE_UTC_NS):
        with held_node(TWO_GPUS, owned_book(), utc_ns) as run:
            play(run, steps)
            part = run.folded[-1]
            found.append((part.held, part.unheld, {key: a.totals for key, a in part.accounts.items()}, part.ended))
    assert found[0] == found[1]


def test_three_days_asleep_are_three_files_more() -> None:
    """A machine that slept from Sunday to Wednesday: each midnight ends a file, and no second is lost."""
    with held_node(STEADY, utc_ns=LATE_UTC_NS) as run:
        run.begin()
        run.hold([MAYA_1])
        run.tick(72 * HOUR)
        run.end()

        assert len(run.files) == 4
        assert closed_all(run).quantities.nanoseconds == 72 * HOUR


@pytest.mark.parametrize(("step", "files"), [(-HOUR, 1), (2 * HOUR, 1), (40 * HOUR, 2), (-40 * HOUR, 2)])
def test_a_wall_clock_that_is_set_loses_no_time(step: int, files: int) -> None:
    """However far it is set, every second counts once; another day of the calendar begins another file."""
    with held_node(TWO_GPUS, owned_book()) as run:
        run.begin()
        run.hold([MAYA_1], [])
        run.tick(30 * SECOND)
        run.clock.step_wall(step)
        for _ in range(9):
            run.tick(10 * SECOND)
        run.end()

        assert len(run.files) == files
        assert closed_all(run).quantities.nanoseconds == 2 * 120 * SECOND
        assert run.seconds(MAYA_1.key) == 120


# The driver


def test_time_before_there_was_a_driver_is_nobodys() -> None:
    """An agent that waits three hours for a driver books no GPU that nobody has seen; then they count from there."""
    with held_node(TWO_GPUS) as run:
        run.recorder.handle(OpenFailed(SourceError("no NVIDIA driver")))
        for _ in range(3):
            run.clock.advance(HOUR)
            run.recorder.handle(Batch(run.clock.boottime_ns(), {}, slow=False))
        assert run.snapshot.open_slot is None
        run.begin()
        run.tick(10 * SECOND)
        assert run.snapshot.node.unheld.whole.quantities.nanoseconds == 20 * SECOND


def test_a_lost_gpu_stays_its_holders_and_unmeasured_time_is_unknown() -> None:
    """It is gone for 100 s, which its run holds as unknown time; its energy comes when it returns."""
    with held_node(LOST) as run:
        run.begin()
        run.hold([MAYA_1])
        for _ in range(20):
            run.tick(10 * SECOND)
        held = run.run(MAYA_1).whole.quantities
        assert held.nanoseconds == 200 * SECOND
        assert held.unknown_nanoseconds >= 90 * SECOND


# Prices loaded anew


def test_new_prices_hold_from_the_instant_they_came() -> None:
    """30 s under one price and 30 s under another, in one minute: two slots, each under its own rates."""
    dear = owned_book()
    cheap = replace(dear, gpus=(replace(dear.gpus[0], owned=replace(dear.gpus[0].owned, purchase=Decimal(17_520))),))  # type: ignore[type-var]  # it is owned
    with held_node(STEADY, cheap, BEGAN_UTC_NS - BEGAN_UTC_NS % MINUTE) as run:
        run.begin()
        run.hold([MAYA_1])
        run.tick(30 * SECOND)
        run.reload(dear)
        run.tick(30 * SECOND)
        run.tick(SECOND)
        run.end()
        charged = [capital(run, place) for place in (0, 1)]

        assert [slot.end_utc_ns - slot.start_utc_ns for slot in slots(run)][:2] == [30 * SECOND, 30 * SECOND]
        assert charged == [pytest.approx(Decimal("0.5") / 120), pytest.approx(Decimal(1) / 120)]
        assert run.snapshot.reload is not None
        assert run.snapshot.reload.is_good


def capital(run: HeldNode, place: int) -> Decimal:
    """What the hours of one slot of the journal cost, all devices."""
    rates, number = None, -1
    for record in run.files[-1]:
        if isinstance(record, RatesChange):
            rates = record.rates
        if isinstance(record, SlotEntry):
            number += 1
            if number == place:
                assert rates is not None
                return by_component(totals(record.slot, rates).whole.charges)["capital"]
    raise AssertionError(f"no slot {place}")


def test_another_rule_and_other_labels_begin_a_file() -> None:
    """30 s at 60 % load, busy, then idle below 70 %: a second file with the new head, on from where the first stood.

    What is told of the day goes on.
    """
    lazier = IdleRule(utilization_below=0.7)
    with held_node(STEADY, owned_book()) as run:
        run.begin()
        run.hold([MAYA_1])
        run.tick(30 * SECOND)
        began = run.snapshot.opened
        run.reload(owned_book(), lazier, {"team": "nlp"})
        run.tick(20 * SECOND)
        run.end()
        first, second = run.folded

        assert (first.header.rule, dict(first.header.labels)) == (RULE, {})
        assert (second.header.rule, dict(second.header.labels)) == (lazier, {"team": "nlp"})
        assert first.footer is not None
        assert (first.footer.outcome, first.footer.length_ns) == ("running", 30 * SECOND)
        assert second.header.start_ns == first.header.start_ns + 30 * SECOND
        held = second.accounts[MAYA_1.key].totals.whole.quantities
        assert (held.busy_nanoseconds, held.idle_nanoseconds) == (30 * SECOND, 20 * SECOND)
        assert run.snapshot.opened == began


def test_the_same_settings_begin_no_file() -> None:
    """Loaded anew without a change the file goes on; what the head does not say holds in it."""
    with held_node(STEADY, owned_book()) as run:
        run.begin()
        run.tick(30 * SECOND)
        run.reload(owned_book())
        run.tick(30 * SECOND)
        assert len(run.files) == 1


def test_settings_loaded_before_there_is_a_driver_hold_from_the_first_reading() -> None:
    """The price of the settings that came while nothing was there to be metered is the first and only one."""
    with held_node(STEADY) as run:
        run.recorder.handle(OpenFailed(SourceError("no NVIDIA driver")))
        run.clock.advance(HOUR)
        run.recorder.handle(Batch(run.clock.boottime_ns(), {}, slow=False))
        run.reload(owned_book(), IdleRule(0.7), {"team": "nlp"})
        run.begin()
        run.tick(30 * SECOND)
        run.end()

        priced = [record.rates for record in run.files[-1] if isinstance(record, RatesChange)]
        assert len(priced) == 1
        assert run.folded[-1].totals.whole.quantities.nanoseconds == 30 * SECOND
        assert "capital" in by_component(run.folded[-1].totals.whole.charges)


def test_a_change_of_rule_at_midnight_begins_one_file() -> None:
    """The day ends between two readings, and so does the rule: one file more, not two."""
    with held_node(STEADY, utc_ns=LATE_UTC_NS) as run:
        run.begin()
        run.tick(5 * SECOND)
        run.clock.advance(5 * SECOND)
        run.reload(Book(), IdleRule(0.7))
        run.tick(10 * SECOND)
        run.end()
        assert len(run.files) == 2


def test_refused_prices_change_nothing_but_the_word_of_it() -> None:
    """Faulty settings: the old ones hold, and the snapshot says that the last attempt failed, and when one last did."""
    with held_node(STEADY, owned_book()) as run:
        run.begin()
        run.tick(30 * SECOND)
        rates = run.recorder.part.rates
        run.reload(None)
        run.tick(10 * SECOND)

        assert run.recorder.part.rates is rates
        assert len(slots(run)) <= 1
        assert run.snapshot.reload is not None
        assert (run.snapshot.reload.is_good, run.snapshot.reload.good_utc_ns) == (False, BEGAN_UTC_NS)


# Restart


@settings(max_examples=30, deadline=None)
@given(STEPS, st.integers(0, 300))
def test_a_restart_keeps_every_sum(steps: list[Step], down_seconds: int) -> None:
    """Killed at any instant and begun anew: counters go on from what journal and open slot had, gap included."""
    clock = ManualClock(BEGAN_UTC_NS, BOOTED_NS)
    library = node(TWO_GPUS, clock, BOOTED_NS)
    one = HeldNode(library, clock, owned_book())
    one.begin()
    for step in steps:
        if isinstance(step, int):
            one.tick(step)
        elif isinstance(step, Holder):
            one.gone(step)
        else:
            one.hold(*step)
    one.tick()
    last, exposed = one.snapshot.node, one.snapshot
    booked_ns = clock.boottime_ns()
    plain = {uuid: Standing(counter, booked_ns) for uuid, counter in last.counters_microjoules.items()}
    standings = {**plain, **last.standings}
    facts = one.source.facts()
    one.source.close()
    clock.advance(down_seconds * SECOND)
    boards = {uuid: Resume(booked_ns, standing) for uuid, standing in standings.items()}
    earlier = Earlier(facts.version if facts else "", boards)
    holders = {uuid: held for uuid, held in last.holders.items() if held}
    two = HeldNode(library, clock, owned_book(), 100, opening(last, exposed.at_utc_ns), earlier, holders)
    try:
        two.begin()
        zeros = {key: account.at_zero for key, account in two.snapshot.node.accounts.items()}
        assert zeros == {key: account.at_zero for key, account in last.accounts.items()}
        two.tick()
        two.end()
        found = two.folded[-1].totals
        length_ns = clock.boottime_ns() - one.start_ns
        assert [device.quantities.nanoseconds for device in found.devices.values()] == [length_ns] * 2
        for key, account in last.accounts.items():
            after = two.folded[-1].accounts[key].totals.whole.quantities
            assert after.nanoseconds >= account.totals.whole.quantities.nanoseconds
        truth = sum(library.truth.energy_microjoules(d.uuid, BOOTED_NS, clock.boottime_ns()) for d in two.devices)
        assert found.whole.quantities.microjoules == pytest.approx(truth, rel=0.05, abs=3_000_000_000)
    finally:
        two.source.close()


def test_a_restored_run_that_is_not_there_any_more_ends() -> None:
    """It ended while no agent ran: two minutes after the first look without it it is over."""
    with held_node(STEADY) as before:
        before.begin()
        before.hold([MAYA_1])
        before.tick(30 * SECOND)
        begun = opening(before.snapshot.node, before.snapshot.at_utc_ns)
    clock = ManualClock(BEGAN_UTC_NS + HOUR, BOOTED_NS + HOUR)
    run = HeldNode(node(STEADY, clock, BOOTED_NS), clock, owned_book(), opened=begun)
    run.begin()
    run.hold([])
    for _ in range(4):
        run.tick(MINUTE)
    assert run.snapshot.node.ended == {"unknown": 1}
    assert run.seconds(MAYA_1.key) == 30
    run.source.close()
