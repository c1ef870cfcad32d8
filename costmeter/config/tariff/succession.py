"""Price sheets that follow one another: which tariff holds when."""

from collections.abc import Sequence
from datetime import date, datetime, time, tzinfo
from itertools import pairwise

from costmeter.meter.schedule import Schedule, Succession
from costmeter.meter.tariff import Tariff
from costmeter.units import NANOSECONDS_PER_SECOND


def succession(tariffs: Sequence[Tariff], tier: int | None = None) -> Schedule:
    """The price of a kWh under several price sheets of one tariff, each from the local midnight of its `valid_from`.

    One sheet may say no start: it is the first. A sheet that ends before the next begins is doubted from its end on.
    `tier` is as in `Tariff.schedule`. A single sheet without dates is its own schedule. Raises ValueError when there is
    no sheet, when two start on the same day or say no start, and when their currencies differ.
    """
    if not tariffs:
        raise ValueError("a succession needs at least one tariff")
    ordered = sorted(tariffs, key=lambda tariff: tariff.valid_from or date.min)
    for before, after in pairwise(ordered):
        if before.valid_from == after.valid_from:
            when = f"start on {before.valid_from}" if before.valid_from else "say no valid_from"
            raise ValueError(f"tariffs {before.id} and {after.id} both {when}; give each its own valid_from")
        if before.currency != after.currency:
            pair = f"{before.id} in {before.currency}, {after.id} in {after.currency}"
            raise ValueError(f"one succession has one currency, not {pair}")
    if len(ordered) == 1 and ordered[0].valid_from is None and ordered[0].valid_to is None:
        return ordered[0].schedule(tier)
    starts_ns = tuple(_start_ns(tariff) for tariff in ordered)
    ends_ns = [_midnight_ns(tariff.valid_to, tariff.zone) if tariff.valid_to else None for tariff in ordered]
    schedules = [tariff.schedule(tier) for tariff in ordered]
    for position, next_start_ns in enumerate(starts_ns[1:]):
        end_ns = ends_ns[position]
        if end_ns is not None and end_ns < next_start_ns:
            schedules[position] = Succession((starts_ns[position],), (schedules[position],), end_ns)
    return Succession(starts_ns, tuple(schedules), ends_ns[-1])


def _start_ns(tariff: Tariff) -> int:
    """When a sheet begins; one that says nothing has always held, and always is since 1970 here."""
    return _midnight_ns(tariff.valid_from, tariff.zone) if tariff.valid_from else 0


def _midnight_ns(day: date, zone: tzinfo) -> int:
    return int(datetime.combine(day, time(), zone).timestamp()) * NANOSECONDS_PER_SECOND
