"""What the lines of a journal say of each other: by numbers alone, for a wall clock may be set meanwhile.

Slots are numbered. Rates are, too, and every slot names those it is priced under; so are, on a node, the lines that say
who holds what. So a line that went missing, stands twice or was moved shows in those that are left, and what it costs
can be said. `order` puts back what was moved.
"""

from dataclasses import dataclass, field, replace

from costmeter.ledger.node.record import Holders, Line, Opening, RunAccount
from costmeter.ledger.record import Devices, Footer, Header, RatesChange, SlotEntry

#: What is said of lines, once for all of a kind.
MISSING = "slots missing: {}, not counted"
REPEATED = "slots that stand there again: {}, counted once"
MISPLACED = "slots out of their order: {}"
STALE = "rates that stand there again: {}, skipped"
SHRUNK = "lines of devices that stand there again: {}, skipped"
MISPRICED = "slots with other prices than their own, which are lost: {}"
HELD_AGAIN = "lines of holders that stand there again: {}, skipped"
HOLDERS_LOST = "slots whose holders are lost: {}, all of their GPUs counted as held by somebody unknown"


@dataclass(slots=True)
class Numbering:
    """Numbers the rates of one journal from 0, has each slot name the last, and the footer how many slots there were.

    The same with holders. What has its number keeps it. A header begins another journal.
    """

    last: int | None = None
    held: int | None = None
    slots: int = 0

    def numbered(self, record: Line) -> Line:
        """A record as it is to be written."""
        if isinstance(record, Header):
            self.last = self.held = None
            self.slots = 0
        if isinstance(record, Holders):
            after = 0 if self.held is None else self.held + 1
            self.held = after if record.number is None else record.number
            return replace(record, number=self.held)
        if isinstance(record, RatesChange):
            after = 0 if self.last is None else self.last + 1
            self.last = after if record.number is None else record.number
            return replace(record, number=self.last)
        if isinstance(record, SlotEntry):
            self.slots = record.slot.number + 1
            return self.named(record)
        if isinstance(record, Footer) and record.slots is None:
            return replace(record, slots=self.slots)
        return record

    def named(self, entry: SlotEntry) -> SlotEntry:
        """A slot that names what it hangs on."""
        rates = self.last if entry.rates is None else entry.rates
        held = self.held if entry.held is None else entry.held
        return replace(entry, rates=rates, held=held)


