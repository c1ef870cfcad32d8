"""Dated series: values that somebody published for stretches of time, such as half-hourly prices.

Indexed by UTC, so days of 23 and 25 hours need nothing special.
"""

from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal

from costmeter.units import NANOSECONDS_PER_MINUTE, iso_minute

#: The end of a value that holds until another is published.
OPEN_END = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Series:
    """Values, each from its start up to, and not including, its end. Stretches ascend and do not overlap.

    Where there is no value (before the first, after the last, in a hole) the nearest earlier one is held, else the
    first, and `doubt` says so: a price that is missing is not nothing.
    """

    starts_utc_ns: tuple[int, ...]
    ends_utc_ns: tuple[int, ...]
    values: tuple[Decimal, ...]

    def __post_init__(self) -> None:
        if not self.values or not len(self.starts_utc_ns) == len(self.ends_utc_ns) == len(self.values):
            raise ValueError("a series has one start, end and value for each stretch, and at least one stretch")
        before_ns = None
        for start_ns, end_ns in zip(self.starts_utc_ns, self.ends_utc_ns, strict=True):
            if end_ns <= start_ns or (before_ns is not None and start_ns < before_ns):
                raise ValueError(f"the stretch that starts at {iso_minute(start_ns)} is empty or overlaps")
            if start_ns % NANOSECONDS_PER_MINUTE or (end_ns != OPEN_END and end_ns % NANOSECONDS_PER_MINUTE):
                raise ValueError(f"the stretch that starts at {iso_minute(start_ns)} is not of whole minutes")
            before_ns = end_ns

    def at(self, utc_ns: int) -> Decimal:
        return self.values[self._position(utc_ns)]

    def doubt(self, utc_ns: int) -> str:
        position = self._position(utc_ns)
        if utc_ns < self.starts_utc_ns[position]:
            return f"the series begins {iso_minute(self.starts_utc_ns[position])}; its first value is used"
        if utc_ns < self.ends_utc_ns[position]:
            return ""
        ends = "ends" if position == len(self.values) - 1 else "has a hole from"
        return f"the series {ends} {iso_minute(self.ends_utc_ns[position])}; its last value is held"

    def _position(self, utc_ns: int) -> int:
        return max(0, bisect_right(self.starts_utc_ns, utc_ns) - 1)
