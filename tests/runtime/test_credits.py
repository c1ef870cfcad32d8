"""What negative prices pay back has counters that stand at 0 before they are anything, on every page that is read.

Prometheus counts what a series rises by. One that appears with a value was never seen to rise to it.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.clock import anchor
from costmeter.ledger.node.journal import restored
from costmeter.meter.schedule import Constant
from costmeter.meter.series import Series
from costmeter.outputs import nodepage, prometheus
from costmeter.outputs.nodepage import RunNames, file_page
from costmeter.outputs.nodesnapshot import AT_ZERO_NS
from costmeter.rates.book import Book, Sourced
from costmeter.runtime.agent.writer import NodeWriter
from tests.runtime.heldnode import MAYA_1, HeldNode, held_node
from tests.runtime.metered import BEGAN_UTC_NS, SECOND, metered
from tests.runtime.test_nodecounters import counters
from tests.runtime.test_recorder import CONFIGURED, TWO_GPUS, owned_book

MINUTE = 60 * SECOND
GPU, RUN = "costmeter_gpu_credit_usd_total", "costmeter_run_credit_usd_total"


def book(electricity: str) -> Book:
    """Owned GPUs at a price of the kWh."""
    return replace(owned_book(), electricity=Sourced(Constant(Decimal(electricity)), CONFIGURED))


#: 10 cents a kWh now, and less than nothing tomorrow.
DAY_NS = 1_440 * MINUTE
START_NS = BEGAN_UTC_NS - BEGAN_UTC_NS % MINUTE
TOMORROW = Series((START_NS, START_NS + DAY_NS), (START_NS + DAY_NS, START_NS + 2 * DAY_NS), (Decimal(1), Decimal(-1)))
CHANGING = replace(owned_book(), electricity=Sourced(TOMORROW, CONFIGURED))


def paid_back(text: str) -> dict[str, list[Decimal]]:
    """The values of both families on a page; a family that is absent has none."""
    found = counters(text)
    return {family: [value for name, value in found.items() if name.startswith(family)] for family in (GPU, RUN)}


def shown(node: HeldNode) -> dict[str, list[Decimal]]:
    return paid_back(nodepage.page(node.snapshot)[0].decode())


def is_nothing(of: dict[str, list[Decimal]]) -> bool:
    """Whether both families are there, and all of them 0."""
    return all(values and not any(values) for values in of.values())


def is_something(of: dict[str, list[Decimal]]) -> bool:
    """Whether both families are there and have risen."""
    return all(any(value > 0 for value in values) for values in of.values())


@pytest.fixture
def node() -> Iterator[HeldNode]:
    """A node whose first GPU a run has held for two minutes, at 10 cents a kWh."""
    with held_node(TWO_GPUS, book("0.10")) as found:
        found.begin()
        found.hold([MAYA_1])
        for _ in range(12):
            found.tick(10 * SECOND)
        yield found


def test_prices_that_are_never_negative_have_no_credits(node: HeldNode) -> None:
    """Nor has a page half of its series for nothing."""
    assert shown(node) == {GPU: [], RUN: []}


def test_a_reload_to_a_negative_price_begins_at_zero_for_a_minute(node: HeldNode) -> None:
    """On every page of the minute after it; then GPUs and runs have all that was paid back since the reload.

    The second GPU, which nobody holds, too: a page that is complete is no less than what the totals say.
    """
    node.reload(book("-0.30"))
    pages = [shown(node)]
    for _ in range(5):
        node.tick(10 * SECOND)
        pages.append(shown(node))
    assert all(is_nothing(page) or page == {GPU: [], RUN: []} for page in pages)
    assert is_nothing(pages[1])
    assert node.snapshot.node.totals.whole.credits
    for _ in range(2):
        node.tick(10 * SECOND)
    whole = node.snapshot.node.totals.whole
    assert is_something(shown(node))
    assert sum(shown(node)[GPU]) == pytest.approx(sum(whole.credits.values()))
    node.reload(book("0.10"))
    node.tick(10 * SECOND)
    node.reload(book("-0.30"))
    node.tick(10 * SECOND)
    assert is_something(shown(node))


def test_what_an_agent_leaves_in_a_file_is_all_that_was_paid_back(node: HeldNode) -> None:
    """Also when it ends within the minute: nobody renews that file."""
    node.reload(book("-0.30"))
    node.tick(10 * SECOND)
    node.end()
    assert is_nothing(paid_back(file_page(node.snapshot, RunNames(), is_last=False).decode()))
    assert is_something(paid_back(file_page(node.snapshot, RunNames(), is_last=True).decode()))


def test_a_price_that_will_be_negative_has_its_credits_now() -> None:
    """A dated series with a negative hour tomorrow: they stand at 0 today, so that a query has an answer."""
    with held_node(TWO_GPUS, CHANGING) as found:
        found.begin()
        found.hold([MAYA_1])
        for _ in range(9):
            found.tick(10 * SECOND)
        assert is_nothing(shown(found))


@pytest.mark.parametrize(
    ("before", "begins_at_zero"),
    [pytest.param("0.10", True, id="a-price-that-is-new"), pytest.param("-0.10", False, id="paid-back-before")],
)
def test_after_a_restart_credits_stand_at_zero_unless_they_were_shown(before: str, begins_at_zero: bool) -> None:
    """Settings that became negative while the agent was down begin at 0; what was on the page before goes on."""
    with tempfile.TemporaryDirectory() as name, held_node(TWO_GPUS, book(before)) as old:
        old.begin()
        old.hold([MAYA_1])
        for _ in range(12):
            old.tick(10 * SECOND)
        old.end()
        writer = NodeWriter(Path(name, "node"), "gpu01", Path(name, "run"))
        for post in old.posts:
            writer.write(post)
        old.clock.advance(30 * SECOND)
        begun = replace(old.header, start_ns=old.clock.boottime_ns(), anchor=anchor(old.clock))
        left = restored(Path(name, "node"), begun, Path(name, "run"))
        new = HeldNode(old.library, old.clock, book("-0.30"), 100, left.opening, left.earlier, left.holders)
        new.begin()
        new.tick()
        assert new.snapshot.node.totals.whole.credits
        assert (is_nothing(shown(new)), is_something(shown(new))) == (begins_at_zero, not begins_at_zero)
        new.tick(AT_ZERO_NS)
        assert is_something(shown(new))


def test_a_runs_own_page_has_them_from_its_first_reading_on() -> None:
    """A wrapper's run at a price that is negative, or will be, shows 0 before anything is booked."""
    for priced in (book("-0.30"), CHANGING):
        with metered(TWO_GPUS, priced) as run:
            run.open()
            assert is_nothing(paid_back(prometheus.page(run.snapshot)[0].decode()))
    with metered(TWO_GPUS, book("0.10")) as run:
        run.open()
        assert paid_back(prometheus.page(run.snapshot)[0].decode()) == {GPU: [], RUN: []}
