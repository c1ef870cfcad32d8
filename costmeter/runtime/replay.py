"""A recording metered again: the same events at the same instants, and no driver, disk or waiting."""

from dataclasses import replace

from costmeter.clock import ManualClock
from costmeter.config.settings import Settings
from costmeter.errors import JournalError
from costmeter.ledger.query import Part, Run, fold
from costmeter.ledger.record import SlotEntry
from costmeter.outputs.receipt import receipt
from costmeter.runtime.assembly import Result, assumed
from costmeter.runtime.eventline import Beginning
from costmeter.runtime.events import Batch, Event
from costmeter.runtime.recorder import Post, Pricing, Recorder
from costmeter.runtime.recording import Recording

#: What stands in the receipt where a run says whether its journal was saved.
NOT_SAVED = "this is a replay, which writes no journal"
_LONGER = "Ask for the whole file, or record the run again until it has ended: costmeter run --record FILE -- CMD…"


def replay(recording: Recording, settings: Settings) -> Result:
    """The result of a recorded run under the prices of `settings`; its idle rule is the recorded one.

    A run whose meter was killed has no end: it counts up to its last reading and is `interrupted`. Raises JournalError
    when the recording is damaged, or ends before the driver answered: whether there were GPUs nobody knows then.
    """
    part, last = _metered(recording, settings)
    if part.footer is None and last is not None and last.snapshot.open_slot is not None:
        part = fold(last.snapshot.part, SlotEntry(last.snapshot.open_slot))
    return Result(receipt(Run((part,))), NOT_SAVED, tuple(recording.problems))


def _metered(recording: Recording, settings: Settings) -> tuple[Part, Post | None]:
    """Every event handled by a recorder whose clock stands as it stood then; with what it handed over last."""
    beginning, is_host_read = recording.beginning, settings.host.source == "auto"
    header = replace(beginning.header, currency=settings.currency)
    clock = ManualClock(header.anchor.utc_ns, header.anchor.boottime_ns)
    posts: list[Post] = []
    cpu_ns = 0
    recorder = Recorder(header, _pricing(settings, beginning), clock, posts.append, beginning.earlier)
    for taken in recording.events():
        clock.advance(taken.boot_ns - clock.boottime_ns())
        clock.step_wall(taken.utc_ns - clock.utc_ns())
        recorder.handle(taken.event if is_host_read else _without_host(taken.event))
        del posts[:-1]
        cpu_ns = taken.cpu_ns
    if not recorder.has_opened and recorder.part.footer is None:
        raise JournalError(f"{recording.path}: ends before the driver answered, so there is nothing to meter", _LONGER)
    return _with_overhead(recorder.part, cpu_ns), posts[-1] if posts else None


def _with_overhead(part: Part, cpu_ns: int) -> Part:
    """The part with the CPU time of the meter that was there, and not of this replay."""
    return part if part.footer is None else replace(part, footer=replace(part.footer, cpu_ns=cpu_ns))


def _without_host(event: Event) -> Event:
    """For settings that name the host's power, or want none: its counters are not read then, so not replayed either."""
    return replace(event, host=None) if isinstance(event, Batch) else event


def _pricing(settings: Settings, beginning: Beginning) -> Pricing:
    book = settings.book
    if settings.host.source == "auto" and beginning.host is not None:
        book = replace(book, host=beginning.host)
    return Pricing(book.quotation, lambda: assumed(book, beginning.assumed_gpus), float(settings.host.watts or 0))
