"""Runs that only an agent saw, in the list and in groups: the sums of their receipts, and a wrapper's run once."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timezone
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.charged import accounts
from costmeter.ledger.days import Days, days_of
from costmeter.ledger.grouping import groups
from costmeter.ledger.listing import Listed, Listing, listing
from costmeter.ledger.node.listing import of_job, with_node_runs
from costmeter.ledger.node.record import Holders, Line, RunEnded, RunSeen
from costmeter.ledger.node.run import beside, node_run
from costmeter.ledger.node.stints import stints_of
from costmeter.ledger.query import Run
from costmeter.ledger.record import RatesChange
from costmeter.meter.holder import Holder
from costmeter.meter.totals import DeviceTotals
from costmeter.outputs.focus import focus_csv
from costmeter.outputs.receipt import receipt
from costmeter.outputs.runcsv import runs_csv
from tests.ledger.node.test_journal import FIRST, MAYA, SECOND_GPU, agent, day, entry, written
from tests.ledger.node.test_run import RUN, played, state, wrapped
from tests.ledger.node.test_stints import by_whom, closed
from tests.ledger.nodedays import facts, node_day
from tests.runtime.heldnode import LEE_1, MAYA_1, MAYA_2
from tests.samples import BEGAN_UTC_NS, MINUTE, owned, rates, rental


def listed(folder: Path) -> dict[str, Listed]:
    """The runs of agents alone."""
    return {run.found: run for run in with_node_runs(Listing(()), folder).runs}


def cost(runs: Sequence[Listed]) -> Decimal:
    return sum((spent.cost for run in runs for spent in run.spendings), Decimal(0))


@pytest.mark.parametrize("has_end", [True, False], ids=["summed-up", "cut-off"])
def test_a_run_without_a_wrapper_is_a_run(tmp_path: Path, has_end: bool) -> None:
    """Two minutes of one GPU at $3.60 an hour, by its own id, name and user, and how it ended."""
    records = day(
        RunSeen(BEGAN_UTC_NS, facts(MAYA, name="sft", labels={"project": "llm"})),
        RunEnded(BEGAN_UTC_NS + 2 * MINUTE, MAYA.key, "failed", 1),
    )
    (run,) = listed(state(tmp_path, closed(records) if has_end else records)).values()
    assert (RUN, "sft", "maya", "llm") == (run.id, run.header.name, run.header.user, run.header.labels["project"])
    assert (Decimal("0.12"), "failed", 1) == (cost([run]), run.ending.outcome, run.ending.exit_code)
    assert 2 * MINUTE == run.ending.length_ns
    assert (("NVIDIA H100 80GB HBM3", 1),) == run.gpus


def test_the_same_id_of_two_users_counts_as_two_runs(tmp_path: Path) -> None:
    """In every group, as in the list: maya's r-1 had one GPU for two minutes, lee's r-1 another for one."""
    lees = replace(LEE_1, run=RUN)
    records = [*day()[:7], Holders(BEGAN_UTC_NS + 2 * MINUTE, {FIRST: (lees,)}), day()[8]]
    found = with_node_runs(Listing(()), state(tmp_path, records)).runs
    for key in ("host", "outcome", "day", "model"):
        assert 2 == len({run for group in groups(tmp_path, found, key, timezone.utc) for run in group.runs})


def test_the_list_is_the_receipts(tmp_path: Path) -> None:
    """Over midnight, with shared GPUs and a run that failed: every line is what the run's own receipt comes to."""
    played(tmp_path)
    found = listed(tmp_path)
    assert {MAYA_1.run, MAYA_2.run, "r-3"} == {run.id for run in found.values()}
    for name, run in found.items():
        whole = node_run(tmp_path, name)
        assert whole is not None
        (spent,) = run.spendings
        assert (whole.totals.whole.cost, whole.totals.whole.quantities) == (spent.cost, spent.whole.quantities)
        assert len(run.parts) in (1, 2)


