"""The journals of a node: found, folded, restored from, and removed when old; also when lines were moved or lost."""

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.errors import JournalError
from costmeter.ledger.identity import boot_id, start_ticks
from costmeter.ledger.journal import JournalFile, encode_open
from costmeter.ledger.node.beyond import Marker, marker_paths
from costmeter.ledger.node.journal import (
    KEPT_NS,
    REMOVED_AT_ONCE,
    fold_node_path,
    node_paths,
    remove_old,
    restored,
    stem,
)
from costmeter.ledger.node.line import apart
from costmeter.ledger.node.query import NodePart, opening
from costmeter.ledger.node.record import Holders, Line, Opening, RunAccount, RunEnded, RunSeen
from costmeter.ledger.order import PUT_BACK
from costmeter.ledger.reading import SOMEBODY
from costmeter.ledger.record import Devices, Footer, Header, RatesChange, SlotEntry
from costmeter.ledger.resume import NOTHING_EARLIER, Resume
from costmeter.ledger.sequence import HELD_AGAIN, HOLDERS_LOST, Numbering
from costmeter.meter.holder import Holder
from costmeter.meter.standing import Standing
from costmeter.meter.totals import DeviceTotals, Totals
from tests.ledger.node.fromzero import fold_from_zero
from tests.ledger.nodedays import facts
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    MINUTE,
    SECOND,
    devices,
    footer,
    header,
    held,
    measured,
    rates,
    rental,
    slot,
    uuids,
)

GPUS = devices(2)
FIRST, SECOND_GPU = uuids(GPUS)
MAYA, LEE = Holder(1001, "r-1", "maya", "announced"), Holder(1002, "", "lee", "user")
BEFORE = measured(MINUTE, 9_000)
OPENED = Opening(
    BEGAN_UTC_NS, Totals({FIRST: DeviceTotals(BEFORE)}), Totals({SECOND_GPU: DeviceTotals(BEFORE)}), ended={"ok": 2}
)


def agent(**changes: object) -> Header:
    return header(**{"meter": "agent", "run": "", "command": None, "boot_id": "boot", **changes})


def entry(minute: int) -> SlotEntry:
    """A minute of both GPUs, busy, 60 J each, with the counters that they stood at."""
    of = {FIRST: measured(MINUTE, 60_000_000), SECOND_GPU: measured(MINUTE, 60_000_000)}
    counters = {FIRST: (minute + 1) * 60_000_000, SECOND_GPU: (minute + 1) * 60_000_000}
    return SlotEntry(replace(slot(of, minute), counters_microjoules=counters))


def day(*more: Line) -> list[Line]:
    """A journal: maya's run holds the first GPU for two minutes, then lee as a user both."""
    return [
        OPENED,
        held(GPUS),
        RatesChange(BEGAN_UTC_NS, rates({FIRST: rental("3.60"), SECOND_GPU: rental("3.60")})),
        RunSeen(BEGAN_UTC_NS, facts(MAYA)),
        Holders(BEGAN_UTC_NS, {FIRST: (MAYA,)}),
        entry(0),
        entry(1),
        Holders(BEGAN_UTC_NS + 2 * MINUTE, {FIRST: (LEE,), SECOND_GPU: (LEE,)}),
        entry(2),
        *more,
    ]


def written(
    folder: Path, records: Sequence[Line] | None = None, of: Header | None = None, opened: bool = False
) -> Path:
    """A journal on disk; the last slot is one that is still open, where that is so, else it was the open one before."""
    head = of or agent()
    file = JournalFile(folder, stem(head.host, "2026-11-22"))
    numbering, order = Numbering(), tuple[str, ...]()
    *first, last = (head, *(day() if records is None else records))
    for record in [*first, *([] if opened else [last])]:
        order = tuple(each.uuid for each in record.devices) if isinstance(record, Devices) else order
        for each in apart(record) if isinstance(record, Opening) else [record]:
            file.write(numbering.numbered(each), order)
    slots = [record.slot for record in (*first, last) if isinstance(record, SlotEntry)]
    assert slots or not opened
    if slots:
        file.write_open(encode_open(slots[-1], order, 1, numbering.last, numbering.held), len(order))
    file.close(finished=isinstance(last, Footer))
    return file.path


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def sums(part: NodePart) -> tuple[Totals, Totals, object]:
    return part.held, part.unheld, {key: account.totals for key, account in part.accounts.items()}


