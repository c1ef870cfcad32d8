"""Dated series in CSV files: what is read, in which unit, and faults that name their line."""

import os
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmeter.config.seriesfile import MAX_FAULTS, MAX_SERIES_BYTES, SeriesFormat, parse_series, read_series
from costmeter.meter.series import OPEN_END
from costmeter.rates.dated import DatedSeries
from costmeter.units import NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND
from tests.config.fuzz import mutations
from tests.config.tariff.sheets import SERIES, utc_ns
from tests.depth import deeply

HEADER = "start_utc,end_utc,value,unit\n"
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
HALF_HOUR_NS = 30 * NANOSECONDS_PER_MINUTE
AGILE = SeriesFormat(value_column="import_p_per_kwh", unit="GBp/kWh", resolution_ns=HALF_HOUR_NS)


def series(text: str, form: SeriesFormat = SeriesFormat()) -> DatedSeries:  # noqa: B008 - frozen
    dated, faults = parse_series(text, "s.csv", form)
    assert faults == ()
    assert dated is not None
    return dated


def faults_of(text: str, form: SeriesFormat = SeriesFormat()) -> list[str]:  # noqa: B008 - frozen
    dated, faults = parse_series(text, "s.csv", form)
    assert dated is None
    return [str(fault) for fault in faults]


def test_our_own_format_is_read(tmp_path: Path) -> None:
    """Rows newest first, a source, a date and a scope: all of it is kept, in the order of time."""
    path = tmp_path / "gb.csv"
    path.write_text(
        "# source: Carbon Intensity API\n# licence: CC BY 4.0\n# fetched: 2026-01-02T00:05Z\n# scope: direct\n"
        "# method: location\n# zone: GB\n# a remark\n" + HEADER + "2026-01-01T00:30Z,2026-01-01T01:00Z,180,gCO2/kWh\n"
        "\n# another: remark\n2026-01-01T00:00Z,2026-01-01T00:30Z,200,gCO2/kWh\n",
        encoding="utf-8",
    )
    dated, faults = read_series(str(path), "gb.csv")
    assert faults == ()
    assert dated is not None
    assert (dated.unit, dated.source, dated.fetched) == ("gCO2e/kWh", "Carbon Intensity API", "2026-01-02T00:05Z")
    assert (dated.scope, dated.method) == ("direct", "location")
    assert dated.series.values == (Decimal(200), Decimal(180))
    assert dated.series.at(utc_ns("2026-01-01T00:29:59+00:00")) == 200


