"""The receipt as a person reads it: one screen of text, rendered from the receipt's JSON and nothing else."""

import shlex
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from costmeter.outputs.figures import carbon, duration, energy, gpu_hours, local_time, money, quantum, rounded
from costmeter.outputs.gpus import gpu_names as gpu_names
from costmeter.outputs.itemlines import item_lines
from costmeter.outputs.notelines import meter_lines, note_lines
from costmeter.outputs.sourcelines import Labelled, is_priced, source_lines

_BLOCKS = " ▏▎▍▌▋▊▉█"
_ASCII = str.maketrans(
    {"─": "-", "·": "|", "×": "x", "→": "-", "–": "-", "−": "-", "€": "EUR ", "£": "GBP ", "…": "...", "±": "+-"}
)
_BAR_CELLS = 16
_STATE_NOTES = {"busy": "", "idle": "still paid for", "unknown": "nobody knows"}
#: Narrower terminals get lines of this width, and no bars below that of the table with them.
MINIMUM_WIDTH = 64
_WIDTH_WITH_BARS = 80
_LABEL_WIDTH = 9
_NO_BREAK = "\u00a0"


@dataclass(frozen=True, slots=True)
class Style:
    """How to print: columns, whether the terminal knows UTF-8, whether it wants colour."""

    width: int = 80
    unicode: bool = True
    color: bool = False


def render(receipt: Mapping[str, Any], style: Style, unsaved: str = "", warnings: tuple[str, ...] = ()) -> str:
    """The whole receipt, newline at the end. `unsaved` is what is not on disk, `warnings` the faults found at start."""
    width = max(style.width, MINIMUM_WIDTH)
    labelled = [
        *source_lines(receipt),
        *item_lines(receipt, width - _LABEL_WIDTH - 1),
        *note_lines(receipt, warnings),
        *meter_lines(receipt, unsaved),
        *([] if unsaved else [("Again", f"costmeter report {receipt['run']['id']}")]),
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


def unadorned(line: str, style: Style) -> str:
    """A line that does nothing to a terminal but show text, whatever a command or a name contains."""
    shown = "".join(character if character.isprintable() else "?" for character in line.rstrip())
    return shown if style.unicode else in_ascii(shown)


def in_ascii(text: str) -> str:
    """The text for those who can show ASCII only: one table for every command. What it lacks is a question mark."""
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")


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
    run = receipt["run"]
    left = "── costmeter " + ("(simulated GPUs) " if receipt["simulated"] else "")
    right = f" {run['id']} · {_ending(run)} ──"
    return left + "─" * max(2, width - len(left) - len(right)) + right


def _ending(run: Mapping[str, Any]) -> str:
    outcome = run["outcome"]
    if run["signal"] is not None:
        return f"signal {run['signal']} ({outcome})"
    if run["exit_code"] is None:
        return str(outcome)
    return f"exit {run['exit_code']}" + ("" if outcome == "ok" else f" ({outcome})")


def _heading(receipt: Mapping[str, Any], width: int) -> Iterator[str]:
    run = receipt["run"]
    if run["command"] is not None:
        yield " " + _shortened(shlex.join(run["command"]), width - 4)
    facts = [run["name"], ", ".join(run["hosts"]), gpu_names(receipt["devices"])]
    facts += [_span(run["started_at"], run["ended_at"]), duration(run["seconds"])]
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


def _span(started_at: str, ended_at: str) -> str:
    start, end = local_time(started_at), local_time(ended_at)
    first = f"{start.day} {start:%b %Y %H:%M:%S}"
    last = f"{end:%H:%M:%S}" if start.date() == end.date() else f"{end.day} {end:%b %H:%M:%S}"
    return f"{first} → {last} {end:%Z}"


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _headline(receipt: Mapping[str, Any], width: int) -> Iterator[str]:
    total = Decimal(receipt["cost"]["total"])
    seconds = receipt["gpu_seconds"]
    held = sum(seconds.values())
    is_measured = bool(receipt["energy"]["methods"])
    figures = [
        money(total, receipt["currency"]) + _unpriced(receipt) if is_priced(receipt) else "no price",
        energy(receipt["energy"]["total_kwh"]) if is_measured else "energy not measured",
        carbon(receipt["emissions"]["total_grams"]) if is_measured else "CO2e not known",
        f"{100 * seconds['idle'] / held:.1f} % idle" if held and seconds["unknown"] < held else "activity not known",
    ]
    yield from _packed([figure.ljust(17) for figure in figures], "   ", "  ", width)


def _unpriced(receipt: Mapping[str, Any]) -> str:
    """What a total leaves out: GPUs that were held and whose price nobody knows."""
    prices, held = receipt["rates"]["gpu_per_hour"], [device for device in receipt["devices"] if device["seconds"]]
    left_out = sum(1 for device in held if not prices.get(device["uuid"]))
    return f", without {left_out} of {len(held)} GPUs" if left_out else ""


def _table(receipt: Mapping[str, Any], style: Style) -> Iterator[str]:
    if not receipt["devices"]:
        return
    seconds = {name: held for name, held in receipt["gpu_seconds"].items() if held} or {"busy": 0.0}
    exact = [Decimal(receipt["cost"]["states"][name]) for name in seconds]
    amounts, hours = rounded(exact, quantum(Decimal(receipt["cost"]["total"]))), gpu_hours(seconds.values())
    shares = _shares(exact if sum(exact) > 0 and min(exact) >= 0 else [Decimal(repr(s)) for s in seconds.values()])
    money_column = [f"{amount:,}" if is_priced(receipt) else "" for amount in (*amounts, sum(amounts))]
    yield f" {'Where it went':<13} {'GPU-h':>9} {receipt['currency'] if is_priced(receipt) else '':>10}     share"
    for name, hour, amount, share in zip(seconds, hours, money_column, shares, strict=False):
        bar = _bar(float(share) / 100, style).ljust(
            _BAR_CELLS // 2 if _STATE_NOTES[name] and style.width >= _WIDTH_WITH_BARS else 0
        )
        yield f" {name:<13} {hour:>9,} {amount:>10}   {share:>5} %  {bar}  {_STATE_NOTES[name]}"
    yield f" {'total':<13} {sum(hours):>9,} {money_column[-1]:>10}"


def _shares(parts: list[Decimal]) -> list[Decimal]:
    """Percentages that add up to 100."""
    whole = sum(parts)
    return rounded([100 * part / whole for part in parts] if whole else parts, Decimal("0.1"))


def _bar(share: float, style: Style) -> str:
    if style.width < _WIDTH_WITH_BARS:
        return ""
    if not style.unicode:
        return "#" * round(share * _BAR_CELLS)
    eighths = round(share * _BAR_CELLS * 8)
    return "█" * (eighths // 8) + _BLOCKS[eighths % 8].strip()
