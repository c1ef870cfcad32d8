"""Who is connected: a bounded number, of which no address has more than half; who stands still longest makes room."""

import socket
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Literal, Protocol

#: `busy`: we owe it something; `waiting`: it owes us a request, or reading what it asked for.
State = Literal["busy", "waiting", "gone"]


class Guest(Protocol):
    """A client, as far as this goes."""

    def leave(self) -> None:
        """Close the connection, whatever is going on."""


class Crowd:
    """All clients, with where each comes from. Used by one event loop."""

    def __init__(self, most: int) -> None:
        """At most so many at the same time."""
        self._most = most
        self._origins: dict[Guest, str] = {}
        self._counts: Counter[str] = Counter()
        # In the order in which they last got on: who has stood still longest is first.
        self._waiting: dict[Guest, None] = {}
        self._busy: dict[Guest, None] = {}

    def __len__(self) -> int:
        return len(self._origins)

    def make_room(self) -> None:
        """Send away who has stood still longest; where all wait for us, who has done so longest."""
        self._send_away(chain(self._waiting, self._busy))

    def add(self, guest: Guest, peer: str) -> None:
        """One more client, that has yet to ask for something. It has the place of who is in its way."""
        origin = _origin(peer)
        if self._counts[origin] >= max(1, self._most // 2):
            self._send_away(each for each in chain(self._waiting, self._busy) if self._origins[each] == origin)
        elif len(self) >= self._most:
            self.make_room()
        self._origins[guest], self._waiting[guest] = origin, None
        self._counts[origin] += 1

    def move(self, guest: Guest, state: State) -> None:
        """What became of one: each time that it gets on, it is last to go again."""
        self._waiting.pop(guest, None)
        self._busy.pop(guest, None)
        if guest not in self._origins:
            return
        if state != "gone":
            (self._waiting if state == "waiting" else self._busy)[guest] = None
        else:
            origin = self._origins.pop(guest)
            self._counts[origin] -= 1
            if not self._counts[origin]:
                del self._counts[origin]

    def _send_away(self, candidates: Iterable[Guest]) -> None:
        guest = next(iter(candidates), None)
        if guest is not None:
            self.move(guest, "gone")
            guest.leave()


def _origin(peer: str) -> str:
    """An address, as one that a client cannot choose at will: of IPv6 the network, of which a machine has all."""
    if ":" not in peer:
        return peer
    try:
        return socket.inet_pton(socket.AF_INET6, peer.partition("%")[0])[:8].hex()
    except OSError:
        return peer
