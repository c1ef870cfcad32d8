"""Runs and accounts from the journals of a node: known answers, and the same sums as the agent's own."""

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.errors import JournalError
from costmeter.ledger.ending import run_ending
from costmeter.ledger.grouping import HeldCost
from costmeter.ledger.node.record import Holders, Line, Opening, RunEnded, RunSeen
from costmeter.ledger.node.run import beside, node_run
from costmeter.ledger.node.runs import NO_RUN, NODE_KEYS, UNHELD_GROUP, node_account, node_groups
from costmeter.ledger.query import Run
from costmeter.ledger.record import Outcome, SlotEntry
from costmeter.meter.holder import Holder
from costmeter.meter.totals import DeviceTotals
from costmeter.outputs.grouplist import render
from costmeter.outputs.receipt import receipt
from costmeter.outputs.style import Style
from tests.ledger.node.test_journal import FIRST, MAYA, SECOND_GPU, day, written
from tests.ledger.nodedays import facts
from tests.ledger.written import write
from tests.outputs.test_receipt_schema import validator
from tests.runtime.agent.test_recorder import LATE_UTC_NS
from tests.runtime.heldnode import LEE, LEE_1, MAYA_1, MAYA_2, HeldNode, held_node
from tests.runtime.metered import SECOND
from tests.runtime.test_recorder import TWO_GPUS, owned_book
from tests.samples import BEGAN_UTC_NS, MINUTE, footer, header, measured, slot

RUN = MAYA.run
LEE_3 = replace(LEE_1, run="r-3")


def state(folder: Path, records: list[Line] | None = None) -> Path:
    """A state directory in which an agent recorded a day."""
    (folder / "node").mkdir(parents=True, exist_ok=True)
    written(folder / "node", records)
    return folder


def played(folder: Path) -> HeldNode:
    """A node over midnight: maya and lee share and swap two GPUs, one run fails, one is taken up again."""
    with held_node(TWO_GPUS, owned_book(), LATE_UTC_NS) as run:
        run.begin()
        run.hold([MAYA_1], [MAYA_1, LEE])
        run.tick(4 * SECOND)
        run.hold([MAYA_1, MAYA_2], [LEE])
        run.tick(20 * SECOND)
        run.tick(70 * SECOND)
        run.gone(MAYA_1, "failed")
        run.tick(30 * SECOND)
        run.hold([replace(MAYA_2, phase="evaluation")], [LEE_3], runs=[MAYA_2])
        run.tick(60 * SECOND)
        run.end()
    (folder / "node").mkdir(parents=True)
    for first, *records in run.files:
        written(folder / "node", records, first)  # type: ignore[arg-type]  # the first of a file is its header
    assert len(run.files) == 2
    return run


def test_a_run_is_what_its_slots_say(tmp_path: Path) -> None:
    """Two minutes of one GPU at $3.60 an hour cost $0.12, and 60 J a minute are 120 J; the other GPU is not its own."""
    found = node_run(state(tmp_path), RUN)
    assert found is not None
    assert (Decimal("0.12"), 120_000_000) == (found.totals.whole.cost, found.totals.whole.quantities.microjoules)
    told = receipt(found)
    assert [FIRST] == [device["uuid"] for device in told["devices"]] == list(told["rates"]["gpu_per_hour"])
    assert [] == [error.message for error in validator().iter_errors(told)]
    assert node_run(tmp_path, "r-other") is None


def test_nodes_come_to_their_holders_and_nobody(tmp_path: Path) -> None:
    """Of 6 GPU-minutes at 6 cents maya held two, lee as a user two, and nobody two; by run lee has none."""
    account = node_account(state(tmp_path))
    by = {key: {group.word: group.spending.cost for group in node_groups(account, key)} for key in ("user", "run")}
    cents = Decimal("0.12")
    assert {"maya": cents, "lee": cents, UNHELD_GROUP: cents} == by["user"]
    assert {RUN: cents, NO_RUN: cents, UNHELD_GROUP: cents} == by["run"]
    runs = {group.word: len(group.runs) for group in node_groups(account, "user")}
    assert {"maya": 1, "lee": 0, UNHELD_GROUP: 0} == runs


