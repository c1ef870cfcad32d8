"""The list of runs: what each came to, without reading its slots.

A journal says at its end, and once an hour, what everything before comes to. So its first line and its last are read,
and where it has no end, what follows its last subtotal. A journal of before has neither, and is folded.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cached_property
from operator import attrgetter
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.brief import Brief, brief
from costmeter.ledger.bulk import fold_path, load_run
from costmeter.ledger.ending import Ending, Lost, Stretch, lives, lost, part_ending, together
from costmeter.ledger.query import Part, paths_of
from costmeter.ledger.record import Header
from costmeter.meter.activity import State
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Quantities
from costmeter.meter.totals import DeviceTotals

_QUANTITIES = tuple(attrgetter(each.name) for each in fields(Quantities))
#: What of totals is neither quantities nor money.
_PARTS = tuple(attrgetter(each.name) for each in fields(DeviceTotals)[3:])


@dataclass(frozen=True, slots=True)
class Spending:
    """What a run, or several, came to in one currency, on GPUs that were all simulated, or all real.

    `lost` is what was paid since the last checkpoint of what came to nothing; None where no checkpoint was told of.
    """

    currency: str
    simulated: bool
    whole: DeviceTotals
    redone: Decimal = Decimal(0)
    lost: Lost | None = None

    @property
    def cost(self) -> Decimal:
        """Charges less credits."""
        return self.whole.cost

    @property
    def idle(self) -> Decimal:
        """What of it was paid for GPUs that computed nothing."""
        charged = sum((paid for (_, state), paid in self.whole.charges.items() if state == "idle"), Decimal(0))
        return charged - sum((paid for (_, state), paid in self.whole.credits.items() if state == "idle"), Decimal(0))

    @property
    def microjoules(self) -> int:
        """The facility's energy."""
        quantities = self.whole.quantities
        return quantities.microjoules + quantities.host_microjoules + self.whole.overhead_microjoules

    @property
    def micrograms(self) -> int:
        """Operational and embodied emissions."""
        return self.whole.operational_micrograms + self.whole.embodied_micrograms


def all_together(spendings: Sequence[Spending]) -> Spending:
    """What several come to; of one currency, and all simulated or all real. There is at least one."""
    first = spendings[0]
    if len(spendings) == 1:
        return first
    known = [each.lost for each in spendings if each.lost is not None]
    lost_ns = sum(each.nanoseconds for each in known)
    gone = Lost(sum((each.cost for each in known), Decimal(0)), lost_ns) if known else None
    redone = sum((each.redone for each in spendings), Decimal(0))
    return Spending(first.currency, first.simulated, _added([each.whole for each in spendings]), redone, gone)


def _added(of: Sequence[DeviceTotals]) -> DeviceTotals:
    """The sum, field by field: thousands of totals are added up in one go."""
    charges: dict[tuple[str, State], Decimal] = {}
    credit: dict[tuple[str, State], Decimal] = {}
    for each in of:
        for key, amount in each.charges.items():
            charges[key] = charges[key] + amount if key in charges else amount
        for key, amount in each.credits.items():
            credit[key] = credit[key] + amount if key in credit else amount
    quantities = [each.quantities for each in of]
    whole = Quantities(*(sum(map(of_field, quantities)) for of_field in _QUANTITIES))
    return DeviceTotals(whole, charges, credit, *(sum(map(of_field, of)) for of_field in _PARTS))


@dataclass(frozen=True)
class Listed:
    """One run of the list; its parts in order of their start. `found` is their folder, or the one journal."""

    id: str
    parts: tuple[Brief, ...]
    found: str

    @property
    def place(self) -> Path:
        """Where its journals are: a folder, or one of them."""
        return Path(self.found)

    @property
    def header(self) -> Header:
        """Who it is, by its first part."""
        return self.parts[0].header

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where it ran."""
        return tuple(dict.fromkeys(part.header.host for part in self.parts))

    @property
    def simulated(self) -> bool:
        """Whether any of its GPUs was simulated."""
        return any(part.header.simulated for part in self.parts)

    @cached_property
    def ending(self) -> Ending:
        """How it ended, over all parts and hosts."""
        return together([(part.header.host, part.ending) for part in self.parts])

    @property
    def gpus(self) -> tuple[tuple[str, int], ...]:
        """GPUs by name: the most that each host held, those of several hosts added up."""
        by_host: dict[tuple[str, str], int] = {}
        for part in self.parts:
            for name, count in part.summary.gpus:
                by_host[part.header.host, name] = max(by_host.get((part.header.host, name), 0), count)
        names: dict[str, int] = {}
        for (_, name), count in by_host.items():
            names[name] = names.get(name, 0) + count
        return tuple(names.items())

    @cached_property
    def spendings(self) -> tuple[Spending, ...]:
        """What it came to, by currency."""
        by_currency: dict[str, list[Brief]] = {}
        for part in self.parts:
            by_currency.setdefault(part.currency, []).append(part)
        return tuple(spending(parts, self.simulated) for parts in by_currency.values())

    @property
    def progress(self) -> Progress | None:
        """How far it had come, as its last part that told of it says."""
        told = [part.summary.progress for part in self.parts if part.summary.progress is not None]
        return told[-1] if told else None

    @property
    def loss(self) -> float | None:
        """The last loss that it told."""
        return None if self.progress is None else self.progress.loss

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read."""
        return tuple(problem for part in self.parts for problem in part.problems)


