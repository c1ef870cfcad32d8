"""For how long a GPU was seen to be idle in its spell, and to compute in between."""

from dataclasses import dataclass

from costmeter.meter.interval import Interval


@dataclass(frozen=True, slots=True)
class IdleTimes:
    """Times of one spell, in nanoseconds, as far as somebody watched: what it did in between is in neither."""

    idle_ns: int = 0
    busy_ns: int = 0

    def after(self, interval: Interval) -> "IdleTimes":
        """With one interval more."""
        length_ns = interval.end_ns - interval.start_ns
        if interval.state == "idle":
            return IdleTimes(self.idle_ns + length_ns, self.busy_ns)
        if interval.state == "busy":
            return IdleTimes(self.idle_ns, self.busy_ns + length_ns)
        return self

    def __sub__(self, other: "IdleTimes") -> "IdleTimes":
        """What is more than others; never below 0."""
        return IdleTimes(max(0, self.idle_ns - other.idle_ns), max(0, self.busy_ns - other.busy_ns))
