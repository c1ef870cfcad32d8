"""The journal on disk: one append-only file per meter process, and beside it the slot that is still open.

`<host>.<part>.jsonl` is created with O_EXCL and never reopened for writing. `<host>.<part>.open` holds two halves of
equal size, written in turn with one pwrite each, so that whatever moment the meter is killed at, one of them is whole.
Nothing here waits, retries or starts threads: the caller decides what a refusal means.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from costmeter.errors import JournalError
from costmeter.ledger.line import decode, encode, seal, unseal
from costmeter.ledger.ratesline import Origins, decode_number, fingerprint
from costmeter.ledger.record import Devices, Footer, Header, Place, RatesChange, Record, SlotEntry, Subtotal
from costmeter.ledger.sequence import Numbering, Sequence
from costmeter.ledger.slotline import decode_slot, encode_slot
from costmeter.meter.slot import Slot
from costmeter.units import NANOSECONDS_PER_HOUR

_PRIVATE = 0o600
_BYTES_PER_DEVICE = 512
_BYTES_FIXED = 1024
#: No line of a journal is longer: the devices of 1,024 GPUs are less than a tenth of it.
LONGEST_LINE = 4 * 2**20
#: A footer is shorter; the start of what is cut is in no last line.
_TAIL_BYTES = 4_096
#: How far what a journal says of itself may be off: a run resumed, a clock set, another machine's time stamp.
_DOUBT_NS = 24 * NANOSECONDS_PER_HOUR
#: How a line with rates begins: it says so even where it is damaged further on, or its beginning is no line's any more.
_RATES = b'{"type":"rates"'
#: How the others begin.
_OTHERS = (b"devices", b"slot", b"mark", b"footer", b"items", b"usage", b"subtotal", b"budgets")
_WITHOUT_PRICES = tuple(b'{"type":"%s"' % kind for kind in _OTHERS)


def state_directory(environ: dict[str, str]) -> Path:
    """Where this user's runs are kept: `$XDG_STATE_HOME/costmeter`, else `~/.local/state/costmeter`."""
    home = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(home):  # the XDG rule: a relative path is to be ignored
        home = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local", "state")
    return Path(home) / "costmeter"


def safe_name(text: str) -> str:
    """A host or run name as one path component."""
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in text).lstrip(".") or "unnamed"


class JournalFile:
    """One part of one run, being written. Every method raises OSError when the disk refuses."""

    def __init__(self, directory: Path, host: str) -> None:
        """Create the next free part. Raises OSError when it cannot."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.part, self._file = _create(directory, safe_name(host))
        self.path = directory / f"{safe_name(host)}.{self.part}.jsonl"
        self._open_path = self.path.with_suffix(".open")
        self._open_file = -1
        self._half_bytes = 0
        self._turn = 0
        self._unwritten = b""
        self._told: set[str] = set()
        self._numbering = Numbering()
        self._length = 0
        self._place = Place(0)

    def append(self, line: bytes) -> None:
        """Write one line. What a full disk cuts off is kept and goes out first the next time, so no line is torn."""
        self._unwritten += line
        self._length += len(line)
        self.flush()

    def write(self, record: Record, order: tuple[str, ...]) -> None:
        """Write one record; what an earlier one spelled out is only named."""
        record = self._numbering.numbered(record)
        if isinstance(record, Subtotal | Footer):
            record = replace(record, place=replace(self._place, at=self._length))
        line = encode(record, order, self._told)
        if isinstance(record, RatesChange):
            self._told.add(fingerprint(record.rates.origins))
            self._place = replace(self._place, rates_at=self._length)
        if isinstance(record, Devices):
            self._place = replace(self._place, devices_at=self._length)
        self.append(line)

    def flush(self) -> None:
        """Write what an earlier refusal left behind."""
        while self._unwritten:
            written = os.write(self._file, self._unwritten)
            self._unwritten = self._unwritten[written:]

    @property
    def unwritten_bytes(self) -> int:
        """How much was handed over and is not on disk."""
        return len(self._unwritten)

    def sync(self) -> None:
        """Make what was appended survive a loss of power. Raises OSError, too, when the file has been deleted."""
        os.fsync(self._file)
        if os.fstat(self._file).st_nlink == 0:
            raise FileNotFoundError(errno.ENOENT, "the journal was deleted while it was written")

    def write_open(self, record: bytes, devices: int) -> None:
        """Replace the older half of the open slot."""
        if self._open_file < 0 or len(record) > self._half_bytes:
            self._create_open(max(len(record), _BYTES_FIXED + _BYTES_PER_DEVICE * devices))
        if os.pwrite(self._open_file, record, self._turn * self._half_bytes) < len(record):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # the other half stays as it is
        self._turn = 1 - self._turn

    def close(self, finished: bool) -> None:
        """Let go of the files; a `finished` journal has a footer and needs its open slot no more."""
        for descriptor in (self._file, self._open_file):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._open_file = -1
        if finished:
            self._open_path.unlink(missing_ok=True)

    def _create_open(self, half_bytes: int) -> None:
        if self._open_file >= 0:
            os.close(self._open_file)
        self._open_file = os.open(self._open_path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _PRIVATE)
        os.ftruncate(self._open_file, 2 * half_bytes)
        self._half_bytes = half_bytes


def encode_open(slot: Slot, order: tuple[str, ...], sequence: int, rates: int | None = None) -> bytes:
    """The open slot as one record, with the number of its rates; the greater `sequence` is the later."""
    priced = {} if rates is None else {"rates": rates}
    return seal({"type": "open", "sequence": sequence} | encode_slot(slot, order) | priced)


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal as it was read: its records in order, the open slot as the last, and what could not be read."""

    path: Path
    records: tuple[Record, ...]
    problems: tuple[str, ...]


