"""What a journal comes to under other prices, where its own last line vouches for every byte before it.

The footer of a finished journal has a checksum of all before it, and what the part came to. Where that checksum holds,
nobody has touched the lines since their meter wrote them. Then none is checked alone; totals under the run's own prices
are the footer's; and of a slot no more is taken than other prices are for, which is time and energy by state. Slots
under equal prices are charged together, wherever they stand between others.

What was taken so is held against the footer's quantities. Where they differ, or a line is not plainly as a meter writes
it, the journal goes the way of `bulk`, which says what is wrong with it.
"""

from array import array
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from costmeter.errors import JournalError
from costmeter.ledger.bulk import Refusal, fold_each, no_collecting
from costmeter.ledger.columns import by_field
from costmeter.ledger.journal import is_whole, summed_up
from costmeter.ledger.line import CHECK_LENGTH
from costmeter.ledger.lines import LONGEST_LINE, line_blocks, opened
from costmeter.ledger.pricing import PricesFor, Pricing, Unpriceable
from costmeter.ledger.query import Part
from costmeter.ledger.reading import Scan
from costmeter.ledger.record import Header, Place, Summary
from costmeter.meter.activity import STATES
from costmeter.meter.bulk import Block, Charged
from costmeter.meter.charge import Rates
from costmeter.meter.slot import Quantities
from costmeter.meter.tally import Tally, charged
from costmeter.meter.totals import DeviceTotals, Totals

#: So many slots are charged at once: their numbers just fit into a processor's cache.
_SLOTS_AT_ONCE = 4_096
#: What of a slot is charged, and which fields of Quantities that is.
_CHARGED = frozenset(f"{state}_{what}" for state in STATES for what in ("ns", "uj", "host_uj"))
_HELD = [f"{state}_{what}" for state in STATES for what in ("nanoseconds", "microjoules", "host_microjoules")]
#: Lines that say how slots are priced, and whose they are.
_DECODED = frozenset({"header", "devices", "rates", "footer"})
_DEVICES = b'{"type":"devices"'
_DIGITS = b"0123456789"
#: What says that this is not plainly a whole journal.
_NOT_PLAIN = (KeyError, TypeError, ValueError, IndexError, ArithmeticError, AttributeError, OSError)


def fold_whole(path: Path, prices: Sequence[PricesFor | None]) -> list[Part | Refusal]:
    """One journal folded into a part under one set of prices after another, for who asks no more than what it costs.

    `totals` of a part may be those of all its GPUs together, under no name, as its phases may be; and of checkpoints,
    marks, and idle time by reason under other prices, nothing may be said. Raises JournalError as `fold_each` does.
    """
    with no_collecting():
        found = _vouched_for(path, prices)
    return fold_each(path, prices) if found is None else found


def _vouched_for(path: Path, prices: Sequence[PricesFor | None]) -> list[Part | Refusal] | None:
    """The parts as the footer has them; None where it does not vouch for what is before it."""
    try:
        footer = _footer(path)
        if footer is None:
            return None
        summary, place = footer
        if not is_whole(path, place):
            return None
        journal = _Journal(path, prices)
        for first, block in line_blocks(path, []):
            journal.take(first, block)
        return [*journal.parts(summary)]
    except (*_NOT_PLAIN, JournalError, Unpriceable):  # be it a fault of the prices: the other way tells of each
        return None


def _footer(path: Path) -> tuple[Summary, Place] | None:
    """What the last line of a journal sums up, where it is a footer in its place and no slot is open."""
    with opened(path) as file:
        end = file.seek(0, 2)
        at = max(0, end - LONGEST_LINE)
        file.seek(at)
        *before, line, rest = (b"", *file.read().rsplit(b"\n", 2))
    if rest or not any(before) or path.with_suffix(".open").exists():
        return None
    return summed_up(line, end)


