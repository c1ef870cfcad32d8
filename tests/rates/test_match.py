"""Which GPUs a block of settings is for."""

import pytest

from costmeter.rates.match import Match
from costmeter.readings import Device

DEVICE = Device("GPU-5c1f00aa", 3, "NVIDIA H100 80GB HBM3", "", 700.0, "counter")


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        pytest.param(Match(), True, id="none-given-fits-all"),
        pytest.param(Match(name="*h100*"), True, id="name-any-case"),
        pytest.param(Match(name="H100"), False, id="name-is-whole"),
        pytest.param(Match(uuid="gpu-5C1F*"), True, id="uuid-pattern"),
        pytest.param(Match(uuid="GPU-aaaa*"), False, id="uuid-other"),
        pytest.param(Match(indexes=frozenset((1, 3))), True, id="index"),
        pytest.param(Match(indexes=frozenset((1, 2))), False, id="index-other"),
        pytest.param(Match(name="*H100*", indexes=frozenset((0,))), False, id="all-must-fit"),
    ],
)
def test_a_gpu_must_fit_every_pattern_given(match: Match, expected: bool) -> None:
    """Patterns ignore case, and each one that is given must fit."""
    assert expected == match.fits(DEVICE)
