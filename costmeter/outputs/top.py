"""What goes on on a node, as one screen of text made of the node's JSON: a row for each holder and its GPUs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from costmeter.outputs.columns import columns, fitted, packed, shortened
from costmeter.outputs.figures import about, local_time, money, quantum, rounded, seconds_between, significant
from costmeter.outputs.gpus import numbers, short_model
from costmeter.outputs.idlewords import SHORT, idle_since, reason_of, short
from costmeter.outputs.style import MINIMUM_WIDTH, Style, unadorned

#: How rows can be sorted, in the order in which a key steps through them.
SORTS = ("gpu", "cost", "idle")
NOBODY = "–"
#: The columns that end together: use, power, money per hour, money.
_RIGHT = frozenset((2, 3, 6, 7))
#: What is cut where a line is too long, and how much of each stays: state, run, user, model; then the first three more.
_CUT = ((8, 16), (4, 12), (5, 8), (1, 8), (8, 8), (4, 6), (5, 4))
#: A reading older than this is told of.
_LATE_SECONDS = 10
_KILO = 1_000
_MEMORY_HELD = SHORT["memory-held"]
_GIGA = 1e9


@dataclass(frozen=True, slots=True)
class View:
    """What of a node is shown: sorted how, only what is idle, and in so many lines at most (None: all)."""

    sort: str = "gpu"
    idle_only: bool = False
    lines: int | None = None

    @property
    def next_sort(self) -> str:
        """What the key that steps through the sorts comes to next."""
        return SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]


@dataclass(frozen=True, slots=True)
class _Row:
    """A holder and those of its GPUs that are alike. `per_hour` and `cost` are None where nobody knows.

    `goes_on`: its run has a row above, where its cost stands.
    """

    gpus: tuple[Mapping[str, Any], ...]
    run: str
    user: str
    per_hour: Decimal | None
    cost: Decimal | None
    state: str
    is_idle: bool = False
    goes_on: bool = False

    @property
    def first(self) -> int:
        """By what rows are in order: their lowest GPU; runs without any come last."""
        return min((gpu["index"] for gpu in self.gpus), default=1 << 30)


def top(node: Mapping[str, Any], style: Style, view: View = View()) -> list[str]:
    """The lines of the screen: what is spent now, what is to be known of the meter, and the rows.

    Of rows that are too many, how many there are more is the last line.
    """
    width = max(style.width, MINIMUM_WIDTH)
    above = [*_first_lines(node, width), *_warnings(node)]
    rows = _sorted([row for row in _rows(node) if row.is_idle or not view.idle_only], view.sort)
    if not rows:
        said = "nothing idle, and no GPU held by nobody" if view.idle_only else "no GPU is seen yet"
        return [unadorned(line, style) for line in (*above, said)]
    heads, *cells = fitted(_cells(rows, node["currency"]), _RIGHT, _CUT, width, style.cut)
    lines = columns([heads, *cells], _RIGHT)
    shown = [(lines[0], False), *((line, row.is_idle) for line, row in zip(lines[1:], rows, strict=True))]
    room = None if view.lines is None else max(1, view.lines - len(above))
    if room is not None and len(shown) > room:
        more = len(shown) - room + 1
        shown = [*shown[: room - 1], (f"and {more} more: costmeter top --once shows all", False)]
    plain = [unadorned(line, style) for line in above]
    if style.color:
        plain[0] = f"\x1b[1m{plain[0]}\x1b[0m"
    return [*plain, *(_coloured(unadorned(line, style), is_idle, style) for line, is_idle in shown)]


def _coloured(line: str, is_idle: bool, style: Style) -> str:
    """What is idle says so in words; in yellow it is found sooner."""
    return f"\x1b[33m{line}\x1b[0m" if is_idle and style.color else line


# Above the rows


def _first_lines(node: Mapping[str, Any], width: int) -> list[str]:
    """What is spent now, in as many lines as hold it; the clock stands at the end of the first where there is room."""
    now, currency = node["now"], node["currency"]
    pieces = [shortened(node["host"], width // 2, "…"), *(["simulated GPUs"] if node["simulated"] else [])]
    pieces += [f"now {_rate(now['per_hour'], currency)}", f"idle {_rate(now['idle_per_hour'], currency)}"]
    if now["unheld_per_hour"] is None or Decimal(now["unheld_per_hour"]):
        pieces.append(f"unheld {_rate(now['unheld_per_hour'], currency)}")
    if node["today"] is not None:
        pieces.append(f"{_since(node['today_since'])} {money(Decimal(node['today']), currency)}")
    clock = f"{local_time(node['at']):%H:%M:%S}"
    lines = packed(pieces, width)
    if len(lines) == 1 and len(lines[0]) + 2 + len(clock) <= width:
        lines[0] += f"{clock:>{width - len(lines[0])}}"
    return lines


def _since(instant: str) -> str:
    """The day that is counted is UTC's, or began with the agent: by the reader's clock that is not always midnight."""
    at = f"{local_time(instant):%H:%M}"
    return "today" if at == "00:00" else f"since {at}"


def _rate(amount: str | None, currency: str) -> str:
    return "unknown" if amount is None else f"{money(Decimal(amount), currency)}/h"


def _warnings(node: Mapping[str, Any]) -> Iterator[str]:
    health = node["health"]
    if health is None:
        yield "no agent here: these are the runs that you meter yourself, and what they say"
        return
    if not health["journal_writable"]:
        yield "the journal cannot be written: what is counted now is lost with the agent"
    if failed := sorted(name for name, works in health["collectors"].items() if not works):
        yield f"did not answer: {', '.join(failed)}"
    if health["silent"]:
        yield f"{_counted(len(health['silent']), 'GPU')} did not answer"
    if health["runs_hidden"]:
        yield f"{_counted(health['runs_hidden'], 'more run')} counted and not shown"
    if health["runs_refused"]:
        yield f"{_counted(health['runs_refused'], 'run')} refused: their time is their user's"
    if node["now"]["unpriced_gpus"]:
        yield f"{_counted(node['now']['unpriced_gpus'], 'GPU')} without a price; set one: costmeter init"
    last = health["last_reading"]
    late = 0.0 if last is None else seconds_between(last, node["at"])
    if late > _LATE_SECONDS:
        yield f"the last reading is of {about(late)} ago"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


# Rows


def _rows(node: Mapping[str, Any]) -> list[_Row]:
    """Every GPU once for each of its holders: those of one run and model together, and those of nobody by state."""
    runs = {(run["uid"], run["run"]): run for run in _named(node["runs"])}
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for gpu in node["gpus"]:
        model, state = short_model(gpu["model"]), gpu["state"]
        if not gpu["holders"]:
            groups.setdefault((model, (), None, state), []).append(gpu)
        for place, holder in enumerate(gpu["holders"]):
            everybody = tuple((each["uid"], each["run"]) for each in gpu["holders"])
            is_run = holder["run"] is not None
            groups.setdefault((model, everybody, place, None if is_run else state), []).append(gpu)
    told: set[tuple[int, str] | None] = {None}
    rows = []
    for (_, _, place, _), gpus in groups.items():
        holder = None if place is None else gpus[0]["holders"][place]
        run = None if holder is None or holder["run"] is None else runs.get((holder["uid"], holder["run"]))
        key = None if run is None else (run["uid"], run["run"])
        rows.append(_row(gpus, holder, run, node["at"], key in told))
        told.add(key)
    return [*rows, *(_without_gpu(run, node["at"]) for key, run in runs.items() if key not in told)]


def _named(runs: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Each as it is shown: by its name, which says more than its id; by both where several have that name."""
    names = [run["name"] for run in runs]
    for run in runs:
        name = run["name"]
        yield {**run, "shown": f"{name} {run['run']}" if names.count(name) > 1 and name else name or run["run"]}


