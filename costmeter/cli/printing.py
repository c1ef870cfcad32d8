"""How commands print: the style a stream can show, and receipts as JSON files that are whole or not there."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from costmeter.cli.lines import is_plain_locale
from costmeter.cli.wholefile import replace
from costmeter.outputs.style import Style

_WIDEST = 100


def style(stream: TextIO, environ: Mapping[str, str], widest: int | None = _WIDEST) -> Style:
    """What a stream can show, by NO_COLOR, FORCE_COLOR, TERM, COLUMNS and the stream's own encoding.

    Text that is read is no wider than `widest`; None is as wide as there is room.
    """
    terminal = stream.isatty() and environ.get("TERM") != "dumb"
    color = (terminal and not environ.get("NO_COLOR")) or bool(environ.get("FORCE_COLOR"))
    width = _columns(stream, environ) if terminal else 80
    knows_utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8" and not is_plain_locale(environ)
    return Style(width if widest is None else min(width, widest), knows_utf8, color)


def _columns(stream: TextIO, environ: Mapping[str, str]) -> int:
    """COLUMNS where it is set, else what the terminal behind this very stream says."""
    given = environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given[:6]) > 0:
        return int(given[:6])
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def to_json(document: object) -> str:
    """JSON for stdout, indented, newline at the end: escaped where stdout shows no UTF-8, so that nothing is lost."""
    is_unicode = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
    return _json(document, is_ascii=not is_unicode)


def _json(document: object, is_ascii: bool) -> str:
    """Bytes of a command line that are no text become `\\udc…` escapes."""
    text = json.dumps(document, indent=2, ensure_ascii=is_ascii) + "\n"
    return text.encode("utf-8", "backslashreplace").decode()


def write_json(
    path: str, receipt: Mapping[str, Any], warn: Callable[[str], None], descriptor: int | None = None
) -> None:
    """Write a receipt to a file by rename, or into the open `descriptor` or the pipe that the path names."""
    text = _json(receipt, is_ascii=False)
    try:
        if descriptor is not None:
            with open(os.dup(descriptor), "w", encoding="utf-8") as stream:
                stream.write(text)
        elif os.path.exists(path) and not os.path.isfile(path):
            with open(path, "w", encoding="utf-8", opener=_opened_at_once) as stream:
                stream.write(text)
        else:
            replace(path, text, is_hasty=True)  # the end of a job waits for no disk
    except OSError as refusal:
        warn(f"--json {path}: not written: {refusal.strerror or refusal}")


def _opened_at_once(path: str, flags: int) -> int:
    """A named pipe that nobody reads would be waited for; it is refused instead."""
    descriptor = os.open(path, (flags | os.O_NONBLOCK) & ~(os.O_CREAT | os.O_TRUNC))
    os.set_blocking(descriptor, True)
    return descriptor
