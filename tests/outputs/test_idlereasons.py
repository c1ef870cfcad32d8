"""Why GPUs were idle, in a receipt: exact, adding up, in rows, lines and advice; and what nobody knows is said so."""

import json
from dataclasses import replace
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from costmeter.ledger.query import Part, Run, begin, fold_all
from costmeter.ledger.record import Record, SlotEntry
from costmeter.meter.idling import REASONS, Reason
from costmeter.outputs.idlereasons import idle_lines, idle_of, tip_lines
from costmeter.outputs.receipt import receipt
from costmeter.outputs.where import where_it_went
from tests.outputs import runs
from tests.samples import HOUR, SECOND, devices, header, held, measured, rates, rates_from_start, rental, slots, uuids

ORDER = uuids(devices(3))
SCHEMA = json.loads(files("costmeter.outputs").joinpath("receipt.schema.json").read_text())


@given(st.lists(slots(ORDER), max_size=4), st.lists(slots(ORDER), max_size=2))
def test_reasons_sum_to_the_idle_time(first: list[Any], second: list[Any]) -> None:
    """Over all parts, what has a reason and what has none are the idle time and its money, to the last digit."""
    under = rates_from_start(rates({uuid: rental("2.49") for uuid in ORDER}))
    parts = []
    for host, of in (("a", first), ("b", second)):
        records: list[Record] = [held(devices(3)), under, *(SlotEntry(each) for each in of)]
        parts.append(fold_all(begin(header(host=host)), records))
    run = Run(tuple(parts))
    whole, told = run.totals.whole, receipt(run)
    uses = idle_of(run, whole)
    assert whole.quantities.idle_nanoseconds == sum(use.nanoseconds for use in uses.values())
    assert Decimal(told["cost"]["states"]["idle"]) == sum(map(Decimal, told["idle_costs"].values()))
    assert all(use.nanoseconds >= 0 for use in uses.values())
    assert list(told["idle_reasons"]) == list(told["idle_costs"]) == list(uses)


def test_a_run_that_waited_value_by_value() -> None:
    """The run of `runs.waited`, whose docstring has the sums; costliest first."""
    of = receipt(runs.waited())
    assert {"waiting-for-data": 7_200.0, "checkpoint": 2_020.0, "start-up": 1_152.0, "unexplained": 48.0} == (
        of["idle_reasons"]
    )
    costs = {reason: round(Decimal(cost), 4) for reason, cost in of["idle_costs"].items()}
    assert [Decimal("4.98"), Decimal("1.3972"), Decimal("0.7968"), Decimal("0.0332")] == list(costs.values())
    assert "estimated" == of["provenance"]["idle_reasons"]
    Draft202012Validator(SCHEMA).validate(of)


def test_of_a_run_without_reasons_all_is_unexplained() -> None:
    """Journals of before say nothing of reasons: their idle time has one row, and no line and no advice."""
    of = receipt(runs.healthy())
    assert {"unexplained": of["gpu_seconds"]["idle"]} == of["idle_reasons"]
    assert {"unexplained": of["cost"]["states"]["idle"]} == of["idle_costs"]
    assert "idle_reasons" not in of["provenance"]
    assert ["busy", "idle"] == [row.name for row in where_it_went(of).rows]
    assert [] == [*idle_lines(of), *tip_lines(of)]


def test_a_run_that_was_never_idle_has_no_reasons() -> None:
    """No row of nothing."""
    of = receipt(Run((runs.one("a", "ok", 0),)))
    assert ({}, {}) == (of["idle_reasons"], of["idle_costs"])


# Rows and lines


def test_rows_by_reason_add_up() -> None:
    """Without phases every reason is a row, and busy and all reasons are the total."""
    where = where_it_went(receipt(runs.waited()))
    assert ["busy", "waiting for data", "checkpoint", "start-up", "unexplained"] == [row.name for row in where.rows]
    assert Decimal("63.78") == sum(row.amount for row in where.rows)
    assert Decimal("25.62") == sum(row.hours for row in where.rows)
    assert ["", *["idle, paid for"] * 4] == [where.note(row, ", paid for") for row in where.rows]


