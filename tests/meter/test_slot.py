"""Slots: intervals summed per minute, in any order and however they are cut."""

from dataclasses import fields
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.interval import Interval, cut, silence
from costmeter.meter.slot import ZERO, Quantities, next_edge, plus
from tests.samples import JOULE, MINUTE, SECOND, instants, intervals, quantities


def summed(pieces: list[Interval]) -> Quantities:
    total = ZERO
    for piece in pieces:
        total = plus(total, piece)
    return total


def minutes(whole: Interval) -> list[Interval]:
    """An interval cut at every minute inside it."""
    pieces = []
    while (edge_ns := next_edge(whole.start_ns)) < whole.end_ns:
        piece, whole = cut(whole, edge_ns)
        pieces.append(piece)
    return [*pieces, whole]


@given(quantities(), quantities(), quantities())
def test_quantities_add_in_any_order(left: Quantities, middle: Quantities, right: Quantities) -> None:
    """Addition is associative and commutative, and has a zero."""
    assert (left + middle) + right == left + (middle + right)
    assert left + middle == middle + left
    assert left == left + ZERO == ZERO + left


@given(quantities(), quantities())
def test_adding_reaches_every_field(left: Quantities, right: Quantities) -> None:
    """No quantity is forgotten in a sum."""
    total = left + right
    for field in fields(Quantities):
        assert getattr(left, field.name) + getattr(right, field.name) == getattr(total, field.name)


@given(st.lists(intervals(), max_size=8))
def test_states_and_methods_sum_to_the_whole(of: list[Interval]) -> None:
    """Three states are the whole time, and three states and three methods each the whole energy."""
    total = summed(of)
    assert sum(interval.end_ns - interval.start_ns for interval in of) == total.nanoseconds
    assert sum(interval.microjoules for interval in of) == total.microjoules
    assert total.microjoules == total.counter_microjoules + total.power_microjoules + total.estimated_microjoules
    assert total.unmeasured_nanoseconds <= total.nanoseconds


@given(intervals())
def test_cutting_at_every_minute_changes_no_quantity(whole: Interval) -> None:
    """An hour booked minute by minute is the hour; utilization, a mean, may be rounded once a piece."""
    pieces = minutes(whole)
    uncut, total = plus(ZERO, whole), summed(pieces)
    for field in fields(Quantities):
        allowed = len(pieces) if field.name == "utilized_nanoseconds" else 0
        assert abs(getattr(uncut, field.name) - getattr(total, field.name)) <= allowed


def test_unmeasured_time_whose_energy_came_later_is_known_after_all() -> None:
    """10 s of silence, and then 11 s' energy in a second that recovers them: nothing is left unknown."""
    back = Interval("GPU-0", 10 * SECOND, 11 * SECOND, "busy", 3_300 * JOULE, "counter", 0.9, 0, 0, 10 * SECOND)
    total = summed([silence("GPU-0", 0, 10 * SECOND), back])
    assert (10 * SECOND, 10 * SECOND) == (total.unmeasured_nanoseconds, total.recovered_nanoseconds)
    assert total.unknown_energy_nanoseconds == 0


@given(intervals(min_length_ns=1))
def test_no_piece_crosses_a_minute(whole: Interval) -> None:
    """Pieces meet at UTC minutes, and each lies within one."""
    pieces = minutes(whole)
    assert all(left.end_ns == right.start_ns and left.end_ns % MINUTE == 0 for left, right in pairwise(pieces))
    assert all(piece.end_ns <= next_edge(piece.start_ns) for piece in pieces)


@given(st.lists(intervals(), max_size=6), st.randoms())
def test_intervals_are_booked_in_any_order(of: list[Interval], random: Random) -> None:
    """A slot depends on which intervals it holds, not on when each was added."""
    shuffled = list(of)
    random.shuffle(shuffled)
    assert summed(of) == summed(shuffled)


def test_unmeasured_time_is_held_time() -> None:
    """Silence is held, unknown and unmeasured, and its utilization is not counted as zero."""
    busy = Interval("GPU-0", 0, SECOND, "busy", 650 * JOULE, "counter", 0.5)
    total = summed([busy, silence("GPU-0", SECOND, 3 * SECOND)])
    assert (3 * SECOND, 2 * SECOND, 2 * SECOND) == (
        total.nanoseconds,
        total.unknown_nanoseconds,
        total.unmeasured_nanoseconds,
    )
    assert total.mean_utilization == 0.5


def test_utilization_nobody_knows_is_none() -> None:
    """No observation is not 0 %."""
    assert plus(ZERO, silence("GPU-0", 0, SECOND)).mean_utilization is None


@pytest.mark.parametrize(
    ("expected", "at"),
    [
        pytest.param(MINUTE, 0, id="an-edge-belongs-to-the-minute-it-opens"),
        pytest.param(MINUTE, 1, id="just-after"),
        pytest.param(MINUTE, MINUTE - 1, id="just-before"),
        pytest.param(2 * MINUTE, MINUTE, id="the-next-edge"),
    ],
)
def test_next_edge(expected: int, at: int) -> None:
    """The next UTC minute is always later."""
    assert expected == next_edge(at)


@given(instants)
def test_an_edge_is_a_whole_minute_ahead_at_most(at: int) -> None:
    """Edges are whole minutes, later than the instant and by no more than a minute."""
    edge = next_edge(at)
    assert edge % MINUTE == 0
    assert 0 < edge - at <= MINUTE
