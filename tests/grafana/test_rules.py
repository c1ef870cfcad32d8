"""Recording and alerting rules: promtool takes them, their unit tests pass, and every alert says what it must."""

import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from costmeter.meter.idling import REASONS
from costmeter.outputs.families import FAMILIES
from tests.grafana.promql import selectors

ROOT = Path(__file__).parents[2]
FILES = ROOT / "costmeter" / "outputs" / "export" / "files"
RULES = FILES / "prometheus" / "rules"
TESTS = RULES / "costmeter_test.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"
#: What every page of a runbook has, in this order.
SECTIONS = (
    "What it means in money",
    "First three things to type",
    "What it is not",
    "How to quiet it",
    "How its threshold is set",
)
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool not installed")


def rules() -> list[dict[str, Any]]:
    """Every rule of both files."""
    groups = [g for name in ("costmeter", "costmeter-alerts") for g in loaded(RULES / f"{name}.yml")["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


ALERTS = [rule for rule in rules() if "alert" in rule]
NAMES = sorted({rule["alert"] for rule in ALERTS})
RECORDED = {rule["record"] for rule in rules() if "record" in rule}


def exported() -> set[str]:
    """Every name on a page, in dollars, and what Prometheus adds of its own."""
    names = {"up", "ALERTS", "ALERTS_FOR_STATE"}
    for family in FAMILIES.values():
        name = f"costmeter_{family.name.format(currency='usd')}" if family.ours else family.name
        names.add(name + {"counter": "_total", "info": "_info", "gauge": ""}[family.kind])
    return names


def promtool(*words: str) -> str:
    """What promtool says; a failure is the test's, in promtool's words."""
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_promtool_takes_the_rules() -> None:
    """`promtool check rules` has no fault to find, duplicates included."""
    said = promtool("check", "rules", *map(str, sorted(set(RULES.glob("*.yml")) - {TESTS})))
    assert said.count("SUCCESS") == 2


@needs_promtool
@pytest.mark.timeout(300)
def test_the_unit_tests_pass(tmp_path: Path) -> None:
    """`promtool test rules`: every alert with the labels of production, firing and not.

    Half of the tests each go to two of them at a time: promtool has one core.
    """
    for name in ("costmeter.yml", "costmeter-alerts.yml"):
        shutil.copy(RULES / name, tmp_path)
    whole = loaded(TESTS)
    files = [tmp_path / f"{first}.yml" for first in range(2)]
    for first, file in enumerate(files):
        file.write_text(json.dumps({**whole, "tests": whole["tests"][first::2]}))  # JSON is YAML
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda file: promtool("test", "rules", str(file)), files))
    assert [1, 1] == [each.count("SUCCESS") for each in said]
    assert len(whole["tests"]) > len(NAMES), "each alert has tests of its own"


def test_every_alert_is_tested_to_fire_and_to_keep_still() -> None:
    """No alert without both, and every annotation of those that fire is rendered, with no error of a template."""
    of = [case for test in loaded(TESTS)["tests"] for case in test.get("alert_rule_test", [])]
    fire = {case["alertname"] for case in of if case["exp_alerts"]}
    quiet = {case["alertname"] for case in of if not case["exp_alerts"]}
    assert sorted(fire) == [name for name in NAMES if name != "MonthOverBudgetForecast"], "the month: below"
    assert sorted(quiet) == NAMES
    texts = [text for case in of for each in case["exp_alerts"] for text in each["exp_annotations"].values()]
    assert not [text for text in texts if "{{" in text or "error" in text or "%!" in text]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("record") or rule["alert"])
def test_every_metric_exists(rule: dict[str, Any]) -> None:
    """A rule reads what the exporter has, or what another rule records; also in the queries of its annotations."""
    asked = [rule["expr"], *queries(rule)]
    names = {each.metric for expression in asked for each in selectors(expression)}
    assert names <= exported() | RECORDED
    reasons = re.findall(r'reason="([a-z-]+)"', rule["expr"])
    assert set(reasons) <= {*REASONS, "hidden"}