def test_an_agent_says_at_the_end_of_a_file_what_its_slots_come_to(tmp_path: Path) -> None:
    """At midnight and where it stops: as who reads the slots of a file that lost its end, to the last digit."""
    played(tmp_path)
    paths = sorted((tmp_path / "node").iterdir())
    for path in paths:
        said, told = path.read_bytes(), stints_of(path, is_checked=True)
        assert b'{"type":"stint"' in said
        path.write_bytes(said[: said.index(b'{"type":"stint"')])
        found = stints_of(path)
        assert (True, False) == (told.has_ended, found.has_ended)
        assert by_whom(found) == by_whom(told)
    assert len(paths) == 2


@pytest.mark.parametrize("key", ["day", "model", "user", "host", "outcome", "project"])
def test_groups_add_up_to_the_list(tmp_path: Path, key: str) -> None:
    """However they are grouped; by day they are divided at a zone's midnight."""
    played(tmp_path)
    runs = list(listed(tmp_path).values())
    made = groups(tmp_path, runs, key, timezone.utc)
    assert cost(runs) == sum(group.spending.cost for group in made)
    assert (2 if key == "day" else 1) <= len(made)


@given(st.integers(0, 10**6))
def test_cut_by_day_and_model_it_is_the_whole(seed: int) -> None:
    """Invoices have every run's pieces, each with the part behind it: to the last digit what the list has."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "node").mkdir()
        written(Path(folder) / "node", closed(node_day(seed)))
        for run in listed(Path(folder)).values():
            parts = [each for account in accounts(run, days_of(timezone.utc), Days()) for each in account.charged]
            pieces = sum((piece[3] for each in parts for piece in each.pieces), DeviceTotals())
            whole = sum((each.part.totals.whole for each in parts), DeviceTotals())
            (spent,) = run.spendings
            assert pieces == spent.whole == whole


def test_a_run_that_a_wrapper_recorded_counts_once(tmp_path: Path) -> None:
    """On its host the wrapper counts; on another host, where only an agent saw it, the agent does."""
    folder = state(tmp_path)
    own = wrapped(folder)
    found = with_node_runs(listing(folder), folder)
    assert [RUN] == [run.id for run in found.runs]
    assert 0 == cost(found.runs)
    written(folder / "node", closed(day()), agent(host="gpu02"))
    (run,) = with_node_runs(listing(folder), folder).runs
    assert (Decimal("0.12"), ("gpu01", "gpu02")) == (cost([run]), run.hosts)
    assert Decimal("0.12") == sum(part.totals.whole.cost for part in beside(folder, Run(own.parts)).parts)


def test_another_users_run_of_that_id_is_another(tmp_path: Path) -> None:
    """The agent knows whose it is, and so does the list."""
    folder = state(tmp_path)
    other = replace(LEE_1, run=RUN)
    records = [RunSeen(BEGAN_UTC_NS, facts(other)), *day()]
    written(folder / "node", [*day()[:3], *_held_by(records, other)])
    found = listed(folder)
    assert {f"{RUN}~{MAYA.uid}", f"{RUN}~{other.uid}"} == found.keys()
    for name, run in found.items():
        seen = node_run(folder, name)
        assert seen is not None
        assert seen.totals.whole.cost == cost([run])
        assert {name} == {run.id, receipt(seen)["run"]["id"]}


@pytest.mark.parametrize("user", ["maya", "lee"])
def test_a_wrappers_run_of_another_user_keeps_its_id(tmp_path: Path, user: str) -> None:
    """Where maya's wrapper has the id, lee's run is `r-1~1002` in list and receipt; her own has no second name."""
    folder = state(tmp_path)
    if user == "lee":
        (tmp_path / "lees").mkdir()
        folder = state(tmp_path / "lees", _held_by([*day()[:4], *day()], replace(LEE_1, run=RUN)))
    own = wrapped(folder)
    found = with_node_runs(listing(folder), folder).runs
    assert ({RUN} if user == "maya" else {RUN, f"{RUN}~{LEE_1.uid}"}) == {run.id for run in found}
    seen = node_run(folder, f"{RUN}~{LEE_1.uid}")
    assert (user == "lee") == (seen is not None)
    assert seen is None or receipt(seen)["run"]["id"] == f"{RUN}~{LEE_1.uid}"
    assert RUN == own.parts[0].header.run


def test_invoices_name_runs_of_one_id_apart(tmp_path: Path) -> None:
    """In CSV and FOCUS as in the list, so that rows of two people's runs are never added up as one."""
    folder = state(tmp_path)
    other = replace(LEE_1, run=RUN)
    written(folder / "node", [*day()[:3], *_held_by([*day()[:4], *day()[4:]], other)])
    runs = with_node_runs(Listing(()), folder).runs
    names = {f"{RUN}~{MAYA.uid}", f"{RUN}~{other.uid}"}
    assert names == {row["run"] for row in csv.DictReader(io.StringIO(runs_csv(runs)))}
    charged = [each for run in runs for each in accounts(run, days_of(timezone.utc), Days())]
    rows = list(csv.DictReader(io.StringIO(focus_csv(charged))))
    assert names == {row["x_RunId"] for row in rows} == {json.loads(row["Tags"])["run_id"] for row in rows}


