"""Whether a schedule ever goes below nothing: so that what negative prices pay back has a counter from the start."""

from costmeter.meter.schedule import Constant, Schedule, Succession
from costmeter.meter.series import Series


def can_be_negative(schedule: Schedule) -> bool:
    """Whether any value that it has at any time is below nothing; of a kind that nobody here knows, any might be."""
    if isinstance(schedule, Constant):
        return schedule.value < 0
    if isinstance(schedule, Series):
        return min(schedule.values) < 0
    if isinstance(schedule, Succession):
        return any(map(can_be_negative, schedule.schedules))
    from costmeter.meter.calendar import Calendar  # which a meter may have no use for

    return not isinstance(schedule, Calendar) or any(window.value < 0 for window in schedule.windows)