def queries(rule: dict[str, Any]) -> list[str]:
    """The queries of its annotations, every place in them filled with a word."""
    texts = " ".join(rule.get("annotations", {}).values())
    return [
        found.replace("%q", '"x"')
        for found in re.findall(r"printf `([^`]+)`", texts) + re.findall(r'query "([^"]+)"', texts)
    ]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_an_alert_says_what_it_must(rule: dict[str, Any]) -> None:
    """Whom it is for and how bad it is, dollars, one command at its end, a runbook that exists, and a board."""
    labels, said = rule["labels"], rule["annotations"]
    assert labels["severity"] in {"info", "warning", "critical"}
    assert labels["owner"] in {"platform", "finops", '{{ or $labels.user "unknown" }}'}
    of_user = labels["owner"].startswith("{{")
    kind = '{{ if eq (or $labels.user "unknown") "unknown" }}team{{ else }}user{{ end }}'
    assert labels["owner_kind"] == (kind if of_user else "team")
    rendered = re.sub(r"\{\{.*?\}\}", "X", said["description"])
    assert re.search(r"[:,] costmeter (idle|report|doctor|top|prices|config)( [^ ]+)*$", rendered)
    assert said["runbook_url"].endswith(f"/docs/runbooks/{rule['alert']}.md")
    assert re.match(r"http://localhost:3000/d/costmeter-(run|fleet|spend)(\?|$)", said["dashboard_url"])
    if labels["owner"] != "platform":
        assert "USD" in said["summary"] or "days old" in said["summary"]


def test_rules_of_one_alert_differ_in_severity_alone() -> None:
    """Its warning and its critical say the same, where both are of the same thing."""
    for name in ("IdleGpuSpend", "TrainingStalled", "RunOverBudget", "MonthOverBudgetForecast"):
        of = [rule for rule in ALERTS if rule["alert"] == name and rule["labels"]["severity"] != "info"]
        first, second = (rule["annotations"] for rule in of)
        assert first == second


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_a_runbook(name: str) -> None:
    """With its name, its sections, three commands, and how to quiet it."""
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    assert tuple(re.findall(r"^## (.*)$", text, re.MULTILINE)) == SECTIONS
    typed = text.split(SECTIONS[1])[1].split(SECTIONS[2])[0]
    assert typed.count("```sh") == 3
    assert f"amtool silence add alertname={name} " in text
    assert f"| [{name}](runbooks/{name}.md) |" in (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")


def test_every_runbook_has_an_alert() -> None:
    """No page is left of an alert that is gone."""
    assert sorted(page.stem for page in RUNBOOKS.glob("*.md")) == NAMES


def test_thresholds_stand_in_one_place() -> None:
    """No alert in money compares with a number of its own, and every threshold is asked for somewhere."""
    constants = {rule["record"] for rule in rules() if re.fullmatch(r"vector\([\d.]+\)", str(rule["expr"]).strip())}
    asked = " ".join(str(rule["expr"]) for rule in rules())
    assert len(constants) == 10
    assert not [name for name in constants if name not in asked]
    dollars = [rule for rule in ALERTS if "_usd" in rule["expr"]]
    compared = [re.findall(r"[<>]=?\s*(\d[\d.]*)", rule["expr"]) for rule in dollars]
    assert {number for numbers in compared for number in numbers} <= {"0", "2", "10", "23", "3600"}


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool not installed")
def test_amtool_takes_the_alertmanager() -> None:
    """`amtool check-config` has no fault to find."""
    path = FILES / "alertmanager" / "alertmanager.yml"
    done = subprocess.run(
        ["amtool", "check-config", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


#: Tests of days, of which only the rules of idle money are evaluated.
OF_IDLENESS = """
rule_files: [costmeter.yml, costmeter-alerts.yml]
evaluation_interval: 5m
group_eval_order: [costmeter-thresholds, costmeter-nodes, costmeter-holders, costmeter-runs, costmeter-hours,
  costmeter-idle]
"""
WEEK = """tests:
  - name: one GPU of 1.69 USD/h idles for a week, and then works
    interval: 2m
    input_series:
      - {series: 'costmeter_gpu_time_seconds_total{cluster="paris",gpu_uuid="GPU-a",instance="a:1",job="c",
         state="idle"}', values: '0+120x5040 604800x800'}
      - {series: 'costmeter_gpu_idle_cost_usd_total{cluster="paris",gpu_uuid="GPU-a",instance="a:1",job="c",
         reason="waiting-for-data"}', values: '0+0.0563333333x5040 283.92x800'}
      - {series: 'costmeter_gpu_holder_share_ratio{cluster="paris",gpu_uuid="GPU-a",instance="a:1",job="c",run_id="",
         user="lee"}', values: '1x5840'}
    alert_rule_test:
      - {eval_time: 60h, alertname: IdleGpuSpend, exp_alerts: []}
      - eval_time: 121h
        alertname: IdleGpuSpend
        exp_alerts:
          - exp_labels: {cluster: paris, job: c, owner: lee, owner_kind: user, severity: info, user: lee}
            exp_annotations:
              summary: Idle GPUs of lee came to 203.36 USD in the last 7 days (waiting-for-data)
              description: "Now it is 1.69 USD/h. Most of it on a:1 (1.69 USD/h). Which GPUs, why, and what to do:
                costmeter idle --from http://a:1"
              runbook_url: https://github.com/costmeter/costmeter/blob/main/docs/runbooks/IdleGpuSpend.md
              dashboard_url: http://localhost:3000/d/costmeter-fleet
      - {eval_time: 171h, alertname: IdleGpuSpend, exp_alerts: []}
"""


@needs_promtool
def test_a_week_of_little_is_told(tmp_path: Path) -> None:
    """40.56 dollars a day are below the 50 of a day; after the third day of seven they are above twice that.

    After five days it is 5 x 24 x 1.69 = 202.80 dollars, and Prometheus counts the first five minutes of a day to the
    day before as well, all days but the first: 203.36. Once the GPU works, nothing is to be told. Only the rules of
    idle money are evaluated, because a week has many evaluations.
    """
    write_rules_of_idleness(tmp_path)
    (tmp_path / "test.yml").write_text(OF_IDLENESS + WEEK)
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "test.yml"))


#: Four hours at 30 dollars an hour, then a minute's worth of it every three hours: 120 dollars, and 4 a day.
MORNING = """tests:
  - name: one bad morning, and half a dollar now and then
    interval: 2m
    input_series:
      - {series: 'costmeter_gpu_idle_cost_usd_total{cluster="paris",gpu_uuid="GPU-a",instance="a:1",job="c",
         reason="no-process"}', values: '0x30 1+1x119 MINUTES'}
      - {series: 'costmeter_gpu_holder_share_ratio{cluster="paris",gpu_uuid="GPU-a",instance="a:1",job="c",run_id="",
         user="lee"}', values: '1x2400'}
    promql_expr_test:
      - {expr: 'count(count_over_time(ALERTS{alertname="IdleGpuSpend",alertstate="firing",severity="info"}[4h]))',
         eval_time: 5h, exp_samples: [{labels: '{}', value: 1}]}
      - {expr: 'count(user:costmeter_gpu_idle_cost_usd_avoidable:increase7d > 120)', eval_time: 71h,
         exp_samples: [{labels: '{}', value: 1}]}
      - {expr: 'count(count_over_time(ALERTS{alertname="IdleGpuSpend",alertstate="firing"}[60h]))', eval_time: 71h,
         exp_samples: []}
"""


@needs_promtool
def test_one_bad_morning_is_not_told_all_week(tmp_path: Path) -> None:
    """It is told that day; a minute of idleness afterwards is not, although seven days are above 100 dollars."""
    write_rules_of_idleness(tmp_path)
    minutes = " ".join(f"{120 + each / 2}x88 {120.5 + each / 2}" for each in range(24))
    (tmp_path / "test.yml").write_text(OF_IDLENESS + MORNING.replace("MINUTES", minutes))
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "test.yml"))


