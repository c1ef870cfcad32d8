"""The list of runs: what each came to, without reading its slots.

A journal says at its end, and once an hour, what everything before comes to. So its first line and its last are read,
and where it has no end, what follows its last subtotal. A journal of before has neither, and is folded.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from functools import cached_property
from operator import attrgetter
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.brief import Brief, brief
from costmeter.ledger.bulk import fold_path
from costmeter.ledger.copies import copy_name, journal_at, without_copies
from costmeter.ledger.ending import Ending, Lost, Stretch, lost, part_ending, part_goes_on, together
from costmeter.ledger.finding import JOURNAL, paths_of
from costmeter.ledger.overlap import meeting, metered_elsewhere
from costmeter.ledger.query import Part
from costmeter.ledger.record import Header
from costmeter.meter.activity import State
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Quantities
from costmeter.meter.totals import DeviceTotals, by_state, net

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
        return by_state(net(self.whole.charges, self.whole.credits))["idle"]

    @property
    def microjoules(self) -> int:
        """The facility's energy."""
        return self.whole.facility_microjoules

    @property
    def micrograms(self) -> int:
        """Operational and embodied emissions."""
        return self.whole.emitted_micrograms


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
        """Whether all of its GPUs were simulated. Of a run that `apart` has taken apart they are, or are not."""
        return all(part.header.simulated for part in self.parts)

    @property
    def apart(self) -> "tuple[Listed, ...]":
        """The run taken apart by what never adds up: simulated or real, and by currency; each with its own parts."""
        if len(self.parts) == 1:
            return (self,)
        groups: dict[tuple[bool, str], list[Brief]] = {}
        for part in self.parts:
            groups.setdefault((part.header.simulated, part.currency), []).append(part)
        return (self,) if len(groups) == 1 else tuple(replace(self, parts=tuple(each)) for each in groups.values())

    def path_of(self, part: Brief) -> Path:
        """The journal of one of its parts."""
        return Path(part.file if part.of is not None else journal_at(self.found, part))

    @property
    def ending(self) -> Ending:
        """How it ended, over all parts and hosts."""
        return together([(part.header.host, part.ending) for part in self.parts])

    @property
    def gpus(self) -> tuple[tuple[str, int], ...]:
        """GPUs by name: the most that each host held, those of several hosts added up."""
        by_host: dict[tuple[str, str], int] = {}
        for part in self.parts:
            for name, count in part.beside or part.summary.gpus:
                by_host[part.header.host, name] = max(by_host.get((part.header.host, name), 0), count)
        names: dict[str, int] = {}
        for (_, name), count in by_host.items():
            names[name] = names.get(name, 0) + count
        return tuple(names.items())

    @cached_property
    def spendings(self) -> tuple[Spending, ...]:
        """What it came to: one for each that `apart` has."""
        return tuple(spending(each.parts, each.simulated) for each in self.apart)

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
    first = parts[0].summary
    if len(parts) == 1 and first.saved is None:  # as most runs are
        return Spending(parts[0].currency, simulated, first.whole, first.redone)
    whole = first.whole
    for part in parts[1:]:
        whole = whole + part.summary.whole
    stretches = [Stretch(part.header.host, part.ending, part.summary.whole.cost, part.summary.saved) for part in parts]
    redone = sum((part.summary.redone for part in parts), Decimal(0))
    return Spending(parts[0].currency, simulated, whole, redone, lost(stretches))


@dataclass(frozen=True, slots=True)
class Listing:
    """The runs that could be read, oldest first, and what is to be said of what could not.

    `copied` are journals that a meter has written once and that are there twice, each with the run it is a copy of.
    """

    runs: tuple[Listed, ...]
    unread: tuple[str, ...] = ()
    copied: Mapping[str, str] = field(default_factory=dict)

    @property
    def copies(self) -> tuple[str, ...]:
        """What is said of copies: a line for each folder that has some, and for each in a run's own folder."""
        places = {copy_name(path, run): run for path, run in self.copied.items()}
        return tuple(f"{place} is a copy of {run}: not counted" for place, run in places.items())


#: Journals with an end that are as their meters left them, by path, size and time of change (nanoseconds).
Checked = dict[tuple[str, int, int], Brief]


def list_runs(state: Path) -> tuple[Listed, ...]:
    """Every run recorded under a state directory that can be read, oldest first."""
    return listing(state).runs


def listing(state: Path, checked: Checked | None = None) -> Listing:
    """The same, with what cannot be read.

    Where `checked` is given, every journal is held against the checksum that its meter wrote, and folded where it has
    changed since; those that an earlier look found whole are not read again.
    """
    try:
        with os.scandir(state / "runs") as entries:
            folders = [entry.path for entry in entries]
    except FileNotFoundError:
        return Listing(())
    except OSError as refusal:
        return Listing((), (f"{state / 'runs'}: cannot be read: {refusal.strerror}",))
    return _read(((folder, _journals(folder)) for folder in folders), checked)


