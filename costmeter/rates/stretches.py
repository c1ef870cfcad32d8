"""What a dated series covers: the holes between its values, and their mean over time."""

from collections.abc import Iterator
from decimal import Decimal

from costmeter.meter.series import OPEN_END, Series
from costmeter.units import NANOSECONDS_PER_MINUTE


def holes(series: Series) -> Iterator[tuple[int, int]]:
    """The stretches between values that have none, as UTC nanoseconds, oldest first."""
    for end_ns, start_ns in zip(series.ends_utc_ns, series.starts_utc_ns[1:], strict=False):
        if end_ns < start_ns:
            yield end_ns, start_ns


def mean(series: Series) -> Decimal:
    """The mean over the time that has values, in the unit of the series; one without an end counts as a minute."""
    minutes = [
        1 if end_ns == OPEN_END else (end_ns - start_ns) // NANOSECONDS_PER_MINUTE
        for start_ns, end_ns in zip(series.starts_utc_ns, series.ends_utc_ns, strict=True)
    ]
    weighed = sum((value * count for value, count in zip(series.values, minutes, strict=True)), Decimal(0))
    return weighed / sum(minutes)
