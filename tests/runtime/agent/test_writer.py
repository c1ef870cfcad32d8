"""The node's writer: what may be shown, and that an agent that goes on from what it left begins no lower, or at 0."""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import get_args
from unittest.mock import patch

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from costmeter.clock import ManualClock
from costmeter.ledger.node.beyond import marker_paths
from costmeter.ledger.node.journal import Restored, fold_node_path, node_paths, restored
from costmeter.ledger.node.query import NodePart
from costmeter.ledger.node.record import Opening
from costmeter.ledger.record import SlotEntry
from costmeter.meter.slot import Quantities
from costmeter.meter.totals import DeviceTotals
from costmeter.outputs.nodepage import RunNames
from costmeter.rates.book import Book
from costmeter.runtime import backlog
from costmeter.runtime.agent.lock import InUse
from costmeter.runtime.agent.writer import NodeWriter
from tests.depth import examples
from tests.ledger.node.fromzero import fold_from_zero
from tests.runtime.agent.test_recorder import LATE_UTC_NS
from tests.runtime.heldnode import LEE, LEE_1, MAYA_1, MAYA_2, HeldNode, held_node
from tests.runtime.metered import SECOND
from tests.runtime.refusing import Disk, Fate, Killed
from tests.runtime.test_recorder import TWO_GPUS

PATIENCE_SECONDS = 20
MINUTE = 60 * SECOND
_COUNTED = tuple(each.name for each in fields(Quantities))

Counters = dict[tuple[str, ...], Decimal]


def counters(part: NodePart | Opening) -> Counters:
    """Every counter of a node: by device, held or not, and by run."""
    accounts = part.accounts.values() if isinstance(part, NodePart) else part.accounts
    found: Counters = {}
    for kind, whole in (("held", part.held), ("unheld", part.unheld)):
        for uuid, each in whole.devices.items():
            found |= _each((kind, uuid), each)
    for account in accounts:
        found |= _each((str(account.facts.uid), account.facts.run), account.totals.whole)
    return found | {("ended", outcome): Decimal(count) for outcome, count in part.ended.items()}


def _each(name: tuple[str, ...], whole: DeviceTotals) -> Counters:
    found = {(*name, key): Decimal(getattr(whole.quantities, key)) for key in _COUNTED}
    found |= {(*name, "charge", *key): amount for key, amount in whole.charges.items()}
    return found


def check_goes_on(shown: Counters, found: Restored) -> None:
    """No counter begins between nothing and the last value that was shown."""
    begins = counters(found.opening)
    if found.why_zero:
        assert not any(begins.values())
        return
    low = {name: (value, begins.get(name, Decimal(0))) for name, value in shown.items() if value > begins.get(name, 0)}
    assert {} == low


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "node", tmp_path / "run"


def writer_in(folders: tuple[Path, Path]) -> NodeWriter:
    return NodeWriter(folders[0], "gpu01", folders[1])


def busy_node(run: HeldNode, ticks: int = 4) -> None:
    """Two GPUs that two runs hold, one of them together, and some minutes."""
    run.begin()
    run.hold([MAYA_1], [MAYA_1, LEE_1])
    for _ in range(ticks):
        run.tick(30 * SECOND)


def test_a_journal_is_what_was_recorded(folders: tuple[Path, Path]) -> None:
    """The open slot included, the fold of the file is what the snapshot shows, with its holders and runs."""
    with held_node(TWO_GPUS) as run:
        busy_node(run)
        writer = writer_in(folders)
        for post in run.posts:
            writer.write(post)
        (path,) = node_paths(folders[0], "gpu01")
        assert path.name == "gpu01.2026-11-22.1.jsonl"
        shown, read = run.snapshot.node, fold_node_path(path)
        assert (shown.held, shown.unheld, shown.accounts) == (read.held, read.unheld, read.accounts)
        assert ((), shown.holders) == (read.problems, read.holders)
        exposed = writer.snapshot
        assert exposed is not None
        assert exposed.journal_writable


