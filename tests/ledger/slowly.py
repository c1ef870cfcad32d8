"""A journal read whole and folded record by record: the plain way, which every faster one is held against."""

from dataclasses import dataclass, replace
from pathlib import Path

from costmeter.ledger.journal import records
from costmeter.ledger.query import Part, begin, fold_all
from costmeter.ledger.record import Header, Record


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal as it was read: its records in order, the open slot as the last, and what could not be read."""

    path: Path
    records: tuple[Record, ...]
    problems: tuple[str, ...]


def read_journal(path: Path) -> Journal:
    """Read one part. Damaged lines are reported in `problems` and the rest is read.

    Raises JournalError when there is no readable header, or a schema of a newer costmeter.
    """
    problems: list[str] = []
    read = tuple(records(path, problems))
    return Journal(path, read, tuple(problems))


def fold_journal(journal: Journal) -> Part:
    """A whole journal as one part."""
    header, *rest = journal.records
    assert isinstance(header, Header)  # records promises it
    return fold_all(replace(begin(header), problems=journal.problems), rest)
