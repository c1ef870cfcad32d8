"""Journals that are there twice in one folder: counted once, and told by name."""

import os
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.ledger.bulk import load_run
from costmeter.ledger.copies import copy_name
from costmeter.ledger.listing import listing
from costmeter.ledger.timeline import timeline
from tests.ledger.recorded import minutes
from tests.ledger.written import write
from tests.samples import JOULE, MINUTE, devices, header, measured, rates, rental, uuids

PAIR = devices(2)
PRICED = rates(dict.fromkeys(uuids(PAIR), rental("30")))


def recorded(state: Path, run: str = "r-a", is_finished: bool = True) -> Path:
    """Four minutes of two GPUs at 30 USD an hour each: $1 a minute, and $4."""
    records = minutes(PAIR, measured(MINUTE, JOULE), [PRICED] * 4)[1:]
    return write(state / "runs" / run, header(run=run), records if is_finished else records[:-1])


@pytest.mark.parametrize("is_finished", [True, False], ids=["finished", "killed"])
@pytest.mark.parametrize("name", ["gpu01.1-copy.jsonl", "gpu01.1.bak.jsonl", "a.jsonl", "zz.jsonl"])
def test_a_journal_copied_in_its_own_folder_counts_once(tmp_path: Path, name: str, is_finished: bool) -> None:
    """`cp gpu01.1.jsonl NAME`: receipt, list and page come to $4, and the copy is named and not the run's folder."""
    path = recorded(tmp_path, is_finished=is_finished)
    copy = Path(shutil.copy(path, path.with_name(name)))
    whole = load_run(tmp_path, "r-a")
    assert (Decimal(4), 1) == (whole.totals.whole.cost, len(whole.parts))
    assert (f"{copy} is a copy of {path.name}: not counted",) == whole.parts[0].remarks
    found = listing(tmp_path)
    assert [Decimal(4)] == [of.cost for run in found.runs for of in run.spendings]
    assert (f"{copy} is a copy of r-a: not counted",) == found.copies
    assert Decimal(4) == sum((step.cost for step in timeline([copy, path]).steps), Decimal(0))


def test_a_copy_made_while_the_meter_ran_gives_way(tmp_path: Path) -> None:
    """Of a journal and a copy of its first half the journal counts, whichever stands first."""
    path = recorded(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.with_name("gpu01.0.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    assert Decimal(4) == load_run(tmp_path, "r-a").totals.whole.cost
    assert [Decimal(4)] == [of.cost for run in listing(tmp_path).runs for of in run.spendings]


def test_a_copy_counts_where_its_original_cannot_be_read(tmp_path: Path) -> None:
    """What nobody can read is no original: the copy is the run, and the other is told as unreadable."""
    path = recorded(tmp_path)
    shutil.copy(path, path.with_name("copy.jsonl"))
    path.write_bytes(bytes(4_096))
    (part,) = load_run(tmp_path, "r-a").parts
    assert (Decimal(4), ()) == (part.totals.whole.cost, part.remarks)
    assert (f"{path}: no readable header line; this part is not counted",) == part.problems


def test_parts_of_one_run_are_no_copies(tmp_path: Path) -> None:
    """Another process is another meter, of the same host and run: both count, and nothing is said."""
    recorded(tmp_path)
    records = minutes(PAIR, measured(MINUTE, JOULE), [PRICED] * 2)[1:]
    write(tmp_path / "runs" / "r-a", header(run="r-a", part=2, pid=9, host="gpu02"), records)
    whole = load_run(tmp_path, "r-a")
    assert (Decimal(6), [(), ()]) == (whole.totals.whole.cost, [part.remarks for part in whole.parts])


@pytest.mark.parametrize(
    ("expected", "path", "run"),
    [
        pytest.param("/s/runs/a.bak", "/s/runs/a.bak/gpu01.1.jsonl", "a", id="folder"),
        pytest.param("/s/runs/a/x.jsonl", "/s/runs/a/x.jsonl", "a", id="own-folder"),
        pytest.param("/s/runs/a-b/x.jsonl", "/s/runs/a-b/x.jsonl", "a b", id="a-name-that-no-folder-can-have"),
    ],
)
def test_a_copy_is_called_by_what_was_copied(expected: str, path: str, run: str) -> None:
    """A whole folder by its name, and one journal beside the original by its own."""
    assert expected == copy_name(os.fspath(path), run)
