"""The node's writer: the one thread that waits for the disk, and the law of what may be shown before it has answered.

A value is shown once write() has handed it to the kernel, so that an agent that goes on from the journal goes on from
no less. Where the disk refuses or does not answer, values are shown from memory with `journal_writable` False, once a
marker says that they are: an agent that finds it begins at nothing. Where no marker can be set, what is shown stands
still. What had to be given up is in no journal for ever, so the next one opens with all of it before the marker goes.
"""

import contextlib
import errno
import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from costmeter.clock import Anchor
from costmeter.ledger.journal import JournalFile
from costmeter.ledger.node.beyond import Marker, marker_paths
from costmeter.ledger.node.journal import remove_old, stem
from costmeter.ledger.node.line import apart
from costmeter.ledger.node.query import NodePart, opening
from costmeter.ledger.node.record import Holders, Line, Opening, Stint
from costmeter.ledger.record import Devices, Footer, Header, RatesChange, SlotEntry
from costmeter.ledger.resume import booked_ns
from costmeter.outputs.nodesnapshot import NodeSnapshot
from costmeter.runtime.agent.lock import InUse
from costmeter.runtime.agent.post import NodePost
from costmeter.runtime.backlog import Backlog
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_SECOND

#: A disk that loses line after line does not get a new file for each.
BEGUN_ANEW_EVERY_NS = NANOSECONDS_PER_HOUR


