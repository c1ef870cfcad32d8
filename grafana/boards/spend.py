"""The board of spend, for who pays: the month and its forecast, whose it is, what was lost, and how old prices are."""

from grafana_foundation_sdk.builders import dashboard as boards

from grafana.boards.frame import (
    RUN_LINK,
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
from grafana.boards.queries import OF_CLUSTERS, SEEN, added, metric, over_hours, per_hour, series
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
    RATIO_UNIT,
)

HOUR = "cluster:costmeter_gpu_cost_usd:increase1h"
NOW = "cluster:costmeter_gpu_cost_usd:rate5m"
ENERGY_HOUR = "cluster:costmeter_gpu_energy_kwh:increase1h"
GRAMS_HOUR = "cluster:costmeter_gpu_emissions_grams:increase1h"
TIME_HOUR = "cluster:costmeter_gpu_time_seconds:increase1h"
SUNK_HOUR = "cluster:costmeter_runs_sunk_cost_usd:increase1h"
IDLE = 'state="idle"'
PROJECT = 'project=~"$project"'
NOTHING_YET = "no hour is over yet"
IN_RANGE = "Within the chosen range, which is the month to date at first; up to an hour late."
#: Seconds until the month is over, in UTC: days that are left after today, and what is left of today.
LEFT = "(86400 * (days_in_month() - day_of_month() + 1) - time() % 86400)"


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
    panels = [_spent(), _forecast(), _budget(), _energy(), _mass()]
    widths = (4, 8, 4, 4, 4)
    numbered = enumerate(zip(widths, panels, strict=True), start=1)
    return Row(4, [Placed(number, width, panel) for number, (width, panel) in numbered])


def _spent() -> Panel:
    return figure(
        Said("Spent", f"All GPUs of all nodes of the chosen clusters, held or not. {IN_RANGE}", NOTHING_YET),
        [Query(over_hours(series(HOUR)))],
        MONEY,
    )


def _forecast() -> Panel:
    said = Said(
        "Forecast to the end of the month",
        "Spent in the range, which has to be the month to date, and for what is left of the month (UTC): as much per"
        " hour as on the mean of the last 7 days; the band is a tenth of their hours that cost least, and a tenth that"
        " cost most.",
        NOTHING_YET,
    )
    return figure(said, [Query(forecast(hourly), name) for name, hourly in _bands().items()], MONEY)


def _bands() -> dict[str, str]:
    """What an hour costs: the mean of the last week and the edges of most of it; before a full hour, the present rate.

    Rates, not recorded hours: the hour in which metering began is no whole one.
    """
    now = per_hour(added(series(NOW)))
    hours = f"({now})[7d:1h]"
    made = {
        "low": f"quantile_over_time(0.1, {hours})",
        "expected": f"avg_over_time({hours})",
        "high": f"quantile_over_time(0.9, {hours})",
    }
    return {name: f"({each} or {now})" for name, each in made.items()}


def forecast(hourly: str) -> str:
    """What the month will have cost if every hour that is left costs so much."""
    return f"{over_hours(series(HOUR))} + {hourly} * scalar({LEFT}) / 3600"


def _budget() -> Panel:
    said = Said(
        "Budget of the month, left",
        "The budget that `costmeter export --month-budget` set, less what is spent in the range.",
        "no budget",
    )
    left = f"(costmeter:month_budget_usd > 0) - {over_hours(series(HOUR))}"
    return figure(said, [Query(left)], MONEY, steps=((None, "red"), (0, "green")))


def _energy() -> Panel:
    return figure(
        Said("Energy", f"Of the GPUs' boards. {IN_RANGE}", NOTHING_YET),
        [Query(over_hours(series(ENERGY_HOUR)))],
        ENERGY,
    )


