"""The board of one run, for who trains: what it costs, where that goes, whether it is worth it, and which GPU lags."""

from grafana_foundation_sdk.builders import dashboard as boards
from grafana_foundation_sdk.models import dashboard

from grafana.boards.frame import Placed, Row, alerts, annotation, board, choice, data_source, node_variables, one, place
from grafana.boards.panels import Panel, Query, Said, against, figure, in_color, lines, on_the_right, set_to
from grafana.boards.queries import (
    OF_NODES,
    added,
    holds,
    in_checkpoint,
    last,
    metric,
    named,
    of_its_nodes,
    of_run,
    once,
    per_hour,
    rate,
    running,
    share_of,
    speed,
    total,
    while_held,
)
from grafana.boards.tables import Column, listing
from grafana.boards.units import (
    COUNT,
    ENERGY,
    ENERGY_UNIT,
    FULL_MONEY_UNIT,
    MASS,
    MONEY,
    MONEY_UNIT,
    POWER_UNIT,
    RATIO,
    RATIO_UNIT,
)

COST = "run_cost_{currency}"
IDLE = 'state="idle"'
OWN_BUDGET = 'per="run"'
EXACT = "Exact: the run's own counter as it was scraped last, also of a run that has ended."
#: How a run goes: below 0 stands for "it lives", as no exit code is.
ENDINGS = {
    -1.0: ("running", "green"),
    0.0: ("ended well", "text"),
    130.0: ("interrupted (130)", "orange"),
    137.0: ("killed (137)", "red"),
    143.0: ("terminated (143)", "orange"),
}
NOT_HERE = "not running in this range"


def build() -> boards.Dashboard:
    """The whole board."""
    made = board("run", "What one training run costs, while it runs and afterwards.", ["run"])
    made.time("now-6h", "now").refresh("30s")
    for variable in (data_source(), *node_variables(), *_runs()):
        made.with_variable(variable)
    for mark in _marks():
        made.annotation(mark)
    place(made, [_figures(), *_series(), *_tables()])
    return made


def _runs() -> list[boards.QueryVariable]:
    """Which run: of the chosen projects, newest first, because ids begin with the time; and the nodes that it held."""
    facts = metric("run")
    of_project = f'{facts}{{{OF_NODES}, project=~"$project"}}, run_id'
    project = choice("project", "Project", f"{facts}{{{OF_NODES}}}, project", everything=".*")
    nodes = choice("held_on", "Nodes of the run", f"{of_run(metric('gpu_holder'))}, instance", everything="")
    return [
        project,
        one("run", "Run", of_project, is_newest_first=True),
        nodes.hide(dashboard.VariableHide.HIDE_VARIABLE),
    ]


def _marks() -> list[boards.AnnotationQuery]:
    """What happened: a requeue begins the run once more, and a checkpoint is a phase of that name."""
    began, ended = (of_run(metric(f"run_{edge}_timestamp_seconds")) for edge in ("start", "end"))
    saved = rate(of_run(metric("run_phase_cost_{currency}"), *in_checkpoint()))
    return [
        annotation("Run began", f"1000 * max by (host) ({began})", "green", "on {{host}}", is_at_value=True),
        annotation("Run ended", f"1000 * max by (host) ({ended})", "blue", "on {{host}}", is_at_value=True),
        annotation("Checkpoint", f"max by (phase) ({saved}) > 0", "purple", "{{phase}}"),
        alerts('run_id=~"|$run"'),
    ]


def _figures() -> Row:
    panels = [*_state(), *_limits(), *_quantities()]
    return Row(4, [Placed(number, 3, panel) for number, panel in enumerate(panels, start=1)])


def _state() -> list[Panel]:
    ending = f"max({last('run_exit_code')}) or -1 * (max({last('run_active')}) > 0)"
    how = Said(
        "How it goes", "Running, or how it ended: its exit code, or 128 and the signal.", "not seen in this range"
    )
    cost = Said("Cost so far", f"All components on all hosts, credits of negative prices apart. {EXACT}", NOT_HERE)
    now = Said("Cost per hour now", "How fast the cost grows, over the last minutes.", "not running")
    return [
        figure(how, [Query(ending)], COUNT, mappings=ENDINGS, steps=((None, "text"), (1, "red"))),
        figure(cost, [Query(total(COST))], MONEY),
        figure(now, [Query(per_hour(speed(COST)))], MONEY),
    ]


