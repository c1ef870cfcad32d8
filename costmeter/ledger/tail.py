"""What follows the last subtotal of a journal without an end: at most an hour, folded into what a list of runs asks.

It is `query.fold` without all that stands in no list. Slots that follow each other are priced at once.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Sequence as Lines
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from costmeter.ledger import kinds
from costmeter.ledger.columns import SlotColumns, slot_columns
from costmeter.ledger.line import CHECK_LENGTH, decode
from costmeter.ledger.query import priced_only
from costmeter.ledger.ratesline import decode_rates
from costmeter.ledger.reading import open_slot
from costmeter.ledger.record import Devices, Footer, Header, Mark, RatesChange, Record, Saved, SlotEntry, Summary
from costmeter.ledger.sealed import is_sealed
from costmeter.ledger.sequence import Sequence
from costmeter.meter.charge import Rates
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Slot
from costmeter.meter.tally import Tally, charged
from costmeter.meter.totals import DeviceTotals, totals

_SLOT, _DEVICES, _RATES_BEGIN = b'{"type":"slot"', b'{"type":"devices"', b'{"type":"rates"'
_RATES = re.compile(rb'{"type":"rates","utc_ns":([0-9]{1,19}),')


@dataclass(slots=True)
class Folding:
    """A journal's part while it is folded, with no more of it than a list asks for. `order` is that of its arrays."""

    header: Header
    ended_utc_ns: int
    slots: int = 0
    whole: DeviceTotals = field(default_factory=DeviceTotals)
    redone: Decimal = Decimal(0)
    saved: Saved | None = None
    progress: Progress | None = None
    rates: Rates | None = None
    order: tuple[str, ...] = ()
    models: dict[str, str] = field(default_factory=dict)
    since_ns: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    sequence: Sequence = field(default_factory=Sequence)

    @property
    def start_ns(self) -> int:
        """From when it counts, as `Part.start_ns`."""
        return min([self.header.start_ns, *self.since_ns.values()])

    @property
    def currency(self) -> str:
        """What its money is in, as `Part.currency`."""
        return self.header.currency if self.rates is None else self.rates.currency

    @property
    def summary(self) -> Summary:
        """What it comes to so far."""
        gpus = tuple(Counter(self.models.values()).items())
        return Summary(self.slots, self.ended_utc_ns, self.whole, gpus, self.redone, self.saved, self.progress)

    def takes_summary(self, summary: Summary) -> None:
        """Begin with what a subtotal says of all before it."""
        self.slots, self.ended_utc_ns, self.whole = summary.slots, summary.ended_utc_ns, summary.whole
        self.redone, self.saved, self.progress = summary.redone, summary.saved, summary.progress

    def take_devices(self, line: bytes) -> None:
        """The devices that are held from here on. Raises ValueError where the line is none of devices."""
        self._take(_devices(line))

    def take_rates(self, line: bytes) -> None:
        """The prices of slots from here on. Raises ValueError where the line is none of prices."""
        self._take(_rates(line, self.order))

    def take_all(self, lines: Lines[bytes]) -> None:
        """The lines that follow. Raises ValueError where one cannot be read, or a slot is not the next."""
        for are_slots, group in groupby(lines, lambda line: line.startswith(_SLOT)):
            some = list(group)
            if are_slots and self._take_at_once(some):
                continue
            for line in some:
                record = _record(line, self.order)
                if isinstance(record, SlotEntry) and record.slot.number != self.slots:
                    raise ValueError("a slot that is not the next")
                if isinstance(record, Record):
                    self._take(record)

    def take_open(self, path: str) -> None:
        """The slot that was open at the last tick. Raises ValueError where slots before it are missing."""
        beside = f"{os.path.splitext(path)[0]}.open"
        still_open = open_slot(Path(path), self.order) if os.path.exists(beside) else None
        if still_open is None or still_open.slot.number < self.slots:
            return
        if still_open.slot.number > self.slots:
            raise ValueError("slots before the open one are missing")
        self._take_slot(still_open.slot)

    def _take(self, record: Record) -> None:
        if not self.sequence.takes(record):
            return
        if isinstance(record, SlotEntry):
            self._take_slot(record.slot)
        elif isinstance(record, RatesChange):
            self.rates = record.rates
        elif isinstance(record, Devices):
            self.order = tuple(device.uuid for device in record.devices)
            self.models |= {device.uuid: device.name for device in record.devices}
            self.since_ns = dict(record.since_ns) | self.since_ns  # the first word holds
        elif isinstance(record, Mark) and record.kind == "checkpoint":
            self.saved = Saved(record.at_utc_ns, self.whole.cost, self.progress.steps if self.progress else None)
        elif isinstance(record, Footer):
            self.ended_utc_ns = record.ended_utc_ns

    def _take_slot(self, whole: Slot) -> None:
        slot, problem = priced_only(whole, self.rates)
        if problem and problem not in self.problems:
            self.problems.append(problem)
        if self.rates is not None:
            self._book(totals(slot, self.rates).whole, slot.redone)
        self.slots, self.ended_utc_ns = self.slots + 1, slot.end_utc_ns
        self.progress = slot.progress or self.progress

    def _book(self, added: DeviceTotals, is_redone: bool) -> None:
        self.whole = self.whole + added
        if is_redone:
            self.redone += added.cost

    def _take_at_once(self, lines: Lines[bytes]) -> bool:
        """Whether slots were taken all at once: not where they are not plainly the next, or a GPU has no price."""
        columns = slot_columns(lines, self.order)
        if columns is None or columns.first != self.slots or self.rates is None:
            return False
        added: list[tuple[DeviceTotals, bool]] = []
        start = 0
        for is_redone, alike in groupby(is_redone for _, is_redone in columns.phases):
            stop = start + len(list(alike))
            each = _priced(columns, start, stop, self.rates)
            if each is None:
                return False
            added.append((each, is_redone))
            start = stop
        for each, is_redone in added:
            self._book(each, is_redone)
        self.slots, self.ended_utc_ns = self.slots + start, columns.end_utc_ns(start - 1)
        self.progress = columns.progress(0, start) or self.progress
        return True


