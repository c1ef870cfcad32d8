"""Runs as a Prometheus remembers them: a list, totals of groups, one run in detail; as text and as data.

All figures come from counters that are floats and were sampled: nothing here is exact, and every text says so.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from typing import Any

from costmeter.feeds.promruns import Cells, Detail, SeenRun, Told
from costmeter.ledger.finding import when
from costmeter.outputs.columns import columns, fitted, folded
from costmeter.outputs.figures import (
    carbon,
    carbons,
    duration,
    energies,
    energy,
    gpu_hours,
    money,
    plain,
    quantum,
    rounded,
)
from costmeter.outputs.heading import span
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
    """What was read: from which server, when, and by whose clock it is shown. `lines` None shows all."""

    where: str
    now_utc_ns: int
    zone: tzinfo | None
    lines: int | None = LINES_SHOWN


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
        "run": run.id,
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
        "components": {name: plain(amount) for name, amount in _by(whole.costs, 0).items()},
        "states": {name: plain(amount) for name, amount in _by(whole.costs, -1).items()},
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
        "energy_kwh": {name: float(kwh) for name, kwh in _by(told.kwh, 0).items()},
        "emissions_grams": {name: float(grams) for name, grams in _by(told.grams, 0).items()},
        "gpu_seconds": {name: float(seconds) for name, seconds in _by(told.seconds, 0).items()},
    }


def _by(cells: Cells, place: int) -> dict[str, Decimal]:
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
    return summed(((word(run), run.id, run.currency, run.simulated, run.whole) for run in runs), in_order=False)


def by_host(runs: Iterable[SeenRun]) -> list[SeenGroup]:
    """What runs came to on each host."""
    pieces = ((host, r.id, r.currency, r.simulated, told) for r in runs for host, told in r.by_host.items())
    return summed(pieces, in_order=False)


def summed(pieces: Iterable[tuple[str, str, str, bool, Told]], in_order: bool) -> list[SeenGroup]:
    """Pieces of (word, run, currency, whether simulated, what), by word; by amount where words have no order."""
    told: dict[tuple[bool, str, str], Told] = {}
    runs: dict[tuple[bool, str, str], set[str]] = {}
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
    lines.append(_said(read, False))
    return "\n".join(unadorned(line, style) for line in lines) + "\n"


def _group_rows(block: Sequence[SeenGroup], key: str, currency: str) -> Iterator[list[str]]:
    amounts = [group.told.cost for group in block]
    step = quantum(sum(amounts, Decimal(0)))
    costs, idle = rounded(amounts, step), rounded([group.told.idle_cost for group in block], step)
    used, kwh = energies([float(_sum(group.told.kwh)) for group in block])
    emitted, mass = carbons([float(_sum(group.told.grams)) for group in block])
    hours = gpu_hours(float(_sum(group.told.seconds)) for group in block)
    yield [key.upper(), "RUNS", "GPU-h", currency or NO_PRICE, f"IDLE {currency}".strip(), kwh, f"{mass} CO2e"]
    for at, group in enumerate(block):
        figures = [f"{hours[at]:,}", f"{costs[at]:,}", f"{idle[at]:,}", used[at], emitted[at]]
        yield [group.word or "–", f"{group.runs:,}", *figures]
    whole = [sum((Decimal(each.replace(",", "")) for each in column), Decimal(0)) for column in (used, emitted)]
    sums = [sum(hours, Decimal(0)), sum(costs, Decimal(0)), sum(idle, Decimal(0)), *whole]
    yield ["total", "", *(f"{each:,}" for each in sums)]


def _sum(cells: Cells) -> Decimal:
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
    lines.append(_said(read, any(run.is_least for run in runs)))
    return "\n".join(unadorned(line, style) for line in lines) + "\n"


def _rows(block: Sequence[SeenRun], currency: str, read: Read) -> list[list[str]]:
    wholes = [run.whole for run in block]
    amounts = [told.cost for told in wholes]
    costs = rounded(amounts, quantum(sum(amounts, Decimal(0))))
    used, unit = energies([float(_sum(told.kwh)) for told in wholes])
    rows = [["RUN", "START", "NAME", "HOSTS", "GPU-h", currency or NO_PRICE, unit, "IDLE", "END"]]
    hours = gpu_hours(float(_sum(told.seconds)) for told in wholes)
    first = 0 if read.lines is None else max(0, len(block) - read.lines)
    for at in range(first, len(block)):
        run = block[at]
        hosts = sorted(run.by_host)
        named = hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts"
        start = "–" if run.started_seconds is None else when(_ns(run.started_seconds), read.now_utc_ns, read.zone)
        figures = [f"{hours[at]:,}", f"{costs[at]:,}", used[at], _idle(wholes[at])]
        rows.append([run.id, start, run.facts.get("name", ""), named, *figures, _end(run)])
    whole = sum((Decimal(each.replace(",", "")) for each in used), Decimal(0))
    count = f"{len(block):,} run{'' if len(block) == 1 else 's'}"
    total_hours, total = sum(hours, Decimal(0)), sum(costs, Decimal(0))
    rows.append([count, "", "", "", f"{total_hours:,}", f"{total:,}", f"{whole:,}", "", ""])
    return rows


def _ns(seconds: Decimal) -> int:
    return int(seconds * NANOSECONDS_PER_SECOND)


def _idle(told: Told) -> str:
    """The idle share of the time that GPUs were held, as far as anybody knows."""
    seconds = _by(told.seconds, 0)
    held = sum(seconds.values(), Decimal(0))
    return f"{100 * seconds.get('idle', 0) / held:.0f} %" if held > seconds.get("unknown", 0) else "?"


def _end(run: SeenRun) -> str:
    return f"failed ({run.exit_code})" if run.outcome == "failed" else run.outcome


def _said(read: Read, is_least: bool) -> str:
    least = ". Some counters fell and their samples could not be had: at least" if is_least else ""
    return f"from Prometheus {read.where}: what was scraped, not the journals{least}"


# One run


def render_run(run: SeenRun, detail: Detail, read: Read, style: Style) -> str:
    """What a receipt would say, as far as metrics tell it, and what they do not."""
    width = max(style.width, MINIMUM_WIDTH)
    lines = [f"{run.id} · {_ending(run)} · from Prometheus {read.where}"]
    who = [", ".join(sorted(run.by_host)), run.facts.get("name", ""), run.facts.get("user", "")]
    who += [f"{name} {run.facts[name]}" for name in ("project", "team", "experiment") if run.facts.get(name)]
    lines += [f" {line}" for line in (" · ".join(filter(None, who)), _times(run, read)) if line]
    lines += [f" {SIMULATED}"] if run.simulated else []
    whole = run.whole
    cost = money(whole.cost, run.currency) if run.currency else NO_PRICE
    used, grams = energy(float(_sum(whole.kwh))), carbon(float(_sum(whole.grams)))
    lines += ["", f"   {cost}     {used}     {grams}     {_idle(whole)} idle", ""]
    for label, text in _labelled(run, detail, whole):
        lines += folded(f" {label:<11}", text, width)
    return "\n".join(unadorned(line, style) for line in lines) + "\n"


def _ending(run: SeenRun) -> str:
    if run.exit_code is None or run.active:
        return run.outcome
    return f"exit {run.exit_code}" + (" (failed)" if run.exit_code else "")


def _times(run: SeenRun, read: Read) -> str:
    if run.started_seconds is None:
        return ""
    now = Decimal(read.now_utc_ns) / NANOSECONDS_PER_SECOND
    ended = now if run.ended_seconds is None else run.ended_seconds
    said = span(_text(run.started_seconds), _text(ended))
    if run.ended_seconds is None:
        return f"since {said.partition(' →')[0]}" + (f" · {duration(float(now - run.started_seconds))}" * run.active)
    return f"{said} · {duration(float(ended - run.started_seconds))}"


def _text(seconds: Decimal) -> str:
    return timestamp(_ns(seconds))


def _labelled(run: SeenRun, detail: Detail, whole: Told) -> Iterator[tuple[str, str]]:
    if run.currency:
        yield "Components", _amounts(_by(whole.costs, 0), run.currency)
        yield "States", _amounts(_by(whole.costs, -1), run.currency)
        if detail.phases:
            yield "Phases", _amounts(detail.phases, run.currency)
        if len(run.by_host) > 1:
            yield "Hosts", _amounts({host: told.cost for host, told in sorted(run.by_host.items())}, run.currency)
    hours = {state: seconds / 3600 for state, seconds in _by(whole.seconds, 0).items()}
    yield "GPU-hours", " · ".join(f"{state} {each:,.4g}" for state, each in hours.items())
    yield "Energy", " · ".join(f"{part} {energy(float(each))}" for part, each in _by(whole.kwh, 0).items())
    yield "Carbon", " · ".join(f"{scope} {carbon(float(each))}" for scope, each in _by(whole.grams, 0).items())
    told = [f"{value:,.0f} {what}" for value, what in ((detail.steps, "steps"), (detail.tokens, "tokens")) if value]
    if told:
        yield "Progress", " · ".join(told)
    yield "Metered by", " · ".join(f"{meter} on {host}" for host, meter in sorted(run.meters.items()))
    yield (
        "Not here",
        (
            "exact figures, prices in force, what was measured or estimated, redone work, phases after the eighth: "
            f"costmeter report {run.id}, where its journals are"
        ),
    )
    if run.is_least:
        yield "At least", "a counter fell, and the samples that say how far could not be had"


def _amounts(parts: Mapping[str, Decimal], currency: str) -> str:
    step = quantum(sum(parts.values(), Decimal(0)))
    shown = rounded(list(parts.values()), step)
    return " · ".join(f"{name} {money(each, currency, step)}" for name, each in zip(parts, shown, strict=True))