def test_the_day_goes_on_after_a_restart(folders: tuple[Path, Path]) -> None:
    """What the day had cost, and since when it is metered, is what it was; on the next day it begins anew."""
    with held_node(TWO_GPUS) as run:
        busy_node(run)
        write_all(run, writer_in(folders))
        found = again(run, folders).opening
        assert run.snapshot.opened == (run.header.anchor.utc(run.start_ns), Decimal(0))
        for utc_ns, goes_on in ((run.clock.utc_ns(), True), (run.clock.utc_ns() + 24 * 60 * MINUTE, False)):
            clock = ManualClock(utc_ns, run.clock.boottime_ns())
            next_one = HeldNode(run.library, clock, Book(), opened=found)
            next_one.begin()
            whole = found.held + found.unheld
            expected = run.snapshot.opened if goes_on else (utc_ns, whole.whole.cost)
            assert expected == next_one.snapshot.opened


def test_a_run_is_called_the_same_after_a_restart(folders: tuple[Path, Path]) -> None:
    """Two users have a run of one id; the first ends and is forgotten. The other's series keep their name."""
    with held_node(TWO_GPUS) as run:
        busy_node(run)
        names = RunNames()
        assert {MAYA_1.key: "r-1", LEE_1.key: "r-1~1002"} == names.of(run.snapshot.node.accounts)
        run.hold([LEE_1], [LEE_1])
        run.gone(MAYA_1)
        for _ in range(18):
            run.tick(MINUTE)
        assert {LEE_1.key: "r-1~1002"} == names.of(run.snapshot.node.accounts)
        write_all(run, writer_in(folders))
        (path,) = node_paths(folders[0])
        assert {"r-1~1002"} == {account.name for account in again(run, folders).opening.accounts}
        assert "r-1~1002" == fold_from_zero(path).accounts[LEE_1.key].name
        clock = ManualClock(run.clock.utc_ns(), run.clock.boottime_ns())
        next_one = HeldNode(run.library, clock, Book(), opened=again(run, folders).opening)
        next_one.begin()
        assert {LEE_1.key: "r-1~1002"} == RunNames().of(next_one.snapshot.node.accounts)


def test_a_day_has_a_file_of_its_own(folders: tuple[Path, Path]) -> None:
    """At midnight the file ends and the next opens with its counters: the last one alone says all of it."""
    with held_node(TWO_GPUS, utc_ns=LATE_UTC_NS) as run:
        busy_node(run, 6)
        run.end()
        writer = writer_in(folders)
        for post in run.posts:
            writer.write(post)
        first, second = node_paths(folders[0])
        assert ["gpu01.2026-11-22.1.jsonl", "gpu01.2026-11-23.1.jsonl"] == [first.name, second.name]
        parts = [fold_node_path(path) for path in (first, second)]
        assert ["running", "ok"] == [part.footer.outcome for part in parts if part.footer]
        assert [()] * 2 == [part.problems for part in parts]
        assert run.snapshot.part.totals == parts[1].totals
        own = fold_from_zero(second)
        assert run.snapshot.part.totals.whole == (parts[0].totals + own.totals).whole
        for key, account in own.accounts.items():
            before = parts[0].accounts[key].totals.whole
            assert run.snapshot.part.accounts[key].totals.whole == before + account.totals.whole
        assert not first.with_suffix(".open").exists()


# A disk that refuses


@contextmanager
def played(folders: tuple[Path, Path], fates: list[Fate] | None = None) -> Iterator[tuple[HeldNode, NodeWriter, Disk]]:
    """A node whose posts are written one by one to a disk with these fates."""
    disk = Disk(folders[0].parent, fates or [])
    with held_node(TWO_GPUS) as run, disk():
        yield run, writer_in(folders), disk


def write_all(run: HeldNode, writer: NodeWriter) -> None:
    """Write what was not written yet."""
    for post in run.posts[writer._written :]:
        writer.write(post)


