"""Schedules: a value over time. Pure: an instant goes in, a Decimal comes out, nothing is read or remembered.

The kinds: `Constant` and `Succession` here, `Calendar` (hours, weekdays, seasons, holidays) in `calendar`, `Series`
(dated values) in `series`. Every schedule changes on whole UTC minutes only, because a slot has one value.
"""

from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from costmeter.units import iso_minute


class Schedule(Protocol):
    """A value that depends on the instant only. Instants are nanoseconds since 1970-01-01 UTC."""

    def at(self, utc_ns: int) -> Decimal:
        """The value at an instant. There always is one; `doubt` says when it is only the nearest that is known."""
        ...

    def doubt(self, utc_ns: int) -> str:
        """Why the value at an instant is not one that was written for it; empty when it is."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value always."""

    value: Decimal

    def at(self, utc_ns: int) -> Decimal:
        return self.value

    def doubt(self, utc_ns: int) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Succession:
    """Schedules that follow one another, each from an instant on: the price sheets of one tariff over the years.

    `starts_utc_ns` ascend. Before the first the first holds, and is doubted. `end_utc_ns` is when the last ceases to be
    valid; None means nobody said so.
    """

    starts_utc_ns: tuple[int, ...]
    schedules: tuple[Schedule, ...]
    end_utc_ns: int | None = None

    def __post_init__(self) -> None:
        if not self.schedules or len(self.starts_utc_ns) != len(self.schedules):
            raise ValueError("a succession has one start for each of its schedules, and at least one")
        if list(self.starts_utc_ns) != sorted(set(self.starts_utc_ns)):
            raise ValueError("the starts of a succession ascend")

    def at(self, utc_ns: int) -> Decimal:
        return self._holding(utc_ns).at(utc_ns)

    def doubt(self, utc_ns: int) -> str:
        if utc_ns < self.starts_utc_ns[0]:
            return f"valid from {iso_minute(self.starts_utc_ns[0])} only"
        if self.end_utc_ns is not None and utc_ns >= self.end_utc_ns:
            return f"valid until {iso_minute(self.end_utc_ns)} only"
        return self._holding(utc_ns).doubt(utc_ns)

    def _holding(self, utc_ns: int) -> Schedule:
        return self.schedules[max(0, bisect_right(self.starts_utc_ns, utc_ns) - 1)]