def test_owned_and_rented_gpus_of_a_share_are_apart(tmp_path: Path) -> None:
    """Two H100s for a minute each: the owned one at $1.20 an hour is 2 cents that nobody bills, the other 6 of rent."""
    records = day()
    records[2] = RatesChange(BEGAN_UTC_NS, rates({FIRST: owned("1.20"), SECOND_GPU: rental("3.60")}))
    records[4:] = [Holders(BEGAN_UTC_NS, {FIRST: (MAYA,), SECOND_GPU: (MAYA,)}), entry(0), entry(1)]
    for of in (records[:6], closed(records[:6])):
        (run,) = listed(state(tmp_path / str(len(of)), of)).values()
        (account,) = accounts(run, days_of(timezone.utc), Days())
        rows = list(csv.DictReader(io.StringIO(focus_csv([account]))))
        found = {row["ResourceId"]: (row["EffectiveCost"], row["BilledCost"]) for row in rows if row["x_EnergyKWh"]}
        assert {FIRST: ("0.02", "0.00"), SECOND_GPU: ("0.06", "0.06")} == {
            uuid: tuple(f"{Decimal(amount):.2f}" for amount in amounts) for uuid, amounts in found.items()
        }


def _held_by(records: list[Line], holder: Holder) -> list[Line]:
    found: list[Line] = []
    for record in records[4:]:
        if isinstance(record, Holders):
            record = replace(record, by_device=dict.fromkeys(record.by_device, (holder,)))
        found.append(record)
    return found


def test_a_job_is_found_by_its_number(tmp_path: Path) -> None:
    """By what the agent knows of it, by the run's id, or by a label; a step's run is its job's."""
    seen = [RunSeen(BEGAN_UTC_NS, facts(MAYA, job="4711"))]
    folder = state(tmp_path, day(*seen))
    step = replace(MAYA, run="slurm-42-0")
    records = [*day()[:3], RunSeen(BEGAN_UTC_NS, facts(step)), *_held_by(day(), step)]
    written(folder / "node", records)
    assert [f"{RUN}~{MAYA.uid}"] == of_job(folder, "4711", Listing(()))
    assert [f"slurm-42-0~{MAYA.uid}"] == of_job(folder, "42", Listing(()))
    assert [] == of_job(folder, "4", Listing(()))


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A file that is no journal hides no other."""
    folder = state(tmp_path)
    (folder / "node" / "gpu02.2026-11-22.1.jsonl").write_text("nothing\n")
    found = with_node_runs(Listing(()), folder)
    assert ([RUN], 1) == ([run.id for run in found.runs], len(found.unread))
