"""Calendar days: which of them are asked for, and what runs came to on each of them, or in each month."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from costmeter.ledger.grouping import Group, Share, pieces, summed
from costmeter.ledger.listing import Listed, Spending
from costmeter.meter.period import local_date

#: The length of `2026-11` in `2026-11-22`.
_MONTH = 7


@dataclass(frozen=True, slots=True)
class Days:
    """From the first day to the last, both whole, as ISO dates; an empty one is no limit."""

    first: str = ""
    last: str = ""

    def __contains__(self, day: str) -> bool:
        return self.first <= day and (not self.last or day <= self.last)


def days_of(zone: tzinfo | None) -> Callable[[int], str]:
    """The ISO date of an instant by a zone's clock; None is this machine's."""
    return lambda utc_ns: local_date(utc_ns, zone).isoformat()


def have_days(run: Listed, days: Days, day_of: Callable[[int], str]) -> bool:
    """Whether any day of a run is among them."""
    ended = run.ending
    first, last = day_of(ended.started_utc_ns), day_of(max(ended.started_utc_ns, ended.ended_utc_ns - 1))
    return (not days.last or first <= days.last) and days.first <= last


def by_date(state: Path, runs: Iterable[Listed], key: str, zone: tzinfo | None, days: Days) -> tuple[Group, ...]:
    """Runs by `day` or `month`, in order; of each run only what it came to on these days, local to `zone`.

    Raises JournalError where a journal that was there has gone.
    """
    shares = (share for run in runs for alike in run.apart for share in _shares(state, alike, key, zone, days))
    return summed(shares, in_order=True)


def _shares(state: Path, run: Listed, key: str, zone: tzinfo | None, days: Days) -> Iterator[Share]:
    for _, day, currency, whole, redone in pieces(state, run, days_of(zone)):
        if day in days:
            word = day[:_MONTH] if key == "month" else day
            yield word, run.id, Spending(currency, run.simulated, whole, redone)
