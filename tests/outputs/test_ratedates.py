"""Of what day rates are: read from the words by which their origins say it."""

import pytest

from costmeter.meter.charge import Origin
from costmeter.outputs.ratedates import rate_dates

#: `date -u -d 2026-11-01 +%s`, and of 2026-11-22.
NOVEMBER, THE_22ND = 1_793_491_200, 1_795_305_600


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        pytest.param(Origin("list price 2026-11", "H100 80GB"), NOVEMBER, id="month"),
        pytest.param(Origin("list price 2026-11-22", "aws"), THE_22ND, id="day"),
        pytest.param(Origin("configured", "series a.csv (fetched 2026-11-22), x.yaml:2"), THE_22ND, id="fetched"),
        pytest.param(
            Origin("configured", "series a.csv (fetched 2026-11-22T16:05Z), x.yaml:2"), THE_22ND + 57_900, id="instant"
        ),
        pytest.param(Origin("configured", "fetched 2026-11-22T02:00+02:00"), THE_22ND, id="zone"),
        pytest.param(Origin("estimated", "until 09:00; series a.csv (fetched 2026-11-22)"), THE_22ND, id="doubted"),
        pytest.param(Origin("configured", "costmeter.yaml:3"), None, id="no-date"),
        pytest.param(Origin("configured", "list price 2026-11.csv:1"), None, id="a-file-of-that-name"),
        pytest.param(Origin("configured", "fetched 2026-02-31"), None, id="no-day"),
        pytest.param(Origin("list price 2026-13", ""), None, id="no-month"),
    ],
)
def test_a_date_is_the_one_the_origin_names(origin: Origin, expected: float | None) -> None:
    """A month is its first day, a day its midnight UTC; what names no date, or none there is, has none."""
    assert rate_dates({"gpu.price": origin}) == ({} if expected is None else {"gpu.price": expected})


def test_gpus_that_differ_are_one_setting() -> None:
    """Prices by GPU are as old as the oldest of them."""
    of = {
        "gpu.price.GPU-a": Origin("list price 2026-11-22", ""),
        "gpu.price.GPU-b": Origin("list price 2026-11", ""),
        "gpu.price.GPU-c": Origin("configured", "here"),
    }
    assert {"gpu.price": NOVEMBER} == rate_dates(of)