@pytest.mark.parametrize(
    ("rows", "form", "ends"),
    [
        pytest.param(
            "start_utc,end_utc,value\n2026-01-01T00:00Z,,1\n2026-01-01T02:00Z,,2\n",
            SeriesFormat(unit="EUR/kWh"),
            ["2026-01-01T02:00+00:00", ""],
            id="empty-ends-last-is-open",
        ),
        pytest.param(
            "start_utc,value\n2026-01-01T00:00Z,1\n2026-01-01T02:00Z,2\n",
            SeriesFormat(unit="EUR/kWh"),
            ["2026-01-01T02:00+00:00", "2026-01-01T04:00+00:00"],
            id="no-end-column-last-as-long-as-before",
        ),
        pytest.param(
            "start_utc,value\n2026-01-01T00:00Z,1\n", SeriesFormat(unit="EUR/kWh"), [""], id="one-row-without-end"
        ),
        pytest.param(
            "start_utc,value\n2026-01-01T00:00Z,1\n2026-01-01T02:00Z,2\n2026-01-01T02:15Z,3\n",
            SeriesFormat(unit="EUR/kWh", resolution_ns=HALF_HOUR_NS),
            ["2026-01-01T00:30+00:00", "2026-01-01T02:15+00:00", "2026-01-01T02:45+00:00"],
            id="resolution-but-never-beyond-the-next",
        ),
        pytest.param(
            "from,till,price\n2026-01-01T01:00+01:00,2026-01-01 00:15:00Z,1\n",
            SeriesFormat("from", "till", "price", "EUR/kWh"),
            ["2026-01-01T00:15+00:00"],
            id="own-columns-and-an-offset",
        ),
    ],
)
def test_a_row_ends_where_its_file_says(rows: str, form: SeriesFormat, ends: list[str]) -> None:
    """The end as written; without one the resolution, the next row, or the length of the row before."""
    assert series(rows, form).series.ends_utc_ns == tuple(utc_ns(end) if end else OPEN_END for end in ends)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        pytest.param("2026-01-01T00:00,,1,EUR/kWh", '"2026-01-01T00:00" has no offset; write Z', id="naive"),
        pytest.param("2026-01-01T00:00:30Z,,1,EUR/kWh", "is not on a whole minute", id="seconds"),
        pytest.param("2026-02-30T00:00Z,,1,EUR/kWh", "is no day of the calendar", id="no-day"),
        pytest.param("2026-01-01T24:00Z,,1,EUR/kWh", "expected an instant such as 2026-11-22T16:00Z", id="24-hours"),
        pytest.param("1969-12-31T23:00Z,,1,EUR/kWh", "is not between 1970 and 2199", id="too-early"),
        pytest.param("2200-01-01T00:00Z,,1,EUR/kWh", "is not between 1970 and 2199", id="too-late"),
        pytest.param("yesterday,,1,EUR/kWh", 'not "yesterday"', id="no-instant"),
        pytest.param("2026-01-01T00:00Z,noon,1,EUR/kWh", 'not "noon"', id="no-end"),
        pytest.param("2026-01-01T00:00Z,,NaN,EUR/kWh", 'expected a number such as 0.2031, not "NaN"', id="nan"),
        pytest.param("2026-01-01T00:00Z,,,EUR/kWh", "leave out the row of a value that nobody knows", id="empty-value"),
        pytest.param("2026-01-01T01:00Z,2026-01-01T01:00Z,1,EUR/kWh", "which is not after its start", id="empty-row"),
        pytest.param("2026-01-01T00:00Z", "1 cells; the header has more", id="short-row"),
        pytest.param("2026-01-01T00:00Z,,1,lb/MWh", "multiply by 0.45359237", id="pounds"),
        pytest.param("2026-01-01T00:00Z,,1,ct/kWh", "does not say of which currency", id="cents-of-nobody"),
        pytest.param("2026-01-01T00:00Z,,1,", "no unit; add a first line such as", id="no-unit"),
    ],
)
def test_a_faulty_row_is_named_by_its_line(rows: str, fault: str) -> None:
    """A refusal says the file, the line and what to write."""
    (found,) = faults_of(HEADER + rows + "\n")
    assert found.startswith(("s.csv:2:1: ", "s.csv:1:1: no unit"))
    assert fault in found


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        pytest.param("", 1, "no rows", id="empty"),
        pytest.param(HEADER, 1, "no rows", id="header-only"),
        pytest.param("start_utc;value\n", 1, "expected a header such as start_utc,end_utc,value,unit", id="semicolons"),
        pytest.param("start_utc,vlaue,x\n", 1, 'no column "value" in the header. Did you mean "vlaue"?', id="typo"),
        pytest.param("start_utc,value,value\n", 1, 'column "value" stands twice', id="twice"),
        pytest.param(
            "# scope: upstream\n" + HEADER + "2026-01-01T00:00Z,,1,g/kWh\n",
            1,
            "scope: expected lifecycle or direct",
            id="scope",
        ),
        pytest.param(
            "# fetched: today\n" + HEADER + "2026-01-01T00:00Z,,1,g/kWh\n", 1, "fetched: expected a date", id="fetched"
        ),
        pytest.param(
            HEADER + "2026-01-01T00:00Z,,1,g/kWh\n2026-01-01T01:00Z,,1,EUR/kWh\n",
            3,
            'unit "EUR/kWh", but "g/kWh" on line 2',
            id="mixed-units",
        ),
        pytest.param(
            "# scope: direct\n# scope: lifecycle\n" + HEADER + "2026-01-01T00:00Z,,1,g/kWh\n",
            2,
            'scope "lifecycle", but "direct" on line 1',
            id="mixed-scopes",
        ),
        pytest.param(
            HEADER + "2026-01-01T00:00Z,,1,g/kWh\n2026-01-01T00:00Z,,2,g/kWh\n",
            3,
            "2026-01-01T00:00Z again, otherwise than on line 2",
            id="twice-otherwise",
        ),
        pytest.param(
            HEADER + "2026-01-01T00:00Z,2026-01-01T02:00Z,1,g/kWh\n2026-01-01T01:00Z,,2,g/kWh\n",
            3,
            "overlaps line 2, which ends 2026-01-01T02:00Z",
            id="overlap",
        ),
        pytest.param(
            HEADER + '"2026-01-01T00:00Z' + "x" * 200_000 + '",,1,g/kWh\n', 2, "not CSV: field larger", id="field-limit"
        ),
    ],
)
def test_a_faulty_file_is_named_by_its_line(text: str, line: int, fault: str) -> None:
    """What is wrong between rows, or before them, names the line too."""
    (found,) = faults_of(text)
    assert found.startswith(f"s.csv:{line}:1: ")
    assert fault in found


