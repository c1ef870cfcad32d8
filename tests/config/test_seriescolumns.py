"""Series read column by column: the same as row by row, or left to it."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmeter.config.seriescolumns import Columns, stretches
from costmeter.config.seriesfile import SeriesFormat, parse_series
from costmeter.meter.series import OPEN_END
from costmeter.rates.dated import DatedSeries
from costmeter.units import NANOSECONDS_PER_SECOND
from tests.config.fuzz import mutations

START = datetime(2026, 10, 24, 22, tzinfo=timezone.utc)
OURS = Columns(0, 2, 1, (("unit", 3),), 4)
HEADER = "# source: a feed\n# scope: direct\nstart_utc,end_utc,value,unit\n"
ROWS = "2026-01-01T00:00Z,2026-01-01T00:30Z,0.2031,GBP/kWh\n2026-01-01T00:30Z,2026-01-01T01:00Z,-1e-3,GBP/kWh\n"
#: A remark above says nothing; one with a quote makes the text one that is read row by row.
REMARK, QUOTE = "# x\n", '# "\n'

values = st.decimals(-1000, 1000, allow_nan=False, places=5)
lengths = st.lists(st.tuples(st.integers(1, 90), st.sampled_from([0, 0, 0, 7]), values), min_size=1, max_size=40)


def written(parts: list[tuple[int, int, Decimal]], offset: int, is_open: bool, unit: str) -> list[str]:
    """Rows of so many minutes with so many minutes between, in the time of an offset."""
    zone, at = timezone(timedelta(minutes=offset)), START
    rows: list[str] = []
    for minutes, hole, value in parts:
        till = at + timedelta(minutes=minutes)
        ends = "" if is_open and len(rows) == len(parts) - 1 else f"{till.astimezone(zone).isoformat('T', 'minutes')}"
        rows.append(f"{at.astimezone(zone).isoformat('T', 'minutes')},{ends},{value},{unit}\n")
        at = till + timedelta(minutes=hole)
    return rows


def by_rows(text: str) -> DatedSeries | None:
    """The series of a text, read row by row."""
    dated, faults = parse_series(QUOTE + text, "s.csv")
    assert (dated is None) == bool(faults)
    return dated


@settings(deadline=None)
@given(lengths, st.sampled_from([0, 60, -570]), st.booleans(), st.sampled_from(["EUR/kWh", "gCO2e/kWh", "EUR/MWh"]))
def test_columns_and_rows_give_the_same_series(
    parts: list[tuple[int, int, Decimal]], offset: int, is_open: bool, unit: str
) -> None:
    """Holes, an open end, an offset, a unit to be scaled, the newest first: to the last digit what rows give."""
    rows = written(parts, offset, is_open, unit)
    expected = by_rows(HEADER + "".join(rows))
    assert expected is not None
    found, faults = parse_series(HEADER + "".join(rows), "s.csv")
    assert (found, faults) == (expected, ())
    assert found is not None
    assert [str(value) for value in found.series.values] == [str(value) for value in expected.series.values]
    assert stretches("".join(rows), OURS) is not None
    assert parse_series(HEADER + "".join(reversed(rows)), "s.csv") == (expected, ())


@pytest.mark.parametrize("seed", range(8))
def test_nearly_right_text_is_read_or_refused_as_by_rows(seed: int) -> None:
    """50 texts with something changed: the same series, or the same faults, as when columns are not tried."""
    rows = "".join(written([(30, 0, Decimal(number) / 8) for number in range(12)], 0, False, "GBP/kWh"))
    refused = 0
    for text in mutations(HEADER + rows, 50, seed):
        dated, faults = parse_series(REMARK + text, "s.csv")
        again, told = parse_series(QUOTE + text, "s.csv")
        assert dated == again
        assert [str(fault) for fault in faults] == [str(fault) for fault in told]
        refused += bool(faults)
    assert refused


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(ROWS + ROWS, id="twice"),
        pytest.param(ROWS.replace("0.2031", '"0.2031"'), id="quotes"),
        pytest.param(ROWS.replace("0.2031", " 0.2031"), id="blank"),
        pytest.param(ROWS.replace("0.2031", "nan"), id="no-number"),
        pytest.param(ROWS.replace("GBP", "EUR", 1), id="another-unit"),
        pytest.param(ROWS + "\n" + ROWS.replace("2026", "2027"), id="empty-line"),
        pytest.param("# remark,,,\n" + ROWS, id="remark"),
        pytest.param(ROWS.replace("\n", "\r\n"), id="carriage-returns"),
        pytest.param(ROWS.replace("T00:30Z,0", "T00:31Z,0"), id="overlap"),
        pytest.param(ROWS.replace("2026-01-01T00:30Z,0", ",0"), id="an-end-that-is-missing"),
        pytest.param(ROWS.replace("01-01T01:00Z", "01-01T00:30Z"), id="no-length"),
        pytest.param(ROWS.replace("01-01", "02-30"), id="no-day"),
        pytest.param(ROWS.replace("2026-01-01", "2026-W01-1"), id="week-of-the-year"),
        pytest.param(ROWS.replace("00:00Z", "00:00"), id="naive"),
        pytest.param(ROWS.replace("2026-01-01T00:00Z", "1970-01-01T00:00+00:30"), id="before-1970"),
        pytest.param(ROWS.replace(",GBP/kWh\n", "\n", 1), id="short-line"),
        pytest.param(
            ROWS.replace(",GBP/kWh\n2026", "\n2026").replace("kWh\n", "kWh,\n"), id="short-line-and-long-line"
        ),
        pytest.param(ROWS.replace("kWh", "kWh\u2028"), id="a-line-to-some"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_leaves_something_to_decide_is_left_to_rows(body: str) -> None:
    """Anything that is not plain, or not right, is not read by columns."""
    assert stretches(ROWS, OURS) is not None
    assert stretches(body, OURS) is None


def test_a_file_of_starts_alone_ends_each_where_the_next_begins() -> None:
    """A market's file, without ends, newest first: 60-minute prices; the last as long as the one before."""
    form = SeriesFormat("from", value_column="price")
    text = "# unit: EUR/MWh\nfrom,area,price\n2026-01-01T01:00+01:00,DE,-5\n2026-01-01T00:00+01:00,DE,80.1\n"
    dated, faults = parse_series(text, "s.csv", form)
    assert faults == ()
    assert dated is not None
    first = 1_767_222_000 * NANOSECONDS_PER_SECOND  # 2025-12-31T23:00Z
    hour = 3_600 * NANOSECONDS_PER_SECOND
    assert dated.series.starts_utc_ns == (first, first + hour)
    assert dated.series.ends_utc_ns == (first + hour, first + 2 * hour)
    assert dated.series.values == (Decimal("0.0801"), Decimal("-0.005"))
    assert stretches(text.split("price\n")[1], Columns(0, 2, None, (), 3)) is not None


def test_an_open_end_is_open() -> None:
    """A last row without an end holds until another is published."""
    dated, _ = parse_series(HEADER + ROWS.replace("2026-01-01T01:00Z", ""), "s.csv")
    assert dated is not None
    assert dated.series.ends_utc_ns[-1] == OPEN_END


def test_shuffled_rows_are_one_series() -> None:
    """Rows in no order are read row by row, to the same series."""
    rows = written([(30, 0, Decimal(number)) for number in range(50)], 0, False, "GBP/kWh")
    shuffled = rows[:]
    Random(3).shuffle(shuffled)
    assert stretches("".join(shuffled), OURS) is None
    assert parse_series(HEADER + "".join(shuffled), "s.csv") == parse_series(HEADER + "".join(rows), "s.csv")