# Folding


@pytest.mark.parametrize("opened", [False, True], ids=["closed", "open"])
def test_a_journal_comes_to_its_opening_and_its_slots(tmp_path: Path, opened: bool) -> None:
    """By hand: three minutes of two GPUs at $3.60 an hour, $0.06 each; 1 minute is unheld for two of them, 4 are held.

    Of the first GPU all is held: two minutes are the run's. The open slot counts like a closed one.
    """
    part = fold_node_path(written(tmp_path, opened=opened))
    assert (part.problems, part.slots) == ((), 3)
    assert (Decimal("0.24"), Decimal("0.12")) == (part.held.whole.cost, part.unheld.whole.cost)
    assert part.held.devices[FIRST].quantities == BEFORE + entry(0).slot.devices[FIRST] + measured(
        2 * MINUTE, 120_000_000
    )
    assert Decimal("0.12") == part.accounts[MAYA.key].totals.whole.cost
    assert {"ok": 2} == part.ended
    assert {FIRST: (LEE,), SECOND_GPU: (LEE,)} == part.holders


def test_a_report_counts_a_journal_alone(tmp_path: Path) -> None:
    """From zero, what the opening brought is in no sum; runs that go on are known by name."""
    before = RunAccount(facts(MAYA, name="sft"), Totals({FIRST: DeviceTotals(BEFORE)}))
    ended = RunAccount(facts(Holder(1, "r-0", "x", "slurm")), ended=RunEnded(BEGAN_UTC_NS, (1, "r-0"), "ok"))
    records = [
        replace(OPENED, accounts=(before, ended)),
        *(record for record in day()[1:] if not isinstance(record, RunSeen)),
    ]
    part = fold_from_zero(written(tmp_path, records))
    assert 6 * MINUTE == part.totals.whole.quantities.nanoseconds
    assert [MAYA.key] == list(part.accounts)
    assert ("sft", Decimal("0.12")) == (part.accounts[MAYA.key].facts.name, part.accounts[MAYA.key].totals.whole.cost)
    assert {} == part.ended


@pytest.mark.parametrize("seed", range(12))
def test_lines_that_were_moved_change_no_sum(tmp_path: Path, seed: int) -> None:
    """Slots name who held them: wherever a line of holders, an opening or a slot was moved to, all is as it was."""
    path = written(tmp_path)
    expected = sums(fold_node_path(path))
    head, *rest = lines_of(path)
    random.Random(seed).shuffle(rest)
    path.write_bytes(head + b"".join(rest))
    part = fold_node_path(path)
    assert sums(part) == expected
    assert all(problem.startswith(PUT_BACK.format("")) for problem in part.problems if "again" not in problem)


def test_a_line_of_holders_that_stands_twice_is_told(tmp_path: Path) -> None:
    """The first of them counts."""
    path = written(tmp_path)
    expected = sums(fold_node_path(path))
    lines = lines_of(path)
    path.write_bytes(b"".join([*lines, next(line for line in lines if b'"type":"holders"' in line)]))
    part = fold_node_path(path)
    assert sums(part) == expected
    assert (HELD_AGAIN.format(1),) == part.problems


def test_time_whose_holders_are_lost_is_not_nobodys(tmp_path: Path) -> None:
    """All GPUs of such slots count as held by somebody unknown, and it is told for how many slots that is so."""
    path = written(tmp_path)
    lines = lines_of(path)
    first = next(place for place, line in enumerate(lines) if b'"type":"holders"' in line)
    path.write_bytes(b"".join(lines[:first] + lines[first + 1 :]))
    part = fold_node_path(path)
    assert (HOLDERS_LOST.format(2),) == part.problems
    assert Decimal("0.36") == part.held.whole.cost
    assert MAYA.key not in part.accounts or not part.accounts[MAYA.key].totals.devices
    assert SOMEBODY.run == ""


