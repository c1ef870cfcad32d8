"""What the board of spend says a range and a month cost, by hand: real rules and queries, and promtool's clock.

promtool's time begins on 1 January 1970 at 00:00 UTC.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.grafana.boards import OPEN, asked, load, panels
from tests.grafana.test_rules import RULES, loaded, promtool

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


def query(panel: str, place: int, began_minutes: int, ended_minutes: int, **put_in: str) -> str:
    """A query of the board, over a range."""
    text = [each.expression for each in asked("spend") if each.panel == panel][place]
    of_range = {
        "${__from:date:seconds}": f"{60 * began_minutes}",
        "${__to:date:seconds}": f"{60 * ended_minutes}",
        "$__range": f"{ended_minutes - began_minutes}m",
    }
    for name, value in {**OPEN, **{f"${name}": value for name, value in put_in.items()}, **of_range}.items():
        text = text.replace(name, value)
    return text


def judged(folder: Path, series: dict[str, str], expected: Sequence[tuple[str, int, float]], **more: object) -> str:
    """What promtool says where it asks each query at a minute, and compares to the cent: SUCCESS, or a failure."""
    assert expected
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
    return promtool("test", "rules", str(file))


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
    assert "SUCCESS" in judged(tmp_path, BURNS, expected, interval="1m")


def _either(panel: str, began: int, ended: int) -> str:
    """A figure in whichever of its units shows it."""
    units = len([each for each in asked("spend") if each.panel == panel])
    return " or ".join(f"({query(panel, place, began, ended)})" for place in range(units))


def test_five_hours_emit_what_they_emit(tmp_path: Path) -> None:
    """A kilogram a minute is 300,000 g."""
    assert "SUCCESS" in judged(tmp_path, BURNS, [(query("CO2e", 0, 0, 300), 300, 300_000.0)], interval="1m")


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
    assert "SUCCESS" in judged(tmp_path, series, found, interval="1h")


@pytest.mark.parametrize("interval", ["1h", "3h"])
@pytest.mark.parametrize("minute", [200, 238], ids=["within-an-hour", "just-before-a-full-hour"])
def test_money_of_a_failed_run_counts_once_whatever_grafanas_interval_is(
    tmp_path: Path, interval: str, minute: int
) -> None:
    """50 dollars in the hour before the last full one, and 90 ten minutes after it, are 140."""
    failed = 'costmeter_runs_sunk_cost_usd_total{instance="a:1",job="c",outcome="failed"}'
    values = f"0x{minute - 1} 50x{249 - minute} 140x60"
    asked_for = query("Sunk cost by outcome", 0, 30, 270, __rate_interval=interval)
    assert "SUCCESS" in judged(tmp_path, {failed: values}, [(asked_for, 270, 140.0)], interval="1m")


#: 36 USD an hour, of which a Prometheus that was away from 9:45 to 10:10 has what it recorded before and after.
HOURS = {
    'cluster:costmeter_gpu_cost_usd:increase1h{cluster="paris",job="costmeter",state="busy"}': "36x117 _x4 36x194 _x60"
}


def test_prometheus_that_was_away_at_a_full_hour_loses_none(tmp_path: Path) -> None:
    """26 hours of 36 are 936, as are those of which a range ends five hours ahead: what has not come costs nothing."""
    found = [(_either("Spent in the range", 0, ended), ended, 936.0) for ended in (26 * 60, 31 * 60)]
    assert "SUCCESS" in judged(tmp_path, HOURS, found, interval="5m")


def test_the_month_loses_no_hour_at_whose_end_prometheus_was_away(tmp_path: Path) -> None:
    """26 hours of 36 are 936 to the rules, too."""
    wanted = {"costmeter:month", "costmeter:hour", "costmeter:month_cost_usd"}
    whole = loaded(RULES / "costmeter.yml")
    for group in whole["groups"]:
        group["rules"] = [rule for rule in group["rules"] if rule.get("record") in wanted]
    (tmp_path / "month.yml").write_text(json.dumps(whole))
    test = {
        "interval": "5m",
        "input_series": [{"series": name, "values": values} for name, values in HOURS.items()],
        "promql_expr_test": [
            {"expr": "costmeter:month_cost_usd", "eval_time": "26h",
             "exp_samples": [{"labels": "costmeter:month_cost_usd", "value": 936}]}
        ],
    }  # fmt: skip
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"rule_files": ["month.yml"], "evaluation_interval": "5m", "tests": [test]}))
    assert "SUCCESS" in promtool("test", "rules", str(file))


def test_figures_of_the_month_are_of_now_where_the_range_ends_later() -> None:
    """Grafana's "This month" ends with the month: a panel's own time, which ends now, stands in for relative ranges."""
    shown = [panel for panel in panels(load("spend")) if "costmeter:month_" in panel["targets"][0]["expr"]]
    assert [("1h", True)] * 3 == [(panel.get("timeFrom"), panel.get("hideTimeOverride")) for panel in shown]


def _host(cluster: str, job: str, host: str, run: str, costs: str) -> dict[str, str]:
    """What a node tells of a run for as long as it has a cost."""
    labels = f'cluster="{cluster}",host="{host}",instance="{host}:1",job="{job}",meter="agent",run_id="{run}"'
    ones, begun = (" ".join(_constant(part, value) for part in costs.split()) for value in ("1", "60"))
    return {
        f'costmeter_run_cost_usd_total{{{labels},component="rental",state="busy"}}': costs,
        f'costmeter_run_info{{{labels},name="n",project="llm",user="lee"}}': ones,
        f"costmeter_run_start_timestamp_seconds{{{labels}}}": begun,
        f"costmeter_run_active{{{labels}}}": ones,
    }


def _constant(part: str, value: str) -> str:
    return part if part.startswith(("_", "stale")) else f"{value}x{part.rpartition('x')[2]}"


def test_a_run_of_the_list_costs_what_all_its_hosts_cost(tmp_path: Path) -> None:
    """80 on one node and then 90 on another are 170, 70 and 60 under two jobs 130; the same id elsewhere is another."""
    series = {
        **_host("paris", "c", "g1", "moved", "0+2x40 stale"),
        **_host("paris", "c", "g2", "moved", "_x60 0+1x90 90x60"),
        **_host("paris", "nodes-a", "g3", "jobs", "0+1x70 70x130"),
        **_host("paris", "nodes-b", "g4", "jobs", "0+1x60 60x140"),
        **_host("paris", "c", "g5", "train", "0+5x100 500x100"),
        **_host("oslo", "c", "g6", "train", "0+3x100 300x100"),
    }
    names, costs = (query("Runs of this range", place, 0, 200) for place in (0, 1))
    expected = [(names, 200, 4.0)] + [
        (f'({costs}) and on (row) label_replace(vector(1), "row", "{row}", "", "")', 200, cost)
        for row, cost in (
            ("paris/moved", 170.0), ("paris/jobs", 130.0), ("paris/train", 500.0), ("oslo/train", 300.0),
        )
    ]  # fmt: skip
    assert "SUCCESS" in judged(tmp_path, series, expected, interval="1m")
