"""What recorded runs spent of a budget, from real journals: by run, day, month and project."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmeter.ledger.grouping import groups
from costmeter.ledger.journal import records
from costmeter.ledger.listing import list_runs
from costmeter.ledger.record import Footer, Header, Record, SlotEntry
from costmeter.ledger.spent import Spent, SpentSums, Whose
from costmeter.meter.budget import Budget, Per
from costmeter.meter.slot import Slot
from tests.depth import examples
from tests.ledger.test_query import ORDER, on_disk
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    HOUR,
    MINUTE,
    devices,
    footer,
    header,
    held,
    measured,
    rates,
    rates_from_start,
    rental,
)

UTC = timezone.utc
#: Two GPUs at 30 USD an hour: a minute of the run costs one dollar.
PRICED = rates_from_start(rates(dict.fromkeys(ORDER, rental("30"))))
#: 2026-11-23 00:00 UTC, 9 h 57 min after the beginning.
MIDNIGHT = BEGAN_UTC_NS + 9 * HOUR + 57 * MINUTE
DAY = Budget(Decimal(500), per="day")


def record(state: Path, run: str, start_utc_ns: int, minutes: int, is_over: bool = True, **facts: Any) -> Header:
    """A run of so many dollars."""
    first = header(run=run, start_ns=BEGAN_NS + start_utc_ns - BEGAN_UTC_NS, **facts)
    done = measured(MINUTE, 10**9)
    slots = [
        SlotEntry(
            Slot(start_utc_ns + at * MINUTE, start_utc_ns + (at + 1) * MINUTE, dict.fromkeys(ORDER, done), {}, at)
        )
        for at in range(minutes)
    ]
    lines: list[Record] = [first, held(devices(2)), PRICED, *slots]
    if is_over:
        lines.append(replace(footer(minutes * MINUTE), ended_utc_ns=start_utc_ns + minutes * MINUTE))
    on_disk(state / "runs" / run, ORDER, lines).close(finished=is_over)
    return first


def spent(state: Path, whose: Whose) -> Spent:
    return SpentSums().of(whose, list_runs(state))


def on(utc_ns: int, budget: Budget = DAY, **changes: object) -> Whose:
    """Spending in dollars at an instant."""
    return replace(Whose(budget, budget.window(utc_ns, UTC), "USD"), **changes)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize("is_over", [True, False])
def test_a_run_over_midnight_counts_on_both_days_by_its_slots(tmp_path: Path, is_over: bool) -> None:
    """3 minutes before midnight and 5 after it: 3 dollars on the one day and 5 on the other, footer or not."""
    record(tmp_path, "night", MIDNIGHT - 3 * MINUTE, 8, is_over)
    assert Spent(Decimal(3), 1) == spent(tmp_path, on(MIDNIGHT - 1))
    assert Spent(Decimal(5), 1) == spent(tmp_path, on(MIDNIGHT))
    assert Spent() == spent(tmp_path, on(MIDNIGHT + 24 * HOUR))


@settings(max_examples=20)
@given(st.integers(-90, 90), st.integers(1, 40), st.sampled_from([timezone.utc, timezone(timedelta(hours=1))]))
def test_days_add_up_to_the_month(
    tmp_path_factory: pytest.TempPathFactory, begins: int, minutes: int, zone: timezone
) -> None:
    """Whatever midnight a run goes over, its days come to what it cost."""
    state = tmp_path_factory.mktemp("state")
    record(state, "any", MIDNIGHT + begins * MINUTE, minutes)
    days = [Whose(DAY, DAY.window(MIDNIGHT + at * 24 * HOUR, zone), "USD") for at in (-1, 0, 1)]
    assert Decimal(minutes) == sum((spent(state, whose).amount for whose in days), Decimal(0))


def test_what_lies_before_a_day_is_read_once(tmp_path: Path) -> None:
    """A run that goes on is not read from its beginning each minute: what it cost before midnight is known."""
    record(tmp_path, "night", MIDNIGHT - 3 * MINUTE, 8, is_over=False)
    spending, whose = SpentSums(), on(MIDNIGHT)
    assert Spent(Decimal(5), 1) == spending.of(whose, list_runs(tmp_path))
    (key,) = spending.before
    spending.before[key] = Decimal(7)
    assert Spent(Decimal(1), 1) == spending.of(whose, list_runs(tmp_path))


@pytest.mark.parametrize(
    ("per", "project", "expected"),
    [
        pytest.param("month", "", (Decimal(60), 4), id="everybody"),
        pytest.param("day", "", (Decimal(30), 3), id="today"),
        pytest.param("project", "llm", (Decimal(50), 2), id="a-project-ever"),
        pytest.param("project/day", "llm", (Decimal(20), 1), id="a-project-today"),
        pytest.param("project", "vision", (Decimal(7), 1), id="another"),
        pytest.param("project", "none", (Decimal(0), 0), id="one-that-nobody-has"),
        pytest.param("run", "", (Decimal(3), 1), id="one-run"),
    ],
)
def test_whose_spending_counts(tmp_path: Path, per: Per, project: str, expected: tuple[Decimal, int]) -> None:
    """By run, day, month, and the label `project`."""
    record(tmp_path, "yesterday", MIDNIGHT - 5 * HOUR, 30, labels={"project": "llm"})
    record(tmp_path, "today", MIDNIGHT + HOUR, 20, labels={"project": "llm"})
    record(tmp_path, "beside", MIDNIGHT + HOUR, 7, labels={"project": "vision"})
    record(tmp_path, "plain", MIDNIGHT + HOUR, 3)
    budget = Budget(Decimal(500), per=per, project=project)
    assert Spent(*expected) == spent(tmp_path, on(MIDNIGHT + 2 * HOUR, budget, run="plain"))


@pytest.mark.parametrize(
    ("facts", "counts"),
    [
        pytest.param({}, True, id="the-same"),
        pytest.param({"currency": "EUR"}, True, id="its-rates-have-the-currency"),
        pytest.param({"simulated": True}, False, id="simulated"),
    ],
)
def test_money_that_is_none_does_not_count(tmp_path: Path, facts: dict[str, Any], counts: bool) -> None:
    """Simulated runs count for simulated ones alone; the currency is that of the rates."""
    record(tmp_path, "r", MIDNIGHT, 2, **facts)
    assert counts == bool(spent(tmp_path, on(MIDNIGHT)).runs)
    assert counts != bool(spent(tmp_path, on(MIDNIGHT, simulated=True)).runs)
    assert not spent(tmp_path, on(MIDNIGHT, currency="SEK")).runs


def test_a_meters_own_journal_is_left_out_and_the_other_parts_are_not(tmp_path: Path) -> None:
    """The meter that asks knows what it spent itself; a part before it, and one on another host, are elsewhere."""
    record(tmp_path, "r", MIDNIGHT, 2, pid=1)
    own = record(tmp_path, "r", MIDNIGHT + HOUR, 3, pid=2, host="gpu01")
    own = replace(own, part=0)  # as the meter itself has it: which part it is only its writer knows
    per_run = Budget(Decimal(5))
    assert Spent(Decimal(2), 1) == spent(tmp_path, on(MIDNIGHT, per_run, run="r", own=own))
    assert Spent(Decimal(5), 1) == spent(tmp_path, on(MIDNIGHT, per_run, run="r"))


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda path: path.write_bytes(b"nonsense"), id="overwritten"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-40]), id="torn"),
    ],
)
def test_what_cannot_be_read_is_no_traceback(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    """A damaged journal counts with what can be read of it."""
    record(tmp_path, "night", MIDNIGHT - 3 * MINUTE, 8)
    (path,) = (tmp_path / "runs" / "night").glob("*.jsonl")
    harm(path)
    assert spent(tmp_path, on(MIDNIGHT)).amount in (Decimal(0), Decimal(5))


@pytest.mark.no_cover  # much of the same: others cover the lines
@pytest.mark.parametrize("is_over", [True, False])
@examples(12)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 80))
def test_what_two_meters_saw_over_midnight_counts_once_on_each_day(
    tmp_path_factory: pytest.TempPathFactory, is_over: bool, before: int, minutes: int, later: int
) -> None:
    """Two meters of one run on the same GPUs, the second begun later: a dollar for each minute that either saw."""
    state = tmp_path_factory.mktemp("state")
    began = MIDNIGHT - before * MINUTE
    record(state, "r", began, minutes, is_over)
    record(state, "r", began + later * MINUTE, 90, is_over, pid=2, part=2)
    seen = {*range(minutes), *range(later, later + 90)}
    days = [sum(minute < before for minute in seen), sum(minute >= before for minute in seen)]
    assert days == [spent(state, on(at)).amount for at in (MIDNIGHT - 1, MIDNIGHT)]


def test_a_copied_folder_spends_nothing(tmp_path: Path) -> None:
    """`cp -r` of a run's folder must not stop the next run."""
    record(tmp_path, "r", MIDNIGHT - 3 * MINUTE, 8)
    shutil.copytree(tmp_path / "runs" / "r", tmp_path / "runs" / "r.bak")
    assert Spent(Decimal(5), 1) == spent(tmp_path, on(MIDNIGHT))


