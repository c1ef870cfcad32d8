"""Many slots of a journal as columns of integers, without a Quantities for each: what a fast fold is made from.

Only slots that a meter writes are taken. Where one line is damaged or garbled, a number is no integer or slots do not
follow each other, there are no columns, and whoever asked decodes line by line. So what is said of damage is said in
one place, `slotline`.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from operator import add, sub
from typing import Any

import orjson

from costmeter.ledger.record import SlotEntry
from costmeter.ledger.slotline import METHOD_ARRAYS, STATE_ARRAYS, decode_slot, take_counters, take_progress
from costmeter.meter.progress import Progress
from costmeter.meter.standing import Standing

_CHECK = b',"crc":"'
_CHECK_LENGTH = len(_CHECK) + 8 + len(b'"}')
_ABSENT = object()
_STATES = ("busy", "idle", "unknown")
_TOLD: Mapping[str, set[type]] = {"steps": {int}, "tokens": {int}, "loss": {int, float}, "of_steps": {int}}
#: A strict reader of JSON makes floats of integers from here on.
_LARGEST = 2**63

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SlotColumns:
    """Slots of the same devices, in the order of their lines. `arrays` has, by field of Quantities, the values of all
    devices of the first slot, then of the second, and so on; a field that is nothing throughout is not there.

    `phases` has the phase of each slot, and whether it was done again.
    """

    order: tuple[str, ...]
    bodies: Sequence[Body]
    starts_utc_ns: Sequence[int]
    lengths_ns: Sequence[int]
    rates: list[int | None]
    phases: Sequence[tuple[str, bool]]
    arrays: Mapping[str, list[int]]

    @property
    def first(self) -> int:
        """The number of the first slot; those that follow are numbered from there."""
        number: int = self.bodies[0]["n"]
        return number

    def end_utc_ns(self, place: int) -> int:
        """When a slot ended."""
        return self.starts_utc_ns[place] + self.lengths_ns[place]

    def entry(self, place: int) -> SlotEntry:
        """A slot alone."""
        return SlotEntry(decode_slot(self.bodies[place], self.order), self.rates[place])

    def of_device(self, device: int, start: int, stop: int) -> dict[str, list[int]]:
        """The fields of one device in the slots from `start` to before `stop`; those with nothing left out."""
        count = len(self.order)
        found = {name: values[start * count + device : stop * count : count] for name, values in self.arrays.items()}
        return {name: values for name, values in found.items() if any(values)}

    def counters(self, place: int) -> dict[str, int]:
        """A slot's energy counters, in microjoules."""
        return take_counters(self.bodies[place], self.order)

    def standings(self, place: int) -> dict[str, Standing]:
        """What a slot says of its accounts."""
        return {uuid: Standing(*values) for uuid, values in self.bodies[place].get("standings", {}).items()}

    def progress(self, start: int, stop: int) -> Progress | None:
        """The last that was told from slot `start` to before `stop`."""
        for body in reversed(self.bodies[start:stop]):
            if any(key in body for key in _TOLD):
                return take_progress(body)[2]
        return None


def slot_columns(lines: Sequence[bytes], order: tuple[str, ...]) -> SlotColumns | None:
    """The columns of these lines; None where they are not plainly slots that follow each other."""
    bodies = [body for line in lines if (body := _unsealed(line)) is not None]
    if not order or len(set(order)) < len(order) or len(bodies) < len(lines) or not _are_slots(bodies):
        return None
    try:
        keys = set(chain.from_iterable(bodies))
        arrays = _arrays(bodies, order, keys)
        phases = _phases(bodies, keys)
    except (TypeError, ValueError):
        return None
    if not _are_integers(body.get("rates", 0) for body in bodies if body.get("rates") is not None):
        return None
    return SlotColumns(
        order,
        bodies,
        [body["utc_ns"] for body in bodies],
        [body["ns"] for body in bodies],
        [body.get("rates") for body in bodies],
        phases,
        arrays,
    )


def _unsealed(line: bytes) -> Body | None:
    """The content of a line whose checksum is right and which a strict reader of JSON understands."""
    if line[-_CHECK_LENGTH:] != b'%s%08x"}' % (_CHECK, zlib.crc32(line[:-_CHECK_LENGTH])):
        return None
    try:
        body: Body = orjson.loads(line)
    except ValueError:  # integers beyond 64 bits become floats, which are refused below
        return None
    return body


def _phases(bodies: Sequence[Body], keys: set[str]) -> list[tuple[str, bool]]:
    """The phase of each slot, and whether it was done again. Raises TypeError where what one tells is garbled."""
    for key, kinds in _TOLD.items():
        told = [body.get(key, 0) for body in bodies] if key in keys else [0]
        if set(map(type, told)) - kinds or max(map(abs, told)) >= _LARGEST:
            raise TypeError("garbled, or an integer that was made a float")
    phases = [body.get("phase", "") for body in bodies] if "phase" in keys else [""] * len(bodies)
    redone = [body.get("redone", False) for body in bodies] if "redone" in keys else [False] * len(bodies)
    if set(map(type, phases)) - {str} or set(map(type, redone)) - {bool}:
        raise TypeError("garbled")
    return list(zip(phases, redone, strict=True))


