"""Lines of `nvidia-smi --query-gpu --format=csv`, as drivers 470 to 580 print them, read as readings."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.readings import Missing
from costmeter.sources.smicsv import QUERY, BadLine, NotThisFormat, Reader, columns, unmet
from tests.samples import SECOND

HEADER = (
    "timestamp, index, uuid, name, pci.bus_id, power.draw [W], utilization.gpu [%], power.limit [W], memory.used [MiB]"
)
LINE = (
    "2026/11/22 14:03:12.345, 0, GPU-8932f937-d72c-4106-c12f-20bd9faed9f6, NVIDIA H100 80GB HBM3, 00000000:18:00.0, "
    "301.25 W, 98 %, 700.00 W, 70000 MiB"
)
UTC = ZoneInfo("UTC")
#: 2026-11-22T14:03:12Z, by `date -u -d '2026-11-22 14:03:12' +%s`.
THEN_NS = 1_795_356_192 * SECOND


def reader(zone: ZoneInfo = UTC) -> Reader:
    """A reader that has seen the header."""
    made = Reader(None, zone)
    assert made.line(HEADER + "\n") is None
    return made


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(LINE, id="as-printed"),
        pytest.param(LINE.replace(" W", "").replace(" %", "").replace(" MiB", ""), id="nounits"),
        pytest.param(LINE.replace(", ", ",") + "\r\n", id="other-ends-of-line"),
    ],
)
def test_a_line_is_a_reading(line: str) -> None:
    """Watts, a ratio, bytes and UTC nanoseconds, with units behind the values or without."""
    said = reader().line(line)

    assert said is not None
    assert (said.utc_ns, said.index, said.bus) == (THEN_NS + 345_000_000, 0, "00000000:18:00.0")
    assert said.identity == "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"
    assert (said.power_watts, said.utilization_ratio, said.limit_watts) == (301.25, 0.98, 700.0)
    assert said.memory_used_bytes == 70_000 * 2**20


@pytest.mark.parametrize("word", ["[N/A]", "[Not Supported]", "[Unknown Error]", "N/A", "[GPU requires reset]"])
def test_what_a_board_does_not_tell_is_missing(word: str) -> None:
    """Never 0: a Missing with the tool's own word, and what it was asked for."""
    said = reader().line(LINE.replace("301.25 W", word))

    assert said is not None
    assert said.power_watts == Missing(f"power.draw: nvidia-smi said {word.strip('[]')}")


@pytest.mark.parametrize(
    ("power", "limit", "said"),
    [
        pytest.param("1400.00 W", "700.00 W", None, id="twice-the-limit"),
        pytest.param("1400.01 W", "700.00 W", "more than twice the limit, 700 W", id="more-than-that"),
        pytest.param("50000.00 W", "700.00 W", "power.draw of 50,000 W: more than twice", id="absurd"),
        pytest.param("3000.00 W", "[N/A]", None, id="without-a-limit"),
        pytest.param("3000.01 W", "[N/A]", "no GPU draws more than 3,000 W", id="beyond-any"),
        pytest.param("3500.00 W", "0.00 W", "no GPU draws more than 3,000 W", id="a-limit-of-nothing-is-none"),
        pytest.param("3500.00 W", "1800.00 W", None, id="its-own-limit-says-so"),
    ],
)
def test_a_power_is_believed_up_to_twice_the_limit(power: str, limit: str, said: str | None) -> None:
    """Beyond it, and beyond 3 kW where no limit is known, the line is refused with its reason."""
    line = LINE.replace("301.25 W", power).replace("700.00 W", limit)
    if said is None:
        assert reader().line(line) is not None
        return
    with pytest.raises(BadLine, match=said):
        reader().line(line)


def test_columns_may_be_few_and_in_any_order() -> None:
    """Without a UUID the bus names the GPU, without either its index; what is not logged is missing."""
    made = Reader(columns("power.draw,index,timestamp"), UTC)
    said = made.line("75.5, 3, 2026/11/22 14:03:12.345")

    assert said is not None
    assert (said.identity, said.power_watts) == ("index-3", 75.5)
    assert said.utilization_ratio == Missing("utilization.gpu is not in the log")


