"""The receipt as a person reads it: one screen of text, rendered from the receipt's JSON and nothing else."""

import shlex
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from costmeter.outputs.again import HERE, Asked, report_command, what_if_commands
from costmeter.outputs.columns import shortened
from costmeter.outputs.figures import duration
from costmeter.outputs.gpus import gpu_names as gpu_names
from costmeter.outputs.heading import ending, headline, span
from costmeter.outputs.idlereasons import idle_lines, tip_lines
from costmeter.outputs.itemlines import item_lines
from costmeter.outputs.notelines import meter_lines, note_lines, part_lines
from costmeter.outputs.sourcelines import Labelled, is_priced, source_lines
from costmeter.outputs.style import MINIMUM_WIDTH, Style, unadorned
from costmeter.outputs.unitlines import unit_lines
from costmeter.outputs.where import Row, Where, where_it_went

_BLOCKS = " ▏▎▍▌▋▊▉█"
_BAR_CELLS = 16
_HALF = 50
_NAME_WIDTH, _LONGEST_NAME, _LONGEST_REASON = 13, 16, 18
_WIDTH_WITH_BARS = 80
_LABEL_WIDTH = 9
_SHORTEST_RULE = 2
#: An id of which less is left tells no run from another.
_SHORTEST_ID = 12
_NO_BREAK = "\u00a0"


def render(
    receipt: Mapping[str, Any],
    style: Style,
    unsaved: str = "",
    warnings: tuple[str, ...] = (),
    asked: Asked = HERE,
) -> str:
    """The whole receipt, newline at the end. `unsaved` is what is not on disk, `warnings` the faults found at start."""
    width = max(style.width, MINIMUM_WIDTH)
    labelled = [
        *part_lines(receipt),
        *idle_lines(receipt),
        *source_lines(receipt),
        *item_lines(receipt, width - _LABEL_WIDTH - 1),
        *unit_lines(receipt),
        *tip_lines(receipt),
        *note_lines(receipt, warnings),
        *meter_lines(receipt, unsaved),
        *([] if unsaved else _next(receipt, asked)),
    ]
    above = [_frame(receipt, width), *_heading(receipt, width), ""]
    below = ["", *_table(receipt, style), *wrapped(labelled, width)]
    headline = [unadorned(line, style) for line in _headline(receipt, width)]
    lines = [
        *(unadorned(line, style) for line in above),
        *(f"\x1b[1m{line}\x1b[0m" if style.color else line for line in headline),
        *(unadorned(line, style) for line in below),
    ]
    return "\n".join(lines) + "\n"


def wrapped(labelled: Iterable[Labelled], width: int) -> Iterator[str]:
    """Labelled lines, folded at blanks under their own beginning; a number keeps its per cent."""
    for label, text in labelled:
        text = text.replace(" %", _NO_BREAK + "%")
        first, *rest = textwrap.wrap(
            text, width - _LABEL_WIDTH - 1, break_long_words=False, break_on_hyphens=False
        ) or [""]
        for line in (f" {label:<{_LABEL_WIDTH}}{first}", *(" " * (_LABEL_WIDTH + 1) + line for line in rest)):
            yield line.replace(_NO_BREAK, " ")


def _frame(receipt: Mapping[str, Any], width: int) -> str:
    """The rule above everything, in as many words as there is room for; the id stands below once more."""
    run = receipt["run"]
    mark, said = "(simulated GPUs) " if receipt["simulated"] else "", ending(run)
    short = mark.replace(" GPUs", "")
    # How the run ended stands nowhere else, so sooner than that the id gives way.
    for simulated, ended, enough in (
        (mark, said, len(run["id"])),
        (short, said, len(run["id"])),
        (short, said, _SHORTEST_ID),
        (short, str(run["outcome"]), 0),
    ):
        left, right = f"── costmeter {simulated}", f" · {ended} ──"
        room = width - len(left) - len(right) - 1 - _SHORTEST_RULE
        if room >= enough:
            break
    right = f" {shortened(run['id'], max(room, 1), '…')}{right}"
    return left + "─" * max(_SHORTEST_RULE, width - len(left) - len(right)) + right


def _heading(receipt: Mapping[str, Any], width: int) -> Iterator[str]:
    run = receipt["run"]
    if run["command"] is not None:
        yield " " + shortened(shlex.join(run["command"]), width - 4, "…")
    facts = [run["name"], ", ".join(run["hosts"]), gpu_names(receipt["devices"])]
    facts += [span(run["started_at"], run["ended_at"]), duration(run["seconds"])]
    yield from _packed(filter(None, facts), " ", " · ", width)


def _packed(pieces: Iterable[str], margin: str, between: str, width: int) -> Iterator[str]:
    """Pieces in as few lines as hold them, in order."""
    line = ""
    for piece in pieces:
        longer = f"{line}{between}{piece}" if line else margin + piece
        if line and len(longer.rstrip()) > width:
            yield line
            longer = margin + piece
        line = longer
    yield line


def _headline(receipt: Mapping[str, Any], width: int) -> Iterator[str]:
    yield from _packed([figure.ljust(17) for figure in headline(receipt)], "   ", "  ", width)


def _table(receipt: Mapping[str, Any], style: Style) -> Iterator[str]:
    if not receipt["devices"]:
        return
    where, is_money = where_it_went(receipt), is_priced(receipt)
    longest = _LONGEST_REASON if where.by == "state" else _LONGEST_NAME
    width = max(_NAME_WIDTH, min(longest, max(len(row.name) for row in where.rows)))
    yield f" {'Where it went':<{width}} {'GPU-h':>9} {receipt['currency'] if is_money else '':>10}     share"
    notes = [_row_note(row, where, style) for row in where.rows]
    is_crowded = any(note and row.share > _HALF for row, note in zip(where.rows, notes, strict=True))
    for row, note in zip(where.rows, notes, strict=True):
        amount = f"{row.amount:,}" if is_money else ""
        bar = _bar(float(row.share) / 100, style, _BAR_CELLS // 2 if is_crowded else _BAR_CELLS)
        bar = bar.ljust(_BAR_CELLS // 2 if note and style.width >= _WIDTH_WITH_BARS else 0)
        name = shortened(row.name, width, "…")
        yield f" {name:<{width}} {row.hours:>9,} {amount:>10}   {row.share:>5} %  {bar}  {note}"
    yield f" {'total':<{width}} {where.hours:>9,} {f'{where.amount:,}' if is_money else '':>10}"


def _row_note(row: Row, where: Where, style: Style) -> str:
    return where.note(row, ", paid for" if style.width >= _WIDTH_WITH_BARS else "")


def _next(receipt: Mapping[str, Any], asked: Asked) -> Iterator[Labelled]:
    """What to type next."""
    yield "Again", f"{report_command(receipt, asked)} [--html]"
    for command in what_if_commands(receipt, asked):
        yield "Compare", command


def _bar(share: float, style: Style, cells: int) -> str:
    if style.width < _WIDTH_WITH_BARS:
        return ""
    if not style.unicode:
        return "#" * round(share * cells)
    eighths = round(share * cells * 8)
    return "█" * (eighths // 8) + _BLOCKS[eighths % 8].strip()
