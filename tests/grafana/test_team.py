"""The alerts that the scenario `team` is made for fire, each for the user whom it is about, and none about who trains.

The agent's recorder runs on a manual clock; promtool evaluates the exported rules over a scrape a minute, unscaled.
"""

import json
import shutil
from pathlib import Path

import pytest

from tests.grafana.scrapes import stored, written
from tests.grafana.test_rules import RULES, promtool
from tests.runtime.metered import SECOND
from tests.runtime.teamnode import team_node

MINUTES = 90
TICK = 5 * SECOND


def _fires(name: str, owner: str) -> str:
    return f'count(count_over_time(ALERTS{{alertname="{name}",alertstate="firing",owner="{owner}"}}[90m]))'


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool not installed")
@pytest.mark.timeout(300)
def test_the_team_is_told_of_its_idle_gpus(tmp_path: Path) -> None:
    """Within 25 minutes of two GPUs that hang, at 6.78 USD/h over 5; within 90 of the notebook, at 3.39 over 0.50.

    The loader's one GPU is below its owner's 5 USD/h, and the run that trains is nobody's idle spend.
    """
    expected = [
        (_fires("IdleGpuSpend", "noor"), 25, 1),
        (_fires("NotebookHoldingGpu", "lee"), 90, 1),
        ('count(ALERTS{alertstate="firing",owner=~"maya|ada"}) or vector(0)', 90, 0),
    ]
    tests = [
        {"expr": expr, "eval_time": f"{at}m", "exp_samples": [{"labels": "{}", "value": value}]}
        for expr, at, value in expected
    ]
    with team_node() as agent:
        found = stored(agent, MINUTES, TICK)
    series = [{"series": name, "values": written(values)} for name, values in found.items()]
    for name in ("costmeter.yml", "costmeter-alerts.yml"):
        shutil.copy(RULES / name, tmp_path)
    file = tmp_path / "test.yml"
    test = {"interval": "1m", "input_series": series, "promql_expr_test": tests}
    rules = ["costmeter.yml", "costmeter-alerts.yml"]
    file.write_text(json.dumps({"rule_files": rules, "evaluation_interval": "1m", "tests": [test]}))
    assert "SUCCESS" in promtool("test", "rules", str(file))
