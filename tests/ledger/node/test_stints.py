"""What a file of a node says of its runs at its end is what its slots come to, or it is not believed."""

import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.node.record import Holders, Line, RunAccount, RunEnded, Stint
from costmeter.ledger.node.stints import Stints, Told, stints_of
from costmeter.ledger.record import SlotEntry
from costmeter.meter.totals import DeviceTotals
from tests.ledger.node.fromzero import fold_from_zero
from tests.ledger.node.test_bulk import DAMAGE, Lines, repeated
from tests.ledger.node.test_journal import MAYA, OPENED, agent, day, lines_of, written
from tests.ledger.nodedays import GPUS, facts, node_day
from tests.samples import BEGAN_UTC_NS, MINUTE, footer


def closed(records: list[Line]) -> list[Line]:
    """Records with the lines that an agent ends their file with."""
    stints, holders = Stints(), Holders(0, {})
    for record in (agent(), *records):
        holders = record if isinstance(record, Holders) else holders
        is_slot = isinstance(record, SlotEntry)
        stints.take(SlotEntry(replace(record.slot, holders=holders.by_device)) if is_slot else record)  # type: ignore[union-attr]
    end = replace(footer(60 * MINUTE, "running"), summary=stints.summary())
    return [*records, *stints.stints(), end]


def whole(stints: tuple[Stint, ...]) -> DeviceTotals:
    return sum((each.whole for each in stints), DeviceTotals())


def by_whom(told: Told) -> dict[tuple[int, str] | None, Stint]:
    return {each.facts.key if each.facts is not None else None: each for each in told.stints}


def test_an_end_says_what_each_came_to(tmp_path: Path) -> None:
    """By hand, at 6 cents a GPU-minute: maya's run two, lee as a user two, nobody two; the opening is in none."""
    path = written(tmp_path, closed(day(RunEnded(BEGAN_UTC_NS + 3 * MINUTE, MAYA.key, "failed", 1))))
    told = stints_of(path)
    by = {each.facts.user if each.facts else "": each for each in told.stints}
    assert {"maya": Decimal("0.12"), "lee": Decimal("0.12"), "": Decimal("0.12")} == {
        user: each.whole.cost for user, each in by.items()
    }
    assert ("failed", (BEGAN_UTC_NS, BEGAN_UTC_NS + 2 * MINUTE)) == (
        by["maya"].ended.outcome if by["maya"].ended else "",
        (by["maya"].began_utc_ns, by["maya"].until_utc_ns),
    )
    assert (((GPUS[0].name, 1),), ((GPUS[0].name, 2),)) == (by["maya"].gpus, by["lee"].gpus)


@given(st.integers(0, 10**6))
def test_what_is_said_is_the_fold_from_zero(seed: int) -> None:
    """Of every run its account, to the last digit; all together are the node; so does a file without an end."""
    with TemporaryDirectory() as folder:
        records = [OPENED, *node_day(seed)[1:]]
        told = stints_of(written(Path(folder), closed(records)), is_checked=True)
        cut_off = written(Path(folder), records)
        part = fold_from_zero(cut_off)
        found = stints_of(cut_off)
    assert (told.has_ended, found.has_ended) == (True, False)
    assert by_whom(told) == by_whom(found)
    assert part.totals.whole == whole(told.stints)
    held = {each.facts.key: each for each in told.stints if each.facts is not None and each.facts.run}
    for key, account in part.accounts.items():
        if account.totals.devices:
            assert (account.totals.whole, account.redone.cost) == (held[key].whole, held[key].redone)


@given(st.integers(0, 10**6), st.lists(st.sampled_from(DAMAGE), min_size=1, max_size=2))
def test_an_end_of_a_damaged_file_is_not_believed(
    seed: int, damage: list[Callable[[Lines, random.Random], Lines]]
) -> None:
    """Checked, what is said is what can be read: that of the slots that are there."""
    rng = random.Random(seed)
    with TemporaryDirectory() as folder:
        path = written(Path(folder), closed(node_day(seed, 30)))
        lines = lines_of(path)
        for each in damage:
            lines = each(lines, rng)
        path.write_bytes(b"".join(lines))
        told = stints_of(path, is_checked=True)
        assert fold_from_zero(path).totals.whole == whole(told.stints)


def test_a_file_that_lines_were_added_to_is_folded_by_a_list(tmp_path: Path) -> None:
    """Its footer stands elsewhere than it was written; no checksum is needed to see it."""
    path = written(tmp_path, closed(day()))
    before = stints_of(path)
    lines = repeated(lines_of(path), random.Random(3))
    path.write_bytes(b"".join([*lines[:-2], lines[-1], lines[-2]]))
    told = stints_of(path)
    assert told.problems
    assert whole(before.stints) == whole(told.stints)


def test_an_end_is_all_that_a_list_reads(tmp_path: Path) -> None:
    """Slots that a disk changed in place are seen where it is checked, and only there."""
    path = written(tmp_path, closed(day()))
    text = path.read_bytes()
    at = text.index(b'{"type":"slot"')
    path.write_bytes(text[:at] + text[at:].replace(b'"n":0', b'"n":7', 1))
    assert () == stints_of(path).problems
    assert stints_of(path, is_checked=True).problems


@pytest.mark.parametrize("runs", [3, 5])
def test_a_day_of_too_many_runs_is_not_summed_up(runs: int) -> None:
    """An agent's memory is finite: beyond so many runs it keeps none, and says so."""
    stints = Stints(kept=4)
    for number in range(runs):
        stints.take(RunAccount(facts(replace(MAYA, run=f"r-{number}"))))
    assert (runs > 4) == stints.is_short


def test_a_run_that_only_ended_in_a_file_is_there(tmp_path: Path) -> None:
    """Right after midnight: it has nothing, and its end is told."""
    end = RunEnded(BEGAN_UTC_NS + MINUTE, MAYA.key, "ok")
    (told,) = stints_of(written(tmp_path, closed([replace(OPENED, accounts=(RunAccount(facts(MAYA)),)), end]))).stints
    assert (end, DeviceTotals()) == (told.ended, told.whole)
