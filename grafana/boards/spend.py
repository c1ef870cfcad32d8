"""The board of spend, for who pays: the month and its forecast, whose it is, what was lost, and how old prices are."""

from grafana_foundation_sdk.builders import dashboard as boards

from grafana.boards import month, runlist
from grafana.boards.frame import (
    Placed,
    Row,
    alerts,
    board,
    choice,
    data_source,
    node_variables,
    place,
    typed,
)
from grafana.boards.panels import Panel, Query, Said, bars, figure, lines
from grafana.boards.queries import OF_CLUSTERS, added, metric, over_range, per_hour, series
from grafana.boards.tables import Column, listing
from grafana.boards.units import (
    AGE,
    COUNT_UNIT,
    DATE,
    ENERGY,
    ENERGY_UNIT,
    FULL_MONEY_UNIT,
    MASS,
    MONEY,
    MONEY_UNIT,
)

HOUR = "cluster:costmeter_gpu_cost_usd:increase1h"
NOW = "cluster:costmeter_gpu_cost_usd:rate5m"
ENERGY_HOUR = "cluster:costmeter_gpu_energy_kwh:increase1h"
GRAMS_HOUR = "cluster:costmeter_gpu_emissions_grams:increase1h"
ENERGY_NOW = "instance:costmeter_gpu_energy_kwh:rate5m"
GRAMS_NOW = "instance:costmeter_gpu_emissions_grams:rate5m"
TIME_NOW = "cluster:costmeter_gpu_time_seconds:rate5m"
TIME_HOUR = "cluster:costmeter_gpu_time_seconds:increase1h"
SUNK_HOUR = "cluster:costmeter_runs_sunk_cost_usd:increase1h"
SUNK_NOW = "cluster:costmeter_runs_sunk_cost_usd:rate1m"
PROJECT = 'project=~"$project"'
NOTHING_YET = "nothing in this range"
IN_RANGE = (
    "Within the chosen range, which is the month to date at first, in the browser's time zone; a few minutes late. The"
    " hour going on is in it where the range ends now, and is not where it ends later, as `This month` does."
)


def build() -> boards.Dashboard:
    """The whole board."""
    made = board("spend", "What GPUs cost this month: forecast, projects, users, what was lost, prices.", ["spend"])
    made.time("now/M", "now").refresh("5m")
    projects = choice("project", "Project", f"run:costmeter_info{{{OF_CLUSTERS}}}, project", everything=".*")
    purchase = typed("purchase", "A GPU, bought", "30000", "What a GPU costs to buy, for the question of rent or own")
    for variable in (data_source(), *node_variables(), projects, purchase):
        made.with_variable(variable)
    made.annotation(alerts('owner="finops"'))
    place(made, [_figures(), *_over_time(), *_whose(), *_lost(), *_runs(), *_prices()])
    return made


def _figures() -> Row:
    numbers = (6, 2, 3, 1, 4, 5)
    widths = (4, 8, 3, 3, 3, 3)
    panels = [*month.panels(), _spent(), _energy(), _mass()]
    return Row(4, [Placed(*each) for each in zip(numbers, widths, panels, strict=True)])


def _spent() -> Panel:
    said = Said("Spent in the range", f"All GPUs of the chosen clusters, held or not. {IN_RANGE}", NOTHING_YET)
    return figure(said, [Query(spent())], MONEY)


def spent(*by: str) -> str:
    """What all GPUs cost in the range, by labels."""
    return over_range(series(HOUR), series(NOW), *by)


def energy(*by: str) -> str:
    """What all GPUs took in the range, by labels."""
    return over_range(series(ENERGY_HOUR), series(ENERGY_NOW), *by)


def grams(*by: str) -> str:
    """What all GPUs emitted in the range, by labels."""
    return over_range(series(GRAMS_HOUR), series(GRAMS_NOW), *by)


def _energy() -> Panel:
    return figure(Said("Energy", f"Of the GPUs' boards. {IN_RANGE}", NOTHING_YET), [Query(energy())], ENERGY)


def _mass() -> Panel:
    said = Said("CO2e", f"Operational and embodied, of all GPUs. {IN_RANGE}", NOTHING_YET)
    return figure(said, [Query(grams())], MASS)


def _over_time() -> list[Row]:
    return [Row(8, [Placed(11, 12, _by_project()), Placed(12, 12, _effective())])]


def _by_project() -> Panel:
    said = Said(
        "Cost per hour by project",
        "What runs cost, by the project in their labels; runs without one are together. What nobody's run accounts for"
        " is not here: the rest of what is spent.",
        "no run in this range",
    )
    cost = per_hour(added(series("project:costmeter_cost_usd:rate5m", PROJECT), "project"))
    return lines(said, [Query(cost, "{{project}}")], MONEY_UNIT, is_stacked=True, legend=["mean", "max"])


def _effective() -> Panel:
    said = Said(
        "What an hour of a GPU costs",
        "Of all GPUs by the hour, and what an hour in which a GPU works really costs: all cost, of idle and free GPUs"
        " too, by busy hours alone. Compare that with what others ask for an hour.",
        "no agent was heard in this range",
    )
    busy = added(series(TIME_NOW, 'state="busy"'))
    queries = [
        Query(per_hour(f"{added(series(NOW))} / ({added(series(TIME_NOW))} > 0)"), "an hour"),
        Query(per_hour(f"{added(series(NOW))} / ({busy} > 0.1)"), "a busy hour"),
    ]
    return lines(said, queries, MONEY_UNIT, legend=["mean", "lastNotNull"])