def _mass() -> Panel:
    return figure(
        Said("CO2e", f"Operational and embodied, of all GPUs. {IN_RANGE}", NOTHING_YET),
        [Query(over_hours(series(GRAMS_HOUR)))],
        MASS,
    )


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
    time = "cluster:costmeter_gpu_time_seconds:rate5m"
    busy = added(series(time, 'state="busy"'))
    queries = [
        Query(per_hour(f"{added(series(NOW))} / ({added(series(time))} > 0)"), "an hour"),
        Query(per_hour(f"{added(series(NOW))} / ({busy} > 0.1)"), "a busy hour"),
    ]
    return lines(said, queries, MONEY_UNIT, legend=["mean", "lastNotNull"])


def _whose() -> list[Row]:
    said = "The ten of whom most was spent. " + IN_RANGE
    projects = over_hours(series("project:costmeter_cost_usd:increase1h", PROJECT), "project")
    users = over_hours(series("user:costmeter_cost_usd:increase1h"), "user")
    clusters = over_hours(series(HOUR), "cluster")
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
    return bars(
        said, Query(over_hours(series(SUNK_HOUR), "outcome"), "{{outcome}}"), FULL_MONEY_UNIT, decimals=2, color="red"
    )


def _regions() -> Panel:
    said = Said(
        "Energy and CO2e by cluster",
        f"Of the GPUs' boards; a cluster stands for its region and its grid. {IN_RANGE}",
        NOTHING_YET,
    )
    columns = [
        Column("Cluster", query=f"max by (cluster) ({series(metric('build'))})", label="cluster"),
        Column("Energy", over_hours(series(ENERGY_HOUR), "cluster"), unit=ENERGY_UNIT),
        Column("CO2e, kg", f"{over_hours(series(GRAMS_HOUR), 'cluster')} / 1000", unit=COUNT_UNIT, decimals=1),
        Column("GPU-hours", f"{over_hours(series(TIME_HOUR), 'cluster')} / 3600", unit=COUNT_UNIT, decimals=0),
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
    return [Row(10, [Placed(41, 24, _each_run())], "Runs", 40)]


def _each_run() -> Panel:
    said = Said(
        "Runs of this range",
        "Runs that were seen in the range, with all that they cost, also before it: the hundred that cost most. A click"
        " on a run opens its board. As CSV: menu of the panel, Inspect, Data.",
        "no run in this range",
    )
    info = f"max_over_time({series('run:costmeter_info', PROJECT)}[{SEEN}])"
    names = "run_id, name, project, team, user, experiment"

    def seen(name: str, *matchers: str) -> str:
        of_project = f"max_over_time({series(name, *matchers)}[{SEEN}]) and on (cluster, job, run_id) {info}"
        return f"max by (run_id) (sum by (cluster, job, run_id) ({of_project}))"

    hours = "run:costmeter_gpu_time_seconds:total"
    cost = "run:costmeter_cost_usd:total"
    columns = [
        Column(
            "Run",
            query=f"max by ({names}) ({info})",
            label="run_id",
            link=RUN_LINK,
            link_title="Open the board of this run",
        ),
        Column("Name", label="name"),
        Column("Project", label="project"),
        Column("Team", label="team"),
        Column("User", label="user"),
        Column("Experiment", label="experiment"),
        Column("Cost", f"topk(100, {seen(cost)})", unit=FULL_MONEY_UNIT, decimals=2, width=120),
        Column("GPU-hours", f"{seen(hours)} / 3600", unit=COUNT_UNIT, decimals=1, width=110),
        Column(
            "Idle",
            f"{seen(hours, IDLE)} / ({seen(hours)} > 0)",
            unit=RATIO_UNIT,
            decimals=1,
            width=90,
            steps=((None, "text"), (0.2, "orange")),
        ),
        Column("Energy", seen("run:costmeter_energy_kwh:total"), unit=ENERGY_UNIT, width=110),
        Column(
            "CO2e, kg", f"{seen('run:costmeter_emissions_grams:total')} / 1000", unit=COUNT_UNIT, decimals=2, width=100
        ),
    ]
    return listing(said, "run_id", columns, sort="Cost")


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
