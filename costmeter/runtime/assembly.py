"""The composition root: the one place that builds source, reader, recorder, writer and server, and wires them together.

Imported after the job has started, in a thread of its own, so that nothing here can delay or stop the job.
"""

import os
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from costmeter.attribution.hostwork import RunWork
from costmeter.clock import Anchor, Clock, RealClock, anchor
from costmeter.config.layers import loaded_anyway
from costmeter.config.settings import Loaded, Settings
from costmeter.config.yamlfile import load as load_yaml
from costmeter.ledger import identity
from costmeter.ledger.journal import safe_name, state_directory
from costmeter.ledger.query import Part, Run, fold
from costmeter.ledger.record import Header, SlotEntry
from costmeter.ledger.resume import NOTHING_EARLIER, Earlier, left_behind
from costmeter.meter.item import LineItem
from costmeter.outputs.prometheus import run_page
from costmeter.outputs.receipt import receipt
from costmeter.outputs.snapshot import Snapshot
from costmeter.outputs.textfile import Textfile
from costmeter.outputs.versions import versions
from costmeter.rates.book import Book
from costmeter.readings import Device, Missing, unidentified
from costmeter.runtime.announcing import announcing, farewell
from costmeter.runtime.events import Ended, Event, Noted, Opened, OpenFailed, Told
from costmeter.runtime.foretelling import Foretelling
from costmeter.runtime.heldset import HeldSet
from costmeter.runtime.hostcounters import open_counters
from costmeter.runtime.items import ItemWatch
from costmeter.runtime.limits import Limits, Stop, Voices
from costmeter.runtime.notify import notify
from costmeter.runtime.reader import Reader
from costmeter.runtime.recorder import Post, Pricing, Recorder
from costmeter.runtime.recording import RecordingWriter
from costmeter.runtime.runsite import serve_run
from costmeter.runtime.stopping import Stopper
from costmeter.runtime.telling import Teller
from costmeter.runtime.writer import Writer
from costmeter.sources.nvml import NvmlSource
from costmeter.units import NANOSECONDS_PER_SECOND

#: How the time that is left after the child's end is divided between a driver and a disk that may both hang.
TELLING_SHARE, READING_SHARE, WRITING_SHARE = 0.05, 0.5, 0.45
#: An agent that does not listen is waited for no longer than this.
_AGENT_SECONDS = 0.05
#: And for the last page of a text file for no longer than this.
_TEXTFILE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for. `loaded` carries the settings when they had to be read before the job."""

    run_id: str
    command: tuple[str, ...]
    keep_command: bool
    name: str
    labels: Mapping[str, str]
    period_seconds: float
    gpus: str | None
    simulate: str | None
    listen: tuple[str, int] | None
    config: str | None
    flags: Mapping[str, str]
    environ: Mapping[str, str]
    cwd: str
    pid: int
    spawned_ns: int
    loaded: Loaded | None = None
    record: str | None = None
    full_cost: bool = False
    stop: Stop | None = None
    tell: Callable[[str], None] | None = None
    textfile: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What is left of a run when its child has ended."""

    receipt: dict[str, Any]
    unsaved: str
    warnings: tuple[str, ...]


def source(simulate: str | None, clock: Clock, warn: Callable[[str], None] = lambda _: None) -> NvmlSource:
    """The driver of this machine, or the simulated one of a scenario."""
    if simulate is None:
        return NvmlSource(clock)
    from costmeter.sources.simulated import open_library

    return NvmlSource(clock, open_library(simulate, load_yaml, clock, warn=warn))


def assumed(book: Book, count: int) -> tuple[Device, ...]:
    """So many GPUs that nobody can name, where a price is set for their time; else none."""
    why = Missing("no NVIDIA driver")
    return tuple(unidentified(place, why) for place in range(count)) if book.gpus else ()


