"""Watched quantities: sizes and counters looked at now and then, as integers that only grow."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

#: Bytes an interface has sent and received.
Traffic = tuple[int, int]


@dataclass(frozen=True, slots=True)
class StorageUse:
    """Byte-nanoseconds of a size that is looked at now and then; between two looks it is a straight line.

    `at_ns` is up to when it is booked, at first the spawn. Before the first look, which is made as soon as the meter
    runs, the size is what that look found. Twice the byte-nanoseconds are kept, so that halves are exact and a look at
    any point of the line changes no sum.
    """

    at_ns: int
    size_bytes: int | None = None
    doubled: int = 0

    @property
    def byte_nanoseconds(self) -> int | None:
        """What is booked so far, rounded down; None before any look. Never falls."""
        return None if self.size_bytes is None else self.doubled // 2

    def looked(self, at_ns: int, size_bytes: int) -> "StorageUse":
        """A look found this size at an instant; one that is not after the last only corrects the size."""
        before_bytes = size_bytes if self.size_bytes is None else self.size_bytes
        passed_ns = max(0, at_ns - self.at_ns)
        doubled = self.doubled + (before_bytes + size_bytes) * passed_ns
        return replace(self, at_ns=max(self.at_ns, at_ns), size_bytes=size_bytes, doubled=doubled)

    def held(self, at_ns: int) -> "StorageUse":
        """No look came back: the last known size holds up to an instant; nothing is booked where there is none."""
        return self if self.size_bytes is None else self.looked(at_ns, self.size_bytes)


@dataclass(frozen=True, slots=True)
class TrafficUse:
    """Bytes that passed some interfaces since the first look at each, by what their counters gained.

    A counter that fell was reset, and gained what it shows since. An interface that goes keeps what it gained.
    """

    last: Mapping[str, Traffic] = field(default_factory=dict)
    sent_bytes: int = 0
    received_bytes: int = 0

    def looked(self, now: Mapping[str, Traffic]) -> "TrafficUse":
        """The interfaces' counters, read once more."""
        gains = [_gain(self.last[name], counts) for name, counts in now.items() if name in self.last]
        return TrafficUse(
            {**self.last, **now},
            self.sent_bytes + sum(sent for sent, _ in gains),
            self.received_bytes + sum(received for _, received in gains),
        )


def _gain(before: Traffic, now: Traffic) -> Traffic:
    sent, received = (new - old if new >= old else new for old, new in zip(before, now, strict=True))
    return sent, received
