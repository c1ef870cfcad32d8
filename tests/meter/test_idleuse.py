"""Idle time by reason: exact, of one slot as of many at once, and never more than the idle time that there was."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.charge import Rates
from costmeter.meter.idleuse import added, idle_uses
from costmeter.meter.idling import UNEXPLAINED, IdleUse, Reason
from costmeter.meter.slot import Quantities, Slot
from costmeter.meter.totals import net, totals
from tests.samples import HOUR, KWH, MINUTE, SECOND, measured, orders, owned, rates, rates_of, rental, slot, slots


def test_a_slot_priced_by_hand() -> None:
    """A minute at $12/h, 15 s of it idle: 5 cents; the other GPU was idle too, and nobody knows why."""
    of = measured(45 * SECOND, 9, 15 * SECOND, 3)
    why = slot({"GPU-0": of, "GPU-1": of})
    under = rates({"GPU-0": rental("12"), "GPU-1": rental("12")})
    uses = idle_uses(_because(why, {"GPU-0": "checkpoint"}), totals(why, under))
    assert uses == {"GPU-0": {"checkpoint": IdleUse(15 * SECOND, Decimal("0.05"))}}


def test_what_is_paid_back_is_a_credit() -> None:
    """An owned GPU at $6/h that draws 2 kWh in an idle hour at -$0.25/kWh: $6 charged, 50 cents paid back."""
    of = slot({"GPU-0": measured(idle_ns=HOUR, idle_uj=2 * KWH)}, length_ns=HOUR)
    under = rates({"GPU-0": owned("6")}, electricity_per_kwh=Decimal("-0.25"))
    (use,) = idle_uses(_because(of, {"GPU-0": "hang"}), totals(of, under))["GPU-0"].values()
    assert use == IdleUse(HOUR, Decimal(6), Decimal("0.50"))
    assert use.cost == Decimal("5.50")


@pytest.mark.parametrize(
    ("reasons", "of"),
    [
        pytest.param({}, measured(MINUTE - 5, 9, 5, 3), id="no-reason"),
        pytest.param({"GPU-0": "hang"}, measured(MINUTE, 9), id="never-idle"),
        pytest.param({"GPU-9": "hang"}, measured(MINUTE - 5, 9, 5, 3), id="a-GPU-without-a-price"),
    ],
)
def test_nothing_is_no_use(reasons: dict[str, Reason], of: Quantities) -> None:
    """What came to nothing is not there, so that two ways of counting it cannot differ in that."""
    why = slot({"GPU-0": of})
    assert idle_uses(_because(why, reasons), totals(why, rates({"GPU-0": rental()}))) == {}


@given(orders().flatmap(lambda order: st.tuples(slots(order), rates_of(order))))
def test_reasons_and_what_has_none_are_the_idle_time(drawn: tuple[Slot, Rates]) -> None:
    """Time and money of a device under its reason are those of its idle state; of one without a reason nothing."""
    of, under = drawn
    priced = totals(of, under)
    uses = idle_uses(of, priced)
    for uuid, whole in priced.devices.items():
        use = added({}, (uses.get(uuid, {}),)).get(of.reasons.get(uuid, UNEXPLAINED), IdleUse())
        amounts = net(whole.charges, whole.credits)
        if uuid in of.reasons:
            assert use.nanoseconds == whole.quantities.idle_nanoseconds
            assert use.cost == sum(amount for (_, state), amount in amounts.items() if state == "idle")
        else:
            assert use == IdleUse()


def test_adding_changes_neither_side() -> None:
    """Sums are new tables: what a part had before stays as it was."""
    before: dict[Reason, IdleUse] = {"hang": IdleUse(1, Decimal(1))}
    more: dict[Reason, IdleUse] = {"hang": IdleUse(2, Decimal(3), Decimal(1)), "checkpoint": IdleUse(5)}
    found = added(before, (more, more))
    assert found == {"hang": IdleUse(5, Decimal(7), Decimal(2)), "checkpoint": IdleUse(10)}
    assert before == {"hang": IdleUse(1, Decimal(1))}


def _because(of: Slot, reasons: Mapping[str, Reason]) -> Slot:
    return replace(of, reasons=reasons)
