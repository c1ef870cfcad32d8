"""Many slots of a journal as columns of integers, without a Quantities for each: what a fast fold is made from.

Only slots that a meter writes are taken. Where one line is damaged or garbled, a number is no integer or slots do not
follow each other, there are no columns, and whoever asked decodes line by line. So what is said of damage is said in
one place, `slotline`.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain, repeat
from operator import add, itemgetter, mul, sub
from typing import Any

import orjson

from costmeter.ledger import kinds
from costmeter.ledger.line import CHECK_LENGTH
from costmeter.ledger.record import SlotEntry
from costmeter.ledger.sealed import all_unsealed, are_integers
from costmeter.ledger.slotline import (
    METHOD_ARRAYS,
    STATE_ARRAYS,
    decode_slot,
    is_standing,
    is_why,
    reason_of,
    take_counters,
    take_progress,
)
from costmeter.meter.activity import STATES
from costmeter.meter.bulk import Block, Charged
from costmeter.meter.charge import Rates
from costmeter.meter.idling import Reason
from costmeter.meter.progress import Progress
from costmeter.meter.standing import Standing
from costmeter.meter.tally import charged

_ARRAYS = frozenset((*STATE_ARRAYS, "busy_ns", "observed_ns", *(f"{method}_uj" for method in METHOD_ARRAYS)))
_COUNTERS = frozenset(("counters_mj", "counters_uj"))
_IDLE = ("idle_nanoseconds", "idle_microjoules", "idle_host_microjoules")
_DIGITS, _DIGIT = b"0123456789", re.compile("[0-9]")
_TOLD = frozenset(each.name for each in fields(Progress))
#: What a meter writes under these keys.
_KINDS: Mapping[str, set[type]] = {
    **{name: {int} for name in _TOLD},
    **{name: {list} for name in _COUNTERS},
    "loss": {int, float},
    "rates": {int, type(None)},
    "phase": {str},
    "redone": {bool},
    "standings": {dict},
}
#: A strict reader of JSON makes floats of integers from here on.
_LARGEST = 2**63

Body = dict[str, Any]
#: The values of one key, slot by slot.
Rows = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Shaped:
    """Slots with the same keys. `columns` has by field of Quantities their values: of every device, or one for all.

    `tells` is whether they say how far the run is. `reason` is why devices were idle in all of them, where that was one
    thing; else `reasons` has it slot by slot and device by device, or nothing where nobody knows.
    """

    places: Sequence[int]
    columns: Mapping[str, list[int]]
    tells: bool
    reason: Reason | None = None
    reasons: Sequence[Sequence[Reason | None]] = ()


@dataclass(frozen=True, slots=True)
class SlotColumns:
    """Slots of the same devices, in the order of their lines. `first` is the number of the first; the others follow.

    What their lines say is not kept as it was read: of few slots anybody asks for more than is in columns. `phases` has
    the phase of each slot, and whether it was done again.
    """

    order: tuple[str, ...]
    lines: Sequence[bytes]
    first: int
    starts_utc_ns: Sequence[int]
    lengths_ns: Sequence[int]
    rates: list[int | None]
    phases: Sequence[tuple[str, bool]]
    shaped: Sequence[_Shaped]

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def turns(self) -> list[int]:
        """The places of slots with which another phase begins."""
        if self.phases.count(self.phases[0]) == len(self.phases):
            return []
        return [place for place in range(1, len(self)) if self.phases[place] != self.phases[place - 1]]

    def end_utc_ns(self, place: int) -> int:
        """When a slot ended."""
        return self.starts_utc_ns[place] + self.lengths_ns[place]

    def entry(self, place: int) -> SlotEntry:
        """A slot alone."""
        return SlotEntry(decode_slot(self._body(place), self.order), self.rates[place])

    def blocks(self, start: int, stop: int) -> list[Block]:
        """The slots from `start` to before `stop`, those with the same keys together."""
        count, found = len(self.order), []
        for each in self.shaped:
            first, last = bisect_left(each.places, start), bisect_left(each.places, stop)
            slots, reasons = len(each.places), () if each.reason is None else (each.reason,) * count
            if first == last:
                continue
            if last - first == slots:
                found.append(Block(each.columns, each.places, count, reasons))
                continue
            cut = {
                id(values): values[first:last] if len(values) == slots else values[first * count : last * count]
                for values in each.columns.values()
            }
            columns = {name: cut[id(values)] for name, values in each.columns.items()}  # what was one list stays one
            found.append(Block(columns, each.places[first:last], count, reasons))
        return found

    def apart(self, start: int, stop: int) -> list[Block]:
        """The idle time alone of slots whose devices were idle for several reasons, reason by reason.

        It is in `blocks` too, which know no reason of it.
        """
        count, found = len(self.order), []
        for each in self.shaped:
            first, last = bisect_left(each.places, start), bisect_left(each.places, stop)
            told = list(chain.from_iterable(each.reasons[first:last]))
            for reason in {reason for reason in told if reason is not None}:
                is_of = [word == reason for word in told]
                columns = {
                    name: list(map(mul, _rows(values, first, last, len(each.places), count), is_of))
                    for name in _IDLE
                    if (values := each.columns.get(name)) is not None
                }
                found.append(Block(columns, each.places[first:last], count, (reason,) * count))
        return found

    def charged(self, blocks: Sequence[Block], rates: Rates) -> list[tuple[Block, Charged]] | None:
        """What blocks come to; None where a device has no price, or only `charge` can tell."""
        devices = [device for uuid in self.order if (device := rates.devices.get(uuid)) is not None]
        found: list[tuple[Block, Charged]] = []
        for block in blocks:
            each = charged(block, devices, rates) if len(devices) == len(self.order) else None
            if each is None:
                return None
            found.append((block, each))
        return found

    def counters(self, place: int) -> dict[str, int]:
        """A slot's energy counters, in microjoules."""
        return take_counters(self._body(place), self.order)

    def standings(self, place: int) -> dict[str, Standing]:
        """What a slot says of its accounts."""
        return {uuid: Standing(*values) for uuid, values in self._body(place).get("standings", {}).items()}

    def progress(self, start: int, stop: int) -> Progress | None:
        """The last that was told from slot `start` to before `stop`."""
        telling = [each.places for each in self.shaped if each.tells]
        last = max((places[before - 1] for places in telling if (before := bisect_left(places, stop))), default=-1)
        return take_progress(self._body(last))[2] if last >= start else None

    def _body(self, place: int) -> Body:
        body: Body = orjson.loads(self.lines[place])
        return body


