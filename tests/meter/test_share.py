"""A share of quantities: parts of it sum to the whole, and its own parts to each other."""

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.share import share, shares
from costmeter.meter.slot import Quantities
from tests.samples import quantities


@given(quantities(), st.integers(0, 60), st.integers(1, 60))
def test_a_share_is_as_consistent_as_the_whole(held: Quantities, numerator: int, denominator: int) -> None:
    """States and methods still have one energy, and nothing is more than it was."""
    part = share(held, min(numerator, denominator), denominator)
    assert part.microjoules == part.counter_microjoules + part.power_microjoules + part.estimated_microjoules
    assert part.nanoseconds == held.nanoseconds * min(numerator, denominator) // denominator
    assert 0 <= part.idle_nanoseconds <= held.idle_nanoseconds + 1


@given(quantities())
def test_all_of_it_is_all_of_it(held: Quantities) -> None:
    """A share of everything changes nothing."""
    assert held == share(held, 7, 7)


@given(quantities(), st.integers(1, 9))
def test_equal_shares_are_the_whole_and_as_consistent(held: Quantities, count: int) -> None:
    """Field by field they sum to it, no two differ by more than a unit of time, and each has one energy."""
    parts = shares(held, count)
    for field in fields(Quantities):
        found = [getattr(part, field.name) for part in parts]
        assert sum(found) == getattr(held, field.name)
        assert min(found) >= 0
    for part in parts:
        assert part.microjoules == part.counter_microjoules + part.power_microjoules + part.estimated_microjoules
    idle = [part.idle_nanoseconds for part in parts]
    assert max(idle) - min(idle) <= 1


@given(quantities(), quantities(), st.integers(1, 9))
def test_no_share_gets_less_as_the_whole_grows(held: Quantities, more: Quantities, count: int) -> None:
    """Its time and energy of every state only grow: counters are made of them, and one that falls is read as reset."""
    counted = [field.name for field in fields(Quantities) if field.name.startswith(("busy", "idle", "unknown"))]
    for before, after in zip(shares(held, count), shares(held + more, count), strict=True):
        for name in counted:
            assert getattr(after, name) >= getattr(before, name)