def test_what_cannot_be_read_for_once_is_not_kept(tmp_path: Path) -> None:
    """A journal that a file system loses for a look: nothing of it counts, then what the last look found; and it is
    said. What it had cost before midnight is never taken for nothing."""
    record(tmp_path, "night", MIDNIGHT - 3 * MINUTE, 8)
    record(tmp_path, "other", MIDNIGHT, 2)
    runs, sums = list_runs(tmp_path), SpentSums()
    (path,) = (tmp_path / "runs" / "night").glob("*.jsonl")
    path.rename(tmp_path / "away")
    assert (Spent(Decimal(2), 1), 1) == (sums.of(on(MIDNIGHT), runs), len(sums.faults))
    (tmp_path / "away").rename(path)
    assert (Spent(Decimal(7), 2), []) == (sums.of(on(MIDNIGHT), runs), sums.faults)
    path.rename(tmp_path / "away")
    sums.before.clear()
    assert (Spent(Decimal(7), 2), 1) == (sums.of(on(MIDNIGHT), runs), len(sums.faults))


def test_a_simulated_part_and_a_real_one_count_apart(tmp_path: Path) -> None:
    """A run id used for a simulated try and then for real: each counts for its own."""
    record(tmp_path, "r", MIDNIGHT, 2, simulated=True)
    record(tmp_path, "r", MIDNIGHT + HOUR, 3, part=2, pid=2)
    assert (Decimal(3), Decimal(2)) == tuple(
        spent(tmp_path, on(MIDNIGHT, simulated=simulated)).amount for simulated in (False, True)
    )


