"""What one journal comes to, from its two ends: without reading its slots, as far as it says so itself.

A footer says what all slots before it come to, and a subtotal does once an hour. Each says where it stands in its file:
one that stands elsewhere is not believed, for then lines went missing or were added. What is doubtful in any way is
None here, and is for who reads the whole.
"""

import os
import re
import stat
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.columns import SlotColumns, slot_columns
from costmeter.ledger.ending import Ending, ending, lives
from costmeter.ledger.journal import LONGEST_LINE, open_slot
from costmeter.ledger.line import decode, unseal
from costmeter.ledger.query import Part, begin, fold
from costmeter.ledger.record import Devices, Footer, Header, Place, RatesChange, SlotEntry, Subtotal, Summary
from costmeter.ledger.sequence import Sequence
from costmeter.meter.bulk import device_totals
from costmeter.meter.charge import Rates
from costmeter.meter.totals import DeviceTotals, Totals

#: What is read at once of a beginning (a header, devices, prices) and of an end (a footer with its summary).
_BYTES = 8_192
#: How far back a subtotal is looked for; 8 GPUs write 50 kB in an hour.
_FURTHEST_BYTES = 2**22
_SLOT, _DEVICES, _SUBTOTAL = b'{"type":"slot"', b'\n{"type":"devices"', b'\n{"type":"subtotal"'
_CURRENCY = re.compile(rb'{"type":"rates","utc_ns":[0-9]+,"currency":"([A-Z]+)",')


@dataclass(frozen=True, slots=True)
class Brief:
    """What one journal comes to. `summary.whole` stands for all its slots; `file` is its name."""

    header: Header
    ending: Ending
    summary: Summary
    currency: str
    file: str
    problems: tuple[str, ...] = ()


