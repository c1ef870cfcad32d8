"""Line items over the parts of a run: what adds, and what counts once."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.item import LineItem, PartUse
from costmeter.meter.item_totals import full_cost, item_totals
from tests.samples import CONFIGURED, HOUR

PATH = LineItem("ckpt", "path", Decimal("0.02"), CONFIGURED, path="/ckpt")
TRAFFIC = LineItem("traffic", "network", Decimal("0.09"), CONFIGURED)
LICENCES = LineItem("licences", "per_gpu_hour", Decimal("0.5"), CONFIGURED)
PEOPLE = LineItem("people", "per_hour", Decimal(80), CONFIGURED, Decimal(2))
SCRATCH = LineItem("scratch", "gb", Decimal("0.73"), CONFIGURED, Decimal(1_000))
FIXED = LineItem("labels", "fixed", Decimal(1200), CONFIGURED)
ALL = (PATH, TRAFFIC, LICENCES, PEOPLE, SCRATCH, FIXED)


def part(
    host: str, start_hour: int, hours: int, used: dict[str, int] | None = None, items: Sequence[LineItem] = ALL
) -> PartUse:
    """Some hours on two GPUs of a host."""
    return PartUse(host, start_hour * HOUR, hours * HOUR, 2 * hours * HOUR, tuple(items), used or {})


def quantities(*parts: PartUse) -> dict[str, int | None]:
    return {total.item.name: total.quantity for total in item_totals(parts)}


def test_two_hosts_side_by_side() -> None:
    """Traffic and GPU time of both add; the larger view of a shared path counts; time and amounts count once."""
    found = quantities(part("a", 0, 3, {"ckpt": 50, "traffic": 7}), part("b", 1, 3, {"ckpt": 60, "traffic": 5}))
    assert {"ckpt": 60, "traffic": 12, "licences": 12 * HOUR, "people": 4 * HOUR} == {
        name: found[name] for name in ("ckpt", "traffic", "licences", "people")
    }
    assert (4_000 * 10**9 * HOUR, 1) == (found["scratch"], found["labels"])


def test_a_run_that_was_queued_anew() -> None:
    """The parts of one host add, and the ten hours in the queue between them are paid by nobody."""
    found = quantities(part("a", 0, 1, {"ckpt": 50, "traffic": 7}), part("a", 11, 2, {"ckpt": 60, "traffic": 5}))
    assert (110, 12, 6 * HOUR, 3 * HOUR, 1) == tuple(
        found[name] for name in ("ckpt", "traffic", "licences", "people", "labels")
    )


def test_the_costs_of_an_hour() -> None:
    """2 GPU-h × $0.5, 1 h × 2 × $80, 1,000 GB × 1 h / 730 h × $0.73 = $1, and $1,200."""
    totals = item_totals([part("a", 0, 1)])
    costs = {total.item.name: total.cost for total in totals}
    assert [Decimal(1), Decimal(160), Decimal(1), Decimal(1200)] == [
        costs[name] for name in ("licences", "people", "scratch", "labels")
    ]
    assert Decimal("1362.5") == full_cost(Decimal("0.5"), totals)


def test_what_nobody_saw_costs_nobody_knows_what() -> None:
    """A path that was never seen has no quantity and no cost, says why, and is in no sum."""
    unseen = PartUse("a", 0, HOUR, 0, (PATH, TRAFFIC), {}, {"ckpt": "permission denied"})
    first, second = item_totals([unseen])
    assert (None, None, "permission denied") == (first.quantity, first.cost, first.note)
    assert (None, None, "") == (second.quantity, second.cost, second.note)
    assert Decimal(5) == full_cost(Decimal(5), (first, second))


def test_the_last_word_on_a_price_holds() -> None:
    """A requeue under another price charges all of the run by it: an item has one price in a receipt."""
    dearer = LineItem("people", "per_hour", Decimal(90), CONFIGURED)
    (total,) = item_totals([part("a", 0, 1, items=[PEOPLE]), part("a", 5, 1, items=[dearer])])
    assert (2 * HOUR, Decimal(180)) == (total.quantity, total.cost)


def test_items_of_several_parts_keep_their_order() -> None:
    """An item that only the second part has comes after those of the first."""
    totals = item_totals([part("a", 0, 1, items=[FIXED]), part("a", 1, 1, items=[PEOPLE, FIXED])])
    assert ["labels", "people"] == [total.item.name for total in totals]


hours = st.tuples(st.sampled_from("ab"), st.integers(0, 20), st.integers(0, 5))


@given(st.lists(hours, min_size=1, max_size=6))
def test_time_is_covered_once(drawn: list[tuple[str, int, int]]) -> None:
    """The time that people are paid for is the hours in which any part was metered, in whatever order they come."""
    parts = [part(host, start, length, items=[PEOPLE]) for host, start, length in drawn]
    covered = {hour for _, start, length in drawn for hour in range(start, start + length)}
    assert len(covered) * HOUR == quantities(*parts)["people"] == quantities(*reversed(parts))["people"]


@pytest.mark.parametrize("cut", [pytest.param(cut, id=f"after-{cut}-h") for cut in range(1, 6)])
def test_cutting_a_run_into_parts_changes_no_sum(cut: int) -> None:
    """Six hours in one part cost what they cost in two that follow each other."""
    whole = part("a", 0, 6, {"ckpt": 6_000, "traffic": 600})
    first = part("a", 0, cut, {"ckpt": cut * 1_000, "traffic": cut * 100})
    second = part("a", cut, 6 - cut, {"ckpt": (6 - cut) * 1_000, "traffic": (6 - cut) * 100})
    assert item_totals([whole]) == item_totals([first, second])
