"""Intervals: what an entry makes of the time it stands for, and that dividing it loses nothing."""

from dataclasses import fields, replace
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.account import Entry
from costmeter.meter.activity import IdleRule, State
from costmeter.meter.interval import Interval, cut, instance, measured, silence
from costmeter.readings import Mig
from tests.meter.accounts import H100, said
from tests.samples import JOULE, SECOND, instances, intervals, microjoules

RULE = IdleRule()
#: What is divided when an interval is.
QUANTITIES = ("microjoules", "host_microjoules", "unmeasured_nanoseconds", "recovered_nanoseconds")


@st.composite
def whole_intervals(draw: st.DrawFn) -> Interval:
    """An interval with all its quantities: some of it unmeasured, some time of before recovered, some of the host."""
    found = draw(intervals(min_length_ns=1))
    return replace(
        found,
        host_microjoules=draw(microjoules),
        unmeasured_nanoseconds=draw(st.integers(0, found.end_ns - found.start_ns)),
        recovered_nanoseconds=draw(st.integers(0, 10**15)),
    )


# Dividing in time


@given(whole_intervals(), st.lists(st.floats(0, 1, exclude_max=True), max_size=8))
def test_cutting_an_interval_changes_no_sum(whole: Interval, places: list[float]) -> None:
    """Any number of cuts leaves every quantity as it was, and every piece its state, method and utilization."""
    length_ns = whole.end_ns - whole.start_ns
    pieces, rest = [], whole
    for at_ns in sorted({whole.start_ns + int(place * length_ns) for place in places}):
        piece, rest = cut(rest, at_ns)
        pieces.append(piece)
    pieces.append(rest)
    for name in QUANTITIES:
        assert getattr(whole, name) == sum(getattr(piece, name) for piece in pieces)
        assert all(getattr(piece, name) >= 0 for piece in pieces)
    assert all(piece.unmeasured_nanoseconds <= piece.end_ns - piece.start_ns for piece in pieces)
    assert all(left.end_ns == right.start_ns for left, right in pairwise(pieces))
    assert (whole.start_ns, whole.end_ns) == (pieces[0].start_ns, pieces[-1].end_ns)
    kept = {name.name for name in fields(Interval)} - {"start_ns", "end_ns", *QUANTITIES}
    assert all(getattr(piece, name) == getattr(whole, name) for piece in pieces for name in kept)


def test_everything_is_cut_in_proportion_to_time() -> None:
    """60 s at 700 W cut after 15 s: a quarter of 42,000 J, of 6,000 J of host, and of 8 s and 40 s of time."""
    whole = Interval("GPU-0", 0, 60 * SECOND, "busy", 42_000 * JOULE, "counter", 0.98, 6_000 * JOULE, 8, 40)
    before, after = cut(whole, 15 * SECOND)
    assert [10_500 * JOULE, 1_500 * JOULE, 2, 10] == [getattr(before, name) for name in QUANTITIES]
    assert [31_500 * JOULE, 4_500 * JOULE, 6, 30] == [getattr(after, name) for name in QUANTITIES]


def test_an_interval_of_no_length_keeps_its_energy_when_cut() -> None:
    """Energy at an instant stays with the first piece."""
    instant = Interval("GPU-0", 7, 7, "busy", 5, "counter", None)
    assert [5, 0] == [piece.microjoules for piece in cut(instant, 7)]


# Dividing among MIG instances


@given(intervals(), st.lists(st.integers(1, 7), max_size=7))
def test_instances_and_free_slices_sum_to_the_board(whole: Interval, widths: list[int]) -> None:
    """However a board's slices are given away, what its instances have and what is left is its energy, exactly."""
    widths = [width for width, end in zip(widths, accumulate(widths), strict=True) if end <= 7]
    held = instances(H100, *widths)
    pieces = [instance(whole, each.uuid, each.mig) for each in held if each.mig is not None]
    free = [instance(whole, "free", Mig(H100.uuid, 0, 0, 0, place, place + 1, 7)) for place in range(sum(widths), 7)]
    assert whole.microjoules == sum(piece.microjoules for piece in [*pieces, *free])
    assert all(piece.microjoules >= 0 for piece in [*pieces, *free])
    assert [each.uuid for each in held] == [piece.uuid for piece in pieces]
    assert all(replace(piece, uuid=whole.uuid, microjoules=whole.microjoules) == whole for piece in pieces)


def test_an_instance_has_its_slices_of_the_energy_and_all_of_the_time() -> None:
    """Of 700 J an instance of 3 slices of 7 has 300 J, and one of 4 has 400 J, each for the whole second."""
    whole = Interval(H100.uuid, 0, SECOND, "busy", 700 * JOULE, "counter", 0.98)
    pieces = [instance(whole, each.uuid, each.mig) for each in instances(H100, 3, 4) if each.mig is not None]
    assert [(300 * JOULE, SECOND), (400 * JOULE, SECOND)] == [(p.microjoules, p.end_ns - p.start_ns) for p in pieces]


# What a reading and its entry make of it


def test_an_interval_is_what_was_entered() -> None:
    """From 10 s to 11 s, with all that the account says of that time."""
    entry = Entry(650 * JOULE, "counter", 300, 400, ("a fault",), True, True)
    found = measured(10 * SECOND, said(11, 1_650, 640, 0.98), entry, H100, RULE)
    assert found == Interval(
        H100.uuid, 10 * SECOND, 11 * SECOND, "busy", 650 * JOULE, "counter", 0.98, 0, 300, 400
    )  # fmt: skip


@pytest.mark.parametrize(
    ("expected", "seconds", "entry", "watts"),
    [
        pytest.param("idle", 1, Entry(118 * JOULE, "counter", is_own=True), 650.0, id="a-hang-by-its-energy"),
        pytest.param("busy", 1, Entry(650 * JOULE, "counter", is_own=True), 118.0, id="work-by-its-energy"),
        pytest.param("busy", 1, Entry(0, "counter"), 650.0, id="a-debt-is-paid"),
        pytest.param("idle", 1, Entry(9_000 * JOULE, "counter"), 118.0, id="an-outage-is-booked"),
        pytest.param("busy", 1, Entry(0, None, SECOND), None, id="nothing-known"),
        # 0.1 s is a step of the counter: it may hold nothing, or twice as much.
        pytest.param("busy", 0.1, Entry(0, "counter", is_own=True), 650.0, id="shorter-than-a-step"),
    ],
)
def test_a_hang_is_seen_in_mean_power(expected: State, seconds: float, entry: Entry, watts: float | None) -> None:
    """100 % at less than a fifth of 700 W is a kernel that spins: by the energy if it is that time's, else by power."""
    found = measured(0, said(seconds, 1_000, watts, 1.0), entry, H100, RULE)
    assert found.state == expected


def test_utilization_nobody_said_is_unknown() -> None:
    """What it did nobody can say; its energy is known all the same."""
    found = measured(0, said(1, 1_000, 650, None), Entry(650 * JOULE, "counter", is_own=True), H100, RULE)
    assert ("unknown", None, 650 * JOULE) == (found.state, found.utilization_ratio, found.microjoules)


def test_silence_is_unknown_and_unmeasured() -> None:
    """A device that says nothing is not idle, and its energy is not invented."""
    assert silence("GPU-0", 3, 9) == Interval("GPU-0", 3, 9, "unknown", 0, None, None, 0, 6, 0)
