"""Lines that were moved are read where they belong: the same part, and how many they were is told."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.bulk import fold_path
from costmeter.ledger.lines import lines
from costmeter.ledger.order import PUT_BACK, lines_in_order
from costmeter.ledger.query import Part
from costmeter.ledger.sequence import MISPRICED
from tests.ledger.test_sequence import GROWING, folded, lines_of, moved, spoiled

Lines = list[bytes]
#: The lines of GROWING: two GPUs, a minute of them, four GPUs, two minutes, dearer, a minute, the end.
HEADER, TWO, CHEAP, FIRST, FOUR, DEARER, SECOND, THIRD, DEAREST, FOURTH, END = range(11)


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """A run whose GPUs become more: what stands before what matters to every line."""
    return lines_of(tmp_path_factory.mktemp("run"), GROWING)


def read(folder: Path, of: Lines) -> Part:
    """A journal of these lines, as the bill and the fast fold of a report find it, too."""
    part = folded(folder, of)
    assert part == fold_path(folder / "gpu01.1.jsonl")
    return part


@pytest.mark.parametrize(
    ("move", "count"),
    [
        pytest.param(lambda run: run, 0, id="none"),
        pytest.param(lambda run: moved(run, HEADER, END), 1, id="header-last"),
        pytest.param(lambda run: moved(run, END, FIRST), 1, id="footer-among-slots"),
        pytest.param(lambda run: moved(run, TWO, END), 1, id="first-devices-last"),
        pytest.param(lambda run: moved(run, TWO, DEARER), 1, id="devices-after-more-devices"),
        pytest.param(lambda run: moved(run, FOUR, END), 1, id="devices-last"),
        pytest.param(lambda run: moved(run, FOUR, THIRD), 1, id="devices-after-slots-that-need-them"),
        pytest.param(lambda run: moved(run, FOUR, TWO), 1, id="devices-too-early"),
        pytest.param(lambda run: moved(run, CHEAP, END), 1, id="rates-last"),
        pytest.param(lambda run: moved(run, DEAREST, DEARER), 1, id="later-rates-first"),
        pytest.param(lambda run: moved(run, FOURTH, FIRST), 1, id="last-slot-first"),
        pytest.param(lambda run: run[:FOUR] + run[DEAREST:END] + run[FOUR:DEAREST] + run[END:], 2, id="a-block"),
        pytest.param(lambda run: run[::-1], 10, id="backwards"),
    ],
)
def test_a_moved_line_costs_nothing(move: Callable[[Lines], Lines], count: int, growing: Lines, tmp_path: Path) -> None:
    """Every field of the part is that of the whole run; what is told is how many lines belonged elsewhere."""
    whole, part = read(tmp_path, growing), read(tmp_path, move(growing))
    assert not whole.problems
    assert (whole, (PUT_BACK.format(count),) if count else ()) == (replace(part, problems=()), part.problems)


@given(seed=st.integers(0, 2**32))
def test_lines_in_any_order_come_to_the_same(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """All lines shuffled, some of them there twice: every field of the part is that of the whole run."""
    folder, chance = tmp_path_factory.mktemp("run"), random.Random(seed)
    ordered = lines_of(folder / "whole", GROWING)
    again = chance.sample(ordered, chance.randrange(3))
    part = read(folder, chance.sample([*ordered, *again], len(ordered) + len(again)))
    assert replace(part, problems=()) == read(folder, ordered)


def test_slots_whose_rates_are_lost_keep_their_devices(growing: Lines, tmp_path: Path) -> None:
    """Four GPUs with the rates of two, moved before the line that lists them: as where they stood, and both told."""
    spoilt = spoiled(growing, DEARER, 40)
    part = read(tmp_path, moved(spoilt, SECOND, FIRST))
    assert read(tmp_path, spoilt).totals == part.totals
    assert PUT_BACK.format(1) in part.problems
    assert MISPRICED.format(2) in part.problems


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda run: run, id="whole"),
        pytest.param(lambda run: run[:-1], id="cut-off"),
        pytest.param(lambda run: run[:CHEAP] + run[FIRST:], id="rates-lost"),
        pytest.param(lambda run: [*run, *run], id="twice"),
        pytest.param(lambda run: [*run, b"rubbish\n", b"\0\0\0"], id="rubbish-behind"),
    ],
)
def test_lines_that_stand_where_they_belong_stay_there(
    change: Callable[[Lines], Lines], growing: Lines, tmp_path: Path
) -> None:
    """What is lost, there twice or no line at all moves nothing, and nothing is told of an order."""
    path, told, said = tmp_path / "gpu01.1.jsonl", list[str](), list[str]()
    path.write_bytes(b"".join(change(growing)))
    assert list(lines(path, said)) == list(lines_in_order(path, told))
    assert said == told
