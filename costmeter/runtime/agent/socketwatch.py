"""Looks after the file of the agent's socket: where somebody cleans its folder, nobody finds the agent any more.

A socket whose file is gone hears nobody new and says nothing of it, and a lock whose file is gone keeps nobody out. So
both are looked for every few seconds, and made again.
"""

import socket
from collections.abc import Callable

from costmeter.errors import CostmeterError
from costmeter.runtime.agent.socketfile import SocketFile
from costmeter.units import NANOSECONDS_PER_SECOND

#: A socket that is gone is noticed within so long: connections of those who announce wait a little longer.
EVERY_NS = 3 * NANOSECONDS_PER_SECOND


class SocketWatch:
    """Watches one socket's file. `lock` makes its lock anew where that is gone, and raises where it cannot.

    `warn` is told once that it was gone, and once why it cannot be made again.
    """

    def __init__(self, file: SocketFile, lock: Callable[[], None], warn: Callable[[str], None]) -> None:
        self._file, self._lock, self._warn = file, lock, warn
        self._looked_ns: int | None = None
        self.is_lost = False

    def listened(self, now_ns: int) -> socket.socket | None:
        """The new socket, where the old one's file is gone and another could be made."""
        if self._looked_ns is not None and now_ns - self._looked_ns < EVERY_NS:
            return None
        self._looked_ns = now_ns
        try:
            self._lock()
            if self._file.is_there():
                self.is_lost = False
                return None
            listener = self._file.listen()
        except (OSError, CostmeterError) as refusal:
            self._tell_lost(getattr(refusal, "strerror", None) or getattr(refusal, "message", None) or str(refusal))
            return None
        self._warn(f"{self._file.path} was removed; it was made again, and runs that begin are heard")
        self.is_lost = False
        return listener

    def _tell_lost(self, why: str) -> None:
        if not self.is_lost:
            self._warn(f"runs that begin are not heard: {self._file.path} was removed and cannot be made again: {why}")
            self.is_lost = True