def test_several_reasons_that_are_next_to_nothing_are_one_row() -> None:
    """One second of each of two reasons in an hour is 0.06 % of it: together they are other idle time."""
    run = _run({"hang": SECOND, "evaluation": SECOND, "checkpoint": 1_000 * SECOND}, HOUR)
    where = where_it_went(receipt(run))
    assert ["busy", "checkpoint", "other idle"] == [row.name for row in where.rows]
    assert where.hours == sum(row.hours for row in where.rows)


def test_with_phases_a_line_says_why() -> None:
    """Phases are rows; the line's parts add up to its whole: 2.00 + 0.56 + 0.32 + 0.01 = 2.89, and $7.21."""
    ((label, text),) = idle_lines(receipt(runs.waited("training")))
    assert "Idle" == label
    assert text == (
        "2.89 GPU-h, $7.21: waiting for data 2.00 ($4.98) · checkpoint 0.56 ($1.40) · start-up 0.32 ($0.80) · "
        "unexplained 0.01 ($0.03)"
    )


def test_without_a_price_a_line_has_hours_alone() -> None:
    """What nobody priced did not cost nothing."""
    of = receipt(runs.waited("training"))
    free = of | {"rates": of["rates"] | {"gpu_per_hour": {uuid: {} for uuid in of["rates"]["gpu_per_hour"]}}}
    ((_, text),) = idle_lines(free)
    assert text.startswith("2.89 GPU-h: waiting for data 2.00 · checkpoint 0.56 · ")
    assert [] == [*tip_lines(free)]


# Advice


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason != "unexplained"])
def test_every_reason_has_advice(reason: Reason) -> None:
    """With the money, how many GPUs, and how long: 900 s of an hour on two GPUs at $10/h are $5."""
    ((label, text),) = tip_lines(receipt(_run({reason: 900 * SECOND}, HOUR)))
    assert "Tip" == label
    assert "$5.00" in text
    assert "2 GPUs" in text
    assert "15 m each, on average" in text


def test_advice_of_one_gpu_is_of_that_one() -> None:
    """15 minutes of one GPU are no average."""
    ((_, text),) = tip_lines(receipt(_run({"waiting-for-data": 900 * SECOND}, HOUR, 1)))
    assert "the data loader kept the GPU waiting (15 m): worth up to $2.50 a run" == text


@pytest.mark.parametrize(
    ("idle_ns", "length_ns"),
    [
        pytest.param({"unexplained": 900 * SECOND}, HOUR, id="nobody-knows-why"),
        pytest.param({"waiting-for-data": 90 * SECOND}, HOUR, id="fifty-cents"),
        pytest.param({"waiting-for-data": 900 * SECOND}, 100 * HOUR, id="a-quarter-of-a-per-cent"),
    ],
)
def test_no_advice_where_it_is_not_worth_it(idle_ns: dict[Reason, int], length_ns: int) -> None:
    """Less than one of the currency, or two per cent of the cost, is left alone."""
    assert [] == [*tip_lines(receipt(_run(idle_ns, length_ns)))]


def test_parts_of_several_hosts_are_added() -> None:
    """What each meter found, by reason."""
    one: Part = _run({"hang": 60 * SECOND, "checkpoint": 30 * SECOND}, HOUR).parts[0]
    other = replace(_run({"hang": 40 * SECOND}, HOUR).parts[0], header=header(host="gpu02"))
    of = receipt(Run((one, other)))
    assert {"hang": 200.0, "checkpoint": 60.0} == of["idle_reasons"]
    assert 120 * SECOND == one.idle["hang"].nanoseconds


def _run(idle_ns: dict[Reason, int], length_ns: int, gpus: int = 2) -> Run:
    """So many GPUs at $10/h, each idle for so long for each reason, and busy for the rest."""
    order = uuids(devices(gpus))
    busy_ns = length_ns - sum(idle_ns.values())
    records: list[Record] = [held(devices(gpus)), rates_from_start(rates({uuid: rental("10") for uuid in order}))]
    records.append(runs.entry(dict.fromkeys(order, measured(busy_ns, 10**9)), busy_ns))
    for reason, nanoseconds in idle_ns.items():
        of = runs.entry(dict.fromkeys(order, measured(idle_ns=nanoseconds, idle_uj=10**6)), nanoseconds)
        records.append(replace(of, slot=replace(of.slot, reasons=dict.fromkeys(order, reason))))
    return Run((fold_all(begin(header()), records),))
