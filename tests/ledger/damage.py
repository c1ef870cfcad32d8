"""Damage as disks, copies and editors do it, and what a damaged journal is worth, by arithmetic of its own.

`worth` reads raw lines by JSON, CRC-32 and fractions; of the package it uses nothing, so that the readers are held
against something else than themselves.
"""

import json
import random
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

STATES = ("busy", "idle", "unknown")
_CHECK_BYTES = len(b',"crc":"01234567"}')
_QUANTUM = 10**12


@dataclass(slots=True)
class Worth:
    """What the intact slots of a journal come to, each under the rates that it names, wherever these stand.

    `numbers` are those of the slots. `misnamed` counts slots whose rates are lost and that have the last before them.
    """

    has_footer: bool = False
    numbers: set[int] = field(default_factory=set)
    misnamed: int = 0
    cost: Fraction = Fraction(0)
    nanoseconds: int = 0
    microjoules: int = 0

    def count(self, body: Mapping[str, Any], rates: Mapping[int, Mapping[str, Any]], gpus: int) -> None:
        """Count a slot in, unless it was before. Without any rates up to its own it has no price."""
        held = _held(body, gpus)
        if held is None or body["n"] in self.numbers:
            return
        self.numbers.add(body["n"])
        number = max((each for each in rates if each <= body["rates"]), default=None)
        if number is None:
            return
        self.misnamed += body["rates"] != number
        kinds = rates[number]["devices"] * rates[number].get("device_count", 1)
        for each, kind in zip(held, kinds, strict=True):
            self.nanoseconds += sum(ns for ns, _, _ in each)
            self.microjoules += sum(uj for _, uj, _ in each)
            self.cost += sum(_charged(*state, kind, rates[number]) for state in each)


def worth(journal: bytes, still_open: bytes = b"") -> Worth | None:
    """What a journal and the open slot beside it are worth; None where there is no header to begin with.

    It has the same devices throughout. Where two lines have one number, the first counts.
    """
    bodies = list(_up_to_another([body for line in journal.split(b"\n")[:-1] if (body := intact(line)) is not None]))
    by_type = {kind: [body for body in bodies if body["type"] == kind] for kind in ("header", "devices", "footer")}
    if not by_type["header"]:
        return None
    found = Worth(has_footer=bool(by_type["footer"]))
    if not by_type["devices"]:
        return found
    gpus = len(by_type["devices"][0]["devices"])
    rates: dict[int, Mapping[str, Any]] = {}
    for body in bodies:
        if body["type"] == "rates" and _count(body) == gpus:
            rates.setdefault(body["n"], body)
    for body in bodies:
        if body["type"] == "slot":
            found.count(body, rates, gpus)
    middle = len(still_open) // 2
    halves = [intact(half.partition(b"\n")[0]) for half in (still_open[:middle], still_open[middle:])]
    newest = max((half for half in halves if half), key=lambda half: int(half["sequence"]), default=None)
    if newest is not None:  # it is the last, and has the last rates there are
        found.count({**newest, "rates": max(newest["rates"], *rates, 0)}, rates, gpus)
    return found


