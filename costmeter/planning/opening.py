"""The openings for a job: now, the cheapest and the cleanest start before a deadline, under tariff, carbon and rent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal

from costmeter.config.settings import Settings
from costmeter.errors import UsageError
from costmeter.meter.schedule import Constant
from costmeter.planning.inputs import Priced, carbon, electricity, instant
from costmeter.planning.numbers import gpus, hours, number, whole
from costmeter.planning.plan import ASSUMED_LOAD, planned, rented_by
from costmeter.planning.when import Search, Track, Window, best, window, windows
from costmeter.rates.dated import GRAMS_PER_KWH
from costmeter.rates.models import GpuModel, find
from costmeter.units import NANOSECONDS_PER_MINUTE, iso_minute

#: How far ahead starts are looked for where no deadline is given, and how far at all.
DAYS_AHEAD, MOST_DAYS = 7, 100
MINUTES_PER_DAY = 1_440
#: Kilowatts that nobody draws.
_BEYOND = Decimal("1e9")
ELECTRICITY, RENT, CARBON = "electricity", "rent", "carbon"


@dataclass(frozen=True, slots=True)
class Job:
    """What was asked, as it was typed; None is not said. `folder` is where the files are."""

    hours: str
    kw: str | None = None
    gpu: str | None = None
    gpus: str | None = None
    pue: str | None = None
    before: str | None = None
    start: str | None = None
    tariffs: tuple[str, ...] = ()
    plan: str | None = None
    carbon: str | None = None
    folder: str = "."


@dataclass(frozen=True, slots=True)
class Opening:
    """What was found. `tracks` name the amounts of each window; money is in `currency`, carbon in grams.

    `now` is None where something is not known for a job that starts now; `notes` say that and everything else that a
    person should know. `cheapest` is None where no money changes over time, `cleanest` where the carbon does not.
    """

    currency: str
    kw: Decimal
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
        """What is paid for electricity and, where its price changes, for rent; None where neither is known."""
        paid = [amount for name, amount in zip(self.tracks, found.amounts, strict=True) if name != CARBON]
        return sum(paid, Decimal(0)) if paid else None

    def amount(self, found: Window, track: str) -> Decimal | None:
        """What a track comes to in a window; None for a track that is not there."""
        return found.amounts[self.tracks.index(track)] if track in self.tracks else None


def opening(job: Job, settings: Settings, utc_ns: int) -> Opening:
    """The starts for a job that is asked of at an instant. Raises UsageError, with what to type."""
    minutes = _minutes(job.hours)
    model = _model(job)
    kw = _power(job, model)
    from_ns = _from(job, settings.timezone, utc_ns)
    tracks, currency, notes = _tracks(job, settings, model, kw)
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
        currency,
        kw,
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


def _model(job: Job) -> GpuModel | None:
    if job.gpu is None:
        return None
    try:
        return find(gpus(job.gpu)[1]).model
    except LookupError as error:
        raise UsageError(f"--gpu: {error.args[0]}", "--gpu h100, or the power of the job: --kw 6.8") from None


def _power(job: Job, model: GpuModel | None) -> Decimal:
    pue = _positive("--pue", job.pue, "1.2") if job.pue is not None else Decimal(1)
    if not 1 <= pue <= 10:
        raise UsageError(f"--pue {job.pue}: a PUE is at least 1 and at most 10")
    if job.kw is not None:
        return _positive("--kw", job.kw, "6.8") * pue
    if job.gpu is None:
        raise UsageError("how much power? Give --kw 6.8, or --gpu h100 --gpus 8")
    watts = None if model is None else model.tdp_watts
    if watts is None:
        raise UsageError(f"the power of {job.gpu} is not known", "give the power of the job: --kw 6.8")
    return watts * ASSUMED_LOAD * _count(job) * pue / 1_000


def _positive(flag: str, text: str, example: str) -> Decimal:
    value = number(text)
    if value is None or not 0 < value < _BEYOND:
        raise UsageError(f'{flag} "{text}": expected a number above 0 such as {example}')
    return value


def _count(job: Job) -> int:
    many = None if job.gpu is None else gpus(job.gpu)[0]
    count = whole(job.gpus) if job.gpus is not None else 1 if many is None else many
    if not count:
        raise UsageError(f'--gpus "{job.gpus or many}": expected a whole number such as 8')
    if many not in (None, count):
        raise UsageError(f"--gpu {job.gpu} and --gpus {job.gpus} are two counts; give one")
    return count


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


def _tracks(job: Job, settings: Settings, model: GpuModel | None, kw: Decimal) -> tuple[list[Track], str, list[str]]:
    """What is paid and emitted over time, the currency of it, and what to say of it."""
    tracks, notes = [], []
    paid = electricity(job.tariffs, job.plan, job.folder) if job.tariffs else _configured(settings)
    currency = settings.currency if paid is None else paid.currency
    if paid is not None:
        tracks.append(Track(ELECTRICITY, paid.schedule, kw))
        notes.append(f"electricity: {paid.words}")
    device = planned(model.nvml_name if model else "")
    rent = rented_by(settings.book, device)
    owned = any(plan.owned is not None and plan.match.fits(device) for plan in settings.book.gpus)
    if rent is not None and not isinstance(rent.schedule, Constant):
        if currency != settings.currency:
            raise UsageError(
                f"the tariff is in {currency}, the price of a GPU in {settings.currency}; use one currency"
            )
        tracks.append(Track(RENT, rent.schedule, Decimal(_count(job))))
        notes.append(f"GPU rent changes over time ({rent.origin.detail}) and is part of the money")
    elif paid is not None and not owned:
        notes.append("rent is flat: only worth it if you pay for power")
    emitted = carbon(job.carbon, job.folder) if job.carbon else _grid(settings)
    tracks.append(Track(CARBON, emitted.schedule, kw))
    notes.append(f"carbon: {emitted.words}")
    if all(isinstance(track.schedule, Constant) for track in tracks):
        raise UsageError(
            "nothing changes over time, so every start costs the same",
            "costmeter when --tariff FILE or --carbon FILE.csv, as costmeter prices fetch writes them",
        )
    return tracks, currency, notes


def _configured(settings: Settings) -> Priced | None:
    price = settings.book.electricity
    if price is None:
        return None
    return Priced(price.schedule, f"{settings.currency}/kWh", price.origin.detail)


def _grid(settings: Settings) -> Priced:
    return Priced(settings.book.carbon.schedule, GRAMS_PER_KWH, settings.book.carbon.origin.detail)


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