@pytest.mark.parametrize(("key", "words"), [("user", ["maya", UNHELD_GROUP]), ("day", ["2026-11-19"])])
def test_what_nobody_holds_is_nobodys_idle_spend(tmp_path: Path, key: str, words: list[str]) -> None:
    """Both GPUs idle for half of each minute at 3.60 an hour; maya held one: her half is 3 cents, the other nobody's.

    All of it is in the cost, 6 cents a minute and GPU.
    """
    half = measured(busy_ns=30 * SECOND, busy_uj=6, idle_ns=30 * SECOND, idle_uj=6)
    minute = SlotEntry(slot(dict.fromkeys((FIRST, SECOND_GPU), half), 0))
    records = [*day()[:4], Holders(BEGAN_UTC_NS, {FIRST: (MAYA,)}), minute]
    groups = node_groups(node_account(state(tmp_path, records)), key)
    assert Decimal("0.12") == sum(group.spending.cost for group in groups)
    assert Decimal("0.03") == sum(group.spending.idle for group in groups)
    assert 30 * SECOND == sum(group.spending.whole.quantities.idle_nanoseconds for group in groups)
    assert 24 == sum(group.spending.whole.quantities.microjoules for group in groups)
    if key == "user":
        text = render(groups, key, Style())
        assert re.search(r"^\(unheld\)\s+0\s+\S+\s+0\.06\d*\s+–", text, re.MULTILINE), text


def test_runs_of_two_users_with_one_id_are_two(tmp_path: Path) -> None:
    """By hand: maya's r-1 had the first GPU for two minutes, lee's r-1 both for one: 12 cents each, and each its row.

    By user and in all there are two runs. As it is called here it may be asked for.
    """
    lees = replace(LEE_1, run=RUN)
    records = [*day()[:7], Holders(BEGAN_UTC_NS + 2 * MINUTE, dict.fromkeys((FIRST, SECOND_GPU), (lees,))), day()[8]]
    account = node_account(state(tmp_path, records))
    cents = Decimal("0.12")
    by_run, by_day = (node_groups(account, key) for key in ("run", "day"))
    assert {group.word: group.spending.cost for group in by_run} == {
        f"{RUN}~1001": cents,
        f"{RUN}~1002": cents,
        UNHELD_GROUP: cents,
    }
    assert [2] == [len(group.runs) for group in by_day]
    found = node_run(tmp_path, f"{RUN}~1002")
    assert found is not None
    assert ("lee", cents) == (found.parts[0].header.user, found.totals.whole.cost)


@pytest.mark.parametrize("word", [UNHELD_GROUP, NO_RUN])
def test_no_run_is_booked_as_the_nodes_by_its_name(tmp_path: Path, word: str) -> None:
    """By hand: 12 cents of 36 are maya's, however she calls her run or its project; they are a row of their own."""
    told = RunSeen(BEGAN_UTC_NS, facts(MAYA, name=word, labels={"project": word}))
    account = node_account(state(tmp_path, day(told)))
    for key in ("name", "project"):
        costs = {group.word: group.spending.cost for group in node_groups(account, key)}
        assert dict.fromkeys((UNHELD_GROUP, NO_RUN, f'"{word}"'), Decimal("0.12")) == costs


def test_days_say_who_held_what(tmp_path: Path) -> None:
    """By hand: of 36 cents a third each was held by a run, by lee without one, and by nobody; others say nothing."""
    account = node_account(state(tmp_path))
    cents = Decimal("0.12")
    assert [HeldCost(cents, cents, cents)] == [group.held for group in node_groups(account, "day")]
    assert {None} == {group.held for group in node_groups(account, "user")}


@pytest.mark.parametrize("key", NODE_KEYS)
def test_every_account_is_the_whole_node(tmp_path: Path, key: str) -> None:
    """By whatever it is asked for, over two files of two days, the groups sum to what the agent counted, exactly."""
    whole = played(tmp_path).snapshot.node.totals.whole
    groups = node_groups(node_account(tmp_path), key)
    summed = sum((group.spending.whole for group in groups), DeviceTotals())
    assert (whole.quantities, whole.cost) == (summed.quantities, summed.cost)


@pytest.mark.parametrize("holder", [MAYA_1, MAYA_2, LEE_3], ids=["ended", "phases", "short"])
def test_a_receipt_is_the_agents_own_sum(tmp_path: Path, holder: Holder) -> None:
    """Money, quantities and phases of a run are those of the agent's page, over midnight too, and the schema holds."""
    run = played(tmp_path)
    counted = run.snapshot.node.accounts[holder.key]
    found = node_run(tmp_path, holder.run)
    assert found is not None
    whole = found.totals.whole
    assert (counted.totals.whole.quantities, counted.totals.whole.cost) == (whole.quantities, whole.cost)
    assert counted.phases == found.parts[0].phases
    assert [] == [error.message for error in validator().iter_errors(receipt(found))]