def _row(
    gpus: Sequence[Mapping[str, Any]],
    holder: Mapping[str, Any] | None,
    run: Mapping[str, Any] | None,
    at: str,
    is_told: bool,
) -> _Row:
    known = [Decimal(gpu["per_hour"]) / max(1, len(gpu["holders"])) for gpu in gpus if gpu["per_hour"] is not None]
    per_hour = sum(known, Decimal(0)) if known else None
    states = [gpu["state"] for gpu in gpus]
    is_idle = holder is None or set(states) == {"idle"}
    user = NOBODY if holder is None else holder["user"]
    name = NOBODY if holder is None or holder["run"] is None else holder["run"]
    name = name if run is None else run["shown"]
    goes_on = run is not None and is_told
    cost = None if run is None or goes_on else Decimal(run["cost"])
    said = {**run, "step": None} if run is not None and goes_on else run
    return _Row(tuple(gpus), name, user, per_hour, cost, _state(gpus, holder, said, at), is_idle, goes_on)


def _state(
    gpus: Sequence[Mapping[str, Any]], holder: Mapping[str, Any] | None, run: Mapping[str, Any] | None, at: str
) -> str:
    """What a holder's GPUs do, the worst in capitals; who shares them, and what they hold without computing."""
    states = [gpu["state"] for gpu in gpus]
    idle = states.count("idle")
    if holder is None:
        return " ".join(filter(None, ("unheld", _how_long(gpus, at))))
    if idle == len(gpus):
        pieces = [" ".join(filter(None, ("IDLE", _how_long(gpus, at)))), *_reasons(gpus)]
    else:
        known = states[0] if len(set(states)) == 1 else "busy" if "busy" in states else "unknown"
        pieces = [known] if run is None or not run["phase"] else []
        pieces += [f"{idle} of {len(gpus)} idle"] if idle else []
        pieces += _reasons(gpus)
    if run is not None:
        pieces += [f"in {run['phase']}" if idle == len(gpus) else run["phase"]] if run["phase"] else []
        pieces += [_steps(run)] if run["step"] is not None else []
    held = sum(gpu["memory_used_bytes"] or 0 for gpu in gpus)
    if idle == len(gpus) and held >= _GIGA:
        pieces.append(f"{significant(held / _GIGA, 2)} GB{'' if _MEMORY_HELD in pieces else ' held'}")
    others = len(gpus[0]["holders"]) - 1
    return ", ".join([*pieces, *([f"shared with {others}"] if others else [])])