def again(run: HeldNode, folders: tuple[Path, Path]) -> Restored:
    """What an agent begins with that starts now."""
    start_ns = run.clock.boottime_ns()
    return restored(folders[0], replace(run.header, start_ns=start_ns), folders[1])


def test_what_a_full_disk_does_not_take_is_shown_once_it_is_marked(folders: tuple[Path, Path]) -> None:
    """Values go on from memory and say so; whoever starts meanwhile begins at nothing, and afterwards does not."""
    with played(folders) as (run, writer, disk):
        busy_node(run)
        write_all(run, writer)
        disk.is_full = True
        for _ in range(5):
            run.tick(30 * SECOND)
        write_all(run, writer)
        shown = writer.snapshot
        assert shown is not None
        assert (shown.at_utc_ns, shown.journal_writable) == (run.snapshot.at_utc_ns, False)
        assert "No space left on device" in writer.unsaved
        assert "values were shown that no disk took" == again(run, folders).why_zero
        disk.is_full = False
        run.tick()
        write_all(run, writer)
        assert (writer.refusal, writer.snapshot) == ("", replace(run.snapshot, journal_writable=True))
        found = again(run, folders)
        assert (found.why_zero, counters(found.opening)) == ("", counters(run.snapshot.node))


def test_without_a_marker_what_is_shown_stands_still(tmp_path: Path) -> None:
    """Where no marker can be set, no value is shown that a restart would not know, and it is said that it is old."""
    blocked = tmp_path / "run"
    folder = tmp_path / "node"
    with held_node(TWO_GPUS) as run:
        busy_node(run)
        writer = NodeWriter(folder, "gpu01", blocked)
        for post in run.posts:
            writer.write(post)
        before = writer.snapshot
        assert before is not None
        for path in marker_paths(folder, "gpu01", blocked):
            path.unlink()
            path.mkdir()
        disk = Disk(tmp_path)
        disk.is_full = True
        run.tick(MINUTE)
        with disk():
            writer.write(run.posts[-1])
        assert writer.snapshot == replace(before, journal_writable=False)


