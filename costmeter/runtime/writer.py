"""The writer: the one thread that waits for the disk. A full, read-only or hanging disk delays nobody else.

Each post is written before its snapshot is exposed, so that no figure is shown that a restart would not know. When the
disk refuses or does not answer, the snapshot is exposed from memory with `journal_writable` False; lines are kept and
go out first when the disk takes them again.
"""

import queue
import threading
from dataclasses import replace
from pathlib import Path

from costmeter.ledger.journal import JournalFile
from costmeter.outputs.snapshot import Snapshot
from costmeter.runtime.backlog import Backlog
from costmeter.runtime.recorder import Post


class Writer:
    """Writes posts in order and holds the snapshot that may be shown."""

    def __init__(self, directory: Path, host: str) -> None:
        self._directory = directory
        self._queue: queue.SimpleQueue[Post] = queue.SimpleQueue()
        self._backlog = Backlog(lambda _: JournalFile(directory, host))
        self._posted = self._written = 0
        self._exposed: Snapshot | None = None
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
        return 0 if self._backlog.file is None else self._backlog.file.part

    @property
    def unsaved(self) -> str:
        """What is not on disk and why, for the receipt; empty when everything is."""
        if self.refusal:
            return "; ".join(filter(None, (self.refusal, self._backlog.waiting, self._backlog.lost)))
        if not self.done.is_set():
            return f"{self._directory} does not answer"
        return self._backlog.lost

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
        backlog = self._backlog
        for record in post.records:
            backlog.add(record, post.order)
        try:
            backlog.drain()
            if post.snapshot.open_slot is not None and not post.last:
                backlog.write_open(post.snapshot.open_slot, post.order)
            backlog.sync()
            self.refusal = ""
        except OSError as refusal:
            self.refusal = f"{self._directory}: {refusal.strerror or refusal}"
        except Exception as fault:  # an open slot that cannot be written must not end the writer
            self.refusal = f"{self._directory}: {type(fault).__name__}: {fault}"
        if self.refusal:
            backlog.trim(self.refusal)

    def _finish(self) -> None:
        try:
            self._backlog.close(finished=not self.refusal)
        except OSError as refusal:
            self.refusal = f"{self._directory}: {refusal.strerror or refusal}"
        self.done.set()
