"""Commitments: what they consist of."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from costmeter.rates.commitment import Commitment
from costmeter.rates.match import Match
from tests.samples import device


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        pytest.param({"gpus": 0}, "at least one GPU", id="no-gpu"),
        pytest.param({"end": date(2026, 1, 1)}, "no hours", id="no-hours"),
        pytest.param({"upfront": Decimal(-1)}, "pays nothing back", id="negative-upfront"),
        pytest.param({"price_per_gpu_hour": Decimal(-1)}, "pays nothing back", id="negative-price"),
    ],
)
def test_a_commitment_that_is_none_is_refused(changed: dict[str, Any], why: str) -> None:
    """GPUs, hours and amounts are what a commitment consists of."""
    facts: dict[str, Any] = {
        "gpus": 1,
        "price_per_gpu_hour": Decimal(1),
        "start": date(2026, 1, 1),
        "end": date(2027, 1, 1),
    }
    with pytest.raises(ValueError, match=why):
        Commitment(**(facts | changed))


def test_a_commitment_is_for_the_gpus_that_its_block_prices() -> None:
    """The first block that fits has a GPU: a block after it, though it fits every GPU, is for what is left."""
    h100, a100 = device(0), replace(device(1), name="NVIDIA A100-SXM4-80GB")
    term = Commitment(1, Decimal(1), date(2026, 1, 1), date(2027, 1, 1))
    assert [True, True] == [term.fits(each) for each in (h100, a100)]
    rest = replace(term, others=(Match(name="*A100*"),))
    assert [True, False] == [rest.fits(each) for each in (h100, a100)]
    assert [False, True] == [replace(term, match=Match(name="*a100*")).fits(each) for each in (h100, a100)]
