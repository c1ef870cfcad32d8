"""Summaries and budgets come back from a journal as they were written."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.line import decode, encode, seal
from costmeter.ledger.query import begin, fold
from costmeter.ledger.record import Budgets, Devices, Mark, RatesChange, SlotEntry, Subtotal
from costmeter.meter.budget import Budget, BudgetUse
from tests.depth import examples
from tests.samples import BEGAN_UTC_NS, devices, header, rates_of, slots, uuids, words

amounts = st.decimals(0, 10**6, places=2)
shares = st.decimals(0, 1, places=2)
budgets = st.builds(
    Budget,
    amounts,
    st.lists(shares, max_size=3).map(tuple),
    st.sampled_from(("warn", "stop")),
    st.sampled_from(("run", "day", "month", "project", "project/day", "project/month")),
    words,
    shares,
)


@examples(25)
@given(st.data())
def test_a_summary_is_read_as_it_was_written(data: st.DataObject) -> None:
    """Quantities, money by component and state, the last checkpoint and progress survive a round trip."""
    held = devices(2)
    order = uuids(held)
    part = begin(header())
    part = fold(part, Devices(held, None, 2))
    part = fold(part, RatesChange(BEGAN_UTC_NS, data.draw(rates_of(order))))
    part = fold(part, SlotEntry(data.draw(slots(order))))
    part = fold(part, Mark(BEGAN_UTC_NS, "checkpoint", "saved"))
    subtotal = Subtotal(part.summary)
    assert subtotal == decode(encode(subtotal))
    assert (("NVIDIA H100 80GB HBM3", 2),) == part.summary.gpus


@given(st.lists(st.builds(BudgetUse, budgets, amounts), max_size=3))
def test_budgets_are_read_as_they_were_written(uses: list[BudgetUse]) -> None:
    """Amounts stay text on the way, and every key of a budget arrives."""
    record = Budgets(BEGAN_UTC_NS, tuple(uses))
    assert record == decode(encode(record))


def test_what_is_kept_back_is_not_usable() -> None:
    """500 with a buffer of 10 % leaves 450."""
    assert Decimal(450) == Budget(Decimal(500), buffer=Decimal("0.1")).usable


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"type": "subtotal"}, id="empty"),
        pytest.param(
            {"type": "subtotal", "slots": 1, "ended_utc_ns": 1, "quantities": {"x": 1}, "charges": {}, "credits": {}},
            id="unknown-quantity",
        ),
        pytest.param({"type": "budgets", "utc_ns": 1, "uses": [{"amount": "1", "per": "year"}]}, id="unknown-period"),
    ],
)
def test_what_makes_no_sense_is_refused(body: dict[str, object]) -> None:
    """A line that no meter writes is a ValueError, whatever its checksum says."""
    with pytest.raises(ValueError, match="lacks or garbles"):
        decode(seal(body))