def _reasons(gpus: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why they are idle, or work now and then and are idle between."""
    return sorted({short(reason) for gpu in gpus if (reason := reason_of(gpu)) is not None})


def _how_long(gpus: Sequence[Mapping[str, Any]], at: str) -> str:
    """For how long all of them have been so, where that is known."""
    began = [since for gpu in gpus if (since := idle_since(gpu)) is not None]
    return "" if len(began) < len(gpus) else about(seconds_between(max(began), at))


def _steps(run: Mapping[str, Any]) -> str:
    of = "" if run["of_steps"] is None else f"/{run['of_steps']:,}"
    return f"step {run['step']:,}{of}"


def _without_gpu(run: Mapping[str, Any], at: str) -> _Row:
    """A run that holds nothing: it ended, or has nothing yet."""
    state = "holds no GPU"
    if run["ended"] is not None:
        state = f"ended {about(seconds_between(run['ended'], at))} ago: {run['outcome'] or 'unknown'}"
    return _Row((), run["shown"], run["user"], None, Decimal(run["cost"]), state)


def _sorted(rows: Sequence[_Row], sort: str) -> list[_Row]:
    by_gpu = sorted(rows, key=lambda row: row.first)
    if sort == "cost":
        return sorted(by_gpu, key=lambda row: row.per_hour or Decimal(0), reverse=True)
    return sorted(by_gpu, key=lambda row: not row.is_idle) if sort == "idle" else by_gpu


# As text


def _cells(rows: Sequence[_Row], currency: str) -> list[list[str]]:
    """Heads and rows; each column of money adds up to what stands above."""
    heads = ["GPU", "MODEL", "UTIL", "POWER", "RUN", "USER", f"{currency}/h", currency, "STATE"]
    rates, costs = _amounts([row.per_hour for row in rows]), _amounts([row.cost for row in rows])
    return [heads, *(_row_cells(row, rate, cost) for row, rate, cost in zip(rows, rates, costs, strict=True))]


def _amounts(amounts: Sequence[Decimal | None]) -> list[str]:
    known = [amount for amount in amounts if amount is not None]
    step = quantum(sum(known, Decimal(0)))
    shown = iter(rounded(known, step))
    return ["–" if amount is None else f"{next(shown):,}" for amount in amounts]


def _row_cells(row: _Row, rate: str, cost: str) -> list[str]:
    watts = [gpu["power_watts"] for gpu in row.gpus if gpu["power_watts"] is not None]
    used = [gpu["utilization"] for gpu in row.gpus if gpu["utilization"] is not None]
    return [
        numbers(gpu["index"] for gpu in row.gpus) or "–",
        short_model(row.gpus[0]["model"]) if row.gpus else "–",
        f"{100 * sum(used) / len(used):.0f} %" if used else "–",
        _power(sum(watts)) if watts else "–",
        row.run,
        row.user,
        rate,
        "" if row.goes_on else cost,
        row.state,
    ]


def _power(watts: float) -> str:
    return f"{significant(watts / _KILO)} kW" if watts >= _KILO else f"{watts:.0f} W"
