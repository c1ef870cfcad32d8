"""Our own lines on stderr while a command runs: past its own text, and past whatever holds it up.

Imported before the job starts, so it imports nothing that is not there already.
"""

import os
import sys
import threading


class Voice:
    """Our lines on stderr, written by a thread of their own: a stderr that nobody reads holds up nothing else."""

    def __init__(self, quiet: bool, program: str = "costmeter") -> None:
        self._quiet, self._program = quiet, program
        from queue import SimpleQueue  # not before the launch

        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="costmeter-voice", daemon=True)
        self._writer.start()

    def say(self, text: str) -> None:
        """A line for who did not ask for quiet."""
        if not self._quiet:
            self._lines.put(f"{self._program}: {text}\n")

    def tell(self, text: str) -> None:
        """A line for everybody that is no warning."""
        self._lines.put(f"{self._program}: {text}\n")

    def warn(self, text: str) -> None:
        """A warning, for everybody."""
        self._lines.put(f"{self._program}: warning: {text}\n")

    def print(self, text: str) -> None:
        """Text as it is."""
        self._lines.put(text)

    def close(self, seconds: float) -> None:
        """Wait until all is written, or for so long."""
        self._lines.put(None)
        self._writer.join(max(0.0, seconds))

    def _write_all(self) -> None:
        while (text := self._lines.get()) is not None:
            write(text)


def write(text: str) -> None:
    """Write to stderr, past Python's buffer and its lock; a stderr that is closed or broken changes nothing."""
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    left = text.encode(encoding, "backslashreplace")
    try:
        while left:
            left = left[os.write(2, left) :]
    except OSError:
        return
