"""One client's connection, plain or secured, on an event loop: what is not there yet is waited for, never blocked on.

Not asyncio's own transports: their TLS keeps a quarter of a megabyte for every client, those that never speak too.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

_MOST_AT_ONCE = 65_536
#: What a client that speaks plain HTTP to a secured port gets to read.
_PLAIN_CLIENT = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 29\r\nConnection: close\r\n\r\nTLS is spoken here: https://\n"
)


class Wire:
    """A connected socket. One task uses it; it is closed when nobody waits on it."""

    def __init__(self, client: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        client.setblocking(False)
        self._socket, self._loop = client, loop

    async def secure(self, context: ssl.SSLContext) -> None:
        """Speak TLS from here on. Raises OSError when the client does not, or may not."""
        await self._until(is_readable=True)  # OpenSSL's 50 KB are for those who say something
        secured = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        self._socket = secured
        while True:
            try:
                secured.do_handshake()
                return
            except ssl.SSLWantReadError:
                await self._until(is_readable=True)
            except ssl.SSLWantWriteError:
                await self._until(is_readable=False)
            except ssl.SSLError as refusal:
                if refusal.reason == "HTTP_REQUEST":
                    with suppress(OSError):
                        socket.socket.send(secured, _PLAIN_CLIENT)  # below the TLS, as plain as the question
                raise

    def names(self) -> frozenset[str]:
        """The subject alternative names of the client's certificate; none without one."""
        shown = self._socket.getpeercert() if isinstance(self._socket, ssl.SSLSocket) else None
        return frozenset(str(name[1]) for name in (shown or {}).get("subjectAltName", ()))

    async def receive(self) -> bytes:
        """Some bytes, when there are; none when the client has said its last. Raises OSError when it left."""
        while True:
            try:
                return self._socket.recv(_MOST_AT_ONCE)
            except (BlockingIOError, InterruptedError, ssl.SSLWantReadError):
                await self._until(is_readable=True)
            except ssl.SSLWantWriteError:
                await self._until(is_readable=False)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    async def send(self, content: bytes, took: Callable[[], None]) -> None:
        """Hand all of it to the kernel, as fast as the client takes it. Raises OSError when it left.

        `took` is told each time that there was room for more of it, but not for all.
        """
        rest = memoryview(content)
        while rest:
            try:
                rest = rest[self._socket.send(rest[:_MOST_AT_ONCE]) :]
                if rest:
                    took()
            except (BlockingIOError, InterruptedError, ssl.SSLWantWriteError):
                await self._until(is_readable=False)
            except ssl.SSLWantReadError:
                await self._until(is_readable=True)

    async def finish(self) -> None:
        """Say that no more comes, and hear the client out: else it might lose what was sent."""
        if isinstance(self._socket, ssl.SSLSocket):
            with suppress(OSError, ValueError):  # it asks for the client's farewell, which is not waited for
                self._socket.unwrap()
        self._socket.shutdown(socket.SHUT_WR)
        while await self.receive():
            pass

    def close(self) -> None:
        """Let go of it."""
        with suppress(OSError):
            self._socket.close()

    async def _until(self, *, is_readable: bool) -> None:
        future = self._loop.create_future()
        descriptor = self._socket.fileno()
        if is_readable:
            self._loop.add_reader(descriptor, _wake, future)
        else:
            self._loop.add_writer(descriptor, _wake, future)
        try:
            await future
        finally:
            if is_readable:
                self._loop.remove_reader(descriptor)
            else:
                self._loop.remove_writer(descriptor)


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
