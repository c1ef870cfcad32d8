"""Dated CSV files: their text, what a merge keeps, and what is refused."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.config.seriesfile import read_series
from costmeter.feeds import series_csv
from costmeter.feeds.http import FeedError
from costmeter.feeds.series import Answer, Row
from costmeter.units import NANOSECONDS_PER_MINUTE
from tests.feeds.servers import NOON_NS

FEED = "octopus A B"
#: From noon of 2026-11-22 to 9999-12-31, in minutes: 2,912,147 days and a half.
FAR = 2_912_147 * 1440 + 720
FACTS = (("source", "Octopus Energy"), ("licence", "facts"))


def row(start_minute: int, end_minute: int | None, value: str, estimated: bool | None = None) -> Row:
    """A row by minutes after noon."""
    end_ns = None if end_minute is None else NOON_NS + end_minute * NANOSECONDS_PER_MINUTE
    return Row(NOON_NS + start_minute * NANOSECONDS_PER_MINUTE, end_ns, Decimal(value), estimated)


def written(path: Path, rows: tuple[Row, ...], unit: str = "GBp/kWh", feed: str = FEED) -> None:
    path.write_text(series_csv.text(rows, Answer(rows, unit, FACTS), feed, NOON_NS))


def test_the_text_of_a_file() -> None:
    """Facts, header and rows, in the format that the reader of series knows."""
    rows = (row(0, 30, "12.60"), row(30, None, "-3.1", True))
    assert series_csv.text(rows, Answer(rows, "GBp/kWh", FACTS), FEED, NOON_NS) == (
        "# feed: octopus A B\n# source: Octopus Energy\n# licence: facts\n# fetched: 2026-11-22T12:00Z\n"
        "start_utc,end_utc,value,unit,estimated\n"
        "2026-11-22T12:00Z,2026-11-22T12:30Z,12.60,GBp/kWh,\n"
        "2026-11-22T12:30Z,,-3.1,GBp/kWh,yes\n"
    )


def test_the_reader_of_series_reads_it(tmp_path: Path) -> None:
    """What is written is a series in the normal unit: 12.6 pence are 0.126 GBP."""
    written(tmp_path / "a.csv", (row(0, 30, "12.6"), row(30, 60, "-3")))
    dated, faults = read_series(str(tmp_path / "a.csv"), "a.csv")
    assert () == faults
    assert dated is not None
    assert ("GBP/kWh", "Octopus Energy", "2026-11-22T12:00Z") == (dated.unit, dated.source, dated.fetched)
    assert (Decimal("0.126"), Decimal("-0.03")) == dated.series.values


@pytest.mark.parametrize(
    ("old", "new", "rows", "counts"),
    [
        pytest.param([], [(0, 30, "1")], [(0, 30, "1")], (1, 0, 0), id="first"),
        pytest.param([(0, 30, "1")], [(30, 60, "2")], [(0, 30, "1"), (30, 60, "2")], (1, 0, 1), id="history-stays"),
        pytest.param([(0, 30, "1")], [(0, 30, "1")], [(0, 30, "1")], (0, 0, 1), id="the-same"),
        pytest.param([(0, 30, "1")], [(0, 30, "9")], [(0, 30, "9")], (0, 1, 0), id="a-new-value-replaces"),
        pytest.param(
            [(0, 60, "1")], [(0, 30, "2"), (30, 60, "3")], [(0, 30, "2"), (30, 60, "3")], (1, 1, 0), id="finer"
        ),
        pytest.param(
            [(0, 60, "1")], [(0, 15, "2")], [(0, 15, "2"), (15, 60, "1")], (1, 0, 1), id="the-rest-of-the-hour-stays"
        ),
        pytest.param(
            [(0, 60, "1")], [(15, 30, "2")], [(0, 15, "1"), (15, 30, "2"), (30, 60, "1")], (1, 0, 1), id="inside"
        ),
        pytest.param(
            [(3, 7, "1"), (7, 11, "4"), (11, 13, "1")],
            [(1, 4, "4")],
            [(1, 4, "4"), (4, 7, "1"), (7, 11, "4"), (11, 13, "1")],
            (1, 0, 3),
            id="ends-inside-a-known-one",
        ),
        pytest.param(
            [(12, None, "2")], [(11, 14, "4")], [(11, 14, "4"), (14, None, "2")], (1, 0, 1), id="open-goes-on-after-it"
        ),
        pytest.param(
            [(0, FAR, "1")],
            [(0, 30, "2"), (FAR - 60, FAR, "3")],
            [(0, 30, "2"), (30, FAR - 60, "1"), (FAR - 60, FAR, "3")],
            (2, 0, 1),
            id="the-year-9999",
        ),
        pytest.param([(0, 15, "1"), (15, 30, "2")], [(0, 60, "9")], [(0, 60, "9")], (0, 2, 0), id="coarser"),
        pytest.param(
            [(0, 60, "1")], [(30, 60, "2")], [(0, 30, "1"), (30, 60, "2")], (1, 0, 1), id="reaching-in-is-cut"
        ),
        pytest.param([(0, None, "1")], [(60, None, "2")], [(0, 60, "1"), (60, None, "2")], (1, 0, 1), id="open-ends"),
        pytest.param([(0, None, "1")], [(60, None, "1")], [(0, None, "1")], (0, 0, 1), id="the-same-price-again"),
        pytest.param(
            [(0, 60, "10"), (60, None, "99")], [(0, None, "11")], [(0, None, "11")], (0, 2, 0), id="withdrawn"
        ),
        pytest.param(
            [(0, 60, "10"), (90, 120, "99")],
            [(30, None, "11")],
            [(0, 30, "10"), (30, None, "11")],
            (1, 1, 1),
            id="open-covers-all-after-it",
        ),
        pytest.param(
            [(0, 15, "1"), (45, 60, "2"), (90, 120, "3")],
            [(30, None, "8"), (80, 90, "9")],
            [(0, 15, "1"), (30, 80, "8"), (80, 90, "9"), (90, 120, "3")],
            (2, 1, 2),
            id="open-reaches-to-the-next-new-one",
        ),
    ],
)
def test_merging(
    old: list[tuple[int, int | None, str]],
    new: list[tuple[int, int | None, str]],
    rows: list[tuple[int, int | None, str]],
    counts: tuple[int, int, int],
) -> None:
    """History stays, what came now wins, and each is counted."""
    merged = series_csv.merge(tuple(row(*one) for one in old), tuple(row(*one) for one in new))
    assert tuple(row(*one) for one in rows) == merged.rows
    assert counts == (merged.added, merged.replaced, merged.kept)


@pytest.mark.parametrize(
    ("old", "new", "rows", "counts"),
    [
        pytest.param(
            [row(0, 30, "100", False)], [row(0, 30, "250", True)], [row(0, 30, "100", False)], (0, 0, 1), id="stays"
        ),
        pytest.param(
            [row(0, 30, "100", False)],
            [row(0, 30, "250", True), row(30, 60, "251", True)],
            [row(0, 30, "100", False), row(30, 60, "251", True)],
            (1, 0, 1),
            id="later-forecast-is-added",
        ),
        pytest.param(
            [row(15, 30, "100", False)],
            [row(0, 60, "250", True)],
            [row(0, 15, "250", True), row(15, 30, "100", False), row(30, 60, "250", True)],
            (2, 0, 1),
            id="forecast-around-it",
        ),
        pytest.param(
            [row(0, 30, "100", True)], [row(0, 30, "99", False)], [row(0, 30, "99", False)], (0, 1, 0), id="measured"
        ),
        pytest.param(
            [row(0, 30, "100", False)], [row(0, 30, "99", False)], [row(0, 30, "99", False)], (0, 1, 0), id="corrected"
        ),
        pytest.param(
            [row(0, None, "100", False)], [row(30, 60, "9", True)], [row(0, None, "100", False)], (0, 0, 1), id="open"
        ),
        pytest.param(
            [row(4, 7, "3", False)],
            [row(5, 6, "1", False), row(6, 7, "2", True)],
            [row(4, 5, "3", False), row(5, 6, "1", False), row(6, 7, "3", False)],
            (1, 0, 1),
            id="nor-after-a-correction-inside-it",
        ),
        pytest.param(
            [row(0, 30, "100", False), row(30, 60, "90", True)],
            [row(0, None, "250", True)],
            [row(0, 30, "100", False), row(30, None, "250", True)],
            (0, 1, 1),
            id="open-estimate",
        ),
        pytest.param(
            [row(0, None, "5", True)],
            [row(30, None, "5", False)],
            [row(0, 30, "5", True), row(30, None, "5", False)],
            (1, 0, 1),
            id="the-same-but-measured",
        ),
    ],
)
def test_what_was_measured_is_not_replaced_by_an_estimate(
    old: list[Row], new: list[Row], rows: list[Row], counts: tuple[int, int, int]
) -> None:
    """An estimate fills what was not measured; a measured value replaces both."""
    merged = series_csv.merge(tuple(old), tuple(new))
    assert tuple(rows) == merged.rows
    assert counts == (merged.added, merged.replaced, merged.kept)


#: Past the last edge that `stretches` draws: what holds here holds for ever.
MINUTES = range(42)


@st.composite
def stretches(draw: st.DrawFn) -> tuple[Row, ...]:
    """Rows that ascend and do not overlap; the last may be without an end."""
    edges = sorted(draw(st.sets(st.integers(0, 40), min_size=2, max_size=12)))
    pairs = [pair for pair in pairwise(edges) if draw(st.booleans())] or [(edges[0], edges[1])]
    known = st.sampled_from([None, False, True])
    rows = [row(start, end, str(draw(st.integers(-5, 5))), draw(known)) for start, end in pairs]
    if draw(st.booleans()):
        rows[-1] = replace(rows[-1], end_utc_ns=None)
    return tuple(rows)


Minute = tuple[Decimal, bool | None] | None


def at_minute(rows: tuple[Row, ...], minute: int) -> Minute:
    """The value of a minute and whether it is estimated; None where there is none."""
    at = NOON_NS + minute * NANOSECONDS_PER_MINUTE
    found = [one for one in rows if one.start_utc_ns <= at and (one.end_utc_ns is None or at < one.end_utc_ns)]
    assert len(found) <= 1
    return (found[0].value, found[0].estimated) if found else None


def due(before: Minute, came: Minute) -> Minute:
    """What a minute has after a merge, first to last: new and no estimate, known and measured, new, known."""
    if came is not None and came[1] is not True:
        return came
    if before is not None and before[1] is False:
        return before
    return came or before


@given(stretches(), stretches())
def test_each_minute_after_a_merge_has_the_value_it_must(old: tuple[Row, ...], new: tuple[Row, ...]) -> None:
    """Minute by minute nothing known is lost, nothing new is missed, and no value is where none was."""
    merged = series_csv.merge(old, new)
    for one, after in pairwise(merged.rows):
        assert one.end_utc_ns is not None
        assert one.start_utc_ns < one.end_utc_ns <= after.start_utc_ns
    expected = [due(at_minute(old, minute), at_minute(new, minute)) for minute in MINUTES]
    assert expected == [at_minute(merged.rows, minute) for minute in MINUTES]
    assert len(old) == merged.kept + merged.replaced
    again = series_csv.merge(merged.rows, new)
    assert (merged.rows, 0, 0) == (again.rows, again.added, again.replaced)


@given(stretches())
def test_what_is_written_is_read_again(rows: tuple[Row, ...]) -> None:
    """A file gives back exactly the rows it was made of."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder, "a.csv"), rows)
        assert rows == series_csv.read(str(Path(folder, "a.csv")), FEED, "GBp/kWh", "a.csv")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            "# feed: octopus X Y\nstart_utc\n", "a.csv is of octopus X Y, not of octopus A B", id="another-feed"
        ),
        pytest.param("start_utc,end_utc,value,unit\n", "was not written by costmeter prices fetch", id="not-ours"),
        pytest.param(f"# feed: {FEED}\nstart,value\n", "other columns", id="columns"),
        pytest.param("HEAD2026-11-22T12:00Z,,1,EUR/MWh,\n", "a.csv:3: the unit is EUR/MWh, not GBp/kWh", id="unit"),
        pytest.param("HEAD2026-11-22T12:00Z,,NaN,GBp/kWh,\n", "a.csv:3: not a row", id="nan"),
        pytest.param("HEAD2026-11-22T12:00,,1,GBp/kWh,\n", "a.csv:3: not a row", id="naive"),
        pytest.param("HEAD2026-11-22T12:00Z,,1,GBp/kWh,perhaps\n", "a.csv:3: not a row", id="estimated"),
        pytest.param("HEADx\n", "a.csv:3: not a row", id="short"),
    ],
)
def test_what_another_hand_wrote_is_refused(text: str, words: str, tmp_path: Path) -> None:
    """A file of another feed, unit or form is named with its line, and nothing is merged."""
    text = text.replace("HEAD", f"# feed: {FEED}\nstart_utc,end_utc,value,unit,estimated\n")
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(FeedError) as caught:
        series_csv.read(str(tmp_path / "a.csv"), FEED, "GBp/kWh", "a.csv")
    assert words in caught.value.message


def test_bytes_that_are_no_text_and_folders_are_refused(tmp_path: Path) -> None:
    """What cannot be read as text is left alone."""
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "a.csv", tmp_path):
        with pytest.raises(FeedError, match=r"UTF-8|cannot be read"):
            series_csv.read(str(path), FEED, "GBp/kWh", "it")
