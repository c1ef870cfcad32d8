"""Slots cut where the run does something else: phases, checkpoints and work done again, and no sum changed by them."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmeter.ledger.record import Mark, SlotEntry, Subtotal
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Slot
from costmeter.meter.totals import DeviceTotals
from costmeter.runtime.events import Told
from tests.runtime.metered import SECOND, Metered, metered
from tests.runtime.test_recorder import TWO_GPUS, owned_book
from tests.sources.nodes import STEADY


def slots(run: Metered) -> list[Slot]:
    return [record.slot for record in run.records if isinstance(record, SlotEntry)]


def tell(run: Metered, phase: str, steps: int | None = None, **more: object) -> None:
    """The run says something now."""
    run.recorder.handle(Told(run.clock.boottime_ns(), phase, Progress(steps), **more))  # type: ignore[arg-type]


def begun(run: Metered) -> None:
    run.open()
    run.tick(0)


def test_a_slot_ends_where_the_phase_does() -> None:
    """3 s of nothing said, 2.5 s of training, then evaluation: three slots, cut between ticks for all devices."""
    with metered(TWO_GPUS) as run:
        begun(run)
        for _ in range(3):
            run.tick()
        tell(run, "training", 0)
        run.tick()
        run.tick()
        run.clock.advance(SECOND // 2)
        tell(run, "eval", 40)
        run.tick(SECOND // 2)
        run.end()

        lengths = [(slot.phase, slot.end_utc_ns - slot.start_utc_ns, slot.progress) for slot in slots(run)]
        assert lengths == [
            ("", 3 * SECOND, None),
            ("training", 5 * SECOND // 2, Progress(40)),
            ("eval", SECOND // 2, Progress(40)),
        ]
        for slot in slots(run):
            assert {held.nanoseconds for held in slot.devices.values()} == {slot.end_utc_ns - slot.start_utc_ns}


def test_a_checkpoint_costs_what_came_before_it() -> None:
    """Its mark follows the slot it ends: the part knows the cost by then, to the last digit, and the step."""
    with metered(STEADY, owned_book()) as run:
        begun(run)
        tell(run, "training", 1)
        run.tick(10 * SECOND)
        tell(run, "training", 100, has_saved=True)
        run.tick(10 * SECOND)
        run.end()
        part = run.recorder.part

        assert part.checkpoints == 1
        assert part.saved is not None
        assert part.saved.steps == 100
        assert part.saved.cost == pytest.approx(part.totals.whole.cost / 2, rel=Decimal("0.01"))
        assert part.saved.at_utc_ns == run.header.anchor.utc(run.start_ns + 10 * SECOND)
        assert run.written().saved == part.saved


def test_work_done_again_is_told_apart() -> None:
    """5 s to step 50, back to 20, 3 s until it is at 50 again: those are redone; the step before the fall is kept."""
    with metered(STEADY, owned_book()) as run:
        begun(run)
        tell(run, "training", 0)
        run.tick(5 * SECOND)
        tell(run, "training", 50)
        tell(run, "training", 20, redone=True, resumed=(20, 50))
        run.tick(3 * SECOND)
        tell(run, "training", 50)
        run.tick(SECOND)
        run.end()
        part = run.recorder.part

        redone = [(slot.redone, slot.progress) for slot in slots(run) if slot.progress]
        assert redone == [(False, Progress(50)), (True, Progress(50)), (False, Progress(50))]
        assert part.redone.quantities.nanoseconds == 3 * SECOND
        assert [mark.what for mark in part.milestones] == ["went on from step 20, after 50"]


def test_what_is_said_at_the_very_end_is_kept() -> None:
    """A checkpoint at the instant of the last reading is marked, though no slot begins there."""
    with metered(STEADY) as run:
        begun(run)
        tell(run, "training", 1)
        run.tick()
        tell(run, "checkpoint", 2, has_saved=True)
        run.end()

        assert run.recorder.part.checkpoints == 1
        assert [slot.phase for slot in slots(run)] == ["training"]


def test_without_gpus_marks_are_kept() -> None:
    """A run whose driver never answered, and that holds nothing: no slot, and its marks at once."""
    with metered(STEADY) as run:
        tell(run, "training", 5)
        run.end()
        tell(run, "training", 6, has_saved=True)

        assert not slots(run)
        assert run.recorder.part.checkpoints == 1


def test_before_the_driver_answers_phases_are_kept() -> None:
    """What is said while the driver opens cuts the time that is booked later."""
    with metered(STEADY) as run:
        run.clock.advance(2 * SECOND)
        tell(run, "training", 1)
        run.clock.advance(2 * SECOND)
        run.open()
        run.tick(0)
        run.tick()
        run.end()

        assert [(slot.phase, slot.end_utc_ns - slot.start_utc_ns) for slot in slots(run)] == [
            ("", 2 * SECOND),
            ("training", 3 * SECOND),
        ]


def test_a_phase_goes_on_over_the_minute() -> None:
    """A minute's edge cuts a phase in two slots of it; a change right on the edge needs no cut of its own."""
    with metered(STEADY) as run:
        begun(run)
        tell(run, "training", 1)
        run.tick(48 * SECOND)  # 14:04:00
        tell(run, "eval", 2)
        run.tick(70 * SECOND)
        run.end()

        assert [(slot.phase, (slot.end_utc_ns - slot.start_utc_ns) // SECOND) for slot in slots(run)] == [
            ("training", 48),
            ("eval", 60),
            ("eval", 10),
        ]


def test_a_stepped_clock_moves_what_is_ahead() -> None:
    """The wall clock is set an hour back in a phase: the phases before and after it keep their lengths."""
    with metered(STEADY) as run:
        begun(run)
        tell(run, "training", 1)
        run.tick(58 * SECOND)
        run.clock.step_wall(-3_600 * SECOND)
        run.tick(4 * SECOND)
        tell(run, "eval", 2)
        run.tick(8 * SECOND)
        run.end()

        spent: dict[str, int] = {}
        for slot in slots(run):
            spent[slot.phase] = spent.get(slot.phase, 0) + sum(held.nanoseconds for held in slot.devices.values())
        assert spent == {"training": 62 * SECOND, "eval": 8 * SECOND}


def test_the_open_slot_has_the_phase() -> None:
    """What is shown while the slot is open, and what is left in its file by a kill, says what the run was doing."""
    with metered(STEADY, owned_book()) as run:
        begun(run)
        tell(run, "eval", 7)
        run.tick()
        open_slot = run.snapshot.open_slot

        assert open_slot is not None
        assert (open_slot.phase, open_slot.progress) == ("eval", Progress(7))
        assert run.written().progress == Progress(7)
        assert set(run.written().phases) == {"eval"}


TOLD = st.tuples(
    st.sampled_from(["training", "eval", "checkpoint"]),
    st.integers(0, 100),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
STEPS = st.lists(
    st.tuples(st.integers(1, 70 * SECOND), st.one_of(st.none(), TOLD), st.integers(0, SECOND)), min_size=1, max_size=8
)


def play(run: Metered, steps: list[tuple[int, tuple[str, int, bool, bool, bool] | None, int]], tells: bool) -> None:
    begun(run)
    for length_ns, told, late_ns in steps:
        first_ns = length_ns * 3 // 7
        run.clock.advance(first_ns)
        if told is not None and tells:
            phase, done, redone, saved, back = told
            at_ns = run.clock.boottime_ns() - late_ns  # heard late: what lies before it may be booked already
            resumed = (done, done + 1) if back else None
            run.recorder.handle(Told(at_ns, phase, Progress(done), redone, saved, resumed))
        run.tick(length_ns - first_ns)
    run.end()


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_cutting_changes_no_sum(steps: list[tuple[int, tuple[str, int, bool, bool, bool] | None, int]]) -> None:
    """Law 3: what the run says changes no quantity of any device, whenever it is said and heard.

    Laws 1, 4 and 5: slots follow each other without a hole, every device fills each, phases sum to no more than the
    whole, every mark is kept, and what is read back is what was counted live.
    """
    with metered(TWO_GPUS, owned_book()) as told, metered(TWO_GPUS, owned_book()) as silent:
        play(told, steps, tells=True)
        play(silent, steps, tells=False)
        part = told.recorder.part

        for uuid, booked in silent.recorder.part.totals.devices.items():
            held = part.totals.devices[uuid].quantities
            # What a device was utilized for is no sum of the laws: it is rounded to the nanosecond at every cut.
            assert replace(held, utilized_nanoseconds=0) == replace(booked.quantities, utilized_nanoseconds=0)
            assert held.utilized_nanoseconds == pytest.approx(
                booked.quantities.utilized_nanoseconds, abs=2 * len(steps)
            )
        cut = slots(told)
        assert all(before.end_utc_ns == after.start_utc_ns for before, after in pairwise(cut))
        for slot in cut:
            assert {held.nanoseconds for held in slot.devices.values()} == {slot.end_utc_ns - slot.start_utc_ns} != {0}
        assert part.checkpoints == sum(each is not None and each[3] for _, each, _ in steps)
        resumes = [record for record in told.records if isinstance(record, Mark) and record.kind == "resume"]
        assert len(resumes) == sum(each is not None and each[4] for _, each, _ in steps)
        of_phases = sum((totals.cost for totals in part.phases.values()), Decimal(0))
        of_nothing = [slot for slot in cut if not slot.phase]
        assert of_nothing or of_phases == part.totals.whole.cost
        back = told.written()
        assert (back.totals, back.phases, back.redone, back.saved) == (
            part.totals,
            part.phases,
            part.redone,
            part.saved,
        )


def test_an_hour_of_slots_has_a_subtotal() -> None:
    """Slots cut by phases count as slots do: after 60 of them the journal says what it comes to."""
    with metered(STEADY) as run:
        begun(run)
        for number in range(61):
            tell(run, f"phase {number % 2}", number)
            run.tick()
        subtotals = [record for record in run.records if isinstance(record, Subtotal)]

        assert len(subtotals) == 1
        assert subtotals[0].summary.slots == 60
        assert subtotals[0].summary.whole != DeviceTotals()
