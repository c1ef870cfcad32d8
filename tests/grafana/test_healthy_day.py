"""A day of a healthy node, as its pages tell it minute by minute, keeps every alert still.

The agent's recorder runs on a manual clock over the simulated driver; promtool evaluates the exported rules over what
a scrape of every minute would have stored. Nothing of it is scaled.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.grafana.scrapes import Stored, stored, written
from tests.grafana.test_rules import RULES
from tests.runtime.heldnode import MAYA_1, held_node
from tests.runtime.metered import SECOND

HEALTHY = Path(__file__).parents[2] / "costmeter" / "sources" / "simulated" / "scenarios" / "healthy.yaml"
MINUTES = 24 * 60
TICK = 10 * SECOND
#: At the end of the day nothing has fired in any minute of it, and idle money was there to be seen.
TESTS = """
rule_files: [costmeter.yml, costmeter-alerts.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    promql_expr_test:
      - {expr: 'count_over_time(ALERTS{alertstate="firing"}[1d])', eval_time: 1440m, exp_samples: []}
      - {expr: 'sum(max_over_time(user:costmeter_gpu_idle_cost_usd:rate5m[1d])) > bool 0', eval_time: 1440m,
         exp_samples: [{labels: '{}', value: 1}]}
    input_series:
"""


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool not installed")
@pytest.mark.timeout(400)
def test_a_healthy_day_fires_nothing(tmp_path: Path) -> None:
    """Eight GPUs train, evaluate and save for a day: no alert fires, though some of their money is idle."""
    lines = [f"      - {{series: '{series}', values: '{written(values)}'}}" for series, values in _day().items()]
    for name in ("costmeter.yml", "costmeter-alerts.yml"):
        shutil.copy(RULES / name, tmp_path)
    (tmp_path / "test.yml").write_text(TESTS + "\n".join(lines) + "\n")
    argv = ["promtool", "test", "rules", str(tmp_path / "test.yml")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=380)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def _day() -> Stored:
    """Every series of the node's pages, a value a minute; times are since the beginning of the day."""
    with held_node(HEALTHY.read_text(encoding="utf-8")) as agent:
        agent.begin()
        agent.hold(*[[MAYA_1]] * len(agent.devices))
        return stored(agent, MINUTES, TICK)
