"""A journal's file as lines: whole ones, of any system, up to where another journal begins."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from costmeter.errors import JournalError
from costmeter.ledger.line import encode
from costmeter.ledger.lines import LONGEST_LINE, line_blocks, lines, placed_lines
from costmeter.ledger.record import Mark
from tests.samples import BEGAN_UTC_NS, header

FIRST, OTHER = encode(header()), encode(replace(header(), part=2))
MARK = encode(Mark(BEGAN_UTC_NS, "fault", "GPU fell off the bus"))
ENDS = "line 3 begins another journal; what follows is not counted"


@pytest.mark.parametrize(
    ("content", "expected", "said"),
    [
        pytest.param(b"", [], [], id="empty"),
        pytest.param(FIRST + MARK, [FIRST, MARK], [], id="whole"),
        pytest.param(FIRST + MARK[:-1], [FIRST], ["last line torn, dropped"], id="torn"),
        pytest.param((FIRST + MARK).replace(b"\n", b"\r\n"), [FIRST, MARK], [], id="of-another-system"),
        pytest.param(FIRST + MARK + OTHER + MARK, [FIRST, MARK], [ENDS], id="another-journal"),
        pytest.param(FIRST + MARK + FIRST + MARK, [FIRST, MARK] * 2, [], id="the-same-journal-again"),
        pytest.param(FIRST + MARK + OTHER[:40] + b"\n", [FIRST, MARK, OTHER[:40] + b"\n"], [], id="a-damaged-header"),
        pytest.param(MARK + FIRST + OTHER + MARK, [MARK, FIRST], [ENDS], id="header-second"),
    ],
)
def test_lines_are_read_up_to_where_they_belong_to_another(
    content: bytes, expected: list[bytes], said: list[str], tmp_path: Path
) -> None:
    """Whole lines without their ends, and what is told of the others."""
    path, problems = tmp_path / "gpu01.1.jsonl", list[str]()
    path.write_bytes(content)
    assert [line.rstrip(b"\n") for line in expected] == [line for _, line in lines(path, problems)]
    assert said == problems


def test_a_line_is_found_again_by_its_place(tmp_path: Path) -> None:
    """Its number counts from 1, and its first byte is where it begins in the file."""
    path = tmp_path / "gpu01.1.jsonl"
    content = FIRST + MARK.replace(b"\n", b"\r\n") + MARK
    path.write_bytes(content)
    found = list(placed_lines(path, []))
    assert [1, 2, 3] == [number for number, _, _ in found]
    assert all(content[at:].startswith(line) for _, at, line in found)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_lines_across_blocks_are_whole(tmp_path: Path, end: bytes) -> None:
    """A file of 2 MB is read in many blocks, whose edges cut lines of all lengths: none is lost or renumbered."""
    expected = [FIRST[:-1], *(b"%d" % number + b"." * (number * 37 % 9_000) for number in range(450))]
    path, problems = tmp_path / "gpu01.1.jsonl", list[str]()
    path.write_bytes(b"".join(line + end for line in expected) + b"torn")
    assert list(enumerate(expected, 1)) == list(lines(path, problems))
    blocks = list(line_blocks(path, []))
    assert len(blocks) > 5
    assert expected == [line for _, block in blocks for line in block]
    content = path.read_bytes()
    assert all(content[at:].startswith(line + end) for _, at, line in placed_lines(path, []))
    assert ["last line torn, dropped"] == problems


def test_another_journal_far_on_is_seen(tmp_path: Path) -> None:
    """In a later block than the header, and in the middle of one: lines up to it count."""
    path, problems = tmp_path / "gpu01.1.jsonl", list[str]()
    path.write_bytes(FIRST + MARK * 9_000 + OTHER + MARK * 9_000)
    assert 9_001 == len(list(lines(path, problems)))
    assert ["line 9002 begins another journal; what follows is not counted"] == problems


@pytest.mark.parametrize("end", [b"", b"\n", b"\n" + MARK])
def test_a_line_without_end_is_refused_after_those_before_it(tmp_path: Path, end: bytes) -> None:
    """A line of 4 MiB is none of ours, whether it ends or not; the lines before it were read."""
    path, read = tmp_path / "gpu01.1.jsonl", list[int]()
    path.write_bytes(FIRST + MARK + b"x" * LONGEST_LINE + end)
    with pytest.raises(JournalError, match="line 3 is longer than any that a meter writes"):
        read.extend(number for number, _ in lines(path, []))
    assert [1, 2] == read


def test_the_longest_line_is_read(tmp_path: Path) -> None:
    """With its newline it has just 4 MiB."""
    path = tmp_path / "gpu01.1.jsonl"
    path.write_bytes(FIRST + b"x" * (LONGEST_LINE - 1) + b"\n" + MARK)
    assert [len(FIRST) - 1, LONGEST_LINE - 1, len(MARK) - 1] == [len(line) for _, line in lines(path, [])]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_lines_of_a_kind_are_all_found(tmp_path: Path, end: bytes) -> None:
    """Stretches without any are passed over, and the numbers of those that are found count them all the same."""
    expected = [b"%d" % number + b"." * (number * 37 % 9_000) for number in range(450)]
    wanted = {0: FIRST[:-1], 200: b"=wanted", 201: b"=wanted too", 449: b"=wanted last"}
    text = [wanted.get(number, line) for number, line in enumerate(expected)]
    path = tmp_path / "gpu01.1.jsonl"
    path.write_bytes(b"".join(line + end for line in text) + b"=torn")
    of = re.compile(b'=wanted|{"type":"header"')
    found = dict(told for first, block in line_blocks(path, [], of) for told in enumerate(block, first))
    assert {number + 1: line for number, line in wanted.items()} == {n: t for n, t in found.items() if of.match(t)}
    assert len(found) < len(text)


def test_a_line_that_is_too_long_is_refused_whatever_is_wanted(tmp_path: Path) -> None:
    """Looking for some kind of line takes no longer line for one of a meter."""
    path = tmp_path / "gpu01.1.jsonl"
    path.write_bytes(FIRST + b"x" * LONGEST_LINE + b"\n" + MARK)
    with pytest.raises(JournalError, match="line 2 is longer than any"):
        list(line_blocks(path, [], re.compile(b"=wanted")))
