"""How long a schedule keeps its value: so that pricing a long record need not ask at every minute of it."""

from bisect import bisect_right

from costmeter.meter.calendar import MINUTES_PER_DAY, Calendar
from costmeter.meter.schedule import Constant, Schedule, Succession
from costmeter.meter.series import OPEN_END, Series
from costmeter.units import NANOSECONDS_PER_MINUTE


def holds_until(schedule: Schedule, utc_ns: int) -> int:
    """An instant up to which, and not including it, value and doubt are surely what they are now; it may be too early.

    A schedule of a kind that nobody here knows is asked again at the next minute.
    """
    if isinstance(schedule, Constant):
        return OPEN_END
    if isinstance(schedule, Series):
        return _next((*schedule.starts_utc_ns, *schedule.ends_utc_ns), utc_ns)
    if isinstance(schedule, Succession):
        edges = (*schedule.starts_utc_ns, OPEN_END if schedule.end_utc_ns is None else schedule.end_utc_ns)
        holding = schedule.schedules[max(0, bisect_right(schedule.starts_utc_ns, utc_ns) - 1)]
        return min(_next(edges, utc_ns), holds_until(holding, utc_ns))
    if isinstance(schedule, Calendar):
        return _same_hours(schedule, utc_ns)
    return utc_ns + NANOSECONDS_PER_MINUTE


def _next(edges: tuple[int, ...], utc_ns: int) -> int:
    return min((edge for edge in edges if edge > utc_ns), default=OPEN_END)


def _same_hours(calendar: Calendar, utc_ns: int) -> int:
    """Until the next edge of any window today, or midnight; but a minute where the clock is set before that."""
    start_ns = utc_ns - utc_ns % NANOSECONDS_PER_MINUTE
    now = calendar.place.local(start_ns)
    hours = [hours for window in calendar.windows for hours in window.hours]
    edges = {MINUTES_PER_DAY} | {edge for each in hours for edge in (each.start_minute, each.end_minute)}
    edge = min(edge for edge in edges if edge > now.minute)
    until_ns = start_ns + (edge - now.minute) * NANOSECONDS_PER_MINUTE
    last = calendar.place.local(until_ns - NANOSECONDS_PER_MINUTE)
    is_even = (last.date, last.minute) == (now.date, edge - 1)
    return until_ns if is_even else start_ns + NANOSECONDS_PER_MINUTE
