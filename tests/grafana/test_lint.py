"""The rules of Grafana's dashboard linter that concern Prometheus, one test each; exceptions have their reasons."""

from datetime import timedelta
from typing import Any

import pytest

from tests.grafana.boards import NAMES, Asked, asked, load, panels
from tests.grafana.promql import Selector, selectors

#: Names that are put in for variables, so that a matcher still shows which variable it was; and times that parse.
STAND_INS = {
    "$__rate_interval": "11m",
    "$__interval_ms": "5000",
    "$__interval": "13s",
    "$__range": "17m",
    "$purchase": "30000",
    "${__from:date:seconds}": "1700000000",
    "${__to:date:seconds}": "1700090000",
}
RATE_INTERVAL = timedelta(minutes=11)
PANELS = [pytest.param(panel, id=f"{name}-{panel['id']}") for name in NAMES for panel in panels(load(name))]
QUERIES = [pytest.param(query, id=query.name) for name in NAMES for query in asked(name)]
#: Units that the linter knows, of those that the boards use.
KNOWN_UNITS = {
    "none", "string", "locale", "percentunit", "currencyUSD", "massg", "masst", "kwatth", "watt", "s", "bytes",
    "dateTimeAsIso",
}  # fmt: skip
#: Recorded for all: they have no labels.
CONSTANTS = "costmeter:"
#: It says the rules' own figures, which are of all clusters and jobs.
OF_EVERYTHING = ("spend", "Forecast to the end of the month")
#: Recorded above the nodes: they have no instance.
ABOVE_NODES = ("cluster:", "run:", "user:", "project:")
#: Recorded of the hosts of a run, whichever jobs scrape them: the run is joined to those of the chosen jobs.
OF_ANY_JOB = "run_hosts:"


def variable(board: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in board["templating"]["list"] if each["name"] == name)
    return found


def parsed(expression: str) -> list[Selector]:
    for name, value in STAND_INS.items():
        expression = expression.replace(name, value)
    return selectors(expression)


@pytest.mark.parametrize("name", NAMES)
def test_template_datasource_rule(name: str) -> None:
    """The data source is a variable, called as everybody's is."""
    source = variable(load(name), "datasource")
    assert ("datasource", "prometheus", "Data source") == (source["type"], source["query"], source["label"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("label", "title"), [("job", "Job"), ("instance", "Instance")])
def test_template_job_and_instance_rules(name: str, label: str, title: str) -> None:
    """Both are variables of several values, whose "all" matches whatever is there."""
    made = variable(load(name), label)
    assert ("query", title, True, ".+") == (made["type"], made["label"], made["multi"], made["allValue"])
    assert "${datasource}" == made["datasource"]["uid"]


@pytest.mark.parametrize("name", NAMES)
def test_template_label_promql_rule(name: str) -> None:
    """The selector in each variable's query parses."""
    for made in (each for each in load(name)["templating"]["list"] if each["type"] == "query"):
        inner = made["query"]["query"].partition("(")[2][:-1]
        assert parsed(inner if made["query"]["qryType"] == 3 else inner.rpartition(",")[0]), made["name"]


@pytest.mark.parametrize("name", NAMES)
def test_template_on_time_change_reload_rule(name: str) -> None:
    """Values are read anew when the range changes."""
    queried = [each for each in load(name)["templating"]["list"] if each["type"] == "query"]
    assert {2} == {each["refresh"] for each in queried}


@pytest.mark.parametrize("panel", PANELS)
def test_panel_datasource_rule(panel: dict[str, Any]) -> None:
    """A panel and each of its queries ask the chosen data source."""
    assert {"${datasource}"} == {each["datasource"]["uid"] for each in (panel, *panel["targets"])}


@pytest.mark.parametrize("panel", PANELS)
def test_panel_title_description_rule(panel: dict[str, Any]) -> None:
    """Both are there; ours also say what it means that there is nothing."""
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["noValue"] not in ("", "no data")


@pytest.mark.parametrize("panel", PANELS)
def test_panel_units_rule(panel: dict[str, Any]) -> None:
    """What shows numbers has a unit."""
    if panel["type"] in ("stat", "table", "timeseries", "gauge"):
        assert panel["fieldConfig"]["defaults"]["unit"] in KNOWN_UNITS


@pytest.mark.parametrize("panel", PANELS)
def test_panel_no_targets_rule(panel: dict[str, Any]) -> None:
    """Each panel asks something, and calls its queries by different letters."""
    letters = [target["refId"] for target in panel["targets"]]
    assert letters
    assert len(letters) == len(set(letters))


@pytest.mark.parametrize("query", QUERIES)
def test_target_promql_rule(query: Asked) -> None:
    """Each query parses, and reads something."""
    assert parsed(query.expression)


@pytest.mark.parametrize("query", QUERIES)
def test_target_rate_interval_rule(query: Asked) -> None:
    """Rates are over the interval that Grafana takes for long enough."""
    for each in parsed(query.expression):
        if each.call in ("rate", "irate"):
            assert RATE_INTERVAL == each.range, each


@pytest.mark.parametrize("query", QUERIES)
def test_target_job_rule(query: Asked) -> None:
    """Each series is of the chosen jobs; alerts also of none, as those of a month are."""
    for each in parsed(query.expression):
        if each.metric.startswith(OF_ANY_JOB):
            assert "and on (cluster, run_id) max_over_time(run:costmeter_info{" in query.expression
        elif not each.metric.startswith(CONSTANTS) and (query.board, query.panel) != OF_EVERYTHING:
            assert ("=~|$job" if each.metric.startswith("ALERTS") else "=~$job") == each.matchers.get("job"), each


@pytest.mark.parametrize("query", QUERIES)
def test_target_instance_rule(query: Asked) -> None:
    """Each series is of the chosen nodes, where it is of a node at all."""
    for each in parsed(query.expression):
        if each.metric.startswith("ALERTS"):
            assert each.matchers["instance"] == "=~|$instance"
        elif not each.metric.startswith((CONSTANTS, OF_ANY_JOB, *ABOVE_NODES)):
            assert "=~$instance" in (each.matchers.get("instance"), _second(query.expression, each)), each


def _second(expression: str, each: Selector) -> str:
    """A selector of one node in detail has two matchers of the instance, of which a mapping keeps the last."""
    both = 'instance="$node"' in expression and each.matchers.get("instance") in ("=$node", "=~$instance")
    return "=~$instance" if both else ""


@pytest.mark.parametrize("query", QUERIES)
def test_target_counter_agg_rule(query: Asked) -> None:
    """Counters are shown as growth; only a run's own are shown as they are, because that is exactly what it came to."""
    for each in parsed(query.expression):
        if each.metric.endswith("_total") and each.matchers.get("run_id") != "=$run":
            assert each.call in ("rate", "irate", "increase"), each


@pytest.mark.parametrize("name", NAMES)
def test_uneditable_dashboard_rule(name: str) -> None:
    """What is provisioned is edited in code."""
    assert load(name)["editable"] is False
