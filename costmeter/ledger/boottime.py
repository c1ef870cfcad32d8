"""The slots of a journal on CLOCK_BOOTTIME, which nobody sets, though their lines have the wall clock's time.

A meter's slots are numbered and follow each other without a hole. So the next one begins where the one before it ended,
and where its wall clock says otherwise that clock was set in between.
"""

from collections.abc import Sequence

from costmeter.clock import Anchor

_NONE_YET = -1


class BootTime:
    """Follows the slots of one journal, taken in order.

    Before the first slot, and where slots are missing, the wall clock counts as it stood: of a step among slots that
    are lost nobody knows how long it was.
    """

    def __init__(self) -> None:
        self._at = Anchor(0, 0)
        self._last = _NONE_YET

    def begins(self, anchor: Anchor) -> None:
        """The pair of clocks of the header."""
        self._at = anchor

    @property
    def last_ns(self) -> int | None:
        """When the last slot that was taken ended; None where there was none."""
        return None if self._last == _NONE_YET else self._at.boottime_ns

    def began_ns(self, number: int, start_utc_ns: int) -> int:
        """When a slot began that follows those taken."""
        follows = self._last != _NONE_YET and number == self._last + 1
        return self._at.boottime_ns if follows else self._at.boottime(start_utc_ns)

    def takes(self, number: int, start_utc_ns: int, length_ns: int) -> int:
        """Take a slot; when it began."""
        began_ns = self.began_ns(number, start_utc_ns)
        self._last, self._at = number, Anchor(began_ns + length_ns, start_utc_ns + length_ns)
        return began_ns

    def takes_all(self, first: int, starts_utc_ns: Sequence[int], lengths_ns: Sequence[int]) -> None:
        """Take slots that are numbered one after the other from `first`, at least one."""
        ended_ns = self.began_ns(first, starts_utc_ns[0]) + sum(lengths_ns)
        self._last, self._at = first + len(lengths_ns) - 1, Anchor(ended_ns, starts_utc_ns[-1] + lengths_ns[-1])
