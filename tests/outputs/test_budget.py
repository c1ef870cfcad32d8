"""A run's budgets as data and in words, worked out by hand: 2 GPUs at $30/h cost a dollar a minute."""

from dataclasses import replace
from decimal import Decimal

import pytest

from costmeter.ledger.query import Run, fold
from costmeter.ledger.record import Budgets, Mark, SlotEntry
from costmeter.meter.budget import Budget, BudgetUse
from costmeter.meter.charge import DeviceRates
from costmeter.outputs.budget import budget_of, budget_rows
from costmeter.outputs.budgetline import reached_line
from tests.outputs.runs import TWO, part
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    MINUTE,
    footer,
    header,
    held,
    measured,
    rates,
    rates_from_start,
    rental,
    slot,
    uuids,
)

ORDER = uuids(TWO)
EIGHTY = Budget(Decimal(80))
MONTH = Budget(Decimal(500), per="month", buffer=Decimal("0.1"))


def metered(minutes: int, *uses: BudgetUse, host: str = "gpu01", at: int = 0, hourly: DeviceRates | None = None) -> Run:
    """A run of one part that cost so many dollars."""
    priced = rates_from_start(rates(dict.fromkeys(ORDER, hourly or rental("30"))))
    slots = [SlotEntry(slot(dict.fromkeys(ORDER, measured(MINUTE, 10**9)), at + n)) for n in range(minutes)]
    first = header(host=host, start_ns=BEGAN_NS + at * MINUTE)
    end = replace(footer(minutes * MINUTE), ended_utc_ns=BEGAN_UTC_NS + (at + minutes) * MINUTE)
    return Run((part(first, held(TWO), priced, Budgets(BEGAN_UTC_NS, uses), *slots, end),))


def test_what_was_used_of_a_budget() -> None:
    """63 of 80 dollars are 78.75 %, and 17 are left."""
    assert {
        "amount": "80",
        "per": "run",
        "project": "",
        "usable": "80",
        "spent": "63.000000000000",
        "elsewhere": "0.000000000000",
        "share": "0.787500",
        "left": "17.000000000000",
        "on_exceed": "warn",
        "exceeded": False,
        "stopped": False,
    } == budget_of(metered(63, BudgetUse(EIGHTY)))


def test_the_one_of_which_most_is_used_stands_for_all() -> None:
    """30 of 80 are 37.5 %; with 375 dollars from elsewhere 405 of 450 are 90 %."""
    run = metered(30, BudgetUse(EIGHTY), BudgetUse(MONTH, Decimal(375)))
    most = budget_of(run)
    assert most is not None
    assert ("month", "450.0", "0.900000") == (most["per"], most["usable"], most["share"])
    assert [Decimal("0.375"), Decimal("0.9")] == [Decimal(row["share"]) for row in budget_rows(run)]


def test_a_run_of_several_parts_is_one_spending() -> None:
    """Of its own budget a run has used what all its parts cost, whatever the last one knew of the others."""
    both = Run((*metered(10, BudgetUse(EIGHTY)).parts, *metered(20, BudgetUse(EIGHTY, Decimal(9)), at=60).parts))
    (row,) = budget_rows(both)
    assert (Decimal(30), Decimal(10)) == (Decimal(row["spent"]), Decimal(row["elsewhere"]))


def test_of_a_month_the_last_part_knows_best() -> None:
    """What the last part saw elsewhere includes the parts before it."""
    both = Run((*metered(10, BudgetUse(MONTH)).parts, *metered(20, BudgetUse(MONTH, Decimal(110)), at=60).parts))
    (row,) = budget_rows(both)
    assert Decimal(130) == Decimal(row["spent"])


@pytest.mark.parametrize(
    ("minutes", "exceeded", "left"), [(79, False, "1"), (80, True, "0"), (81, True, "-1")], ids=["below", "all", "more"]
)
def test_all_of_it_is_exceeded(minutes: int, exceeded: bool, left: str) -> None:
    """A budget is used up with its last cent; what is left goes below nothing then."""
    (row,) = budget_rows(metered(minutes, BudgetUse(EIGHTY)))
    assert (exceeded, Decimal(left)) == (row["exceeded"], Decimal(row["left"]))


def test_the_budget_that_stopped_a_run_says_so() -> None:
    """The mark of the stop names its budget; the other one did not stop it."""
    run = metered(10, BudgetUse(EIGHTY), BudgetUse(MONTH))
    stopped = fold(run.parts[0], Mark(BEGAN_UTC_NS, "budget", "80 per run: stopping the command"))
    assert [True, False] == [row["stopped"] for row in budget_rows(Run((stopped,)))]


def test_without_budgets_or_prices_there_is_nothing_to_say() -> None:
    """No budget, or no GPU with a price: no row, because 0 % would be a lie."""
    assert budget_of(metered(1)) is None
    assert budget_of(metered(1, BudgetUse(EIGHTY), hourly=DeviceRates((), False))) is None


@pytest.mark.parametrize(
    ("use", "share", "own", "per_hour", "expected"),
    [
        pytest.param(
            BudgetUse(EIGHTY),
            "0.8",
            "64.03",
            "19.92",
            "80 % of $80.00 used ($64.03), $15.97 left, at $19.92/h 48 m",
            id="as-in-the-docs",
        ),
        pytest.param(BudgetUse(EIGHTY), "0.5", "40", None, "50 % of $80.00 used ($40.00), $40.00 left", id="no-pace"),
        pytest.param(BudgetUse(EIGHTY), "0.5", "40", "-2", "50 % of $80.00 used ($40.00), $40.00 left", id="earning"),
        pytest.param(BudgetUse(EIGHTY), "1", "80.02", "9", "100 % of $80.00 used ($80.02)", id="all"),
        pytest.param(
            BudgetUse(replace(MONTH, project="llm", per="project/month"), Decimal(200)),
            "0.5",
            "50",
            "10",
            "50 % of $450.00 ($500.00 less 10 % kept back) per project/month (llm) used ($250.00, $200.00 of it not by"
            " this meter), $200.00 left, at $10.00/h 20 h 00 m",
            id="all-there-is-to-say",
        ),
    ],
)
def test_what_is_said_of_a_share(use: BudgetUse, share: str, own: str, per_hour: str | None, expected: str) -> None:
    """One line: the share, the money, what is left, and for how long that will do at the run's own pace."""
    pace = None if per_hour is None else Decimal(per_hour)
    assert expected == reached_line(use, Decimal(share), Decimal(own), pace, "USD")
