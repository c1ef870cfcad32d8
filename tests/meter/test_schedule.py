"""Schedules that do not depend on the wall clock: constants and successions."""

from decimal import Decimal

import pytest

from costmeter.meter.schedule import Constant, Succession
from costmeter.units import NANOSECONDS_PER_MINUTE as MINUTE

ONE, TWO = Constant(Decimal(1)), Constant(Decimal(2))


@pytest.mark.parametrize(
    ("minute", "value", "doubt"),
    [
        pytest.param(9, 1, "valid from 1970-01-01T00:10Z only", id="before"),
        pytest.param(10, 1, "", id="first"),
        pytest.param(19, 1, "", id="to-its-last-minute"),
        pytest.param(20, 2, "", id="second"),
        pytest.param(30, 2, "valid until 1970-01-01T00:30Z only", id="ended"),
    ],
)
def test_sheets_follow_one_another(minute: int, value: int, doubt: str) -> None:
    """Each sheet holds from its start; before the first and after the end a price is still given, and doubted."""
    sheets = Succession((10 * MINUTE, 20 * MINUTE), (ONE, TWO), 30 * MINUTE)
    assert sheets.at(minute * MINUTE) == value
    assert sheets.doubt(minute * MINUTE) == doubt


def test_a_sheet_s_own_doubt_is_told() -> None:
    """A succession passes on what the schedule that holds says of itself."""
    inner = Succession((0,), (ONE,), MINUTE)
    assert Succession((0,), (inner,)).doubt(2 * MINUTE) == "valid until 1970-01-01T00:01Z only"
    assert ONE.doubt(0) == ""


@pytest.mark.parametrize(
    ("starts", "count"),
    [
        pytest.param((), 0, id="none"),
        pytest.param((0,), 2, id="lengths"),
        pytest.param((5, 5), 2, id="same"),
        pytest.param((5, 0), 2, id="falling"),
    ],
)
def test_a_succession_that_is_none_is_refused(starts: tuple[int, ...], count: int) -> None:
    """There is a sheet, each has its start, and the starts ascend."""
    with pytest.raises(ValueError, match="succession"):
        Succession(starts, (ONE,) * count)
