"""A recording: everything the reader said of one run, raw, so that the run can be metered again elsewhere.

JSON Lines with a checksum each, as in the journal. The first line says whose run it was, every other is one event with
both clocks as they stood when the recorder took it, and with its number `n` (from 0), so that no line can go, come or
move unnoticed. A name that ends in `.gz` is packed, and unpacked when read.
"""

import contextlib
import gzip
import io
import os
import queue
import shlex
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from costmeter.clock import Clock, cpu_nanoseconds
from costmeter.errors import JournalError
from costmeter.ledger.line import seal, unseal
from costmeter.ledger.record import Header
from costmeter.ledger.resume import NOTHING_EARLIER, Earlier
from costmeter.meter.charge import Origin
from costmeter.runtime.eventline import (
    Beginning,
    Boards,
    Taken,
    boards_of,
    decode,
    decode_beginning,
    encode,
    encode_beginning,
    is_known,
)
from costmeter.runtime.events import Batch, Ended, Event, Opened, OpenFailed

#: Version of the file format. 1: the first.
SCHEMA = "costmeter.recording/1"
#: Events kept in memory while the disk does not answer: half an hour of ticks.
EVENTS_KEPT = 2_000
_PRIVATE = 0o600
_PACKED = ".gz"
_GZIP_FORMAT, _GZIP_BEGINS = 31, b"\x1f\x8b"


class RecordingWriter:
    """Writes a recording in a thread of its own: a disk that hangs, is slow or refuses holds up nobody else."""

    def __init__(
        self,
        path: Path,
        header: Header,
        assumed_gpus: int,
        clock: Clock,
        warn: Callable[[str], None],
        host: Origin | None = None,
        earlier: Earlier = NOTHING_EARLIER,
    ) -> None:
        """`assumed_gpus`, `host` and `earlier` are what `Beginning` says of them."""
        self._path, self._clock, self._warn = path, clock, warn
        self._first = first_line(Beginning(header, assumed_gpus, host, earlier))
        self._queue: queue.Queue[Taken | None] = queue.Queue(EVENTS_KEPT)
        self._lost_now = self._lost = 0
        self._refused = False
        self.done = threading.Event()

    def start(self) -> None:
        """Begin. Returns at once."""
        try:
            threading.Thread(target=self._write_for_ever, name="costmeter-recording", daemon=True).start()
        except RuntimeError as refusal:  # no more threads allowed here
            self._refuse(str(refusal))
            self.done.set()

    def post(self, event: Event) -> None:
        """Take an event, just before the recorder does. Returns at once; what there is no room for is counted."""
        if self._refused:
            return
        cpu_ns = cpu_nanoseconds() if isinstance(event, Ended) else 0
        taken = Taken(event, self._clock.boottime_ns(), self._clock.utc_ns(), cpu_ns, self._lost_now)
        try:
            self._queue.put_nowait(taken)
            self._lost_now = 0
        except queue.Full:
            self._lost_now += 1
            self._lost += 1

    def finish(self, seconds: float) -> None:
        """There are no more events: wait until all is written, or for so long, and tell what is not."""
        with contextlib.suppress(queue.Full):  # full: its thread hangs in the disk, and ends with the process
            self._queue.put_nowait(None)
        if not self.done.wait(max(0.0, seconds)):
            self._warn(f"--record {self._path}: the disk does not answer; the recording may lack its end")
        elif self._lost and not self._refused:
            self._warn(f"--record {self._path}: the disk was too slow for {self._lost} events, which it lacks")

    def _write_for_ever(self) -> None:
        try:
            self._write_all()
        except OSError as refusal:
            self._refuse(refusal.strerror or str(refusal))
        except Exception as fault:  # what cannot be written must not end the meter
            self._refuse(f"{type(fault).__name__}: {fault}")
        finally:
            self.done.set()

    def _refuse(self, why: str) -> None:
        """From here on nothing is recorded: a line that a full disk has torn stays the last."""
        self._refused = True
        self._warn(f"--record {self._path}: nothing is recorded from here on: {why}")

    def _write_all(self) -> None:
        boards: Boards = ()
        number = 0
        with _create(self._path) as file:
            pack = zlib.compressobj(wbits=_GZIP_FORMAT) if self._path.suffix == _PACKED else None
            _write(file, self._first, pack)
            while (taken := self._queue.get()) is not None:
                _write(file, event_line(number, taken, boards), pack)
                boards = boards_of(taken.event, boards)
                number += 1
            if pack is not None:
                _write_whole(file, pack.flush())


