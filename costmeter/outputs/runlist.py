"""The list of runs as a person reads it: one line a run or sweep, the newest last, and what all of them came to."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal

from costmeter.ledger.ending import NOTHING_LOST, WORST_FIRST
from costmeter.ledger.finding import when
from costmeter.ledger.listing import Listed, Listing, Spending, all_together
from costmeter.outputs.columns import columns, fitted
from costmeter.outputs.figures import energies, money, quantum, rounded
from costmeter.outputs.gpus import brief_names
from costmeter.outputs.markdowntext import escaped, table
from costmeter.outputs.style import MINIMUM_WIDTH, Style, unadorned
from costmeter.units import MICROJOULES_PER_KWH, NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND

#: What stands above every block of runs that cost nobody anything.
SIMULATED = "simulated GPUs, which nobody pays for"
#: So many lines are shown unless all are asked for.
LINES_SHOWN = 30
_UNREAD_SHOWN = 3
#: The columns that end together: time, money, energy, idle.
_RIGHT = frozenset((4, 5, 6, 7))
#: The columns that are cut where a line is too long: name, GPUs, ending.
_CUT = ((2, 8), (3, 8), (8, 8))
#: Longer than this, what was lost is told in hours.
_IN_MINUTES = 120


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: a run, or the runs of one experiment, with what they came to in one currency."""

    name: str
    runs: tuple[Listed, ...]
    spending: Spending

    @property
    def newest(self) -> Listed:
        """The run that it is named by."""
        return self.runs[-1]


@dataclass(frozen=True, slots=True)
class Shown:
    """How a list is shown: by whose clock, as of when, and how many lines of it. `apart` shows every run of a sweep."""

    now_utc_ns: int
    zone: tzinfo | None
    lines: int | None = LINES_SHOWN
    apart: bool = False


def render(listing: Listing, shown: Shown, style: Style) -> str:
    """The list, newline at the end. A block for each currency, and for what was simulated, since they never add up."""
    lines: list[str] = []
    for entries in sections(listing.runs, shown.apart):
        lines += [*_block(entries, shown, style), ""]
    lines += _said(listing)
    return "\n".join(unadorned(line, style) for line in lines).rstrip("\n") + "\n"


def markdown(listing: Listing, shown: Shown) -> str:
    """The same as Markdown tables."""
    lines: list[str] = []
    for entries in sections(listing.runs, shown.apart):
        heads, *rows, total = _table(entries, shown)
        if entries[0].spending.simulated:
            lines += [f"**{SIMULATED}**", ""]
        cells = [list(map(escaped, row)) for row in (*rows, total)]
        lines += [table(heads, cells, _RIGHT), "", _remark(entries), ""]
    lines += _said(listing)
    return "\n".join(lines).rstrip("\n") + "\n"


def sections(runs: Sequence[Listed], apart: bool) -> list[list[Entry]]:
    """The lines of each currency and reality, oldest first; real GPUs come before simulated ones."""
    sweeps: dict[str, list[Listed]] = {}
    for run in runs:
        experiment = "" if apart else run.header.labels.get("experiment", "")
        sweeps.setdefault(f"experiment {experiment}" if experiment else f"run {run.found}", []).append(run)
    found: dict[tuple[bool, str], list[Entry]] = {}
    for of in sorted(sweeps.values(), key=lambda sweep: sweep[-1].ending.started_utc_ns):
        spent: dict[tuple[bool, str], list[tuple[Listed, Spending]]] = {}
        for run in of:
            for ours, each in zip(run.apart, run.spendings, strict=True):  # each with its own hosts, GPUs and time
                spent.setdefault((each.simulated, each.currency), []).append((ours, each))
        for key, pairs in spent.items():
            name = pairs[0][0].header.name
            if len(pairs) > 1:
                name = f"{pairs[0][0].header.labels['experiment']} ×{len(pairs)}"
            whole = all_together([each for _, each in pairs])
            found.setdefault(key, []).append(Entry(name, tuple(run for run, _ in pairs), whole))
    return [found[key] for key in sorted(found)]


def _block(entries: list[Entry], shown: Shown, style: Style) -> Iterator[str]:
    if entries[0].spending.simulated:
        yield f"{SIMULATED}:"
    rows = _table(entries, shown)
    rows = fitted(rows, _RIGHT, _CUT, max(style.width, MINIMUM_WIDTH), style.cut)
    *lines, _ = columns(rows, _RIGHT)
    yield from lines
    counted = _counted(entries)
    yield counted + columns(rows, _RIGHT)[-1][len(counted) :]
    hidden = 0 if shown.lines is None else len(entries) - shown.lines
    if hidden > 0:
        yield f"{hidden:,} older {'line' if hidden == 1 else 'lines'} not shown, but counted: costmeter report --all"
    yield _remark(entries)
    if shown.apart:
        yield _trials(entries)


def _trials(entries: list[Entry]) -> str:
    """What a trial of an experiment costs on the mean, and which did best and worst, as far as they told a loss."""
    spent = entries[0].spending
    total = sum((entry.spending.cost for entry in entries), Decimal(0))
    losses = [(loss, entry.newest.id) for entry in entries if (loss := entry.newest.loss) is not None]
    said = [f"{money(total / len(entries), spent.currency, quantum(total))} a trial"]
    if losses:
        said += [f"{word} loss {loss:g} ({run})" for word, (loss, run) in _extremes(losses)]
    return " · ".join(said)


def _extremes(losses: list[tuple[float, str]]) -> list[tuple[str, tuple[float, str]]]:
    best, worst = min(losses), max(losses)
    return [("best", best)] if best[0] == worst[0] else [("best", best), ("worst", worst)]


