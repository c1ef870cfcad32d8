"""What the end of a journal tells of lines that went missing, came again or were added, where no number does."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from costmeter.ledger.bulk import fold_path, load_run
from costmeter.ledger.line import seal, unseal
from costmeter.ledger.listing import list_runs
from costmeter.ledger.query import Part
from costmeter.ledger.record import Mark, Record, SlotEntry
from tests.ledger.recorded import minutes
from tests.ledger.slowly import fold_journal, read_journal
from tests.ledger.written import write
from tests.samples import BEGAN_UTC_NS, HOUR, JOULE, MINUTE, devices, header, measured, rates, rental, uuids

PAIR = devices(2)
SAVED = Mark(BEGAN_UTC_NS + 2 * MINUTE, "checkpoint", "saved at step 1,200")


def journal(folder: Path, count: int = 4, is_finished: bool = True) -> Path:
    """A run of so many minutes of two GPUs that saved a checkpoint after the second."""
    priced = rates(dict.fromkeys(uuids(PAIR), rental("30")))
    lines = minutes(PAIR, measured(MINUTE, JOULE), [priced] * count)[1:]
    records: list[Record] = lines if is_finished else lines[:-1]
    second = [place for place, record in enumerate(records) if isinstance(record, SlotEntry)][1]
    return write(folder, header(run=folder.name), [*records[: second + 1], SAVED, *records[second + 1 :]])


def edited(path: Path, edit: Callable[[list[bytes]], list[bytes]]) -> int:
    """Change the lines of a journal; by how many bytes it is shorter now."""
    before = path.read_bytes()
    after = b"".join(edit(before.splitlines(keepends=True)))
    path.write_bytes(after)
    return len(before) - len(after)


def both_ways(path: Path) -> Part:
    """The part, read fast and read plainly, which are the same."""
    part = fold_path(path)
    assert part == fold_journal(read_journal(path))
    return part


def _is(kind: str, line: bytes) -> bool:
    return bool(json.loads(line)["type"] == kind)


def without_mark(lines: list[bytes]) -> list[bytes]:
    """Without its checkpoint."""
    return [line for line in lines if not _is("mark", line)]


@pytest.mark.parametrize("count", [4, 130, 700], ids=["short", "subtotals", "many-blocks"])
def test_a_mark_that_went_missing_is_told_once(tmp_path: Path, count: int) -> None:
    """The one trace of a lost mark is where the footer stands: it is told with the file, and all slots still count."""
    path = journal(tmp_path / "runs" / "r-shorter", count)
    whole = both_ways(path)
    assert () == whole.problems
    gone = edited(path, without_mark)
    part = both_ways(path)
    told = f"lines of {path.name} are missing, {gone:,} bytes in all; totals are those of the slots that are there"
    assert ((told,), whole.totals, 0) == (part.problems, part.totals, part.checkpoints)
    (listed,) = list_runs(tmp_path)
    assert (told,) == listed.parts[0].problems


def test_a_mark_that_stands_there_again_is_told(tmp_path: Path) -> None:
    """A checkpoint twice is one too many, and no slot is."""
    path = journal(tmp_path / "runs" / "r-longer")
    whole = both_ways(path)
    added = -edited(path, lambda lines: [again for line in lines for again in [line] * (1 + _is("mark", line))])
    part = both_ways(path)
    told = f"lines of {path.name} stand there that its meter did not write, {added:,} bytes in all; {ONCE}"
    assert ((told,), whole.totals, 2) == (part.problems, part.totals, part.checkpoints)


ONCE = "its slots are counted once"


def _crlf(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b"\n", b"\r\n") for line in lines]


def _of_before(lines: list[bytes]) -> list[bytes]:
    """As an older costmeter wrote its footer, its host's name made shorter since."""
    first, *others, last = lines
    footer = unseal(last)
    footer["summary"]["place"] = footer["summary"]["place"][:3]
    return [seal(unseal(first) | {"host": "a"}), *others, seal(footer)]


@pytest.mark.parametrize(
    ("edit", "is_finished"),
    [
        pytest.param(lambda lines: lines, True, id="as-written"),
        pytest.param(lambda lines: lines, False, id="killed"),
        pytest.param(without_mark, False, id="killed-without-mark"),
        pytest.param(_crlf, True, id="line-ends"),
        pytest.param(_crlf, False, id="killed-line-ends"),
        pytest.param(_of_before, True, id="of-before"),
        pytest.param(lambda lines: [*lines, lines[-1]], True, id="footer-twice"),
    ],
)
def test_a_journal_that_lacks_nothing_says_nothing(
    tmp_path: Path, edit: Callable[[list[bytes]], list[bytes]], is_finished: bool
) -> None:
    """Line ends of another system, an older footer, none at all, one twice: none is a line that went missing."""
    path = journal(tmp_path / "runs" / "r-sound", is_finished=is_finished)
    edited(path, edit)
    assert () == both_ways(path).problems


def test_other_findings_say_enough(tmp_path: Path) -> None:
    """Where slots are missing their number is told, and not their bytes as well."""
    path = journal(tmp_path / "runs" / "r-holed", int(2 * HOUR / MINUTE))
    edited(path, lambda lines: [line for place, line in enumerate(lines) if place != 20 or not _is("slot", line)])
    (part,) = load_run(tmp_path, path.parent.name).parts
    assert ("slots missing: 1, not counted",) == part.problems
