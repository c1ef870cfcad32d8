"""What follows the last subtotal of a journal without an end comes to what a fold of the whole says."""

import zlib
from pathlib import Path

import pytest

from costmeter.clock import LATEST_UTC_NS
from costmeter.ledger.brief import brief
from costmeter.ledger.bulk import fold_path
from costmeter.ledger.line import CHECK_LENGTH
from costmeter.ledger.listing import of_part
from costmeter.ledger.query import UNPRICED
from costmeter.ledger.record import Mark, RatesChange, Record, SlotEntry
from tests.ledger.written import write
from tests.samples import (
    BEGAN_UTC_NS,
    JOULE,
    MINUTE,
    SECOND,
    devices,
    header,
    held,
    measured,
    rates,
    rental,
    slot,
    uuids,
)

TWO = devices(2)
RENTED = rates(dict.fromkeys(uuids(TWO), rental()))


def minutes(count: int, first: int = 0, gpus: int = 2) -> list[Record]:
    """So many minutes, a quarter of each idle."""
    each = measured(45 * SECOND, 30_000 * JOULE, 15 * SECOND, 1_000 * JOULE)
    order = uuids(devices(gpus))
    return [SlotEntry(slot(dict.fromkeys(order, each), number)) for number in range(first, first + count)]


def agrees(path: Path) -> bool:
    """Whether a journal's brief is that of its fold, and not itself a fold."""
    short = brief(str(path))
    return short is not None and short == of_part(fold_path(path), path.name)


def resealed(line: bytes, old: bytes, new: bytes) -> bytes:
    """A line with something else in it, under a checksum that holds."""
    text = line[:-CHECK_LENGTH].replace(old, new)
    return b'%s,"crc":"%08x"}' % (text, zlib.crc32(text))


def changed(path: Path, kind: bytes, old: bytes, new: bytes, *, is_sealed: bool) -> Path:
    """A journal of which the first line of a kind says something else."""
    lines = path.read_bytes().splitlines()
    place = next(at for at, line in enumerate(lines) if line.startswith(b'{"type":"%s"' % kind))
    assert old in lines[place]
    lines[place] = resealed(lines[place], old, new) if is_sealed else lines[place].replace(old, new)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@pytest.mark.parametrize("count", [20, 80], ids=["without-subtotal", "after-one"])
def test_runs_of_one_machine_with_other_prices_are_told_apart(tmp_path: Path, count: int) -> None:
    """Lines that journals have in common are read once: what differs by a price, a GPU or an instant is another."""
    dearer = rates(dict.fromkeys(uuids(TWO), rental("3.10")))
    three = devices(3)
    runs: list[list[Record]] = [
        [held(TWO), RatesChange(BEGAN_UTC_NS, RENTED), *minutes(count)],
        [held(TWO), RatesChange(BEGAN_UTC_NS, dearer), *minutes(count)],
        [held(TWO), RatesChange(BEGAN_UTC_NS - MINUTE, RENTED), *minutes(count)],
        [
            held(three),
            RatesChange(BEGAN_UTC_NS, rates(dict.fromkeys(uuids(three), rental()))),
            *minutes(count, gpus=3),
        ],
    ]
    paths = [write(tmp_path / str(number), header(), records) for number, records in enumerate(runs)]
    assert all(map(agrees, (*paths, *reversed(paths))))
    costs = [found.summary.whole.cost for path in paths if (found := brief(str(path)))]
    assert costs[0] == costs[2] < costs[1]
    assert costs[3] == costs[0] / 2 * 3


