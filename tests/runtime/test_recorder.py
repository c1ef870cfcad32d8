"""The recorder against the simulated node: the laws of the design, with the node's own truth to compare with."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmeter.ledger.query import Run, begin, fold_all
from costmeter.ledger.record import Footer, Mark, RatesChange, SlotEntry
from costmeter.meter.charge import Origin
from costmeter.meter.schedule import Constant, Schedule
from costmeter.meter.totals import DeviceTotals, by_component, by_state
from costmeter.outputs.receipt import receipt
from costmeter.rates.book import Book, GpuPlan, Owned, Sourced
from costmeter.readings import Missing
from costmeter.runtime.events import Batch, Ended
from costmeter.runtime.outcome import outcome
from costmeter.runtime.writer import Writer
from tests.ledger.slowly import fold_journal, read_journal
from tests.runtime.metered import BEGAN_UTC_NS, SECOND, Metered, metered
from tests.sources.nodes import STEADY

MINUTE = 60 * SECOND
CONFIGURED = Origin("configured", "test")

TWO_GPUS = """
seed: 3
devices:
  - name: NVIDIA H100 80GB HBM3
    count: 2
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    energy_counter: {start: 5 J}
    load:
      - {shape: constant, for: 7 s, power: 118 W, utilization: 3 %}
      - shape: square
        period: 2 s
        high_for: 1 s
        high: {power: 650 W, utilization: 100 %}
        low: {power: 90 W, utilization: 0 %}
"""
LOST = (
    STEADY
    + """
    faults:
      - {kind: lost, at: 30 s, for: 100 s}
"""
)
RESET = (
    STEADY
    + """
    faults:
      - {kind: counter-reset, at: 92 s}
"""
)


def owned_book() -> Book:
    """Owned GPUs at 10 cents a kWh and a PUE of 1.2: capital and electricity, both."""
    return Book(
        gpus=(GpuPlan(owned=Owned(Decimal(35_040), CONFIGURED, life_years=Decimal(4))),),
        electricity=Sourced(Constant(Decimal("0.10")), CONFIGURED),
        pue=Sourced(Constant(Decimal("1.2")), CONFIGURED),
    )


def play(run: Metered, steps_ns: list[int]) -> None:
    """Open after a first moment, tick after each step, end at the last reading."""
    run.clock.advance(SECOND // 3)
    run.open()
    run.tick(0)
    for step_ns in steps_ns:
        run.tick(step_ns)
    run.end()


def whole(run: Metered) -> DeviceTotals:
    """The run's totals as its journal gives them."""
    return run.written().totals.whole