def test_a_run_whose_line_is_lost_is_known_from_its_slots(tmp_path: Path) -> None:
    """Its id and user are with the holders."""
    path = written(tmp_path, [record for record in day() if not isinstance(record, RunSeen)])
    account = fold_node_path(path).accounts[MAYA.key]
    assert ("maya", "announced", Decimal("0.12")) == (
        account.facts.user,
        account.facts.source,
        account.totals.whole.cost,
    )


# Restoring


def again(**changes: object) -> Header:
    """The first header of an agent that starts ten seconds after the last slot."""
    start_ns = BEGAN_NS + 3 * MINUTE + 10 * SECOND
    return agent(start_ns=start_ns, pid=1, **changes)


@pytest.mark.parametrize("opened", [False, True], ids=["closed", "open"])
def test_counters_go_on_from_the_newest_journal(tmp_path: Path, opened: bool) -> None:
    """With all its slots, and with the instant and the counters at which the boards were left."""
    part = fold_node_path(written(tmp_path, opened=opened))
    found = restored(tmp_path, again())
    assert "" == found.why_zero
    assert (part.held, part.unheld, part.ended) == (found.opening.held, found.opening.unheld, found.opening.ended)
    assert [MAYA.key] == [account.facts.key for account in found.opening.accounts]
    booked_ns = BEGAN_NS + 3 * MINUTE
    assert {uuid: Resume(booked_ns, Standing(180_000_000, booked_ns)) for uuid in uuids(GPUS)} == found.earlier.boards
    assert part.holders == found.holders


def test_a_file_that_was_just_begun_goes_on_from_the_counters_of_the_one_before(tmp_path: Path) -> None:
    """Killed right after midnight: the sums are in the new file, the boards' counters in the old one."""
    before = written(tmp_path, day(footer(3 * MINUTE, "running")))
    part = fold_node_path(before)
    at_ns = BEGAN_NS + 3 * MINUTE
    of = agent(start_ns=at_ns)
    written(tmp_path, [opening(part, BEGAN_UTC_NS), held(GPUS)], of)
    found = restored(tmp_path, again())
    assert (part.held, part.unheld) == (found.opening.held, found.opening.unheld)
    assert {180_000_000} == {
        each.standing.counter_microjoules for each in found.earlier.boards.values() if each.standing
    }


def test_a_file_whose_opening_was_never_written_counts_for_nothing(tmp_path: Path) -> None:
    """Killed while a new file was begun: the one before is the newest that anybody was shown anything of."""
    part = fold_node_path(written(tmp_path))
    written(tmp_path, [], agent(start_ns=BEGAN_NS + 3 * MINUTE))
    (tmp_path / "gpu01.2026-11-23.1.jsonl").touch()
    found = restored(tmp_path, again())
    assert ("", part.held) == (found.why_zero, found.opening.held)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"boot_id": "another"}, "no journal of this boot", id="another-boot"),
        pytest.param({"host": "gpu02"}, "no journal of this boot", id="another-host"),
        pytest.param({"currency": "EUR"}, "USD of real GPUs, this agent EUR of real GPUs", id="another-currency"),
        pytest.param({"simulated": True}, "this agent USD of simulated GPUs", id="simulated"),
    ],
)
def test_another_meter_begins_at_nothing(tmp_path: Path, changes: dict[str, object], why: str) -> None:
    """What was counted on another boot, host, in other money or on other GPUs is no beginning."""
    written(tmp_path)
    found = restored(tmp_path, again(**changes))
    assert why in found.why_zero
    assert (Totals(), Totals(), NOTHING_EARLIER) == (found.opening.held, found.opening.unheld, found.earlier)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda lines: [*lines[:6], b"garbled\n", *lines[7:]], id="slot-garbled"),
        pytest.param(lambda lines: lines[:6] + lines[7:], id="slot-gone"),
        pytest.param(lambda lines: lines[:1] + lines[2:], id="opening-gone"),
        pytest.param(lambda lines: [b"garbled\n", *lines[1:]], id="header-garbled"),
    ],
)
def test_a_damaged_journal_is_no_beginning(tmp_path: Path, damage: Callable[[list[bytes]], list[bytes]]) -> None:
    """A total restored a little low would be counted again as a whole, so it begins at nothing, and says why."""
    path = written(tmp_path)
    path.write_bytes(b"".join(damage(lines_of(path))))
    found = restored(tmp_path, again())
    assert str(path) in found.why_zero
    assert Totals() == found.opening.held


