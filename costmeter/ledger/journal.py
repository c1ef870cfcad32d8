"""The journal on disk: one append-only file per meter process, and beside it the slot that is still open.

`<host>.<part>.jsonl` is created with O_EXCL and never reopened for writing. `<host>.<part>.open` holds two halves of
equal size, written in turn with one pwrite each, so that whatever moment the meter is killed at, one of them is whole.
Nothing here waits, retries or starts threads: the caller decides what a refusal means.
"""

import contextlib
import errno
import os
import zlib
from dataclasses import replace
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.line import decode, encode, encode_names, seal
from costmeter.ledger.lines import LONGEST_LINE, lines, opened
from costmeter.ledger.node.record import Line
from costmeter.ledger.ratesline import fingerprint
from costmeter.ledger.reading import Scan, open_slot, ran_outside, records
from costmeter.ledger.record import Devices, Footer, Place, RatesChange, SlotEntry, Subtotal, Summary
from costmeter.ledger.sequence import Numbering
from costmeter.ledger.slotline import encode_slot
from costmeter.meter.slot import Slot

_PRIVATE = 0o600
_BYTES_PER_DEVICE = 512
_BYTES_FIXED = 1024
_BYTES_AT_ONCE = 1 << 20


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
        self._length = self._crc = 0
        self._place = Place(0)
        self._is_new = True

    def append(self, line: bytes) -> None:
        """Write one line. What a full disk cuts off is kept and goes out first the next time, so no line is torn."""
        self._unwritten += line
        self._length += len(line)
        self._crc = zlib.crc32(line, self._crc)
        self.flush()

    def write(self, record: Line, order: tuple[str, ...]) -> None:
        """Write one record; what an earlier one spelled out is only named."""
        record = self._numbering.numbered(record)
        if isinstance(record, Subtotal | Footer):
            record = replace(record, place=replace(self._place, at=self._length, crc=self._crc))
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

    def sync(self) -> None:
        """Make what was appended survive a loss of power. Raises OSError, too, when the file has been deleted."""
        os.fsync(self._file)
        if self._is_new:  # its name, and that of its folder, are to survive as well
            _sync_folder(self.path.parent)
            _sync_folder(self.path.parent.parent)
            self._is_new = False
        self._see_deleted()

    def write_open(self, record: bytes, devices: int) -> None:
        """Replace the older half of the open slot. Raises FileNotFoundError when the journal has been deleted."""
        self._see_deleted()
        if self._open_file < 0 or not os.fstat(self._open_file).st_nlink or len(record) > self._half_bytes:
            self._create_open(record, max(len(record), _BYTES_FIXED + _BYTES_PER_DEVICE * devices))
            return
        _put(self._open_file, record, self._turn * self._half_bytes)  # refused, the other half stays
        self._turn = 1 - self._turn

    def _see_deleted(self) -> None:
        if os.fstat(self._file).st_nlink == 0:
            raise FileNotFoundError(errno.ENOENT, "the journal was deleted while it was written")

    @property
    def has_open(self) -> bool:
        """Whether the file beside it, of the open slot, is there."""
        return self._open_file >= 0

    def close(self, finished: bool) -> None:
        """Let go of the files; a `finished` journal has a footer and needs its open slot no more."""
        for descriptor in (self._file, self._open_file):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._open_file = -1
        if finished:
            self._open_path.unlink(missing_ok=True)

    def _create_open(self, record: bytes, half_bytes: int) -> None:
        """Put a file with this record in the place of one whose halves are too small, which stays until then."""
        new_path = self._open_path.with_suffix(".new")
        new_file = os.open(new_path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _PRIVATE)
        try:
            os.ftruncate(new_file, 2 * half_bytes)
            _put(new_file, record, 0)
            os.replace(new_path, self._open_path)
        except OSError:
            os.close(new_file)
            new_path.unlink(missing_ok=True)
            raise
        if self._open_file >= 0:
            os.close(self._open_file)
        self._open_file, self._half_bytes, self._turn = new_file, half_bytes, 1


def is_whole(path: Path, place: Place) -> bool:
    """Whether all that precedes a line is as it was when the line was written, by the checksum that the line carries.

    False where it carries none, and where the file cannot be read or is shorter than that.
    """
    left, crc = place.at, 0
    if place.crc is None:
        return False
    try:
        with opened(path) as file:
            while left and (block := file.read(min(left, _BYTES_AT_ONCE))):
                left, crc = left - len(block), zlib.crc32(block, crc)
    except (OSError, JournalError):
        return False
    return not left and crc == place.crc


def summed_up(line: bytes, size_bytes: int) -> tuple[Summary, Place] | None:
    """What the last line of a file sums up, and its place; None where it is no footer that was written to stand there.

    Raises ValueError and JournalError as `decode`.
    """
    footer = decode(line)
    if not isinstance(footer, Footer) or footer.summary is None or footer.place is None:
        return None
    is_there = footer.place.at == size_bytes - len(line) - 1 and footer.slots == footer.summary.slots
    return (footer.summary, footer.place) if is_there else None


def _put(file: int, record: bytes, at: int) -> None:
    """Write one record whole. Raises OSError where the disk takes a part of it only."""
    if os.pwrite(file, record, at) < len(record):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync_folder(path: Path) -> None:
    """Make the names in a folder survive a loss of power; a file system that cannot is no reason to refuse."""
    with contextlib.suppress(OSError):
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def encode_open(
    slot: Slot, order: tuple[str, ...], sequence: int, rates: int | None = None, held: int | None = None
) -> bytes:
    """The open slot as one record, with the number of its rates and holders; the greater `sequence` is the later."""
    named = encode_names(SlotEntry(slot, rates, held))
    return seal({"type": "open", "sequence": sequence} | encode_slot(slot, order) | named)


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
    "LONGEST_LINE",
    "JournalFile",
    "Scan",
    "encode",
    "encode_open",
    "is_whole",
    "lines",
    "open_slot",
    "ran_outside",
    "records",
    "safe_name",
    "state_directory",
    "summed_up",
]
