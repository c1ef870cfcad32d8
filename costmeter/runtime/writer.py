"""The writer: the one thread that waits for the disk. A full, read-only or hanging disk delays nobody else.

Each post is written before its snapshot is exposed, so that no figure is shown that a restart would not know. When the
disk refuses or does not answer, the snapshot is exposed from memory with `journal_writable` False; lines are kept and
go out first when the disk takes them again.
"""

import queue
import threading
from collections import deque
from dataclasses import replace
from pathlib import Path

from costmeter.ledger.journal import JournalFile, encode_open
from costmeter.ledger.record import Footer, Header, Mark, RatesChange, Record, SlotEntry, Subtotal, Usage
from costmeter.ledger.sequence import Numbering
from costmeter.outputs.snapshot import Snapshot
from costmeter.runtime.recorder import Post
from costmeter.units import NANOSECONDS_PER_SECOND

#: Lines kept in memory while the disk refuses: a day of slots, and some marks.
LINES_KEPT = 2_000


class Writer:
    """Writes posts in order and holds the snapshot that may be shown."""

    def __init__(self, directory: Path, host: str) -> None:
        self._directory, self._host = directory, host
        self._queue: queue.SimpleQueue[Post] = queue.SimpleQueue()
        self._file: JournalFile | None = None
        self._pending: deque[tuple[Record, tuple[str, ...]]] = deque()
        self._is_handed = False
        self._numbering = Numbering()
        self._sequence = 0
        self._posted = self._written = 0
        self._unsynced = False
        self._exposed: Snapshot | None = None
        self.lines_lost = 0
        self._lost_to = ""
        self.refusal = ""
        self.done = threading.Event()

    def start(self) -> None:
        """Begin, in a thread of its own."""
        threading.Thread(target=self._write_for_ever, name="costmeter-writer", daemon=True).start()

    def post(self, post: Post) -> None:
        """Take what the recorder made of one event. Returns at once."""
        if self._posted - self._written > 1:  # the disk is behind by more than the post it is busy with
            self._exposed = replace(post.snapshot, journal_writable=False)
        self._posted += 1
        self._queue.put(post)

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot to show; None before the first."""
        return self._exposed

    @property
    def part(self) -> int:
        """The number of the part that is being written; 0 while there is no file."""
        return 0 if self._file is None else self._file.part

    @property
    def unsaved(self) -> str:
        """What is not on disk and why, for the receipt; empty when everything is."""
        lost = f"{self.lines_lost} lines were lost: {self._lost_to}" if self.lines_lost else ""
        if self.refusal:
            return "; ".join(filter(None, (self.refusal, self._waiting(), lost)))
        if not self.done.is_set():
            return f"{self._directory} does not answer"
        return lost

    def _waiting(self) -> str:
        """What the disk has not taken yet, in words."""
        records = [record for record, _ in tuple(self._pending)]
        slots = [record.slot for record in records if isinstance(record, SlotEntry)]
        if not records:
            return ""
        seconds = sum(slot.end_utc_ns - slot.start_utc_ns for slot in slots) / NANOSECONDS_PER_SECOND
        return (
            f"not in the journal: {seconds:.0f} s of the run" if slots else f"not in the journal: {len(records)} lines"
        )

    def _write_for_ever(self) -> None:
        while True:
            post = self._queue.get()
            self.write(post)
            self._written += 1
            if self._written >= self._posted:
                self._exposed = replace(post.snapshot, journal_writable=not self.refusal)
            if post.last:
                self._finish()
                return

    def write(self, post: Post) -> None:
        """Write one post now, or remember why the disk refused it. Waits for the disk: the writer's thread calls it."""
        self._pending.extend((self._numbering.numbered(record), post.order) for record in post.records)
        try:
            file = self._file or self._create()
            self._drain(file)
            if post.snapshot.open_slot is not None and not post.last:
                self._sequence += 1
                still_open = encode_open(post.snapshot.open_slot, post.order, self._sequence, self._numbering.last)
                file.write_open(still_open, len(post.order))
            if self._unsynced:
                file.sync()
                self._unsynced = False
            self.refusal = ""
        except OSError as refusal:
            self.refusal = f"{self._directory}: {refusal.strerror or refusal}"
        except Exception as fault:  # an open slot that cannot be written must not end the writer
            self.refusal = f"{self._directory}: {type(fault).__name__}: {fault}"
        while self.refusal and len(self._pending) > LINES_KEPT:
            del self._pending[self._least_needed()]
            self._lose(self.refusal)

    def _least_needed(self) -> int:
        """Which line to give up: the oldest that others can be read without, never the first.

        Slots cannot be read without their devices, nor priced without their rates; of rates with no slot between them
        only the last are anybody's.
        """
        for place in range(1, len(self._pending) - 1):
            record, after = self._pending[place][0], self._pending[place + 1][0]
            if isinstance(record, SlotEntry | Mark | Subtotal | Usage):
                return place
            if isinstance(record, RatesChange) and isinstance(after, RatesChange):
                return place
        return 1

    def _lose(self, why: str) -> None:
        self.lines_lost += 1
        self._lost_to = why

    def _create(self) -> JournalFile:
        self._file = JournalFile(self._directory, self._host)
        return self._file

    def _drain(self, file: JournalFile) -> None:
        file.flush()
        while self._pending:
            record, order = self._pending[0]
            if not self._is_handed:
                self._unsynced = self._unsynced or isinstance(record, SlotEntry | Footer)
                self._hand(file, record, order)
            self._pending.popleft()
            self._is_handed = False

    def _hand(self, file: JournalFile, record: Record, order: tuple[str, ...]) -> None:
        """Give the file one record, which from then on keeps what the disk refuses of it.

        What the meter counted in memory is no summary of a journal that lacks lines, so then none is written. A record
        that cannot be written at all must not cost those that follow.
        """
        if isinstance(record, Header):
            record = replace(record, part=file.part)
        if self.lines_lost and isinstance(record, Subtotal):
            return
        if self.lines_lost and isinstance(record, Footer):
            record = replace(record, summary=None)
        self._is_handed = True
        try:
            file.write(record, order)
        except OSError:
            raise
        except Exception as fault:
            self._lose(f"{type(fault).__name__}: {fault}")

    def _finish(self) -> None:
        try:
            if self._file is not None:
                self._file.close(finished=not self.refusal)
        except OSError as refusal:
            self.refusal = f"{self._directory}: {refusal.strerror or refusal}"
        self.done.set()
