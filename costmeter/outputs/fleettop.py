"""What a fleet does now, as one screen of text: idle GPUs and who holds them first, then runs, then nodes."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from costmeter.feeds.promfleet import Fleet, FleetRun, IdleHolder, Node
from costmeter.outputs.columns import columns, fitted, packed
from costmeter.outputs.figures import money, plain, quantum, rounded
from costmeter.outputs.receipt import timestamp
from costmeter.outputs.style import MINIMUM_WIDTH, Style, unadorned
from costmeter.outputs.top import View
from costmeter.units import NANOSECONDS_PER_SECOND

SCHEMA = "costmeter.fleet/1"
_BLANK = "–"
_SHOWN = 3
_LEAST_ROOM = 8
#: Of a screen without a limit so many rows of each table are shown: the rest are summed in its last line.
_ROWS = 20


def document(found: Sequence[Fleet], where: str) -> dict[str, Any]:
    """Everything as data: money as text, per hour."""
    return {
        "schema": SCHEMA,
        "source": where,
        "fleets": [
            {
                "currency": fleet.currency,
                "at": timestamp(int(fleet.at_seconds * NANOSECONDS_PER_SECOND)),
                "now": {
                    "per_hour": plain(fleet.per_hour()),
                    "idle_per_hour": plain(fleet.per_hour("idle")),
                    "unheld_per_hour": plain(fleet.per_hour("unheld")),
                    "gpus": fleet.gpus(),
                    "idle_without_holder": fleet.idle_without_holder,
                },
                "nodes": [_node(node) for node in fleet.nodes],
                "idle": [_fields(each) for each in fleet.idle],
                "runs": [_fields(each) for each in fleet.runs],
                "silent": list(fleet.silent),
                "unknown": list(fleet.unknown),
                "partial": list(fleet.partial),
            }
            for fleet in found
        ],
    }


def _node(node: Node) -> dict[str, Any]:
    return {
        "instance": node.instance,
        "cluster": node.cluster or None,
        "per_hour": {state: plain(amount) for state, amount in node.per_hour.items()},
        "gpus": {state: float(count) for state, count in node.gpus.items()},
    }


def _fields(each: IdleHolder | FleetRun) -> dict[str, Any]:
    """A flat record as data; an empty text is nothing."""
    values = asdict(each).items()
    return {
        name: plain(value) if isinstance(value, Decimal) else value if isinstance(value, bool) else (value or None)
        for name, value in values
    }


def fleet(found: Fleet, style: Style, view: View) -> list[str]:
    """The lines of the screen. Rows that are too many are summed in a last row."""
    width = max(style.width, MINIMUM_WIDTH)
    lines = list(_first_lines(found, width))
    tables = [_idle_rows(found)] if view.idle_only else [_idle_rows(found), _run_rows(found), _node_rows(found, view)]
    room = _ROWS if view.lines is None else max(0, (view.lines - len(lines)) // len(tables) - 3)
    for heads, rows, right in tables:
        if rows:
            lines += ["", *_table(heads, rows, right, room, width, style.cut)]
    lines += _idle_words(found)
    shown = [unadorned(line, style) for line in lines]
    if style.color:
        shown[0] = f"\x1b[1m{shown[0]}\x1b[0m"
    return shown


def _idle_words(found: Fleet) -> list[str]:
    """That nothing idles, only where nothing does; where something does and nobody is named, why."""
    if not found.per_hour("idle"):
        return ["", "no GPU that somebody holds is idle"] if found.nodes else []
    if not found.has_holders:
        return ["", "who holds what is idle is told by agents, and none is scraped here"]
    if not found.idle_without_holder:
        return []
    return ["", f"who holds {'most of ' if found.idle else ''}what is idle is known within three minutes"]


def _first_lines(found: Fleet, width: int) -> Iterator[str]:
    now, idle, unheld = found.per_hour(), found.per_hour("idle"), found.per_hour("unheld")
    pieces = [f"{_counted(len(found.nodes), 'node')}", f"{_counted(found.gpus(), 'GPU')}"]
    pieces += [f"now {_rate(now, found)}", f"idle {_rate(idle, found)}", f"unheld {_rate(unheld, found)}"]
    at = datetime.fromtimestamp(int(found.at_seconds), timezone.utc).astimezone()
    pieces.append(f"{at:%H:%M:%S}")
    yield from packed(pieces if found.nodes else [*pieces[:2], pieces[-1]], width)
    if found.partial:
        yield "not all stores answered: figures are at least these"
    if found.silent:
        yield f"not scraped: {_some(found.silent)}"
    if found.unknown:
        yield f"no figures yet: {_some(found.unknown)}"
    if new := [each.name or each.run for each in found.runs if each.is_new]:
        yield f"scraped for less than 5 minutes, their money is too low: {_some(new)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _rate(amount: Decimal, found: Fleet) -> str:
    return f"{money(amount, found.currency)}/h"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


#: Heads, rows (texts, the money of the row last), the columns that end together.
_Table = tuple[list[str], list[tuple[list[str], Decimal]], frozenset[int]]


def _place(instance: str, cluster: str) -> str:
    return f"{cluster}/{instance}" if cluster else instance


def _idle_rows(found: Fleet) -> _Table:
    rows = [
        ([each.user or _BLANK, each.run or _BLANK, _place(each.instance, each.cluster), str(each.gpus), each.reason],
         each.per_hour)
        for each in found.idle
    ]  # fmt: skip
    return ["IDLE: USER", "RUN", "NODE", "GPUS", "WHY", f"{found.currency}/h"], rows, frozenset((3, 5))


def _run_rows(found: Fleet) -> _Table:
    rows = [
        ([each.name or _BLANK, each.run, each.user or _BLANK, each.project or _BLANK, each.cluster or _BLANK],
         each.per_hour)
        for each in found.runs
    ]  # fmt: skip
    return ["RUN", "ID", "USER", "PROJECT", "CLUSTER", f"{found.currency}/h"], rows, frozenset((5,))


def _node_rows(found: Fleet, view: View) -> _Table:
    def key(node: Node) -> tuple[Decimal, str]:
        return (-_all(node) if view.sort == "cost" else -node.per_hour.get("idle", Decimal(0))), node.instance

    nodes = sorted(found.nodes, key=key)
    rows = [([_place(node.instance, node.cluster), *_gpus(node)], _all(node)) for node in nodes]
    heads = ["NODE", "BUSY", "IDLE", "UNKNOWN", "UNHELD", f"{found.currency}/h"]
    return heads, rows, frozenset((1, 2, 3, 4, 5))


def _gpus(node: Node) -> list[str]:
    return [f"{node.gpus.get(state, Decimal(0)):.1f}" for state in ("busy", "idle", "unknown", "unheld")]


def _all(node: Node) -> Decimal:
    return sum(node.per_hour.values(), Decimal(0))


def _table(
    heads: list[str], rows: Sequence[tuple[list[str], Decimal]], right: frozenset[int], room: int, width: int, cut: str
) -> list[str]:
    amounts = rounded([amount for _, amount in rows], quantum(sum((amount for _, amount in rows), Decimal(0))))
    cells = [[*texts, f"{amount:,}"] for (texts, _), amount in zip(rows[:room], amounts, strict=False)]
    if len(rows) > room:
        rest = sum(amounts[room:], Decimal(0))
        cells.append([f"and {len(rows) - room:,} more", *[""] * (len(heads) - 2), f"{rest:,}"])
    table = [heads, *cells]
    texts = sorted(set(range(len(heads))) - right, key=lambda at: -max(len(row[at]) for row in table))
    return columns(fitted(table, right, [(at, _LEAST_ROOM) for at in texts], width, cut), right)