def read_journal(path: Path) -> Journal:
    """Read one part. Damaged lines are reported in `problems` and the rest is read.

    Raises JournalError when there is no readable header, or a schema of a newer costmeter.
    """
    problems: list[str] = []
    read = tuple(records(path, problems))
    return Journal(path, read, tuple(problems))


def records(path: Path, problems: list[str]) -> Iterator[Record]:
    """The records of one part in order, the header first and the open slot last; what is damaged goes to `problems`.

    Raises JournalError when there is no readable header, or a schema of a newer costmeter.
    """
    order: tuple[str, ...] = ()
    told: dict[str, Origins] = {}
    sequence = Sequence()
    is_first = True
    for number, line in _lines(path, problems):
        try:
            record = decode(line, order, told)
        except JournalError as refusal:
            raise JournalError(f"{path}: {refusal.message}", refusal.hint) from refusal
        except ValueError as problem:
            problems.append(f"line {number} unreadable, skipped: {problem}{_lost_prices(line)}")
            continue
        if record is None:
            continue
        if is_first and not isinstance(record, Header):
            break
        is_first = False
        if isinstance(record, RatesChange):
            told[fingerprint(record.rates.origins)] = record.rates.origins
        if not sequence.takes(record):
            continue
        if isinstance(record, Devices):
            order = tuple(device.uuid for device in record.devices)
        yield record
    if is_first:
        raise JournalError(f"{path}: no readable header line")
    still_open = open_slot(path, order)
    if still_open is not None and sequence.takes_open(still_open):
        yield still_open
    problems += sequence.problems()


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
        with _opened(path) as file:
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


def _lines(path: Path, problems: list[str]) -> Iterator[tuple[int, bytes]]:
    """Every whole line and its number. Raises JournalError for a file that cannot be read or is no journal."""
    try:
        with _opened(path) as file:
            number = 0
            while line := file.readline(LONGEST_LINE):
                number += 1
                if line.endswith(b"\n"):
                    yield number, line[:-1]
                elif len(line) < LONGEST_LINE:
                    problems.append("last line torn, dropped")
                else:
                    raise JournalError(f"{path}: line {number} is longer than any that a meter writes")
    except OSError as refusal:
        raise JournalError(f"{path}: cannot be read: {refusal.strerror}") from refusal


def _opened(path: Path) -> BinaryIO:
    """A file that ends: no pipe, no device, which are a JournalError. Raises OSError when it cannot be opened."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise JournalError(f"{path}: cannot be read: not a file")
    return os.fdopen(file, "rb")


def open_slot(path: Path, order: tuple[str, ...]) -> SlotEntry | None:
    """The slot that was open at the meter's last tick, whether it was closed since or not."""
    try:
        with _opened(path.with_suffix(".open")) as file:
            halves = file.read(2 * LONGEST_LINE)
    except (OSError, JournalError):
        return None
    middle = len(halves) // 2
    best: tuple[int, SlotEntry] | None = None
    for half in (halves[:middle], halves[middle:]):
        with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
            body = unseal(half.partition(b"\n")[0])
            if best is None or body["sequence"] > best[0]:
                best = body["sequence"], SlotEntry(decode_slot(body, order), decode_number(body, "rates"))
    return None if best is None else best[1]


def _create(directory: Path, host: str) -> tuple[int, int]:
    """The next part number that no other meter has, and its open file."""
    part = 1
    while True:
        path = directory / f"{host}.{part}.jsonl"
        try:
            return part, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, _PRIVATE)
        except FileExistsError:
            part += 1


__all__ = [
    "Journal",
    "JournalFile",
    "encode",
    "encode_open",
    "open_slot",
    "ran_outside",
    "read_journal",
    "records",
    "safe_name",
    "state_directory",
]
