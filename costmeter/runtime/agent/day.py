"""The UTC days by which a node's journal is divided into files."""

from dataclasses import replace

from costmeter.ledger.node.record import Opening
from costmeter.units import NANOSECONDS_PER_HOUR

_NANOSECONDS_PER_DAY = 24 * NANOSECONDS_PER_HOUR


def day(utc_ns: int) -> int:
    """The UTC day an instant lies in, counted from 1970."""
    return utc_ns // _NANOSECONDS_PER_DAY


def of_day(begins: Opening, at_utc_ns: int, is_new: bool = False) -> Opening:
    """An opening that says since when the day of this instant is metered: as it did, where that was this day.

    `is_new`: the day begins at this instant.
    """
    if not is_new and begins.today is not None and day(begins.today[0]) == day(at_utc_ns):
        return begins
    return replace(begins, today=(at_utc_ns, (begins.held + begins.unheld).whole.cost))