def _limits() -> list[Panel]:
    projected = Said(
        "Projected total",
        "What the run will have cost at its last step, as the meter projects it. The run has to tell its steps and how"
        " many there will be.",
        "steps are not told",
    )
    left = Said(
        "Budget left",
        "The budget of this run less its cost so far. Budgets of days and months count others, too.",
        "no budget",
    )
    idle = Said(
        "Idle share of cost", "Of the cost: what was paid while the run held GPUs that computed nothing.", NOT_HERE
    )
    budget = last("run_budget_{currency}", OWN_BUDGET)
    share = f"{total(COST, matchers=[IDLE])} / ({total(COST)} > 0)"
    return [
        figure(projected, [Query(f"sum({last('run_projected_cost_{currency}')})")], MONEY),
        figure(left, [Query(f"max({budget}) - {total(COST)}")], MONEY, steps=((None, "red"), (0, "green"))),
        figure(idle, [Query(share)], RATIO, steps=((None, "green"), (0.1, "yellow"), (0.3, "red"))),
    ]


def _quantities() -> list[Panel]:
    energy = Said("Energy", f"GPUs, their hosts where known, and what the PUE adds. {EXACT}", NOT_HERE)
    mass = Said("CO2e", f"Operational, by the grid in the settings, and embodied. {EXACT}", NOT_HERE)
    return [
        figure(energy, [Query(total("run_energy_kwh"))], ENERGY),
        figure(mass, [Query(total("run_emissions_grams"))], MASS),
    ]


def _series() -> list[Row]:
    return [
        Row(8, [Placed(11, 12, _per_hour()), Placed(12, 12, _against_budget())], "Where the money goes", 10),
        Row(8, [Placed(13, 12, _phases()), Placed(14, 12, _idle())]),
        Row(8, [Placed(21, 12, _gpus()), Placed(22, 12, _power())], "What the GPUs do", 20),
        Row(8, [Placed(31, 12, _per_unit()), Placed(32, 12, _loss())], "Whether it is worth it", 30),
    ]


def _per_hour() -> Panel:
    said = Said("Cost per hour by component", "Disjoint parts: their sum is what the run costs per hour.", NOT_HERE)
    return lines(said, [Query(per_hour(speed(COST, "component")), "{{component}}")], MONEY_UNIT, is_stacked=True)