def test_a_line_that_was_torn_was_shown_to_nobody(tmp_path: Path) -> None:
    """Killed in the middle of a write: what came before it is what was shown."""
    path = written(tmp_path)
    expected = fold_node_path(path)
    with path.open("ab") as file:
        file.write(b'{"type":"slot","n":3')
    found = restored(tmp_path, again())
    assert ("", expected.held) == (found.why_zero, found.opening.held)


@pytest.mark.parametrize(
    "lose",
    [
        pytest.param(lambda path: path.unlink(), id="gone"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(bytes(path.stat().st_size)), id="blank"),
        pytest.param(lambda path: path.write_bytes(b"garbled".ljust(path.stat().st_size)), id="garbled"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-7] + b"garbled"), id="one-half"),
    ],
)
@pytest.mark.parametrize("opened", [False, True], ids=["closed", "open"])
def test_without_its_open_slot_a_journal_is_no_beginning(
    tmp_path: Path, opened: bool, lose: Callable[[Path], object]
) -> None:
    """What was shown was more than the slots that are closed. Of two halves the later may be the damaged one."""
    lose(written(tmp_path, opened=opened).with_suffix(".open"))
    found = restored(tmp_path, again())
    assert "gpu01.2026-11-22.1.open, the slot that was open, is gone or damaged" in found.why_zero
    assert Totals() == found.opening.held


@pytest.mark.parametrize(("shown", "goes_on"), [(True, False), (False, True)])
def test_a_file_without_slots_had_an_open_one_where_the_marker_says_so(
    tmp_path: Path, shown: bool, goes_on: bool
) -> None:
    """In the first minute of a file nothing is closed; an agent that waits for its driver has nothing open either."""
    path = written(tmp_path, [OPENED, held(GPUS)])
    marker = Marker(marker_paths(tmp_path, "gpu01", None), "boot")
    marker.prepare()
    marker.clear(path.name, opened=shown)
    assert goes_on is not bool(restored(tmp_path, again()).why_zero)


def test_a_journal_that_ended_needs_no_open_slot(tmp_path: Path) -> None:
    """An agent that stopped orderly closed it."""
    written(tmp_path, day(footer(3 * MINUTE, "ok")))
    assert not restored(tmp_path, again()).why_zero


def test_a_journal_that_another_agent_still_writes_is_not_gone_on_with(tmp_path: Path) -> None:
    """Two agents that count on from one total would show everything twice."""
    boot, ticks = boot_id(), start_ticks(os.getpid())
    path = written(tmp_path, of=agent(boot_id=boot, pid=os.getpid(), pid_start_ticks=ticks))
    found = restored(tmp_path, again(boot_id=boot))
    assert f"another agent writes {path} (pid {os.getpid()})" == found.why_zero


def test_holders_of_the_gap_are_those_that_may_still_hold(tmp_path: Path) -> None:
    """A run whose first process is gone holds nothing any more; of a user nobody knows, and he is taken to."""
    known = facts(MAYA, pid=2**22, pid_start_ticks=1)
    records = [*day()[:3], RunSeen(BEGAN_UTC_NS, known), Holders(BEGAN_UTC_NS, {FIRST: (MAYA, LEE)}), entry(0)]
    written(tmp_path, records)
    assert {FIRST: (LEE,)} == restored(tmp_path, again()).holders


