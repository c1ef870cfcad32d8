"""What the board of spend says a range and a month cost, by hand: real rules and queries, and promtool's clock.

promtool's time begins on 1 January 1970 at 00:00 UTC.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.grafana.boards import OPEN, asked
from tests.grafana.test_rules import RULES, promtool

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool not installed")

#: One GPU at 60 USD an hour, which lee holds: a dollar a minute, from minute 0 on.
OF_GPU = 'cluster="paris",gpu_uuid="GPU-a",instance="gpu01:26786",job="costmeter"'
BURNS = {
    f'costmeter_gpu_cost_usd_total{{{OF_GPU},state="busy"}}': "0+1x310",
    f'costmeter_gpu_time_seconds_total{{{OF_GPU},state="busy"}}': "0+60x310",
    f'costmeter_gpu_time_seconds_total{{{OF_GPU},state="unheld"}}': "0x310",
    f'costmeter_gpu_energy_kwh_total{{{OF_GPU},state="busy"}}': "0+1x310",
    f'costmeter_gpu_emissions_grams_total{{{OF_GPU},scope="operational"}}': "0+1000x310",
    f'costmeter_gpu_holder_share_ratio{{{OF_GPU},run_id="",user="lee"}}': "1x310",
}
PANELS = ("Spent in the range", "Energy", "By user", "By cluster")


def query(panel: str, place: int, began_minutes: int, ended_minutes: int) -> str:
    """A query of the board, over a range."""
    text = [each.expression for each in asked("spend") if each.panel == panel][place]
    of_range = {
        "${__from:date:seconds}": f"{60 * began_minutes}",
        "${__to:date:seconds}": f"{60 * ended_minutes}",
        "$__range": f"{ended_minutes - began_minutes}m",
    }
    for name, value in {**OPEN, **of_range}.items():
        text = text.replace(name, value)
    return text


def judge(folder: Path, series: dict[str, str], expected: Sequence[tuple[str, int, float]], **more: object) -> None:
    """Have promtool ask each query at a minute, and compare to the cent."""
    test = {
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f"round(sum({asked_for}), 0.01)",
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": "{}", "value": value}],
            }
            for asked_for, minute, value in expected
        ],
        **more,
    }
    file = folder / "test.yml"
    rules = [str(RULES / "costmeter.yml")] if more["interval"] == "1m" else []
    file.write_text(json.dumps({"rule_files": rules, "evaluation_interval": "1m", "tests": [test]}))
    assert "SUCCESS" in promtool("test", "rules", str(file))


def test_a_range_costs_what_its_minutes_cost(tmp_path: Path) -> None:
    """A dollar, and a kilowatt-hour, a minute: half an hour is 30, whether or not an hour of the clock ends in it.

    28 minutes and three full hours are 208, 10 minutes more 218; the hour before a range is no part of it. Seven
    minutes after the first reading rates of five minutes, which begin with a fifth, have 0.2 + 0.4 + 0.6 + 0.8 + 3.
    """
    ranges = [(212, 242, 30), (241, 259, 18), (92, 300, 208), (92, 310, 218), (240, 270, 30), (0, 7, 5)]
    expected = [
        (query(panel, 0, began, ended) if panel.startswith("By") else _either(panel, began, ended), ended, cost)
        for panel in PANELS
        for began, ended, cost in ranges
    ]
    judge(tmp_path, BURNS, expected, interval="1m")


def _either(panel: str, began: int, ended: int) -> str:
    """A figure in whichever of its units shows it."""
    units = len([each for each in asked("spend") if each.panel == panel])
    return " or ".join(f"({query(panel, place, began, ended)})" for place in range(units))


def test_five_hours_emit_what_they_emit(tmp_path: Path) -> None:
    """A kilogram a minute is 300,000 g."""
    judge(tmp_path, BURNS, [(query("CO2e", 0, 0, 300), 300, 300_000.0)], interval="1m")


@pytest.mark.parametrize(
    ("days", "low"),
    [
        pytest.param(["60x7 _x16"] * 9, 12_040.0, id="a-pool-that-is-up-8-hours-a-day"),
        pytest.param(["60x7 _x16"] * 4 + ["15x7 _x16"] + ["60x7 _x16"] * 4, 3_760.0, id="a-day-of-120-among-them"),
    ],
)
def test_the_band_of_the_forecast_counts_hours_in_which_nothing_ran(
    tmp_path: Path, days: list[str], low: float
) -> None:
    """8 hours of 60 USD are 480 a day: on 9 January 23 days are left, 1000 + 23 x 480 = 12,040; 23 x 120 is 2,760."""
    series = {
        'cluster:costmeter_gpu_cost_usd:increase1h{cluster="paris",job="costmeter",state="busy"}': " ".join(days),
        "costmeter:month_budget_usd": "0x216",
        "costmeter:month_cost_usd": "1000x216",
        "costmeter:month_forecast_usd": "12040x216",
    }
    title, now = "Forecast to the end of the month", 8 * 24 * 60
    # Each of low, expected and high is asked for twice, below a dollar and from there on.
    found = [(query(title, place, 0, now), now, value) for place, value in ((1, low), (3, 12_040.0), (5, 12_040.0))]
    judge(tmp_path, series, found, interval="1h")