def test_one_id_of_two_users_is_refused(tmp_path: Path) -> None:
    """The agent knows runs of one id by their users; an id alone names none of them, and the refusal says whose."""
    with held_node(TWO_GPUS) as run:
        run.begin()
        run.hold([MAYA_1], [LEE_1])
        run.tick(4 * SECOND)
        run.end()
    first, *records = run.files[0]
    (tmp_path / "node").mkdir()
    written(tmp_path / "node", records, first)  # type: ignore[arg-type]  # the first of a file is its header
    with pytest.raises(JournalError, match=r"several users have a run .*: lee, maya"):
        node_run(tmp_path, MAYA_1.run)


@pytest.mark.parametrize(
    ("outcome", "sunk"),
    [pytest.param("failed", "0.12", id="failed"), pytest.param("unknown", "0", id="unknown")],
)
def test_an_end_is_told_as_the_agent_knows_it(tmp_path: Path, outcome: Outcome, sunk: str) -> None:
    """A run that failed has sunk its cost; of one that only went away nobody says so."""
    ended = RunEnded(BEGAN_UTC_NS + 2 * MINUTE, MAYA.key, outcome, 1 if outcome == "failed" else None)
    found = node_run(state(tmp_path, day(ended)), RUN)
    assert found is not None
    told = receipt(found)
    assert (outcome, 120.0) == (told["run"]["outcome"], told["run"]["seconds"])
    assert Decimal(sunk) == Decimal(told["sunk"]["total"])
    assert [] == [error.message for error in validator().iter_errors(told)]


def test_a_run_of_an_agent_that_is_gone_was_interrupted(tmp_path: Path) -> None:
    """Where no end was told and no agent is at work, nobody knows more than the last slot."""
    found = node_run(state(tmp_path), RUN)
    assert found is not None
    assert run_ending(found).outcome == "interrupted"


def test_what_an_opening_brought_is_of_another_file(tmp_path: Path) -> None:
    """The counters that a file opens with are in no account: they are in the files before, if those are still there."""
    records = day()
    records[0] = Opening(BEGAN_UTC_NS)
    without, with_it = (node_account(state(tmp_path / name, of)) for name, of in (("a", records), ("b", None)))
    assert [each.whole for each in without.shares] == [each.whole for each in with_it.shares]


def test_days_are_chosen_by_name(tmp_path: Path) -> None:
    """Files of days that were not asked for are not read at all."""
    assert node_account(state(tmp_path), lambda day: day > "2026-11-22").shares == ()


def test_damage_is_told_and_hides_no_other_file(tmp_path: Path) -> None:
    """A file that is no journal is named; the others count."""
    folder = state(tmp_path)
    (folder / "node" / "gpu02.2026-11-22.1.jsonl").write_text("nothing\n")
    account = node_account(folder)
    assert ["gpu02.2026-11-22.1.jsonl" in said for said in account.unread] == [True]
    assert len(account.shares) == 3


def test_nothing_there_says_where_it_looked(tmp_path: Path) -> None:
    """Without any agent's journal there is no account, and a name of a run finds nothing."""
    with pytest.raises(JournalError, match="no agent has recorded"):
        node_account(tmp_path)
    assert node_run(tmp_path, RUN) is None


def test_what_a_wrapper_recorded_counts_alone(tmp_path: Path) -> None:
    """A run that both saw costs what its wrapper says, and its receipt says what the agent metered of it."""
    folder = state(tmp_path)
    (part,) = wrapped(folder).parts
    (shown,) = beside(folder, Run((part,))).parts
    assert shown.totals == part.totals
    assert [remark for remark in shown.remarks if "metered 0.12" in remark and "not added" in remark]
    stranger = Run((replace(part, header=replace(part.header, user="lee")),))
    assert beside(folder, stranger) == stranger


def wrapped(folder: Path) -> Run:
    """The same run by a wrapper's journal, without any GPU."""
    from costmeter.ledger.bulk import load_run

    write(folder / "runs" / RUN, header(run=RUN, user="maya"), [footer(BEGAN_UTC_NS + MINUTE)])
    return load_run(folder, RUN)
