"""What a run tells its agent of its cost to come: seldom, only news, and never a fault."""

from dataclasses import replace
from decimal import Decimal

from costmeter.ledger.record import Budgets
from costmeter.meter.budget import Budget, BudgetUse
from costmeter.meter.outlook import Allowed, Outlook
from costmeter.meter.progress import Progress
from costmeter.meter.projection import Point
from costmeter.outputs.snapshot import Snapshot
from costmeter.runtime.foretelling import EVERY_NS, Foretelling
from tests.outputs import runs
from tests.samples import BEGAN_UTC_NS, SECOND, devices, header, held, rates_from_start

#: 60 of 100 steps, each a second and a cent: at the end it will have cost a dollar.
POINTS = tuple(Point(step * SECOND, step, Decimal(step) / 100) for step in range(61))


def snapshot(length_ns: int, points: tuple[Point, ...] = POINTS, amount: int = 80) -> Snapshot:
    budgets = Budgets(BEGAN_UTC_NS, (BudgetUse(Budget(Decimal(amount))),))
    part = runs.part(header(), held(devices(1), 1), rates_from_start(runs.RENTED), budgets)
    return Snapshot(BEGAN_UTC_NS, part, length_ns=length_ns, furthest=Progress(60, of_steps=100), points=points)


def test_what_is_new_is_told_now_and_then() -> None:
    """The first outlook at once, another one after five seconds, and the same one never again."""
    told: list[Outlook] = []
    foretelling = Foretelling(told.append)
    foretelling.see(snapshot(0))
    first = Outlook("USD", Decimal("1.00"), (Allowed(Decimal(80)),))
    assert [first] == told
    foretelling.see(snapshot(EVERY_NS - 1, amount=90))
    foretelling.see(snapshot(EVERY_NS))
    assert [first] == told
    foretelling.see(snapshot(2 * EVERY_NS, amount=90))
    assert [first, replace(first, budgets=(Allowed(Decimal(90)),))] == told


def test_a_run_that_tells_no_steps_has_its_budget() -> None:
    """Nothing is projected of it; what it may cost is known all the same."""
    told: list[Outlook] = []
    Foretelling(told.append).see(snapshot(0, points=()))
    assert [Outlook("USD", None, (Allowed(Decimal(80)),))] == told
