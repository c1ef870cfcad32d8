"""One client of the server: its requests one after the other, each with a time limit. HTTP is h11's work."""

import asyncio
import socket
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from http import HTTPStatus

import h11

from costmeter import __version__
from costmeter.clock import Clock
from costmeter.outputs.httpcrowd import State
from costmeter.outputs.httppages import TEXT, Answer, Asked, Pages
from costmeter.outputs.httpwire import Wire

#: A client may take this long to shake hands over TLS, and again to say what it wants once it has begun.
CLIENT_SECONDS = 5.0
#: And this long to take what it asked for, of which without taking anything at all; and between two requests.
TAKING_SECONDS, STANDING_SECONDS, IDLE_SECONDS = 30.0, 5.0, 300.0
#: Making a page takes milliseconds; one that takes this long is given up on.
MAKING_SECONDS = 30.0
#: To who is sent away: time to read why.
_FAREWELL_SECONDS = 1.0
#: A request line with all headers, and a body, which nothing here reads.
MOST_HEADER_BYTES, _MOST_BODY_BYTES = 16_384, 65_536
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
#: What every answer has; a web configuration may set some of them otherwise.
_ALWAYS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "Server": f"costmeter/{__version__}",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
}


class Client:
    """A connection and the task that serves it. `moved` is told what becomes of it, lastly that it is gone."""

    __slots__ = (
        *("_clock", "_has_begun", "_http", "_is_local", "_loop", "_moved", "_pages", "_peer", "_task", "_timer"),
        *("_until_seconds", "_wire"),
    )

    def __init__(
        self,
        connection: socket.socket,
        peer: str,
        is_local: bool,
        loop: asyncio.AbstractEventLoop,
        pages: Pages,
        clock: Clock,
        moved: "Callable[[Client, State], None]",
    ) -> None:
        """`peer` is its address; `is_local` says that it came where only this machine gets."""
        self._peer, self._is_local = peer, is_local
        self._wire, self._loop = Wire(connection, loop), loop
        self._pages, self._clock, self._moved = pages, clock, moved
        self._has_begun, self._until_seconds = False, 0.0
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEADER_BYTES)
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to serve it."""
        self._task = self._loop.create_task(self._serve())

    def leave(self) -> None:
        """Close the connection, whatever is going on."""
        if self._task is not None:
            self._task.cancel()

    async def _serve(self) -> None:
        try:
            await self._converse()
        except (OSError, ValueError, h11.ProtocolError, asyncio.CancelledError):
            pass  # it left, was too slow, or talked nonsense: its loss
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._wire.close()
            self._task = None
            del self._http  # with all that it heard
            self._moved(self, "gone")

    def _within(self, seconds: float) -> None:
        """What comes next is over by then, or the connection is."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self.leave)

    async def _converse(self) -> None:
        self._within(CLIENT_SECONDS)
        await self._pages.refresh()
        settings = self._pages.settings
        if settings.context is not None:
            await self._wire.secure(settings.context)
            if settings.allowed_sans and not settings.allowed_sans & self._wire.names():
                return
        self._within(CLIENT_SECONDS)
        while (asked := await self._request()) is not None:
            self._moved(self, "busy")
            self._within(MAKING_SECONDS)
            await self._pages.refresh()
            answer = await self._pages.answer(asked)
            await self._give(answer, asked.method == "HEAD")
            if h11.DONE is not self._http.our_state or h11.DONE is not self._http.their_state:
                await self._finish()
                return
            self._http.start_next_cycle()
            self._moved(self, "waiting")
            asks_more = bool(self._http.trailing_data[0])
            self._within(CLIENT_SECONDS if asks_more else IDLE_SECONDS)
            if asks_more:
                await asyncio.sleep(0)  # others have a turn between its requests

    async def _finish(self) -> None:
        self._within(_FAREWELL_SECONDS)
        await self._wire.finish()

    # Reading

    async def _request(self) -> Asked | None:
        """The next request, its body read and dropped; None when there is none. Nonsense is answered at once."""
        asked, body_bytes, self._has_begun = None, 0, False
        try:
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    if asked is not None and self._http.they_are_waiting_for_100_continue:
                        return asked  # it would send a body if we asked for it
                    await self._hear()
                elif isinstance(event, h11.Request):
                    asked = self._asked(event)
                elif isinstance(event, h11.Data):
                    body_bytes += len(event.data)
                    if body_bytes > _MOST_BODY_BYTES:
                        return asked
                elif isinstance(event, h11.EndOfMessage):
                    return asked
                else:
                    return None
        except h11.RemoteProtocolError as nonsense:
            await self._refuse(nonsense)
            return None

    def _asked(self, request: h11.Request) -> Asked:
        headers: dict[str, str] = {}
        for name, value in request.headers:
            headers.setdefault(name.decode("ascii"), value.decode("latin-1"))
        path = request.target.decode("ascii", "replace")
        return Asked(request.method.decode("ascii"), path, headers, self._peer, self._is_local)

    async def _hear(self) -> None:
        """Some bytes of a request; from the first of them on the client has its seconds."""
        heard = await self._wire.receive()
        if not self._has_begun:
            self._within(CLIENT_SECONDS)
            self._has_begun = True
        self._http.receive_data(heard)

    async def _refuse(self, nonsense: h11.RemoteProtocolError) -> None:
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        status = HTTPStatus(nonsense.error_status_hint)
        text = f"{status.phrase.lower()}: {nonsense}\n".encode("utf-8", "replace")
        await self._give(Answer(status, TEXT, text), False)
        await self._finish()

    # Writing

    async def _give(self, answer: Answer, is_head: bool) -> None:
        self._pages.count(answer)
        headers = {**_ALWAYS, **self._pages.settings.headers}
        headers["Date"] = http_date(self._clock.utc_ns())
        headers["Content-Type"], headers["Content-Length"] = answer.kind, str(len(answer.body))
        headers.update(answer.headers)
        if self._http.their_state is not h11.DONE:  # there is more of its request than we read
            headers["Connection"] = "close"
        reason = answer.status.phrase.encode()
        response = h11.Response(status_code=answer.status.value, reason=reason, headers=list(headers.items()))
        head = self._http.send(response) or b""
        self._until_seconds = self._loop.time() + TAKING_SECONDS
        self._took()
        if is_head or not answer.body:
            await self._wire.send(head, self._took)
        else:
            pieces = self._http.send_with_data_passthrough(h11.Data(data=answer.body)) or []
            if len(answer.body) < MOST_HEADER_BYTES:
                await self._wire.send(b"".join((head, *pieces)), self._took)
            else:
                for piece in (head, *pieces):
                    await self._wire.send(piece, self._took)
        self._http.send(h11.EndOfMessage())

    def _took(self) -> None:
        """It takes what it asked for, and may go on so for a while."""
        self._moved(self, "waiting")
        self._within(min(STANDING_SECONDS, self._until_seconds - self._loop.time()))


def http_date(utc_ns: int) -> str:
    """An instant as HTTP writes it, whatever language this machine speaks."""
    at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=utc_ns // 1000)
    return f"{_DAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at.year} {at:%H:%M:%S} GMT"
