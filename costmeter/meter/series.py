"""Dated series: values that somebody published for stretches of time, such as half-hourly prices.

Indexed by UTC, so days of 23 and 25 hours need nothing special.
"""

from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal
from itertools import compress, repeat
from operator import ge, gt, mod

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
        starts, ends = self.starts_utc_ns, self.ends_utc_ns
        for start_ns in compress(starts, map(ge, starts, ends)):
            raise ValueError(f"the stretch that starts at {iso_minute(start_ns)} is empty")
        for start_ns in compress(starts[1:], map(gt, ends, starts[1:])):
            raise ValueError(f"the stretch that starts at {iso_minute(start_ns)} overlaps the one before")
        is_open = ends[-1] == OPEN_END  # no other can be, or it would reach into the next
        for instants in (starts, ends[:-1] if is_open else ends):
            for utc_ns in compress(instants, map(mod, instants, repeat(NANOSECONDS_PER_MINUTE))):
                raise ValueError(f"a stretch of the series starts or ends at {utc_ns} ns, which is no whole minute")

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
