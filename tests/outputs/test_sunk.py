"""Sunk cost and unit costs in the receipt, against sums done by hand."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costmeter.ledger.query import Part, Run
from costmeter.ledger.record import Saved
from costmeter.ledger.timeline import Timeline, timeline
from costmeter.meter.budget import Budget, BudgetUse
from costmeter.meter.progress import Progress
from costmeter.meter.projection import Projection
from costmeter.outputs.progress import projected
from costmeter.outputs.receipt import receipt
from costmeter.outputs.style import Style
from costmeter.outputs.terminal import render
from costmeter.outputs.unitlines import budget_text, unit_costs
from tests.outputs import journeys, runs
from tests.outputs.runs import one
from tests.samples import BEGAN_UTC_NS, HOUR, MINUTE, SECOND


def sunk(run: Run, is_live: Callable[[Part], bool] = lambda _: False) -> dict[str, Any]:
    row: dict[str, Any] = receipt(run, is_live)["sunk"]
    return row


def test_a_failed_run_has_sunk_all_and_lost_what_was_not_saved() -> None:
    """The run of `runs.broke_off`: $15.33, of which 741 s × 8 GPUs × $2.49 = $4.1002 after its last checkpoint."""
    row = sunk(runs.broke_off())
    assert ("15.3273", "4.1002") == tuple(f"{Decimal(row[name]):.4f}" for name in ("total", "lost_since_checkpoint"))
    assert (741.0, "", 1) == (row["lost_seconds"], row["reason"], row["checkpoints"])
    assert "2026-11-22T14:36:49.000Z" == row["last_checkpoint_at"]
    of = receipt(runs.broke_off())
    assert ("measured", "checkpoints as told by the job") == tuple(
        of[kind]["sunk.lost_since_checkpoint"] for kind in ("provenance", "origins")
    )


def test_a_run_that_went_on_has_sunk_what_it_did_twice() -> None:
    """The run of `runs.resumed`: preempted, requeued and well in the end; 10 minutes on 8 GPUs were done again."""
    row = sunk(runs.resumed())
    assert "3.3200" == f"{Decimal(row['redone']):.4f}" == f"{Decimal(row['total']):.4f}"
    assert (4_800.0, 1, None) == (row["redone_gpu_seconds"], row["checkpoints"], row["lost_since_checkpoint"])
    assert "steps as told by the job" == receipt(runs.resumed())["origins"]["sunk.redone"]


@pytest.mark.parametrize(
    ("outcome", "total", "reason"),
    [
        pytest.param("ok", "0", "the run ended well", id="ok"),
        pytest.param(None, "0.083", "the run told of no checkpoint", id="interrupted"),
        *(
            pytest.param(outcome, "0.083", "the run told of no checkpoint", id=outcome)
            for outcome in ("failed", "cancelled", "preempted", "stopped by budget")
        ),
    ],
)
def test_every_outcome_but_a_good_one_sinks_the_whole_cost(outcome: Any, total: str, reason: str) -> None:
    """One minute on two GPUs at $2.49 is $0.083; what is not known of it has its reason, and is not 0."""
    row = sunk(Run((one("gpu01", outcome),)))
    assert (Decimal(total), None, reason) == (Decimal(row["total"]), row["lost_since_checkpoint"], row["reason"])


def test_a_run_that_still_goes_on_has_sunk_nothing_yet() -> None:
    """Nobody can say of a living run that it comes to nothing."""
    row = sunk(Run((one("gpu01", None),)), is_live=lambda _: True)
    assert ("0", "the run still goes on") == (row["total"], row["reason"])


def test_a_host_that_told_of_no_checkpoint_is_left_out_and_said_so() -> None:
    """What two hosts lost is known of the one that told; the figure is an estimate then."""
    told = replace(one("gpu01", "failed", 1), saved=Saved(BEGAN_UTC_NS + 45 * SECOND, Decimal("0.06")), checkpoints=2)
    of = receipt(Run((told, one("gpu02", "failed", 1))))
    assert ("0.023", 2) == (f"{Decimal(of['sunk']['lost_since_checkpoint']):.3f}", of["sunk"]["checkpoints"])
    assert "estimated" == of["provenance"]["sunk.lost_since_checkpoint"]
    assert "left out" in of["origins"]["sunk.lost_since_checkpoint"]


# Unit costs


def test_a_step_costs_all_that_was_paid_for_the_steps_there_are() -> None:
    """$63.7827 for 12,400 steps and 1,625,292,800 tokens (`runs.trained`); 9,000 steps for 100 minutes (`resumed`)."""
    progress = receipt(runs.trained())["progress"]
    assert (12_400, 1_625_292_800, 1.87, 12_400) == tuple(
        progress[name] for name in ("steps", "tokens", "loss", "of_steps")
    )
    assert "0.005143769" == f"{Decimal(progress['cost_per_step']):.9f}"
    assert "0.039244" == f"{Decimal(progress['cost_per_million_tokens']):.6f}"
    assert "0.003688889" == f"{Decimal(receipt(runs.resumed())['progress']['cost_per_step']):.9f}"


def test_what_was_never_told_is_null() -> None:
    """A run without progress has none: no zero, and no provenance of it."""
    of = receipt(runs.healthy())
    assert {None} == set(of["progress"].values())
    assert "progress" not in of["provenance"]


def test_no_step_yet_has_no_price() -> None:
    """A run that told of step 0 has reached none that could have cost anything."""
    at_zero = replace(one("gpu01", "failed", 1), progress=Progress(0, 0))
    progress = receipt(Run((at_zero,)))["progress"]
    assert (0, 0, None, None) == tuple(
        progress[name] for name in ("steps", "tokens", "cost_per_step", "cost_per_million_tokens")
    )


#: What a minute on two GPUs at $2.49 costs: 2 × $2.49 / 60.
MINUTE_OF_TWO = Decimal("0.083")


@pytest.mark.parametrize(
    ("added", "first", "second"),
    [
        pytest.param(900, Progress(400), Progress(900, from_steps=300), id="from-nothing"),
        pytest.param(700, Progress(400, from_steps=200), Progress(900, from_steps=300), id="from-a-step"),
        pytest.param(600, None, Progress(900, from_steps=300), id="the-first-to-tell"),
        pytest.param(None, Progress(400, from_steps=400), Progress(390), id="no-step-of-its-own"),
    ],
)
def test_a_step_costs_what_its_parts_cost_by_the_steps_that_they_added(
    added: int | None, first: Progress | None, second: Progress
) -> None:
    """Two minutes on two GPUs, $0.166, by the most that was reached less where the first that told began."""
    parts = replace(one("gpu01", "preempted"), progress=first), replace(one("gpu01", "ok", 0, HOUR), progress=second)
    told = receipt(Run(parts))["progress"]["cost_per_step"]
    assert (None if added is None else f"{2 * MINUTE_OF_TWO / added:.12f}") == told


def later(**progress: Any) -> dict[str, Any]:
    """The receipt of a minute that was the second part of its run."""
    part = one("gpu01", "ok", 0, HOUR)
    return receipt(Run((replace(part, header=replace(part.header, part=2), progress=Progress(**progress)),)))


def test_the_receipt_of_a_later_part_is_of_what_it_did_itself() -> None:
    """Steps 1,000 to 1,200 for $0.083, tokens 5 M to 6 M; it says that there is more of the run, and where."""
    of = later(steps=1_200, from_steps=1_000, tokens=6_000_000, from_tokens=5_000_000)
    assert (2, 1_000, "0.000415000000") == (
        of["run"]["part"],
        of["progress"]["from_steps"],
        of["progress"]["cost_per_step"],
    )
    text = render(of, Style())
    assert " Part     2 of this run; all of it: costmeter report r-0123456789ab\n" in text
    assert "$0.415 per 1,000 steps (from step 1,000 on) · $0.0830 per M tokens\n" in text


def test_a_later_part_that_told_too_little_has_no_unit_costs() -> None:
    """Nobody knows how many of 1,200 steps are its own, so none is priced; the whole run has a price all the same."""
    assert None is later(steps=1_200)["progress"]["cost_per_step"]


@pytest.mark.parametrize(
    ("expected", "per"),
    [
        pytest.param("62.5 % of $80.00 used by all parts of this run, $30.00 left", "run", id="of-the-run"),
        pytest.param("per month used by this run and others, $30.00 left", "month", id="of-others-too"),
    ],
)
def test_a_budget_that_counts_more_than_the_receipt_says_whose(expected: str, per: Any) -> None:
    """A part that cost $0.083 stands below $50 of a budget of $80: the other $49.917 were spent elsewhere."""
    part = one("gpu01", "ok", 0)
    part = replace(part, budgets=(BudgetUse(Budget(Decimal(80), per=per), Decimal("49.917")),))
    text = " ".join(render(receipt(Run((part,))), Style()).split())
    assert expected in text


@pytest.mark.parametrize("steps", [9_223_372_036_854_775_807, 10**15])
def test_a_count_beyond_belief_has_no_price_of_nothing(steps: int) -> None:
    """$0.083 for 9.2e18 steps is not $0.00 a million: the figure has its digits in the JSON, and no line."""
    absurd = replace(one("gpu01", "ok", 0), progress=Progress(steps, steps))
    of = receipt(Run((absurd,)))
    assert Decimal(of["progress"]["cost_per_step"]) * steps == pytest.approx(MINUTE_OF_TWO, rel=Decimal("1e-5"))
    assert [] == list(unit_costs(of))


def test_a_later_part_has_the_last_word_and_the_furthest_the_steps() -> None:
    """Steps are the most of any part; the loss is that of the part which ended last."""
    first = replace(one("gpu01", "preempted"), progress=Progress(400, None, 2.0, 500))
    last = replace(one("gpu01", "ok", 0, HOUR), progress=Progress(300, 70, 2.5, 450))
    progress = receipt(Run((first, last)))["progress"]
    assert (400, 70, 2.5, 500) == tuple(progress[name] for name in ("steps", "tokens", "loss", "of_steps"))


def test_a_steady_run_ends_when_and_for_what_its_pace_says(tmp_path: Path) -> None:
    """66 steps a minute on 8 GPUs at $2.49, 12,400 in all: known from what the journal has of the first 85 minutes.

    80 minutes × 66 = 5,280 steps; 7,120 are left, 107.9 min more at $0.332 a minute, and $28.22 have been paid.
    """
    told = timeline([journeys.training(tmp_path, 85)])
    projection = projected(told, 12_400)
    assert projection is not None
    assert 107.9 == pytest.approx(projection.remaining_ns / MINUTE, rel=0.01)
    assert 28.22 + 107.9 * 0.332 == pytest.approx(float(projection.total_cost), rel=0.01)
    assert None is projected(told, None) is projected(Timeline(), 12_400)


def test_what_is_still_to_go_is_printed_with_its_band() -> None:
    """An hour at $19.92 of a run that will have cost $59.76: about $40 more."""
    projection = Projection(120 * MINUTE, 110 * MINUTE, 150 * MINUTE, *map(Decimal, ("59.76", "56.4", "69.7")))
    text = render(receipt(runs.going_on(), is_live=lambda _: True, projection=projection), Style())
    assert " To go    about $40 more, 2 h 00 m (between $36 and $50)\n" in text


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        pytest.param("79.7 % of $80.00 used, $16.27 left", {}, id="a-run"),
        pytest.param(
            "of $80.00 per month (project llm) used", {"per": "project/month", "project": "llm"}, id="project"
        ),
        pytest.param("of $80.00 (its project) used", {"per": "project"}, id="any-project"),
        pytest.param("of $80.00 per day used", {"per": "day"}, id="a-day"),
        pytest.param("103.2 % of $80.00 used, $2.56 over", {"share": "1.032", "left": "-2.56"}, id="exceeded"),
        pytest.param("$16.27 left; the run was stopped", {"stopped": True}, id="stopped"),
        pytest.param("left; a buffer of $20.00 is kept back", {"amount": "100"}, id="with-a-buffer"),
    ],
)
def test_a_budget_is_told_in_words(expected: str, changes: dict[str, Any]) -> None:
    """How much of what is usable has gone, and what is left or was overspent."""
    budget = {"amount": "80", "per": "run", "project": "", "usable": "80", "share": "0.7966", "left": "16.27"}
    assert expected in budget_text(budget | {"stopped": False} | changes, "USD")


@pytest.mark.parametrize(
    ("expected", "cost_per_step"),
    [
        pytest.param("$1.50 per step", "1.5", id="dear"),
        pytest.param("$0.0120 per step", "0.012", id="from-a-cent-on"),
        pytest.param("$5.14 per 1,000 steps", "0.00514", id="cheap"),
        pytest.param("$0.514 per M steps", "0.000000514", id="cheaper"),
        pytest.param("-$0.514 per M steps", "-0.000000514", id="under-negative-prices"),
    ],
)
def test_unit_costs_are_of_as_many_steps_as_have_a_price_to_read(expected: str, cost_per_step: str) -> None:
    """A step, a thousand or a million of them: the fewest that cost at least a cent."""
    progress = {"cost_per_step": cost_per_step, "cost_per_million_tokens": None, "from_steps": None}
    assert [expected] == list(unit_costs({"progress": progress, "currency": "USD"}))


def test_a_projection_is_told_with_its_band() -> None:
    """Where a running run ends stands in its receipt, with the lowest and the highest."""
    projection = Projection(120 * MINUTE, 110 * MINUTE, 150 * MINUTE, *map(Decimal, ("59.76", "56.4", "69.7")))
    projected = receipt(runs.going_on(), is_live=lambda _: True, projection=projection)["progress"]["projected"]
    assert projected == {
        "seconds_left": 7_200.0,
        "seconds_left_low": 6_600.0,
        "seconds_left_high": 9_000.0,
        "total_cost": "59.76",
        "total_cost_low": "56.4",
        "total_cost_high": "69.7",
    }