def test_the_file_s_unit_must_be_the_expected_one() -> None:
    """A series in grams is refused where pounds sterling were expected."""
    text = "# unit: gCO2e/kWh\nstart_utc,value\n2026-01-01T00:00Z,1\n"
    (found,) = faults_of(text, SeriesFormat(unit="GBP/kWh"))
    assert found == 's.csv:1:1: unit "gCO2e/kWh", but "GBP/kWh" was expected'


def test_a_missing_end_column_that_was_named_is_a_fault() -> None:
    """The column of ends is optional under its own name, and only under that."""
    (found,) = faults_of("start_utc,value\n2026-01-01T00:00Z,1\n", SeriesFormat(end_column="till", unit="EUR/kWh"))
    assert 'no column "till"' in found


def test_blanks_around_cells_are_nothing() -> None:
    """A file that aligns its columns is read like any other."""
    text = "start_utc, end_utc, value, unit\n 2026-01-01T00:00Z , 2026-01-01T00:30Z,  1.5 , EUR/kWh\n"
    assert series(text) == series(HEADER + "2026-01-01T00:00Z,2026-01-01T00:30Z,1.5,EUR/kWh\n")


def test_the_same_row_twice_is_one() -> None:
    """A page fetched twice overlaps itself; what is equal is no contradiction."""
    row = "2026-01-01T00:00Z,2026-01-01T00:30Z,1,EUR/kWh\n"
    assert series(HEADER + row + row).series.values == (Decimal(1),)


