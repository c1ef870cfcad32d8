"""Tables and folded texts: every column starts together, no line is too long, no word is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.outputs.columns import columns, fitted, folded, packed


def test_columns_start_together() -> None:
    """Cells are padded to the widest of their column; those that end together are padded before; no blanks at ends."""
    assert ["a    1", "bb  10", "c"] == columns([("a", "1"), ("bb", "10"), ("c", "")], frozenset({1}))
    assert [] == columns([])


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("", ["PUE"], id="nothing"),
        pytest.param("1.2 of the site", ["PUE 1.2 of the site"], id="fits"),
        pytest.param("85 % of the limit, and 70 %", ["PUE 85 % of the limit, and", "    70 %"], id="per-cent-stays"),
        pytest.param("x" * 40, ["PUE " + "x" * 40], id="a-word-is-never-cut"),
    ],
)
def test_a_text_is_folded_under_its_own_beginning(text: str, lines: list[str]) -> None:
    """At 30 columns, after a label of four."""
    assert lines == folded("PUE ", text, 30)


@given(
    st.lists(st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1, max_size=9)),
    st.integers(30, 99),
)
def test_folding_loses_no_word_and_keeps_the_width(words: list[str], width: int) -> None:
    """Words come out as they went in, in lines of at most the width."""
    lines = folded("", " ".join(words), width)
    assert words == " ".join(lines).split()
    assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize(
    ("width", "row"),
    [
        (26, ["a long name", "a longer host"]),
        (24, ["a long n…", "a longer host"]),
        (20, ["a lo…", "a longer host"]),
        (10, ["a lo…", "a longer…"]),
    ],
)
def test_texts_are_cut_in_order_and_no_shorter_than_told(width: int, row: list[str]) -> None:
    """11 + 2 + 13 = 26 characters: for 24 the first loses 2, for 20 6 and has 5, its least; the second keeps 9."""
    rows = [["a long name", "a longer host"]]
    assert fitted(rows, frozenset(), [(0, 5), (1, 9)], width, "…") == [row]
    assert rows == [["a long name", "a longer host"]], "those that were given stay as they are"


def test_pieces_stand_in_a_line_as_long_as_it_holds_them() -> None:
    """2 + 3 + 2 = 7 characters are a line of 7; the next piece is wider than a line, and whole."""
    assert packed(["ab", "cd", "efghijklm", "n"], 7) == ["ab   cd", "efghijklm", "n"]
