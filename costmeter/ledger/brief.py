"""What one journal comes to, from its two ends: without reading its slots, as far as it says so itself.

A footer says what all slots before it come to, and a subtotal does once an hour. Each says where it stands in its file:
one that stands elsewhere is not believed, for then lines went missing or were added. What is doubtful in any way is
None here, and is for who reads the whole.
"""

import os
import re
import stat
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from costmeter.errors import JournalError
from costmeter.ledger.ending import Ending, ending, goes_on
from costmeter.ledger.headerline import decode_header
from costmeter.ledger.journal import LONGEST_LINE, is_whole
from costmeter.ledger.kinds import expect
from costmeter.ledger.line import FOOTER_SHAPE, decode, unseal
from costmeter.ledger.overlap import Windows
from costmeter.ledger.record import Devices, Header, Place, Summary
from costmeter.ledger.sealed import are_integers, unsealed
from costmeter.ledger.summaryline import decode_place, decode_summary
from costmeter.ledger.tail import Folding
from costmeter.meter.holder import RunKey

#: What is read at once of a beginning (a header, devices, prices) and of an end (a footer with its summary).
_BYTES = 8_192
#: A journal that is checked is read in one go up to here, so that nobody opens it a second time for its checksum.
_WHOLE_BYTES = 2**20
#: A pipe with such a name is not waited for.
_PLAINLY = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
#: How far back a subtotal is looked for; 8 GPUs write 50 kB in an hour.
_FURTHEST_BYTES = 2**22
_DEVICES, _SUBTOTAL = b'\n{"type":"devices"', b'\n{"type":"subtotal"'
_FOOTER = b'{"type":"footer"'
#: What readers of a body raise that is not as a meter writes it.
_GARBLED = (KeyError, TypeError, ValueError, IndexError, ArithmeticError, AttributeError)
_CURRENCY = re.compile(rb'{"type":"rates","utc_ns":[0-9]+,"currency":"([A-Z]+)",')


@dataclass(frozen=True, slots=True)
class Brief:
    """What one journal comes to. `summary.whole` stands for all its slots; `file` is its name.

    `elsewhere` is what of its time counts from another part, and is in no figure here. `beside` has the GPUs by name
    that its host's parts of this run held when this one began, where others were at work with it. `of` is the run that
    it is a share of, where the journal is a node's; then `file` is its path.
    """

    header: Header
    ending: Ending
    summary: Summary
    currency: str
    file: str
    problems: tuple[str, ...] = ()
    elsewhere: Windows = field(default_factory=dict)
    beside: tuple[tuple[str, int], ...] = ()
    of: RunKey | None = None


def brief(path: str, is_checked: bool = False) -> Brief | None:
    """What a journal says of itself at its ends; None where the whole has to be folded.

    A short journal, and with `is_checked` any, is held against the checksum that its summary carries of all before it:
    what a disk changed since is not in the sum. Raises JournalError for what cannot be read, or is no journal.
    """
    try:
        file = os.open(path, _PLAINLY)
    except OSError as refusal:
        raise JournalError(f"{path}: cannot be read: {refusal.strerror}") from refusal
    try:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            raise JournalError("cannot be read: not a file")
        return _Ends(path, file, facts.st_size, is_checked).brief()
    except OSError as refusal:
        raise JournalError(f"{path}: cannot be read: {refusal.strerror}") from refusal
    except JournalError as refusal:
        raise JournalError(f"{path}: {refusal.message}", refusal.hint) from refusal
    except _GARBLED:
        return None
    finally:
        os.close(file)


