"""A thread that works for an event loop, one piece of work after the other; it keeps no process from ending."""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")


class Busy(Exception):
    """So much is waiting already that more is refused."""


class Worker:
    """One daemon thread, started with the first piece of work."""

    def __init__(self, name: str, most: int) -> None:
        """At most `most` pieces of work wait or are being done."""
        self._name, self._most = name, most
        self._pending = 0  # touched by the loop's thread alone
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._is_started = False

    async def do(self, work: Callable[[], _T]) -> _T:
        """What the work returns, or raises. Raises Busy when too much is waiting. Cancelled, the work is still done."""
        if self._pending >= self._most:
            raise Busy
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()
        future.add_done_callback(_look_at_failure)

        def task() -> None:
            result: Any = None
            failure: Exception | None = None
            try:
                result = work()
            except Exception as problem:
                failure = problem
            with suppress(RuntimeError):  # the loop is gone, and with it who asked
                loop.call_soon_threadsafe(self._give, future, result, failure)

        self._start()
        self._pending += 1
        self._tasks.put(task)
        return await asyncio.shield(future)

    def _give(self, future: "asyncio.Future[Any]", result: object, failure: Exception | None) -> None:
        self._pending -= 1
        if failure is not None:
            future.set_exception(failure)
        else:
            future.set_result(result)

    def _start(self) -> None:
        if not self._is_started:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
            self._is_started = True

    def _work(self) -> None:
        while True:
            self._tasks.get()()


def _look_at_failure(future: "asyncio.Future[Any]") -> None:
    """A failure that nobody waits for any more is no news on a terminal."""
    if not future.cancelled():
        future.exception()
