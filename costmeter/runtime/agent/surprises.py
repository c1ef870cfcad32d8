"""What went wrong where nobody thought of it, in a thread or a library: a line in the log, once for each kind.

Python prints a traceback of it on stderr, again and again where it comes again; a log of months has no use for that.
"""

import logging
import threading
from collections.abc import Callable

#: So many kinds are told: more is a fault that makes up its own words.
_MOST_KINDS = 100


class Surprises(logging.Handler):
    """Tells them by `warn`."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._warn = warn
        self._told: set[tuple[str, str, str]] = set()

    def listen(self) -> None:
        """Hear of all that happens in this process from now on."""
        logging.getLogger().addHandler(self)
        threading.excepthook = self._died

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of what a library logs. Never raises."""
        fault = record.exc_info[1] if record.exc_info else None
        try:
            said = record.getMessage()
        except Exception:  # its words and its values do not fit each other
            said = str(record.msg)
        self._tell(record.name, str(record.msg), said, fault)

    def _died(self, args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread is not None else "a thread"
        self._tell(name, "", "ended by a fault", args.exc_value)

    def _tell(self, where: str, kind: str, said: str, fault: BaseException | None) -> None:
        told = where, kind, type(fault).__name__
        if told in self._told or len(self._told) >= _MOST_KINDS:
            return
        self._told.add(told)
        why = "" if fault is None else f": {type(fault).__name__}: {fault}"
        self._warn(" ".join(f"{where}: {said}{why}".split()))
