"""What a value that changes over time comes to on average, for plans that do not say when the run will be."""

from bisect import bisect_right
from decimal import Decimal

from costmeter.meter.schedule import Constant, Schedule, Succession
from costmeter.meter.series import OPEN_END, Series
from costmeter.units import NANOSECONDS_PER_MINUTE, iso_minute

#: Edges of calendars lie on quarters of hours in every tariff that was seen.
STEP_NS = 15 * NANOSECONDS_PER_MINUTE
STEPS_PER_YEAR = 365 * 24 * 4


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
