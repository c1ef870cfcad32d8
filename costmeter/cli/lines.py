"""Lines on stdout, in what the stream behind it can show."""

import os
import sys
from collections.abc import Iterable

#: What stands for a character on a terminal that knows only ASCII; the rest becomes question marks.
_ASCII = str.maketrans({"×": "x", "−": "-", "–": "-", "±": "", "£": "GBP ", "€": "EUR "})


def write_lines(lines: Iterable[str]) -> None:
    """Print each line; in ASCII where the stream is no UTF-8 or the locale is C."""
    from costmeter.cli.printing import style

    is_unicode = style(sys.stdout, os.environ).unicode
    for line in lines:
        print(line if is_unicode else line.translate(_ASCII).encode("ascii", "replace").decode("ascii"))
