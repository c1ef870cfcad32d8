"""Error bands: weighted by joules, never beyond the methods they are made of."""

import pytest
from hypothesis import given

from costmeter.meter.band import BANDS, band, found
from costmeter.meter.slot import ZERO, Quantities
from tests.samples import quantities


def test_a_band_is_weighted_by_energy() -> None:
    """900 J by counter, 90 J by power, 10 J estimated: 0.9 × 1 % + 0.09 × 5 % + 0.01 × 50 % = 1.85 %."""
    of = Quantities(busy_microjoules=1_000, counter_microjoules=900, power_microjoules=90, estimated_microjoules=10)
    assert pytest.approx(0.0185) == band(of)
    assert {"counter": 900, "power": 90, "estimated": 10} == found(of)


def test_nothing_has_no_band() -> None:
    """Where no energy was found there is no error of it, however long the time was."""
    assert band(ZERO) is None
    assert band(Quantities(unknown_nanoseconds=5, unmeasured_nanoseconds=5)) is None


@given(quantities())
def test_a_band_lies_between_those_of_its_methods(of: Quantities) -> None:
    """No better than the best method that was used, no worse than the worst; the methods' energies are the whole."""
    used = [BANDS[method] for method in found(of)]
    assert sum(found(of).values()) == of.microjoules
    whole = band(of)
    assert (whole is None) == (not used)
    if whole is not None:
        assert min(used) * (1 - 1e-9) <= whole <= max(used) * (1 + 1e-9)