def test_lines_that_were_given_up_make_a_new_file(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """After a refusal that cost lines, the next file opens with all that was shown; then the marker goes."""
    monkeypatch.setattr(backlog, "LINES_KEPT", 5)
    with played(folders) as (run, writer, disk):
        busy_node(run)
        write_all(run, writer)
        disk.is_full = True
        for _ in range(40):
            run.tick(30 * SECOND)
        write_all(run, writer)
        assert "lines were lost" in writer.unsaved
        assert again(run, folders).why_zero
        disk.is_full = False
        for _ in range(4):
            run.tick(30 * SECOND)
        write_all(run, writer)
        assert writer.snapshot == replace(run.snapshot, journal_writable=True)
        first, second = node_paths(folders[0])
        assert (fold_node_path(first).problems, fold_node_path(second).problems) != ((), ())
        assert () == fold_node_path(second).problems
        found = again(run, folders)
        assert (found.why_zero, counters(found.opening)) == ("", counters(run.snapshot.node))
        assert {device.board for device in run.devices} == set(found.earlier.boards)
        booked_ns = {each.booked_ns for each in found.earlier.boards.values()}
        assert {run.clock.boottime_ns()} == booked_ns


def test_a_journal_that_is_removed_is_begun_anew(folders: tuple[Path, Path]) -> None:
    """What was in it nobody can read any more: the next file opens with all of it, and slots are numbered from 0."""
    with played(folders) as (run, writer, _):
        busy_node(run)
        write_all(run, writer)
        (path,) = node_paths(folders[0])
        path.unlink()
        assert "is gone" in again(run, folders).why_zero
        for _ in range(4):
            run.tick(30 * SECOND)
        write_all(run, writer)
        assert writer.snapshot == replace(run.snapshot, journal_writable=True)
        found = again(run, folders)
        assert (found.why_zero, counters(found.opening)) == ("", counters(run.snapshot.node))
        assert () == fold_node_path(node_paths(folders[0])[-1]).problems


def test_a_journal_that_is_removed_is_noticed_at_the_next_tick(folders: tuple[Path, Path]) -> None:
    """Not when its minute ends: until another file has all of it, nobody is told that it is saved."""
    with played(folders) as (run, writer, _):
        busy_node(run)
        write_all(run, writer)
        shutil.rmtree(folders[0])
        run.tick(SECOND)
        write_all(run, writer)
        found = again(run, folders)
        assert writer.snapshot == replace(run.snapshot, journal_writable=True)
        assert (found.why_zero, counters(found.opening)) == ("", counters(run.snapshot.node))


def test_a_folder_that_another_agent_took_is_left_to_it(tmp_path: Path) -> None:
    """Nothing is written there, no marker either, which would cost the other its counters; what is shown stands."""
    folder, runtime = tmp_path / "node", tmp_path / "run"
    taken: list[InUse] = []

    def keep() -> None:
        for refusal in taken:
            raise refusal

    with held_node(TWO_GPUS) as run:
        busy_node(run)
        writer = NodeWriter(folder, "gpu01", runtime, keep)
        for post in run.posts:
            writer.write(post)
        before = writer.snapshot
        assert before is not None
        shutil.rmtree(folder)
        taken.append(InUse(f"{tmp_path} is in use by pid 4242"))
        run.tick(SECOND)
        writer.write(run.posts[-1])
        assert (writer.snapshot, folder.exists()) == (replace(before, journal_writable=False), False)
        assert "is in use by pid 4242" in writer.unsaved


def test_a_disk_that_hangs_delays_no_snapshot(folders: tuple[Path, Path]) -> None:
    """While the writer's thread has not come back, later snapshots are shown from memory once that is marked."""
    hangs, goes_on = threading.Event(), threading.Event()
    real = os.fsync

    def stuck(file: int) -> None:
        hangs.set()
        assert goes_on.wait(PATIENCE_SECONDS)
        real(file)

    with held_node(TWO_GPUS) as run, pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", stuck)
        busy_node(run, 10)
        run.end()
        writer = writer_in(folders)
        writer.start()
        *posts, last = run.posts
        first_slot = next(
            place for place, post in enumerate(posts) if any(isinstance(r, SlotEntry) for r in post.records)
        )
        for post in posts[: first_slot + 1]:
            writer.post(post)
        assert hangs.wait(PATIENCE_SECONDS)
        for post in posts[first_slot + 1 :]:
            writer.post(post)
        marks = writer._marks  # the thread that sets the marker
        assert marks is not None
        marks.join(PATIENCE_SECONDS)
        writer.post(last)
        assert writer.snapshot == replace(last.snapshot, journal_writable=False)
        assert "does not answer" in writer.unsaved
        assert again(run, folders).why_zero
        goes_on.set()
        assert writer.done.wait(PATIENCE_SECONDS)
        assert writer.snapshot == replace(last.snapshot, journal_writable=True)
        assert not again(run, folders).why_zero


# The law

HANDS = st.lists(st.sampled_from([MAYA_1, MAYA_2, LEE_1, LEE]), max_size=2, unique=True)
STEPS = st.lists(
    st.one_of(
        st.sampled_from([SECOND, 7 * SECOND, 45 * SECOND]),
        st.tuples(HANDS, HANDS),
        st.sampled_from([MAYA_1, LEE_1]),
    ),
    min_size=3,
    max_size=12,
)


def _fates(works: int, refuses: int, works_again: int, dies: Fate) -> list[Fate]:
    """First the disk works, then it refuses for a while, and at last the process dies in a call."""
    before: list[Fate] = ["works"] * works
    refused: list[Fate] = ["full"] * refuses
    after: list[Fate] = ["works"] * works_again
    return [*before, *refused, *after, dies]


FATES = st.builds(
    _fates,
    st.integers(0, 60),
    st.integers(0, 20),
    st.integers(0, 10),
    st.sampled_from(get_args(Fate)[2:]),
)
LIVES = st.lists(st.tuples(STEPS, FATES), min_size=2, max_size=5)
Life = tuple[list[object], list[Fate]]


def lived(run: HeldNode, writer: NodeWriter, steps: list[object]) -> Counters:
    """Play the steps of one agent until it dies or ends; the last counters that were shown."""
    shown: Counters = {}
    try:
        for step in [None, *steps]:
            _take(run, step)
            for post in run.posts[writer._written :]:
                writer.write(post)
                exposed = writer.snapshot
                assert exposed is not None or not shown
                now = counters(exposed.node) if exposed is not None else {}
                fallen = {name for name, value in shown.items() if now.get(name, value) < value}
                assert not fallen
                shown = now
    except Killed:
        exposed = writer.snapshot
        shown = counters(exposed.node) if exposed is not None else shown
    return shown


def _take(run: HeldNode, step: object) -> None:
    if step is None:
        run.begin()
    elif isinstance(step, int):
        run.tick(step)
    elif isinstance(step, tuple):
        run.hold(*step)
    else:
        run.gone(step)  # type: ignore[arg-type]  # a holder, by the strategy


#: The third agent fills a gap when the disk is full, and the file that it begins anew starts before the one it follows.
_ANEW_IN_A_GAP: list[Life] = [
    ([SECOND, ([], [MAYA_1]), SECOND], ["half"]),
    ([SECOND] * 4 + [([], []), SECOND], ["half"]),
    ([SECOND] * 3, _fates(0, 5, 2, "half")),
    ([SECOND] * 3, ["half"]),
]

#: The first agent shows what no disk took, so the second begins at nothing; it shows no counter, and the third goes on.
_NOTHING_AFTER_NOTHING: list[Life] = [
    ([SECOND] * 3, _fates(2, 10, 0, "dies before")),
    ([SECOND] * 3, _fates(0, 2, 5, "half")),
    ([SECOND] * 3, ["half"]),
]


@examples(60)
@given(LIVES, st.booleans(), st.sampled_from([4, 2_000]))
@example(_ANEW_IN_A_GAP, False, 4)
@example(_NOTHING_AFTER_NOTHING, False, 4)
def test_counters_go_on_from_no_less_than_was_shown_or_from_nothing(
    lives: list[Life], is_late: bool, lines_kept: int
) -> None:
    """Agent after agent dies at any call on a disk that refuses now and then: none begins between 0 and what was shown.

    None begins beyond what the one before it recorded either; and after one that began at 0, what it showed counts.
    Some of these lives go over midnight, where one file ends and the next begins; some keep few lines.
    """
    with (
        tempfile.TemporaryDirectory(prefix="costmeter-") as name,
        held_node(TWO_GPUS, utc_ns=_began(is_late)) as first,
        patch.object(backlog, "LINES_KEPT", lines_kept),
    ):
        folders = Path(name, "node"), Path(name, "run")
        run, shown = first, Counters()
        for number, (steps, fates) in enumerate(lives):
            if number:
                first.clock.advance(2 * SECOND)
                found = restored(folders[0], replace(first.header, start_ns=first.clock.boottime_ns()), folders[1])
                event(found.why_zero.partition("/")[0] or "goes on")
                check_goes_on(shown, found)
                recorded = counters(run.snapshot.node) if run.posts else Counters()
                begins = counters(found.opening)
                assert not {name for name, value in begins.items() if value > recorded.get(name, 0)}
                if found.why_zero:  # it said so: what was shown before is counted from nothing by whoever reads it
                    shown = Counters()
                run = HeldNode(first.library, first.clock, Book(), 100, found.opening, found.earlier, found.holders)
            with Disk(Path(name), fates)():
                shown = lived(run, writer_in(folders), steps) or shown


def _began(is_late: bool) -> int:
    return LATE_UTC_NS if is_late else LATE_UTC_NS - 3_600 * SECOND
