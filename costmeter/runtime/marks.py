"""Marks: what happened to a run, written so that a device that flaps at every tick does not fill the disk."""

from collections import Counter
from collections.abc import Callable

from costmeter.ledger.record import Mark, MarkKind

#: The same fault of the same device is written so often; how often it came in all is told at the end.
REPEATS_WRITTEN = 3
#: Faults written to one journal; what happens to a device after so many of them is in its quantities.
MARKS_WRITTEN = 2_000


class Marks:
    """Writes marks by `record`, at the time that `now_utc_ns` tells."""

    def __init__(self, record: Callable[[Mark], None], now_utc_ns: Callable[[], int]) -> None:
        self._record, self._now_utc_ns = record, now_utc_ns
        self._written = 0
        self._said: Counter[tuple[str, str]] = Counter()

    def note(self, kind: MarkKind, what: str, uuid: str) -> None:
        """Write a mark, unless it is a fault that was written often enough."""
        if kind == "fault":
            if len(self._said) >= MARKS_WRITTEN and (uuid, what) not in self._said:
                return
            self._said[uuid, what] += 1
            if self._said[uuid, what] > REPEATS_WRITTEN or self._written >= MARKS_WRITTEN:
                return
        self._written += 1
        self._record(Mark(self._now_utc_ns(), kind, what, uuid))

    def close(self) -> None:
        """Write how often in all, of every fault that came too often to be written each time."""
        at_utc_ns = self._now_utc_ns()
        for (uuid, what), times in self._said.items():
            if times > REPEATS_WRITTEN:
                self._record(Mark(at_utc_ns, "fault", f"{what} ({times} times in all)", uuid))
