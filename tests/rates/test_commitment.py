"""Commitments: what they consist of."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from costmeter.rates.commitment import Commitment


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
