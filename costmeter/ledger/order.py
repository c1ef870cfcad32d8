"""Lines of a journal in the order in which its meter wrote them, where a copy or an editor has moved some.

Slots are numbered and name their rates; rates are numbered and are for so many devices. So every whole line says where
it belongs, and one that was only moved costs nothing. What has no number, such as a mark, stays behind the line that it
stands behind. On a node, who held what is numbered and named too, and where its counters stood belongs before all
slots: both go to the beginning. Of a journal the order alone is kept in memory, and not its lines.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from costmeter.ledger.line import unseal
from costmeter.ledger.lines import opened, placed_lines
from costmeter.ledger.sealed import unsealed
from costmeter.ledger.slotline import devices_in_slot

#: What is said of lines that were moved.
PUT_BACK = "lines out of their order, put back: {}"

#: Under which rates a line belongs, what it is among those, and the number of a slot or of devices.
Key = tuple[int, int, int]
_HEADER, _RATES, _SLOT, _DEVICES, _FOOTER, _OPENING, _HOLDERS = range(7)
#: Behind these nothing stays: where they belong says nothing of the lines that follow.
_APART = (_DEVICES, _OPENING, _HOLDERS)
#: The first lines belong before any slot, also before one without rates, and the last behind all.
_BEGINNING, _WITHOUT_RATES, _END = -2, -1, 2**63
_FIRST: Key = (_BEGINNING, _HEADER, 0)


def lines_in_order(path: Path, problems: list[str]) -> Iterator[tuple[int, bytes]]:
    """Every whole line and its number, as `lines` has them, in the order of their numbers; what was moved is told.

    Lines of a journal without numbers of rates stay as they are. Raises JournalError as `lines` does.
    """
    places = _Places()
    for _, at, line in placed_lines(path, problems):
        places.take(at, line)
    order, moved = places.order()
    if moved:
        problems.append(PUT_BACK.format(moved))
    with opened(path) as file:
        for place in order:
            file.seek(places.starts[place])
            yield place + 1, file.readline().rstrip(b"\r\n")


@dataclass(slots=True)
class _Places:
    """What the lines of a file say of where they belong.

    `keys` and `starts` (first bytes) are of all lines; `firsts` are the lines with a key of their own that none before
    has. `devices` are lines of devices, how many these are, and the rates before them; `sizes` has for how many devices
    rates are. `_late` counts what stands behind a slot that needs it: a line of holders (`_held` so far) that one had
    named (`_named`), and an opening behind any.
    """

    keys: list[Key] = field(default_factory=list)
    starts: "array[int]" = field(default_factory=lambda: array("q"))
    firsts: list[int] = field(default_factory=list)
    devices: list[tuple[int, int, int]] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)
    _late: int = 0
    _named: set[int] = field(default_factory=set)
    _held: set[int] = field(default_factory=set)
    _has_slots: bool = False
    _seen: dict[tuple[int, int], Key] = field(default_factory=dict)
    _before: Key = _FIRST
    _is_of_before: bool = False

    def take(self, at: int, line: bytes) -> None:
        """One line more, that begins at this byte."""
        body = _body(line)
        self.starts.append(at)
        key = None if body is None else self._placed(body)
        self.keys.append(self._before if key is None else key)
        if key is not None and key[1] not in _APART:
            self._before = key

    def order(self) -> tuple[list[int], int]:
        """The places of all lines as they are to be read, and how many of them were moved."""
        for place, count, before in self.devices:
            self.keys[place] = self._of_devices(count, before), _DEVICES, count
        moved = self._late + len(self.firsts) - _in_order([self.keys[place] for place in self.firsts])
        places = list(range(len(self.keys)))
        if not moved or self._is_of_before:
            return places, 0
        return sorted(places, key=self.keys.__getitem__), moved

    def _placed(self, body: Mapping[str, Any]) -> Key | None:
        try:
            return self._key(body)
        except (KeyError, TypeError, ValueError):  # whole, and no line of ours
            return None

    def _key(self, body: Mapping[str, Any]) -> Key | None:
        """Where a line belongs; None for behind the one before it."""
        kind, number, named = body.get("type"), body.get("n"), body.get("rates")
        if kind == "slot" and type(number) is int and (named is None or type(named) is int):
            self._see_slot(body.get("held"))
            return self._of_slot(body, number, named)
        if kind == "rates" and number is None:
            self._is_of_before = True
        elif kind == "rates" and type(number) is int:
            self.sizes.setdefault(number, _count(body))
            return self._first((number, _RATES, 0), number)
        elif kind == "devices":
            count = len(body["devices"])
            self.devices.append((len(self.keys), count, self._before[0]))
            return self._first((_BEGINNING, _DEVICES, count), count)
        elif kind == "header":
            return self._first(_FIRST)
        elif kind == "holders" and type(number) is int:
            self._late += number in self._named - self._held
            self._held.add(number)
            return _BEGINNING, _HOLDERS, number
        elif kind in ("opening", "account"):
            self._late += self._has_slots
            return _BEGINNING, _OPENING, 0
        return self._first((_END, _FOOTER, 0)) if kind == "footer" else None

    def _see_slot(self, held: object) -> None:
        self._has_slots = True
        if type(held) is int:
            self._named.add(held)

    def _of_devices(self, count: int, before: int) -> int:
        """Behind which rates and their slots devices belong: all that are for fewer and none for as many.

        Where that leaves a choice they stay behind the rates that they stand behind.
        """
        fewer = max((rates for rates, size in self.sizes.items() if size < count), default=_BEGINNING)
        as_many = min((rates for rates, size in self.sizes.items() if size >= count), default=_END)
        return max(fewer, min(before, as_many - 1))

    def _of_slot(self, body: Mapping[str, Any], number: int, named: int | None) -> Key:
        rates = _WITHOUT_RATES if named is None else named
        if rates not in self.sizes:  # these are lost, or follow
            count = devices_in_slot(body)
            self.sizes |= {} if count is None else {rates: count}
        return self._first((rates, _SLOT, number), number)

    def _first(self, key: Key, number: int = 0) -> Key:
        """The key of the first line of this kind and number: one that stands there again is behind it, not moved."""
        known = key[1], number
        if known not in self._seen:
            self._seen[known] = key
            self.firsts.append(len(self.keys))
        return self._seen[known]


def _body(line: bytes) -> Mapping[str, Any] | None:
    """What a whole line says."""
    try:
        return unsealed(line)
    except ValueError:  # or what only the slower reader understands, such as a loss that is no number
        pass
    try:
        return unseal(line)
    except ValueError:
        return None


def _count(rates: Mapping[str, Any]) -> int:
    """For how many devices rates are."""
    return len(rates.get("device_kinds") or rates["devices"]) * int(rates.get("device_count", 1))


def _in_order(keys: list[Key]) -> int:
    """How many at most of these follow each other without one that belongs before: the longest such sequence."""
    last: list[Key] = []  # of sequences of each length, the one that ends lowest
    for key in keys:
        place = bisect_right(last, key)
        last[place : place + 1] = [key]
    return len(last)