def _up_to_another(bodies: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All before a header that is another than the first one."""
    header = None
    for body in bodies:
        if body["type"] == "header":
            if body != (header or body):
                return
            header = body
        yield body


def intact(line: bytes) -> dict[str, Any] | None:
    """The content of a line whose checksum fits."""
    line = line.rstrip(b"\r")
    text, check = line[:-_CHECK_BYTES], line[-_CHECK_BYTES:]
    if check != b',"crc":"%08x"}' % zlib.crc32(text):
        return None
    body: dict[str, Any] = json.loads(text + b"}")
    return body


def _count(rates: Mapping[str, Any]) -> int:
    return len(rates["devices"]) * int(rates.get("device_count", 1))


def _held(body: Mapping[str, Any], count: int) -> list[list[tuple[int, int, int]]] | None:
    """Nanoseconds, and microjoules of GPU and of host, by state and device; None where there are more or fewer."""
    columns = {}
    for key in (f"{state}_{unit}" for state in STATES for unit in ("ns", "uj", "host_uj")):
        values = body.get(key, 0)
        columns[key] = values if isinstance(values, list) else [values] * count
        if len(columns[key]) != count:
            return None
    if "busy_ns" not in body:
        resting = zip(columns["idle_ns"], columns["unknown_ns"], strict=True)
        columns["busy_ns"] = [body["ns"] - idle - unknown for idle, unknown in resting]
    return [
        [tuple(columns[f"{state}_{unit}"][place] for unit in ("ns", "uj", "host_uj")) for state in STATES]
        for place in range(count)
    ]


def _charged(ns: int, gpu_uj: int, host_uj: int, kind: Mapping[str, Any], rates: Mapping[str, Any]) -> Fraction:
    """One state of one device: each component rounded to a millionth of a millionth, as the design says."""
    held = sum((_rounded(Fraction(price) * ns / 3_600_000_000_000) for price in kind["hourly"].values()), Fraction(0))
    if not kind["pays_electricity"]:
        return held
    drawn_uj = gpu_uj + host_uj + round((gpu_uj + host_uj) * (Fraction(rates["pue"]) - 1))
    return held + _rounded(drawn_uj * Fraction(rates["electricity_per_kwh"]) / 3_600_000_000_000)


def _rounded(amount: Fraction) -> Fraction:
    return Fraction(round(amount * _QUANTUM), _QUANTUM)


# Damage: each takes a journal, another journal, and chance.

Damage = Callable[[bytes, bytes, random.Random], bytes]


def _lines(journal: bytes) -> list[bytes]:
    return journal.splitlines(keepends=True) or [b""]


def flipped(journal: bytes, _: bytes, chance: random.Random) -> bytes:
    """One bit of one byte, the header's excepted: a journal without it is none."""
    first = len(_lines(journal)[0])
    if len(journal) <= first:
        return journal
    place = chance.randrange(first, len(journal))
    return journal[:place] + bytes([journal[place] ^ 1 << chance.randrange(8)]) + journal[place + 1 :]


def flipped_anywhere(journal: bytes, _: bytes, chance: random.Random) -> bytes:
    """One bit of one byte."""
    place = chance.randrange(len(journal) or 1)
    return (
        journal[:place]
        + bytes(byte ^ 1 << chance.randrange(8) for byte in journal[place : place + 1])
        + journal[place + 1 :]
    )


def truncated(journal: bytes, _: bytes, chance: random.Random) -> bytes:
    """Cut at any byte."""
    return journal[: chance.randrange(len(journal) + 1)]


def removed(journal: bytes, _: bytes, chance: random.Random) -> bytes:
    """A line gone."""
    lines = _lines(journal)
    del lines[chance.randrange(len(lines))]
    return b"".join(lines)


def repeated(journal: bytes, _: bytes, chance: random.Random) -> bytes:
    """A line again, anywhere after the first."""
    lines = _lines(journal)
    lines.insert(chance.randrange(1, len(lines) + 1), chance.choice(lines))
    return b"".join(lines)


def moved(journal: bytes, _: bytes, chance: random.Random) -> bytes:
    """A line elsewhere."""
    lines = _lines(journal)
    line = lines.pop(chance.randrange(len(lines)))
    lines.insert(chance.randrange(len(lines) + 1), line)
    return b"".join(lines)


def shuffled(journal: bytes, _: bytes, chance: random.Random) -> bytes:
    """All slots in any order, where slots stand."""
    lines = _lines(journal)
    places = [place for place, line in enumerate(lines) if line.startswith(b'{"type":"slot"')]
    for place, line in zip(places, chance.sample([lines[place] for place in places], len(places)), strict=True):
        lines[place] = line
    return b"".join(lines)


def mixed(journal: bytes, _: bytes, chance: random.Random) -> bytes:
    """All lines in any order, the header too."""
    lines = _lines(journal)
    return b"".join(chance.sample(lines, len(lines)))


def parted(journal: bytes, other: bytes, _: random.Random) -> bytes:
    """Two journals in one file."""
    return journal + other


def edited(journal: bytes, _: bytes, __: random.Random) -> bytes:
    """Line ends of another system."""
    return journal.replace(b"\n", b"\r\n")


def spliced(journal: bytes, other: bytes, chance: random.Random) -> bytes:
    """A line of another run's journal, not its header."""
    lines = _lines(journal)
    lines.insert(chance.randrange(1, len(lines) + 1), chance.choice(_lines(other)[1:]))
    return b"".join(lines)


def holed(journal: bytes, _: bytes, chance: random.Random) -> bytes:
    """A stretch of zeros, as a lost block leaves it."""
    start = chance.randrange(len(journal) + 1)
    end = min(len(journal), start + chance.randrange(1, 600))
    return journal[:start] + bytes(end - start) + journal[end:]


def zeros_behind(journal: bytes, _: bytes, chance: random.Random) -> bytes:
    """A length that was saved without its content, as a loss of power leaves it."""
    return journal + bytes(chance.randrange(1, 9_000))


def joined(journal: bytes, _: bytes, chance: random.Random) -> bytes:
    """A line end lost."""
    lines = _lines(journal)
    place = chance.randrange(len(lines))
    lines[place] = lines[place].rstrip(b"\n")
    return b"".join(lines)


def rubbish(journal: bytes, _: bytes, chance: random.Random) -> bytes:
    """Bytes of anything in between."""
    place = chance.randrange(len(journal) + 1)
    return journal[:place] + chance.randbytes(chance.randrange(1, 400)) + journal[place:]


def twice(journal: bytes, _: bytes, __: random.Random) -> bytes:
    """The file behind itself."""
    return journal + journal


ALL: tuple[Damage, ...] = (
    flipped,
    flipped_anywhere,
    truncated,
    removed,
    repeated,
    moved,
    shuffled,
    mixed,
    parted,
    edited,
    spliced,
    holed,
    zeros_behind,
    joined,
    rubbish,
    twice,
)
