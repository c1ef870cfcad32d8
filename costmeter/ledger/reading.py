"""Scan a journal: its records in order, the open slot last, and what was damaged, said and skipped."""

import contextlib
import os
from collections.abc import Iterator
from collections.abc import Sequence as Lines
from dataclasses import replace
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.line import decode, unseal
from costmeter.ledger.lines import LONGEST_LINE, lines, opened
from costmeter.ledger.node.line import NODE_TYPES
from costmeter.ledger.node.record import Holders, Line
from costmeter.ledger.order import lines_in_order
from costmeter.ledger.ratesline import Origins, decode_number, fingerprint
from costmeter.ledger.record import Devices, Footer, Header, Place, RatesChange, Record, SlotEntry
from costmeter.ledger.sequence import Sequence
from costmeter.ledger.slotline import decode_slot
from costmeter.meter.holder import UNKNOWN_UID, Holder
from costmeter.units import NANOSECONDS_PER_HOUR

#: A footer is shorter; the start of what is cut is in no last line.
_TAIL_BYTES = 4_096
#: How far what a journal says of itself may be off: a run resumed, a clock set, another machine's time stamp.
_DOUBT_NS = 24 * NANOSECONDS_PER_HOUR
#: How a line with rates begins: it says so even where it is damaged further on, or its beginning is no line's any more.
_RATES = b'{"type":"rates"'
#: How the others begin.
_OTHERS = (b"devices", b"slot", b"mark", b"footer", b"items", b"usage", b"subtotal", b"budgets")
#: What to do where a file does not begin as a journal.
NOT_OURS = "It is no journal of costmeter, or its beginning is lost: copy it again from where it was written."
#: What is said where only the footer knows: every line that is there is whole, and so are slots and prices.
GONE = "lines of {} are missing, {:,} bytes in all; totals are those of the slots that are there"
ADDED = "lines of {} stand there that its meter did not write, {:,} bytes in all; its slots are counted once"
_WITHOUT_PRICES = tuple(b'{"type":"%s"' % kind for kind in (*_OTHERS, *(each.encode() for each in NODE_TYPES)))
#: Who held the devices of a slot whose line of holders is lost: time that somebody held must not become nobody's.
SOMEBODY = Holder(UNKNOWN_UID, "", "unknown", "user")


def records(path: Path, problems: list[str]) -> Iterator[Record]:
    """The records of one part in order, the header first and the open slot last; what is damaged goes to `problems`.

    Raises JournalError when there is no readable header, or a schema of a newer costmeter.
    """
    return (record for record in all_records(path, problems) if isinstance(record, Record))


def all_records(path: Path, problems: list[str]) -> Iterator[Line]:
    """The same, with what only a node's journal has."""
    reading, torn = Scan(path, problems, is_ordered=True), list[str]()
    for number, line in lines_in_order(path, torn):
        record = reading.any_record(number, line)
        if record is not None:
            yield record
    problems += torn
    last = reading.last()
    if last is not None:
        yield last