def test_a_run_that_ended_long_ago_is_not_shown_again(tmp_path: Path) -> None:
    """Its last values were shown for a quarter of an hour; how it ended stays counted."""
    written(tmp_path, day(RunEnded(BEGAN_UTC_NS + 3 * MINUTE, MAYA.key, "failed")))
    shown = restored(tmp_path, again()).opening
    late = restored(tmp_path, replace(again(), start_ns=BEGAN_NS + 20 * MINUTE)).opening
    assert [MAYA.key] == [account.facts.key for account in shown.accounts]
    assert ((), {"ok": 2, "failed": 1}) == (late.accounts, late.ended)
    assert {"failed": Decimal("0.12")} == late.sunk


@pytest.mark.parametrize(("minutes_later", "cost"), [(16, "0.18"), (18, "0.06")])
def test_a_run_that_came_back_when_it_was_forgotten_goes_on_from_what_was_shown_since(
    tmp_path: Path, minutes_later: int, cost: str
) -> None:
    """Its account is let go of a quarter of an hour after its end; what it cost before then would be counted again.

    By hand: two minutes at $3.60 an hour before, $0.12, and one after, $0.06. A report has both.
    """
    end = 3 + minutes_later
    back: list[Line] = [
        RunEnded(BEGAN_UTC_NS + 3 * MINUTE, MAYA.key, "ok"),
        RunSeen(BEGAN_UTC_NS + end * MINUTE, facts(MAYA)),
        Holders(BEGAN_UTC_NS + end * MINUTE, {FIRST: (MAYA,)}),
        replace(entry(end), slot=replace(entry(end).slot, number=3)),
    ]
    path = written(tmp_path, day(*back))
    (account,) = restored(tmp_path, again()).opening.accounts
    assert Decimal(cost) == account.totals.whole.cost
    assert Decimal("0.18") == fold_from_zero(path).accounts[MAYA.key].totals.whole.cost


# Files


def test_journals_are_listed_by_host_day_and_part(tmp_path: Path) -> None:
    """Part 10 comes after part 9, and what is no journal of a node is not listed."""
    names = ["a.2026-11-22.10.jsonl", "a.2026-11-22.9.jsonl", "a.2026-11-21.1.jsonl", "b.2026-11-20.1.jsonl"]
    for name in [*names, "a.1.jsonl", "a.2026-11-22.9.open", "a.shown", "a.2026-11-22.01.jsonl"]:
        (tmp_path / name).touch()
    found = [path.name for path in node_paths(tmp_path)]
    assert [names[2], names[1], names[0], names[3]] == found
    assert [names[3]] == [path.name for path in node_paths(tmp_path, "b")]
    assert [] == node_paths(tmp_path / "nowhere")


def test_old_journals_go_a_few_at_a_time_and_nothing_else(tmp_path: Path) -> None:
    """Those of more than 400 days, of this host's agents only: a clock that jumps does not cost all of them."""
    ours = [written(tmp_path) for _ in range(REMOVED_AT_ONCE + 1)]
    young = written(tmp_path)
    theirs = tmp_path / "gpu01.2020-01-01.1.jsonl"
    theirs.write_text("a diary")
    other = written(tmp_path, of=agent(host="gpu02"))
    copied = tmp_path / "gpu01.2020-01-01.2.jsonl"
    copied.write_bytes(other.read_bytes())
    now_ns = BEGAN_UTC_NS + KEPT_NS
    for path in (*ours, theirs, other, copied):
        os.utime(path, ns=(BEGAN_UTC_NS - SECOND, BEGAN_UTC_NS - SECOND))
    os.utime(young, ns=(now_ns, now_ns))
    assert ours[:REMOVED_AT_ONCE] == remove_old(tmp_path, "gpu01", now_ns)
    assert sorted([ours[-1], young, theirs, other, copied]) == sorted(tmp_path.glob("*.jsonl"))
    assert sorted(path.stem for path in (ours[-1], young, other)) == sorted(
        path.stem for path in tmp_path.glob("*.open")
    )


def test_a_file_without_a_header_is_no_journal(tmp_path: Path) -> None:
    """It says which file it is."""
    path = tmp_path / "gpu01.2026-11-22.1.jsonl"
    path.write_text("a diary\n")
    with pytest.raises(JournalError, match=r"2026-11-22\.1\.jsonl: no readable header"):
        fold_node_path(path)