def _whose() -> list[Row]:
    said = "The ten of whom most was spent. " + IN_RANGE
    projects, users = (
        over_range(
            series(f"{of}:costmeter_cost_usd:increase1h", *chosen),
            series(f"{of}:costmeter_cost_usd:rate5m", *chosen),
            of,
        )
        for of, chosen in (("project", [PROJECT]), ("user", []))
    )
    clusters = spent("cluster")
    panels = [
        bars(
            Said("By project", said, NOTHING_YET),
            Query(f"topk(10, {projects})", "{{project}}"),
            FULL_MONEY_UNIT,
            decimals=2,
        ),
        bars(Said("By user", said, NOTHING_YET), Query(f"topk(10, {users})", "{{user}}"), FULL_MONEY_UNIT, decimals=2),
        bars(
            Said("By cluster", said, NOTHING_YET),
            Query(f"topk(10, {clusters})", "{{cluster}}"),
            FULL_MONEY_UNIT,
            decimals=2,
        ),
    ]
    return [Row(8, [Placed(20 + number, 8, panel) for number, panel in enumerate(panels, start=1)], "Whose it is", 20)]


def _lost() -> list[Row]:
    return [
        Row(
            8,
            [Placed(31, 8, _sunk()), Placed(32, 8, _regions()), Placed(33, 4, _own()), Placed(34, 4, _oldest())],
            "What was lost, and what it takes",
            30,
        )
    ]


def _sunk() -> Panel:
    said = Said(
        "Sunk cost by outcome",
        "What runs had cost that did not end well: failed, cancelled, preempted, stopped. Part of it may live on in a"
        f" checkpoint: `costmeter report` knows. {IN_RANGE}",
        NOTHING_YET,
    )
    sunk = over_range(series(SUNK_HOUR), series(SUNK_NOW), "outcome")
    return bars(said, Query(sunk, "{{outcome}}"), FULL_MONEY_UNIT, decimals=2, color="red")


def _regions() -> Panel:
    said = Said(
        "Energy and CO2e by cluster",
        f"Of the GPUs' boards; a cluster stands for its region and its grid. {IN_RANGE}",
        NOTHING_YET,
    )
    hours = over_range(series(TIME_HOUR), series(TIME_NOW), "cluster")
    columns = [
        Column("Cluster", query=f"max by (cluster) ({series(metric('build'))})", label="cluster"),
        Column("Energy", energy("cluster"), unit=ENERGY_UNIT),
        Column("CO2e, kg", f"{grams('cluster')} / 1000", unit=COUNT_UNIT, decimals=1),
        Column("GPU-hours", f"{hours} / 3600", unit=COUNT_UNIT, decimals=0),
    ]
    return listing(said, "cluster", columns, sort="Energy")


def _own() -> Panel:
    said = Said(
        "If bought today, paid for by",
        "When the rent of all GPUs, at what they cost per hour now, will have come to their price (above, left), if"
        " they were bought today: rent or own. Where an electricity price is set, what is saved is the rent less the"
        " electricity.",
        "nothing burns now",
    )
    gpus = f"count(group by (gpu_uuid) ({series(metric('gpu'))}))"
    watts = f"sum(max by (gpu_uuid) ({series(metric('gpu_power_watts'))}))"
    price, pue = (f"avg({series(metric(name))})" for name in ("electricity_price_{currency}_per_kwh", "pue_ratio"))
    rent = added(series(NOW))
    saved = f"({rent} - {watts} * {pue} * {price} / 3.6e6 or {rent})"
    return figure(said, [Query(f"1000 * (time() + $purchase * {gpus} / ({saved} > 0))")], DATE)


def _oldest() -> Panel:
    said = Said(
        "Oldest price",
        "Age of the oldest price with a date that is in force: list prices age, and `costmeter prices fetch` brings"
        " new ones.",
        "no price has a date",
    )
    age = f"time() - min({series(metric('rates_timestamp_seconds'))})"
    return figure(said, [Query(age)], AGE, steps=((None, "green"), (60 * 86400, "yellow"), (120 * 86400, "red")))


def _runs() -> list[Row]:
    return [Row(10, [Placed(41, 24, runlist.panel(PROJECT))], "Runs", 40)]


def _prices() -> list[Row]:
    return [Row(8, [Placed(51, 24, _rates())], "Prices in force", 50)]


def _rates() -> Panel:
    said = Said(
        "Where prices come from",
        "Each setting that costs and CO2e are made of, where its value is from, and of how many pages that is true: an"
        " estimate is worth replacing by what one really pays.",
        "no agent was heard",
    )
    # Not in place: two GPUs of a page would become one series, which is an error.
    kinds = f'label_replace({series(metric("rates"))}, "kind", "$1", "setting", "(.+?)([.]GPU-.*)?")'
    pages = f"count by (kind, origin) (group by (instance, kind, origin) ({kinds}))"
    columns = [
        Column("Setting", query=pages, label="kind"),
        Column("From", label="origin"),
        Column("Pages", label="Value", unit=COUNT_UNIT, decimals=0),
    ]
    return listing(said, "kind", columns, sort="Setting", is_falling=False)
