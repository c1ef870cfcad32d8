"""The runs of a range as a table, each with all that it cost."""

from grafana.boards.frame import RUN_LINK
from grafana.boards.panels import Panel, Said
from grafana.boards.queries import SEEN, series
from grafana.boards.tables import Column, listing
from grafana.boards.units import COUNT_UNIT, ENERGY_UNIT, FULL_MONEY_UNIT, RATIO_UNIT

IDLE = 'state="idle"'
#: A run by its cluster and id in one label: tables are joined by one.
ROW = "row"


def panel(project: str) -> Panel:
    """Those of the projects that a matcher lets through."""
    said = Said(
        "Runs of this range",
        "Runs that were seen in the range, with all that they cost, also before it: the hundred that cost most. The"
        " cost adds up all hosts that the run was on, at once or one after another; GPU-hours, energy and CO2e add up"
        " those at once, and are of the largest sum where a run was moved to another node. An id is one run in each"
        " cluster. A click on a run opens its board. As CSV: menu of the panel, Inspect, Data.",
        "no run in this range",
    )
    info = f"max_over_time({series('run:costmeter_info', project)}[{SEEN}])"
    return listing(said, ROW, [*_names(info), *_amounts(info)], sort="Cost")


def _names(info: str) -> list[Column]:
    labels = ("run_id", "cluster", "name", "project", "team", "user", "experiment")
    run = Column(
        "Run",
        query=f"max by ({', '.join((ROW, *labels))}) ({_row(info)})",
        label="run_id",
        link=RUN_LINK,
        link_title="Open the board of this run",
    )
    return [run, *(Column(label.capitalize(), label=label) for label in labels[1:])]


def _amounts(info: str) -> list[Column]:
    hours = "run:costmeter_gpu_time_seconds:total"

    def seen(name: str, *matchers: str) -> str:
        of_project = f"max_over_time({series(name, *matchers)}[{SEEN}]) and on (cluster, job, run_id) {info}"
        return _of_rows(of_project)

    idle = f"{seen(hours, IDLE)} / ({seen(hours)} > 0)"
    mass = f"{seen('run:costmeter_emissions_grams:total')} / 1000"
    # What is left of a host on which the run is over is recorded for as long as the run goes on elsewhere.
    hosts = f"max_over_time({series('run_hosts:costmeter_cost_usd:total')}[{SEEN}]) and on (cluster, run_id) {info}"
    cost = f"topk(100, {_of_rows(hosts)})"
    return [
        Column("Cost", cost, unit=FULL_MONEY_UNIT, decimals=2, width=120),
        Column("GPU-hours", f"{seen(hours)} / 3600", unit=COUNT_UNIT, decimals=1, width=110),
        Column("Idle", idle, unit=RATIO_UNIT, decimals=1, width=90, steps=((None, "text"), (0.2, "orange"))),
        Column("Energy", seen("run:costmeter_energy_kwh:total"), unit=ENERGY_UNIT, width=110),
        Column("CO2e, kg", mass, unit=COUNT_UNIT, decimals=2, width=100),
    ]


def _of_rows(each: str) -> str:
    return f"max by ({ROW}) ({_row(f'sum by (cluster, run_id) ({each})')})"


def _row(of_runs: str) -> str:
    return f'label_join({of_runs}, "{ROW}", "/", "cluster", "run_id")'
