"""Every panel of every board shows data from a real Prometheus that reads a simulated node, and shows it right.

A run trains on two GPUs, announced to the agent and served by its wrapper as well; another holds a GPU and does
nothing; a third has failed. See stack.py.
"""

import math
import shutil
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.grafana.answers import Answers, key, shared_answers
from tests.grafana.boards import NAMES, asked, load, panels
from tests.grafana.grafana import frame, needs_grafana, tables
from tests.grafana.stack import FAILED, TRAINS, WAITS

pytestmark = [
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus not installed"),
    pytest.mark.timeout(300),  # whoever comes first starts the stack and lets it be read for a minute and a quarter
]
EACH = [(name, panel) for name in NAMES for panel in panels(load(name))]
PANELS = [pytest.param(name, panel, id=f"{name}-{panel['id']}") for name, panel in EACH]
TABLES = [pytest.param(name, panel, id=f"{name}-{panel['id']}") for name, panel in EACH if panel["type"] == "table"]
#: What a run that told of nothing, and had no budget, is asked for in vain.
NOT_TOLD = {
    "Cost per hour now", "Projected total", "Budget left", "Cost by phase", "Idle cost per hour by reason",
    "Cost per thousand steps and per million tokens", "Loss against cost",
}  # fmt: skip

#: Labels that no run of the stack has, and alerts of nodes have no run.
NEVER_SAID = {"Experiment", "Scheduler's job", "Run"}


@pytest.fixture(name="stored", scope="session")
def _stored(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Any]:
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    folder = shared / "boards"
    folder.mkdir(exist_ok=True)
    return shared_answers(folder)


@pytest.fixture(name="answers")
def _answers(stored: dict[str, Any]) -> Answers:
    found: Answers = stored["answers"]
    return found


def answered(answers: Answers, name: str, title: str, run: str = TRAINS) -> dict[str, list[dict[str, Any]]]:
    """The answers to a panel's queries, by their letters."""
    return {query.letter: answers[key(query, run)] for query in asked(name) if query.panel == title}


def value(answers: Answers, name: str, title: str, run: str = TRAINS) -> float:
    """The one number that a stat shows: one of its queries has it, in its unit."""
    (series,) = [each for found in answered(answers, name, title, run).values() for each in found]
    return float(series["value"][1])


@pytest.mark.parametrize(("name", "panel"), PANELS)
def test_a_panel_shows_data(answers: Answers, name: str, panel: dict[str, Any]) -> None:
    """Each query has an answer, of numbers; of the sizes of a figure one has."""
    found = answered(answers, name, panel["title"])
    shown = [each for series in found.values() for each in series]
    assert shown
    if panel["type"] == "stat":
        assert 1 <= len(shown) <= 3, "one number, or a forecast and its band"
    else:
        assert [] == [letter for letter, series in found.items() if not series]
    for each in shown:
        last = each["value"] if "value" in each else each["values"][-1]
        assert math.isfinite(float(last[1]))


@pytest.mark.parametrize("name", NAMES)
def test_marks_are_there(answers: Answers, name: str) -> None:
    """Beginnings, checkpoints and alerts; the end is that of the run that has ended."""
    for query in (each for each in asked(name) if each.panel.startswith("mark ")):
        run = FAILED if query.panel == "mark Run ended" else TRAINS
        assert answers[key(query, run)], query.panel


@pytest.mark.parametrize(
    "panel", [each.values[1] for each in PANELS if each.values[0] == "run"], ids=lambda each: each["title"]
)
def test_a_run_that_has_ended_still_reads(answers: Answers, panel: dict[str, Any]) -> None:
    """What it did is on its board afterwards; what it never told is not."""
    found = [each for series in answered(answers, "run", panel["title"], FAILED).values() for each in series]
    assert bool(found) or panel["title"] in NOT_TOLD


def test_a_run_says_how_it_goes(answers: Answers) -> None:
    """-1 is running; the other ended with 3."""
    assert (-1, 3) == tuple(value(answers, "run", "How it goes", run) for run in (TRAINS, FAILED))


def totals(page: str, name: str, run: str) -> float:
    """A counter of a run on the agent's page, summed."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name and sample.labels.get("run_id") == run
    )


@pytest.mark.parametrize(
    ("title", "counter", "rise"),
    [
        pytest.param("Cost so far", "costmeter_run_cost_usd_total", 0.01, id="cost"),
        pytest.param("Energy", "costmeter_run_energy_kwh_total", 0.002, id="energy"),
        pytest.param("CO2e", "costmeter_run_emissions_grams_total", 1.5, id="CO2e"),
    ],
)
def test_a_run_that_two_meters_count_counts_once(
    stored: dict[str, Any], answers: Answers, title: str, counter: str, rise: float
) -> None:
    """The page and Prometheus's last reading are seconds apart, in which a run of two GPUs adds less than `rise`."""
    on_page = totals(stored["page"], counter, TRAINS)
    assert 0 < on_page - value(answers, "run", title) + rise < 2 * rise


