"""The writer with disks that refuse: what is kept, what is said, and that saving resumes."""

import functools
import json
import re
import resource
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmeter.ledger.journal import is_whole
from costmeter.ledger.record import Devices, Footer, Header, Mark, Place, RatesChange, Record, SlotEntry, Subtotal
from costmeter.ledger.sequence import MISSING
from costmeter.runtime import backlog as module
from costmeter.runtime.recorder import Post
from costmeter.runtime.writer import Writer
from tests.ledger.slowly import fold_journal, read_journal
from tests.runtime.metered import SECOND, Metered, metered
from tests.runtime.test_journal_size import book
from tests.sources.nodes import STEADY

PATIENCE_SECONDS = 20
MINUTE = 60 * SECOND
MINUTES = 130


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
        assert writer._backlog.lines_lost > 0
        assert f"{writer._backlog.lines_lost} lines were lost: " in writer.unsaved
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


# A disk that refuses now and then


@functools.cache
def long_run() -> tuple[Post, ...]:
    """Two hours and ten minutes with a price for each 5 minutes, and a GPU of which only half the run knows."""
    node = f"{STEADY.rstrip()}\n    count: 2\n"
    with metered(node, book(5)) as run:
        run.open()
        everything = run.devices
        run.open(everything[:1])
        for minute in range(MINUTES):
            if minute == MINUTES // 2:
                run.open(everything)
            run.tick(MINUTE)
        run.end()
        return tuple(run.posts)


@contextmanager
def room(size_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: what a full disk does, without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def lines_at(path: Path) -> dict[int, dict[str, Any]]:
    """The lines of a journal by where they begin."""
    found, at = {}, 0
    for line in path.read_bytes().splitlines(keepends=True):
        found[at] = json.loads(line)
        at += len(line)
    return found


def check_places(path: Path) -> int:
    """Hold what lines say of places, and of the bytes before them, against where lines are; how many said something."""
    last: dict[str, int] = {}
    journal = path.read_bytes()
    count = 0
    for at, line in lines_at(path).items():
        last[line["type"]] = at
        told = line.get("place") or line.get("summary", {}).get("place")
        if told is not None:
            assert [at, last["devices"], last["rates"], zlib.crc32(journal[:at])] == told
            assert is_whole(path, Place(*told))
            count += 1
    return count


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.integers(0, 1_500), min_size=1, max_size=40), st.integers(0, 100))
def test_places_are_right_whatever_the_disk_refused(rooms: list[int | None], first: int) -> None:
    """However often and wherever in a line the disk was full, the journal is the one of a disk that never was."""
    with tempfile.TemporaryDirectory() as folder:
        untroubled, troubled = Writer(Path(folder, "untroubled"), "gpu01"), Writer(Path(folder, "troubled"), "gpu01")
        path = Path(folder, "troubled", "gpu01.1.jsonl")
        for number, post in enumerate(long_run()):
            left = rooms[(number + first) % len(rooms)] if number < MINUTES else None
            untroubled.write(post)
            if left is None:
                troubled.write(post)
                assert troubled.refusal == ""
            else:
                with room((path.stat().st_size if path.exists() else 0) + left):
                    troubled.write(post)
        assert path.read_bytes() == Path(folder, "untroubled", path.name).read_bytes()
        assert check_places(path) == MINUTES // 60 + 1  # each hour, and the footer
    assert (troubled.refusal, troubled._backlog.lines_lost) == ("", 0)


def test_what_is_given_up_leaves_the_rest_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses for two hours costs old slots: what others are read with stays, and the loss is told.

    No summary is written of what is not in the journal, so no list can count what the report does not.
    """
    monkeypatch.setattr(module, "LINES_KEPT", 60)
    writer = Writer(tmp_path, "gpu01")
    *posts, last = long_run()
    for post in posts[:3]:
        writer.write(post)
    with room(0):
        for post in posts[3:]:
            writer.write(post)
        assert "File too large" in writer.unsaved
        assert re.search(r"not in the journal: \d+ s of the run; \d+ lines were lost", writer.unsaved)
    writer.write(last)
    journal = read_journal(tmp_path / "gpu01.1.jsonl")
    slots = [record for record in journal.records if isinstance(record, SlotEntry)]
    assert 30 < len(slots) < MINUTES - 60
    assert (MISSING.format(MINUTES + 1 - len(slots)),) == journal.problems
    assert {1, 2} == {len(slot.slot.devices) for slot in slots} | {1}
    assert fold_journal(journal).totals.whole.cost > 0
    written = {type(record) for record in journal.records}
    assert {Header, Devices, RatesChange, SlotEntry, Footer} <= written
    assert Subtotal not in written
    assert isinstance(journal.records[-1], Footer)
    assert journal.records[-1].summary is None
    writer.done.set()
    assert f"{writer._backlog.lines_lost} lines were lost: {tmp_path}: File too large" == writer.unsaved


def test_a_record_that_cannot_be_written_is_one_line_lost_and_told(tmp_path: Path) -> None:
    """A fault that nobody foresaw costs the record it is in; the others are written, and the receipt says so."""
    *posts, last = long_run()[:4]
    broken = cast(Record, Mark(0, "fault", cast(str, object())))
    writer = Writer(tmp_path, "gpu01")
    for post in posts:
        writer.write(post)
    writer.write(replace(last, records=(broken, *last.records)))
    writer.done.set()
    assert writer.unsaved.startswith("1 lines were lost: TypeError")
    records = [record for post in long_run()[:4] for record in post.records]
    assert len(records) == len([r for r in read_journal(tmp_path / "gpu01.1.jsonl").records if r in records])


def test_open_slots_that_outgrow_their_file_leave_the_last_one_until_they_are_whole(tmp_path: Path) -> None:
    """More GPUs need a larger file: where the disk has no room for it, the open slot of before can still be read."""
    posts = long_run()
    writer = Writer(tmp_path, "gpu01")
    for post in posts[:3]:
        writer.write(post)
    path = tmp_path / "gpu01.1.open"
    before = path.read_bytes()
    file = writer._backlog.file  # the file that is being written
    assert file is not None
    with room(len(before)), pytest.raises(OSError, match="File too large"):
        file.write_open(b"x" * len(before), 9)
    assert before == path.read_bytes()
    assert ["gpu01.1.jsonl", "gpu01.1.open"] == sorted(each.name for each in tmp_path.iterdir())