def _are_slots(bodies: Sequence[Body]) -> bool:
    """Whether all are slots, numbered one after the other, with whole numbers for instants, and readable accounts."""
    numbers = [body.get("n") for body in bodies]
    if not _are_integers(numbers) or numbers != list(range(numbers[0] or 0, (numbers[0] or 0) + len(numbers))):
        return False
    if [body.get("type") for body in bodies].count("slot") < len(bodies):
        return False
    if not _are_integers([body.get(key) for body in bodies for key in ("utc_ns", "ns")]):
        return False
    counters = [body[key] for body in bodies for key in ("counters_mj", "counters_uj") if key in body]
    if set(map(type, counters)) - {list} or set(map(type, chain.from_iterable(counters))) - {int, type(None)}:
        return False
    standings = [body["standings"] for body in bodies if "standings" in body]
    return all(type(each) is dict and _are_standings(each) for each in standings)


def _are_standings(standings: Mapping[str, Any]) -> bool:
    return all(type(values) is list and 2 <= len(values) <= len(Standing.__slots__) for values in standings.values())


def _are_integers(values: Any) -> bool:
    return not set(map(type, values)) - {int}


def _arrays(bodies: Sequence[Body], order: tuple[str, ...], keys: set[str]) -> dict[str, list[int]]:
    """Every field of Quantities, flat. Raises ValueError or TypeError where a number is none."""
    count = len(order)
    arrays: dict[str, list[int]] = {}
    for key, name in STATE_ARRAYS.items():
        if key in keys:
            arrays[name] = _flat([body.get(key, 0) for body in bodies], count)
    resting = [arrays[name] for name in ("idle_nanoseconds", "unknown_nanoseconds") if name in arrays]
    arrays["busy_nanoseconds"] = _busy(bodies, count, resting, "busy_ns" in keys)
    if "observed_ns" in keys:
        held = _summed([arrays["busy_nanoseconds"], *resting])
        arrays["observed_nanoseconds"] = _or_else(bodies, "observed_ns", held, count)
    else:
        arrays["observed_nanoseconds"] = _summed([arrays["busy_nanoseconds"], *resting])
    energy_uj = _summed([arrays[name] for state in _STATES if (name := f"{state}_microjoules") in arrays])
    for method, name in METHOD_ARRAYS.items():
        if values := _by_method(bodies, method, energy_uj, count, f"{method}_uj" in keys):
            arrays[name] = values
    return arrays


def _busy(bodies: Sequence[Body], count: int, resting: Sequence[list[int]], is_written: bool) -> list[int]:
    """The time left by the other states, or what is written."""
    left = _flat([body["ns"] for body in bodies], count)
    for values in resting:
        left = list(map(sub, left, values))
    return _or_else(bodies, "busy_ns", left, count) if is_written else left


def _or_else(bodies: Sequence[Body], key: str, otherwise: list[int], count: int) -> list[int]:
    """The values of a key, and others in slots that lack it."""
    rows = [
        otherwise[place * count : (place + 1) * count] if value is _ABSENT else value
        for place, value in enumerate(body.get(key, _ABSENT) for body in bodies)
    ]
    return _flat(rows, count)


def _by_method(bodies: Sequence[Body], method: str, energy_uj: list[int], count: int, is_written: bool) -> list[int]:
    """Energy by a method: all of it in slots that name it, else what they say."""
    named = [body.get("method") == method for body in bodies]
    if not any(named):
        return _flat([body.get(f"{method}_uj", 0) for body in bodies], count) if is_written else []
    if all(named) or not energy_uj:
        return energy_uj
    rows = [
        energy_uj[place * count : (place + 1) * count] if is_named else body.get(f"{method}_uj", 0)
        for place, (body, is_named) in enumerate(zip(bodies, named, strict=True))
    ]
    return _flat(rows, count)


def _summed(columns: Sequence[list[int]]) -> list[int]:
    """Columns added up; nothing where there are none."""
    whole = columns[0] if columns else []
    for values in columns[1:]:
        whole = list(map(add, whole, values))
    return whole


def _flat(rows: list[Any], count: int) -> list[int]:
    """Rows of as many integers as there are devices, end to end; a single integer stands for all of a row."""
    kinds = set(map(type, rows))
    if kinds - {int, list}:
        raise TypeError("neither a number nor numbers")
    if kinds == {int}:
        return list(chain.from_iterable(zip(*repeat(rows, count), strict=True)))
    if int in kinds:
        nothing = [0] * count
        rows = [row if type(row) is list else [row] * count if row else nothing for row in rows]
    if set(map(len, rows)) - {count}:
        raise ValueError("not a number for every device")
    flat = list(chain.from_iterable(rows))
    if not _are_integers(flat):
        raise TypeError("no integer")
    return flat
