"""The writer with disks that refuse: what is kept, what is said, and that saving resumes."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from costmeter.ledger.journal import read_journal
from costmeter.ledger.query import fold_journal
from costmeter.ledger.record import Footer, Header
from costmeter.runtime import writer as module
from costmeter.runtime.writer import Writer
from tests.runtime.metered import SECOND, Metered, metered
from tests.sources.nodes import STEADY

PATIENCE_SECONDS = 20


def played(run: Metered, ticks: int) -> None:
    """A run of some ticks of 30 s."""
    run.open()
    run.tick(0)
    for _ in range(ticks):
        run.tick(30 * SECOND)


def test_a_journal_holds_every_record_in_order(tmp_path: Path) -> None:
    """What was posted is what is read back, the open slot last until the footer takes its place."""
    with metered(STEADY) as run:
        played(run, 5)
        writer = Writer(tmp_path, "gpu01")
        for post in run.posts:
            writer.write(post)
        path = tmp_path / "gpu01.1.jsonl"
        assert run.snapshot.totals == fold_journal(read_journal(path)).totals
        run.end()
        writer.write(run.posts[-1])
        assert isinstance(read_journal(path).records[-1], Footer)


def test_a_refused_folder_is_told_and_saving_resumes_with_the_header_first(tmp_path: Path) -> None:
    """While a file stands where the folder should be, the snapshot says so; once it is gone, nothing is missing."""
    blocked = tmp_path / "state"
    blocked.write_text("in the way")
    with metered(STEADY) as run:
        played(run, 2)
        writer = Writer(blocked / "runs", "gpu01")
        for post in run.posts:
            writer.write(post)
        assert str(blocked) in writer.unsaved
        blocked.unlink()
        run.tick()
        run.end()
        for post in run.posts[-2:]:
            writer.write(post)
        journal = read_journal(blocked / "runs" / "gpu01.1.jsonl")
        assert isinstance(journal.records[0], Header)
        assert run.snapshot.totals == fold_journal(journal).totals
        assert writer.refusal == ""


def test_lines_are_kept_up_to_a_limit_and_losses_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses for very long costs lines, never the header, and the loss is told."""
    monkeypatch.setattr(module, "LINES_KEPT", 3)
    blocked = tmp_path / "state"
    blocked.write_text("in the way")
    with metered(STEADY) as run:
        played(run, 20)
        writer = Writer(blocked / "runs", "gpu01")
        for post in run.posts:
            writer.write(post)
        blocked.unlink()
        run.end()
        writer.write(run.posts[-1])
        writer.done.set()
        assert writer.lines_lost > 0
        assert f"{writer.lines_lost} lines were lost" in writer.unsaved
        assert isinstance(read_journal(blocked / "runs" / "gpu01.1.jsonl").records[0], Header)


def test_a_snapshot_is_exposed_once_it_is_written(tmp_path: Path) -> None:
    """Through its thread, the writer exposes the last snapshot only after the journal that holds it."""
    with metered(STEADY) as run:
        played(run, 3)
        run.end()
        writer = Writer(tmp_path, "gpu01")
        assert [None] == [writer.snapshot]
        writer.start()
        for post in run.posts:
            writer.post(post)
        assert writer.done.wait(PATIENCE_SECONDS)
        exposed = writer.snapshot
        assert exposed is not None
        assert exposed.journal_writable
        assert exposed.totals == fold_journal(read_journal(tmp_path / "gpu01.1.jsonl")).totals
        assert writer.unsaved == ""


def test_a_disk_that_does_not_answer_delays_no_snapshot(tmp_path: Path) -> None:
    """While the writer's thread has not come back from the disk, later snapshots are exposed from memory and say so."""
    with metered(STEADY) as run:
        played(run, 3)
        writer = Writer(tmp_path, "gpu01")  # never started: a thread that does not come back from its first write
        for post in run.posts:
            writer.post(post)
        exposed = writer.snapshot
        assert exposed is not None
        assert not exposed.journal_writable
        assert replace(run.snapshot, journal_writable=False) == exposed
        assert "does not answer" in writer.unsaved


def test_no_thread_of_a_finished_writer_is_left(tmp_path: Path) -> None:
    """After the last post the writer's thread ends."""
    with metered(STEADY) as run:
        played(run, 1)
        run.end()
        writer, others = Writer(tmp_path, "gpu01"), set(threading.enumerate())
        writer.start()
        threads = set(threading.enumerate()) - others
        for post in run.posts:
            writer.post(post)
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert not any(thread.is_alive() for thread in threads)
