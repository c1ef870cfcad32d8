"""A log of nvidia-smi metered as if a meter had stood beside it: lines become ticks, ticks a journal.

The recorder is the one that meters live runs, on a clock that stands at each tick when the recorder takes it. One pass
of `nvidia-smi -l` over all GPUs is one tick, at the time of its first line; energy is the integral of power. What the
log does not say is missing: time without lines for longer than the recorder calls watched is unmeasured.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import chain, islice, pairwise
from pathlib import Path
from statistics import median

from costmeter.clock import Anchor, ManualClock
from costmeter.config.settings import Settings
from costmeter.errors import JournalError
from costmeter.ledger import identity
from costmeter.ledger.journal import JournalFile
from costmeter.ledger.query import Part
from costmeter.ledger.record import Footer, Header
from costmeter.outputs.versions import versions
from costmeter.rates.boards import range_of
from costmeter.readings import Device, Method, Missing, Reading
from costmeter.runtime.events import Batch, Ended, Opened
from costmeter.runtime.recorder import Post, Pricing, Recorder
from costmeter.sources.smicsv import QUERY, BadLine, Line, Reader
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_SECOND

#: The label, and the key among the header's versions, that say where a run's readings came from.
IMPORTED, FROM = "imported", "nvidia-smi CSV"
#: A log says not on which machine it was written.
NO_HOST = "imported"
ABSENT = Missing("no line of it in the log")
#: From so many ticks the log's own period is taken.
_TICKS_LOOKED_AT = 50
#: So many bad lines are told one by one.
_TOLD = 5
#: A line of such a log is a few hundred characters long; what is longer is none.
LONGEST_LINE_CHARACTERS = 10_000
#: The lines of one pass lie closer together than this, and passes further apart than so many times that.
_PASS_NS, _PASSES_APART = NANOSECONDS_PER_SECOND // 10, 5
#: No machine has more GPUs than this.
_MOST_GPUS = 16
#: Zones and clocks that are set wrong are within a day of now.
_DAY_NS = 24 * NANOSECONDS_PER_HOUR
_LONGEST_GAP_NS = 366 * _DAY_NS
#: A period the recorder can be asked to watch with; a log with longer ones has gaps.
_SHORTEST_PERIOD_NS = NANOSECONDS_PER_SECOND // 20


class NoLength(JournalError):
    """A log in which nothing lies between two readings: there is no time to meter."""


class TooFarApart(JournalError):
    """A log with a gap of more than a year: every minute of it would be a slot, and be paid for."""


class Nameless(JournalError):
    """A log of several GPUs with nothing that tells them apart: each reading would be taken for the same GPU's."""

    def __init__(self) -> None:
        hint = f"log it with index,uuid: nvidia-smi --query-gpu={QUERY} --format=csv -l 1 > gpus.csv"
        super().__init__("it is of several GPUs, and has neither index, uuid nor pci.bus_id to tell them apart", hint)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of an import. Instants are UTC nanoseconds; None is as far as the log goes.

    What is a day later than `now_utc_ns` is yet to come; None is said of no line.
    """

    run_id: str
    name: str
    labels: Mapping[str, str]
    host: str = NO_HOST
    from_utc_ns: int | None = None
    to_utc_ns: int | None = None
    now_utc_ns: int | None = None


@dataclass(slots=True)
class Heard:
    """What was read: lines that were used, lines that were not, and the first of those with their numbers."""

    used: int = 0
    bad: int = 0
    first_bad: list[str] = field(default_factory=list)
    went_back: int = 0
    yet_to_come: int = 0
    first_to_come: str = ""

    def doubt(self, number: int, line: Line) -> None:
        """Count a line that is used though its time is yet to come."""
        self.yet_to_come += 1
        if not self.first_to_come:
            self.first_to_come = f"line {number}: its time, {_day(line.utc_ns)}, is yet to come"

    def refuse(self, number: int, why: str) -> None:
        """Count a line that says nothing usable."""
        self.bad += 1
        if len(self.first_bad) < _TOLD:
            self.first_bad.append(f"line {number}: {why}")


@dataclass(frozen=True, slots=True)
class Tick:
    """One pass over the GPUs: what each said, at the time of the first."""

    utc_ns: int
    lines: Mapping[str, Line]


def ticks(lines: Iterable[str | None], reader: Reader, asked: Asked, heard: Heard) -> Iterator[Tick]:
    """The passes in order; lines of None are too long. A pass ends where a GPU comes again, or one before the last.

    Raises NotThisFormat for what is no such log, TooFarApart for one with a gap that no run has, Nameless for one of
    GPUs that nothing tells apart.
    """
    order: dict[str, int] = {}
    passed: dict[str, Line] = {}
    start_utc_ns = last_place = -1
    for number, text in enumerate(lines, 1):
        try:
            line = _read(text, reader)
            if line is None or not _is_within(line, asked):
                continue
            _check(number, line, start_utc_ns, asked, heard)
            above = passed.get(line.identity)
            if above is not None and above.utc_ns == line.utc_ns:
                if line.is_nameless and line != above:
                    raise Nameless
                raise BadLine("a line above has the same GPU at the same time")
        except BadLine as why:
            heard.refuse(number, str(why))
            continue
        place = order.setdefault(line.identity, len(order)) if line.index is None else line.index
        if passed and (place <= last_place or above is not None):
            yield Tick(start_utc_ns, passed)
            passed = {}
        if not passed:
            start_utc_ns = line.utc_ns
        passed[line.identity], last_place = line, place
        heard.used += 1
    if passed:
        yield Tick(start_utc_ns, passed)


def _check(number: int, line: Line, start_utc_ns: int, asked: Asked, heard: Heard) -> None:
    """Raise BadLine for a time that cannot be, after a pass that began then; TooFarApart for a gap that no run has."""
    if line.utc_ns < start_utc_ns:
        heard.went_back += 1
        raise BadLine("its time is before that of the lines above")
    if asked.now_utc_ns is not None and line.utc_ns > asked.now_utc_ns + _DAY_NS:
        if 0 <= start_utc_ns <= asked.now_utc_ns + _DAY_NS:
            raise BadLine(f"its time, {_day(line.utc_ns)}, is yet to come")
        heard.doubt(number, line)  # it began there, so that clock may have been set wrong
    if 0 <= start_utc_ns < line.utc_ns - _LONGEST_GAP_NS:
        raise TooFarApart(
            f"line {number}: from {_day(start_utc_ns)} to {_day(line.utc_ns)} there is nothing: that is no one run",
            f"costmeter import FILE --from {_day(line.utc_ns)}, or --to {_day(line.utc_ns - _DAY_NS)}",
        )


def _read(text: str | None, reader: Reader) -> Line | None:
    if text is None:
        raise BadLine(f"longer than {LONGEST_LINE_CHARACTERS:,} characters")
    return reader.line(text)


def _day(utc_ns: int) -> str:
    return f"{datetime.fromtimestamp(utc_ns // NANOSECONDS_PER_SECOND, timezone.utc):%Y-%m-%d}"


def _is_within(line: Line, asked: Asked) -> bool:
    if asked.from_utc_ns is not None and line.utc_ns < asked.from_utc_ns:
        return False
    return asked.to_utc_ns is None or line.utc_ns <= asked.to_utc_ns


def meter(passes: Iterable[Tick], asked: Asked, settings: Settings, journal: JournalFile | None) -> Part:
    """The run that a log was of, recorded into a journal where there is one, and folded.

    A GPU that is first seen later is held from there on. Raises NoLength for a log with fewer than two passes, Nameless
    for one of several GPUs that look like one, and OSError when the disk refuses.
    """
    stream = iter(passes)
    first = list(islice(stream, _TICKS_LOOKED_AT))
    if len(first) < 2 or first[0].utc_ns == first[-1].utc_ns:
        raise NoLength("the log has fewer than two readings at different times: nothing lies between them")
    if _is_of_several(first):
        raise Nameless
    header = _header(first, asked, settings)
    clock = ManualClock(header.anchor.utc_ns, header.anchor.boottime_ns)
    recorder = Recorder(header, _pricing(settings), clock, _saving(journal))
    held = _Held()
    held.see(first[0])
    recorder.handle(held.opened())
    last_ns = header.start_ns
    for tick in chain(first, stream):
        if tick.utc_ns < last_ns:
            continue
        clock.advance(tick.utc_ns - clock.boottime_ns())
        recorder.handle(held.batch(tick))
        if new := held.see(tick):  # after the others have come as far: what was before is none of theirs
            recorder.handle(held.opened())
            recorder.handle(Batch(tick.utc_ns, {uuid: _reading(uuid, tick) for uuid in new}, slow=True))
        last_ns = tick.utc_ns
    recorder.handle(Ended(last_ns, None, None))  # nobody saw how it ended
    return _without_overhead(recorder.part)


class _Held:
    """The GPUs of a log, as far as it has been read."""

    def __init__(self) -> None:
        self._devices: dict[str, Device] = {}

    def see(self, tick: Tick) -> tuple[str, ...]:
        """The GPUs that a pass shows and none before it did."""
        new = tuple(uuid for uuid in tick.lines if uuid not in self._devices)
        self._devices |= {uuid: _device(tick.lines[uuid]) for uuid in new}
        return new

    def opened(self) -> Opened:
        """All of them, as a driver would list them."""
        devices = tuple(sorted(self._devices.values(), key=lambda device: device.index))
        return Opened(devices, len(devices), None)

    def batch(self, tick: Tick) -> Batch:
        """A pass as a tick of the reader: those that it does not show said nothing."""
        shown = tick.lines
        readings = {uuid: _reading(uuid, tick) if uuid in shown else ABSENT for uuid in self._devices}
        return Batch(tick.utc_ns, readings, slow=True)


_NO_COUNTER = Missing("nvidia-smi logs no energy counter")


def _reading(uuid: str, tick: Tick) -> Reading:
    """What a pass shows of a GPU, at the time of the pass."""
    line = tick.lines[uuid]
    return Reading(uuid, tick.utc_ns, _NO_COUNTER, line.power_watts, line.utilization_ratio, line.memory_used_bytes)


def _is_of_several(first: list[Tick]) -> bool:
    """Whether lines that name no GPU come in passes: so many in quick succession, then none for much longer, again and
    again. One GPU alone is read at a steady period."""
    if not all(line.is_nameless for tick in first for line in tick.lines.values()):
        return False
    apart_ns = [later.utc_ns - tick.utc_ns for tick, later in pairwise(first)]
    for gpus in range(2, _MOST_GPUS + 1):
        for place in range(gpus):
            between = apart_ns[place::gpus]
            within = [length_ns for at, length_ns in enumerate(apart_ns) if at % gpus != place]
            if len(between) > 2 and max(within) <= min(_PASS_NS, min(between) // _PASSES_APART):
                return True
    return False


def _device(line: Line) -> Device:
    limit = line.limit_watts
    span = range_of(line.name, None if isinstance(limit, Missing) else limit)
    method: Method | Missing = "estimated" if span else Missing("the log has neither power nor a known model")
    if not isinstance(line.power_watts, Missing):
        method = "power"
    return Device(
        line.identity,
        line.index or 0,
        line.name or "unnamed GPU",
        line.bus,
        limit,
        method,
        power_range=span or Missing("the model is not in the table, and the log has no limit"),
    )


def _header(first: list[Tick], asked: Asked, settings: Settings) -> Header:
    """As the meter would have written it; the clock of boot is taken to be that of the wall."""
    start_ns = first[0].utc_ns
    apart_ns = [later.utc_ns - tick.utc_ns for tick, later in pairwise(first) if later.utc_ns > tick.utc_ns]
    return Header(
        run=asked.run_id,
        part=0,
        meter="wrapper",
        name=asked.name,
        labels=dict(settings.labels) | {IMPORTED: "nvidia-smi"} | dict(asked.labels),
        command=None,
        host=asked.host,
        boot_id="",
        pid=0,
        pid_start_ticks=0,
        start_ns=start_ns,
        anchor=Anchor(start_ns, start_ns),
        period_ns=max(_SHORTEST_PERIOD_NS, round(median(apart_ns))),
        rule=settings.idle,
        simulated=False,
        currency=settings.currency,
        versions=versions() | {IMPORTED: FROM},
        user=identity.user_name(),
    )


def _pricing(settings: Settings) -> Pricing:
    return Pricing(settings.book.quotation, lambda: (), float(settings.host.watts or 0))


def _saving(journal: JournalFile | None) -> Callable[[Post], None]:
    """Write what the recorder hands over. Nothing is synced before the end: an import that fails is begun anew."""

    def post(post: Post) -> None:
        if journal is None:
            return
        for record in post.records:
            if isinstance(record, Header):
                record = replace(record, part=journal.part)
            elif isinstance(record, Footer):
                record = replace(record, cpu_ns=0)
            journal.write(record, post.order)
        if post.last:
            journal.sync()

    return post


def _without_overhead(part: Part) -> Part:
    """No meter ran beside this run: what reading the log took is no part of it."""
    return part if part.footer is None else replace(part, footer=replace(part.footer, cpu_ns=0))


def folder_for(state: Path, run_id: str) -> Path:
    """Where the journal is made, before it is whole: beside the runs, so that no half of one is ever listed."""
    return state / "importing" / run_id