def slot_columns(lines: Sequence[bytes], order: tuple[str, ...]) -> SlotColumns | None:
    """The columns of these lines; None where they are not plainly slots that follow each other."""
    if not order or len(set(order)) < len(order):
        return None
    try:
        bodies = all_unsealed(lines)  # integers beyond 64 bits have become floats: refused below
        shaped = [_shape(places, bodies, len(order)) for places in _alike(lines, bodies, order)]
        numbers = [body["n"] for body in bodies]
        if numbers[0] < 0 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            return None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return SlotColumns(
        order,
        lines,
        numbers[0],
        [body["utc_ns"] for body in bodies],
        [body["ns"] for body in bodies],
        [body.get("rates") for body in bodies],
        [(body.get("phase", ""), body.get("redone", False)) for body in bodies],
        shaped,
    )


def _alike(lines: Sequence[bytes], bodies: Sequence[Body], order: tuple[str, ...]) -> Iterable[list[int]]:
    """The places of slots with the same keys, the same method and the same kinds of values.

    Lines that differ in nothing but digits say numbers of the same kinds in arrays as long. So one of them is looked at
    for all, and of the others no more than that an integer is none that has become a float. Raises KeyError, TypeError
    or ValueError where one is not as a meter writes it.
    """
    written: dict[bytes, list[int]] = {}
    for place, line in enumerate(lines):
        written.setdefault(line[:-CHECK_LENGTH].translate(None, _DIGITS), []).append(place)
    alike: dict[tuple[object, ...], list[list[int]]] = {}
    for places in written.values():
        body = bodies[places[0]]
        _check(body, order)
        why = body.get("why")
        word = why if type(why) is str else None
        alike.setdefault((*body, body.get("method"), word, *map(type, body.values())), []).append(places)
    return (groups[0] if len(groups) == 1 else sorted(chain.from_iterable(groups)) for groups in alike.values())


def _check(body: Body, order: tuple[str, ...]) -> None:
    """Raises KeyError, TypeError or ValueError where a slot is not as a meter writes it, however large its numbers."""
    if body["type"] != "slot" or not are_integers((body["n"], body["utc_ns"], body["ns"])):
        raise TypeError("no slot, or an instant that is none")
    for key, value in body.items():
        if _DIGIT.search(key):  # another line may have another key there
            raise KeyError(key)
        if type(value) not in _KINDS.get(key, (type(value),)):
            raise TypeError("garbled")
        if key in _ARRAYS and type(value) is not int and not (type(value) is list and are_integers(value)):
            raise TypeError("neither an integer nor integers")
        if key in _COUNTERS and set(map(type, value)) - {int, type(None)}:
            raise TypeError("no counter")
        if type(value) is list and len(value) != len(order) and (key in _ARRAYS or key in _COUNTERS):
            raise ValueError("not a number for every device")
        if key == "why" and not is_why(value, len(order)):
            raise ValueError("no word for every device")