class Recording:
    """A recording as it is read: what the run began with, then its events in order, and last what it lacks.

    Raises JournalError, here and while events are read, for what cannot be read: file, line, and what to do about it.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._line = path, 0
        #: What is not in the recording, in words; complete once all events have been read.
        self.problems: list[str] = []
        self._is_torn = False
        self._lines = self._read_lines()
        self.beginning = self._begin()

    def events(self) -> Iterator[Taken]:
        """Every event in order. Can be asked for once."""
        boards: Boards = ()
        lost = 0
        has_opened = has_ended = False
        for number, line in enumerate(self._lines):
            taken = self._event(number, line, boards)
            boards = boards_of(taken.event, boards)
            lost += taken.lost
            has_opened |= isinstance(taken.event, (Opened, OpenFailed))
            has_ended |= isinstance(taken.event, Ended)
            if isinstance(taken.event, Batch) and taken.event.until_ns is None and not has_opened:
                raise self._refusal("a tick before the driver answered, which no meter records", self._advice())
            yield taken
        if lost:
            self.problems.append(f"the recording lacks {lost} events: the disk was too slow for them")
        if not has_ended and not self._is_torn:
            self.problems.append(_NO_END)

    def _event(self, number: int, line: bytes, boards: Boards) -> Taken:
        """The event of a line, which must be the one with this number."""
        try:
            body = unseal(line)
            if body.get("n") != number:
                raise self._refusal(_out_of_order(body.get("n"), number), self._advice())
            if not is_known(body):
                newer = f'"{body.get("type")}" is no event that this costmeter knows: a newer one recorded it'
                raise self._refusal(newer, _UPDATE)
            return decode(body, boards)
        except ValueError as problem:
            raise self._refusal(f"damaged: {problem}", self._advice()) from problem

    def _begin(self) -> Beginning:
        """The first line."""
        try:
            body = unseal(next(self._lines, b""))
        except ValueError as problem:
            raise self._refusal("not a recording of costmeter", _HOW_TO_RECORD) from problem
        if body.get("type") == "header":
            raise self._refusal("a journal of costmeter, and no recording", f"costmeter report {self._quoted}")
        if body.get("type") != "recording":
            raise self._refusal("not a recording of costmeter", _HOW_TO_RECORD)
        if body.get("schema") != SCHEMA:
            version = f"a recording of schema {body.get('schema')}, this costmeter reads {SCHEMA}"
            raise self._refusal(version, _UPDATE)
        try:
            return decode_beginning(body)
        except ValueError as problem:
            raise self._refusal(f"damaged: {problem}", self._advice()) from problem

    def _read_lines(self) -> Iterator[bytes]:
        """Every whole line, unpacked. A torn last line is dropped and said, as is a packed file without its end."""
        try:
            with open(self.path, "rb") as packed:
                is_packed = self._check_name(packed.read(len(_GZIP_BEGINS)))
            with (gzip.open if is_packed else open)(self.path, "rb") as file:
                for self._line, line in enumerate(file, 1):
                    if not line.endswith(b"\n"):
                        self._tears("the recording's last line is torn, and dropped")
                        return
                    yield line
        except EOFError:
            self._tears("the recording's end is torn off, as when its meter was killed")
        except (gzip.BadGzipFile, zlib.error) as problem:
            raise self._refusal(f"damaged: {problem}", _SEND_AGAIN) from problem
        except OSError as refusal:
            raise JournalError(f"{self.path}: cannot be read: {refusal.strerror or refusal}") from refusal

    def _check_name(self, begins: bytes) -> bool:
        """Whether the file is packed, as its name says; a name that says otherwise than the content is refused."""
        is_packed = self.path.suffix == _PACKED
        if not is_packed and begins == _GZIP_BEGINS:
            hint = f"mv {self._quoted} {shlex.quote(f'{self.path}{_PACKED}')}"
            raise self._refusal(f"packed (gzip), and its name does not end in {_PACKED}", hint)
        if is_packed and begins.startswith(b"{"):
            hint = f"mv {self._quoted} {shlex.quote(str(self.path.with_suffix('')))}"
            raise self._refusal(f"plain text, and its name ends in {_PACKED} as if it were packed", hint)
        return is_packed

    def _tears(self, how: str) -> None:
        self._is_torn = True
        self.problems.append(how)

    @property
    def _quoted(self) -> str:
        return shlex.quote(str(self.path))

    def _refusal(self, what: str, hint: str) -> JournalError:
        return JournalError(f"{self.path}, line {max(1, self._line)}: {what}", hint)

    def _advice(self) -> str:
        if self._line < _WORTH_KEEPING_LINES:
            return _SEND_AGAIN
        show = "zcat" if self.path.suffix == _PACKED else "cat"
        before = f"{show} {self._quoted} | head -n {self._line - 1} > before.jsonl"
        return f"{_SEND_AGAIN} What is before that line can be replayed:  {before}"


def first_line(beginning: Beginning) -> bytes:
    """The line that every recording begins with."""
    return seal({"type": "recording", "schema": SCHEMA} | encode_beginning(beginning))


def event_line(number: int, taken: Taken, boards: Boards) -> bytes:
    """The line of an event that is preceded by so many; `boards` are those of the tick before, () at first."""
    return seal({"n": number} | encode(taken, boards))


def _out_of_order(said: object, number: int) -> str:
    event = "an event without number" if said is None else f"event {said}"
    return f"{event} where event {number} belongs: a line was taken out, added or moved"


_NO_END = "the recording ends here without the end of its run: its meter was killed, or the file was cut"
_UPDATE = "pip install -U costmeter"
_HOW_TO_RECORD = "costmeter run --record FILE -- CMD… makes one"
_SEND_AGAIN = "Copy the file again, packed (gzip), so that no mail program or editor changes it."
#: Before this line there is no event.
_WORTH_KEEPING_LINES = 3


def _create(path: Path) -> io.FileIO:
    """A new file, unbuffered and for its user alone. Raises OSError when there is one by that name already."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return io.FileIO(os.open(path, flags, _PRIVATE), "wb")


def _write(file: io.FileIO, line: bytes, pack: "zlib._Compress | None") -> None:
    """One line, out of our hands when this returns: who kills the meter loses at most the tick under way."""
    _write_whole(file, line if pack is None else pack.compress(line) + pack.flush(zlib.Z_SYNC_FLUSH))


def _write_whole(file: io.FileIO, left: bytes) -> None:
    while left:
        left = left[file.write(left) :]