def _table(entries: list[Entry], shown: Shown) -> list[list[str]]:
    """Heads, a row for each line that is shown, and the sums over all."""
    currency = entries[0].spending.currency
    amounts = [entry.spending.cost for entry in entries]
    step = quantum(sum(amounts, Decimal(0)))
    costs = rounded(amounts, step)
    used, unit = energies([entry.spending.microjoules / MICROJOULES_PER_KWH for entry in entries])
    rows = [["RUN", "START", "NAME", "GPUS", "TIME", currency, unit, "IDLE", "END"]]
    first = 0 if shown.lines is None else max(0, len(entries) - shown.lines)
    for at in range(first, len(entries)):
        entry = entries[at]
        run = entry.newest
        time = _clock(sum(each.ending.length_ns for each in entry.runs))
        start = when(run.ending.started_utc_ns, shown.now_utc_ns, shown.zone)
        gpus = brief_names(_held(entry.runs))
        cells = [run.id, start, entry.name, gpus, time, f"{costs[at]:,}", used[at], _idle(entry), _end(entry)]
        rows.append(cells)
    whole = sum((Decimal(each.replace(",", "")) for each in used), Decimal(0))
    rows.append(["", "", "", "", "", f"{sum(costs, Decimal(0)).quantize(step):,}", f"{whole:,}", "", ""])
    return rows


def _held(runs: Sequence[Listed]) -> tuple[tuple[str, int], ...]:
    """The most GPUs of each name that one of the runs held."""
    names: dict[str, int] = {}
    for run in runs:
        for name, count in run.gpus:
            names[name] = max(names.get(name, 0), count)
    return tuple(names.items())


def _counted(entries: list[Entry]) -> str:
    runs = sum(len(entry.runs) for entry in entries)
    entry_word, run_word = "entry" if len(entries) == 1 else "entries", "run" if runs == 1 else "runs"
    return f"{len(entries):,} {entry_word}, {runs:,} {run_word}"


def _remark(entries: list[Entry]) -> str:
    """What of the money bought nothing: all that a run cost which came to no good end, as its receipt has it."""
    currency = entries[0].spending.currency
    total = sum((entry.spending.cost for entry in entries), Decimal(0))
    idle = sum((entry.spending.idle for entry in entries), Decimal(0))
    lost = sum((entry.spending.lost.cost for entry in entries if entry.spending.lost is not None), Decimal(0))
    redone = sum((entry.spending.redone for entry in entries), Decimal(0))
    step = quantum(total)
    share = f" ({100 * idle / total:.0f} %)" if total > 0 else ""
    said = [f"Idle {money(idle, currency, step)}{share}"]
    named = (*_sunk(entries), ("lost since last checkpoint", lost), ("work redone", redone))
    return " · ".join([*said, *(f"{what} {money(amount, currency, step)}" for what, amount in named if amount)])


def _sunk(entries: list[Entry]) -> Iterator[tuple[str, Decimal]]:
    """What runs cost that came to no good end, by how they ended."""
    amounts: dict[str, Decimal] = {}
    for run in (run for entry in entries for run in entry.runs):
        outcome, (spent,) = run.ending.outcome, run.spendings
        amounts[outcome] = amounts.get(outcome, Decimal(0)) + spent.cost
    return ((outcome, amounts[outcome]) for outcome in WORST_FIRST if outcome in amounts.keys() - {*NOTHING_LOST})


def _said(listing: Listing) -> list[str]:
    """What is missing from the figures above."""
    lines = []
    if listing.unread:
        count = len(listing.unread)
        lines.append(f"Not counted: {count:,} {'journal' if count == 1 else 'journals'} that cannot be read")
        lines += [f"  {refusal}" for refusal in listing.unread[:_UNREAD_SHOWN]]
        if count > _UNREAD_SHOWN:
            lines.append(f"  and {count - _UNREAD_SHOWN:,} more")
    lines += listing.copies
    damaged = [run.id for run in listing.runs if run.problems]
    if damaged:
        more = f" and {len(damaged) - _UNREAD_SHOWN:,} more" if len(damaged) > _UNREAD_SHOWN else ""
        lines.append(f"Journal damaged: {', '.join(damaged[:_UNREAD_SHOWN])}{more}; costmeter report RUN says how")
    return lines


def _idle(entry: Entry) -> str:
    """The idle share of the time that GPUs were held, as far as anybody knows."""
    of = entry.spending.whole.quantities
    return f"{100 * of.idle_nanoseconds / of.nanoseconds:.0f} %" if of.nanoseconds > of.unknown_nanoseconds else "?"


def _end(entry: Entry) -> str:
    """`ok`, `failed (1)`, `preempted, 31 min lost`; of several runs how many came out how, where not all did alike."""
    if len(entry.runs) > 1:
        outcomes = Counter(run.ending.outcome for run in entry.runs)
        if len(outcomes) == 1:
            return next(iter(outcomes))
        return ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    ended = entry.newest.ending
    text: str = ended.outcome
    if ended.signal is not None and ended.outcome == "failed":
        text += f" (signal {ended.signal})"
    elif ended.exit_code:
        text += f" ({ended.exit_code})"
    lost = entry.spending.lost
    return text if lost is None else f"{text}, {_lost(lost.nanoseconds)} lost"


def _lost(nanoseconds: int) -> str:
    minutes = round(nanoseconds / NANOSECONDS_PER_MINUTE)
    return f"{minutes} min" if minutes < _IN_MINUTES else f"{minutes / 60:.1f} h"


def _clock(nanoseconds: int) -> str:
    """3:12:07; hours go on beyond a day."""
    seconds = nanoseconds // NANOSECONDS_PER_SECOND
    return f"{seconds // 3_600:,}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