class Metering:
    """One metered run, from just after the child's start to just after its end."""

    def __init__(self, options: Options, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._options, self._say, self._warn_person = options, say, warn
        self._teller = Teller(say, self._warn, warn)
        self._clock: Clock = RealClock()
        self._warnings: list[str] = []
        self._events: queue.SimpleQueue[Event | Noted] = queue.SimpleQueue()
        self._recorded = threading.Event()
        is_simulated, environ = options.simulate is not None, options.environ
        self._host, self._settings = open_counters(self._load(), environ, is_simulated, self._clock)
        header = self._header()
        driver, host = source(options.simulate, self._clock, self._warn), self._host.read if self._host else None
        pid = options.stop.pid if options.stop is not None else 0
        self._announcing = announcing(header, pid, options.environ, say, options.listen is not None)
        self._foretelling = Foretelling(self._announcing.foretell)
        # The processes of a simulated driver are nobody's: a pid that lives here by chance says nothing.
        listed = driver.processes if options.simulate is None else (lambda _: ())
        self._held = HeldSet(options.gpus, options.environ, os.getuid(), listed, self._warn_once)
        state = state_directory(dict(options.environ))
        folder = state / "runs" / safe_name(options.run_id)
        self._writer = Writer(folder, header.host)
        earlier = self._earlier(folder, header)
        self._recorder = Recorder(header, self._pricing(), self._clock, self._post, earlier)
        self._limits = self._limited(header, state)
        self._recording = self._record(header, earlier)
        named = (options.textfile, safe_name(options.run_id))
        self._textfile = Textfile(*named, lambda: run_page(self.current()), self._clock, self._warn)
        self._items = ItemWatch(self._line_items(), self._clock, options.spawned_ns, self._events.put)
        self._notify = notify(options.environ, folder, header.host, self._clock, self._hear, self._warn)
        period_ns = header.period_ns
        hold, post = self._hold, self._events.put
        cores = RunWork(options.pid, self._clock).cores  # ours, and what the command leaves behind is below us
        self._reader = Reader(
            driver, self._clock, self._anchor, period_ns, hold, post, host, lists_processes=True, cores=cores
        )

    def start(self) -> None:
        """Start every thread. Returns at once."""
        self._writer.start()
        self._items.start()
        self._limits.start()
        self._notify.start()
        self._textfile.start()
        self._announcing.start()
        if self._recording is not None:
            self._recording.start()
        threading.Thread(target=self._record_for_ever, name="costmeter-recorder", daemon=True).start()
        self._reader.start()
        if self._options.listen is not None:  # in a thread of its own: a name may take long to look up
            args = self._options.listen
            threading.Thread(target=self._serve, args=args, name="costmeter-listen", daemon=True).start()

    def finish(self, ended: Ended, seconds: float) -> Result:
        """The child was reaped: last reading, footer, receipt. Whatever hangs is given up on after these seconds."""
        self._notify.close(seconds * TELLING_SHARE)
        self._announcing.end(farewell(ended, self._clock))
        self._reader.end(ended)
        self._items.end(ended.at_ns)
        if not self._reader.finished.wait(seconds * READING_SHARE):
            self._reader.give_up(ended)
        self._items.close()
        self._limits.close()
        self._events.put(ended)
        self._recorded.wait(seconds * WRITING_SHARE / 2)
        self._writer.done.wait(seconds * WRITING_SHARE / 2)
        if self._recording is not None:
            self._recording.finish(seconds * WRITING_SHARE / 4)
        self._textfile.finish(_TEXTFILE_SECONDS)
        self._announcing.close(_AGENT_SECONDS)
        return Result(
            receipt(Run((self._counted(),)), with_full_cost=self._options.full_cost),
            self._writer.unsaved,
            tuple(self._warnings),
        )

    @property
    def stopper(self) -> Stopper | None:
        """What stops the command, once a budget has begun to; None where none did."""
        return self._limits.stopper

    def _counted(self) -> Part:
        """The run as recorded; where counting stopped before the footer, with the slot that was open then."""
        part, last = self._recorder.part, self._writer.snapshot
        if part.footer is None and last is not None and last.open_slot is not None:
            part = fold(last.part, SlotEntry(last.open_slot))
        return replace(part, header=replace(part.header, part=self._writer.part))

    def _tell(self, text: str) -> None:
        """A line for everybody, which is no warning."""
        (self._options.tell or self._say)(text)

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        self._warn_person(text)

    def _warn_once(self, text: str) -> None:
        if text not in self._warnings:
            self._warn(text)

    # Building

    def _load(self) -> Settings:
        options = self._options
        loaded = options.loaded or loaded_anyway(options.config, options.flags, options.environ, options.cwd)
        for fault in loaded.faults:
            self._warn(fault)
        return loaded.settings

    def _header(self) -> Header:
        options, settings = self._options, self._settings
        return Header(
            run=options.run_id,
            part=0,
            meter="wrapper",
            name=options.name,
            labels=dict(settings.labels) | dict(options.labels),
            command=identity.redacted(options.command) if options.keep_command else None,
            host=identity.host_name(),
            boot_id=identity.boot_id(),
            pid=options.pid,
            pid_start_ticks=identity.start_ticks(options.pid) or 0,
            start_ns=options.spawned_ns,
            anchor=anchor(self._clock),
            period_ns=round(options.period_seconds * NANOSECONDS_PER_SECOND),
            rule=settings.idle,
            simulated=options.simulate is not None,
            currency=settings.currency,
            versions=versions(),
            user=identity.user_name(),
        )

    def _earlier(self, folder: Path, header: Header) -> Earlier:
        """What a meter of this very run left that died here; a job that Slurm queued anew held nothing meanwhile."""
        if self._options.environ.get("SLURM_RESTART_COUNT", "0") != "0":
            return NOTHING_EARLIER
        try:
            return left_behind(folder, header.host, header.boot_id, self._clock.boottime_ns())
        except OSError:  # a folder that may not even be looked into; the writer says so
            return NOTHING_EARLIER
        except Exception as fault:  # garbled as nobody thought of; this run is metered all the same
            self._warn(f"{folder}: not gone on with what is recorded there ({type(fault).__name__}: {fault})")
            return NOTHING_EARLIER

    def _record(self, header: Header, earlier: Earlier) -> RecordingWriter | None:
        options, settings = self._options, self._settings
        if options.record is None:
            return None
        host = settings.book.host if settings.host.source == "auto" else None
        path = Path(options.record)
        return RecordingWriter(path, header, self._held.assumed(), self._clock, self._warn, host, earlier)

    def _pricing(self) -> Pricing:
        book, watts = self._settings.book, self._settings.host.watts
        return Pricing(book.quotation, self._assumed, float(watts or 0))

    def _line_items(self) -> tuple[LineItem, ...]:
        """The items of the settings; their paths from where the command was started."""
        folder = self._options.cwd
        return tuple(replace(item, path=item.path and os.path.join(folder, item.path)) for item in self._settings.items)

    def _limited(self, header: Header, state: Path) -> Limits:
        options, told = self._options, Voices(self._tell, self._warn, self._events.put)
        budgets, zone = self._settings.budgets, self._settings.timezone
        return Limits(budgets, header, state, zone, options.environ, self._clock, told, options.stop, self._can_stop)

    def _can_stop(self) -> bool:
        return self._notify.can_stop

    def _post(self, post: Post) -> None:
        self._writer.post(post)
        self._limits.see(post)
        self._foretelling.see(post.snapshot)

    def _anchor(self) -> Anchor:
        return self._recorder.anchor

    def _hold(self, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        held = self._held.of(devices)
        self._announcing.hold(held)
        return held

    def _hear(self, told: Told) -> None:
        self._announcing.tell(told)
        self._events.put(told)

    def _assumed(self) -> tuple[Device, ...]:
        """Without a driver nobody can say which GPUs are held; with a price set, their time is still worth money."""
        return assumed(self._settings.book, self._held.assumed())

    # Running

    def _record_for_ever(self) -> None:
        while True:
            try:
                event = self._events.get(timeout=self._reader.watch_seconds)
            except queue.Empty:
                self._reader.watch()
                waited_ns = self._clock.boottime_ns() - self._options.spawned_ns
                self._teller.see_driver(waited_ns, self._recorder.has_opened)
                continue
            self._teller.see_disk(self._writer.refusal)
            try:
                if self._recording is not None and isinstance(event, Event):
                    self._recording.post(event)
                self._recorder.handle(event)
                if isinstance(event, Opened | OpenFailed):
                    part, book = self._recorder.part, self._settings.book
                    self._teller.announce(event, part, book, self._clock.utc_ns())
            except Exception as fault:  # the job goes on; a total that may be wrong is not added to
                self._warn(f"the meter stopped counting ({type(fault).__name__}: {fault})")
                self._recorded.set()
                return
            if isinstance(event, Ended):
                self._recorded.set()
                return

    def _serve(self, host: str, port: int) -> None:
        serve_run((host, port), self.current, self._say, self._warn)

    def current(self) -> Snapshot:
        """What may be shown now."""
        return self._writer.snapshot or Snapshot(self._clock.utc_ns(), self._recorder.part)
