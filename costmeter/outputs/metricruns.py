"""Runs as a Prometheus remembers them: a list, and totals of groups; as text and as data.

All figures come from counters that are floats and were sampled: nothing here is exact, and every text says so.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import Decimal
from typing import Any

from costmeter.feeds.promcounters import Cells
from costmeter.feeds.promdetail import Detail
from costmeter.feeds.promruns import SeenRun, Told
from costmeter.ledger.finding import when
from costmeter.outputs.columns import columns, fitted
from costmeter.outputs.figures import carbons, energies, gpu_hours, money, plain, quantum, rounded
from costmeter.outputs.receipt import timestamp
from costmeter.outputs.runlist import LINES_SHOWN, SIMULATED
from costmeter.outputs.style import MINIMUM_WIDTH, Style, unadorned
from costmeter.units import NANOSECONDS_PER_SECOND

RUNS_SCHEMA, GROUPS_SCHEMA = "costmeter.seenruns/1", "costmeter.seengroups/1"
NO_PRICE = "no price"
_RIGHT = frozenset((4, 5, 6, 7))
_GROUP_RIGHT = frozenset(range(1, 7))
#: What is cut where a line is too long, and how much of it stays: names, hosts.
_CUT = ((2, 8), (3, 8))


@dataclass(frozen=True, slots=True)
class Read:
    """What was read: from which server, when, and by whose clock it is shown. `lines` None shows all.

    `least` are the reasons why figures are too small, where they are; `unscraped` is, by currency, what runs had cost
    before they were first scraped, which is in no day and no month.
    """

    where: str
    now_utc_ns: int
    zone: tzinfo | None
    lines: int | None = LINES_SHOWN
    least: tuple[str, ...] = ()
    unscraped: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeenGroup:
    """What runs with a word in common came to, in one currency, real or simulated."""

    word: str
    currency: str
    simulated: bool
    runs: int
    told: Told


# Data


def runs_document(runs: Iterable[tuple[SeenRun, Detail | None]], read: Read) -> dict[str, Any]:
    """All that is known of every run, newest first: money as text, the rest as numbers. Unknown is null."""
    newest = sorted(runs, key=lambda pair: pair[0].started_seconds or Decimal(0), reverse=True)
    return {
        "schema": RUNS_SCHEMA,
        "source": read.where,
        "at": timestamp(read.now_utc_ns),
        "runs": [_facts(run, detail) for run, detail in newest],
    }


def _facts(run: SeenRun, detail: Detail | None) -> dict[str, Any]:
    whole = run.whole
    return {
        "run": run.word,
        "cluster": run.cluster or None,
        **{name: value or None for name, value in run.facts.items()},
        "hosts": sorted(run.by_host),
        "meters": dict(run.meters),
        "simulated": run.simulated,
        "started_at": _instant(run.started_seconds),
        "ended_at": _instant(run.ended_seconds),
        "outcome": run.outcome,
        "exit_code": run.exit_code,
        "is_least": run.is_least,
        "currency": run.currency or None,
        "cost": plain(whole.cost) if run.currency else None,
        "components": {name: plain(amount) for name, amount in by_label(whole.costs, 0).items()},
        "states": {name: plain(amount) for name, amount in by_label(whole.costs, -1).items()},
        **_quantities(whole),
        "by_host": {host: plain(told.cost) for host, told in sorted(run.by_host.items())},
        "phases": None if detail is None else {phase: plain(amount) for phase, amount in detail.phases.items()},
        "steps": None if detail is None or detail.steps is None else float(detail.steps),
        "tokens": None if detail is None or detail.tokens is None else float(detail.tokens),
    }


def groups_document(groups: Sequence[SeenGroup], key: str, read: Read) -> dict[str, Any]:
    """Groups as data."""
    return {
        "schema": GROUPS_SCHEMA,
        "source": read.where,
        "at": timestamp(read.now_utc_ns),
        "by": key,
        "is_least": bool(read.least),
        "unscraped": {currency: plain(amount) for currency, amount in read.unscraped.items()},
        "groups": [
            {
                key: group.word or None,
                "runs": group.runs,
                "currency": group.currency or None,
                "simulated": group.simulated,
                "cost": plain(group.told.cost) if group.currency else None,
                "idle_cost": plain(group.told.idle_cost) if group.currency else None,
                **_quantities(group.told),
            }
            for group in groups
        ],
    }


def _quantities(told: Told) -> dict[str, Any]:
    return {
        "energy_kwh": {name: float(kwh) for name, kwh in by_label(told.kwh, 0).items()},
        "emissions_grams": {name: float(grams) for name, grams in by_label(told.grams, 0).items()},
        "gpu_seconds": {name: float(seconds) for name, seconds in by_label(told.seconds, 0).items()},
    }


def by_label(cells: Cells, place: int) -> dict[str, Decimal]:
    """Summed by one of their labels."""
    found: dict[str, Decimal] = {}
    for cell, amount in cells.items():
        found[cell[place]] = found.get(cell[place], Decimal(0)) + amount
    return found


def _instant(seconds: Decimal | None) -> str | None:
    return None if seconds is None else timestamp(int(seconds * NANOSECONDS_PER_SECOND))


# Groups


def grouped(runs: Iterable[SeenRun], word: Callable[[SeenRun], str]) -> list[SeenGroup]:
    """Runs by something they have in common; the dearest first."""
    return summed(((word(run), run.key, run.currency, run.simulated, run.whole) for run in runs), in_order=False)


def by_host(runs: Iterable[SeenRun]) -> list[SeenGroup]:
    """What runs came to on each host."""
    pieces = ((host, r.key, r.currency, r.simulated, told) for r in runs for host, told in r.by_host.items())
    return summed(pieces, in_order=False)


def summed(pieces: Iterable[tuple[str, tuple[str, ...], str, bool, Told]], in_order: bool) -> list[SeenGroup]:
    """Pieces of (word, run, currency, whether simulated, what), by word; by amount where words have no order."""
    told: dict[tuple[bool, str, str], Told] = {}
    runs: dict[tuple[bool, str, str], set[tuple[str, ...]]] = {}
    for word, run, currency, simulated, each in pieces:
        key = (simulated, currency, word)
        told[key] = told.get(key, Told()) + each
        runs.setdefault(key, set()).add(run)
    groups = [SeenGroup(key[2], key[1], key[0], len(runs[key]), whole) for key, whole in told.items()]
    if in_order:
        return sorted(groups, key=lambda group: (group.simulated, group.currency, group.word))
    return sorted(groups, key=lambda group: (group.simulated, group.currency, -group.told.cost, group.word))


def render_groups(groups: Sequence[SeenGroup], key: str, read: Read, style: Style) -> str:
    """Groups as text, a block for each currency and for what was simulated."""
    blocks: dict[tuple[bool, str], list[SeenGroup]] = {}
    for group in groups:
        blocks.setdefault((group.simulated, group.currency), []).append(group)
    lines: list[str] = []
    for (simulated, currency), block in sorted(blocks.items()):
        lines += [f"{SIMULATED}:"] if simulated else []
        lines += [*columns(list(_group_rows(block, key, currency)), _GROUP_RIGHT), ""]
    lines += [
        f"in no line: {money(amount, currency)} that runs had cost before they were first scraped"
        for currency, amount in sorted(read.unscraped.items())
    ]
    lines.append(_said(read))
    return "\n".join(unadorned(line, style) for line in lines) + "\n"


def _group_rows(block: Sequence[SeenGroup], key: str, currency: str) -> Iterator[list[str]]:
    amounts = [group.told.cost for group in block]
    step = quantum(sum(amounts, Decimal(0)))
    costs, idle = rounded(amounts, step), rounded([group.told.idle_cost for group in block], step)
    used, kwh = energies([float(total_of(group.told.kwh)) for group in block])
    emitted, mass = carbons([float(total_of(group.told.grams)) for group in block])
    hours = gpu_hours(float(total_of(group.told.seconds)) for group in block)
    yield [key.upper(), "RUNS", "GPU-h", currency or NO_PRICE, f"IDLE {currency}".strip(), kwh, f"{mass} CO2e"]
    for at, group in enumerate(block):
        figures = [f"{hours[at]:,}", f"{costs[at]:,}", f"{idle[at]:,}", used[at], emitted[at]]
        yield [group.word or "–", f"{group.runs:,}", *figures]
    whole = [sum((Decimal(each.replace(",", "")) for each in column), Decimal(0)) for column in (used, emitted)]
    sums = [sum(hours, Decimal(0)), sum(costs, Decimal(0)), sum(idle, Decimal(0)), *whole]
    yield ["total", "", *(f"{each:,}" for each in sums)]


def total_of(cells: Cells) -> Decimal:
    """All of them together."""
    return sum(cells.values(), Decimal(0))


# The list


def render(runs: Sequence[SeenRun], read: Read, style: Style) -> str:
    """One line a run, the newest last, and what all came to; a block for each currency and for what was simulated."""
    blocks: dict[tuple[bool, str], list[SeenRun]] = {}
    for run in sorted(runs, key=lambda run: run.started_seconds or Decimal(0)):
        blocks.setdefault((run.simulated, run.currency), []).append(run)
    lines: list[str] = []
    for (simulated, currency), block in sorted(blocks.items()):
        lines += [f"{SIMULATED}:"] if simulated else []
        rows = _rows(block, currency, read)
        lines += columns(fitted(rows, _RIGHT, _CUT, max(style.width, MINIMUM_WIDTH), style.cut), _RIGHT)
        if read.lines is not None and len(block) > read.lines:
            lines.append(f"{len(block) - read.lines:,} older lines not shown, but counted: --all shows them")
        lines.append("")
    lines.append(_said(read))
    return "\n".join(unadorned(line, style) for line in lines) + "\n"


def _rows(block: Sequence[SeenRun], currency: str, read: Read) -> list[list[str]]:
    wholes = [run.whole for run in block]
    amounts = [told.cost for told in wholes]
    costs = rounded(amounts, quantum(sum(amounts, Decimal(0))))
    used, unit = energies([float(total_of(told.kwh)) for told in wholes])
    rows = [["RUN", "START", "NAME", "HOSTS", "GPU-h", currency or NO_PRICE, unit, "IDLE", "END"]]
    hours = gpu_hours(float(total_of(told.seconds)) for told in wholes)
    first = 0 if read.lines is None else max(0, len(block) - read.lines)
    for at in range(first, len(block)):
        run = block[at]
        hosts = sorted(run.by_host)
        named = hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts"
        began = run.started_seconds
        start = "–" if began is None else when(nanoseconds(began), read.now_utc_ns, read.zone)
        figures = [f"{hours[at]:,}", f"{costs[at]:,}", used[at], idle_share(wholes[at])]
        rows.append([run.word, start, run.facts.get("name", ""), named, *figures, _end(run)])
    whole = sum((Decimal(each.replace(",", "")) for each in used), Decimal(0))
    count = f"{len(block):,} run{'' if len(block) == 1 else 's'}"
    total_hours, total = sum(hours, Decimal(0)), sum(costs, Decimal(0))
    rows.append([count, "", "", "", f"{total_hours:,}", f"{total:,}", f"{whole:,}", "", ""])
    return rows


def nanoseconds(seconds: Decimal) -> int:
    """An instant of a server as ours are."""
    return int(seconds * NANOSECONDS_PER_SECOND)


def idle_share(told: Told) -> str:
    """The idle share of the time that GPUs were held, as far as anybody knows."""
    seconds = by_label(told.seconds, 0)
    held = sum(seconds.values(), Decimal(0))
    return f"{100 * seconds.get('idle', 0) / held:.0f} %" if held > seconds.get("unknown", 0) else "?"


def _end(run: SeenRun) -> str:
    return f"failed ({run.exit_code})" if run.outcome == "failed" else run.outcome


def _said(read: Read) -> str:
    least = f". {'; '.join(read.least).capitalize()}: at least" if read.least else ""
    return f"from Prometheus {read.where}: what was scraped, not the journals{least}"
