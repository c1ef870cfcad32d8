"""Memory of many clients, given back once they have gone: glibc keeps it for itself unless asked (malloc_trim(3))."""

import ctypes
import gc
from contextlib import suppress

#: Fewer clients leave nothing behind that is worth it.
_MANY, _SHARE = 100, 10


class Tide:
    """How many clients there were, and whether they have gone."""

    def __init__(self) -> None:
        self._peak = 0

    def has_gone_out(self, count: int) -> bool:
        """Whether a tenth is left of many clients: said once of each time that there were many."""
        self._peak = max(self._peak, count)
        has_gone = self._peak >= _MANY and count < self._peak // _SHARE
        if has_gone:
            self._peak = count
        return has_gone


def give_back() -> None:
    """Give back what is free; some milliseconds. Where there is no glibc, nothing happens."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