class _Journal:
    """A journal while it is read: a row for each of the prices, and slots that were read and not charged yet.

    `_under` has, by what is charged, its number and the rates of every row that say so. `_held` has slots that are
    charged alike and have the same columns: where they stand, and those columns.
    """

    def __init__(self, path: Path, prices: Sequence[PricesFor | None]) -> None:
        self._problems: list[str] = []
        self._scan = Scan(path, self._problems)
        self._prices = prices
        self._rows: list[Pricing] = []
        self._others: list[Pricing] = []
        self._slots = self._charged = 0
        self._has_phases = False
        self._under: dict[tuple[object, ...], int] = {}
        self._rates: list[tuple[Rates, ...]] = []
        self._held: dict[tuple[int, object], tuple[list[int], dict[str, array[int]]]] = {}
        self._tallies: list[Tally] = []
        self._wholes: list[DeviceTotals] = []

    def take(self, first: int, lines: Sequence[bytes]) -> None:
        """Some lines more, of which the first has this number. Raises ValueError and others where one is not plain."""
        bodies = orjson.loads(b"[" + b",".join(lines) + b"]")
        start = 0
        for place in [place for place, body in enumerate(bodies) if body["type"] in _DECODED]:
            self._take_slots(lines[start:place], bodies[start:place])
            self._take_other(first + place, lines[place])
            start = place + 1
        self._take_slots(lines[start:], bodies[start:])

    def parts(self, summary: Summary) -> list[Part]:
        """The parts, once all lines were taken. Raises ValueError where they are not what their footer sums up."""
        self._settle()
        if self._slots != summary.slots or self._problems or not self._rows:
            raise ValueError("not what its footer sums up")
        wholes = iter(self._wholes)
        found = []
        for row, prices in zip(self._rows, self._prices, strict=True):
            whole = summary.whole if prices is None else _with_quantities(next(wholes), summary.whole.quantities)
            phases = {"": whole} if self._has_phases else {}
            part = replace(row.part, totals=Totals({"": whole}), phases=phases, progress=summary.progress)
            found.append(replace(part, idle=summary.idle) if prices is None else part)
        return found

    def _take_other(self, number: int, line: bytes) -> None:
        if line.startswith(_DEVICES):  # slots so far are of those before
            self._settle()
        record = self._scan.record(number, line)
        if isinstance(record, Header) and not self._rows:
            self._rows = [Pricing(record, prices) for prices in self._prices]
            self._others = [row for row, prices in zip(self._rows, self._prices, strict=True) if prices is not None]
            self._wholes = [DeviceTotals() for _ in self._others]
        elif record is not None:
            for row in self._rows:
                row.fold(record)

    # Slots

    def _take_slots(self, lines: Sequence[bytes], bodies: Sequence[dict[str, Any]]) -> None:
        """Slots, and lines between them that say nothing of what they cost."""
        slots = [(line, body) for line, body in zip(lines, bodies, strict=True) if body["type"] == "slot"]
        if not slots:
            return
        after = self._slots + len(slots)
        if [body["n"] for _, body in slots] != list(range(self._slots, after)):
            raise ValueError("slots that do not follow each other")
        alike: dict[tuple[bytes, int], list[dict[str, Any]]] = {}
        under = self._charged_under([body["utc_ns"] for _, body in slots])
        for (line, body), number in zip(slots, under, strict=True):
            shape = line[:-CHECK_LENGTH].translate(None, _DIGITS)  # lines that differ in digits alone
            alike.setdefault((shape, number), []).append(body)
        for (shape, number), same in alike.items():
            if b'"redone":true' in shape:
                raise ValueError("work done again, of which a summary says less")
            self._has_phases = self._has_phases or b',"phase":"' in shape
            self._hold(number, same)
        self._slots = after
        if any(row.part.rates is None for row in self._rows):
            raise ValueError("slots without prices")
        last = slots[-1][1]
        for row in self._rows:
            row.passes(len(slots), last["utc_ns"] + last["ns"])
        if self._slots - self._charged >= _SLOTS_AT_ONCE:
            self._charge()

    def _charged_under(self, starts_utc_ns: Sequence[int]) -> list[int]:
        """By slot the number of what it is charged under."""
        for row in self._others:
            row.begin_columns()
            row.see(starts_utc_ns, 0, len(starts_utc_ns))
        edges = sorted({0, *(place for row in self._others for place in row.edges)})
        found: list[int] = []
        for start, stop in pairwise([*edges, len(starts_utc_ns)]):
            rates = tuple(each for row in self._others if (each := row.rates_of(start)) is not None)
            if len(rates) < len(self._others):
                raise ValueError("slots without prices")
            number = self._under.setdefault(tuple(map(_what_is_charged, rates)), len(self._rates))
            if number == len(self._rates):
                self._rates.append(rates)
            found += [number] * (stop - start)
        return found

    def _hold(self, under: int, bodies: Sequence[dict[str, Any]]) -> None:
        """Keep of slots with the same keys what is charged."""
        if not self._others:
            return
        keys = ["n", "ns", *(key for key in bodies[0] if key in _CHARGED)]
        rows = dict(zip(keys, zip(*map(itemgetter(*keys), bodies), strict=True), strict=True))
        columns, slots = by_field(rows, len(self._scan.order)), len(bodies)
        if {len(values) for values in columns.values()} - {slots, slots * len(self._scan.order)}:
            raise ValueError("not a number for every device")
        kind = under, tuple((name, len(values) == slots) for name, values in columns.items())
        places, held = self._held.setdefault(kind, ([], {name: array("Q") for name in columns}))
        places += rows["n"]
        for name, values in columns.items():
            held[name].extend(values)

    # What they come to

    def _charge(self) -> None:
        """Charge what is held. Raises ValueError where only `charge` can tell."""
        order = self._scan.order
        self._tallies = self._tallies or [Tally(len(order)) for _ in self._others]
        found: list[list[tuple[Block, Charged]]] = [[] for _ in self._others]
        for (under, _), (places, columns) in self._held.items():
            block = Block(columns, places, len(order))
            for of_row, rates in zip(found, self._rates[under], strict=True):
                each = charged(block, [rates.devices[uuid] for uuid in order], rates)
                if each is None:
                    raise ValueError("not plain")
                of_row.append((block, each))
        for tally, of_row in zip(self._tallies, found, strict=True):
            tally.add(of_row)
        self._held, self._charged = {}, self._slots

    def _settle(self) -> None:
        """Make totals of what was charged: the devices may be others from here on."""
        if self._held:
            self._charge()
        if self._tallies:
            sums = (tally.whole() for tally in self._tallies)
            self._wholes = [whole + more for whole, more in zip(self._wholes, sums, strict=True)]
        self._tallies = []


def _what_is_charged(rates: Rates) -> tuple[object, ...]:
    """All of some rates that amounts hang on."""
    devices = tuple(rates.devices.items())
    return devices, rates.electricity_per_kwh, rates.pue, rates.carbon_grams_per_kwh, rates.market_grams_per_kwh


def _with_quantities(whole: DeviceTotals, all_of: Quantities) -> DeviceTotals:
    """What slots came to, with all of their quantities. Raises ValueError where those charged are others."""
    if any(getattr(whole.quantities, name) != getattr(all_of, name) for name in _HELD):
        raise ValueError("not what its footer sums up")
    return replace(whole, quantities=all_of)