def test_a_clock_that_was_set_takes_nothing_out_of_its_day(tmp_path: Path) -> None:
    """3 minutes before midnight, 5 after it, then the clock goes back 10 minutes for 2 more: $5 on each of the days,
    though both the first and the last instant lie on the one before midnight."""
    record(tmp_path, "night", MIDNIGHT - 3 * MINUTE, 8)
    (path,) = (tmp_path / "runs" / "night").glob("*.jsonl")
    first, *rest = [record for record in records(path, []) if not isinstance(record, Footer)]
    path.unlink()
    assert isinstance(first, Header)
    done = dict.fromkeys(ORDER, measured(MINUTE, 10**9))
    set_back = [
        SlotEntry(Slot(at, at + MINUTE, done, {}, 8 + n))
        for n, at in enumerate((MIDNIGHT - 5 * MINUTE, MIDNIGHT - 4 * MINUTE))
    ]
    end = replace(footer(10 * MINUTE), ended_utc_ns=MIDNIGHT - 3 * MINUTE)
    on_disk(tmp_path / "runs" / "night", ORDER, [first, *rest, *set_back, end]).close(finished=True)
    assert [Spent(Decimal(5), 1)] * 2 == [spent(tmp_path, on(at)) for at in (MIDNIGHT - 1, MIDNIGHT)]
    assert [5, 5] == [group.spending.cost for group in groups(tmp_path, list_runs(tmp_path), "day", UTC)]