def brief(path: str) -> Brief | None:
    """What a journal says of itself at its ends; None where the whole has to be read.

    Raises JournalError for what cannot be read, or is no journal.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as refusal:
        raise JournalError(f"{path}: cannot be read: {refusal.strerror}") from refusal
    try:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            raise JournalError("cannot be read: not a file")
        return _Ends(path, file, facts.st_size).brief()
    except OSError as refusal:
        raise JournalError(f"{path}: cannot be read: {refusal.strerror}") from refusal
    except JournalError as refusal:
        raise JournalError(f"{path}: {refusal.message}", refusal.hint) from refusal
    except ValueError:
        return None
    finally:
        os.close(file)


class _Ends:
    """The two ends of one open file. Every method raises ValueError where it meets what it does not believe."""

    def __init__(self, path: str, file: int, size: int) -> None:
        self._path, self._file, self._size = path, file, size
        self._head = os.pread(file, _BYTES, 0)
        self._tail_at = max(0, size - _BYTES)
        self._tail = self._head if size <= _BYTES else os.pread(file, size - self._tail_at, self._tail_at)
        header = decode(self._line(0))
        if not isinstance(header, Header):
            raise ValueError("no header")
        self._header = header

    def brief(self) -> Brief:
        """From the footer, or the last subtotal and what follows it."""
        at, line = self._last()
        if line.startswith(b'{"type":"footer"'):
            footer = decode(line)
            if not isinstance(footer, Footer) or footer.summary is None or not _stands(footer.place, at):
                raise ValueError("a footer without a summary of its own")
            return self._ended(footer, footer.summary, footer.place)
        return self._cut_off()

    def _ended(self, footer: Footer, summary: Summary, place: Place | None) -> Brief:
        start_ns = self._start_ns(place)
        length_ns = footer.length_ns + self._header.start_ns - start_ns
        if summary.ended_utc_ns != footer.ended_utc_ns:
            summary = replace(summary, ended_utc_ns=footer.ended_utc_ns)
        started_utc_ns = self._header.anchor.utc(start_ns)
        ended = ending(footer, started_utc_ns, footer.ended_utc_ns, length_ns, False)
        return Brief(self._header, ended, summary, self._currency(place), os.path.basename(self._path))

    def _cut_off(self) -> Brief:
        """Of a journal without a footer: the last subtotal, and the slots after it priced."""
        at, (first, *lines), problems = self._after_subtotal()
        subtotal = decode(first)
        if isinstance(subtotal, Subtotal):
            if subtotal.place is None or not _stands(subtotal.place, at):
                raise ValueError("a subtotal of another file")
            redone = subtotal.summary.redone
            part = _folded_on(self._begun(subtotal), lines, Path(self._path))
            start_ns = self._start_ns(subtotal.place)
        else:
            redone = Decimal(0)
            part = _folded_on(_Begun(begin(self._header), Sequence(), ()), lines, Path(self._path))
            start_ns = part.start_ns
        started_utc_ns = self._header.anchor.utc(start_ns)
        length_ns = max(0, part.ended_utc_ns - started_utc_ns)
        ended = ending(None, started_utc_ns, part.ended_utc_ns, length_ns, lives(self._header))
        summary = replace(part.summary, redone=part.redone.cost + redone)
        return Brief(
            self._header, ended, summary, part.currency, os.path.basename(self._path), (*problems, *part.problems)
        )

    def _begun(self, subtotal: Subtotal) -> "_Begun":
        """A part that has in it what a subtotal says, its devices and its prices."""
        summary, place = subtotal.summary, subtotal.place
        order: tuple[str, ...] = ()
        part, sequence = begin(self._header), Sequence()
        if place is not None and place.devices_at is not None:
            held = decode(self._line(place.devices_at))
            if not isinstance(held, Devices):
                raise ValueError("no devices where they should be")
            order = tuple(device.uuid for device in held.devices)
            sequence.takes(held)
            part = fold(part, held)
        if place is not None and place.rates_at is not None:
            priced = decode(self._line(place.rates_at), order)
            if not isinstance(priced, RatesChange):
                raise ValueError("no prices where they should be")
            sequence.takes(priced)
            part = fold(part, priced)
        part = replace(
            part,
            totals=Totals({"": summary.whole}),
            slots=summary.slots,
            progress=summary.progress,
            saved=summary.saved,
            ended_utc_ns=summary.ended_utc_ns,
        )
        return _Begun(part, sequence, order)

    def _last(self) -> tuple[int, bytes]:
        """The last whole line, and where it begins."""
        end = self._tail.rfind(b"\n")
        begin_at = self._tail.rfind(b"\n", 0, max(0, end)) + 1
        if end < 0 or (begin_at == 0 and self._tail_at > 0):
            return 0, b""
        return self._tail_at + begin_at, self._tail[begin_at:end]

    def _after_subtotal(self) -> tuple[int, list[bytes], list[str]]:
        """Where the last subtotal stands, it and the whole lines after it, and what is to be said of the last.

        Of a short file without any, all of its lines.
        """
        window = _BYTES
        while (found := self._tail.rfind(_SUBTOTAL)) < 0 < self._tail_at:
            if window >= _FURTHEST_BYTES:
                raise ValueError("no subtotal")
            window *= 8
            self._tail_at = max(0, self._size - window)
            self._tail = os.pread(self._file, self._size - self._tail_at, self._tail_at)
        *lines, torn = self._tail[found + 1 :].split(b"\n")
        return self._tail_at + found + 1, lines, ["last line torn, dropped"] if torn else []

    def _start_ns(self, place: Place | None) -> int:
        """From when the part counts: where it fills a gap, its first devices say so."""
        if place is None or place.devices_at is None:
            return self._header.start_ns
        found = self._head.find(_DEVICES)
        if found < 0:
            raise ValueError("devices far from the beginning")
        line = self._line(found + 1)
        if b'"since_ns":' not in line:
            return self._header.start_ns
        first = decode(line)
        return min([self._header.start_ns, *first.since_ns.values()]) if isinstance(first, Devices) else 0

    def _currency(self, place: Place | None) -> str:
        if place is None or place.rates_at is None:
            return self._header.currency
        line = self._line(place.rates_at)
        told = _CURRENCY.match(line)
        if told and told[1].decode() == self._header.currency:  # two lines say so: no checksum is needed
            return self._header.currency
        return str(unseal(line).get("currency"))

    def _line(self, at: int) -> bytes:
        """The whole line that begins at an offset."""
        if type(at) is not int or not 0 <= at < self._size:
            raise ValueError("a place outside the file")
        end = self._head.find(b"\n", at)
        if end >= 0:
            return self._head[at:end]
        for length in (2 * _BYTES, LONGEST_LINE):
            line, newline, _ = os.pread(self._file, length, at).partition(b"\n")
            if newline:
                return line
        raise ValueError("a line without an end")


@dataclass(frozen=True, slots=True)
class _Begun:
    """A part so far, what numbers come next, and the order of the arrays in its slots."""

    part: Part
    sequence: Sequence
    order: tuple[str, ...]


def _folded_on(begun: _Begun, lines: list[bytes], path: Path) -> Part:
    """The part with the lines that follow, and the slot that was open. Raises ValueError where one is not the next."""
    part, order, at = begun.part, begun.order, 0
    while at < len(lines):
        stop = next((n for n in range(at, len(lines)) if not lines[n].startswith(_SLOT)), len(lines))
        together = _at_once(part, lines[at:stop], order) if stop > at else None
        if together is not None:
            part, at = together, stop
            continue
        record = decode(lines[at], order)
        if isinstance(record, SlotEntry) and record.slot.number != part.slots:
            raise ValueError("a slot that is not the next")
        at += 1
        if record is None or not begun.sequence.takes(record):
            continue
        if isinstance(record, Devices):
            order = tuple(device.uuid for device in record.devices)
        part = fold(part, record)
    still_open = open_slot(path, order)
    if still_open is None or still_open.slot.number < part.slots:
        return part
    if still_open.slot.number > part.slots:
        raise ValueError("slots before the open one are missing")
    return fold(part, still_open)


def _at_once(part: Part, lines: list[bytes], order: tuple[str, ...]) -> Part | None:
    """The part with slots more, all at once; None where they are not plainly the next, or a GPU has no price."""
    columns = slot_columns(lines, order)
    if columns is None or columns.first != part.slots or part.rates is None:
        return None
    whole, redone, start = part.totals.whole, part.redone, 0
    flags = [is_redone for _, is_redone in columns.phases]
    while start < len(flags):
        stop = next((n for n in range(start, len(flags)) if flags[n] != flags[start]), len(flags))
        added = _priced(columns, start, stop, part.rates)
        if added is None:
            return None
        whole, redone = whole + added, redone + added if flags[start] else redone
        start = stop
    return replace(
        part,
        totals=Totals({"": whole}),
        redone=redone,
        slots=part.slots + len(flags),
        progress=columns.progress(0, len(flags)) or part.progress,
        ended_utc_ns=columns.end_utc_ns(len(flags) - 1),
    )


def _priced(columns: SlotColumns, start: int, stop: int, rates: Rates) -> DeviceTotals | None:
    """What slots come to, all GPUs together. GPUs of one price are charged like one in so many times more slots."""
    of = [rates.devices.get(uuid) for uuid in columns.order]
    whole = DeviceTotals()
    if of.count(of[0]) == len(of) and of[0] is not None:
        count = len(of)
        flat = {name: values[start * count : stop * count] for name, values in columns.arrays.items()}
        return device_totals({n: v for n, v in flat.items() if any(v)}, (stop - start) * count, of[0], rates)
    for place, device in enumerate(of):
        values = columns.of_device(place, start, stop)
        totals = None if device is None else device_totals(values, stop - start, device, rates)
        if totals is None:
            return None
        whole = whole + totals
    return whole


def _stands(place: Place | None, at: int) -> bool:
    return place is not None and place.at == at