STEPS = st.lists(st.integers(1_000_000, 90 * SECOND), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_every_nanosecond_is_in_one_state_of_every_device(steps_ns: list[int]) -> None:
    """From spawn to reap each device's busy, idle and unknown time sum to the length of the run, to the nanosecond."""
    with metered(TWO_GPUS) as run:
        play(run, steps_ns)
        length_ns = run.clock.boottime_ns() - run.start_ns
        totals = run.written().totals
        assert [length_ns] * 2 == [device.quantities.nanoseconds for device in totals.devices.values()]


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_counter_energy_is_the_counters_own_difference(steps_ns: list[int]) -> None:
    """However it is polled, the energy between first and last reading is the counter's difference, 0 mJ off."""
    with metered(TWO_GPUS) as run:
        run.clock.advance(SECOND // 3)
        run.open()
        run.tick(0)
        first = {d.uuid: run.source.read(d.uuid, slow=False).energy_microjoules for d in run.devices}
        for step_ns in steps_ns:
            run.tick(step_ns)
        last = {d.uuid: run.source.read(d.uuid, slow=False).energy_microjoules for d in run.devices}
        run.end()
        totals = run.written().totals.devices
        for uuid, counter in last.items():
            assert isinstance(counter, int)
            assert counter - first[uuid] == totals[uuid].quantities.counter_microjoules  # type: ignore[operator]  # both int


@settings(max_examples=30, deadline=None)
@given(STEPS, st.booleans())
def test_live_totals_receipt_and_journal_agree(steps_ns: list[int], owned: bool) -> None:
    """Live totals before the end, the fold in memory and the fold of the file are the same to the last digit."""
    with metered(TWO_GPUS, owned_book() if owned else None, host_watts=400.0) as run:
        run.open()
        run.tick(0)
        for step_ns in steps_ns:
            run.tick(step_ns)
        live = run.snapshot.totals
        run.end()
        in_memory = fold_all(begin(run.header), run.records).totals
        assert live == in_memory
        assert run.written().totals == in_memory


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_exposed_totals_never_fall(steps_ns: list[int]) -> None:
    """Time, energy, money and grams of every snapshot are at least those of the one before."""
    with metered(TWO_GPUS, owned_book(), host_watts=400.0) as run:
        play(run, steps_ns)
        before = DeviceTotals()
        for post in run.posts:
            now = post.snapshot.totals.whole
            assert now.quantities.nanoseconds >= before.quantities.nanoseconds
            assert now.quantities.microjoules >= before.quantities.microjoules
            assert now.operational_micrograms >= before.operational_micrograms
            assert all(now.charges[key] >= amount for key, amount in before.charges.items())
            before = now


@settings(max_examples=30, deadline=None)
@given(STEPS, STEPS)
def test_polling_otherwise_changes_no_rent_and_no_counter_energy(one: list[int], other: list[int]) -> None:
    """Two meters that poll the same span at different instants find the same rent and the same energy."""
    span_ns = 3 * MINUTE
    found = []
    for steps_ns in (one, other):
        with metered(STEADY) as run:
            run.open()
            run.tick(0)
            passed_ns = 0
            for step_ns in steps_ns:
                if passed_ns + step_ns < span_ns:
                    run.tick(step_ns)
                    passed_ns += step_ns
            run.tick(span_ns - passed_ns)
            run.end()
            totals = whole(run)
            found.append((by_component(totals.charges), totals.quantities.microjoules, totals.quantities.nanoseconds))
    assert found[0] == found[1]


def test_slots_end_at_every_utc_minute() -> None:
    """A run from 14:03:12 for 130 s is recorded as slots of 48 s, 60 s and 22 s, without gap or overlap."""
    with metered(STEADY) as run:
        run.open()
        run.tick(0)
        for _ in range(13):
            run.tick(10 * SECOND)
        run.end()
        slots = [record.slot for record in run.records if isinstance(record, SlotEntry)]
        assert [slot.end_utc_ns - slot.start_utc_ns for slot in slots] == [48 * SECOND, 60 * SECOND, 22 * SECOND]
        assert slots[0].start_utc_ns == BEGAN_UTC_NS
        assert [slot.end_utc_ns for slot in slots[:-1]] == [slot.start_utc_ns for slot in slots[1:]]


def test_a_steady_gpu_costs_what_a_hand_calculation_says() -> None:
    """One H100 at 300 W for 600 s, owned for 35,040 over 4 years, PUE 1.2, 0.10 per kWh.

    Capital: 35,040 / (4 × 8,760 h) = 1 per hour, so 1/6. Energy: 300 W × 600 s = 180 kJ = 0.05 kWh, × 1.2 = 0.06 kWh,
    × 0.10 = 0.006. Operational CO2e at the world average of 472.94 g/kWh: 0.06 × 472.94 = 28.3764 g.
    """
    with metered(STEADY, owned_book()) as run:
        run.open()
        run.tick(0)
        for _ in range(600):
            run.tick()
        run.end()
        totals = whole(run)
        money = by_component(totals.charges)
        assert Decimal("0.166666666667") == pytest.approx(money["capital"], abs=Decimal("1e-10"))
        assert Decimal("0.006") == pytest.approx(money["electricity"], abs=Decimal("1e-10"))
        assert totals.quantities.microjoules == 180_000_000_000
        assert pytest.approx(totals.operational_micrograms, abs=20) == 28_376_400


def test_the_head_is_estimated_from_the_first_power() -> None:
    """The 2 s between spawn and first reading at 300 W are 600 J, estimated; the rest is measured."""
    with metered(STEADY) as run:
        run.clock.advance(2 * SECOND)
        run.open()
        run.tick(0)
        for _ in range(10):
            run.tick()
        run.end()
        quantities = whole(run).quantities
        assert quantities.estimated_microjoules == 600_000_000
        assert quantities.counter_microjoules == 3_000_000_000
        assert quantities.unmeasured_nanoseconds == 0


def test_what_was_read_after_the_reap_is_not_the_runs() -> None:
    """A last reading one second after the reap books only the time and the energy up to the reap."""
    with metered(STEADY) as run:
        run.open()
        run.tick(0)
        run.tick(10 * SECOND)
        reaped_ns = run.clock.boottime_ns() + SECOND
        run.tick(2 * SECOND, until_ns=reaped_ns)
        run.recorder.handle(Ended(reaped_ns, 0, None))
        quantities = whole(run).quantities
        assert quantities.nanoseconds == 11 * SECOND
        assert quantities.microjoules == 11 * 300_000_000
        footer = run.written().footer
        assert footer is not None
        assert 11 * SECOND == footer.length_ns


def test_without_a_last_reading_the_tail_is_unknown_and_still_rented() -> None:
    """When the driver hangs at the end, the time since its last answer is unknown, unmeasured, and paid for."""
    with metered(STEADY) as run:
        run.open()
        run.tick(0)
        run.tick(10 * SECOND)
        run.clock.advance(5 * SECOND)
        run.end()
        quantities = whole(run).quantities
        assert 5 * SECOND == quantities.unknown_nanoseconds == quantities.unmeasured_nanoseconds
        assert by_state(whole(run).charges)["unknown"] > 0


def test_a_lost_gpu_is_unknown_costs_rent_and_gets_its_energy_when_it_returns() -> None:
    """Lost from 30 s to 130 s: that time is unknown; the counter's whole difference is booked on return."""
    with metered(LOST) as run:
        run.open()
        run.tick(0)
        for _ in range(200):
            run.tick()
        run.end()
        quantities = whole(run).quantities
        assert quantities.nanoseconds == 200 * SECOND
        assert 99 * SECOND <= quantities.unknown_nanoseconds <= 101 * SECOND
        assert quantities.microjoules == 200 * 300_000_000
        marks = [record.what for record in run.records if isinstance(record, Mark)]
        assert len(marks) == 2, "a fault is marked when it begins and when it ends, not at every tick"
        assert "answers again" in marks[1]


def test_a_counter_reset_costs_at_most_one_tick_by_power() -> None:
    """A counter that falls and goes on from there was reset: that tick is booked by power, and nothing is negative."""
    with metered(RESET) as run:
        run.open()
        run.tick(0)
        for _ in range(120):
            run.tick()
        run.end()
        quantities = whole(run).quantities
        assert pytest.approx(quantities.microjoules, abs=1_000) == 120 * 300_000_000
        assert pytest.approx(quantities.power_microjoules, abs=1_000) == 300_000_000
        assert ["the energy counter was reset"] == [r.what for r in run.records if isinstance(r, Mark)]


class Doubling:
    """A price that doubles at every UTC minute, so that a slot priced under the wrong rates shows."""

    def at(self, utc_ns: int) -> Decimal:
        return Decimal(2) ** (utc_ns // MINUTE - BEGAN_UTC_NS // MINUTE)

    def doubt(self, utc_ns: int) -> str:
        return ""


def test_each_minute_is_priced_under_its_own_rates() -> None:
    """At 1, 2 and 4 per hour in successive minutes, 48 s + 60 s + 12 s cost (48 + 120 + 48) / 3,600."""
    price: Schedule = Doubling()
    book = Book(gpus=(GpuPlan(price=Sourced(price, CONFIGURED)),))
    with metered(STEADY, book) as run:
        run.open()
        run.tick(0)
        for _ in range(4):
            run.tick(30 * SECOND)
        run.end()
        assert pytest.approx(Decimal("0.06"), abs=Decimal("1e-11")) == whole(run).cost
        changes = [record for record in run.records if isinstance(record, RatesChange)]
        assert len(changes) == 3


def test_a_wall_clock_step_is_marked_and_loses_no_time() -> None:
    """When the wall clock is set back an hour, the next slot edge takes a new anchor and every second stays counted."""
    with metered(STEADY) as run:
        run.open()
        run.tick(0)
        run.tick(30 * SECOND)
        run.clock.step_wall(-3_600 * SECOND)
        for _ in range(9):
            run.tick(10 * SECOND)
        run.end()
        part = run.written()
        assert part.totals.whole.quantities.nanoseconds == 120 * SECOND
        assert part.totals.whole.quantities.microjoules == 120 * 300_000_000
        assert [mark.kind for mark in part.marks] == ["clock"]
        assert part.ended_utc_ns == BEGAN_UTC_NS + (120 - 3_600) * SECOND


def test_a_suspended_machine_loses_no_time() -> None:
    """A tick that comes ten hours late is cut at every minute in between and booked whole."""
    with metered(STEADY) as run:
        run.open()
        run.tick(0)
        run.tick(36_000 * SECOND)
        run.end()
        slots = [record for record in run.records if isinstance(record, SlotEntry)]
        assert len(slots) == 601
        assert whole(run).quantities.nanoseconds == 36_000 * SECOND


def test_the_host_share_is_the_runs_gpus_of_the_nodes() -> None:
    """One held GPU of two on a 400 W host for 600 s is 400 × 600 / 2 = 120 kJ of host energy."""
    with metered(TWO_GPUS, host_watts=400.0) as run:
        everything = run.source.open()
        run.open(everything[:1])
        run.tick(0)
        for _ in range(20):
            run.tick(30 * SECOND)
        run.end()
        assert whole(run).quantities.host_microjoules == 120_000_000_000


def test_readings_change_nothing() -> None:
    """A thousand looks at the live totals leave the run's totals as they would have been."""
    costs = []
    for looks in (0, 1_000):
        with metered(STEADY) as run:
            run.open()
            run.tick(0)
            run.tick(10 * SECOND)
            for _ in range(looks):
                assert run.snapshot.totals.whole.cost > 0
            run.tick(10 * SECOND)
            run.end()
            costs.append(whole(run))
    assert costs[0] == costs[1]


def test_a_receipts_parts_sum_to_its_whole() -> None:
    """In the receipt, components, states and devices each sum to the total cost, exactly."""
    with metered(TWO_GPUS, owned_book(), host_watts=123.4) as run:
        play(run, [SECOND] * 75)
        made = receipt(Run((run.written(),)))
        total = Decimal(made["cost"]["total"])
        assert total == sum(map(Decimal, made["cost"]["components"].values()))
        assert total == sum(map(Decimal, made["cost"]["states"].values()))
        assert total == sum(Decimal(device["cost"]) for device in made["devices"])
        assert total > 0


@pytest.mark.parametrize(
    ("exit_code", "signal", "heard"),
    [
        pytest.param(0, None, set(), id="saved"),
        pytest.param(7, None, {15}, id="failed-on-the-way"),
        pytest.param(None, 15, set(), id="by-term"),
        pytest.param(None, 9, {2}, id="by-kill"),
    ],
)
def test_what_a_budget_stopped_was_stopped_however_it_ended(
    exit_code: int | None, signal: int | None, heard: set[int]
) -> None:
    """A command that saves and ends well on a stop did not reach its end."""
    assert "stopped by budget" == outcome(Ended(0, exit_code, signal, frozenset(heard), stopped=True))


@pytest.mark.parametrize(
    ("exit_code", "signal", "heard", "expected"),
    [
        pytest.param(0, None, set(), "ok", id="clean"),
        pytest.param(3, None, set(), "failed", id="code"),
        pytest.param(None, 9, set(), "failed", id="killed"),
        pytest.param(None, 2, set(), "cancelled", id="ctrl-c"),
        pytest.param(130, None, set(), "cancelled", id="ctrl-c-as-a-code"),
        pytest.param(1, None, {2}, "cancelled", id="ctrl-c-caught"),
        pytest.param(0, None, {2}, "ok", id="ctrl-c-ignored"),
        pytest.param(None, 15, set(), "preempted", id="terminated"),
        pytest.param(143, None, set(), "preempted", id="terminated-as-a-code"),
        pytest.param(0, None, {15}, "preempted", id="terminated-and-saved"),
        pytest.param(0, None, {28}, "ok", id="window-resized"),
    ],
)
def test_outcomes_by_the_childs_fate(exit_code: int | None, signal: int | None, heard: set[int], expected: str) -> None:
    """Each fate of a child has its outcome, in the footer too."""
    with metered(STEADY) as run:
        run.open()
        run.tick(0)
        ended = Ended(run.clock.boottime_ns(), exit_code, signal, frozenset(heard))
        assert expected == outcome(ended)
        run.recorder.handle(ended)
        footer = run.records[-1]
        assert isinstance(footer, Footer)
        assert (expected, exit_code, signal) == (footer.outcome, footer.exit_code, footer.signal)


def test_a_part_number_does_not_change_totals() -> None:
    """Headers that differ only in their part fold to the same totals."""
    with metered(STEADY) as run:
        play(run, [SECOND] * 5)
        other = fold_all(begin(replace(run.header, part=7)), run.records)
        assert run.written().totals == other.totals


@pytest.mark.parametrize("step_seconds", [-3_600, 5, 30])
def test_a_meter_killed_at_a_wall_clock_step_counts_nothing_twice(step_seconds: int, tmp_path: Path) -> None:
    """At every tick around a step of the wall clock, what a kill -9 would leave on disk is what was live."""
    with metered(STEADY) as run:
        run.clock.advance(SECOND // 10_000)
        run.open()
        writer, written = Writer(tmp_path, "gpu01"), 0
        for tick in range(80):
            if tick == 20:
                run.clock.step_wall(step_seconds * SECOND)
            run.tick()
            for post in run.posts[written:]:
                writer.write(post)
            written = len(run.posts)
            assert run.snapshot.totals == fold_journal(read_journal(tmp_path / "gpu01.1.jsonl")).totals


def test_time_that_nobody_watched_is_unknown_and_marked() -> None:
    """After the machine slept for an hour, that hour is unknown, its energy the counter's, and a gap is marked."""
    with metered(STEADY, period_ns=SECOND) as run:
        run.open()
        run.tick(0)
        run.tick()
        run.tick(3_600 * SECOND)
        run.tick()
        run.end()
        part = run.written()
        quantities = part.totals.whole.quantities
        assert (2 * SECOND, 3_600 * SECOND) == (quantities.busy_nanoseconds, quantities.unknown_nanoseconds)
        assert 3_602 * 300_000_000 == quantities.microjoules
        assert 0 == quantities.unmeasured_nanoseconds
        assert ["gap"] == [mark.kind for mark in part.marks]


def test_a_tick_under_way_at_the_reap_books_nothing_beyond_it() -> None:
    """A device that answered before the reap and one that answered after it are both booked to the reap."""
    with metered(TWO_GPUS) as run:
        run.open()
        run.tick(0)
        run.tick(2 * SECOND)
        reaped_ns = run.clock.boottime_ns() - SECOND // 2
        run.tick(0, until_ns=reaped_ns)
        run.tick(SECOND, until_ns=reaped_ns)
        run.recorder.handle(Ended(reaped_ns, 0, None))
        lengths = [totals.quantities.nanoseconds for totals in run.written().totals.devices.values()]
        assert [2 * SECOND] * 2 == lengths, "what was booked before the reap was known stays, and no more is added"


def test_boards_that_were_read_on_both_sides_of_the_reap_are_held_equally_long() -> None:
    """A tick under way at the reap reads one board after it and the other not at all: both are booked to one end."""
    with metered(TWO_GPUS) as run:
        run.open()
        run.tick(0)
        run.tick(2 * SECOND)
        first, second = (device.uuid for device in run.devices)
        reaped_ns = run.clock.boottime_ns() + SECOND // 10
        run.clock.advance(SECOND // 10 + 200_000)
        late = Batch(reaped_ns, {first: run.source.read(first, False), second: Missing("busy")}, False)
        run.recorder.handle(late)
        run.tick(SECOND // 100, until_ns=reaped_ns)
        run.recorder.handle(Ended(reaped_ns, 0, None))
        part = run.written()
        lengths = {totals.quantities.nanoseconds for totals in part.totals.devices.values()}
        assert part.footer is not None
        assert {part.footer.length_ns} == lengths
