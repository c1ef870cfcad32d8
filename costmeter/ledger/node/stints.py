"""What every run, and nobody, did and cost in one file of a node: said at the end of the file, or found from its slots.

Where an agent ends a file it writes a line for each, exact and derived from the slots before. So who asks about 400
days reads the two ends of each file. The footer after them says where it stands and what they come to together: where
that is not so, where there are none, and where the file has no end, all of it is read.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.headerline import decode_header
from costmeter.ledger.journal import is_whole, summed_up
from costmeter.ledger.line import unseal
from costmeter.ledger.lines import LONGEST_LINE, opened
from costmeter.ledger.node.bulk import Stretch, read_node
from costmeter.ledger.node.line import DECODERS
from costmeter.ledger.node.record import Line, Opening, RunAccount, RunEnded, RunFacts, RunSeen, Stint
from costmeter.ledger.query import priced_only
from costmeter.ledger.record import Devices, Footer, Header, RatesChange, SlotEntry, Summary
from costmeter.ledger.sealed import unsealed
from costmeter.meter.charge import Rates
from costmeter.meter.holder import Holder, RunKey
from costmeter.meter.holding import by_holder
from costmeter.meter.slot import Slot
from costmeter.meter.totals import DeviceTotals, Totals, totals

#: An agent keeps so many for a file. Of a day with more runs nothing is said at its end, and it is read as a whole.
STINTS_KEPT = 1_000
#: What is read of an end at first.
_BYTES = 2**15
_STINT = b'{"type":"stint"'
#: What readers raise of what is not as an agent writes it.
_GARBLED = (KeyError, TypeError, ValueError, IndexError, ArithmeticError, AttributeError, OSError, JournalError)

#: Whose it is: a run, a user by his name, or nobody; and in which money.
_Whose = tuple[RunKey | None, str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """What a file comes to by run. `header` says which agent wrote it, `has_ended` whether that one ended it."""

    header: Header
    stints: tuple[Stint, ...]
    has_ended: bool
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _Sum:
    """A stint while slots are added to it."""

    began_utc_ns: int
    until_utc_ns: int
    whole: DeviceTotals = field(default_factory=DeviceTotals)
    redone: Decimal = Decimal(0)
    uuids: set[str] = field(default_factory=set)


class Stints:
    """The stints of one file while it is written, or read. At most so many are `kept`; None is no limit."""

    def __init__(self, kept: int | None = None) -> None:
        self._kept = kept
        self._sums: dict[_Whose, _Sum] = {}
        self._names: dict[str, str] = {}
        self._facts: dict[RunKey, RunFacts] = {}
        self._ends: dict[RunKey, RunEnded] = {}
        self._rates: Rates | None = None
        self._problems: list[str] = []
        self._slots = self._ended_utc_ns = 0
        self.header: Header | None = None
        self.has_ended = self.is_short = False

    @property
    def problems(self) -> tuple[str, ...]:
        """What was not counted."""
        return tuple(self._problems)

    def take(self, told: Line | Stretch) -> None:
        """What comes next in the file."""
        if isinstance(told, Footer):
            self.has_ended = True
        elif isinstance(told, Header):
            self.header = self.header or told
        elif isinstance(told, Opening):
            for account in told.accounts:  # in a file they have lines of their own
                self._know(account.facts)
        elif self.is_short:
            return
        elif isinstance(told, SlotEntry):
            self._take_slot(told.slot)
        elif isinstance(told, Stretch):
            self._take_stretch(told)
        elif isinstance(told, RatesChange):
            self._rates = told.rates
        elif isinstance(told, Devices):
            self._names |= {device.uuid: device.name for device in told.devices}
        elif isinstance(told, RunSeen | RunAccount):
            self._know(told.facts)
        elif isinstance(told, RunEnded):
            self._ends[told.key] = told

    def stints(self) -> tuple[Stint, ...]:
        """What each comes to so far; those of runs that only ended here are the last."""
        found = [self._stint(whose, of) for whose, of in self._sums.items()]
        there = {key for key, _, _ in self._sums}
        currency = self.header.currency if self.header is not None else ""
        for key, end in self._ends.items():
            if key not in there and key in self._facts:
                found.append(Stint(self._facts[key], currency, end.at_utc_ns, end.at_utc_ns, ended=end))
        return tuple(found)

    def summary(self) -> Summary:
        """What all of them come to together, for the footer that follows them."""
        whole = sum((each.whole for each in self._sums.values()), DeviceTotals())
        redone = sum((each.redone for each in self._sums.values()), Decimal(0))
        return Summary(self._slots, self._ended_utc_ns, whole, tuple(Counter(self._names.values()).items()), redone)

    def _stint(self, whose: _Whose, of: _Sum) -> Stint:
        key, user, currency = whose
        gpus = tuple(Counter(self._names.get(uuid, "") for uuid in sorted(of.uuids)).items())
        facts, ended = None, None
        if key is not None:
            uid, run = key
            facts = self._facts.get(key) or RunFacts.of(Holder(uid, run, user, "user"), of.began_utc_ns)
            ended = self._ends.get(key)
        return Stint(facts, currency, of.began_utc_ns, of.until_utc_ns, of.whole, of.redone, gpus, ended)

    def _know(self, facts: RunFacts) -> None:
        """What is known of a run now. One that was over and is named again goes on."""
        self._facts[facts.key] = facts
        self._ends.pop(facts.key, None)
        self._see_room(len(self._facts))

    def _see_room(self, count: int) -> None:
        """Let go of everything where there is too much of it."""
        if self._kept is not None and count > self._kept:
            self.is_short = True
            self._sums, self._facts, self._ends = {}, {}, {}

    # Slots

    def _take_slot(self, whole: Slot) -> None:
        slot, problem = priced_only(whole, self._rates)
        if problem and problem not in self._problems:
            self._problems.append(problem)
        self._see(1, slot.end_utc_ns)
        if self._rates is not None:
            shares = {holder: totals(own, self._rates) for holder, own in by_holder(slot).items()}
            self._add(shares, slot.start_utc_ns, slot.end_utc_ns, self._rates)

    def _take_stretch(self, stretch: Stretch) -> None:
        columns, rates = stretch.columns, self._rates
        shares = None if rates is None else stretch.priced(rates)
        if shares is None or rates is None:
            for entry in stretch.entries():
                self._take_slot(entry.slot)
            return
        last_utc_ns = columns.end_utc_ns(len(columns) - 1)
        self._see(len(columns), last_utc_ns)
        self._add(shares, columns.starts_utc_ns[0], last_utc_ns, rates)

    def _see(self, slots: int, ended_utc_ns: int) -> None:
        self._slots, self._ended_utc_ns = self._slots + slots, ended_utc_ns

    def _add(self, shares: Mapping[Holder | None, Totals], began_utc_ns: int, until_utc_ns: int, rates: Rates) -> None:
        for holder, priced in shares.items():
            key = None if holder is None else holder.key
            whose = key, "" if holder is None or holder.run else holder.user, rates.currency
            if holder is not None and holder.run and holder.key not in self._facts:  # its line was lost
                self._facts[holder.key] = RunFacts.of(holder, began_utc_ns)
            found = self._sums.get(whose)
            if found is None:
                found = self._sums[whose] = _Sum(began_utc_ns, until_utc_ns)
            whole = priced.whole
            found.until_utc_ns = until_utc_ns
            found.whole = found.whole + whole
            found.uuids |= priced.devices.keys()
            if holder is not None and holder.redone:
                found.redone += whole.cost
        self._see_room(len(self._sums))


# Reading


def stints_of(path: Path, is_checked: bool = False) -> Told:
    """What a file of a node comes to by run: by its end, or else by its slots, the open one included.

    With `is_checked` its end is believed only where all before it is as its agent left it, by the checksum that it has.
    Raises JournalError for what cannot be read or is no journal.
    """
    try:
        found = _at_end(path, is_checked)
    except _GARBLED:
        found = None
    return found or _folded(path)


def _folded(path: Path) -> Told:
    problems: list[str] = []
    stints = read_node(path, problems, Stints)
    assert stints.header is not None  # or it was no journal
    return Told(stints.header, stints.stints(), stints.has_ended, (*problems, *stints.problems))


def _at_end(path: Path, is_checked: bool) -> Told | None:
    """The stints before a footer that stands where it was written; None where there are none to believe."""
    with opened(path) as file:
        head = file.readline(LONGEST_LINE)
        end = file.seek(0, 2)
        size = _BYTES
        while True:
            at = max(0, end - size)
            file.seek(at)
            lines = file.read().split(b"\n")
            if not lines[1].startswith(_STINT) or not at:
                break
            size *= 8
    *before, last, rest = lines
    footer = None if rest else summed_up(last, end)
    if footer is None:
        return None
    summary, place = footer
    if is_checked and not is_whole(path, place):
        return None
    found = tuple(map(_stint, _trailing(before)))
    if is_checked and sum((each.whole for each in found), DeviceTotals()) != summary.whole:
        return None
    return Told(decode_header(unseal(head)), found, True)


def _stint(line: bytes) -> Stint:
    """What one line says, by the fast reader. Raises ValueError and others where it is not as an agent writes it."""
    stint = DECODERS["stint"](unsealed(line), ())
    assert isinstance(stint, Stint)
    return stint


def _trailing(lines: list[bytes]) -> list[bytes]:
    """The last of some lines that are stints."""
    first = len(lines)
    while first and lines[first - 1].startswith(_STINT):
        first -= 1
    return lines[first:]
