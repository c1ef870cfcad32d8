"""The openings for a job: now, the cheapest and the cleanest start before a deadline, under tariff, carbon and rent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal

from costmeter.config.settings import Settings
from costmeter.errors import UsageError
from costmeter.meter.schedule import Constant
from costmeter.planning.average import averaged
from costmeter.planning.estimate import Power
from costmeter.planning.inputs import instant
from costmeter.planning.numbers import gpus, hours, number, whole
from costmeter.planning.plan import (
    ASSUMED_LOAD,
    paid_by,
    passed_over,
    percent,
    planned,
    rented_by,
    sharers,
    shown,
    told,
)
from costmeter.planning.when import Search, Track, Window, best, window, windows
from costmeter.rates.book import Sourced
from costmeter.rates.models import GpuModel, find
from costmeter.readings import Device
from costmeter.units import NANOSECONDS_PER_MINUTE, iso_minute

#: How far ahead starts are looked for where no deadline is given, and how far at all.
DAYS_AHEAD, MOST_DAYS = 7, 100
MINUTES_PER_DAY = 1_440
#: Kilowatts that nobody draws.
_BEYOND = Decimal("1e9")
ELECTRICITY, RENT, CARBON = "electricity", "rent", "carbon"


@dataclass(frozen=True, slots=True)
class Job:
    """What was asked, as it was typed; None is not said."""

    hours: str
    kw: str | None = None
    gpu: str | None = None
    count: str | None = None
    before: str | None = None
    start: str | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """What was found. `tracks` name the amounts of each window; money is in `currency`, carbon in grams.

    A changing rent is the money where it is paid, and includes electricity, which then is no track.

    `kw` is what the job draws from the facility, cooling included. `pays_rent` is False where the GPUs are bought.
    `now` is None where something is not known for a job that starts now; `notes` say that and everything else that a
    person should know. `cheapest` is None where no money changes over time, `cleanest` where the carbon does not.
    """

    currency: str
    kw: Decimal
    pays_rent: bool
    minutes: Decimal
    from_ns: int
    before_ns: int | None
    zone: tzinfo | None
    tracks: tuple[str, ...]
    now: Window | None
    cheapest: Window | None
    cleanest: Window | None
    notes: tuple[str, ...]

    def money(self, found: Window) -> Decimal | None:
        """What is paid: the rent where its price changes, else the electricity; None where neither is known."""
        paid = [amount for name, amount in zip(self.tracks, found.amounts, strict=True) if name != CARBON]
        return sum(paid, Decimal(0)) if paid else None

    def amount(self, found: Window, track: str) -> Decimal | None:
        """What a track comes to in a window; None for a track that is not there."""
        return found.amounts[self.tracks.index(track)] if track in self.tracks else None


@dataclass(frozen=True, slots=True)
class _Kept:
    """A job with its power: what the model is, how many GPUs there are, what they draw, and what to say of that."""

    device: Device
    count: int
    kw: Decimal
    notes: tuple[str, ...]


def opening(job: Job, settings: Settings, utc_ns: int) -> Opening:
    """The starts for a job that is asked of at an instant. Raises UsageError, with what to type."""
    minutes = _minutes(job.hours)
    kept = _kept(job, settings, utc_ns)
    from_ns = _from(job, settings.timezone, utc_ns)
    is_owned = paid_by(settings.book, kept.device).owned is not None
    tracks, notes = _tracks(kept, settings, is_owned, _says_count(job))
    before_ns = None if job.before is None else instant(job.before, from_ns, settings.timezone, "--before")
    search = _search(from_ns, before_ns, minutes, job)
    found = windows(tracks, search)
    now = window(tracks, from_ns, minutes)
    if not found:
        raise UsageError(
            f"no start can be priced: {_doubts(tracks, search)}", "fetch newer data: costmeter prices fetch"
        )
    if now is None:
        notes.append(f"a start now cannot be priced: {_doubts(tracks, Search(from_ns, from_ns, minutes))}")
    elif any(track.schedule.doubt(_end(search)) for track in tracks):
        notes.append(f"windows beyond the data are left out: {_doubts(tracks, search)}")
    money = [place for place, track in enumerate(tracks) if track.name != CARBON]
    carbons = [place for place, track in enumerate(tracks) if track.name == CARBON]
    return Opening(
        settings.currency,
        kept.kw,
        not is_owned,
        minutes,
        from_ns,
        before_ns,
        settings.timezone,
        tuple(track.name for track in tracks),
        now,
        best(found, money) if _changes(tracks, money) else None,
        best(found, carbons) if _changes(tracks, carbons) else None,
        tuple(notes),
    )


def _changes(tracks: Sequence[Track], places: Sequence[int]) -> bool:
    return any(not isinstance(tracks[place].schedule, Constant) for place in places)


def _minutes(text: str) -> Decimal:
    length = hours(text)
    if length is None or not 0 < length <= MOST_DAYS * 24:
        raise UsageError(f'--hours "{text}": expected hours such as 6, at most {MOST_DAYS * 24}, or days such as 1.5d')
    return length * 60


def _kept(job: Job, settings: Settings, utc_ns: int) -> _Kept:
    """The power of a job as it was given, or of its GPUs and their host; times the PUE of the settings."""
    pue, origin = averaged(settings.book.pue, utc_ns)
    cooling = f"PUE: {shown(pue)} ({told(origin)})"
    model = _model(job)
    device, count = planned(model.nvml_name if model else ""), _count(job)
    if job.kw is not None:
        kw = _positive("--kw", job.kw, "6.8") * pue
        return _Kept(device, count, kw, (f"power: {shown(kw)} kW, cooling included", cooling))
    if model is None:
        raise UsageError("how much power? Give --kw 6.8, or --gpu h100 --count 8")
    if model.tdp_watts is None:
        raise UsageError(f"the power of {job.gpu} is not known", "give the power of the job: --kw 6.8")
    machine, watts = sharers(settings.book, device, count), settings.host.watts
    kw = Power(model.tdp_watts, ASSUMED_LOAD, (watts or 0) / Decimal(machine), pue).facility_kw * count
    beside = "power not counted; set host.power in watts"
    if watts is not None:
        beside = f"{shown(watts)} W for each {_gpus(machine)} ({told(settings.book.host)})"
    gpu = f"{count} × {shown(model.tdp_watts)} W of {model.key} at {percent(ASSUMED_LOAD)}, which is assumed"
    notes = (f"power: {shown(kw)} kW, cooling included", f"GPU: {gpu}", f"host: {beside}", cooling)
    return _Kept(device, count, kw, notes)


def _gpus(count: int, one: str = "GPU") -> str:
    return f"{count} GPUs" if count > 1 else one


def _model(job: Job) -> GpuModel | None:
    if job.gpu is None:
        return None
    try:
        return find(gpus(job.gpu)[1]).model
    except LookupError as error:
        raise UsageError(f"--gpu: {error.args[0]}", "--gpu h100, or the power of the job: --kw 6.8") from None


def _positive(flag: str, text: str, example: str) -> Decimal:
    value = number(text)
    if value is None or not 0 < value < _BEYOND:
        raise UsageError(f'{flag} "{text}": expected a number above 0 such as {example}')
    return value


def _count(job: Job) -> int:
    many = None if job.gpu is None else gpus(job.gpu)[0]
    count = whole(job.count) if job.count is not None else 1 if many is None else many
    if not count:
        raise UsageError(f'--count "{job.count or many}": expected a whole number such as 8')
    if many not in (None, count):
        raise UsageError(f"--gpu {job.gpu} and --count {job.count} are two counts; give one")
    return count


def _says_count(job: Job) -> bool:
    """Whether anybody said how many GPUs there are: with a model and no count it is one, and power alone says none."""
    return job.gpu is not None or job.count is not None


def _from(job: Job, zone: tzinfo | None, utc_ns: int) -> int:
    """The beginning of the minute that comes next: nobody starts a job in the past."""
    from_ns = utc_ns if job.start is None else instant(job.start, utc_ns, zone, "--from")
    return -(-from_ns // NANOSECONDS_PER_MINUTE) * NANOSECONDS_PER_MINUTE


def _search(from_ns: int, before_ns: int | None, minutes: Decimal, job: Job) -> Search:
    length_ns = int(minutes * NANOSECONDS_PER_MINUTE)
    if before_ns is None:
        return Search(from_ns, from_ns + DAYS_AHEAD * MINUTES_PER_DAY * NANOSECONDS_PER_MINUTE, minutes)
    if before_ns <= from_ns:
        raise UsageError(f'--before "{job.before}" is {iso_minute(before_ns)}, which is past; give a later time')
    if before_ns < from_ns + length_ns:
        latest = iso_minute(before_ns - length_ns)
        raise UsageError(
            f'--before "{job.before}": {job.hours} hours until then had to begin at {latest}; give a later time'
        )
    if before_ns - from_ns > MOST_DAYS * MINUTES_PER_DAY * NANOSECONDS_PER_MINUTE:
        raise UsageError(f'--before "{job.before}": at most {MOST_DAYS} days ahead are looked at')
    return Search(from_ns, before_ns - length_ns, minutes)


def _tracks(kept: _Kept, settings: Settings, is_owned: bool, says_count: bool) -> tuple[list[Track], list[str]]:
    """What is paid and emitted over time, and what to say of it."""
    tracks, notes = _money(kept, settings, is_owned, says_count)
    carbon = settings.book.carbon
    tracks.append(Track(CARBON, carbon.schedule, kept.kw))
    if all(isinstance(track.schedule, Constant) for track in tracks):
        raise UsageError(
            "nothing changes over time, so every start costs the same",
            "costmeter when --tariff FILE or --carbon FILE.csv, as costmeter prices fetch writes them",
        )
    return tracks, [*kept.notes, *notes, f"carbon: {_held(carbon, 'g/kWh')}"]


def _money(kept: _Kept, settings: Settings, is_owned: bool, says_count: bool) -> tuple[list[Track], list[str]]:
    """A rent that changes, which includes electricity, or else what electricity costs. Never both."""
    book = settings.book
    notes = [f"GPU prices {others} are not used: {why}" for others, why in passed_over(book, kept.device)]
    rent = rented_by(book, kept.device)
    if rent is not None and not isinstance(rent.schedule, Constant):
        if not says_count:
            raise UsageError(f"the GPU rent changes over time ({rent.origin.detail}): of how many GPUs?", "--count 8")
        notes.append(f"GPU rent: changes over time ({rent.origin.detail}), for {_gpus(kept.count, 'one GPU')}")
        notes.append("electricity: in the rent, and not counted")
        return [Track(RENT, rent.schedule, Decimal(kept.count))], notes
    if book.electricity is None:
        return [], notes
    notes.append(f"electricity: {_held(book.electricity, f'{settings.currency}/kWh')}")
    if not is_owned:
        notes.append("rent is flat: only worth it if you pay for power")
    return [Track(ELECTRICITY, book.electricity.schedule, kept.kw)], notes


def _held(figure: Sourced, unit: str) -> str:
    """Where a figure is from, and what it is where it never changes."""
    if isinstance(figure.schedule, Constant):
        return f"{shown(figure.schedule.value)} {unit} ({told(figure.origin)})"
    return figure.origin.detail


def _end(search: Search) -> int:
    return search.from_ns + (search.reach - 1) * NANOSECONDS_PER_MINUTE


def _doubts(tracks: Sequence[Track], search: Search) -> str:
    """Why the tracks do not hold throughout a search: the first doubt of each."""
    doubts = []
    for track in tracks:
        minutes = range(search.from_ns, _end(search) + 1, NANOSECONDS_PER_MINUTE)
        first = next((doubt for minute in minutes if (doubt := track.schedule.doubt(minute))), "")
        if first:
            doubts.append(f"{track.name}: {first.partition(';')[0]}")
    return "; ".join(doubts) or "no stretch of data is long enough"
