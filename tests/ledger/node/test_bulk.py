"""Many slots of a node at once are, to the last digit, what they are one by one: damaged, moved, shared or whole."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.node.bulk import Stretch, read_node
from costmeter.ledger.node.journal import FORGOTTEN_AFTER_END_NS, fold_node_path
from costmeter.ledger.node.query import NodePart, begin_node, fold_node, retired
from costmeter.ledger.node.record import Line, RunSeen
from costmeter.ledger.reading import all_records
from costmeter.ledger.record import Header
from costmeter.meter.share import shared_columns, shares
from tests.ledger.node.test_journal import lines_of, written
from tests.ledger.nodedays import node_day
from tests.samples import quantities

Lines = list[bytes]


def one_by_one(path: Path) -> NodePart:
    """The journal folded record by record."""
    problems: list[str] = []
    records = all_records(path, problems)
    header = next(records)
    assert isinstance(header, Header)
    part = begin_node(header)
    for record in records:
        if isinstance(record, RunSeen):
            part = retired(part, record.at_utc_ns - FORGOTTEN_AFTER_END_NS)
        part = fold_node(part, record)
    return replace(part, problems=(*problems, *part.problems))


def moved(lines: Lines, rng: random.Random) -> Lines:
    head, *rest = lines
    rest.insert(rng.randrange(len(rest)), rest.pop(rng.randrange(len(rest))))
    return [head, *rest]


def dropped(lines: Lines, rng: random.Random) -> Lines:
    gone = rng.randrange(1, len(lines))
    return lines[:gone] + lines[gone + 1 :]


def garbled(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(1, len(lines))
    return [*lines[:at], lines[at].replace(b"1", b"2", 1), *lines[at + 1 :]]


def repeated(lines: Lines, rng: random.Random) -> Lines:
    return [*lines, lines[rng.randrange(1, len(lines))]]


DAMAGE: tuple[Callable[[Lines, random.Random], Lines], ...] = (moved, dropped, garbled, repeated)


@given(st.integers(0, 10**6), st.lists(st.sampled_from(DAMAGE), max_size=3), st.booleans())
def test_at_once_is_one_by_one(seed: int, damage: list[Callable[[Lines, random.Random], Lines]], opened: bool) -> None:
    """The same counters, accounts, phases, standings and the same words on damage."""
    rng = random.Random(seed)
    with TemporaryDirectory() as folder:
        path = written(Path(folder), node_day(seed), opened=opened)
        lines = lines_of(path)
        for each in damage:
            lines = each(lines, rng)
        path.write_bytes(b"".join(lines))
        assert fold_node_path(path) == one_by_one(path)


class Counting:
    """What is told at once, and what alone."""

    def __init__(self) -> None:
        self.at_once = self.alone = 0

    def take(self, told: Line | Stretch) -> None:
        if isinstance(told, Stretch):
            self.at_once += len(told.columns)
        else:
            self.alone += 1


@pytest.mark.parametrize("seed", range(3))
def test_most_slots_are_told_at_once(tmp_path: Path, seed: int) -> None:
    """Else all of the above would hold of one way alone."""
    path = written(tmp_path, node_day(seed, 200))
    counted = read_node(path, [], Counting)
    assert counted.at_once > 100


rows = st.lists(quantities(), min_size=1, max_size=5)


@given(rows, st.integers(2, 5))
def test_columns_are_shared_as_rows_are(held: list[object], count: int) -> None:
    """Every field of every row has the shares that it has alone."""
    names = [name for name in held[0].__slots__ if any(getattr(row, name) for row in held)]  # type: ignore[attr-defined]
    columns = {name: [getattr(row, name) for row in held] for name in names}
    found = shared_columns(columns, count)
    for place, row in enumerate(held):
        for turn, share in enumerate(shares(row, count)):  # type: ignore[arg-type]
            assert {name: getattr(share, name) for name in names} == {name: found[turn][name][place] for name in names}
