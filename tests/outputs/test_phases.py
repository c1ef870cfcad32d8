"""Phases in the receipt: their sum is the run, whatever was told, by whom and when."""

import re
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.query import Part, Run
from costmeter.ledger.record import Record, SlotEntry
from costmeter.meter.progress import Progress
from costmeter.outputs.phases import phases_of
from costmeter.outputs.receipt import receipt
from costmeter.outputs.style import Style
from costmeter.outputs.terminal import render
from tests.depth import examples
from tests.outputs import runs
from tests.samples import (
    BEGAN_UTC_NS,
    MINUTE,
    SECOND,
    devices,
    footer,
    header,
    held,
    measured,
    phases,
    quantities,
    rates,
    rates_from_start,
    rates_of,
    rental,
    slot,
    uuids,
)


@st.composite
def told_parts(draw: st.DrawFn, host: str) -> Part:
    """A part of up to five minutes on two GPUs, each minute in a phase or in none, under prices of either sign."""
    order = uuids(devices(2))
    records: list[Record] = [held(devices(2)), rates_from_start(replace(draw(rates_of(order)), currency="USD"))]
    for minute in range(draw(st.integers(0, 5))):
        of = {uuid: draw(quantities()) for uuid in order}
        records.append(SlotEntry(replace(slot(of, minute), phase=draw(phases), redone=draw(st.booleans()))))
    return runs.part(header(host=host), *records)


@examples(15)
@given(told_parts("gpu01"), told_parts("gpu02"))
def test_phases_sum_to_the_run(one: Part, other: Part) -> None:
    """Money, time by state and energy of all phases are the run's, to the last digit; or there are no phases at all."""
    run = Run((one, other))
    of = receipt(run)
    rows = of["phases"]
    assert {row["name"]: row["cost"] for row in rows} == of["cost"]["phases"]
    if not one.phases and not other.phases:
        assert [] == rows
        return
    assert sum(Decimal(row["cost"]) for row in rows) == Decimal(of["cost"]["total"])
    uses, whole = phases_of(run).values(), run.totals.whole.quantities
    assert (whole.busy_nanoseconds, whole.idle_nanoseconds, whole.unknown_nanoseconds, whole.microjoules) == (
        sum(use.busy_nanoseconds for use in uses),
        sum(use.idle_nanoseconds for use in uses),
        sum(use.unknown_nanoseconds for use in uses),
        sum(use.microjoules for use in uses),
    )


def test_a_run_that_told_is_taken_apart() -> None:
    """The run of `runs.trained`, whose docstring has the sums; what was before its first word is start-up."""
    of = receipt(runs.trained())
    shown = {name: round(Decimal(cost), 4) for name, cost in of["cost"]["phases"].items()}
    assert shown == {
        "start-up": Decimal("2.1580"),
        "training": Decimal("57.6297"),
        "eval": Decimal("2.6007"),
        "checkpoint": Decimal("1.3944"),
    }
    training = of["phases"][1]
    assert {"busy": 8 * (10_415.0 - 916), "idle": 8 * 916.0, "unknown": 0.0} == training["gpu_seconds"]
    assert ("measured", "phases as told by the job") == tuple(
        of[kind]["cost.phases"] for kind in ("provenance", "origins")
    )


@pytest.mark.parametrize("name", ["start-up", "total", "busy", "idle"])
def test_a_phase_is_told_apart_from_what_every_receipt_has(name: str) -> None:
    """Whatever a phase is called, the rows add up to the run, and none but the last is called total.

    Two minutes on two GPUs at $2.49, $0.083 each: the first before the run's first word, the second in that phase.
    """
    order = uuids(runs.TWO)
    of = dict.fromkeys(order, measured(MINUTE, 10**10))
    spoken = SlotEntry(replace(slot(of, 1), phase=name))
    lines = held(runs.TWO), rates_from_start(rates(dict.fromkeys(order, rental()))), SlotEntry(slot(of)), spoken
    made = receipt(Run((runs.part(header(), *lines, footer(2 * MINUTE)),)))
    assert Decimal("0.166") == sum(map(Decimal, made["cost"]["phases"].values())) == Decimal(made["cost"]["total"])
    rows = re.findall(r"^ (\S+(?: \S+)?) +0\.\d{4} +(0\.\d{4})\b", render(made, Style()), re.MULTILINE)
    shown = {"start-up": [("start-up", "0.1660")]}.get(name, [("start-up", "0.0830"), (f"{name} (phase)", "0.0830")])
    assert [*shown, ("total", "0.1660")] == rows


def test_a_run_that_told_nothing_has_no_phases() -> None:
    """No phase is made up."""
    of = receipt(runs.healthy())
    assert ({}, []) == (of["cost"]["phases"], of["phases"])
    assert "cost.phases" not in of["provenance"]


@pytest.mark.parametrize(
    ("expected", "host", "told"),
    [
        pytest.param({"training", "not told"}, "gpu02", False, id="a-host-that-never-tells"),
        pytest.param({"training", "start-up"}, "gpu01", False, id="a-requeue-killed-before-its-first-word"),
        pytest.param({"training", "start-up"}, "gpu02", True, id="progress-alone-is-a-word"),
    ],
)
def test_what_has_no_phase_is_named_by_who_was_silent(expected: set[str], host: str, told: bool) -> None:
    """A silent host beside one that tells was not starting up all the time; a part before its first word was."""
    order = uuids(runs.TWO)
    under = rates(dict.fromkeys(order, rental()))
    minute = slot(dict.fromkeys(order, measured(MINUTE, 10**10)))
    spoken = runs.part(header(), held(runs.TWO), rates_from_start(under), SlotEntry(replace(minute, phase="training")))
    progress = Progress(steps=1) if told else None
    silent = SlotEntry(replace(minute, progress=progress, start_utc_ns=BEGAN_UTC_NS + SECOND))
    other = runs.part(header(host=host, part=2), held(runs.TWO), rates_from_start(under), silent)
    assert expected == set(receipt(Run((spoken, other)))["cost"]["phases"])