class _Ends:
    """The two ends of one open file. Every method raises ValueError where it meets what it does not believe."""

    def __init__(self, path: str, file: int, size: int, is_checked: bool) -> None:
        self._path, self._file, self._size, self._is_checked = path, file, size, is_checked
        at_once = max(size, _BYTES) if is_checked and size <= _WHOLE_BYTES else _BYTES
        self._head = os.pread(file, at_once, 0)
        self._tail_at = 0 if size <= at_once else size - _BYTES
        self._tail = self._head if size <= at_once else os.pread(file, size - self._tail_at, self._tail_at)
        body = _content(self._line(0))
        if body.get("type") != "header":
            raise ValueError("no header")
        self._header = decode_header(body)

    def brief(self) -> Brief:
        """From the footer, or the last subtotal and what follows it."""
        at, line = self._last()
        return self._ended(at, _content(line)) if line.startswith(_FOOTER) else self._cut_off()

    def _ended(self, at: int, body: Mapping[str, Any]) -> Brief:
        """Of a journal with a footer."""
        expect(body, FOOTER_SHAPE)
        summary, place = self._summary(body["summary"], at)
        ended_utc_ns, length_ns = body["ended_utc_ns"], body["length_ns"]
        start_ns = self._start_ns(place)
        ended = Ending(
            self._header.anchor.utc(start_ns),
            ended_utc_ns,
            length_ns + self._header.start_ns - start_ns,
            body["outcome"],
            body["exit_code"],
            body["signal"],
        )
        if summary.ended_utc_ns != ended_utc_ns:
            summary = replace(summary, ended_utc_ns=ended_utc_ns)
        return Brief(self._header, ended, summary, self._currency(place), os.path.basename(self._path))

    def _cut_off(self) -> Brief:
        """Of a journal without a footer: the last subtotal, and the slots after it priced."""
        at, (first, *lines), problems = self._after_subtotal()
        folding, place = Folding(self._header, self._header.anchor.utc(self._header.start_ns)), None
        if first.startswith(_SUBTOTAL[1:]):
            summary, place = self._summary(_content(first), at)
            self._begin_at(place, folding)
            folding.takes_summary(summary)
        folding.take_all(lines)
        folding.take_open(self._path)
        start_ns = folding.start_ns if place is None else self._start_ns(place)
        started_utc_ns = self._header.anchor.utc(start_ns)
        length_ns = max(0, folding.ended_utc_ns - started_utc_ns)
        is_live = goes_on(self._header, folding.ended_utc_ns)
        ended = ending(None, started_utc_ns, folding.ended_utc_ns, length_ns, is_live)
        problems += folding.problems
        file = os.path.basename(self._path)
        return Brief(self._header, ended, folding.summary, folding.currency, file, tuple(problems))

    def _begin_at(self, place: Place, folding: Folding) -> None:
        """Take what held when a subtotal was written: devices and prices."""
        if place.devices_at is not None:
            folding.take_devices(self._line(place.devices_at))
        if place.rates_at is not None:
            folding.take_rates(self._line(place.rates_at))

    def _summary(self, body: Mapping[str, Any], at: int) -> tuple[Summary, Place]:
        """What a line that stands at `at` sums up. Raises ValueError where what is before it has changed since."""
        summary, place = _summary(body, at)
        if self._tail is self._head and place.crc is not None:
            is_sound = zlib.crc32(memoryview(self._head)[: place.at]) == place.crc
        else:
            is_sound = not self._is_checked or is_whole(Path(self._path), place)
        if not is_sound:
            raise ValueError("what was summed up has changed")
        return summary, place

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

    def _start_ns(self, place: Place) -> int:
        """From when the part counts: where it fills a gap, its first devices say so."""
        if place.devices_at is None:
            return self._header.start_ns
        found = self._head.find(_DEVICES)
        if found < 0:
            raise ValueError("devices far from the beginning")
        line = self._line(found + 1)
        if b'"since_ns":' not in line:
            return self._header.start_ns
        first = decode(line)
        return min([self._header.start_ns, *first.since_ns.values()]) if isinstance(first, Devices) else 0

    def _currency(self, place: Place) -> str:
        if place.rates_at is None:
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


def _content(line: bytes) -> dict[str, Any]:
    """The content of a line. Raises ValueError where its checksum or its JSON is wrong."""
    try:
        return unsealed(line)
    except ValueError:  # or one with text that only the other reader takes: a command line is any bytes
        return unseal(line)


def _summary(body: Mapping[str, Any], at: int) -> tuple[Summary, Place]:
    """What a line that stands at `at` sums up. Raises ValueError where it was written to stand elsewhere."""
    place = decode_place(body)
    if place is None or place.at != at:
        raise ValueError("a summary of another file")
    if not are_integers(body["quantities"].values()) or float in map(type, body.values()):
        raise ValueError("a number that is no integer")
    return decode_summary(body), place
