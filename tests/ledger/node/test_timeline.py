"""What a run that an agent saw did over time: sums that are its receipt's, and nobody else's share."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.ledger.node.record import Holders, RunSeen
from costmeter.ledger.node.run import node_run
from costmeter.ledger.node.timeline import node_timeline
from costmeter.ledger.timeline import Timeline
from costmeter.meter.holder import Holder
from tests.ledger.node.test_journal import FIRST, MAYA, SECOND_GPU, day
from tests.ledger.node.test_run import LEE_3, RUN, played, state
from tests.ledger.nodedays import facts
from tests.runtime.heldnode import LEE_1, MAYA_1, MAYA_2
from tests.samples import BEGAN_UTC_NS, MINUTE


@pytest.mark.parametrize("holder", [MAYA_1, MAYA_2, LEE_3], ids=["shared", "phases", "short"])
@pytest.mark.parametrize("points", [1, 600])
def test_sums_over_all_steps_are_the_receipts(tmp_path: Path, holder: Holder, points: int) -> None:
    """Over midnight, with a GPU that two held: time, energy and money are the run's own, in one step or in many."""
    played(tmp_path)
    found, steps = node_run(tmp_path, holder.run), node_timeline(tmp_path, holder.run, points).steps
    assert found is not None
    whole = found.totals.whole
    assert len(steps) <= points
    assert (whole.quantities.nanoseconds, whole.quantities.microjoules, whole.cost) == (
        sum(step.nanoseconds for step in steps),
        sum(step.microjoules for step in steps),
        sum((step.cost for step in steps), Decimal(0)),
    )


def test_phases_are_those_that_the_run_told(tmp_path: Path) -> None:
    """By hand: maya's run trains for two minutes, on a GPU of $3.60 an hour, on the node gpu01."""
    training = replace(MAYA, phase="training")
    records = day()
    records[4] = Holders(BEGAN_UTC_NS, {FIRST: (training,)})
    drawn = node_timeline(state(tmp_path, records), RUN)
    assert [("training", 2 * MINUTE)] == [(each.phase, each.end_utc_ns - each.start_utc_ns) for each in drawn.spans]
    assert (Decimal("0.12"), "gpu01") == (sum(step.cost for step in drawn.steps), drawn.spans_host)


def test_a_run_of_that_id_of_another_user_is_not_drawn(tmp_path: Path) -> None:
    """Maya's r-1 had the first GPU for two minutes, lee's r-1 the second for the one after them."""
    lees = replace(LEE_1, run=RUN)
    held = Holders(BEGAN_UTC_NS + 2 * MINUTE, {SECOND_GPU: (lees,)})
    state(tmp_path, [*day()[:7], RunSeen(BEGAN_UTC_NS + 2 * MINUTE, facts(lees)), held, day()[8]])
    drawn = [node_timeline(tmp_path, f"{RUN}~{uid}").steps for uid in (MAYA.uid, lees.uid)]
    assert [2 * MINUTE, MINUTE] == [sum(step.nanoseconds for step in steps) for steps in drawn]


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """A file that is no journal hides no other; where there is none, nothing is drawn."""
    assert Timeline().steps == node_timeline(tmp_path, RUN).steps
    folder = state(tmp_path)
    (folder / "node" / "gpu02.2026-11-22.1.jsonl").write_text("nothing\n")
    assert Decimal("0.12") == sum(step.cost for step in node_timeline(folder, RUN).steps)
