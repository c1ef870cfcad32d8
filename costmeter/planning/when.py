"""When to start: the windows of a given length in which a job costs least, or emits least. Pure and exact.

A window's cost is the sum over its minutes. As a function of the start that sum is made of straight pieces, which meet
where the start or the end of the window passes an edge of a price: a least value is found at one of those starts, or
at the ends of the search, so that nothing between them is looked at.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from costmeter.meter.schedule import Constant, Schedule
from costmeter.units import NANOSECONDS_PER_MINUTE

_MINUTES_PER_HOUR = 60


@dataclass(frozen=True, slots=True)
class Track:
    """A value over time that a job pays or emits: `per_hour` (kW, or GPUs) times the schedule's value."""

    name: str
    schedule: Schedule
    per_hour: Decimal


@dataclass(frozen=True, slots=True)
class Search:
    """A job of so many minutes, which starts on a minute from `from_ns` up to `last_ns`, both included."""

    from_ns: int
    last_ns: int
    minutes: Decimal

    @property
    def starts(self) -> int:
        """How many starts there are; 0 or less when there is none."""
        return (self.last_ns - self.from_ns) // NANOSECONDS_PER_MINUTE + 1

    @property
    def reach(self) -> int:
        """Minutes from `from_ns` to the end of the last window, rounded up."""
        return self.starts - 1 + _up(self.minutes)


@dataclass(frozen=True, slots=True)
class Window:
    """A start, and what each track comes to when the job starts then, in the order of the tracks."""

    start_ns: int
    amounts: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """A track minute by minute, as stretches of one value: the minute each begins at, and the sum of all before it.

    `unknown` are the minutes whose value is only held because nobody published one, as sums like the others.
    """

    per_hour: Decimal
    edges: tuple[int, ...]
    values: tuple[Decimal, ...]
    sums: tuple[Decimal, ...]
    unknown: tuple[int, ...]

    def amount(self, first: int, minutes: Decimal) -> Decimal:
        """What a job of so many minutes comes to that starts at this minute."""
        return (self._until(first + minutes) - self._until(Decimal(first))) * self.per_hour / _MINUTES_PER_HOUR

    def is_known(self, first: int, minutes: Decimal) -> bool:
        """Whether every minute of a window has a value that was published for it."""
        return self._unknown_until(first + _up(minutes)) == self._unknown_until(first)

    def _until(self, minute: Decimal) -> Decimal:
        place = bisect_right(self.edges, minute) - 1
        return self.sums[place] + self.values[place] * (minute - self.edges[place])

    def _unknown_until(self, minute: int) -> int:
        """How many minutes before this one are not known; whole stretches are known or not."""
        place = bisect_left(self.edges, minute)
        before = self.unknown[place - 1] if place else 0
        if place and self.unknown[place] > before:
            return before + minute - self.edges[place - 1]
        return before


def profile(track: Track, search: Search) -> Profile:
    """Ask a track for its value at each minute of a search."""
    edges: list[int] = []
    values: list[Decimal] = []
    doubts: list[bool] = []
    for minute, value, is_doubted in _minutes(track.schedule, search):
        if not edges or value != values[-1] or is_doubted != doubts[-1]:
            edges.append(minute)
            values.append(value)
            doubts.append(is_doubted)
    sums, unknown = [Decimal(0)], [0]
    for place, (edge, end) in enumerate(zip(edges, [*edges[1:], search.reach], strict=True)):
        sums.append(sums[-1] + values[place] * (end - edge))
        unknown.append(unknown[-1] + (end - edge) * doubts[place])
    return Profile(track.per_hour, tuple(edges), tuple(values), tuple(sums), tuple(unknown))


def _minutes(schedule: Schedule, search: Search) -> Iterator[tuple[int, Decimal, bool]]:
    for minute in range(1 if isinstance(schedule, Constant) else search.reach):
        utc_ns = search.from_ns + minute * NANOSECONDS_PER_MINUTE
        yield minute, schedule.at(utc_ns), bool(schedule.doubt(utc_ns))


def windows(tracks: Sequence[Track], search: Search) -> list[Window]:
    """Every start that can be best for some sum of tracks, earliest first, without windows beyond what is known.

    Empty when no start is left: nothing is known for so long, or `last_ns` is before `from_ns`.
    """
    if search.starts < 1:
        return []
    profiles = [profile(track, search) for track in tracks]
    return [
        _window(profiles, search, start)
        for start in sorted(_candidates(profiles, search))
        if all(each.is_known(start, search.minutes) for each in profiles)
    ]


def window(tracks: Sequence[Track], from_ns: int, minutes: Decimal) -> Window | None:
    """The window that starts at an instant; None where something is not known for all of it."""
    found = windows(tracks, Search(from_ns, from_ns, minutes))
    return found[0] if found else None


def best(found: Sequence[Window], places: Sequence[int]) -> Window:
    """Of some windows, the one with the least sum over these tracks; of equals the earliest."""
    return min(found, key=lambda each: (sum((each.amounts[place] for place in places), Decimal(0)), each.start_ns))


def _window(profiles: Sequence[Profile], search: Search, start: int) -> Window:
    amounts = tuple(each.amount(start, search.minutes) for each in profiles)
    return Window(search.from_ns + start * NANOSECONDS_PER_MINUTE, amounts)


def _candidates(profiles: Sequence[Profile], search: Search) -> set[int]:
    """Starts at which the window begins or ends at an edge, to the minute before and after, and both ends."""
    starts = {0, search.starts - 1}
    for edge in {edge for each in profiles for edge in each.edges}:
        ends_there = edge - search.minutes
        starts |= {edge, _down(ends_there), _up(ends_there)}
    return {start for start in starts if 0 <= start < search.starts}


def _up(minutes: Decimal) -> int:
    return int(minutes.to_integral_value(ROUND_CEILING))


def _down(minutes: Decimal) -> int:
    return int(minutes.to_integral_value(ROUND_FLOOR))