class NodeWriter:
    """Writes posts in order and holds the snapshot that may be shown. `runtime` is a folder in memory.

    `keep` sees before each file that the folder is still this agent's alone, and raises InUse where it is another's.
    """

    def __init__(self, folder: Path, host: str, runtime: Path | None, keep: Callable[[], None] = lambda: None) -> None:
        self._folder, self._host, self._runtime, self._keep = folder, host, runtime, keep
        self._is_taken = False
        self._queue: queue.SimpleQueue[NodePost] = queue.SimpleQueue()
        self._lines = _NodeLines(Backlog(self._create))
        self._marker: Marker | None = None
        self._marking = threading.Lock()  # held while a marker is written: whoever holds it may hang
        self._showing = threading.Lock()  # held for moments, also by the recorder
        self._may_show_beyond = False
        self._marks: threading.Thread | None = None
        self._posted = self._written = self._shown_number = 0
        self._shown: NodeSnapshot | None = None
        self.refusal = ""
        self.done = threading.Event()

    def start(self) -> None:
        """Begin, in a thread of its own."""
        threading.Thread(target=self._write_for_ever, name="costmeter-writer", daemon=True).start()

    def post(self, post: NodePost) -> None:
        """Take what the recorder made of one event. Returns at once."""
        self._posted += 1
        is_behind = self._posted - self._written > 2  # by more than the post it is busy with, and this one
        if is_behind and not self._show_beyond(post.snapshot, self._posted):
            self._mark_meanwhile()
        self._queue.put(post)

    @property
    def snapshot(self) -> NodeSnapshot | None:
        """The snapshot to show; None before the first."""
        return self._shown

    @property
    def unsaved(self) -> str:
        """What is not on disk and why; empty when everything is."""
        backlog = self._lines.backlog
        if self.refusal:
            return "; ".join(filter(None, (self.refusal, backlog.waiting, backlog.lost)))
        if not self.done.is_set():
            return f"{self._folder} does not answer"
        return backlog.lost

    def _write_for_ever(self) -> None:
        while True:
            post = self._queue.get()
            self.write(post)
            if post.last:
                self._finish()
                return

    # Writing

    def write(self, post: NodePost) -> None:
        """Write one post and show it, or remember why the disk refused it. Waits for the disk: a thread calls it."""
        number = self._written + 1
        self._lines.take(post)
        self._make_marker(post.snapshot.part.header)
        try:
            self._save(post)
            self.refusal = ""
        except OSError as refusal:
            self.refusal = f"{self._folder}: {refusal.strerror or refusal}"
        except Exception as fault:  # a line that cannot be written must not end the writer
            self.refusal = f"{self._folder}: {type(fault).__name__}: {fault}"
        if self.refusal:
            self._lines.backlog.trim(self.refusal)
        if self.refusal or self._lines.backlog.is_short:
            self._show_or_stand(post.snapshot, number)
        else:
            self._show_written(post.snapshot, number)
        self._written = number

    def _save(self, post: NodePost) -> None:
        """Write all that waits. What is lost for ever makes a new file begin with where the counters stand."""
        lines = self._lines
        try:
            lines.save(post)
        except FileNotFoundError as gone:
            if lines.file is None or lines.file.path.exists():
                raise
            lines.backlog.give_up(f"{lines.file.path}: {gone.strerror}")
        if lines.backlog.is_short and not post.last and lines.begin_anew(post.snapshot):
            lines.save(post)

    def _create(self, header: Header) -> JournalFile:
        try:
            self._keep()
            self._is_taken = False
        except InUse as refusal:  # its markers would be taken for the other's
            self._is_taken = True
            raise OSError(errno.EBUSY, refusal.message) from None
        began_utc_ns = header.anchor.utc(header.start_ns)
        date = datetime.fromtimestamp(began_utc_ns // NANOSECONDS_PER_SECOND, timezone.utc).strftime("%Y-%m-%d")
        file = JournalFile(self._folder, stem(self._host, date))
        with contextlib.suppress(OSError):
            remove_old(self._folder, self._host, began_utc_ns)
        return file

    def _finish(self) -> None:
        try:
            self._lines.backlog.close(finished=not self.refusal)
        except OSError as refusal:
            self.refusal = f"{self._folder}: {refusal.strerror or refusal}"
        self.done.set()

    # Showing

    def _make_marker(self, header: Header) -> None:
        """Have markers ready while there is room for them."""
        if self._marker is None:
            self._marker = Marker(marker_paths(self._folder, self._host, self._runtime), header.boot_id)
            self._marker.prepare()

    def _show_written(self, snapshot: NodeSnapshot, number: int) -> None:
        """Show what is on disk, unless something later is shown already."""
        file, marker = self._lines.file, self._marker
        if file is None or marker is None:
            return
        with self._showing:
            is_all = number >= self._shown_number
        if is_all and (marker.is_set or (marker.journal, marker.opened) != (file.path.name, file.has_open)):
            self._unmark(marker, file, number)
        with self._showing:
            if number >= self._shown_number:
                self._shown, self._shown_number = replace(snapshot, journal_writable=True), number

    def _show_or_stand(self, snapshot: NodeSnapshot, number: int) -> None:
        """Show what is not on disk, where that can be marked; else show on what was shown, and that it stands still."""
        with self._marking:
            self._mark()
        if not self._show_beyond(snapshot, number):
            with self._showing:
                if self._shown is not None:
                    self._shown = replace(self._shown, journal_writable=False)

    def _show_beyond(self, snapshot: NodeSnapshot, number: int) -> bool:
        """Show what may not be on disk; whether that is allowed now."""
        with self._showing:
            if self._may_show_beyond and number >= self._shown_number:
                self._shown, self._shown_number = replace(snapshot, journal_writable=False), number
            return self._may_show_beyond

    def _mark_meanwhile(self) -> None:
        """Set the marker in a thread of its own: the disk that it is on may be the one that does not answer."""
        if self._marks is None or not self._marks.is_alive():
            self._marks = threading.Thread(target=self._mark_once, name="costmeter-marker", daemon=True)
            with contextlib.suppress(RuntimeError):  # no more threads: then what is shown stands still
                self._marks.start()

    def _mark_once(self) -> None:
        with self._marking:
            self._mark()

    def _mark(self) -> None:
        """Set every marker there is; the first is enough, the next may be on the disk that does not answer."""
        for path in self._marker.paths if self._marker is not None and not self._is_taken else ():
            if self._marker is not None and self._marker.set(path):
                with self._showing:
                    self._may_show_beyond = True

    def _unmark(self, marker: Marker, file: JournalFile, number: int) -> None:
        """Say that all that was shown is in the journal, unless somebody is about to say otherwise."""
        if not self._marking.acquire(blocking=False):
            return
        try:
            with self._showing:
                if number < self._shown_number:
                    return
                self._may_show_beyond = False
            marker.clear(file.path.name, file.has_open)
        finally:
            self._marking.release()


class _NodeLines:
    """A node's lines on their way to its files: the order of their arrays, and what a file begun anew says."""

    def __init__(self, backlog: Backlog) -> None:
        self.backlog = backlog
        self._order: tuple[str, ...] = ()
        self._opened = Opening(0)
        self._slots_before = 0
        self._begun_utc_ns = -BEGUN_ANEW_EVERY_NS

    @property
    def file(self) -> JournalFile | None:
        """The file that is written."""
        return self.backlog.file

    def take(self, post: NodePost) -> None:
        """Take the records of a post. Their arrays are in the order of the devices that were recorded last."""
        for record in post.records:
            if isinstance(record, Header):
                self._slots_before = 0
            elif isinstance(record, Opening):
                self._opened = record
            self._add(record)

    def save(self, post: NodePost) -> None:
        """Write all that waits, and the open slot. Raises OSError."""
        self.backlog.drain()
        slot = post.snapshot.open_slot
        if slot is not None and not post.last:
            self.backlog.write_open(replace(slot, number=slot.number - self._slots_before), self._order)
        self.backlog.sync()

    def begin_anew(self, snapshot: NodeSnapshot) -> bool:
        """Have another file follow that opens with all that was recorded so far; whether it is time for one."""
        if abs(snapshot.at_utc_ns - self._begun_utc_ns) < BEGUN_ANEW_EVERY_NS:
            return False
        self._begun_utc_ns = snapshot.at_utc_ns
        part = snapshot.part
        self._slots_before = part.slots
        for record in _beginning(part, self._opened):
            self._add(record)
        return True

    def _add(self, record: Line) -> None:
        if isinstance(record, SlotEntry) and self._slots_before:
            slot = replace(record.slot, number=record.slot.number - self._slots_before)
            record = replace(record, slot=slot)
        if self._slots_before and isinstance(record, Stint | Footer):  # sums of slots that are in the file before
            if isinstance(record, Stint):
                return
            record = replace(record, summary=None)
        if isinstance(record, Header | Devices):
            self._order = () if isinstance(record, Header) else tuple(device.uuid for device in record.devices)
        for each in apart(record) if isinstance(record, Opening) else (record,):
            self.backlog.add(each, self._order)


def _beginning(part: NodePart, opened: Opening) -> list[Line]:
    """The first lines of a file that goes on from a part, which itself began with an opening."""
    lengths_ns = {uuid: each.quantities.nanoseconds for uuid, each in part.totals.devices.items()}
    for uuid, each in (opened.held + opened.unheld).devices.items():
        lengths_ns[uuid] = lengths_ns.get(uuid, 0) - each.quantities.nanoseconds
    upto_ns = {uuid: booked_ns(part, uuid, lengths_ns) for uuid in part.devices}
    at_utc_ns = part.ended_utc_ns
    reached_ns = max(upto_ns.values(), default=part.header.start_ns)
    # After a gap that is being filled, what is booked ends before the file began that this one follows: the newest of
    # a boot's files is told by its start.
    start_ns = max(reached_ns, part.header.start_ns)
    header = replace(part.header, start_ns=start_ns, anchor=Anchor(reached_ns, at_utc_ns))
    late_ns = {uuid: at_ns for uuid, at_ns in upto_ns.items() if at_ns != start_ns}
    lines: list[Line] = [header, opening(part, at_utc_ns)]
    lines.append(Devices(tuple(part.devices.values()), part.driver, part.node_gpus, late_ns))
    if part.rates is not None:
        lines.append(RatesChange(at_utc_ns, part.rates))
    return [*lines, Holders(at_utc_ns, part.holders), *part.noted.values()]