def write_rules_of_idleness(folder: Path) -> None:
    """The exported files with no rules but those of idle money, every 5 minutes."""
    for file in ("costmeter.yml", "costmeter-alerts.yml"):
        groups = loaded(RULES / file)["groups"]
        for group in groups:
            group["interval"] = "5m"
            group["rules"] = [
                rule
                for rule in group["rules"]
                if "idle" in rule.get("record", rule.get("alert")).lower()
                or rule.get("record", "").startswith("holder:")
            ]
        (folder / file).write_text(yaml.safe_dump({"groups": groups}))


MONTH = """
rule_files: [costmeter.yml, costmeter-alerts.yml]
evaluation_interval: 30m
group_eval_order: [costmeter-thresholds, costmeter-nodes, costmeter-hours, costmeter-budgets]
tests:
  - name: 10 USD/h through January and into February, against 7000 a month
    interval: 2m
    input_series:
      - {series: 'costmeter_gpu_cost_usd_total{cluster="paris",gpu_uuid="GPU-a",instance="a:1",job="c",state="busy"}',
         values: '0+0.333333333333x23750'}
      - {series: 'costmeter_gpu_time_seconds_total{cluster="paris",gpu_uuid="GPU-a",instance="a:1",job="c",
         state="unheld"}', values: '0x23750'}
    promql_expr_test:
      - {expr: 'round(costmeter:month_cost_usd)', eval_time: 10d, exp_samples: [{labels: '{}', value: 2400}]}
      - {expr: 'round(costmeter:month_forecast_usd, 10)', eval_time: 10d, exp_samples: [{labels: '{}', value: 7440}]}
      - {expr: 'round(costmeter:month_cost_usd)', eval_time: 32d, exp_samples: [{labels: '{}', value: 240}]}
      - {expr: 'round(costmeter:month_forecast_usd, 10)', eval_time: 32d, exp_samples: [{labels: '{}', value: 6720}]}
      - {expr: 'ALERTS{alertname="MonthOverBudgetForecast",alertstate="firing",severity="warning"}', eval_time: 10d,
         exp_samples: [{labels: 'ALERTS{alertname="MonthOverBudgetForecast",alertstate="firing",owner="finops",
         owner_kind="team",severity="warning"}', value: 1}]}
      - {expr: 'ALERTS{alertname="MonthOverBudgetForecast",severity="critical"}', eval_time: 10d, exp_samples: []}
      - {expr: 'ALERTS{alertname="MonthOverBudgetForecast",alertstate="firing",severity="critical"}', eval_time: 30d,
         exp_samples: [{labels: 'ALERTS{alertname="MonthOverBudgetForecast",alertstate="firing",owner="finops",
         owner_kind="team",severity="critical"}', value: 1}]}
      - {expr: 'ALERTS{alertname="MonthOverBudgetForecast"}', eval_time: 32d, exp_samples: []}
    alert_rule_test:
      - eval_time: 10d
        alertname: MonthOverBudgetForecast
        exp_alerts:
          - exp_labels: {owner: finops, owner_kind: team, severity: warning}
            exp_annotations:
              dashboard_url: http://localhost:3000/d/costmeter-spend
              description: >-
                So far 2400.00 USD, now at 10.00 USD/h. Whose runs spend it: costmeter report
                --from prometheus=http://localhost:9090 --by project --since 1970-01-01T00:00Z
              runbook_url: https://github.com/costmeter/costmeter/blob/main/docs/runbooks/MonthOverBudgetForecast.md
              summary: This month comes to 7440.00 USD, over its budget of 7000.00 USD
"""

