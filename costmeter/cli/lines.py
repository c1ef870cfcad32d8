"""What goes to stdout and stderr, in what the streams behind them can show."""

import codecs
import io
import os
import sys
from collections.abc import Mapping

_FITTED = "costmeter"


def fit_streams() -> None:
    """From now on, whatever is printed is shown in ASCII where the stream is no UTF-8 or the locale is C.

    One place, so that no command can forget it. A second call changes nothing.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != _FITTED:
            is_plain = is_plain_locale(os.environ)
            if is_plain or stream.encoding.lower().replace("-", "") != "utf8":
                codecs.register_error(_FITTED, _in_ascii)
                stream.reconfigure(encoding="ascii" if is_plain else None, errors=_FITTED)


def is_plain_locale(environ: Mapping[str, str]) -> bool:
    """Whether somebody chose the C locale: Python writes UTF-8 all the same, to a terminal that may not show it."""
    return (environ.get("LC_ALL") or environ.get("LANG")) in ("C", "POSIX")


def _in_ascii(problem: UnicodeError) -> tuple[str, int]:
    """What stands for the characters that a stream cannot show."""
    from costmeter.outputs.style import in_ascii

    assert isinstance(problem, UnicodeEncodeError)
    return in_ascii(problem.object[problem.start : problem.end]), problem.end


def say(text: str) -> None:
    """A line of ours on stderr. A running job has `Voice` instead, which nobody's stderr holds up."""
    print(f"costmeter: {text}", file=sys.stderr)


def warn(text: str) -> None:
    """A warning on stderr."""
    say(f"warning: {text}")


def write_data(text: str) -> None:
    """Text that a program will read, as UTF-8 whatever the locale: it is data, and loses no letter."""
    sys.stdout.flush()
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        sys.stdout.write(text)
    else:
        binary.write(text.encode("utf-8"))
        binary.flush()
