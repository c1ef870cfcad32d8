"""Lines on their way to a journal: kept in order while the disk refuses, first to go when it takes them again."""

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from costmeter.ledger.journal import JournalFile, encode_open
from costmeter.ledger.node.record import Line, RunEnded, RunSeen, Stint
from costmeter.ledger.record import Footer, Header, Mark, RatesChange, SlotEntry, Subtotal, Usage
from costmeter.ledger.sequence import Numbering
from costmeter.meter.slot import Slot
from costmeter.units import NANOSECONDS_PER_SECOND

#: Lines kept in memory while the disk refuses: a day of slots, and some marks.
LINES_KEPT = 2_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A record that is not written, the order of the arrays in it, and of which header it follows, counted."""

    record: Line
    order: tuple[str, ...]
    file: int


class Backlog:
    """What waits for the disk. A header begins a file, which `create` makes. It waits for the disk when told to drain.

    `lines_lost` counts what was given up, of which `is_short` says whether the file lacks any that is written now.
    """

    def __init__(self, create: Callable[[Header], JournalFile]) -> None:
        self._create = create
        self._pending: deque[_Waiting] = deque()
        self._numbering = Numbering()
        self._is_handed = False
        self._sequence = self._files = self._short = 0
        self._unsynced = False
        self.file: JournalFile | None = None
        self.lines_lost = 0
        self._lost_to = ""

    @property
    def lost(self) -> str:
        """What was given up and why, in words; empty where nothing was."""
        return f"{self.lines_lost} lines were lost: {self._lost_to}" if self.lines_lost else ""

    @property
    def is_short(self) -> bool:
        """Whether the file that is written last will lack lines."""
        return self._short == self._files and self._files > 0

    @property
    def waiting(self) -> str:
        """What the disk has not taken yet, in words."""
        records = [each.record for each in tuple(self._pending)]
        slots = [record.slot for record in records if isinstance(record, SlotEntry)]
        if not records:
            return ""
        seconds = sum(slot.end_utc_ns - slot.start_utc_ns for slot in slots) / NANOSECONDS_PER_SECOND
        return (
            f"not in the journal: {seconds:.0f} s of the run" if slots else f"not in the journal: {len(records)} lines"
        )

    def add(self, record: Line, order: tuple[str, ...]) -> None:
        """Take a record, numbered."""
        self._files += isinstance(record, Header)
        self._pending.append(_Waiting(self._numbering.numbered(record), order, self._files))

    def drain(self) -> None:
        """Write all that waits. Raises OSError where the disk refuses it."""
        if self.file is not None:
            self.file.flush()
        while self._pending:
            waiting = self._pending[0]
            if not self._is_handed:
                if isinstance(waiting.record, Header):
                    self._begin(waiting.record)
                self._unsynced = self._unsynced or isinstance(waiting.record, SlotEntry | Footer)
                self._hand(waiting)
            self._pending.popleft()
            self._is_handed = False

    def write_open(self, slot: Slot, order: tuple[str, ...]) -> None:
        """Write the slot that is open. Raises OSError."""
        if self.file is not None:
            self._sequence += 1
            entry = self._numbering.named(SlotEntry(slot))
            self.file.write_open(encode_open(slot, order, self._sequence, entry.rates, entry.held), len(order))

    def sync(self) -> None:
        """Make slots that were written survive a loss of power. Raises OSError."""
        if self._unsynced and self.file is not None:
            self.file.sync()
            self._unsynced = False

    def trim(self, why: str) -> None:
        """Give up what is too much to keep."""
        while len(self._pending) > LINES_KEPT:
            place = self._least_needed()
            self._lose(why, self._pending[place].file)
            del self._pending[place]

    def give_up(self, why: str) -> None:
        """The file that is written is gone, with all in it."""
        self._lose(why, self._files)
        self._unsynced = False

    def close(self, finished: bool) -> None:
        """Let go of the file; a `finished` one needs its open slot no more. Raises OSError."""
        if self.file is not None:
            self.file.close(finished)

    def _least_needed(self) -> int:
        """Which line to give up: the oldest that others can be read without, never the first.

        Slots cannot be read without their devices, nor priced without their rates; of rates with no slot between them
        only the last are anybody's.
        """
        for place in range(1, len(self._pending) - 1):
            record, after = self._pending[place].record, self._pending[place + 1].record
            if isinstance(record, SlotEntry | Mark | Subtotal | Usage | RunSeen | RunEnded | Stint):
                return place
            if isinstance(record, RatesChange) and isinstance(after, RatesChange):
                return place
        return 1

    def _lose(self, why: str, file: int) -> None:
        self._short = max(self._short, file)
        self.lines_lost += 1
        self._lost_to = why

    def _begin(self, header: Header) -> None:
        """Let go of the file before, and make another. Raises OSError."""
        before = self.file
        with contextlib.suppress(FileNotFoundError):  # deleted: what is written from now on does not hang on it
            self.sync()
        self.file, self._unsynced = self._create(header), False
        if before is not None:
            with contextlib.suppress(OSError):
                before.close(finished=True)

    def _hand(self, waiting: _Waiting) -> None:
        """Give the file one record, which from then on keeps what the disk refuses of it.

        What the meter counted in memory is no summary of a journal that lacks lines, so then none is written. A record
        that cannot be written at all must not cost those that follow.
        """
        file, record = self.file, waiting.record
        if file is None:
            return
        if isinstance(record, Header):
            record = replace(record, part=file.part)
        is_short = waiting.file <= self._short
        if is_short and isinstance(record, Subtotal | Stint):
            return
        if is_short and isinstance(record, Footer):
            record = replace(record, summary=None)
        self._is_handed = True
        try:
            file.write(record, waiting.order)
        except OSError:
            raise
        except Exception as fault:
            self._lose(f"{type(fault).__name__}: {fault}", waiting.file)