def _priced(columns: SlotColumns, start: int, stop: int, rates: Rates) -> DeviceTotals | None:
    """What slots come to, all GPUs together; None where one has no price, or only `charge` can tell."""
    blocks = columns.blocks(start, stop)
    prices = [price for uuid in columns.order if (price := rates.devices.get(uuid)) is not None]
    if len(prices) < len(columns.order):
        return None
    if prices.count(prices[0]) == len(prices):  # as on most nodes: then nobody asks which of them it was
        blocks, prices = [block.as_one_device() for block in blocks], prices[:1]
    tally = Tally(len(prices))
    for block in blocks:
        each = charged(block, prices, rates)
        if each is None:
            return None
        tally.add([(block, each)])
    return tally.whole()


# Lines that many journals have in common


def _record(line: bytes, order: tuple[str, ...]) -> object:
    """What a line says. Raises ValueError where it cannot be read."""
    if line.startswith(_RATES_BEGIN):
        return _rates(line, order)
    return _devices(line) if line.startswith(_DEVICES) else decode(line, order)


@lru_cache(maxsize=64)
def _devices(line: bytes) -> Record:
    """The devices of a line: all runs of a machine have about the same."""
    record = decode(line)
    if not isinstance(record, Devices):
        raise ValueError("no devices where they should be")
    return record


def _rates(line: bytes, order: tuple[str, ...]) -> RatesChange:
    """The rates of a line. Raises ValueError where there are none."""
    begin = _RATES.match(line)
    if begin is None or not kinds.instant(int(begin[1])) or not is_sealed(line):
        raise ValueError("no prices where they should be")
    return _rates_of(line[begin.end() : -CHECK_LENGTH], order)


@lru_cache(maxsize=64)
def _rates_of(rest: bytes, order: tuple[str, ...]) -> RatesChange:
    """Rates from what follows their instant, which nobody asks for: while prices stay, all runs say the same."""
    body = json.loads(b'{"utc_ns":0,%s}' % rest)
    try:
        return decode_rates(body, order, {})
    except (KeyError, TypeError, IndexError, ArithmeticError, AttributeError) as problem:
        raise ValueError(f"rates lack or garble {problem}") from problem