class Scan:
    """One journal while it is read: what its lines mean, and whether they count, hangs on the lines before.

    `is_ordered` is for lines that were put in their order, as far as they have one.
    """

    def __init__(self, path: Path, problems: list[str], is_ordered: bool = False) -> None:
        self.order: tuple[str, ...] = ()
        self.sequence = Sequence()
        self.has_begun = False
        self._path = path
        self._problems = problems
        self._is_ordered = is_ordered
        self._told: dict[str, Origins] = {}
        self._held: dict[int, Holders] = {}
        self._bytes = 0
        self._gone_bytes: int | None = None

    @property
    def is_out_of_order(self) -> bool:
        """Whether a line so far may belong elsewhere: then the journal is to be read again, by `lines_in_order`."""
        return self.sequence.is_out_of_order and not self._is_ordered

    def record(self, number: int, line: bytes) -> Record | None:
        """What one line says; None where it says nothing that counts. What is damaged goes to the problems.

        Raises JournalError where it is of a newer costmeter, or the first that can be read is no header.
        """
        record = self.any_record(number, line)
        return record if isinstance(record, Record) else None

    def any_record(self, number: int, line: bytes) -> Line | None:
        """The same, with what only a node's journal has."""
        at = self._bytes
        self.passes((line,))
        try:
            record = decode(line, self.order, self._told)
        except JournalError as refusal:
            raise JournalError(f"{self._path}: {refusal.message}", refusal.hint) from refusal
        except ValueError as problem:
            if not self._stands_again(line):
                self._problems.append(f"line {number} unreadable, skipped: {problem}{_lost_prices(line)}")
            return None
        if record is None:
            return None
        if not self.has_begun and not isinstance(record, Header):
            if self._is_ordered:
                raise self._headless()
            self.sequence.is_out_of_order = True
            return None
        self.has_begun = True
        if isinstance(record, RatesChange):
            self._told[fingerprint(record.rates.origins)] = record.rates.origins
        if not self.sequence.takes(record):
            return None
        return self._taken(record, at)

    def _taken(self, record: Line, at: int) -> Line:
        """A record that counts, and whose line begins at this byte."""
        if isinstance(record, SlotEntry):
            return self._with_holders(record)
        if isinstance(record, Holders) and record.number is not None:
            self._held[record.number] = record
        if isinstance(record, Devices):
            self.order = tuple(device.uuid for device in record.devices)
        elif isinstance(record, Footer) and self._gone_bytes is None:
            self._gone_bytes = _gone_bytes(record.place, at)
        return record

    def _with_holders(self, entry: SlotEntry) -> SlotEntry:
        """A slot with those who held its devices."""
        if entry.held is None:
            return entry
        said = self._held.get(entry.held)
        by_device = dict.fromkeys(entry.slot.devices, (SOMEBODY,)) if said is None else said.by_device
        return replace(entry, slot=replace(entry.slot, holders=by_device))

    def passes(self, lines: Lines[bytes]) -> None:
        """Lines, without their ends, whose meaning somebody else found: how long they are counts, where that is told.

        A line that has no number can go without a trace but one: the footer then stands elsewhere than it was written.
        """
        self._bytes += sum(map(len, lines)) + len(lines)

    def _stands_again(self, line: bytes) -> bool:
        """Whether a line that cannot be read was read before; one that is whole may only stand in the wrong place."""
        try:
            body = unseal(line)
        except ValueError:
            return False
        if self.sequence.takes_again(body.get("type"), body.get("n")):
            return True
        self.sequence.is_out_of_order = True
        return False

    def last(self) -> SlotEntry | None:
        """The open slot, once all lines were read; what their numbers tell goes to the problems.

        Raises JournalError where there was no header.
        """
        if not self.has_begun:
            raise self._headless()
        found = open_slot(self._path, self.order)
        still_open = found if found is not None and self.sequence.takes_open(found) else None
        self._problems += self.sequence.problems()
        if not self._problems and self._gone_bytes:
            said = GONE if self._gone_bytes > 0 else ADDED
            self._problems.append(said.format(self._path.name, abs(self._gone_bytes)))
        return None if still_open is None else self._with_holders(still_open)

    def _headless(self) -> JournalError:
        return JournalError(f"{self._path}: no readable header line", NOT_OURS)


def _gone_bytes(written: Place | None, at: int) -> int:
    """How much is missing before a footer that stands here; negative for what was added.

    0 where it carries no checksum of all before it, as in a journal of before: a name in that may have been changed.
    """
    return 0 if written is None or written.crc is None else written.at - at


def _lost_prices(line: bytes) -> str:
    """What an unreadable line may have cost those that follow; nothing where it begins as one without prices."""
    if _RATES in line:
        return "; what follows has the prices before it"
    return "" if line.startswith(_WITHOUT_PRICES) else "; if it had prices, what follows has those before it"


def ran_outside(path: Path, start_utc_ns: int, end_utc_ns: int) -> bool:
    """Whether all that a journal says of itself lies clear of these instants, without reading it through.

    That is its first line, its footer or else the time it was last written at. When in doubt it was inside.
    """
    try:
        with opened(path) as file:
            written_ns = os.fstat(file.fileno()).st_mtime_ns
            header = decode(file.readline(LONGEST_LINE).rstrip(b"\n"))
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
    except (JournalError, OSError, ValueError):
        return False
    if not isinstance(header, Header):
        return False
    began_ns = header.anchor.utc(header.start_ns)
    if min(began_ns, written_ns) > end_utc_ns + _DOUBT_NS:
        return True
    with contextlib.suppress(ValueError):
        footer = decode(last)
        if isinstance(footer, Footer):
            return max(began_ns, footer.ended_utc_ns) <= start_utc_ns
    return max(began_ns, written_ns) + _DOUBT_NS < start_utc_ns


def open_slot(path: Path, order: tuple[str, ...]) -> SlotEntry | None:
    """The slot that was open at the meter's last tick, whether it was closed since or not."""
    best: tuple[int, SlotEntry] | None = None
    for half in _halves(path):
        with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
            body = unseal(half.partition(b"\n")[0])
            if best is None or body["sequence"] > best[0]:
                rates, held = decode_number(body, "rates"), decode_number(body, "held")
                best = body["sequence"], SlotEntry(decode_slot(body, order), rates, held)
    return None if best is None else best[1]


def has_whole_open(path: Path, order: tuple[str, ...]) -> bool:
    """Whether an open slot is beside a journal, and nothing that was written of it is damaged."""
    written = [half for half in _halves(path) if half.strip(b"\0")]
    with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
        for half in written:
            decode_slot(unseal(half.partition(b"\n")[0]), order)
        return bool(written)
    return False


def _halves(path: Path) -> tuple[bytes, ...]:
    """The two halves of the file of a journal's open slot; none where it cannot be read."""
    try:
        with opened(path.with_suffix(".open")) as file:
            halves = file.read(2 * LONGEST_LINE)
    except (OSError, JournalError):
        return ()
    middle = len(halves) // 2
    return halves[:middle], halves[middle:]


__all__ = ["LONGEST_LINE", "Scan", "has_whole_open", "lines", "open_slot", "ran_outside", "records"]