def _shape(places: list[int], bodies: Sequence[Body], count: int) -> _Shaped:
    """Slots with the same keys. Raises KeyError, TypeError or ValueError where a value is not as a meter writes it."""
    keys = list(bodies[places[0]])
    values = zip(*map(itemgetter(*keys), [bodies[place] for place in places]), strict=True)
    rows: Mapping[str, Rows] = dict(zip(keys, values, strict=True))
    for key in ("type", "method", "why"):  # words, of which others with digits in them have not been told apart
        if key in rows and type(rows[key][0]) is not list and rows[key].count(rows[key][0]) < len(places):
            raise ValueError("another word")
    for key in ("ns", "rates"):
        _check_narrow(filter(None, rows.get(key, ())))
    if min(rows["ns"]) < 0:
        raise ValueError("a length below nothing")
    if not (kinds.instant(min(rows["utc_ns"])) and kinds.instant(max(rows["utc_ns"]))):
        raise ValueError("of no calendar")
    for key in _TOLD & rows.keys():
        if max(rows[key]) >= _LARGEST or min(rows[key]) <= -_LARGEST:
            raise ValueError("an integer that was made a float")
    for key in _COUNTERS & rows.keys():
        _check_narrow(filter(None, chain.from_iterable(rows[key])))
    for each in rows.get("standings", ()):
        if not all(map(is_standing, each.values())):
            raise TypeError("no standing")
    return _Shaped(places, by_field(rows, count), not _TOLD.isdisjoint(rows), *_reasons(rows.get("why", ())))


def _reasons(why: Rows) -> tuple[Reason | None, Sequence[Sequence[Reason | None]]]:
    """The one reason of slots; or the reasons of each slot's devices."""
    if not why or type(why[0]) is str:
        return (reason_of(why[0]), ()) if why else (None, ())
    return None, [[None if word is None else reason_of(word) for word in words] for words in why]


def _check_narrow(values: Iterable[int]) -> None:
    """Raises ValueError where one is beyond 64 bits: a strict reader has made a float of it, and so the sum is one."""
    if type(sum(values)) is not int:
        raise ValueError("an integer that was made a float")


# Columns


def by_field(rows: Mapping[str, Rows], count: int) -> dict[str, list[int]]:
    """Every field of Quantities that slots of the same keys have, from their values: `ns`, and others."""
    taken = {key: _taken(rows[key]) for key in _ARRAYS & rows.keys()}
    columns = {name: taken[key] for key, name in STATE_ARRAYS.items() if key in taken}
    left = held = list(rows["ns"])
    resting = [columns[name] for name in ("idle_nanoseconds", "unknown_nanoseconds") if name in columns]
    for values in resting:
        left = _combined(sub, left, values, count)
    if "busy_ns" in taken:
        left = taken["busy_ns"]
        held = _summed([left, *resting], count)
    columns["busy_nanoseconds"] = left
    columns["observed_nanoseconds"] = taken.get("observed_ns", held)
    method = rows["method"][0] if "method" in rows else None
    energy = [columns[name] for state in STATES if (name := f"{state}_microjoules") in columns]
    for each, name in METHOD_ARRAYS.items():
        if each == method and energy:
            columns[name] = _summed(energy, count)
        elif each != method and f"{each}_uj" in taken:
            columns[name] = taken[f"{each}_uj"]
    return columns


def _taken(rows: Rows) -> list[int]:
    """Rows of as many integers as there are devices, end to end; or one integer for each row, where all are."""
    values = list(rows if type(rows[0]) is int else chain.from_iterable(rows))
    _check_narrow(values)
    return values


def _summed(columns: Sequence[list[int]], count: int) -> list[int]:
    whole = columns[0]
    for values in columns[1:]:
        whole = _combined(add, whole, values, count)
    return whole


def _combined(of: Callable[[int, int], int], left: list[int], right: list[int], count: int) -> list[int]:
    """Two columns, place by place."""
    if len(left) != len(right):
        left, right = (_widened(left, count), right) if len(left) < len(right) else (left, _widened(right, count))
    return list(map(of, left, right))


def _rows(values: list[int], first: int, last: int, slots: int, count: int) -> list[int]:
    """Some slots of a column, a number for every device."""
    if len(values) == slots:
        return _widened(values[first:last], count)
    return values[first * count : last * count]


def _widened(values: list[int], count: int) -> list[int]:
    """A number for every device instead of one for all."""
    return list(chain.from_iterable(zip(*repeat(values, count), strict=True)))