def spending(parts: Sequence[Brief], simulated: bool) -> Spending:
    """What parts in one currency came to."""
    whole = parts[0].summary.whole
    for part in parts[1:]:
        whole = whole + part.summary.whole
    stretches = [
        Stretch(part.header.host, part.ending, part.summary.whole.cost, part.summary.saved)
        for part in parts
        if len(parts) > 1 or part.summary.saved is not None
    ]
    redone = sum((part.summary.redone for part in parts), Decimal(0))
    return Spending(parts[0].currency, simulated, whole, redone, lost(stretches) if stretches else None)


@dataclass(frozen=True, slots=True)
class Listing:
    """The runs that could be read, oldest first, and what is to be said of what could not."""

    runs: tuple[Listed, ...]
    unread: tuple[str, ...] = ()


def list_runs(state: Path) -> tuple[Listed, ...]:
    """Every run recorded under a state directory that can be read, oldest first."""
    return listing(state).runs


def listing(state: Path) -> Listing:
    """The same, with what cannot be read."""
    try:
        with os.scandir(state / "runs") as entries:
            folders = [entry.path for entry in entries]
    except FileNotFoundError:
        return Listing(())
    except OSError as refusal:
        return Listing((), (f"{state / 'runs'}: cannot be read: {refusal.strerror}",))
    return _read(state, ((folder, _journals(folder)) for folder in folders))


def listing_of(state: Path, runs: Iterable[str]) -> Listing:
    """Runs by id or by path, as `load_run` takes them. Raises JournalError for one that is not there."""
    found = {run: paths_of(state, run) for run in dict.fromkeys(runs)}
    places = ((paths[0] if Path(run).is_file() else paths[0].parent, paths) for run, paths in found.items())
    return _read(state, ((os.path.abspath(place), [str(path) for path in paths]) for place, paths in places))


def _journals(folder: str) -> list[str] | str:
    """The journals of a folder, or why nobody can say."""
    try:
        return [f"{folder}/{name}" for name in os.listdir(folder) if name.endswith(".jsonl")]
    except NotADirectoryError:
        return []
    except OSError as refusal:
        return f"{folder}: cannot be read: {refusal.strerror}"


def _read(state: Path, found: Iterable[tuple[str, list[str] | str]]) -> Listing:
    runs: list[Listed] = []
    unread: list[str] = []
    for place, paths in found:
        if isinstance(paths, str):
            unread.append(paths)
        elif paths:
            parts = _parts(state, place, paths, unread)
            if parts:
                runs.append(Listed(parts[0].header.run, tuple(parts), place))
    runs.sort(key=lambda run: run.ending.started_utc_ns)
    return Listing(tuple(runs), tuple(unread))


def _parts(state: Path, place: str, paths: list[str], unread: list[str]) -> list[Brief]:
    """The parts of one run in order of their start; where two meters may have seen the same, as the whole says."""
    parts: list[Brief] = []
    refused: list[str] = []
    for path in paths:
        try:
            parts.append(brief(path) or of_part(fold_path(Path(path)), os.path.basename(path)))
        except JournalError as refusal:
            refused.append(refusal.message)
    unread += refused
    if len(parts) > 1:
        parts.sort(key=lambda part: (_began(part), part.header.host, part.header.part))
        if which_overlap(parts):
            parts = [of_part(part) for part in load_run(state, place).parts]
    return parts


def _began(part: Brief) -> int:
    return part.header.anchor.utc(part.header.start_ns)


def which_overlap(parts: Sequence[Brief]) -> bool:
    """Whether meters of one host were at work at the same time."""
    ended: dict[str, int] = {}
    for part in parts:
        host = part.header.host
        if _began(part) < ended.get(host, 0):
            return True
        ended[host] = max(ended.get(host, 0), part.ending.ended_utc_ns)
    return False


def of_part(part: Part, file: str = "") -> Brief:
    """The same from a part that was folded, of the journal of this name."""
    return Brief(part.header, part_ending(part, _is_live(part)), part.summary, part.currency, file, part.problems)


def _is_live(part: Part) -> bool:
    return part.footer is None and lives(part.header)