def listing_of(state: Path, runs: Iterable[str], checked: Checked | None = None) -> Listing:
    """Runs by id or by path, as `load_run` takes them. Raises JournalError for one that is not there."""
    found = {run: paths_of(state, run) for run in dict.fromkeys(runs)}
    places = ((paths[0] if Path(run).is_file() else paths[0].parent, paths) for run, paths in found.items())
    return _read(((os.path.abspath(place), list(map(os.path.abspath, paths))) for place, paths in places), checked)


def _journals(folder: str) -> list[str] | str:
    """The journals of a folder, or why nobody can say."""
    try:
        return [f"{folder}/{name}" for name in os.listdir(folder) if name.endswith(JOURNAL)]
    except NotADirectoryError:
        return []
    except OSError as refusal:
        return f"{folder}: cannot be read: {refusal.strerror}"


def _read(found: Iterable[tuple[str, list[str] | str]], checked: Checked | None) -> Listing:
    unread: list[str] = []
    places: dict[str, list[Brief]] = {}
    for place, paths in found:
        if isinstance(paths, str):
            unread.append(paths)
        elif paths:
            places[place] = _read_all(paths, checked, unread)
    copied = dict(without_copies(places))
    runs = [run for place, parts in places.items() for run in _whole(place, parts, unread)]
    runs.sort(key=lambda run: run.ending.started_utc_ns)
    return Listing(tuple(runs), tuple(unread), copied)


def _whole(place: str, parts: list[Brief], unread: list[str]) -> Iterator[Listed]:
    """The run of a place; none where nothing of it can be read."""
    if not parts:
        return
    try:
        yield Listed(parts[0].header.run, tuple(_in_order(place, parts)), place)
    except Exception as fault:  # as in `_read_all`
        unread.append(_unforeseen(place, fault))


def _unforeseen(place: str, fault: Exception) -> str:
    if isinstance(fault, JournalError):
        return fault.message
    return f"{place}: cannot be read: {type(fault).__name__}: {fault}"


def _read_all(paths: Iterable[str], checked: Checked | None, unread: list[str]) -> list[Brief]:
    """What journals come to, without those that cannot be read, which is said."""
    found: list[Brief] = []
    for path in paths:
        try:
            found.append(_brief(path) if checked is None else _checked_brief(path, checked))
        except Exception as fault:  # what nobody foresaw in one journal hides no other
            unread.append(_unforeseen(path, fault))
    return found


def _brief(path: str, is_checked: bool = False) -> Brief:
    return brief(path, is_checked) or of_part(fold_path(Path(path)), os.path.basename(path))


def _checked_brief(path: str, checked: Checked) -> Brief:
    """What a journal comes to that is as its meter left it, or else what can be read of it."""
    try:
        facts = os.stat(path)
    except OSError as refusal:
        raise JournalError(f"{path}: cannot be read: {refusal.strerror}") from refusal
    key = path, facts.st_size, facts.st_mtime_ns
    if key in checked:
        return checked[key]
    found = _brief(path, is_checked=True)
    if found.ending.outcome not in ("running", "interrupted"):
        checked[key] = found
    return found


def _in_order(place: str, parts: list[Brief]) -> list[Brief]:
    """The parts of one run in order of their start; what two meters saw at once counts once, as in the whole."""
    if len(parts) == 1:
        return parts
    parts.sort(key=lambda part: part.file)  # of two meters alike the order of their names decides, as in `load_run`
    met = meeting([(part.header, _end_ns(part)) for part in parts])
    if met:
        _meet(place, parts, met)
    return sorted(parts, key=lambda of: (of.header.anchor.utc(of.header.start_ns), of.header.host, of.header.part))


def _meet(place: str, parts: list[Brief], met: Sequence[int]) -> None:
    """Put what counts of those that met in their places."""
    paths = {at: Path(journal_at(place, parts[at])) for at in met}
    folded = [fold_path(path) for path in paths.values()]
    for at, part, elsewhere in zip(met, folded, metered_elsewhere(folded), strict=True):
        found = of_part(fold_path(paths[at], None, elsewhere), parts[at].file) if elsewhere else parts[at]
        parts[at] = replace(found, elsewhere=elsewhere, beside=_beside(part, folded))


def _beside(part: Part, others: Sequence[Part]) -> tuple[tuple[str, int], ...]:
    """The GPUs by name that the parts of its host held when this part began."""
    start_ns, held = part.header.start_ns, dict(part.devices)
    for other in others:
        is_there = (other.header.host, other.header.boot_id) == (part.header.host, part.header.boot_id)
        if is_there and other.start_ns <= start_ns < other.start_ns + other.length_ns:
            held |= other.devices
    return tuple(Counter(device.name for device in held.values()).items())


def _end_ns(part: Brief) -> int:
    """When a part's meter had ended, by the clock of its boot."""
    return part.header.anchor.boottime(part.ending.started_utc_ns) + part.ending.length_ns


def of_part(part: Part, file: str = "") -> Brief:
    """The same from a part that was folded, of the journal of this name."""
    return Brief(part.header, part_ending(part, part_goes_on(part)), part.summary, part.currency, file, part.problems)
