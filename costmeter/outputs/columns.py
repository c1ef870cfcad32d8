"""Text in columns: tables, and labelled texts folded under their own beginning."""

import re
import textwrap
from collections.abc import Iterable, Sequence

_LEAST_WIDTH = 24
_BETWEEN = "   "
_APART = re.compile(" {2,}")
_NO_BREAK = "\N{NO-BREAK SPACE}"


def columns(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Lines in which every column starts where its widest cell allows, two blanks apart.

    The columns of `right` end together instead.
    """
    if not rows:
        return []
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def shortened(text: str, room: int, cut: str) -> str:
    """A text that takes no more room; `cut` stands for an end that is left out."""
    return text if len(text) <= room else text[: max(0, room - len(cut))] + cut


def fitted(
    rows: Sequence[Sequence[str]], right: frozenset[int], least: Iterable[tuple[int, int]], width: int, cut: str
) -> list[list[str]]:
    """Rows with their longest texts cut until the lines of `columns` fit, as far as that goes.

    `least` are the columns that may be cut, in this order, and how many characters of each stay.
    """
    fitting = [list(row) for row in rows]
    for column, stays in least:
        too_long = max(map(len, columns(fitting, right)), default=0) - width
        if too_long > 0:
            room = max(stays, max(len(row[column]) for row in fitting) - too_long)
            for row in fitting:
                row[column] = shortened(row[column], room, cut)
    return fitting


def packed(pieces: Sequence[str], width: int) -> list[str]:
    """As many pieces in a line as it holds, three blanks apart; none is cut."""
    lines = [pieces[0]]
    for piece in pieces[1:]:
        together = f"{lines[-1]}{_BETWEEN}{piece}"
        if len(together) > width:
            lines.append(piece)
        else:
            lines[-1] = together
    return lines


def folded(label: str, text: str, width: int) -> list[str]:
    """A text after its label, folded at blanks under its own beginning; a number keeps its per cent.

    Words are never cut, and on a very narrow terminal a text still has room.
    """
    room = max(width - len(label), _LEAST_WIDTH)
    lines = textwrap.wrap(
        text.replace(" %", f"{_NO_BREAK}%"), room, break_long_words=False, break_on_hyphens=False
    ) or [""]
    starts = [label, *(" " * len(label) for _ in lines[1:])]
    return [(start + line).replace(_NO_BREAK, " ").rstrip() for start, line in zip(starts, lines, strict=True)]


def flowing(text: str) -> str:
    """A line of columns where there are none to keep: what stood apart is parted by dots."""
    return _APART.sub(" · ", text.strip())