#: A GPU of 60 USD/h that is there from 0 to 8 o'clock of each day.
PART_OF_A_DAY = """
rule_files: [costmeter.yml]
evaluation_interval: 5m
group_eval_order: [costmeter-thresholds, costmeter-nodes, costmeter-hours]
tests:
  - interval: 1m
    input_series:
      - {series: 'costmeter_gpu_cost_usd_total{gpu_uuid="GPU-a",instance="a:1",job="c",state="busy"}',
         values: '0+1x480 stale _x958 480+1x480 stale _x958 960+1x480 stale _x958 1440+1x480 stale'}
    promql_expr_test:
      - {expr: 'round(costmeter:month_forecast_usd / 15040, 0.02)', eval_time: 52h,
         exp_samples: [{labels: '{}', value: 1}]}
      - {expr: 'round(costmeter:month_forecast_usd / 14960, 0.02)', eval_time: 68h,
         exp_samples: [{labels: '{}', value: 1}]}
"""


@needs_promtool
@pytest.mark.timeout(300)
def test_a_month_is_summed_forecast_and_begun_anew(tmp_path: Path) -> None:
    """At 10 dollars an hour: 2,400 after ten days of 31 and 7,440 at the end; in February 240 after a day, 6,720 of 28.

    The hour that ended with January counts for January. Only the rules of the month are evaluated,
    because a month has many evaluations.
    """
    write_rules_of_the_month(tmp_path)
    (tmp_path / "test.yml").write_text(MONTH)
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "test.yml"))


@needs_promtool
@pytest.mark.timeout(300)
def test_a_pool_that_is_there_for_a_third_of_the_day_is_forecast_at_a_third(tmp_path: Path) -> None:
    """480 dollars a day, in 8 hours, whether the pool is up or not when somebody looks; to a hundredth.

    On the third day at 4 o'clock 1,200 are spent, and the last 24 hours had 8 of the pool: 1,200 + 28 5/6 days of 480
    are 15,040. At 20 o'clock, when nothing is there, 1,440 are spent, and 1,440 + 28 1/6 days of 480 are 14,960.
    """
    write_rules_of_the_month(tmp_path)
    (tmp_path / "test.yml").write_text(PART_OF_A_DAY)
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "test.yml"))


def write_rules_of_the_month(folder: Path) -> None:
    """The exported files with no rules but those that the month needs, against 7,000 dollars."""
    asked = {"costmeter:month_budget_usd", "MonthOverBudgetForecast"}
    asked |= {
        f"{each}:costmeter_gpu_cost_usd:{of}" for each in ("instance", "cluster") for of in ("increase1h", "rate5m")
    }
    asked |= {name for name in RECORDED if name.startswith("costmeter:month")} | {"costmeter:hour"}
    for file in ("costmeter.yml", "costmeter-alerts.yml"):
        groups = loaded(RULES / file)["groups"]
        for group in groups:
            group["interval"] = "5m"
            group["rules"] = [rule for rule in group["rules"] if rule.get("record", rule.get("alert")) in asked]
            for rule in group["rules"]:
                if rule.get("record") == "costmeter:month_budget_usd":
                    rule["expr"] = "vector(7000)"
        (folder / file).write_text(yaml.safe_dump({"groups": groups}))
