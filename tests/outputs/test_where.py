"""Where it went and what is not counted: rows that add up, however many phases there were."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.outputs.columns import flowing
from costmeter.outputs.receipt import receipt
from costmeter.outputs.uncounted import uncounted
from costmeter.outputs.where import PHASES_SHOWN, where_it_went
from tests.outputs import runs

seconds = st.integers(0, 10**7).map(float)
amounts = st.decimals(0, 10**6, places=6)


@st.composite
def receipts(draw: st.DrawFn) -> dict[str, Any]:
    """What the table needs of a receipt with up to twenty phases."""
    phases = [
        {
            "name": f"phase {number}",
            "cost": str(draw(amounts)),
            "gpu_seconds": {state: draw(seconds) for state in ("busy", "idle", "unknown")},
        }
        for number in range(draw(st.integers(1, 20)))
    ]
    total = sum((Decimal(str(phase["cost"])) for phase in phases), Decimal(0))
    return {"phases": phases, "cost": {"total": str(total)}}


@given(receipts())
def test_rows_add_up_and_are_few(of: dict[str, Any]) -> None:
    """At most twelve rows; their money and hours are the total's, and the shares 100 unless there was nothing."""
    where = where_it_went(of)
    assert len(where.rows) == min(PHASES_SHOWN, len(of["phases"]))
    assert where.amount == sum(row.amount for row in where.rows)
    assert where.hours == sum(row.hours for row in where.rows)
    assert abs(where.amount - Decimal(of["cost"]["total"])) <= Decimal("0.005")
    held = sum(sum(phase["gpu_seconds"].values()) for phase in of["phases"])
    assert sum(row.share for row in where.rows) == (100 if held or where.amount else 0)


def test_the_costliest_phases_are_shown_in_their_order() -> None:
    """Of fourteen phases the three cheapest are one row, at the end."""
    told = [
        {"name": name, "cost": str(cost), "gpu_seconds": {"busy": 60.0, "idle": 0.0, "unknown": 0.0}}
        for cost, name in enumerate("nmlkjihgfedcba", start=1)
    ]
    where = where_it_went({"phases": told, "cost": {"total": "105"}})
    assert [*"kjihgfedcba", "3 others"] == [row.name for row in where.rows]
    assert Decimal(6) == where.rows[-1].amount


@pytest.mark.parametrize(
    ("expected", "idle"),
    [("", 4.9), ("5 % idle", 5.0), ("12 % idle", 12.0), ("94 % idle", 94.4), ("idle", 95.0), ("idle", 100.0)],
)
def test_idle_is_told_where_it_is_worth_a_word(expected: str, idle: float) -> None:
    """From 5 % of a phase on, and from 95 % on as all of it."""
    phase = {"name": "x", "cost": "1", "gpu_seconds": {"busy": 100 - idle, "idle": idle, "unknown": 0.0}}
    assert expected == where_it_went({"phases": [phase], "cost": {"total": "1"}}).rows[0].idle_note


@pytest.mark.parametrize(
    ("expected", "run"),
    [
        pytest.param([], runs.healthy, id="all-that-is-metered"),
        pytest.param(["The host's own energy: set host.power.", "Cooling"], runs.interrupted, id="host-and-cooling"),
        pytest.param(["2 of 8 GPUs: no price of theirs is known."], runs.unpriced, id="gpus-without-a-price"),
        pytest.param(["Money: no price is known.", "Energy and CO2e"], runs.no_driver, id="no-driver"),
        pytest.param(["The energy of 16 m 00 s of GPU time"], runs.failed, id="a-lost-gpu"),
        pytest.param(["archive: its cost is not known."], runs.beside, id="an-item"),
    ],
)
def test_what_is_not_counted_is_said(expected: list[str], run: Any) -> None:
    """What this run's figures leave out stands first, what no receipt has at the end."""
    said = list(uncounted(receipt(run())))
    assert [True] * len(expected) == [line.startswith(start) for line, start in zip(said, expected, strict=False)]
    assert said[-1].startswith("Taxes, discounts")
    assert any(line.startswith("Storage, network") for line in said) is (run is not runs.beside)


def test_columns_become_words() -> None:
    """What stood apart in a line of columns is parted by dots."""
    assert "traffic: 3.10 GB sent · $0.28 · measured" == flowing(" traffic: 3.10 GB sent      $0.28  measured")
