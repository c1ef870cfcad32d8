"""A share of quantities: parts of it sum to the whole, and its own parts to each other."""

from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.share import share
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