@pytest.mark.parametrize("count", [20, 80], ids=["without-subtotal", "after-one"])
@pytest.mark.parametrize(
    ("kind", "old", "new"), [(b"rates", b"2.49", b"1.49"), (b"devices", b'"index":1', b'"index":5')]
)
def test_a_damaged_line_is_not_taken_for_the_same_of_another_run(
    tmp_path: Path, count: int, kind: bytes, old: bytes, new: bytes
) -> None:
    """Its checksum is looked at in every journal: the damaged one is for who reads the whole, and says so."""
    records = [held(TWO), RatesChange(BEGAN_UTC_NS, RENTED), *minutes(count)]
    whole, damaged = (write(tmp_path / name, header(), records) for name in ("whole", "damaged"))
    assert agrees(whole)
    changed(damaged, kind, old, new, is_sealed=False)
    assert brief(str(damaged)) is None
    assert fold_path(damaged).problems


def test_prices_from_beyond_all_calendars_are_none(tmp_path: Path) -> None:
    """Although but for their instant they are those of a run that was read before."""
    records = [held(TWO), RatesChange(BEGAN_UTC_NS, RENTED), *minutes(20)]
    whole, late = (write(tmp_path / name, header(), records) for name in ("whole", "late"))
    assert agrees(whole)
    changed(late, b"rates", b"%d" % BEGAN_UTC_NS, b"%d" % LATEST_UTC_NS, is_sealed=True)
    assert brief(str(late)) is None


def test_slots_without_prices_are_told_and_counted_as_nothing(tmp_path: Path) -> None:
    """As a fold tells them."""
    path = write(tmp_path, header(), [held(TWO), *minutes(3)])
    found = brief(str(path))
    assert agrees(path)
    assert found is not None
    assert UNPRICED in found.problems
    assert found.summary.whole.cost == 0


def test_a_gpu_without_a_price_is_told_and_the_others_counted(tmp_path: Path) -> None:
    """One that was found later has none where the line with its rates is lost: 8 minutes of one GPU are paid for."""
    one = devices(1)
    alone = rates(dict.fromkeys(uuids(one), rental()))
    began: list[Record] = [held(one), RatesChange(BEGAN_UTC_NS, alone)]
    path = write(tmp_path / "two", header(), [*began, *minutes(4, gpus=1), held(TWO), *minutes(4, 4)])
    priced = brief(str(write(tmp_path / "one", header(), [*began, *minutes(8, gpus=1)])))
    found = brief(str(path))
    assert found is not None
    assert found.summary == of_part(fold_path(path)).summary
    assert priced is not None
    assert found.summary.whole == priced.summary.whole
    assert any("GPUs not counted for a time: 1" in problem for problem in found.problems)


@pytest.mark.parametrize("kind", ["checkpoint", "resume", "budget"])
@pytest.mark.parametrize("after", [5, 65])
def test_marks_between_slots_change_no_sum(tmp_path: Path, kind: str, after: int) -> None:
    """A checkpoint is what a lost run is counted from; the others stand in no list."""
    mark = Mark(BEGAN_UTC_NS + after * MINUTE, kind, "said")  # type: ignore[arg-type]
    records = [held(TWO), RatesChange(BEGAN_UTC_NS, RENTED), *minutes(after), mark, *minutes(9, after)]
    path = write(tmp_path, header(), records)
    assert agrees(path)
    found = brief(str(path))
    assert found is not None
    assert (found.summary.saved is not None) == (kind == "checkpoint")


def test_what_was_read_of_one_journal_is_not_changed_by_the_next(tmp_path: Path) -> None:
    """The devices of a line are shared by briefs, and what a later line adds is not added to them."""
    three = devices(3)
    more = rates(dict.fromkeys(uuids(three), rental()))
    grown = [*minutes(4), held(three), RatesChange(BEGAN_UTC_NS + 4 * MINUTE, more), *minutes(4, 4, 3)]
    first = write(tmp_path / "1", header(), [held(TWO), RatesChange(BEGAN_UTC_NS, RENTED), *grown])
    second = write(tmp_path / "2", header(), [held(TWO), RatesChange(BEGAN_UTC_NS, RENTED), *minutes(8)])
    assert agrees(first)
    assert agrees(second)
    counts = [found.summary.gpus[0][1] for path in (first, second) if (found := brief(str(path)))]
    assert counts == [3, 2]
