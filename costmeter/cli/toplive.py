"""The view that renews itself: the terminal's other screen, a few keys, and everything as it was when we go."""

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from costmeter.clock import RealClock
from costmeter.errors import CostmeterError
from costmeter.outputs.style import Style
from costmeter.outputs.top import View
from costmeter.units import NANOSECONDS_PER_SECOND

#: The other screen, no cursor, and lines that are cut rather than wrapped; and back.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _TO_LINE_END, _TO_END = "\x1b[H", "\x1b[K", "\x1b[J"
#: An agent that is upgraded is away for less.
_PATIENCE_NS = 15 * NANOSECONDS_PER_SECOND
_TERMINATING = (signal.SIGTERM, signal.SIGHUP)

Nodes = list[Any]
#: What makes the lines of one look.
Draw = Callable[[Nodes, Style, View], list[str]]


def show(look: Callable[[], Nodes], nodes: Nodes, seconds: float, style: Callable[[], Style], draw: Draw) -> int:
    """Show what `look` finds every so often until somebody quits; 0. Raises CostmeterError where nobody answers."""
    with _terminal() as terminal:
        return _View(look, nodes, seconds, style, draw, terminal).run()


class _Terminal:
    """The terminal while it is ours. `wakes` is readable when it changed its size or we went on after a stop."""

    def __init__(self, wakes: int) -> None:
        self.wakes = wakes
        self._keys: int | None = None
        self._before: list[Any] | None = None

    def enter(self) -> None:
        """Take it: keys come one by one where there is a keyboard."""
        import termios
        import tty

        try:
            self._before = termios.tcgetattr(sys.stdin.fileno())
            tty.setcbreak(sys.stdin.fileno())
            self._keys = sys.stdin.fileno()
        except (termios.error, OSError, ValueError, AttributeError):
            self._before = None
        self.write(_ENTER)

    def leave(self) -> None:
        """Give it back as it was."""
        import termios

        self.write(_LEAVE)
        if self._before is not None and self._keys is not None:
            termios.tcsetattr(self._keys, termios.TCSADRAIN, self._before)

    def write(self, text: str) -> None:
        """Text, at once and in one piece."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def key(self, seconds: float) -> str:
        """The next key; empty when there was none in that time, or something else is to be looked at."""
        sources = [self.wakes, *([] if self._keys is None else [self._keys])]
        ready, _, _ = select.select(sources, [], [], max(0.0, seconds))
        if self.wakes in ready:
            os.read(self.wakes, 512)
        if self._keys not in ready or self._keys is None:
            return ""
        typed = os.read(self._keys, 64).decode("ascii", "replace")
        if not typed:
            self._keys = None  # the keyboard has gone
        return typed[:1]


@contextmanager
def _terminal() -> Iterator[_Terminal]:
    """The terminal, ours; given back however we end, and while we are stopped."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    terminal = _Terminal(reader)

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    def stop(number: int, frame: object) -> None:
        terminal.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        terminal.enter()

    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGWINCH, lambda number, frame: None)
    signal.signal(signal.SIGTSTP, stop)
    for number in _TERMINATING:
        signal.signal(number, end)
    terminal.enter()
    try:
        yield terminal
    finally:
        terminal.leave()


class _View:
    """What is on the screen, and how it is looked at."""

    def __init__(
        self,
        look: Callable[[], Nodes],
        nodes: Nodes,
        seconds: float,
        style: Callable[[], Style],
        draw: Draw,
        terminal: _Terminal,
    ) -> None:
        self._look, self._nodes, self._style, self._lines, self._terminal = look, nodes, style, draw, terminal
        self._period_ns = round(seconds * NANOSECONDS_PER_SECOND)
        self._view = View()
        self._clock = RealClock()
        self._answered_ns = self._clock.boottime_ns()
        self._why = ""

    def run(self) -> int:
        """Until `q`."""
        next_ns = self._clock.boottime_ns() + self._period_ns
        while True:
            self._draw()
            key = self._terminal.key((next_ns - self._clock.boottime_ns()) / NANOSECONDS_PER_SECOND)
            if key == "q":
                return 0
            self._take(key)
            if self._clock.boottime_ns() >= next_ns:
                self._ask()
                next_ns = self._clock.boottime_ns() + self._period_ns

    def _take(self, key: str) -> None:
        if key == "s":
            self._view = replace(self._view, sort=self._view.next_sort)
        elif key == "i":
            self._view = replace(self._view, idle_only=not self._view.idle_only)

    def _ask(self) -> None:
        """Look again; who does not answer for a moment may be starting anew, and its last word stays."""
        try:
            self._nodes = self._look()
        except CostmeterError as refusal:
            if self._clock.boottime_ns() - self._answered_ns > _PATIENCE_NS:
                raise
            self._why = refusal.message
            return
        self._answered_ns, self._why = self._clock.boottime_ns(), ""

    def _draw(self) -> None:
        style = self._style()
        height = _height()
        room = max(2, (height - 1) // len(self._nodes) - (len(self._nodes) > 1))
        lines = self._lines(self._nodes, style, replace(self._view, lines=room))[: height - 1]
        shown = "".join(f"{line}{_TO_LINE_END}\r\n" for line in lines)
        only = "all" if self._view.idle_only else "idle only"
        keys = self._why or f"q quit  s sort by {self._view.next_sort}  i {only}"
        self._terminal.write(f"{_HOME}{shown}{keys[: style.width]}{_TO_LINE_END}{_TO_END}")


def _height() -> int:
    given = os.environ.get("LINES", "")
    if given.isascii() and given.isdigit() and int(given[:6]) > 2:
        return int(given[:6])
    try:
        return max(4, os.get_terminal_size(sys.stdout.fileno()).lines)
    except (OSError, ValueError):
        return 24