def _against_budget() -> Panel:
    said = Said(
        "Cost, projected total and budget",
        "What the run has cost, what it will have at its last step, and the budget that it has.",
        NOT_HERE,
    )
    projected, budget = once("run_projected_cost_{currency}", "{}"), once("run_budget_{currency}", "{}", OWN_BUDGET)
    queries = [
        Query(running(COST), "cost so far"),
        Query(f"sum({projected})", "projected total"),
        Query(f"max({budget})", "budget"),
    ]
    made = lines(said, queries, MONEY_UNIT)
    made.override_by_query("B", [set_to("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})])
    return made.override_by_query("C", [in_color("red"), set_to("custom.fillOpacity", 0)])


def _phases() -> Panel:
    said = Said(
        "Cost by phase",
        "The cost so far by what the run said it was doing: training, evaluation, checkpoints. The first 8 phases of a"
        " run have names; what came later is `other`.",
        "phases are not told",
    )
    cost = running("run_phase_cost_{currency}", "phase")
    return lines(said, [Query(cost, "{{phase}}")], MONEY_UNIT, is_stacked=True)


def _idle() -> Panel:
    said = Said(
        "Idle cost per hour by reason",
        "What is paid for GPUs that the run holds and that compute nothing, by why; of shared GPUs its part. Reasons"
        " are known a minute later, and on nodes with an agent.",
        "nothing was idle",
    )
    cost = share_of(rate(of_its_nodes(metric("gpu_idle_cost_{currency}"))), "reason")
    return lines(said, [Query(f"{per_hour(added(cost, 'reason'))} > 0", "{{reason}}")], MONEY_UNIT, is_stacked=True)


def _gpus() -> Panel:
    said = Said(
        "GPU utilisation and power",
        "The share of time in which some kernel ran, for each GPU of the run, and the power of all of them on the"
        " right: a GPU at 100 % and hardly any power computes nothing.",
        "its GPUs were not seen",
    )
    busy = holds(of_its_nodes(metric("gpu_utilization_ratio")))
    power = added(share_of(of_its_nodes(metric("gpu_power_watts"))))
    each = "{{instance}} GPU {{index}}"
    made = lines(said, [Query(named(busy), each), Query(power, "power")], RATIO_UNIT, most=1)
    return on_the_right(made, "B", POWER_UNIT, "power of all")


def _power() -> Panel:
    said = Said(
        "Power by part",
        "Mean power of the run's GPUs, of its part of the hosts, and what the PUE adds for the building.",
        NOT_HERE,
    )
    watts = f"3.6e6 * {speed('run_energy_kwh', 'part')}"
    return lines(said, [Query(watts, "{{part}}")], POWER_UNIT, is_stacked=True)


def _per_unit() -> Panel:
    said = Said(
        "Cost per thousand steps and per million tokens",
        "What progress costs now: the growth of the cost by the growth of what the run tells. It rises where the run"
        " waits.",
        "steps and tokens are not told",
    )
    steps, tokens = (f"max({once(family, 'rate({}[$__rate_interval])')})" for family in ("run_steps", "run_tokens"))
    queries = [
        Query(f"1e3 * {speed(COST)} / ({steps} > 0)", "thousand steps"),
        Query(f"1e6 * {speed(COST)} / ({tokens} > 0)", "million tokens"),
    ]
    made = lines(said, queries, MONEY_UNIT).span_nulls(True)
    return on_the_right(made, "B", MONEY_UNIT, "million tokens")


def _loss() -> Panel:
    said = Said(
        "Loss against cost",
        "What each further dollar buys: the loss that the run tells over what it had cost by then.",
        "loss is not told",
    )
    loss = Query(f"min({once('run_loss', '{}')})", "Loss")
    return against(said, Query(running(COST), "Cost"), loss, MONEY_UNIT, "none")


def _tables() -> list[Row]:
    return [Row(9, [Placed(41, 24, _each_gpu())], "GPUs and facts", 40), Row(5, [Placed(42, 24, _facts())])]


def _each_gpu() -> Panel:
    said = Said(
        "GPUs of this run",
        "What each GPU did while this run held it, within the range; of shared GPUs the run's part. Behind is how far a"
        " GPU's utilisation is below the middle one's: the straggler that the others wait for. The reason is the one"
        " that cost most.",
        "its GPUs were not seen",
    )
    cost = while_held(of_its_nodes(metric("gpu_cost_{currency}")))
    idle = while_held(of_its_nodes(metric("gpu_idle_cost_{currency}")), "reason")
    busy = f"avg_over_time({holds(of_its_nodes(metric('gpu_utilization_ratio')))}[$__range:$__interval])"
    facts = named(f"0 * {cost}")
    columns = [
        Column("Node", label="instance", width=200),
        Column("GPU", query=facts, label="index", width=70),
        Column("Model", label="model"),
        Column("Cost", cost, unit=FULL_MONEY_UNIT, decimals=2, width=110),
        Column("Energy", while_held(of_its_nodes(metric("gpu_energy_kwh"))), unit=ENERGY_UNIT, width=110),
        Column("Mean utilisation", busy, unit=RATIO_UNIT, decimals=1, width=140),
        Column(
            "Behind",
            f"clamp_min(scalar(quantile(0.5, {busy})) - {busy}, 0)",
            unit=RATIO_UNIT,
            decimals=1,
            width=90,
            steps=((None, "text"), (0.05, "orange"), (0.15, "red")),
        ),
        Column("Idle cost", f"sum by (gpu_uuid) ({idle})", unit=FULL_MONEY_UNIT, decimals=2, width=110),
        Column("Idle mostly for", query=f"topk by (gpu_uuid) (1, {idle} > 0)", label="reason", width=160),
    ]
    # Rates at every step of the range: once a minute is as exact, and four times as fast.
    return listing(said, "gpu_uuid", columns, sort="Cost").interval("1m")


def _facts() -> Panel:
    said = Said("This run", "Who runs what: the labels of the run, for each of its hosts.", "not seen in this range")
    labels = ", ".join(("host", *_LABELS.values()))
    seen = f"max by ({labels}) (last_over_time({of_run(metric('run'))}[$__range]))"
    columns = [
        Column("Host", query=seen, label="host"),
        *[Column(header, label=label) for header, label in _LABELS.items()],
    ]
    return listing(said, "host", columns, sort="Host", is_falling=False)


_LABELS = {
    "Run": "run_id",
    "Name": "name",
    "Project": "project",
    "Team": "team",
    "Experiment": "experiment",
    "User": "user",
    "Scheduler's job": "job_id",
}
