"""Units: integers divide without losing anything, and power times time is energy."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.units import (
    MICROJOULES_PER_KWH,
    NANOSECONDS_PER_HOUR,
    microjoules_from_power,
    portion,
    watts_from_energy,
)

WHOLES = st.integers(0, 2**60)


@given(WHOLES, st.lists(st.integers(0, 10**12), max_size=8), st.integers(1, 10**12))
def test_pieces_of_a_whole_sum_to_it(whole: int, cuts: list[int], length: int) -> None:
    """However a length is cut, the portions between neighbouring cuts sum to the whole."""
    edges = [0, *sorted(cut % (length + 1) for cut in cuts), length]
    pieces = [portion(whole, end, length) - portion(whole, start, length) for start, end in pairwise(edges)]
    assert whole == sum(pieces)


def test_a_whole_of_no_length_lies_in_its_first_piece() -> None:
    """With nothing to divide by, nothing is lost."""
    assert portion(17, 0, 0) == 17


@pytest.mark.parametrize(
    ("joules", "watts", "seconds"),
    [
        pytest.param(42_000, 700.0, 60, id="700-W-for-a-minute"),
        pytest.param(0, 700.0, 0, id="no-time"),
        pytest.param(3_600_000, 1_000.0, 3_600, id="one-kWh"),
    ],
)
def test_power_over_time_is_energy(joules: int, watts: float, seconds: int) -> None:
    """A watt is a joule a second."""
    assert joules * 10**6 == microjoules_from_power(watts, seconds * 10**9)


def test_a_kilowatt_hour_is_a_kilowatt_for_an_hour() -> None:
    """The two constants agree with the definition of the unit."""
    assert microjoules_from_power(1_000.0, NANOSECONDS_PER_HOUR) == MICROJOULES_PER_KWH


@given(st.floats(0, 1_500), st.integers(1_000_000, 10**15))
def test_mean_power_returns_from_energy(watts: float, length_ns: int) -> None:
    """Power to energy and back is off by at most the half microjoule it was rounded by."""
    back = watts_from_energy(microjoules_from_power(watts, length_ns), length_ns)
    assert back == pytest.approx(watts, rel=1e-12, abs=501 / length_ns)


def test_no_time_has_no_mean_power() -> None:
    """Energy without length is not an endless power."""
    assert watts_from_energy(5, 0) == 0.0
