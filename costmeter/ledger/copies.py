"""Journals that are there twice: a folder of a run that somebody copied is no other run, and costs nothing again."""

import os
from collections.abc import Iterator

from costmeter.ledger.brief import Brief
from costmeter.ledger.finding import JOURNAL
from costmeter.ledger.journal import safe_name
from costmeter.ledger.record import Header

#: What no two meters have alike.
Identity = tuple[str, str, str, int, int]


def identity(header: Header) -> Identity:
    """Which meter wrote a journal: run, host, boot, process and its start. A meter at work knows no part yet."""
    return header.run, header.host, header.boot_id, header.pid, header.start_ns


def without_copies(places: dict[str, list[Brief]]) -> Iterator[tuple[str, str]]:
    """Take out what stands there twice, and tell it: the one under the name that its meter gave it stays."""
    held: dict[Identity, list[tuple[bool, str, Brief]]] = {}
    for place, parts in places.items():
        for part in parts:
            held.setdefault(identity(part.header), []).append((_is_misplaced(place, part), place, part))
    for alike in held.values():
        if len(alike) == 1:
            continue
        (_, at, kept), *others = sorted(alike, key=lambda each: (each[0], each[1], each[2].file))
        for _, place, part in others:
            places[place] = [each for each in places[place] if each is not part]
            path = journal_at(place, part)
            if os.path.realpath(path) != os.path.realpath(journal_at(at, kept)):  # a link to it is nothing to tell
                yield path, part.header.run


def journal_at(place: str, part: Brief) -> str:
    """The journal of a part at a place: a folder of them, or the journal itself."""
    return place if place.endswith(JOURNAL) else f"{place}/{part.file}"


def _is_misplaced(place: str, part: Brief) -> bool:
    """Whether a journal is elsewhere than where its meter put it."""
    header = part.header
    is_at_home = place.endswith(f"/{header.run}") or os.path.basename(place) == safe_name(header.run)
    return not (is_at_home and part.file.endswith(f".{header.part}{JOURNAL}"))