def test_faults_are_counted_beyond_the_first_twenty() -> None:
    """A wrong column is not a thousand lines on the screen."""
    found = faults_of(HEADER + "x,,1,EUR/kWh\n" * 1_000)
    assert len(found) == MAX_FAULTS + 1
    assert found[-1] == "s.csv:22:1: and 980 more faults from here on"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param(None, "s.csv: cannot be read: No such file or directory", id="missing"),
        pytest.param(b"a\n\xff", "s.csv:2:1: not UTF-8 text", id="bytes"),
        pytest.param(b"x" * (MAX_SERIES_BYTES + 1), "s.csv: cannot be read: more than 8000000 bytes", id="too-big"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_fault(content: bytes | None, fault: str, tmp_path: Path) -> None:
    """A missing, huge or binary file is refused by its name."""
    path = tmp_path / "s.csv"
    if content is not None:
        path.write_bytes(content)
    dated, faults = read_series(str(path), "s.csv")
    assert dated is None
    assert [str(found) for found in faults] == [fault]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """What is no regular file is refused at once."""
    os.mkfifo(tmp_path / "pipe")
    _, faults = read_series(str(tmp_path / "pipe"), "pipe")
    assert [str(fault) for fault in faults] == ["pipe: cannot be read: not a regular file"]


@pytest.mark.parametrize(
    ("unit", "currency", "expected"),
    [
        pytest.param("GBp/kWh", "", ("GBP/kWh", "0.12"), id="pence"),
        pytest.param("p/kWh", "", ("GBP/kWh", "0.12"), id="p"),
        pytest.param("GBP/kWh", "", ("GBP/kWh", "12"), id="pounds"),
        pytest.param("ct/kWh", "EUR", ("EUR/kWh", "0.12"), id="cents"),
        pytest.param("Eur / MWh", "", ("EUR/kWh", "0.012"), id="market"),
        pytest.param("USD/h", "", ("USD/h", "12"), id="hour"),
        pytest.param("USD/GPU-hour", "", ("USD/h", "12"), id="gpu-hour"),
        pytest.param("kgCO2e/MWh", "", ("gCO2e/kWh", "12"), id="kilograms-per-megawatt-hour"),
        pytest.param("g/kWh", "", ("gCO2e/kWh", "12"), id="grams"),
    ],
)
def test_units_become_normal(unit: str, currency: str, expected: tuple[str, str]) -> None:
    """12 of a unit are so many of the normal one, exactly."""
    dated = series("start_utc,value\n2026-01-01T00:00Z,12\n", SeriesFormat(unit=unit, currency=currency))
    assert (dated.unit, dated.series.values[0]) == (expected[0], Decimal(expected[1]))


@pytest.mark.parametrize("unit", ["EUR", "EUR/kW", "bananas/kWh", "/", "g/h"])
def test_an_unknown_unit_is_a_fault(unit: str) -> None:
    """A unit nobody knows is refused with the known ones."""
    (found,) = faults_of(f"# unit: {unit}\nstart_utc,value\n2026-01-01T00:00Z,1\n")
    assert "is no unit known here; known are EUR/kWh" in found


@settings(deadline=None)
@given(st.lists(st.integers(-2_000_000, 5_000_000), min_size=2, max_size=80), st.randoms())
def test_the_order_of_rows_does_not_matter(values: list[int], random: Random) -> None:
    """Rows in any order are the same series, and none of its values is rounded."""
    rows = [
        f"{START + timedelta(minutes=15 * number):%Y-%m-%dT%H:%MZ},,{Decimal(value).scaleb(-4)},EUR/MWh\n"
        for number, value in enumerate(values)
    ]
    shuffled = random.sample(rows, len(rows))
    assert series(HEADER + "".join(shuffled)) == series(HEADER + "".join(rows))
    assert series(HEADER + "".join(rows)).series.values == tuple(Decimal(value).scaleb(-7) for value in values)


@pytest.mark.no_cover  # much of the same: others cover the lines
def test_a_year_of_half_hours_sums_exactly() -> None:
    """17,520 prices of 2026, looked up at every minute, sum to 30 times the sum of the prices."""
    rows = [
        f"{START + timedelta(minutes=30 * number):%Y-%m-%dT%H:%MZ},,{number * 7919 % 90001}e-5,GBP/kWh\n"
        for number in range(17_520)
    ]
    prices = series(HEADER + "".join(rows), SeriesFormat(resolution_ns=HALF_HOUR_NS)).series
    expected = Decimal(30 * sum(number * 7919 % 90001 for number in range(17_520))).scaleb(-5)
    first = int(START.timestamp()) * NANOSECONDS_PER_SECOND
    assert sum(prices.at(first + minute * NANOSECONDS_PER_MINUTE) for minute in range(525_600)) == expected
    assert prices.doubt(first + 525_599 * NANOSECONDS_PER_MINUTE) == ""
    assert prices.doubt(first + 525_600 * NANOSECONDS_PER_MINUTE) != ""


@pytest.mark.parametrize("path", SERIES, ids=lambda path: path.stem[:20])
def test_a_mutated_series_is_read_or_refused_by_line(path: Path) -> None:
    """150 files that are nearly right: no exception, and every refusal names file and line."""
    forms = {"uk": AGILE, "de": SeriesFormat(value_column="eur_per_mwh", unit="EUR/MWh")}
    refused = 0
    for text in mutations(path.read_text(encoding="utf-8"), deeply(150), seed=4):
        dated, faults = parse_series(text, "s.csv", forms[path.stem[:2]])
        assert (dated is None) == bool(faults)
        assert all(fault.place.source == "s.csv" and fault.place.line > 0 for fault in faults)
        refused += bool(faults)
    assert refused > 25
