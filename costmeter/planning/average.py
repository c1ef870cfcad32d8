"""What a value that changes over time comes to on average, for plans that do not say when the run will be."""

from bisect import bisect_right
from decimal import Decimal

from costmeter.meter.charge import Origin
from costmeter.meter.schedule import Constant, Schedule, Succession
from costmeter.meter.series import OPEN_END, Series
from costmeter.rates.book import Sourced
from costmeter.units import NANOSECONDS_PER_MINUTE, iso_minute

#: Edges of calendars lie on quarters of hours in every tariff that was seen.
STEP_NS = 15 * NANOSECONDS_PER_MINUTE
STEPS_PER_YEAR = 365 * 24 * 4


def averaged(figure: Sourced, utc_ns: int) -> tuple[Decimal, Origin]:
    """The mean of a figure over time, and its origin with the words for that time.

    What is only held beyond the end of a series, or in a hole of it, is no part of its mean, and so no doubt of it. Any
    other doubt at the instant (a price sheet that is no longer valid) makes the mean an estimate.
    """
    value, words = average(figure.schedule, utc_ns)
    doubt, series = figure.schedule.doubt(utc_ns), _series(figure.schedule, utc_ns)
    if series is not None and doubt == series.doubt(utc_ns):
        doubt = ""
    said = "; ".join(part for part in (words, doubt, figure.origin.detail) if part)
    return value, Origin("estimated" if doubt else figure.origin.word, said)


def average(schedule: Schedule, utc_ns: int) -> tuple[Decimal, str]:
    """The mean over time, and in words over which time; no words for a value that never changes.

    A dated series is averaged over all of what it has, whenever that was. Everything else is averaged over the 365 days
    from the instant on, in steps of a quarter of an hour.
    """
    if isinstance(schedule, Constant):
        return schedule.value, ""
    series = _series(schedule, utc_ns)
    if series is not None:
        return _of_series(series)
    start_ns = utc_ns - utc_ns % STEP_NS
    values = [schedule.at(start_ns + step * STEP_NS) for step in range(STEPS_PER_YEAR)]
    if len(set(values)) == 1:
        return values[0], ""
    return sum(values, Decimal(0)) / STEPS_PER_YEAR, "mean of the coming year"


def _series(schedule: Schedule, utc_ns: int) -> Series | None:
    """The dated series that holds at an instant, if one does."""
    if isinstance(schedule, Succession):
        place = max(0, bisect_right(schedule.starts_utc_ns, utc_ns) - 1)
        return _series(schedule.schedules[place], utc_ns)
    return schedule if isinstance(schedule, Series) else None


def _of_series(series: Series) -> tuple[Decimal, str]:
    stretches = zip(series.starts_utc_ns, series.ends_utc_ns, series.values, strict=True)
    closed = [(end_ns - start_ns, value) for start_ns, end_ns, value in stretches if end_ns != OPEN_END]
    if not closed:
        return series.values[-1], f"the value since {iso_minute(series.starts_utc_ns[-1])}"
    total_ns = sum(length_ns for length_ns, _ in closed)
    mean = sum((length_ns * value for length_ns, value in closed), Decimal(0)) / total_ns
    last_ns = max(end_ns for end_ns in series.ends_utc_ns if end_ns != OPEN_END)
    return mean, f"mean of the series, {iso_minute(series.starts_utc_ns[0])} to {iso_minute(last_ns)}"
