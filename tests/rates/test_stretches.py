"""What a series covers: holes and the mean over time."""

from decimal import Decimal

import pytest

from costmeter.meter.series import OPEN_END, Series
from costmeter.rates.stretches import holes, mean
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_MINUTE


def hours(*rows: tuple[int, int, str]) -> Series:
    """A series of values by whole hours since 1970."""
    starts, ends, values = zip(*rows, strict=True)
    return Series(
        tuple(start * NANOSECONDS_PER_HOUR for start in starts),
        tuple(end * NANOSECONDS_PER_HOUR for end in ends),
        tuple(map(Decimal, values)),
    )


@pytest.mark.parametrize(
    ("series", "found"),
    [
        pytest.param(hours((0, 1, "1"), (1, 2, "2")), [], id="none"),
        pytest.param(hours((0, 1, "1"), (3, 4, "2"), (4, 5, "2"), (9, 10, "2")), [(1, 3), (5, 9)], id="two"),
    ],
)
def test_a_hole_is_where_no_value_holds(series: Series, found: list[tuple[int, int]]) -> None:
    """Between an end and a later start; the ends of the series are no holes."""
    assert [(start * NANOSECONDS_PER_HOUR, end * NANOSECONDS_PER_HOUR) for start, end in found] == list(holes(series))


def test_the_mean_is_weighed_by_time() -> None:
    """(0.2 x 1 h - 0.1 x 1 h + 0.4 x 2 h) / 4 h = 0.225, and the hole does not count."""
    assert Decimal("0.225") == mean(hours((0, 1, "0.2"), (1, 2, "-0.1"), (3, 5, "0.4")))


def test_a_value_without_an_end_counts_as_a_minute() -> None:
    """(1 x 60 min + 62 x 1 min) / 61 min = 2."""
    starts = (0, NANOSECONDS_PER_HOUR)
    series = Series(starts, (60 * NANOSECONDS_PER_MINUTE, OPEN_END), (Decimal(1), Decimal(62)))
    assert Decimal(2) == mean(series)
