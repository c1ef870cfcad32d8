"""Journals that are there twice: a journal, or a run's folder, that somebody copied costs nothing again."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from costmeter.ledger.brief import Brief
from costmeter.ledger.finding import JOURNAL
from costmeter.ledger.journal import safe_name
from costmeter.ledger.query import Part
from costmeter.ledger.record import Header

#: What no two meters have alike.
Identity = tuple[str, str, str, int, int]


def identity(header: Header) -> Identity:
    """Which meter wrote a journal: run, host, boot, process and its start. A meter at work knows no part yet."""
    return header.run, header.host, header.boot_id, header.pid, header.start_ns


def without_copies(places: dict[str, list[Brief]]) -> Iterator[tuple[str, str]]:
    """Take out what stands there twice, and tell it: the one under the name that its meter gave it stays."""
    held: dict[Identity, list[tuple[str, Brief]]] = {}
    for place, parts in places.items():
        for part in parts:
            held.setdefault(identity(part.header), []).append((place, part))
    for alike in held.values():
        if len(alike) == 1:
            continue
        (at, kept), *others = sorted(alike, key=_at_home_first)
        for place, part in others:
            places[place] = [each for each in places[place] if each is not part]
            path = journal_at(place, part)
            if os.path.realpath(path) != os.path.realpath(journal_at(at, kept)):  # a link to it is nothing to tell
                yield path, part.header.run


def copied(parts: Sequence[tuple[Path, Part]]) -> dict[Path, Path]:
    """Of the journals of one run those that are there twice, each with the one that counts."""
    kept: dict[Identity, Path] = {}
    found: dict[Path, Path] = {}
    for path, part in sorted(parts, key=lambda each: (not _is_named(each[0].name, each[1].header), each[0].name)):
        original = kept.setdefault(identity(part.header), path)
        if original is not path:
            found[path] = original
    return found


def journal_at(place: str, part: Brief) -> str:
    """The journal of a part at a place: a folder of them, or the journal itself."""
    return place if place.endswith(JOURNAL) else f"{place}/{part.file}"


def copy_name(path: str, run: str) -> str:
    """What a copy is called: by its folder, or by itself where it lies in that of the run that it is a copy of."""
    folder = os.path.dirname(path)
    return path if os.path.basename(folder) == safe_name(run) else folder


def _is_misplaced(place: str, part: Brief) -> bool:
    """Whether a journal is elsewhere than where its meter put it."""
    header = part.header
    is_at_home = place.endswith(f"/{header.run}") or os.path.basename(place) == safe_name(header.run)
    return not (is_at_home and _is_named(part.file, header))


def _is_named(file: str, header: Header) -> bool:
    """Whether a journal has the name that its meter gave it, as far as that is told by its part."""
    return file.endswith(f".{header.part}{JOURNAL}")


def _at_home_first(each: tuple[str, Brief]) -> tuple[bool, bool, str, str]:
    """The order of journals of one meter: the one that counts is the first."""
    place, part = each
    return _is_misplaced(place, part), not _is_named(part.file, part.header), place, part.file
