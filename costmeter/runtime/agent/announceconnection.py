"""One connection to the agent's socket: of whom it is by the kernel's word, and what he sent that is not read yet."""

import contextlib
import socket

from costmeter.runtime.agent.announcedruns import Session
from costmeter.runtime.agent.announceline import LONGEST_LINE
from costmeter.runtime.agent.peer import peer

#: A connection may send so much at once, and so much more every second: a state has a few hundred bytes.
BYTES_AT_ONCE, BYTES_AGAIN = 2 * LONGEST_LINE, 4_096


class Connection:
    """One who has connected: what the kernel says of him, what he sent, and the run that he announced."""

    __slots__ = ("buffer", "bytes_left", "is_unanswered", "opened_ns", "pid", "session", "socket", "uid")

    def __init__(self, connected: socket.socket, opened_ns: int) -> None:
        self.socket, self.opened_ns = connected, opened_ns
        self.pid, self.uid = peer(connected)
        self.buffer = bytearray()
        self.bytes_left = BYTES_AT_ONCE
        self.session: Session | None = None
        self.is_unanswered = False

    def answer(self, line: bytes) -> None:
        """Answer, where there is room for it: who does not read his answers misses them."""
        with contextlib.suppress(OSError):
            self.socket.send(line, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
