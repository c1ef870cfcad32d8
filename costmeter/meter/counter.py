"""Lines of an energy counter: where it stood, and whether it can have gone from there to what it says now."""

from dataclasses import dataclass, replace

from costmeter.units import microjoules_from_power, watts_from_energy

#: A counter difference above this multiple of limit × time cannot be energy the board drew.
PLAUSIBLE_LIMITS = 1.2
#: No board and no module draws more than this. The greatest of 2026 has a limit of 2,900 W.
MOST_WATTS = 3_600.0
#: The counter of recent boards moves about every 100 ms: a short interval can hold one step more than its own time.
COUNTER_STEP_NS = 150_000_000
#: Two differences in a row above the limit, at rates within this factor of each other, are a draw and no slip.
_STEADY_FACTOR = 2.0


@dataclass(frozen=True, slots=True)
class Line:
    """A counter value that was said, and what has been booked since by other means than the counter.

    `unmeasured_nanoseconds` is how much of the time since has been booked as unmeasured.
    """

    microjoules: int
    at_ns: int
    booked_microjoules: int = 0
    unmeasured_nanoseconds: int = 0

    @property
    def covered_microjoules(self) -> int:
        """Where the counter would stand if it had counted just what was booked since."""
        return self.microjoules + self.booked_microjoules

    def fits(self, value: int, at_ns: int, ceiling_watts: float) -> bool:
        """Whether the counter can have gone from here to there: no fall, and no more than the board can draw."""
        most_uj = microjoules_from_power(ceiling_watts, at_ns - self.at_ns + COUNTER_STEP_NS)
        return 0 <= value - self.microjoules <= most_uj

    def watts(self, value: int, at_ns: int) -> float:
        """Mean power from here to there; 0.0 over no time."""
        return watts_from_energy(value - self.microjoules, at_ns - self.at_ns)


def later(line: Line | None, booked_uj: int, unmeasured_ns: int) -> Line | None:
    """A line with this much more booked, and this much more time unmeasured, since."""
    if line is None:
        return None
    booked_uj += line.booked_microjoules
    return Line(line.microjoules, line.at_ns, booked_uj, line.unmeasured_nanoseconds + unmeasured_ns)


def beside(left: Line, line: Line, value: int, at_ns: int) -> Line:
    """A line the counter has left, moved along by what it counted on another.

    So the time since `left.at_ns` is the time for which the counter vouches on neither, and no more than the board can
    draw in that time can lie between the two when the counter returns.
    """
    return Line(
        left.microjoules + value - line.microjoules,
        left.at_ns + at_ns - line.at_ns,
        left.booked_microjoules - line.booked_microjoules,
        left.unmeasured_nanoseconds - line.unmeasured_nanoseconds,
    )


def is_steady(before: Line, since: Line, value: int, at_ns: int) -> bool:
    """Whether two differences in a row are of one rate, and one that something could draw."""
    first, second = before.watts(since.microjoules, since.at_ns), since.watts(value, at_ns)
    low, high = min(first, second), max(first, second)
    return low > 0 and high <= min(_STEADY_FACTOR * low, MOST_WATTS)


def is_closer(left: Line, base: Line, value: int) -> bool:
    """Whether a value is nearer to where the counter would stand on the line it left."""
    return abs(value - left.covered_microjoules) < abs(value - base.covered_microjoules)


def from_reset(base: Line, since: Line, ceiling_watts: float) -> Line:
    """The line of a counter that was reset between `base` and `since`, from where nothing is booked yet.

    It begins at 0, so what it shows at `since` was drawn meanwhile, as far as the board can have drawn it; what was
    booked by other means up to then is not booked again.
    """
    more_uj = since.microjoules - (base.booked_microjoules - since.booked_microjoules)
    if more_uj <= 0 or not Line(0, base.at_ns).fits(since.microjoules, since.at_ns, ceiling_watts):
        return since
    return replace(since, microjoules=since.microjoules - more_uj, at_ns=base.at_ns)