@dataclass(slots=True)
class Sequence:
    """What the numbers of a journal's lines say while it is read. Journals of before number no rates: they say less.

    `closed` are the numbers of the slots there were. `is_out_of_order` is set where a line may belong elsewhere than
    where it stands; one that is there again does not.
    """

    closed: set[int] = field(default_factory=set)
    is_out_of_order: bool = False
    _latest: int = -1
    _rates: int | None = None
    _gpus: frozenset[str] = frozenset()
    _awaits_rates: bool = False
    _has_ended: bool = False
    _told: set[int] = field(default_factory=set)
    _listed: set[int] = field(default_factory=set)
    _devices_repeated: int = 0
    _slots_repeated: int = 0
    _rates_repeated: int = 0
    _slots_misplaced: int = 0
    _slots_mispriced: int = 0
    _holders: set[int] = field(default_factory=set)
    _holders_repeated: int = 0
    _slots_unattributed: int = 0

    def takes(self, record: Line) -> bool:
        """Whether a line counts: no slot does twice, no rates again after later ones, and no GPU is ever let go."""
        if isinstance(record, SlotEntry):
            return self._takes_slot(record)
        if isinstance(record, Devices):
            return self._takes_devices(record)
        if isinstance(record, RatesChange):
            return self._takes_rates(record)
        if isinstance(record, Holders):
            return self._takes_holders(record)
        if isinstance(record, Opening | RunAccount):
            self.is_out_of_order |= bool(self.closed)
        if isinstance(record, Footer):
            self._has_ended = True
            if record.slots is not None:
                self._latest = max(self._latest, record.slots - 1)
        return True

    def takes_again(self, kind: object, number: object) -> bool:
        """Whether a slot or rates that cannot be read where they stand were read before; they are told as such."""
        if not isinstance(number, int):
            return False
        if kind == "slot" and number in self.closed:
            self._slots_repeated += 1
            return True
        if kind == "rates" and number in self._told:
            self._rates_repeated += 1
            return True
        return False

    def takes_slots(self, first: int, rates: list[int | None]) -> None:
        """Take slots numbered from `first` on, one by one, beyond all before; `rates` are those that they name."""
        after = first + len(rates)
        self.closed.update(range(first, after))
        self._latest = after - 1
        if self._awaits_rates or self._has_ended or rates.count(self._rates) < len(rates):
            self.is_out_of_order = True
        if self._rates is not None:
            self._slots_mispriced += len(rates) - rates.count(None) - rates.count(self._rates)

    def takes_open(self, entry: SlotEntry) -> bool:
        """Whether an open slot counts: not where it was closed since. It may be older than the last rates."""
        if entry.slot.number in self.closed:
            return False
        self._see_holders(entry)
        is_older = entry.rates is not None and self._rates is not None and entry.rates < self._rates
        self._slots_mispriced += not is_older and self._are_others(entry.rates)
        self._close(entry.slot.number)
        return True

    def _takes_slot(self, entry: SlotEntry) -> bool:
        number = entry.slot.number
        if number in self.closed:
            self._slots_repeated += 1
            return False
        is_behind = self._awaits_rates or self._has_ended or number < self._latest
        self.is_out_of_order |= is_behind or entry.rates != self._rates
        self._see_holders(entry)
        self._slots_misplaced += number < self._latest
        self._slots_mispriced += self._are_others(entry.rates)
        self._close(number)
        return True

    def _takes_devices(self, record: Devices) -> bool:
        gpus = frozenset(device.uuid for device in record.devices)
        is_first = len(record.devices) not in self._listed
        self._listed.add(len(record.devices))
        if not gpus >= self._gpus:
            self.is_out_of_order |= is_first
            self._devices_repeated += 1
            return False
        self.is_out_of_order |= self._has_ended and is_first
        self._awaits_rates |= is_first and bool(gpus)  # rates follow wherever there are more
        self._gpus = gpus
        return True

    def _takes_rates(self, change: RatesChange) -> bool:
        self._awaits_rates = False
        if change.number is None:
            return True
        if change.number in self._told:
            self._rates_repeated += 1
            return False
        self._told.add(change.number)
        self.is_out_of_order |= self._has_ended
        if self._rates is not None and change.number < self._rates:
            self.is_out_of_order = True
            self._rates_repeated += 1
            return False
        self._rates = change.number
        return True

    def _takes_holders(self, record: Holders) -> bool:
        if record.number is None:
            return True
        is_again = record.number in self._holders
        self._holders_repeated += is_again
        self._holders.add(record.number)
        return not is_again

    def _see_holders(self, entry: SlotEntry) -> None:
        """Count a slot whose holders no line before it says: they may follow it."""
        if entry.held is not None and entry.held not in self._holders:
            self.is_out_of_order = True
            self._slots_unattributed += 1

    def problems(self) -> list[str]:
        """What is to be said of it, once everything was read."""
        said = (
            (MISSING, self._latest + 1 - len(self.closed)),
            (REPEATED, self._slots_repeated),
            (MISPLACED, self._slots_misplaced),
            (STALE, self._rates_repeated),
            (SHRUNK, self._devices_repeated),
            (MISPRICED, self._slots_mispriced),
            (HELD_AGAIN, self._holders_repeated),
            (HOLDERS_LOST, self._slots_unattributed),
        )
        return [what.format(count) for what, count in said if count > 0]

    @property
    def latest(self) -> int:
        """The greatest number of a slot so far; -1 where there was none."""
        return self._latest

    def _close(self, number: int) -> None:
        self.closed.add(number)
        self._latest = max(self._latest, number)

    def _are_others(self, rates: int | None) -> bool:
        """Whether a slot is priced under other rates than it names. Without any rates it is not priced at all."""
        return rates is not None and self._rates is not None and rates != self._rates
