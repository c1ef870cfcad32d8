"""Where a run's money and time went: rows that add up, by phase where the run told of any, else by state.

Idle time is a row for each reason, where reasons are known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from costmeter.meter.idling import UNEXPLAINED
from costmeter.outputs.figures import gpu_hours, quantum, rounded
from costmeter.outputs.idlewords import short

#: More phases than this are shown as one row: a screen is for reading.
PHASES_SHOWN = 12
#: Idle is told of a phase from this share of its time on, and from the other on as all of it.
_IDLE_FROM, _IDLE_THROUGHOUT = 0.05, 0.95
#: Reasons that took less of the run's time and money than this are shown as one.
_REASON_FROM, _OTHER_IDLE = Decimal("0.005"), "other idle"


#: Words that a row by its own right has, in this table or in the one by state.
_TAKEN = ("total", "busy", "idle", "unknown")


def row_name(phase: str) -> str:
    """What the row of a phase is called: its name, told apart from the rows that everybody has."""
    return f"{phase} (phase)" if phase in _TAKEN else phase


@dataclass(frozen=True, slots=True)
class Row:
    """One row: GPU-hours, money in the receipt's currency, and its share of the whole in per cent.

    `busy`, `idle` and `unknown` are the states' shares of its time.
    """

    name: str
    hours: Decimal
    amount: Decimal
    share: Decimal
    busy: float
    idle: float
    unknown: float

    @property
    def idle_note(self) -> str:
        """How much of a phase was idle, as people say it; empty where that is not worth a word."""
        if self.idle >= _IDLE_THROUGHOUT:
            return "idle"
        return f"{100 * self.idle:.0f} % idle" if self.idle >= _IDLE_FROM else ""


@dataclass(frozen=True, slots=True)
class Where:
    """The rows, whose hours, amounts and shares add up to these and to 100; `by` is `phase` or `state`."""

    by: str
    rows: tuple[Row, ...]
    hours: Decimal
    amount: Decimal

    def note(self, row: Row, paid_for: str = "") -> str:
        """What is to be known of a row: what a state means, how much of a phase was idle, and `paid_for`."""
        if self.by == "state":
            return _STATE_NOTES.get(row.name, f"idle{paid_for}")
        return f"{row.idle_note}{paid_for}" if row.idle_note else ""


_STATE_NOTES = {"busy": "", "idle": "still paid for", "unknown": "nobody knows"}


def where_it_went(receipt: Mapping[str, Any]) -> Where:
    """The table of a receipt with GPUs, figures rounded by largest remainder."""
    pieces = _phases(receipt["phases"]) if receipt["phases"] else _states(receipt)
    exact = [amount for _, amount, _ in pieces]
    seconds = [sum(states.values()) for _, _, states in pieces]
    amounts, hours = rounded(exact, quantum(Decimal(receipt["cost"]["total"]))), gpu_hours(seconds)
    shares = _shares(exact if sum(exact) > 0 and min(exact) >= 0 else [Decimal(repr(held)) for held in seconds])
    rows = tuple(
        Row(name, hour, amount, share, *_split(states))
        for (name, _, states), hour, amount, share in zip(pieces, hours, amounts, shares, strict=True)
    )
    return Where("phase" if receipt["phases"] else "state", rows, sum(hours, Decimal(0)), sum(amounts, Decimal(0)))


#: A name, its exact amount, and its GPU-seconds by state.
_Piece = tuple[str, Decimal, Mapping[str, float]]


def _states(receipt: Mapping[str, Any]) -> list[_Piece]:
    costs = {name: Decimal(cost) for name, cost in receipt["cost"]["states"].items()}
    # Energy of an instant costs something, too: no row is left out that has money in it.
    held = {name: seconds for name, seconds in receipt["gpu_seconds"].items() if seconds or costs[name]}
    found: list[_Piece] = []
    for name, seconds in (held or {"busy": 0.0}).items():
        is_explained = name == "idle" and receipt["idle_reasons"].keys() - {UNEXPLAINED}
        found += _reasons(receipt) if is_explained else [(name, costs[name], {name: seconds})]
    return found


def _reasons(receipt: Mapping[str, Any]) -> list[_Piece]:
    """Idle time by reason, the costliest first; several that are next to nothing as one."""
    held, cost = Decimal(repr(sum(receipt["gpu_seconds"].values()))), abs(Decimal(receipt["cost"]["total"]))
    pieces: list[_Piece] = []
    small: list[_Piece] = []
    for reason, seconds in receipt["idle_reasons"].items():
        amount = Decimal(receipt["idle_costs"][reason])
        is_small = abs(amount) < _REASON_FROM * cost and Decimal(repr(seconds)) < _REASON_FROM * held
        (small if is_small else pieces).append((short(reason), amount, {"idle": seconds}))
    if len(small) < 2:
        return [*pieces, *small]
    together = sum(states["idle"] for _, _, states in small)
    return [*pieces, (_OTHER_IDLE, sum((amount for _, amount, _ in small), Decimal(0)), {"idle": together})]


def _phases(phases: Sequence[Mapping[str, Any]]) -> list[_Piece]:
    """The phases in order of first appearance; where they are too many, the costliest, and the others as one."""
    pieces = [(row_name(phase["name"]), Decimal(phase["cost"]), phase["gpu_seconds"]) for phase in phases]
    if len(pieces) <= PHASES_SHOWN:
        return pieces
    shown = sorted(pieces, key=lambda piece: abs(piece[1]), reverse=True)[: PHASES_SHOWN - 1]
    others = [piece for piece in pieces if piece not in shown]
    together = {state: sum(states[state] for _, _, states in others) for state in ("busy", "idle", "unknown")}
    cost = sum((amount for _, amount, _ in others), Decimal(0))
    return [*(piece for piece in pieces if piece in shown), (f"{len(others)} others", cost, together)]


def _shares(parts: list[Decimal]) -> list[Decimal]:
    """Percentages that add up to 100."""
    whole = sum(parts)
    return rounded([100 * part / whole for part in parts] if whole else parts, Decimal("0.1"))


def _split(states: Mapping[str, float]) -> tuple[float, float, float]:
    held = sum(states.values())
    busy, idle, unknown = (states.get(state, 0.0) / held if held else 0.0 for state in ("busy", "idle", "unknown"))
    return busy, idle, unknown