def test_a_finished_runs_cost_is_its_counter_to_the_last_bit(stored: dict[str, Any], answers: Answers) -> None:
    """Nothing is added any more, and nothing is extrapolated."""
    assert totals(stored["page"], "costmeter_run_cost_usd_total", FAILED) == pytest.approx(
        value(answers, "run", "Cost so far", FAILED), rel=1e-12
    )


def test_gpus_and_money_of_the_fleet_are_counted_once(answers: Answers) -> None:
    """Five GPUs, two of which are on two pages; the node's cost is the sum over its states."""
    assert value(answers, "fleet", "GPUs") == 5
    by_state = answered(answers, "fleet", "Cost per hour by state")["A"]
    assert {"busy", "idle", "unheld", "unknown"} == {each["metric"]["state"] for each in by_state}
    whole = sum(float(each["values"][-1][1]) for each in by_state)
    assert value(answers, "fleet", "Burning now, per hour") == pytest.approx(whole)


def test_whoever_holds_an_idle_gpu_is_named_with_the_reason(answers: Answers) -> None:
    """The run that does nothing has the dearest idle GPU, and has just begun."""
    worst = max(answered(answers, "fleet", "Top 10 idle allocations")["A"], key=lambda each: float(each["value"][1]))
    assert (WAITS, "start-up", "2") == tuple(worst["metric"][name] for name in ("run_id", "reason", "index"))


def test_the_timeline_says_what_each_gpu_did(answers: Answers) -> None:
    """Training is busy, held for nothing is start-up at first, and two are nobody's."""
    series = answered(answers, "fleet", "GPUs of $node")["A"]
    last = {each["metric"]["index"]: float(each["values"][-1][1]) for each in series}
    assert {"0", "1", "2", "3", "4"} == set(last)
    assert (1, 2, 0, 0) == (last["0"], last["2"], last["3"], last["4"])


def test_the_straggler_is_behind(answers: Answers) -> None:
    """GPU 1 waits most of the time, GPU 0 works: it is behind the middle of the two, which GPU 0 is not."""
    columns = answered(answers, "run", "GPUs of this run")
    uuids = {each["metric"]["index"]: each["metric"]["gpu_uuid"] for each in columns["A"]}
    behind = {each["metric"]["gpu_uuid"]: float(each["value"][1]) for each in columns["E"]}
    assert behind[uuids["0"]] == 0
    assert behind[uuids["1"]] > 0.1


def test_the_forecast_lies_in_its_band(answers: Answers) -> None:
    """Low, expected, high: in this order, and none below what is spent."""
    found = answered(answers, "spend", "Forecast to the end of the month").values()
    low, expected, high = (float(each["value"][1]) for series in found for each in series)
    assert value(answers, "spend", "Spent this month") <= low <= expected <= high


def test_projects_and_users_are_charged(answers: Answers) -> None:
    """By the label of the runs and by who started them."""
    assert ["llm"] == [each["metric"]["project"] for each in answered(answers, "spend", "By project")["A"]]
    assert 1 == len(answered(answers, "spend", "By user")["A"])
    failed = next(
        each
        for each in answered(answers, "spend", "Sunk cost by outcome")["A"]
        if each["metric"]["outcome"] == "failed"
    )
    assert float(failed["value"][1]) > 0


@needs_grafana
@pytest.mark.parametrize(("name", "panel"), TABLES)
def test_a_table_has_its_columns_in_order_and_its_rows_whole(
    answers: Answers, name: str, panel: dict[str, Any]
) -> None:
    """Through Grafana's own transformations: headers as the board orders them, no other column, no empty one."""
    found = answered(answers, name, panel["title"])
    frames = [frame(letter, series, is_only=len(found) == 1) for letter, series in found.items()]
    (made,) = tables([{"transformations": panel["transformations"], "frames": frames}])
    order = panel["transformations"][-1]["options"]
    headers = [
        order["renameByName"][name] for name in sorted(order["indexByName"], key=order["indexByName"].__getitem__)
    ]
    assert [header for header in headers if header in made] == list(made)
    assert set(headers) - set(made) <= NEVER_SAID, "a label that nobody has makes no column"
    assert len({len(column) for column in made.values()}) == 1
    assert [] == [header for header, column in made.items() if all(each in (None, "") for each in column)]
