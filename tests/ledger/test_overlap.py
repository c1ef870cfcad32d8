"""Which meters of a run may have seen the same, by the clock of the boot that they share."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmeter.ledger.bulk import load_run
from costmeter.ledger.cutting import cut
from costmeter.ledger.listing import list_runs
from costmeter.ledger.overlap import meeting, metered_elsewhere, ours
from costmeter.ledger.record import RatesChange, Record, SlotEntry
from costmeter.ledger.timeline import timeline
from costmeter.ledger.use import priced_slots
from tests.ledger.written import write
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    HOUR,
    JOULE,
    MINUTE,
    SECOND,
    devices,
    footer,
    header,
    held,
    measured,
    rates,
    rental,
    slot,
    uuids,
)

SPANS = st.lists(st.tuples(st.sampled_from(("gpu01", "gpu02")), st.integers(0, 20), st.integers(1, 12)), max_size=9)


@given(SPANS)
def test_meters_meet_whose_times_overlap_on_one_host(spans: list[tuple[str, int, int]]) -> None:
    """As every pair of them compared says: one that begins when another ends meets nobody."""
    meters = [(header(host=host, start_ns=start), start + length) for host, start, length in spans]
    overlapping = {
        place
        for place, (here, end_ns) in enumerate(meters)
        for other, (there, other_end_ns) in enumerate(meters)
        if place != other and here.host == there.host and here.start_ns < other_end_ns and there.start_ns < end_ns
    }
    assert sorted(overlapping) == meeting(meters)


def test_what_lies_beyond_a_window_counts() -> None:
    """Of a minute of which another meter had the first 20 s and again the last 10 s, 30 s count, with their energy."""
    whole = slot({"GPU-0": measured(MINUTE, 6_000), "GPU-1": measured(MINUTE, 6_000)})
    began_ns = BEGAN_NS
    windows = ((began_ns - MINUTE, began_ns + 20 * SECOND), (began_ns + 50 * SECOND, began_ns + 2 * MINUTE))
    counted = ours(whole, began_ns, {"GPU-0": windows})
    assert (30 * SECOND, 3_000) == (counted.devices["GPU-0"].nanoseconds, counted.devices["GPU-0"].microjoules)
    assert whole.devices["GPU-1"] == counted.devices["GPU-1"]


def test_windows_that_overlap_are_taken_off_once() -> None:
    """Three meters: two of them had the same first 40 s, so 20 s are left; a whole minute of theirs leaves nothing."""
    whole, began_ns = slot({"GPU-0": measured(MINUTE, 6_000)}), BEGAN_NS
    twice = ((began_ns, began_ns + 40 * SECOND), (began_ns + 10 * SECOND, began_ns + 30 * SECOND))
    assert 20 * SECOND == ours(whole, began_ns, {"GPU-0": twice}).devices["GPU-0"].nanoseconds
    assert not ours(whole, began_ns, {"GPU-0": ((began_ns, began_ns + MINUTE),)}).devices


PAIR = devices(2)


def stepped(folder: Path, part: int, first: int, after: int, step_ns: int, at: int, is_killed: bool = False) -> Path:
    """A meter from a minute to before another, 30 USD a GPU-hour, that sees the wall clock's step at minute `at`."""
    each = dict.fromkeys(uuids(PAIR), measured(MINUTE, JOULE))
    off = [step_ns if first < at <= minute else 0 for minute in range(first, after)]
    slots: list[Record] = [
        SlotEntry(
            replace(
                whole := slot(each, minute),
                start_utc_ns=whole.start_utc_ns + off[minute - first],
                end_utc_ns=whole.end_utc_ns + off[minute - first],
                number=minute - first,
            )
        )
        for minute in range(first, after)
    ]
    end = replace(footer((after - first) * MINUTE), ended_utc_ns=BEGAN_UTC_NS + after * MINUTE + off[-1])
    priced = RatesChange(BEGAN_UTC_NS, rates(dict.fromkeys(uuids(PAIR), rental("30"))))
    about = header(part=part, pid=part, start_ns=BEGAN_NS + first * MINUTE, run=folder.name)
    return write(folder, about, [held(PAIR), priced, *slots, *([] if is_killed else [end])])


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory that is empty."""
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


@pytest.mark.parametrize("step_ns", [-HOUR, -20 * MINUTE, 20 * MINUTE, HOUR], ids=lambda ns: f"{ns // MINUTE} min")
def test_a_clock_set_while_two_meters_ran_counts_no_minute_twice(state: Path, step_ns: int) -> None:
    """Minutes 0 to 59 and 10 to 49 of two GPUs at $1 a minute, the clock set at 20 by one and at 21 by the other: $60.

    By hand: the first had both GPUs for 60 minutes, 2 x 60 / 60 h x $30; all that the second had is in that. So say the
    receipt, the list, the days, the page and the bill's slots alike.
    """
    run = state / "runs" / "r-stepped"
    paths = [stepped(run, 1, 0, 60, step_ns, 20), stepped(run, 2, 10, 50, step_ns, 21)]
    whole = load_run(state, run.name)
    assert [60, 0] == [part.totals.whole.cost for part in whole.parts]
    (listed,) = list_runs(state)
    assert [60, 0] == [part.summary.whole.cost for part in listed.parts]
    windows = metered_elsewhere([load_run(state, str(path)).parts[0] for path in paths])
    for path, elsewhere, cost in zip(paths, windows, (60, 0), strict=True):
        assert cost == sum(whole.cost for _, _, _, whole, _ in cut(path, None, elsewhere))
        assert cost == sum(len(each.slot.devices) for each in priced_slots(path, [], elsewhere)) / 2
    assert 60 == sum(step.cost for step in timeline(paths).steps)


@settings(max_examples=40, deadline=None)
@given(
    span=st.tuples(st.integers(0, 30), st.integers(1, 40)),
    step_minutes=st.integers(-90, 90),
    seen_at=st.tuples(st.integers(1, 39), st.integers(1, 69)),
    is_killed=st.booleans(),
)
def test_together_meters_count_the_time_that_one_of_them_had(
    span: tuple[int, int], step_minutes: int, seen_at: tuple[int, int], is_killed: bool
) -> None:
    """Whenever each of them followed the clock, and whether or not the first was killed: the union of their minutes."""
    first, length = span
    with tempfile.TemporaryDirectory() as place:
        run = Path(place, "runs", "r-stepped")
        stepped(run, 1, 0, 40, step_minutes * MINUTE, seen_at[0], is_killed)
        stepped(run, 2, first, first + length, step_minutes * MINUTE, seen_at[1])
        whole = load_run(Path(place), run.name).totals.whole
    assert Decimal(max(40, first + length)) == whole.cost