def test_what_is_recommended_is_understood() -> None:
    """The list of fields that the documentation shows has all that is read, and meters."""
    found = columns(QUERY)

    assert found is not None
    assert len(found) == 9
    assert unmet(found) == ""
    assert unmet(columns("timestamp,index") or {}) == "it has neither power.draw nor utilization.gpu"


def test_a_header_again_holds_from_there_on() -> None:
    """A log that was appended to, with other fields, is read on by its second header."""
    made = reader()
    assert made.line(LINE) is not None
    assert made.line("timestamp, power.draw [W]") is None
    said = made.line("2026/11/22 14:03:13.000, 20.00 W")

    assert said is not None
    assert said.power_watts == 20.0


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("Unable to determine the device handle for GPU 0000:18:00.0: GPU is lost.", id="lost-gpu"),
        pytest.param(LINE[:40], id="torn"),
        pytest.param(LINE.replace("301.25 W", "many"), id="no-number"),
        pytest.param(LINE.replace("301.25 W", "-1 W"), id="below-nothing"),
        pytest.param(LINE.replace("2026/11/22", "2026/13/22"), id="no-month"),
        pytest.param(LINE.replace("14:03:12", "14:03:61"), id="no-second"),
        pytest.param(LINE.replace("2026/11/22 14:03:12.345", "now"), id="no-time"),
        pytest.param(LINE.replace(", 0,", ", zero,"), id="no-index"),
        pytest.param("\x00" * 50, id="zeros"),
    ],
)
def test_a_line_that_says_nothing_usable_is_refused(line: str) -> None:
    """It is a BadLine with the reason; the lines after it are read."""
    made = reader()
    with pytest.raises(BadLine):
        made.line(line)
    assert made.line(LINE) is not None


@pytest.mark.parametrize(
    "line", ["# gpu    pwr  gtemp  mtemp     sm    mem", "# gpu        pid  type    sm   mem", "#Date       Time"]
)
def test_the_monitors_tables_are_another_format(line: str) -> None:
    """`nvidia-smi dmon` and `pmon` are told apart from a damaged log."""
    with pytest.raises(NotThisFormat, match="dmon or pmon"):
        Reader(None, UTC).line(line)


def test_the_hour_that_comes_twice() -> None:
    """In the night of 2026-10-25 Berlin's clocks go from 03:00 back to 02:00: an hour of lines lies after the first.

    02:59:59 is 00:59:59 UTC (summer), the 02:00:00 that follows it 01:00:00 UTC, and 03:00:00 is 02:00:00 UTC.
    """
    made = reader(ZoneInfo("Europe/Berlin"))
    times = ("01:59:59", "02:00:00", "02:59:59", "02:00:00", "02:59:59", "03:00:00")
    said = [made.line(LINE.replace("2026/11/22 14:03:12.345", f"2026/10/25 {time}.000")) for time in times]

    seconds = [line.utc_ns // SECOND % 86_400 for line in said if line is not None]
    assert seconds == [86_399, 0, 3_599, 3_600, 7_199, 7_200]


@given(
    st.lists(
        st.tuples(st.integers(0, 59), st.sampled_from([".000", ".999", ".5", "", ".123456789", ".٣٤٥", ".-01", ".1e2"]))
    ),
)
def test_an_instant_is_the_same_whatever_stood_above(times: list[tuple[int, str]]) -> None:
    """A log is read as if every line were its first: what is remembered of the lines before changes none."""

    def said(made: Reader, time: str) -> int | str:
        try:
            line = made.line(LINE.replace("14:03:12.345", time))
        except BadLine as why:
            return str(why)
        return 0 if line is None else line.utc_ns

    all_of_it = reader()
    for second, fraction in times:
        time = f"14:03:{second:02d}{fraction}"
        assert said(all_of_it, time) == said(reader(), time)


def test_what_was_read_before_is_read_alike() -> None:
    """The same text of a column is the same value, or the same refusal, each time."""
    made = reader()
    for _ in range(3):
        line = made.line(LINE)
        assert line is not None
        assert (line.power_watts, line.limit_watts, line.utilization_ratio) == (301.25, 700.0, 0.98)
        with pytest.raises(BadLine, match='"many" is no number'):
            made.line(LINE.replace("301.25 W", "many"))
